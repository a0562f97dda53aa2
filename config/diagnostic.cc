#include "config/diagnostic.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "config/scan.h"
#include "config/text.h"

namespace holdfast::config {
namespace {

/// A longer line is shown in part, around the place that is meant. Characters.
constexpr int shown_characters_max = 120;

std::string_view line_of(std::string_view source, int line) {
    for (int at = 1; at < line; ++at) {
        const size_t end = source.find('\n');
        if (end == std::string_view::npos) return {};
        source.remove_prefix(end + 1);
    }
    source = source.substr(0, source.find('\n'));
    if (source.ends_with('\r')) source.remove_suffix(1);
    return source;
}

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/// Whether a key of this name may hold a secret. Misspelt ones count: the error about `pasword` must not
/// show what follows it.
bool may_hold_secret(std::string_view key) {
    constexpr std::array<std::string_view, 4> secrets{"password", "token", "scram_verifier", "md5"};
    if (!nearest(key, secrets).empty()) return true;
    std::string lower_key;
    for (const char c : key) lower_key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    constexpr std::array<std::string_view, 7> parts{"pass", "pw", "secret", "token", "scram", "md5", "verif"};
    return std::any_of(parts.begin(), parts.end(),
                       [&](std::string_view part) { return lower_key.find(part) != std::string::npos; });
}

/// How much of the value that begins here names where the secret is, instead of being it: to its brace, for
/// what stands behind that may be anything.
size_t reference_bytes(std::string_view value) {
    std::string_view rest = trim(value);
    if (!rest.starts_with('{')) return 0;
    rest = trim(rest.substr(1));
    for (const std::string_view kind : {"file", "env", "credential"}) {
        if (!rest.starts_with(kind) || !trim(rest.substr(kind.size())).starts_with('=')) continue;
        return std::min(value.find('}'), value.size() - 1) + 1;
    }
    return 0;
}

/// Whether nothing but punctuation or a comment stands there.
bool says_nothing(std::string_view text) {
    text = trim(text);
    while (!text.empty() && (text.front() == '}' || text.front() == ',' || text.front() == ']')) {
        text = trim(text.substr(1));
    }
    return text.empty() || text.front() == '#';
}

/// How much of a line may be shown: all of it, or up to the '=' of the first secret, or up to what stands
/// behind the place that a secret is read from.
size_t shown_bytes(std::string_view line) {
    for (size_t equals = line.find('='); equals != std::string_view::npos;
         equals = line.find('=', equals + 1)) {
        std::string_view key = trim(line.substr(0, equals));
        if (key.ends_with('"') || key.ends_with('\'')) key.remove_suffix(1);
        size_t begin = key.size();
        while (begin > 0 && is_word(key[begin - 1])) --begin;
        if (!may_hold_secret(key.substr(begin))) continue;
        const std::string_view value = line.substr(equals + 1);
        const size_t reference = reference_bytes(value);
        if (reference == 0) return equals + 1;
        // Another setting in the same table is looked at by itself.
        const std::string_view behind = trim(value.substr(reference));
        if (!says_nothing(behind) && !behind.starts_with(',')) return equals + 1 + reference;
    }
    return line.size();
}

/// The line and the caret line, each with its end.
std::string excerpt(std::string_view line, int column) {
    const size_t shown = shown_bytes(line);
    const bool is_cut = shown < line.size();
    line = line.substr(0, shown);
    const int first = column > shown_characters_max ? column - shown_characters_max / 2 : 1;

    std::string text = first > 1 ? "..." : "";
    std::string caret = first > 1 ? "   " : "";
    int at = 0;
    for (const char c : line) {
        const auto byte = static_cast<unsigned char>(c);
        const bool continues = (byte & 0xC0U) == 0x80U;
        if (!continues) ++at;
        if (at < first) continue;
        if (at >= first + shown_characters_max) {
            text += "...";
            break;
        }
        text += (byte < 0x20 && c != '\t') || byte == 0x7f ? '?' : c;
        if (at < column && !continues) caret += c == '\t' ? '\t' : ' ';
    }
    if (is_cut) text += " ...";
    return "    " + text + "\n    " + caret + "^\n";
}

}  // namespace

std::string format(const Diagnostic& diagnostic, std::string_view source) {
    std::string out = diagnostic.file;
    if (diagnostic.line > 0) {
        out += ':' + std::to_string(diagnostic.line) + ':' + std::to_string(diagnostic.column);
    }
    out += diagnostic.severity == Diagnostic::Severity::error ? ": error: " : ": warning: ";
    out += diagnostic.message + '\n';
    if (diagnostic.line <= 0 || begins_inside_string(source, diagnostic.line)) return out;
    const std::string_view line = line_of(source, diagnostic.line);
    if (trim(line).empty()) return out;
    return out + excerpt(line, diagnostic.column);
}

}  // namespace holdfast::config
