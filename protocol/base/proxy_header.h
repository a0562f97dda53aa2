#pragma once

#include <cstddef>
#include <optional>

#include "protocol/base/bytes.h"
#include "protocol/base/ip_address.h"
#include "protocol/base/result.h"

/// The header by which a load balancer tells whom it speaks for, before the first byte of the connection.
/// spec    HAProxy, "The PROXY protocol, versions 1 & 2"
namespace holdfast {

struct ProxyHeader {
    size_t bytes = 0;       // its length
    IpAddress source;       // empty: it tells no address (v1 UNKNOWN, v2 LOCAL, a Unix socket)
    IpAddress destination;  // where the client connected to
};

/// Reads a header at the front of `in`; nullopt: more bytes please. IPv4 behind ::ffff: is given as IPv4.
/// errors  bad_value: it is none, or not well formed, or not of a stream; limit_exceeded: too long
Result<std::optional<ProxyHeader>> take_proxy_header(Bytes in);

/// Whether the bytes, one at least, are the beginning of a header, as far as they go.
bool begins_proxy_header(Bytes in);

/// Without addresses the header says that the sender speaks for itself.
void append_proxy_header_v1(const IpAddress& source, const IpAddress& destination, ByteBuffer& out);
void append_proxy_header_v2(const IpAddress& source, const IpAddress& destination, ByteBuffer& out);

}  // namespace holdfast
