#include "proxy/engine/tcp_relay.h"

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
    cluster_.metrics().client_accepted();
    cluster_.metrics().client_state_entered(state_);
}

TcpRelay::~TcpRelay() = default;

void TcpRelay::adopt(std::unique_ptr<Link> link) {
    client_ = std::move(link);
    client_->pause(Pause::held);
    watch_primary();
}

/// Waits for a primary at first, and afterwards closes the relay when it is another one.
void TcpRelay::watch_primary() {
    const auto primary = cluster_.view().primary;
    const bool waits = !server_ && !attempt_;
    if (waits && engine_.world().now() - accepted_at_ > cluster_.settings().failover.wait) {
        return close(CloseReason::limit, "no primary for failover.wait");
    }
    if (waits && primary) {
        server_id_ = *primary;
        attempt_ = engine_.world().connect(cluster_.server(*primary).address, cluster_.settings(),
                                           server_side_, [this](Result<std::unique_ptr<Link>> link) {
                                               attempt_.reset();
                                               if (!link) {
                                                   cluster_.hint(server_id_, health::Hint::connect_failed);
                                                   return;  // the next look tries again
                                               }
                                               server_ = *std::move(link);
                                               server_->write(cluster_.header_for(source_, destination_));
                                               cluster_.metrics().client_state(state_, ClientState::active);
                                               state_ = ClientState::active;
                                               client_->resume(Pause::held);
                                           });
    }
    if (server_ && primary && *primary != server_id_) {
        return close(CloseReason::limit, "the primary is another server now");
    }
    count_bytes();
    watch_ = engine_.world().after(cluster_.settings().health.fast, [this] { watch_primary(); });
}

size_t TcpRelay::on_bytes(Bytes bytes) {
    if (!server_) return 0;
    received_ += bytes.size();
    server_->write(bytes);
    if (server_->queued() > limits::write_queue_high_bytes) client_->pause(Pause::peer_is_slow);
    return bytes.size();
}

size_t TcpRelay::from_server(Bytes bytes) {
    if (closed_) return bytes.size();
    sent_ += bytes.size();
    client_->write(bytes);
    if (client_->queued() > limits::write_queue_high_bytes) server_->pause(Pause::peer_is_slow);
    return bytes.size();
}

void TcpRelay::count_bytes() {
    const uint64_t received = received_ - std::exchange(counted_received_, received_);
    const uint64_t sent = sent_ - std::exchange(counted_sent_, sent_);
    cluster_.metrics().client_bytes(received, sent);
    if (server_) cluster_.metrics().server_bytes(server_id_, sent, received);
}

void TcpRelay::on_writable() {
    if (server_) server_->resume(Pause::peer_is_slow);
}

void TcpRelay::ServerSide::on_writable() {
    if (relay_.client_) relay_.client_->resume(Pause::peer_is_slow);
}

void TcpRelay::ServerSide::on_ended(LinkEnd, std::string_view detail) {
    relay_.cluster_.hint(relay_.server_id_, health::Hint::connection_lost);
    relay_.close(CloseReason::limit, detail);
}

void TcpRelay::on_ended(LinkEnd end, std::string_view detail) {
    close(end == LinkEnd::closed_by_peer ? CloseReason::client_left : CloseReason::client_lost, detail);
}

void TcpRelay::close(CloseReason reason, std::string_view detail) {
    if (closed_) return;
    closed_ = true;
    cluster_.metrics().client_closed(reason);
    cluster_.metrics().client_state_left(state_);
    count_bytes();
    engine_.log().info("relay_closed", {{"cluster", cluster_.settings().name},
                                        {"session", id_},
                                        {"client", peer_},
                                        {"reason", to_string(reason)},
                                        {"bytes_in", received_},
                                        {"bytes_out", sent_},
                                        {"detail", detail}});
    watch_.reset();
    attempt_.reset();
    if (client_) Link::close_gently(std::move(client_));
    if (server_) Link::close_gently(std::move(server_));
    engine_.bury_relay(id_);
}

}  // namespace holdfast::engine
