#include "protocol/base/ip_address.h"

#include <algorithm>
#include <charconv>

namespace holdfast {
namespace {

constexpr size_t groups = 8;
constexpr std::array<std::byte, 12> mapped_prefix = {
    std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0},    std::byte{0},
    std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0xff}, std::byte{0xff}};

/// Four numbers up to 255 without leading zeros.
bool parse_v4(std::string_view text, std::byte* out) {
    for (int i = 0; i < 4; ++i) {
        const size_t end = i < 3 ? text.find('.') : text.size();
        if (end == std::string_view::npos || end == 0 || end > 3) return false;
        unsigned value = 0;
        const auto [at, error] = std::from_chars(text.data(), text.data() + end, value);
        if (error != std::errc{} || at != text.data() + end || value > 255) return false;
        if (end > 1 && text[0] == '0') return false;
        out[i] = static_cast<std::byte>(value);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return true;
}

/// Groups of up to four hexadecimal digits with colons between them, the last two of which may be written as
/// IPv4. Returns how many groups of two bytes were read, or nothing when it is none.
std::optional<size_t> parse_groups(std::string_view text, std::byte* out, size_t room) {
    size_t count = 0;
    if (text.empty()) return count;
    for (;;) {
        const size_t colon = text.find(':');
        const std::string_view group = text.substr(0, colon);
        if (group.find('.') != std::string_view::npos) {
            if (colon != std::string_view::npos || count + 2 > room || !parse_v4(group, out + 2 * count))
                return std::nullopt;
            return count + 2;
        }
        unsigned value = 0;
        const auto [at, error] = std::from_chars(group.data(), group.data() + group.size(), value, 16);
        if (group.empty() || group.size() > 4 || error != std::errc{} || at != group.data() + group.size() ||
            count == room) {
            return std::nullopt;
        }
        out[2 * count] = static_cast<std::byte>(value >> 8);
        out[2 * count + 1] = static_cast<std::byte>(value & 0xff);
        ++count;
        if (colon == std::string_view::npos) return count;
        text.remove_prefix(colon + 1);
    }
}

bool parse_v6(std::string_view text, std::array<std::byte, 16>& out) {
    const size_t gap = text.find("::");
    if (gap == std::string_view::npos) return parse_groups(text, out.data(), groups) == groups;
    if (text.find("::", gap + 1) != std::string_view::npos) return false;
    const std::string_view before = text.substr(0, gap);
    // Only the very end can be written as IPv4.
    if (before.find('.') != std::string_view::npos) return false;
    std::array<std::byte, 16> front{};
    std::array<std::byte, 16> back{};
    const auto first = parse_groups(before, front.data(), groups - 1);
    if (!first) return false;
    const auto last = parse_groups(text.substr(gap + 2), back.data(), groups - 1 - *first);
    if (!last) return false;
    out = front;
    std::copy_n(back.begin(), 2 * *last, out.end() - static_cast<std::ptrdiff_t>(2 * *last));
    return true;
}

unsigned group_of(const IpAddress& address, size_t i) {
    return std::to_integer<unsigned>(address.bytes[2 * i]) << 8 |
           std::to_integer<unsigned>(address.bytes[2 * i + 1]);
}

std::string v4_text(const std::byte* bytes) {
    std::string text;
    for (int i = 0; i < 4; ++i) {
        if (i > 0) text += '.';
        text += std::to_string(std::to_integer<unsigned>(bytes[i]));
    }
    return text;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
    IpAddress address;
    if (parse_v4(text, address.bytes.data())) {
        address.size = 4;
        return address;
    }
    address = {};
    if (!parse_v6(text, address.bytes)) return std::nullopt;
    address.size = 16;
    return address;
}

std::string to_text(const IpAddress& address) {
    if (address.empty()) return {};
    if (address.size == 4) return v4_text(address.bytes.data());
    if (!unmapped(address).empty() && unmapped(address).size == 4)
        return "::ffff:" + v4_text(address.bytes.data() + 12);
    // The longest run of at least two zero groups, the first of them, becomes "::".
    size_t gap = groups;
    size_t gap_size = 1;
    for (size_t i = 0; i < groups;) {
        size_t end = i;
        while (end < groups && group_of(address, end) == 0) ++end;
        if (end - i > gap_size) {
            gap = i;
            gap_size = end - i;
        }
        i = std::max(end, i + 1);
    }
    std::string text;
    for (size_t i = 0; i < groups;) {
        if (i == gap) {
            text += "::";
            i += gap_size;
            continue;
        }
        if (!text.empty() && text.back() != ':') text += ':';
        char digits[4];
        const auto end = std::to_chars(digits, digits + sizeof digits, group_of(address, i), 16).ptr;
        text.append(digits, end);
        ++i;
    }
    return text;
}

IpAddress unmapped(const IpAddress& address) {
    if (address.size != 16 || !std::equal(mapped_prefix.begin(), mapped_prefix.end(), address.bytes.begin()))
        return address;
    IpAddress v4;
    v4.size = 4;
    v4.port = address.port;
    std::copy_n(address.bytes.begin() + 12, 4, v4.bytes.begin());
    return v4;
}

IpAddress mapped(const IpAddress& address) {
    if (address.size != 4) return address;
    IpAddress v6;
    v6.size = 16;
    v6.port = address.port;
    std::copy(mapped_prefix.begin(), mapped_prefix.end(), v6.bytes.begin());
    std::copy_n(address.bytes.begin(), 4, v6.bytes.begin() + 12);
    return v6;
}

}  // namespace holdfast
