#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/diagnostic.h"

/// A TOML text as a tree of plain values that know where they stand. The TOML library stays behind parse().
namespace holdfast::config {

/// A configuration larger than this is a mistake (a log file, a disk image), not a configuration.
inline constexpr size_t file_bytes_max = 1'048'576;
/// Arrays and inline tables inside each other. The deepest setting needs four.
inline constexpr int value_nesting_max = 32;
/// `a.b.c` has three. The deepest setting has five.
inline constexpr int key_parts_max = 16;

struct Entry;

/// One value. What `kind` names is set, the rest is empty.
struct Node {
    enum class Kind { text, integer, number, boolean, date, array, table };

    Kind kind = Kind::table;
    Position at;
    std::string text;
    int64_t integer = 0;
    bool boolean = false;
    std::vector<Node> items;
    std::vector<Entry> entries;  // in the order of the file

    /// The value under this key of a table; nullptr when there is none.
    const Entry* find(std::string_view key) const;
};

struct Entry {
    std::string key;
    Position at;  // the key's own place
    Node value;
};

/// "a text", "an integer", …: for "expected …, found …".
std::string_view describe(Node::Kind kind);

struct SyntaxError {
    Position at;
    std::string message;
};

/// Reads a TOML 1.0 document. Any bytes are allowed in `text`.
/// errors  the first violation of TOML's syntax; a text, key or nesting above the bounds of this header
/// spec    https://toml.io/en/v1.0.0
std::variant<Node, SyntaxError> parse(std::string_view text);

}  // namespace holdfast::config
