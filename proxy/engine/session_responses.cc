// From a server to the client: bytes are forwarded as they come, and what they say is acted on.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

using dialect::Scan;
using dialect::ScanEvent;

namespace {

/// So much of an answer may have been passed on without being in the metrics.
constexpr uint64_t bytes_uncounted_max = 1'048'576;

}  // namespace

size_t Session::on_server_bytes(ServerConnection& connection, Bytes bytes) {
    Slot slot;
    if (phase_ == Phase::closing || !slot_of(connection, slot)) return bytes.size();
    if (phase_ == Phase::opening) return 0;  // asynchronous news for a client that is not in yet
    const ServerId server = connection.server();
    size_t used = 0;
    size_t forward_from = 0;  // [forward_from, forward_to) goes to the client as one write
    size_t forward_to = 0;
    while (used < bytes.size()) {
        const Scan scan = conversation_->scan(slot, bytes.subspan(used));
        if (scan.forward > 0) {
            if (forward_to != used) {
                forward(bytes.subspan(forward_from, forward_to - forward_from));
                forward_from = used;
            }
            forward_to = used + scan.forward;
        }
        used += scan.consumed;
        if (!scan.instead.empty()) {
            forward(bytes.subspan(forward_from, forward_to - forward_from), scan.instead);
            forward_from = forward_to = used;
        }
        if (scan.event != ScanEvent::none) {
            forward(bytes.subspan(forward_from, forward_to - forward_from));
            forward_from = forward_to = used;
            if (!act_on(slot, scan)) {  // the connection is not ours any more
                cluster_.metrics().server_bytes(server, bytes.size(), 0);
                return bytes.size();
            }
        } else if (scan.consumed == 0) {
            break;
        }
    }
    forward(bytes.subspan(forward_from, forward_to - forward_from));
    cluster_.metrics().server_bytes(server, used, 0);
    if (crowded_ && link_ && conversation_->requests_in_flight() < limits::requests_in_flight_max / 2) {
        crowded_ = false;
        link_->resume(Pause::in_turn);
    }
    // Another server's answer is in the middle of a message: this one waits for its end.
    if (used < bytes.size() && conversation_->inside_message() && slot != active_) {
        connection.link()->pause(Pause::in_turn);
    }
    return used;
}

/// Everything that goes to the client goes through here.
void Session::send_client(Bytes first, Bytes second) {
    if (!wrapped_) return link_->write(first, second);
    wrapped_->out.clear();
    wrapped_->framing->encode(first, wrapped_->out);
    if (!second.empty()) wrapped_->framing->encode(second, wrapped_->out);
    link_->write(wrapped_->out);
}

/// Two runs in one write: a client that gets an answer in two pieces is woken twice.
void Session::forward(Bytes first, Bytes second) {
    if ((first.empty() && second.empty()) || !link_) return;
    bytes_to_client_ += first.size() + second.size();
    // A long result shows before its end.
    if (bytes_to_client_ - counted_to_client_ > bytes_uncounted_max) count_bytes();
    send_client(first, second);
    if (link_->queued() > limits::write_queue_high_bytes) {
        for (auto& slot : slots_) {
            if (slot && slot->link()) slot->link()->pause(Pause::peer_is_slow);
        }
    }
}

/// False: the connection of `slot` was given up.
bool Session::act_on(Slot slot, const Scan& scan) {
    ServerConnection& from = *connection(slot);
    switch (scan.event) {
        case ScanEvent::none: return true;
        case ScanEvent::unit_done:
            unit_done(slot);
            return connection(slot) == &from && phase_ != Phase::closing;
        case ScanEvent::sync_done:
            cluster_.metrics().state_replayed(true);
            if (slot != primary_slot_) replica_failures_ = 0;
            if (moving_) {
                try_move();
            } else {
                if (phase_ == Phase::ready) subscribe();
                wake();
            }
            return connection(slot) == &from;
        case ScanEvent::sync_failed: {
            const std::string why = conversation_->detail();
            cluster_.metrics().state_replayed(false);
            engine_.log().warn("session_state_not_restored", {{"cluster", cluster_.settings().name},
                                                              {"session", id_},
                                                              {"server", cluster_.server(from.server()).name},
                                                              {"error", why}});
            if (slot != primary_slot_) {
                // It may lack what the session's state speaks of (a database, a table) for a moment: the
                // primary has it.
                constexpr unsigned doublings_max = 4;
                replica_unusable_until_ = now() + limits::replica_unusable_for *
                                                      (1u << std::min(replica_failures_++, doublings_max));
            } else {
                conversation_->forget_unsynchronisable();
                lost_state_ = "a setting that the server \"" + cluster_.server(from.server()).name +
                              "\" refused: " + why;
                // The connection goes, and with it what can't be moved.
                if (conversation_->pins().any()) lost_state_ += "; " + conversation_->pins().describe();
                conversation_->clear_pins();
            }
            // Part of the state is there and part is not: a new connection starts clean.
            drop_slot(slot);
            if (moving_ && !lost_state_.empty()) {
                fail_moving(take_refusal(), HoldOutcome::timed_out);
            } else if (moving_) {
                try_move();
            } else {
                wake();
            }
            return false;
        }
        case ScanEvent::refused:
            if (slot == primary_slot_) return refused_by_primary();
            cluster_.metrics().corrected(from.server());
            learn_ = true;
            wrote_ = true;  // it will, on the primary
            move_units(slot, true);
            return connection(slot) == &from;
        case ScanEvent::conflict: move_units(slot, true); return connection(slot) == &from;
        case ScanEvent::role_changed: {
            const auto says = conversation_->says_replica(slot);
            const bool is_primary = cluster_.view().primary == from.server();
            if (says && *says == is_primary) cluster_.hint(from.server(), health::Hint::role_changed);
            return true;
        }
        case ScanEvent::dying: {
            const std::string why = conversation_->detail();
            const std::string_view code = conversation_->last_error_code();
            if (code.starts_with("57P0")) cluster_.hint(from.server(), health::Hint::shutting_down);
            if (code == "25006") cluster_.hint(from.server(), health::Hint::refused_write);
            if (connection(slot) == &from) lose_slot(slot, why);
            return false;
        }
        case ScanEvent::lying: {
            const std::string why = conversation_->detail();
            engine_.log().error("server_protocol_violation", {{"cluster", cluster_.settings().name},
                                                              {"session", id_},
                                                              {"server", cluster_.server(from.server()).name},
                                                              {"error", why}});
            lose_slot(slot, "the server broke the protocol: " + why);
            return false;
        }
    }
    return true;
}

/// The primary has become read-only: somebody is about to promote another one. What it refused was not
/// carried out, and waits. False: the connection was given up.
bool Session::refused_by_primary() {
    const ServerConnection* from = connection(primary_slot_);
    const ServerId server = from->server();
    refused_by_ = server;
    refused_at_ = now();
    cluster_.hint(server, health::Hint::refused_write);
    if (!retained_whole_ || !conversation_->abandon_answer(primary_slot_)) drop_slot(primary_slot_);
    moving_ = true;
    move_to_primary_ = true;
    hold(HoldFor::server);
    return connection(primary_slot_) == from;
}

void Session::unit_done(Slot slot) {
    const TimePoint at = now();
    const bool on_primary = slot == primary_slot_;
    cluster_.metrics().statement_done(on_primary ? Target::primary : Target::replica,
                                      std::exchange(waited_, {}), at - unit_began_at_);
    count_bytes();
    const std::string_view code = conversation_->last_error_code();
    if (!code.empty()) cluster_.metrics().statement_error(code);
    if (on_primary && (wrote_ || conversation_->reported_write())) {
        last_write_at_ = at;
        if (code.empty()) cluster_.write_succeeded();
    }
    if (!busy()) {
        if (retained_.capacity() > 1024) {
            retained_ = {};
        } else {
            retained_.clear();
        }
        stall_timer_.reset();
        if (conversation_->transaction() == Transaction::idle) wrote_ = false;
    } else {
        query_began_at_ = at;
    }
    if (busy() && retained_whole_) {
        // Answered: if those behind it are run again, it must not be.
        retained_.erase(retained_.begin(),
                        retained_.begin() + static_cast<std::ptrdiff_t>(retained_sizes_.front()));
        retained_sizes_.erase(retained_sizes_.begin());
    }
    if (finish_timer_ && !busy() && on_primary) {
        lose_slot(slot, "the server is not the primary any more");
        if (phase_ == Phase::closing) return;
    }
    set_client_state();
    unit_began_at_ = at;  // of the next one; until here its transaction may have begun with this one
    if (ServerConnection* waiting = connection(dialect::other(slot)); waiting && waiting->link()) {
        waiting->link()->resume(Pause::in_turn);
    }
    if (!busy() && !connection(primary_slot_)) {
        subscribe();
    } else if (!busy() && conversation_->has_unread_state()) {
        unread_timer_ = cluster_.world().after(limits::unread_state_patience, [this] {
            unread_timer_.reset();
            if (phase_ == Phase::ready) subscribe();
        });
    }
    if (is_dismissed() && is_idle()) return dismiss();
    leave_server(slot);
    link_->resume(Pause::in_turn);
}

void Session::on_server_writable(ServerConnection&) {
    if (link_) link_->resume(Pause::peer_is_slow);
}

void Session::on_server_ready(ServerConnection& connection) {
    Slot slot;
    if (!slot_of(connection, slot)) return;
    failure_.reset();
    if (phase_ == Phase::opening) {
        if (slot == primary_slot_ && connection.says_replica() == true) {
            cluster_.hint(connection.server(), health::Hint::role_changed);
            drop_slot(slot);
            ConnectFailure failure;
            failure.result = ServerConnectResult::refused;
            return first_server_failed(failure);
        }
        return first_server_ready(connection);
    }
    const bool is_replica = connection.says_replica().value_or(slot != primary_slot_);
    conversation_->slot_opened(slot, is_replica);
    conversation_->slot_parameters(slot, connection.parameters());
    if (slot == primary_slot_ && is_replica) {
        // It was the primary when we asked, and says that it is not: nothing is sent there.
        cluster_.hint(connection.server(), health::Hint::role_changed);
        drop_slot(slot);
        retry_timer_ = cluster_.world().after(limits::reconnect_delay, [this] { on_news(); });
        cluster_.wait_for_news(*this);
        return;
    }
    if (slot != primary_slot_ && !is_replica && connection.says_replica() &&
        cluster_.view().primary != connection.server()) {
        // Writable, and not the primary that the topology knows: not a place to read from.
        cluster_.hint(connection.server(), health::Hint::role_changed);
        drop_slot(slot);
        retry_timer_ = cluster_.world().after(limits::reconnect_delay, [this] { on_news(); });
        cluster_.wait_for_news(*this);
        return;
    }
    if (phase_ == Phase::held) return on_news();
    if (phase_ == Phase::ready && slot == primary_slot_) subscribe();
}

void Session::on_server_failed(ServerConnection& connection, const ConnectFailure& failure) {
    Slot slot;
    if (!slot_of(connection, slot)) return;
    const ServerId server = connection.server();
    drop_slot(slot);
    switch (failure.result) {
        case ServerConnectResult::unreachable:
        case ServerConnectResult::timed_out: cluster_.hint(server, health::Hint::connect_failed); break;
        case ServerConnectResult::refused: cluster_.hint(server, health::Hint::shutting_down); break;
        case ServerConnectResult::ok:
        case ServerConnectResult::tls:
        case ServerConnectResult::auth:
        case ServerConnectResult::too_many: break;
    }
    if (phase_ == Phase::closing) return;
    if (phase_ == Phase::opening) return first_server_failed(failure);
    failure_ = std::make_unique<ConnectFailure>(failure);
    if (failure.result == ServerConnectResult::auth && phase_ == Phase::held) {
        // It will not be let in later either: the statement that waits is told so.
        return hold_expired();
    }
    retry_timer_ = cluster_.world().after(limits::reconnect_delay, [this] { on_news(); });
    if (phase_ == Phase::held) cluster_.wait_for_news(*this);
}

void Session::on_server_ended(ServerConnection& connection, std::string_view why) {
    Slot slot;
    if (!slot_of(connection, slot)) return;
    const ServerId server = connection.server();
    const std::string reason(why);
    cluster_.hint(server, health::Hint::connection_lost);
    if (phase_ == Phase::closing || connection_is_gone(connection, slot)) return;
    lose_slot(slot, reason);
}

}  // namespace holdfast::engine
