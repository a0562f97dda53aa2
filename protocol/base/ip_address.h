#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"

namespace holdfast {

/// An IPv4 or IPv6 address, and a port where there is one.
struct IpAddress {
    std::array<std::byte, 16> bytes{};  // in network order, zeros behind `size`
    uint8_t size = 0;                   // 4 or 16; 0: no address
    uint16_t port = 0;

    bool empty() const { return size == 0; }
    Bytes ip() const { return Bytes(bytes).first(size); }
    bool operator==(const IpAddress&) const = default;
};

/// An address as RFC 4291 and inet_pton write it, without brackets, scope or port. nullopt: it is none.
std::optional<IpAddress> parse_ip(std::string_view text);

/// Without the port, in the form of RFC 5952; empty for no address.
std::string to_text(const IpAddress& address);

/// IPv4 behind ::ffff: is IPv4; everything else is left as it is.
IpAddress unmapped(const IpAddress& address);
/// The reverse: IPv4 as an IPv6 address.
IpAddress mapped(const IpAddress& address);

}  // namespace holdfast
