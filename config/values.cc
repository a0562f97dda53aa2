#include <algorithm>
#include <regex>
#include <utility>

#include "config/secrets.h"
#include "config/section.h"
#include "config/text.h"
#include "config/units.h"

/// The reading functions of Section: one per type of key.
namespace holdfast::config {
namespace {

/// std::regex compiles by recursion; no useful rule is longer.
constexpr size_t pattern_bytes_max = 512;
/// Certificates with a long chain, or the authorities of a whole system.
constexpr size_t certificate_file_bytes_max = 4'194'304;

/// Bounds are written in the table as a value would be.
template <typename Value, typename Parse>
bool is_within(std::string_view allowed, Value value, Parse parse) {
    const size_t dots = allowed.find("..");
    const auto least = parse(allowed.substr(0, dots));
    const auto most = parse(allowed.substr(dots + 2));
    return value >= *least && value <= *most;
}

std::string explain(std::regex_constants::error_type code) {
    switch (code) {
        // The library means all three by this code.
        case std::regex_constants::error_paren:
            return "a parenthesis without its partner, a '*', '+' or '?' with nothing to repeat, or a (?...) "
                   "other "
                   "than (?:...), (?=...) and (?!...)";
        case std::regex_constants::error_brack: return "a '[' without its ']'";
        case std::regex_constants::error_brace: return "a '{' without its '}'";
        case std::regex_constants::error_badbrace: return "no range of repetitions between '{' and '}'";
        case std::regex_constants::error_range: return "a range such as [z-a] that ends before it begins";
        case std::regex_constants::error_badrepeat: return "a '*', '+', '?' or '{' with nothing to repeat";
        case std::regex_constants::error_escape: return "an unknown or unfinished escape behind a '\\'";
        case std::regex_constants::error_backref: return "a reference to a group that does not exist";
        case std::regex_constants::error_collate:
        case std::regex_constants::error_ctype: return "an unknown character class such as [[:name:]]";
        case std::regex_constants::error_space:
        case std::regex_constants::error_complexity:
        case std::regex_constants::error_stack: return "too complex: fewer repetitions are needed";
        default: return "not a valid expression";
    }
}

bool holds_zero(std::string_view text) {
    return text.find('\0') != std::string_view::npos;
}

}  // namespace

std::optional<Text> Section::text_or_fallback(std::string_view name, std::string_view expected) const {
    const Node* node = value(name);
    if (node == nullptr) {
        if (absent_ == Absent::keep || row(name).fallback.empty()) return std::nullopt;
        return Text{std::string(row(name).fallback), at_};
    }
    if (node->kind != Node::Kind::text) {
        wrong_type(name, *node, expected);
        return std::nullopt;
    }
    if (holds_zero(node->text)) {
        error(name, "a zero byte can't be part of a setting");
        return std::nullopt;
    }
    return Text{node->text, node->at};
}

bool Section::text(std::string_view name, std::string& out) const {
    const auto text = text_or_fallback(name, "a text in quotes");
    if (text) out = text->text;
    return text.has_value();
}

bool Section::texts(std::string_view name, std::vector<Text>& out) const {
    const Node* node = value(name);
    if (node == nullptr) return false;
    if (node->kind == Node::Kind::text) {
        out = {{node->text, node->at}};
        return true;
    }
    if (node->kind != Node::Kind::array) {
        wrong_type(name, *node, "a text or an array of texts");
        return false;
    }
    std::vector<Text> found;
    for (const Node& item : node->items) {
        if (item.kind == Node::Kind::text) {
            found.push_back({item.text, item.at});
        } else {
            context_->error(item.at, path_of(name) + ": expected a text in quotes, found " +
                                         std::string(describe(item.kind)));
        }
    }
    out = std::move(found);
    return out.size() == node->items.size();
}

bool Section::file(std::string_view name, std::string& out) const {
    const auto text = text_or_fallback(name, "the path of a file, in quotes");
    if (!text) return false;
    if (text->text.empty()) {
        error(name, "an empty path; leave the key out if there is no such file");
        return false;
    }
    out = context_->resolve(text->text);
    const auto content = context_->environment().read_file(out, certificate_file_bytes_max);
    if (!content) error(name, "can't read " + quote(out) + ": " + content.error().message);
    return content.ok();
}

bool Section::pattern(std::string_view name, std::optional<std::string>& out) const {
    const auto text = text_or_fallback(name, "a regular expression, in quotes");
    if (!text) return false;
    if (text->text.empty() || text->text.size() > pattern_bytes_max) {
        error(name, text->text.empty() ? "an empty expression; leave the key out to accept everything"
                                       : "a regular expression has at most 512 bytes");
        return false;
    }
    try {
        const std::regex compiled{text->text, std::regex::ECMAScript};
        out = text->text;
        return true;
    } catch (const std::regex_error& failure) {
        error(name, "the regular expression " + quote(text->text) + " has " + explain(failure.code()));
        return false;
    }
}

bool Section::boolean(std::string_view name, bool& out) const {
    const Node* node = value(name);
    if (node == nullptr) {
        if (absent_ == Absent::keep || row(name).fallback.empty()) return false;
        out = row(name).fallback == "true";
        return true;
    }
    if (node->kind != Node::Kind::boolean) {
        wrong_type(name, *node, "true or false, without quotes");
        return false;
    }
    out = node->boolean;
    return true;
}

std::optional<int64_t> Section::checked_integer(std::string_view name) const {
    const Node* node = value(name);
    if (node == nullptr) {
        if (absent_ == Absent::keep || row(name).fallback.empty()) return std::nullopt;
        return static_cast<int64_t>(*parse_number(row(name).fallback));
    }
    if (node->kind != Node::Kind::integer) {
        wrong_type(name, *node, "an integer, without quotes");
        return std::nullopt;
    }
    const bool is_allowed = node->integer >= 0 &&
                            is_within(row(name).allowed, static_cast<uint64_t>(node->integer), parse_number);
    if (!is_allowed) {
        out_of_range(name, *node, std::to_string(node->integer));
        return std::nullopt;
    }
    return node->integer;
}

std::optional<size_t> Section::checked_choice(std::string_view name) const {
    const std::vector<std::string_view> choices = split(row(name).allowed, '|');
    std::string listed;
    for (const std::string_view choice : choices) {
        listed += (listed.empty() ? "\"" : ", \"") + std::string(choice) + "\"";
    }
    const auto text = text_or_fallback(name, "one of " + listed);
    if (!text) return std::nullopt;
    const auto found = std::find(choices.begin(), choices.end(), text->text);
    if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
    const std::string_view near = nearest(text->text, choices);
    const std::string advice = near.empty() ? "" : "; did you mean " + quote(near) + "?";
    error(name, "expected one of " + listed + ", found " + quote(text->text) + advice);
    return std::nullopt;
}

bool Section::duration(std::string_view name, milliseconds& out) const {
    const Node* node = value(name);
    if (node != nullptr && node->kind == Node::Kind::integer) {
        const std::string digits = std::to_string(node->integer);
        error(name, "a duration needs a unit and quotes; write \"" + digits + "s\" for seconds or \"" +
                        digits + "ms\" for milliseconds");
        return false;
    }
    const auto text = text_or_fallback(name, R"(a duration such as "500ms", "5s", "2m" or "1h")");
    if (!text) return false;
    const auto parsed = parse_duration(text->text);
    if (!parsed) {
        error(name, parsed.error().message);
        return false;
    }
    if (!is_within(row(name).allowed, *parsed, parse_duration)) {
        out_of_range(name, *node, quote(text->text));
        return false;
    }
    out = *parsed;
    return true;
}

bool Section::size(std::string_view name, uint64_t& out) const {
    const Node* node = value(name);
    if (node != nullptr && node->kind == Node::Kind::integer) {
        error(name,
              "a size needs a unit and quotes; write \"" + std::to_string(node->integer) + "B\" for bytes");
        return false;
    }
    const auto text = text_or_fallback(name, R"(a size such as "64kB", "64MiB" or "1GiB")");
    if (!text) return false;
    const auto parsed = parse_size(text->text);
    if (!parsed) {
        error(name, parsed.error().message);
        return false;
    }
    if (!is_within(row(name).allowed, *parsed, parse_size)) {
        out_of_range(name, *node, quote(text->text));
        return false;
    }
    out = *parsed;
    return true;
}

void Section::lag(std::string_view name, milliseconds& time, uint64_t& bytes) const {
    const Node* node = value(name);
    const bool is_duration = node != nullptr && node->kind != Node::Kind::table;
    if (!is_duration) {
        const Section inside = table(name);
        inside.duration("time", time);
        inside.size("bytes", bytes);
        return;
    }
    if (node->kind != Node::Kind::text && node->kind != Node::Kind::integer) {
        wrong_type(name, *node, "a duration such as \"5s\", or { time = ..., bytes = ... }");
        return;
    }
    // A duration alone is short for the table's `time`: it is checked by that row, under the name it has
    // here.
    Section inside{*context_, nullptr, pattern_ + "." + std::string(name), path_of(name), at_,
                   scope_,    absent_};
    inside.size("bytes", bytes);
    Node wrapped;
    wrapped.at = node->at;
    wrapped.entries.push_back({"time", node->at, *node});
    inside.node_ = &wrapped;
    inside.duration("time", time);
}

bool Section::secret(std::string_view name, Secret& out) const {
    const Node* node = value(name);
    if (node == nullptr) return false;
    auto read = read_secret(*context_, *node, path_of(name));
    if (!read) return false;
    out = std::move(*read);
    return true;
}

}  // namespace holdfast::config
