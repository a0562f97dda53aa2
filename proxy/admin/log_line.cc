#include "proxy/admin/log_line.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace holdfast::admin {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view ellipsis = "\xE2\x80\xA6";     // U+2026

/// One character of UTF-8 text: its code point and how many bytes it takes; an invalid byte is U+FFFD of one
/// byte.
struct Character {
    char32_t code;
    size_t size;
    bool valid;
};

Character invalid_byte() {
    return {0xFFFD, 1, false};
}

/// The character at the front of `text`, which is not empty. Overlong forms, surrogates and code points
/// beyond Unicode are invalid (RFC 3629, "UTF-8 definition").
Character next_character(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return {lead, 1, true};
    size_t size = 0;
    char32_t code = 0;
    char32_t smallest = 0;
    if ((lead & 0xE0) == 0xC0) {
        size = 2, code = lead & 0x1FU, smallest = 0x80;
    } else if ((lead & 0xF0) == 0xE0) {
        size = 3, code = lead & 0x0FU, smallest = 0x800;
    } else if ((lead & 0xF8) == 0xF0) {
        size = 4, code = lead & 0x07U, smallest = 0x10000;
    } else {
        return invalid_byte();
    }
    if (text.size() < size) return invalid_byte();
    for (size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return invalid_byte();
        code = (code << 6) | (byte(i) & 0x3FU);
    }
    if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return invalid_byte();
    return {code, size, true};
}

/// Characters that would break a line in two, drive a terminal, or make text read otherwise than it is.
bool must_be_escaped(char32_t code) {
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

void append_unicode_escape(char32_t code, std::string& out) {
    constexpr std::string_view digits = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += digits[(code >> shift) & 0xF];
}

/// `text` in double quotes, with JSON's escapes, which logfmt readers understand too.
void append_quoted(std::string_view text, std::string& out) {
    out += '"';
    const size_t start = out.size();
    while (!text.empty()) {
        if (out.size() - start >= log_value_bytes_max) {
            out += ellipsis;
            break;
        }
        const Character at = next_character(text);
        if (!at.valid) {
            out += replacement;
        } else if (at.code == '"' || at.code == '\\') {
            out += '\\';
            out += static_cast<char>(at.code);
        } else if (at.code == '\n') {
            out += "\\n";
        } else if (at.code == '\r') {
            out += "\\r";
        } else if (at.code == '\t') {
            out += "\\t";
        } else if (must_be_escaped(at.code)) {
            append_unicode_escape(at.code, out);
        } else {
            out += text.substr(0, at.size);
        }
        text.remove_prefix(at.size);
    }
    out += '"';
}

/// Whether a logfmt value needs no quotes: printable ASCII without the characters that have a meaning.
bool is_plain(std::string_view text) {
    if (text.empty() || text.size() > log_value_bytes_max) return false;
    for (const char c : text) {
        if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\') return false;
    }
    return true;
}

template <typename Number>
void append_number(Number number, std::string& out) {
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), end.ptr);
}

struct AppendValue {
    config::LogFormat format;
    std::string& out;

    void operator()(std::string_view text) const {
        if (format == config::LogFormat::logfmt && is_plain(text)) {
            out += text;
        } else {
            append_quoted(text, out);
        }
    }
    void operator()(int64_t number) const { append_number(number, out); }
    void operator()(uint64_t number) const { append_number(number, out); }
    void operator()(bool truth) const { out += truth ? "true" : "false"; }
    void operator()(double number) const {
        if (!std::isfinite(number) && format == config::LogFormat::json) {
            out += "null";  // JSON has no word for it
        } else {
            append_number(number, out);
        }
    }
};

void append_name(config::LogFormat format, std::string_view name, std::string& out) {
    switch (format) {
        case config::LogFormat::logfmt:
            if (!out.empty()) out += ' ';
            out += name;
            out += '=';
            return;
        case config::LogFormat::json:
            out += out.empty() ? '{' : ',';
            append_quoted(name, out);
            out += ':';
            return;
    }
}

void append_two_digits(int number, std::string& out) {
    out += static_cast<char>('0' + number / 10 % 10);
    out += static_cast<char>('0' + number % 10);
}

/// RFC 3339 in UTC with milliseconds.
std::string timestamp(std::chrono::system_clock::time_point time) {
    using namespace std::chrono;
    const auto whole = floor<seconds>(time);
    const auto millis = static_cast<int>(duration_cast<milliseconds>(time - whole).count());
    const std::time_t seconds_since_1970 =
        system_clock::to_time_t(time_point_cast<system_clock::duration>(whole));
    std::tm utc{};
    gmtime_r(&seconds_since_1970, &utc);
    std::string out;
    append_number(utc.tm_year + 1900, out);
    out += '-';
    append_two_digits(utc.tm_mon + 1, out);
    out += '-';
    append_two_digits(utc.tm_mday, out);
    out += 'T';
    append_two_digits(utc.tm_hour, out);
    out += ':';
    append_two_digits(utc.tm_min, out);
    out += ':';
    append_two_digits(utc.tm_sec, out);
    out += '.';
    out += static_cast<char>('0' + millis / 100);
    append_two_digits(millis % 100, out);
    out += 'Z';
    return out;
}

}  // namespace

std::string_view to_string(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return "debug";
        case LogLevel::info: return "info";
        case LogLevel::warn: return "warn";
        case LogLevel::error: return "error";
    }
    std::abort();
}

void format_log_line(config::LogFormat format, std::chrono::system_clock::time_point time, LogLevel level,
                     std::string_view event, std::initializer_list<LogField> fields, std::string& out) {
    out.clear();
    const AppendValue append_value{format, out};
    append_name(format, "ts", out);
    append_value(std::string_view(timestamp(time)));
    append_name(format, "level", out);
    append_value(to_string(level));
    append_name(format, "event", out);
    append_value(event);

    constexpr size_t kept_for_the_end = 32;  // truncated=true, the brace, the newline
    for (const LogField& field : fields) {
        const size_t before = out.size();
        append_name(format, field.name, out);
        std::visit(append_value, field.value);
        if (out.size() > log_line_bytes_max - kept_for_the_end) {
            out.resize(before);
            append_name(format, "truncated", out);
            append_value(true);
            break;
        }
    }
    if (format == config::LogFormat::json) out += '}';
}

}  // namespace holdfast::admin
