#pragma once

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include "config/settings.h"
#include "protocol/base/ip_address.h"
#include "protocol/base/result.h"

namespace holdfast::loop {

/// An address as the kernel takes it.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    int family() const { return storage.ss_family; }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Who connected.
struct PeerAddress {
    std::string text;  // "10.0.0.7:51812", "[::1]:51812" or "unix"
    bool is_unix = false;
    IpAddress ip;     // an IPv4 peer of an IPv6 socket counts as IPv4; empty: Unix socket
    IpAddress local;  // where it connected to; empty: not known
};

/// The address of a Unix socket.
/// errors  bad_length: longer than the kernel allows (107 bytes)
Result<SocketAddress> unix_address(const std::string& path);

/// The address of a numeric host (IPv4, IPv6, with a scope after %); never asks a name server.
/// errors  bad_value: not numeric
Result<SocketAddress> numeric_address(const std::string& host, uint16_t port);

/// All addresses of a host to bind to, "" and "*" being every address of both families. Blocks when the host
/// is a name: only for the start and for reloads.
/// errors  not_found: the name has no address
Result<std::vector<SocketAddress>> bind_addresses(const std::string& host, uint16_t port);

bool is_numeric_host(const std::string& host);

/// "10.0.0.7" or "::1", without the port.
std::string host_text(const sockaddr* address, socklen_t size);
uint16_t port_of(const SocketAddress& address);
/// Empty for a Unix socket.
IpAddress ip_address(const SocketAddress& address);
PeerAddress peer_address(const SocketAddress& address);
/// The same of an address that a load balancer told.
PeerAddress peer_address(const IpAddress& address);

/// "db1:5432", "[::1]:5432" or the path, for messages.
std::string to_text(const config::Endpoint& endpoint);
std::string to_text(std::string_view host, uint16_t port);

/// strerror for any thread.
std::string error_text(int error_number);

}  // namespace holdfast::loop
