#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::health {

/// The first line of a text from outside, bounded and printable: it goes to logs and pages.
inline std::string one_line(std::string_view text) {
    constexpr size_t text_chars_max = 300;
    const size_t start = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    text = text.substr(start);
    text = text.substr(0, std::min(text.find('\n'), text_chars_max));
    std::string line(text);
    for (char& c : line) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    return line;
}

}  // namespace holdfast::health
