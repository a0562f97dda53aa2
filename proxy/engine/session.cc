#include "proxy/engine/session.h"

#include <utility>

#include <openssl/crypto.h>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"

namespace holdfast::engine {

Session::Session(Engine& engine, SessionId id, EntranceRef entrance, Peer peer)
    : engine_(engine),
      entrance_(std::move(entrance)),
      cluster_(entrance_->cluster),
      id_(id),
      peer_(std::move(peer.text)),
      address_(std::move(peer.address)),
      source_(peer.source),
      destination_(peer.destination),
      accepted_at_(engine.world().now()),
      is_local_(peer.is_local),
      is_allowed_(peer.is_allowed) {
    cluster_.enrol(*this);
    cluster_.metrics().client_accepted();
    cluster_.metrics().client_state_entered(client_state_);
}

Session::~Session() = default;

void Session::adopt(std::unique_ptr<Link> link) {
    link_ = std::move(link);
    limit_login();
    greet();
}

void Session::limit_login() {
    if (cluster_.settings().login_timeout.count() == 0) return;
    timer_ = cluster_.world().after(cluster_.settings().login_timeout, [this] {
        close_with(CloseReason::login_timeout, "57014", "the login took longer than login_timeout");
    });
}

TimePoint Session::now() const {
    return engine_.world().now();
}

bool Session::is_dismissed() const {
    return engine_.shutting_down() || cluster_.is_ending();
}

void Session::dismiss() {
    close_with(CloseReason::shutdown, "57P01",
               engine_.shutting_down() ? "terminating connection: the proxy is shutting down"
                                       : "terminating connection: cluster \"" + cluster_.settings().name +
                                             "\" is not configured any more");
}

bool Session::is_idle() const {
    if (phase_ == Phase::login || phase_ == Phase::opening || phase_ == Phase::held) return true;
    // Events for a replica come without an end, and it asks for them again.
    if (phase_ == Phase::ready && !moving_ && conversation_->pins().replication) return true;
    return phase_ == Phase::ready && !busy() && !moving_ && !conversation_->unit_open() &&
           conversation_->transaction() == Transaction::idle;
}

bool Session::owns_cancel_secret(Bytes secret) const {
    return !cancel_secret_.empty() && secret.size() == cancel_secret_.size() &&
           CRYPTO_memcmp(secret.data(), cancel_secret_.data(), secret.size()) == 0;
}

void Session::cancel() {
    if (phase_ == Phase::held) {
        cancelled_ = true;
        if (moving_) {
            cancelled_ = false;
            return fail_moving(
                {dialect::Failure::cancelled, "canceling statement due to user request", {}, {}, {}},
                HoldOutcome::cancelled);
        }
        wake();
        return;
    }
    if (phase_ != Phase::ready || !busy()) return;
    ServerConnection* server = connection(active_);
    // A connection that is being brought up to date runs nothing of the user's.
    if (server && server->ready() && !conversation_->synchronising(active_))
        cluster_.send_cancel(*server, credential_);
}

void Session::on_settings_changed() {
    if (phase_ == Phase::ready) watch_timeouts();
}

void Session::set_client_state() {
    ClientState state = ClientState::idle;
    switch (phase_) {
        case Phase::login:
        case Phase::opening: state = ClientState::login; break;
        case Phase::held: state = ClientState::held; break;
        case Phase::closing: return;
        case Phase::ready:
            if (busy()) {
                state = ClientState::active;
            } else if (conversation_->transaction() != Transaction::idle) {
                state = ClientState::in_transaction;
            }
            break;
    }
    note_activity(state);
    count_pins();
    if (state == client_state_) return;
    cluster_.metrics().client_state(client_state_, state);
    client_state_ = state;
}

/// What ties the session, for the metrics; called where that may have changed.
void Session::count_pins() {
    PinSet now = 0;
    if (conversation_ && phase_ != Phase::closing) {
        const dialect::Pins& pins = conversation_->pins();
        if (!pins.any() && counted_pins_ == 0) return;
        const auto add = [&now](bool is_there, PinReason reason) {
            if (is_there) now = static_cast<PinSet>(now | 1U << static_cast<unsigned>(reason));
        };
        add(pins.temporary, PinReason::temporary);
        add(pins.settings, PinReason::settings);
        add(pins.advisory_locks > 0, PinReason::advisory_locks);
        add(pins.held_cursors > 0, PinReason::cursors);
        add(pins.replication, PinReason::replication);
        add(pins.variables, PinReason::variables);
        add(pins.table_locks, PinReason::table_locks);
        add(pins.handlers > 0, PinReason::handlers);
        add(pins.long_data > 0, PinReason::long_data);
    }
    if (now == counted_pins_) return;
    cluster_.metrics().session_pins(counted_pins_, now);
    counted_pins_ = now;
}

void Session::count_bytes() {
    cluster_.metrics().client_bytes(bytes_from_client_ - counted_from_client_,
                                    bytes_to_client_ - counted_to_client_);
    counted_from_client_ = bytes_from_client_;
    counted_to_client_ = bytes_to_client_;
}

void Session::on_writable() {
    if (link_) link_->resume(Pause::peer_is_slow);
    for (auto& slot : slots_) {
        if (slot && slot->link()) slot->link()->resume(Pause::peer_is_slow);
    }
}

void Session::on_ended(LinkEnd end, std::string_view detail) {
    switch (end) {
        case LinkEnd::closed_by_peer: return close(CloseReason::client_left, detail);
        case LinkEnd::reset: return close(CloseReason::client_lost, detail);
        case LinkEnd::tls_failed: return close(CloseReason::tls_failed, detail);
    }
}

void Session::close_with(CloseReason reason, std::string_view code, std::string_view message,
                         std::string_view detail) {
    if (phase_ == Phase::closing) return;
    const bool inside = conversation_ && conversation_->inside_message();
    if (link_ && !inside) {
        ByteBuffer& out = engine_.out();
        out.clear();
        if (conversation_) {
            conversation_->append_fatal(code, message, out);
        } else if (handshake_) {
            handshake_->append_fatal(code, message, out);
        } else {
            cluster_.dialect().append_fatal(code, message, out);
        }
        bytes_to_client_ += out.size();
        send_client(out);
    }
    close(reason, detail.empty() ? message : detail);
}

void Session::close(CloseReason reason, std::string_view detail) {
    if (phase_ == Phase::closing) return;
    if (phase_ == Phase::held) end_hold(HoldOutcome::client_gone);
    phase_ = Phase::closing;
    count_pins();
    timer_.reset();
    patience_timer_.reset();
    stall_timer_.reset();
    retry_timer_.reset();
    unread_timer_.reset();
    finish_timer_.reset();
    timeout_timer_.reset();
    login_delay_.reset();
    leave_place();
    cluster_.strike(*this);
    cluster_.metrics().client_state_left(client_state_);
    cluster_.metrics().client_closed(reason);
    count_bytes();
    if (reason != CloseReason::cancel_request) {
        const bool failed = reason == CloseReason::login_failed || reason == CloseReason::protocol_error ||
                            reason == CloseReason::internal;
        const auto lived =
            std::chrono::duration_cast<std::chrono::milliseconds>(now() - accepted_at_).count();
        const std::string_view user = identity_    ? std::string_view(identity_->identity.user)
                                      : handshake_ ? std::string_view(handshake_->user())
                                                   : std::string_view();
        const std::string_view database =
            identity_ ? std::string_view(identity_->identity.database) : std::string_view();
        const std::initializer_list<LogField> fields = {{"cluster", cluster_.settings().name},
                                                        {"session", id_},
                                                        {"client", peer_},
                                                        {"user", user},
                                                        {"database", database},
                                                        {"reason", to_string(reason)},
                                                        {"end", end_code(reason)},
                                                        {"lived_ms", lived},
                                                        {"statements", statements_},
                                                        {"bytes_in", bytes_from_client_},
                                                        {"bytes_out", bytes_to_client_},
                                                        {"detail", detail}};
        Log& log = engine_.log();
        const LogLevel level = failed ? LogLevel::warn : LogLevel::info;
        if (log.enabled(level)) log.write(level, "session_closed", fields);
    }
    // Nobody waits for what runs there, and it can't have changed anything: the server need not finish it.
    const bool client_is_gone = reason == CloseReason::client_left || reason == CloseReason::client_lost;
    if (client_is_gone && conversation_ && conversation_->units_in_flight() == 1 && !moving_ &&
        !conversation_->may_have_committed() && !conversation_->synchronising(active_)) {
        if (ServerConnection* server = connection(active_); server && server->ready())
            cluster_.send_cancel(*server, credential_);
    }
    leave_servers();
    if (link_) Link::close_gently(std::move(link_));
    engine_.bury(id_);
}

/// Gives the server connections back to the pool, as far as they can be used again.
void Session::leave_servers() {
    for (const Slot slot : {Slot::a, Slot::b}) {
        auto& place = slots_[dialect::index(slot)];
        if (!place) continue;
        ByteBuffer reset;
        const bool reusable = place->ready() && conversation_ && !conversation_->pins().settings &&
                              !conversation_->synchronising(slot) && conversation_->append_reset(slot, reset);
        if (reusable) {
            place->link()->resume(Pause::peer_is_slow);
            place->link()->resume(Pause::in_turn);
            place->set_user(nullptr);
            cluster_.give_back(std::move(place), reset);
        } else {
            defer_death(std::move(place));
        }
    }
    read_from(std::nullopt);
}

/// The connection may be the one whose callback we are in: it dies at the end of the turn.
void Session::defer_death(std::unique_ptr<ServerConnection> connection) {
    if (!connection) return;
    connection->set_user(nullptr);
    connection->retire();
    cluster_.bury(std::move(connection));
}

bool Session::slot_of(const ServerConnection& connection, Slot& slot) const {
    for (const Slot each : {Slot::a, Slot::b}) {
        if (this->connection(each) == &connection) {
            slot = each;
            return true;
        }
    }
    return false;
}

}  // namespace holdfast::engine
