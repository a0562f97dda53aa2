#include "config/document.h"

// Errors come back as values, and only the parser is needed.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 32
#include <algorithm>
#include <utility>

#include <toml++/toml.h>

#include "config/scan.h"

namespace holdfast::config {
namespace {

static_assert(value_nesting_max == TOML_MAX_NESTED_VALUES);

Position to_position(const toml::source_position& at) {
    return {static_cast<int>(at.line), static_cast<int>(at.column)};
}

bool stands_before(const Position& a, const Position& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

/// Recursion is bounded: every nested value adds at most key_parts_max levels, and both are limited.
Node convert(const toml::node& from) {
    Node to;
    to.at = to_position(from.source().begin);
    switch (from.type()) {
        case toml::node_type::string:
            to.kind = Node::Kind::text;
            to.text = from.as_string()->get();
            break;
        case toml::node_type::integer:
            to.kind = Node::Kind::integer;
            to.integer = from.as_integer()->get();
            break;
        case toml::node_type::floating_point: to.kind = Node::Kind::number; break;
        case toml::node_type::boolean:
            to.kind = Node::Kind::boolean;
            to.boolean = from.as_boolean()->get();
            break;
        case toml::node_type::none:  // never made by the parser
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time: to.kind = Node::Kind::date; break;
        case toml::node_type::array:
            to.kind = Node::Kind::array;
            for (const toml::node& item : *from.as_array()) to.items.push_back(convert(item));
            break;
        case toml::node_type::table:
            to.kind = Node::Kind::table;
            for (auto&& [key, value] : *from.as_table()) {
                to.entries.push_back(
                    {std::string(key.str()), to_position(key.source().begin), convert(value)});
            }
            // The library iterates alphabetically.
            std::stable_sort(to.entries.begin(), to.entries.end(),
                             [](const Entry& a, const Entry& b) { return stands_before(a.at, b.at); });
            break;
    }
    return to;
}

std::string explain(std::string_view description) {
    constexpr std::string_view lead = "Error while ";
    if (description.starts_with(lead)) description.remove_prefix(lead.size());
    std::string message = "syntax error while " + std::string(description);
    if (description.find("could not determine value type") != std::string_view::npos) {
        message += "; a text needs quotes: key = \"value\"";
    }
    return message;
}

}  // namespace

const Entry* Node::find(std::string_view key) const {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
    return found == entries.end() ? nullptr : &*found;
}

std::string_view describe(Node::Kind kind) {
    switch (kind) {
        case Node::Kind::text: return "a text";
        case Node::Kind::integer: return "an integer";
        case Node::Kind::number: return "a decimal number";
        case Node::Kind::boolean: return "true or false";
        case Node::Kind::date: return "a date or time";
        case Node::Kind::array: return "an array";
        case Node::Kind::table: return "a table";
    }
    return "nothing";
}

std::variant<Node, SyntaxError> parse(std::string_view text) {
    if (text.size() > file_bytes_max) {
        return SyntaxError{{},
                           "the file is larger than 1 MiB, which no configuration is; is it the right file?"};
    }
    if (const auto at = find_overlong_key(text, key_parts_max)) {
        return SyntaxError{*at, "a key with more than " + std::to_string(key_parts_max) + " dotted parts"};
    }
    const auto bad_heading = find_bad_heading(text);
    // What stands before it is parsed all the same: the first error is the one to report.
    if (bad_heading) text = text.substr(0, bad_heading->line_begin);
    const toml::parse_result parsed = toml::parse(text, std::string_view{});
    if (!parsed) {
        return SyntaxError{to_position(parsed.error().source().begin), explain(parsed.error().description())};
    }
    if (bad_heading) {
        return SyntaxError{bad_heading->at,
                           "syntax error while parsing table header: expected the table's name"};
    }
    return convert(parsed.table());
}

}  // namespace holdfast::config
