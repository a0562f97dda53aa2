#include "proxy/loop/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <system_error>

namespace holdfast::loop {
namespace {

using AddrInfo = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// getaddrinfo for a stream socket; a null host with AI_PASSIVE is the family's wildcard.
int look_up(const char* host, uint16_t port, int flags, int family, AddrInfo& found) {
    addrinfo hints{};
    hints.ai_family = family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int code = ::getaddrinfo(host, std::to_string(port).c_str(), &hints, &list);
    found.reset(list);
    return code;
}

SocketAddress copy(const sockaddr* address, socklen_t size) {
    SocketAddress copied;
    copied.size = std::min<socklen_t>(size, sizeof copied.storage);
    std::memcpy(&copied.storage, address, copied.size);
    return copied;
}

}  // namespace

Result<SocketAddress> unix_address(const std::string& path) {
    sockaddr_un address{};
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error{ErrorCode::bad_length, "the path of a Unix socket has 1 to " +
                                                std::to_string(sizeof address.sun_path - 1) +
                                                " bytes: " + path};
    }
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return copy(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

Result<SocketAddress> numeric_address(const std::string& host, uint16_t port) {
    AddrInfo found{nullptr, ::freeaddrinfo};
    if (host.empty() || look_up(host.c_str(), port, AI_NUMERICHOST, AF_UNSPEC, found) != 0 || !found) {
        return Error{ErrorCode::bad_value, host + " is not a numeric address"};
    }
    return copy(found->ai_addr, found->ai_addrlen);
}

Result<std::vector<SocketAddress>> bind_addresses(const std::string& host, uint16_t port) {
    const bool any = host.empty() || host == "*";
    AddrInfo found{nullptr, ::freeaddrinfo};
    const int code = look_up(any ? nullptr : host.c_str(), port, AI_PASSIVE, AF_UNSPEC, found);
    if (code != 0) return Error{ErrorCode::not_found, host + ": " + ::gai_strerror(code)};
    std::vector<SocketAddress> addresses;
    for (const addrinfo* at = found.get(); at != nullptr; at = at->ai_next) {
        addresses.push_back(copy(at->ai_addr, at->ai_addrlen));
    }
    return addresses;
}

bool is_numeric_host(const std::string& host) {
    return numeric_address(host, 0).ok();
}

std::string host_text(const sockaddr* address, socklen_t size) {
    char text[NI_MAXHOST];
    if (::getnameinfo(address, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) return "?";
    return text;
}

uint16_t port_of(const SocketAddress& address) {
    if (address.family() == AF_INET) {
        return ntohs(reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
    }
    if (address.family() == AF_INET6) {
        return ntohs(reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port);
    }
    return 0;
}

IpAddress ip_address(const SocketAddress& address) {
    IpAddress ip;
    ip.port = port_of(address);
    if (address.family() == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
        ip.size = 4;
        std::memcpy(ip.bytes.data(), &v4->sin_addr, 4);
    } else if (address.family() == AF_INET6) {
        const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
        ip.size = 16;
        std::memcpy(ip.bytes.data(), &v6->sin6_addr, 16);
    }
    return unmapped(ip);
}

PeerAddress peer_address(const SocketAddress& address) {
    PeerAddress peer;
    peer.ip = ip_address(address);
    if (peer.ip.empty()) {
        peer.is_unix = true;
        peer.text = "unix";
        return peer;
    }
    // The kernel's text of an IPv6 address has its scope.
    peer.text =
        to_text(peer.ip.size == 4 ? holdfast::to_text(peer.ip) : host_text(address.get(), address.size),
                peer.ip.port);
    return peer;
}

PeerAddress peer_address(const IpAddress& address) {
    PeerAddress peer;
    peer.ip = address;
    peer.text = to_text(holdfast::to_text(address), address.port);
    return peer;
}

std::string to_text(std::string_view host, uint16_t port) {
    std::string text;
    const bool brackets = host.find(':') != std::string_view::npos;
    if (brackets) text += '[';
    text += host;
    if (brackets) text += ']';
    text += ':';
    text += std::to_string(port);
    return text;
}

std::string to_text(const config::Endpoint& endpoint) {
    return endpoint.is_unix() ? endpoint.unix_path : to_text(endpoint.host, endpoint.port);
}

std::string error_text(int error_number) {
    return std::generic_category().message(error_number);
}

}  // namespace holdfast::loop
