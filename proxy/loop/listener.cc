#include "proxy/loop/listener.h"

#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/limits.h"
#include "proxy/loop/header_reader.h"
#include "proxy/loop/socket_link.h"
#include "proxy/loop/uv_ptr.h"

namespace holdfast::loop {
namespace {

/// The kernel lowers it to net.core.somaxconn.
constexpr int backlog = 4'096;
/// Connections accepted before others have their turn.
constexpr int accept_batch_max = 64;
/// How long accepting stops when no descriptor is left.
constexpr auto pause_without_descriptors = std::chrono::milliseconds(100);

Descriptor open_reserve() {
    return Descriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

void set_flag(int descriptor, int level, int name) {
    const int on = 1;
    (void)::setsockopt(descriptor, level, name, &on, sizeof on);
}

std::string advice(int error) {
    switch (error) {
        case EADDRINUSE: return ": another process listens there; stop it or choose another port";
        case EACCES:
        case EPERM:
            return ": no permission; ports below 1024 need CAP_NET_BIND_SERVICE, a Unix socket needs a "
                   "directory that this user may write to";
        case EADDRNOTAVAIL: return ": this machine does not have that address";
        case ENOENT: return ": the directory of the Unix socket does not exist";
        default: return "";
    }
}

Error listen_error(const std::string& where, int error) {
    return Error{ErrorCode::refused, "can't listen at " + where + ": " + error_text(error) + advice(error)};
}

IpAddress local_address(const uv_poll_t* handle) {
    SocketAddress local;
    local.size = sizeof local.storage;
    int descriptor = -1;
    uv_fileno(reinterpret_cast<const uv_handle_t*>(handle), &descriptor);
    if (::getsockname(descriptor, local.get(), &local.size) != 0) return {};
    return ip_address(local);
}

/// Whether the file at `path` is a socket that nobody accepts connections at any more.
bool is_stale_socket(const std::string& path, const SocketAddress& address) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
    const Descriptor probe = open_stream_socket(AF_UNIX);
    return probe && ::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED;
}

}  // namespace

struct Listener::Socket : uv_poll_t {
    Descriptor descriptor;
};

void Listener::SocketCloser::operator()(Socket* socket) const {
    Descriptor closing = std::move(socket->descriptor);
    UvCloser<Socket, uv_poll_t>{}(socket);
    closing.reset();  // libuv no longer watches it
}

Listener::Listener(Loop& loop, Log& log, const config::Endpoint& endpoint, OnAccept on_accept)
    : loop_(loop),
      log_(log),
      endpoint_(endpoint),
      on_accept_(std::make_shared<const OnAccept>(std::move(on_accept))),
      reserve_(open_reserve()) {}

Listener::~Listener() {
    sockets_.clear();
    if (owns_file_) ::unlink(endpoint_.unix_path.c_str());
}

Result<std::unique_ptr<Listener>> Listener::open(Loop& loop, Log& log, const config::Endpoint& endpoint,
                                                 const config::Keepalive& keepalive,
                                                 std::shared_ptr<const engine::ServerTlsContext> tls,
                                                 OnAccept on_accept) {
    std::unique_ptr<Listener> listener{new Listener(loop, log, endpoint, std::move(on_accept))};
    listener->tls_ = std::move(tls);
    auto listening = endpoint.is_unix() ? listener->listen_unix() : listener->listen_tcp(keepalive);
    if (!listening) return listening.error();
    listener->watch_all();
    return listener;
}

void Listener::serve(const config::Keepalive& keepalive, std::shared_ptr<const engine::ServerTlsContext> tls,
                     const config::ProxyProtocol& proxy_protocol, OnAccept on_accept) {
    tls_ = std::move(tls);
    balancers_ = config::Networks(proxy_protocol.from);
    header_required_ = proxy_protocol.required;
    on_accept_ = std::make_shared<const OnAccept>(std::move(on_accept));
    if (endpoint_.is_unix()) return;
    for (const auto& socket : sockets_)
        set_tcp_options(socket->descriptor.get(), keepalive);  // accepted ones inherit
}

Status Listener::listen_tcp(const config::Keepalive& keepalive) {
    const std::string where = to_text(endpoint_);
    const auto addresses = bind_addresses(endpoint_.host, endpoint_.port);
    if (!addresses) {
        return Error{addresses.error().code, "can't listen at " + where + ": " + addresses.error().message};
    }
    int first_error = 0;
    for (SocketAddress address : *addresses) {
        if (port_ != 0 && endpoint_.port == 0) {
            // Every family at the one port that the first was given.
            if (address.family() == AF_INET)
                reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port_);
            if (address.family() == AF_INET6) {
                reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(port_);
            }
        }
        Descriptor socket = open_stream_socket(address.family());
        if (!socket) {
            // A machine without IPv6 still serves "every address".
            if (first_error == 0) first_error = errno;
            continue;
        }
        set_flag(socket.get(), SOL_SOCKET, SO_REUSEADDR);
        if (address.family() == AF_INET6) set_flag(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY);
        set_tcp_options(socket.get(), keepalive);
        if (::bind(socket.get(), address.get(), address.size) != 0 || ::listen(socket.get(), backlog) != 0) {
            if (errno != EADDRNOTAVAIL) return listen_error(where, errno);
            if (first_error == 0) first_error = errno;
            continue;
        }
        SocketAddress bound;
        bound.size = sizeof bound.storage;
        if (::getsockname(socket.get(), bound.get(), &bound.size) == 0) port_ = port_of(bound);
        if (auto added = add(std::move(socket)); !added) return added;
    }
    if (sockets_.empty()) return listen_error(where, first_error);
    return {};
}

Status Listener::listen_unix() {
    const std::string& path = endpoint_.unix_path;
    const auto address = unix_address(path);
    if (!address) return address.error();
    Descriptor socket = open_stream_socket(AF_UNIX);
    if (!socket) return listen_error(path, errno);
    int bound = ::bind(socket.get(), address->get(), address->size);
    if (bound != 0 && errno == EADDRINUSE) {
        if (!is_stale_socket(path, *address)) return listen_error(path, EADDRINUSE);
        ::unlink(path.c_str());
        bound = ::bind(socket.get(), address->get(), address->size);
    }
    if (bound != 0) return listen_error(path, errno);
    owns_file_ = true;
    // The umask has had its say in bind. Like PostgreSQL's own socket this one is open to every local user.
    if (::chmod(path.c_str(), 0777) != 0 || ::listen(socket.get(), backlog) != 0)
        return listen_error(path, errno);
    return add(std::move(socket));
}

Status Listener::add(Descriptor descriptor) {
    auto state = std::make_unique<Socket>();
    if (const int error = uv_poll_init(loop_.uv(), state.get(), descriptor.get()); error != 0) {
        return Error{ErrorCode::internal,
                     "can't listen at " + to_text(endpoint_) + ": " + uv_strerror(error)};
    }
    SocketPtr socket{state.release()};
    socket->data = this;
    socket->descriptor = std::move(descriptor);
    sockets_.push_back(std::move(socket));
    return {};
}

void Listener::watch_all() {
    for (const auto& socket : sockets_) {
        uv_poll_start(socket.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
            Loop::of(handle->loop).tick();
            if (handle->data == nullptr) return;
            static_cast<Listener*>(handle->data)->accept_from(*static_cast<Socket*>(handle));
        });
    }
}

void Listener::accept_from(Socket& socket) {
    for (int i = 0; i < accept_batch_max; ++i) {
        SocketAddress from;
        from.size = sizeof from.storage;
        Descriptor accepted{
            ::accept4(socket.descriptor.get(), from.get(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!accepted) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                out_of_descriptors(socket, errno);
                return;
            }
            // A connection that its peer has given up already is an error of that connection only.
            if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == EPERM) continue;
            return;
        }
        if (accepted.get() >= loop_.descriptor_ceiling()) {
            accepted.reset();
            out_of_descriptors(socket, 0);
            return;
        }
        if (short_of_descriptors_) {
            short_of_descriptors_ = false;
            log_.info("accepting_again", {{"address", to_text(endpoint_)}});
        }
        const uv_poll_t* at = &socket;
        if (!take_in(std::move(accepted), from)) return;
        if (!SocketLink::lives(at)) return;
    }
}

/// False: the listener is gone.
bool Listener::take_in(Descriptor accepted, const SocketAddress& from) {
    auto link = SocketLink::open(loop_, std::move(accepted), tls_);
    if (!link) {
        log_.warn("accept_failed", {{"address", to_text(endpoint_)}, {"error", link.error().message}});
        return true;
    }
    SocketLink* opened = link->get();
    PeerAddress peer = peer_address(from);
    if (!peer.is_unix) peer.local = local_address(opened->handle());
    if (balancers_.hold(peer.ip.ip())) return await_header(*std::move(link), std::move(peer));
    const uv_poll_t* link_at = opened->handle();
    const uv_poll_t* listener_at = sockets_.front().get();
    const auto on_accept = on_accept_;  // survives a listener destroyed by it
    engine::LinkOwner* owner = (*on_accept)(std::move(*link), peer);
    if (owner != nullptr && SocketLink::lives(link_at)) opened->adopt(*owner);
    return SocketLink::lives(listener_at);
}

/// A trusted balancer's connection: who it is for, it has yet to say.
bool Listener::await_header(std::unique_ptr<SocketLink> link, PeerAddress peer) {
    if (awaited_.size() >= limits::proxy_headers_awaited_max) {
        log_.warn("proxy_header_missing", {{"address", to_text(endpoint_)},
                                           {"peer", peer.text},
                                           {"error", "too many connections have sent none yet"}});
        return true;
    }
    SocketLink& opened = *link;
    auto reader = std::make_unique<HeaderReader>(
        loop_, std::move(link), std::move(peer), header_required_,
        [this](HeaderReader& of, const Result<std::optional<ProxyHeader>>& header) {
            header_done(of, header);
        });
    HeaderReader& added = *reader;
    awaited_.emplace(&added, std::move(reader));
    opened.adopt(added);
    return true;
}

/// The reader has a header, or there is none (nullopt), or an error. May destroy the listener.
void Listener::header_done(HeaderReader& reader, const Result<std::optional<ProxyHeader>>& header) {
    const auto found = awaited_.find(&reader);
    // It is on the stack, and dies when its callback has returned.
    std::shared_ptr<HeaderReader> dying = std::move(found->second);
    awaited_.erase(found);
    loop_.defer([dying] {});
    PeerAddress peer = dying->peer();
    if (!header) {
        log_.warn("proxy_header_bad",
                  {{"address", to_text(endpoint_)}, {"peer", peer.text}, {"error", header.error().message}});
        dying->take_link();
        return;
    }
    if (*header && !(*header)->source.empty()) {
        const IpAddress local = (*header)->destination;
        peer = peer_address((*header)->source);
        peer.local = local;
    }
    std::unique_ptr<SocketLink> link = dying->take_link();
    SocketLink& opened = *link;
    const uv_poll_t* link_at = opened.handle();
    const auto on_accept = on_accept_;
    engine::LinkOwner* owner = (*on_accept)(std::move(link), peer);
    if (owner == nullptr || !SocketLink::lives(link_at)) return;
    opened.adopt(*owner);
    // What came behind the header is given to the new owner.
    opened.pause(engine::Pause::held);
    opened.resume(engine::Pause::held);
}

/// A connection that can't be taken would be told of again and again. The newest one is closed instead of
/// waiting unseen, with the descriptor kept for that; then accepting stops for a moment.
void Listener::out_of_descriptors(Socket& socket, int error) {
    if (!short_of_descriptors_) {
        short_of_descriptors_ = true;
        log_.error("accept_failed",
                   {{"address", to_text(endpoint_)},
                    {"error",
                     error != 0 ? error_text(error) : "the descriptors left are kept for the admin address"},
                    {"hint", "raise the limit of open files (LimitNOFILE) or lower max_clients"}});
    }
    if (error == EMFILE || error == ENFILE) {
        reserve_.reset();
        Descriptor{::accept4(socket.descriptor.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)}
            .reset();
        reserve_ = open_reserve();
    }
    for (const auto& each : sockets_) uv_poll_stop(each.get());
    pause_ = loop_.after(pause_without_descriptors, [this] { watch_all(); });
}

}  // namespace holdfast::loop
