#pragma once

#include <string>
#include <string_view>

namespace holdfast::sql {

/// A name or a text between quotes, those in it doubled. What a backslash means is not looked at.
inline std::string quoted(std::string_view text, char quote) {
    std::string out(1, quote);
    for (const char c : text) {
        if (c == quote) out += c;
        out += c;
    }
    return out + quote;
}

}  // namespace holdfast::sql
