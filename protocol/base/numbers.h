#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace holdfast {

/// The number that the whole of a text is; nullopt: it is none, or does not fit.
template <typename T>
std::optional<T> parse_number(std::string_view text, int base = 10) {
    T value{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, base);
    if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
    return value;
}

}  // namespace holdfast
