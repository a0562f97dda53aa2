#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/networks.h"
#include "protocol/base/log.h"
#include "protocol/base/proxy_header.h"
#include "proxy/engine/world.h"
#include "proxy/loop/address.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/socket_options.h"

namespace holdfast::loop {

class HeaderReader;
class SocketLink;

/// Accepts connections at one endpoint of the configuration; destroying it closes the endpoint, and what it
/// accepted lives on.
class Listener {
public:
    /// Called with each new connection and who it is. Returns who will hear from the link, or nullptr when
    /// it was refused (the link destroyed or closed gently). May destroy the listener.
    using OnAccept =
        std::function<engine::LinkOwner*(std::unique_ptr<engine::Link> link, const PeerAddress& peer)>;

    /// Binds and listens. The host may be empty or "*" (every address), and a name (then this blocks to
    /// resolve it, and all its addresses are bound). IPv6 sockets take IPv6 only, so that "0.0.0.0" and "::"
    /// go together. Port 0: any free one. A Unix socket's file is made for everyone (mode 0777; its directory
    /// says who comes near), replaces one that nobody serves, and is removed with the listener.
    /// errors  bad_value, not_found: the address; refused: in use, no permission; each names the address and
    ///         what to do
    static Result<std::unique_ptr<Listener>> open(Loop& loop, Log& log, const config::Endpoint& endpoint,
                                                  const config::Keepalive& keepalive,
                                                  std::shared_ptr<const engine::ServerTlsContext> tls,
                                                  OnAccept on_accept);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    /// For connections accepted from now on, in place of what open() was told. proxy_protocol: from which
    /// peers a header is awaited before on_accept is called, with the address that it tells.
    void serve(const config::Keepalive& keepalive, std::shared_ptr<const engine::ServerTlsContext> tls,
               const config::ProxyProtocol& proxy_protocol, OnAccept on_accept);
    const config::Endpoint& endpoint() const { return endpoint_; }
    /// The port really bound; 0: a Unix socket.
    uint16_t port() const { return port_; }

private:
    struct Socket;
    struct SocketCloser {
        void operator()(Socket* socket) const;
    };
    using SocketPtr = std::unique_ptr<Socket, SocketCloser>;

    Listener(Loop& loop, Log& log, const config::Endpoint& endpoint, OnAccept on_accept);
    Status listen_tcp(const config::Keepalive& keepalive);
    Status listen_unix();
    Status add(Descriptor socket);
    void accept_from(Socket& socket);
    bool take_in(Descriptor accepted, const SocketAddress& from);
    bool await_header(std::unique_ptr<SocketLink> link, PeerAddress peer);
    void header_done(HeaderReader& reader, const Result<std::optional<ProxyHeader>>& header);
    void out_of_descriptors(Socket& socket, int error);
    void watch_all();

    Loop& loop_;
    Log& log_;
    const config::Endpoint endpoint_;
    std::shared_ptr<const OnAccept> on_accept_;
    std::shared_ptr<const engine::ServerTlsContext> tls_;
    uint16_t port_ = 0;
    bool owns_file_ = false;
    config::Networks balancers_;
    bool header_required_ = true;
    std::unordered_map<HeaderReader*, std::unique_ptr<HeaderReader>> awaited_;
    std::vector<SocketPtr> sockets_;
    Descriptor reserve_;  // given up for a moment to close a connection that has no descriptor left
    bool short_of_descriptors_ = false;
    std::unique_ptr<engine::Timer> pause_;
};

}  // namespace holdfast::loop
