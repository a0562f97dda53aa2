#include "proxy/engine/tcp_relay.h"

#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"

namespace holdfast::engine {

TcpRelay::TcpRelay(Engine& engine, SessionId id, Cluster& cluster, Peer peer)
    : engine_(engine),
      cluster_(cluster),
      id_(id),
      peer_(std::move(peer.text)),
      source_(peer.source),
      destination_(peer.destination),
      accepted_at_(engine.world().now()) {
    cluster_.enrol(*this);
    cluster_.metrics().client_accepted();
    cluster_.metrics().client_state_entered(state_);
}

TcpRelay::~TcpRelay() = default;

void TcpRelay::adopt(std::unique_ptr<Link> link) {
    client_ = std::move(link);
    client_->pause(Pause::held);
    on_news();
}

SessionInfo TcpRelay::info() const {
    const TimePoint now = engine_.world().now();
    SessionInfo info;
    info.id = id_;
    info.peer = peer_;
    info.listener = config::ListenerRole::tcp;
    info.state = state_;
    info.lived = now - accepted_at_;
    info.bytes_in = received_;
    info.bytes_out = sent_;
    if (server_) {
        info.server = server_id_;
    } else {
        info.held = now - accepted_at_;
        info.waits_for = cluster_.is_paused()       ? "the cluster is paused"
                         : !cluster_.view().primary ? "there is no primary"
                                                    : "a server connection is being opened";
    }
    return info;
}

void TcpRelay::on_news() {
    if (closed_) return;
    const std::optional<ServerId> primary = cluster_.view().primary;
    if (server_) {
        if (primary && primary != server_id_) {
            close(CloseReason::server_gone, "the primary is another server now");
        }
        return;
    }
    if (engine_.shutting_down() || cluster_.is_ending()) return dismiss();
    if (cluster_.is_paused()) {
        // What waits for an operator waits as long as that takes.
        patience_.reset();
        leave_server();
        return;
    }
    if (!patience_) {
        patience_ = engine_.world().after(cluster_.settings().failover.wait, [this] {
            close(CloseReason::login_refused, "no connection to a primary for as long as failover.wait");
        });
    }
    if (server_id_ != primary) leave_server();
    if (primary && !server_id_ && !retry_) connect(*primary);
}

void TcpRelay::connect(ServerId server) {
    server_id_ = server;
    counted_as_ = ServerConnectionState::opening;
    cluster_.metrics().server_connection_entered(server, counted_as_);
    connecting_since_ = engine_.world().now();
    attempt_ =
        engine_.world().connect(cluster_.server(server).address, cluster_.settings(), server_side_,
                                [this](Result<std::unique_ptr<Link>> link) { connected(std::move(link)); });
}

void TcpRelay::connected(Result<std::unique_ptr<Link>> link) {
    attempt_.reset();
    const ServerId server = *server_id_;
    const TimePoint now = engine_.world().now();
    const ServerConnectResult result = link ? ServerConnectResult::ok
                                       : link.error().code == ErrorCode::timed_out
                                           ? ServerConnectResult::timed_out
                                           : ServerConnectResult::unreachable;
    cluster_.metrics().server_connect(server, result, now - connecting_since_);
    if (!link) {
        leave_server();
        cluster_.hint(server, health::Hint::connect_failed);
        retry_ = engine_.world().after(cluster_.settings().health.fast, [this] {
            retry_.reset();
            on_news();
        });
        return;
    }
    patience_.reset();
    server_ = *std::move(link);
    cluster_.metrics().server_connection_state(server, counted_as_, ServerConnectionState::busy);
    counted_as_ = ServerConnectionState::busy;
    if (const ByteBuffer header = cluster_.header_for(source_, destination_); !header.empty()) {
        cluster_.metrics().server_bytes(server, 0, header.size());
        server_->write(header);
    }
    cluster_.metrics().client_state(state_, ClientState::active);
    state_ = ClientState::active;
    quiet_since_ = now;
    watch_quiet();
    client_->resume(Pause::held);
}

/// Lets go of the server, if there is one.
void TcpRelay::leave_server() {
    attempt_.reset();
    if (server_) Link::close_gently(std::move(server_));
    if (!server_id_) return;
    cluster_.metrics().server_connection_left(*server_id_, counted_as_);
    server_id_.reset();
}

void TcpRelay::on_drain_over(ServerId server) {
    if (server_id_ == server) close(CloseReason::server_gone, "its server was taken away");
}

void TcpRelay::dismiss() {
    if (!server_) close(CloseReason::shutdown, {});
}

size_t TcpRelay::on_bytes(Bytes bytes) {
    if (!server_) return 0;
    is_asking_ = true;
    quiet_since_ = engine_.world().now();
    received_ += bytes.size();
    cluster_.metrics().client_bytes(bytes.size(), 0);
    cluster_.metrics().server_bytes(*server_id_, 0, bytes.size());
    server_->write(bytes);
    if (server_->queued() > limits::write_queue_high_bytes) client_->pause(Pause::peer_is_slow);
    return bytes.size();
}

size_t TcpRelay::from_server(Bytes bytes) {
    if (closed_) return bytes.size();
    is_asking_ = false;
    quiet_since_ = engine_.world().now();
    sent_ += bytes.size();
    cluster_.metrics().client_bytes(0, bytes.size());
    cluster_.metrics().server_bytes(*server_id_, bytes.size(), 0);
    client_->write(bytes);
    if (client_->queued() > limits::write_queue_high_bytes) server_->pause(Pause::peer_is_slow);
    watch_quiet();
    return bytes.size();
}

/// Makes sure that somebody looks when the client may have been idle for too long. Whoever waits for an
/// answer is not idle: as far as that can be told without reading, by whose bytes were the last.
void TcpRelay::watch_quiet() {
    const Duration idle = cluster_.settings().timeouts.idle;
    if (idle.count() == 0 || quiet_timer_ || !server_ || is_asking_) return;
    const Duration left = quiet_since_ + idle - engine_.world().now();
    quiet_timer_ = engine_.world().after(std::max(left, Duration::zero()), [this] {
        quiet_timer_.reset();
        quiet_due();
    });
}

void TcpRelay::quiet_due() {
    const Duration idle = cluster_.settings().timeouts.idle;
    if (idle.count() == 0 || is_asking_) return;  // from_server() watches anew
    const TimePoint now = engine_.world().now();
    if (client_->queued() > 0) quiet_since_ = now;  // it is still being answered
    if (now - quiet_since_ < idle) return watch_quiet();
    close(CloseReason::idle_timeout, "no bytes for as long as timeouts.idle");
}

void TcpRelay::on_settings_changed() {
    quiet_timer_.reset();
    watch_quiet();
}

void TcpRelay::on_writable() {
    if (server_) server_->resume(Pause::peer_is_slow);
}

void TcpRelay::ServerSide::on_writable() {
    if (relay_.client_) relay_.client_->resume(Pause::peer_is_slow);
}

void TcpRelay::ServerSide::on_ended(LinkEnd end, std::string_view detail) {
    // Servers end connections in an orderly way for many reasons, a wrong password among them: only one that
    // broke says something of its server.
    if (end == LinkEnd::reset) relay_.cluster_.hint(*relay_.server_id_, health::Hint::connection_lost);
    relay_.close(CloseReason::server_gone, detail);
}

void TcpRelay::on_ended(LinkEnd end, std::string_view detail) {
    close(end == LinkEnd::closed_by_peer ? CloseReason::client_left : CloseReason::client_lost, detail);
}

void TcpRelay::close(CloseReason reason, std::string_view detail) {
    if (closed_) return;
    closed_ = true;
    const auto lived =
        std::chrono::duration_cast<std::chrono::milliseconds>(engine_.world().now() - accepted_at_).count();
    cluster_.strike(*this);
    cluster_.metrics().client_closed(reason);
    cluster_.metrics().client_state_left(state_);
    engine_.log().info("relay_closed", {{"cluster", cluster_.settings().name},
                                        {"session", id_},
                                        {"client", peer_},
                                        {"reason", to_string(reason)},
                                        {"end", end_code(reason)},
                                        {"lived_ms", lived},
                                        {"bytes_in", received_},
                                        {"bytes_out", sent_},
                                        {"detail", detail}});
    retry_.reset();
    patience_.reset();
    quiet_timer_.reset();
    if (client_) Link::close_gently(std::move(client_));
    leave_server();
    engine_.bury_relay(id_);
}

}  // namespace holdfast::engine
