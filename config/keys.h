#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Every setting, each as one row. The loader takes types, bounds, choices and defaults from here, and
/// REFERENCE.md is made from it.
namespace holdfast::config {

enum class Type {
    table,
    named_tables,  // [cluster.NAME]
    tables,        // [[…]], or an array of inline tables
    servers,       // an array of addresses, or of tables
    lag,           // a duration, or a table
    text,
    texts,  // a text, or an array of them
    file,   // the path of a file that must be readable
    pattern,
    integer,
    boolean,
    duration,
    size,
    choice,
    secret,  // a text, { file = … }, { env = … } or { credential = … }
};

/// What a reload does with a changed value.
enum class Reload {
    hot,      // applied
    restart,  // the value in use stays until the process is started anew
    refused,  // the whole reload is rejected
};
enum class Inherit { no, yes };  // yes: may stand in [defaults] too

struct Key {
    /// Names joined by dots; `*` stands for a name of the operator's, `[]` for each table of an array.
    std::string_view path;
    Type type;
    std::string_view fallback;  // as it would be written in the file, texts without quotes; empty: none
    /// Numbers: "least..most". Choices: "a|b|c", in the order of the enum that they are read into.
    std::string_view allowed;
    std::string_view meaning;
    std::string_view since = "0.1";
    Reload reload = Reload::hot;
    Inherit inherit = Inherit::no;

    std::string_view table() const;  // the path of the table that it is in; "" at the top
    std::string_view name() const;
};

std::span<const Key> all_keys();

/// The row of a key in the table of this path; nullptr when there is none.
const Key* find_key(std::string_view table, std::string_view name);

/// The row of a key's full path, as in Key::path; nullptr when there is none.
const Key* find_key(std::string_view path);

/// The text of REFERENCE.md.
std::string reference_markdown();

}  // namespace holdfast::config
