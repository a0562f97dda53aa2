#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

/// What single characters mean to the lexer.
namespace holdfast::sql::characters {

enum CharClass : uint8_t {
    space = 1,
    digit = 2,
    word_start = 4,
    word_part = 8,
    operator_part = 16,
    comment_start = 32
};

inline constexpr auto classes = [] {
    std::array<uint8_t, 256> made{};
    for (const char c : std::string_view(" \t\n\r\f\v")) made[static_cast<uint8_t>(c)] = space;
    for (const char c : std::string_view("~!@#^&|`?+-*/%<>=:["))
        made[static_cast<uint8_t>(c)] = operator_part;
    for (unsigned c = '0'; c <= '9'; ++c) made[c] = digit | word_part;
    for (unsigned c = 'a'; c <= 'z'; ++c) made[c] = made[c - 'a' + 'A'] = word_start | word_part;
    for (unsigned c = 0x80; c <= 0xff; ++c) made[c] = word_start | word_part;
    made['_'] = word_start | word_part;
    made['$'] = word_part;
    for (const char c : std::string_view("-/#")) made[static_cast<uint8_t>(c)] |= comment_start;
    return made;
}();

inline bool is(char c, uint8_t char_class) {
    return (classes[static_cast<uint8_t>(c)] & char_class) != 0;
}
inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

inline bool is_control(char c) {
    return static_cast<uint8_t>(c) < 0x20 || c == 0x7f;
}

inline bool equals_folded(std::string_view text, std::string_view folded) {
    return std::equal(text.begin(), text.end(), folded.begin(), folded.end(),
                      [](char a, char b) { return lower(a) == b; });
}

}  // namespace holdfast::sql::characters
