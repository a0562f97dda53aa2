#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/context.h"
#include "config/document.h"
#include "config/keys.h"
#include "config/settings.h"

namespace holdfast::config {

/// A text and where it stands.
struct Text {
    std::string text;
    Position at;
};

/// One table of the file, read by the rows of keys.h. Making it reports the keys that have no row. Every
/// reading function names a key with a row (anything else is a bug, and aborts). It sets its target and
/// returns true when there is a value, from the file or by default; else it leaves the target alone, and when
/// the value is wrong, reports why. A value; `context` and the document must outlive it.
class Section {
public:
    enum class Scope {
        cluster,   // or any table that is not inherited
        defaults,  // [defaults]: only what may be inherited
    };
    enum class Absent {
        keep,      // the target holds what is inherited
        fallback,  // the target gets the default of the key's row
    };

    /// The whole document.
    Section(Context& context, const Node& document);

    bool is_present() const { return node_ != nullptr; }
    /// As in messages: "cluster.shop.routing".
    const std::string& path() const { return path_; }
    Position at() const { return at_; }
    /// The place of a key's value; of the table when the key is absent.
    Position at(std::string_view name) const;
    bool has(std::string_view name) const;
    /// Whether the key is there; reports when it is not. `advice` says how to write it.
    bool require(std::string_view name, std::string_view advice) const;
    std::string path_of(std::string_view name) const;
    Context& context() const { return *context_; }
    void error(std::string_view name, std::string_view message) const;
    void warning(std::string_view name, std::string_view message) const;

    /// The same table, with absent keys set to their defaults.
    Section with_fallbacks() const;

    /// A table inside; absent or wrong: one without keys, which can be read all the same.
    Section table(std::string_view name) const;
    /// [defaults], to be read as if it were a cluster.
    Section defaults() const;
    /// The tables inside a table of names, [cluster.*], with their names and places; reports when there is
    /// none.
    struct Named {
        std::string name;
        Position at;
        const Node* node;
    };
    std::vector<Named> names(std::string_view name) const;
    Section named(std::string_view name, const Named& child) const;
    /// The tables of an array.
    std::vector<Section> tables(std::string_view name) const;
    /// The values of an array; for tables among them, element().
    std::vector<const Node*> items(std::string_view name) const;
    Section element(std::string_view name, size_t index, const Node& node) const;

    bool text(std::string_view name, std::string& out) const;
    /// false also when only some are wrong; the others are in `out`.
    bool texts(std::string_view name, std::vector<Text>& out) const;
    /// A path, resolved, of a file that can be read.
    bool file(std::string_view name, std::string& out) const;
    /// An expression that compiles.
    bool pattern(std::string_view name, std::optional<std::string>& out) const;
    bool boolean(std::string_view name, bool& out) const;
    bool duration(std::string_view name, milliseconds& out) const;
    bool size(std::string_view name, uint64_t& out) const;
    bool secret(std::string_view name, Secret& out) const;
    /// max_lag: a duration alone, or a table with a time and a size.
    void lag(std::string_view name, milliseconds& time, uint64_t& bytes) const;

    template <std::integral T>
    bool integer(std::string_view name, T& out) const {
        const std::optional<int64_t> value = checked_integer(name);
        if (value) out = static_cast<T>(*value);  // the row's bounds fit every target
        return value.has_value();
    }
    /// The choices of the row are in the order of the enum.
    template <typename Enum>
    bool choice(std::string_view name, Enum& out) const {
        const std::optional<size_t> index = checked_choice(name);
        if (index) out = static_cast<Enum>(*index);
        return index.has_value();
    }

private:
    Section(Context& context, const Node* node, std::string pattern, std::string path, Position at,
            Scope scope, Absent absent);

    const Key& row(std::string_view name) const;
    const Node* value(std::string_view name) const;
    void report_unknown_keys() const;
    std::string advice_for(std::string_view unknown) const;
    bool is_accepted(const Key& key) const;
    void wrong_type(std::string_view name, const Node& found, std::string_view expected) const;
    void out_of_range(std::string_view name, const Node& at, std::string_view found) const;
    std::optional<int64_t> checked_integer(std::string_view name) const;
    std::optional<size_t> checked_choice(std::string_view name) const;
    /// The key's text, or its default's; nullopt when there is neither or it is no text.
    std::optional<Text> text_or_fallback(std::string_view name, std::string_view expected) const;

    Context* context_;
    const Node* node_;  // nullptr: absent
    std::string pattern_;
    std::string path_;
    Position at_;
    Scope scope_;
    Absent absent_;
};

}  // namespace holdfast::config
