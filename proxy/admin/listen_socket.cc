#include "proxy/admin/listen_socket.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

namespace holdfast::admin {

namespace {

constexpr int backlog = 128;
constexpr mode_t unix_socket_mode = 0660;

Error failure(const config::Endpoint& endpoint, const char* doing, int error) {
    const ErrorCode code = error == EADDRINUSE                 ? ErrorCode::bad_state
                           : error == EACCES || error == EPERM ? ErrorCode::denied
                           : error == EADDRNOTAVAIL            ? ErrorCode::unreachable
                                                               : ErrorCode::internal;
    return {code, to_text(endpoint) + ": can't " + doing + ": " + std::generic_category().message(error)};
}

Result<Descriptor> listen_on_address(const config::Endpoint& endpoint, const addrinfo& address) {
    Descriptor socket(
        ::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
    if (socket.get() < 0) return failure(endpoint, "make a socket", errno);
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address.ai_family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (::bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0)
        return failure(endpoint, "bind", errno);
    if (::listen(socket.get(), backlog) != 0) return failure(endpoint, "listen", errno);
    return socket;
}

Result<Descriptor> listen_on_tcp(const config::Endpoint& endpoint) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    const bool everywhere = endpoint.host.empty() || endpoint.host == "*";
    if (everywhere) hints.ai_family = AF_INET;
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(everywhere ? nullptr : endpoint.host.c_str(),
                                     std::to_string(endpoint.port).c_str(), &hints, &found);
    if (failed != 0) {
        return Error{ErrorCode::unreachable,
                     to_text(endpoint) + ": can't resolve: " + ::gai_strerror(failed)};
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
    return listen_on_address(endpoint, *addresses);
}

/// Whether the path is a socket that nobody listens on.
bool is_leftover(const sockaddr_un& address) {
    struct stat status {};
    if (::lstat(address.sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    return probe.get() >= 0 &&
           ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == ECONNREFUSED;
}

Result<Descriptor> listen_on_unix(const config::Endpoint& endpoint) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (endpoint.unix_path.size() >= sizeof address.sun_path) {
        return Error{ErrorCode::bad_value, endpoint.unix_path +
                                               ": longer than a Unix socket's path may be (" +
                                               std::to_string(sizeof address.sun_path - 1) + " bytes)"};
    }
    std::memcpy(address.sun_path, endpoint.unix_path.data(), endpoint.unix_path.size());

    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (socket.get() < 0) return failure(endpoint, "make a socket", errno);
    // Linux gives the file the mode of the unbound socket: no moment at which it is open to more.
    if (::fchmod(socket.get(), unix_socket_mode) != 0) return failure(endpoint, "set its mode", errno);
    if (is_leftover(address)) ::unlink(address.sun_path);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return failure(endpoint, "bind", errno);
    }
    if (::listen(socket.get(), backlog) != 0) return failure(endpoint, "listen", errno);
    return socket;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        if (value_ >= 0) ::close(value_);
        value_ = other.release();
    }
    return *this;
}

Descriptor::~Descriptor() {
    if (value_ >= 0) ::close(value_);
}

Result<Descriptor> listen_at(const config::Endpoint& endpoint) {
    return endpoint.is_unix() ? listen_on_unix(endpoint) : listen_on_tcp(endpoint);
}

uint16_t port_of(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
    if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
    return 0;
}

std::string to_text(const config::Endpoint& endpoint) {
    if (endpoint.is_unix()) return endpoint.unix_path;
    const bool is_ipv6 = endpoint.host.find(':') != std::string::npos;
    return (is_ipv6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

}  // namespace holdfast::admin
