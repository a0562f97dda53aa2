#include "proxy/admin/listen_socket.h"

#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "config/address.h"
#include "proxy/loop/address.h"

namespace holdfast::admin {

namespace {

using loop::Descriptor;
using loop::SocketAddress;

constexpr int backlog = 128;
constexpr mode_t unix_socket_mode = 0660;

ErrorCode code_of(int error) {
    switch (error) {
        case EADDRINUSE: return ErrorCode::bad_state;
        case EACCES:
        case EPERM: return ErrorCode::denied;
        case EADDRNOTAVAIL:
        case EAFNOSUPPORT: return ErrorCode::unreachable;
        default: return ErrorCode::internal;
    }
}

Error failure(const config::Endpoint& endpoint, int error) {
    return {code_of(error), "can't listen at " + config::to_text(endpoint) + ": " + loop::error_text(error)};
}

void set_port(SocketAddress& address, uint16_t port) {
    if (address.family() == AF_INET) reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
    if (address.family() == AF_INET6)
        reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(port);
}

/// Empty, with errno set, when the system refuses.
Descriptor listen_on_tcp(const SocketAddress& address) {
    Descriptor socket = loop::open_stream_socket(address.family());
    if (!socket) return {};
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.family() == AF_INET6) {
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (::bind(socket.get(), address.get(), address.size) != 0 || ::listen(socket.get(), backlog) != 0)
        return {};
    return socket;
}

Result<std::vector<Descriptor>> listen_on_tcp(const config::Endpoint& endpoint) {
    const auto addresses = loop::bind_addresses(endpoint.host, endpoint.port);
    if (!addresses) return addresses.error();
    std::vector<Descriptor> sockets;
    int first_error = 0;
    for (SocketAddress address : *addresses) {
        if (endpoint.port == 0 && !sockets.empty()) set_port(address, port_of_socket(sockets.front().get()));
        Descriptor socket = listen_on_tcp(address);
        if (socket) {
            sockets.push_back(std::move(socket));
            continue;
        }
        // A machine without IPv6 still serves a name or "*" that has it.
        if (code_of(errno) != ErrorCode::unreachable) return failure(endpoint, errno);
        if (first_error == 0) first_error = errno;
    }
    if (sockets.empty()) return failure(endpoint, first_error);
    return sockets;
}

/// Whether the path is a socket that nobody serves.
bool is_leftover(const std::string& path, const SocketAddress& address) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    const Descriptor probe = loop::open_stream_socket(AF_UNIX);
    return probe && ::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED;
}

Result<std::vector<Descriptor>> listen_on_unix(const config::Endpoint& endpoint) {
    const auto address = loop::unix_address(endpoint.unix_path);
    if (!address) return address.error();
    Descriptor socket = loop::open_stream_socket(AF_UNIX);
    if (!socket) return failure(endpoint, errno);
    // Linux gives the file the mode of the unbound socket: no moment at which it is open to more.
    if (::fchmod(socket.get(), unix_socket_mode) != 0) return failure(endpoint, errno);
    if (is_leftover(endpoint.unix_path, *address)) ::unlink(endpoint.unix_path.c_str());
    if (::bind(socket.get(), address->get(), address->size) != 0 || ::listen(socket.get(), backlog) != 0) {
        return failure(endpoint, errno);
    }
    std::vector<Descriptor> sockets;
    sockets.push_back(std::move(socket));
    return sockets;
}

}  // namespace

Result<std::vector<Descriptor>> listen_at(const config::Endpoint& endpoint) {
    return endpoint.is_unix() ? listen_on_unix(endpoint) : listen_on_tcp(endpoint);
}

uint16_t port_of_socket(int descriptor) {
    SocketAddress address;
    address.size = sizeof address.storage;
    if (::getsockname(descriptor, address.get(), &address.size) != 0) return 0;
    return address.family() == AF_UNIX ? uint16_t{0} : loop::port_of(address);
}

}  // namespace holdfast::admin
