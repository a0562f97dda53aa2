// Waiting: for a server that can take the next statement, or for the answers to earlier ones.
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

/// The client is not read until something changes; its request stays in its link.
void Session::hold(HoldFor what) {
    link_->pause(Pause::held);
    if (what == HoldFor::server && !hold_counted_) {
        hold_counted_ = true;
        cluster_.metrics().hold_began();
    }
    if (what == HoldFor::server && std::exchange(pool_was_full_, false) && !pool_wait_counted_) {
        pool_wait_counted_ = true;
        cluster_.metrics().pool_wait_began();
    }
    if (what == HoldFor::server) cluster_.wait_for_news(*this);
    if (phase_ == Phase::held) {
        if (!timer_) limit_hold();
        return;
    }
    phase_ = Phase::held;
    held_since_ = now();
    limit_hold();
    set_client_state();
}

/// What waits for an operator waits as long as that takes; what had begun before has its limit all the same.
void Session::limit_hold() {
    if (cluster_.is_paused() && !moving_) return;
    timer_ = cluster_.world().after(cluster_.settings().failover.wait, [this] { hold_expired(); });
}

void Session::end_hold(HoldOutcome outcome) {
    if (phase_ == Phase::held) phase_ = Phase::ready;
    cluster_.stop_waiting(*this);
    timer_.reset();
    if (hold_counted_) {
        hold_counted_ = false;
        cluster_.metrics().hold_ended(outcome, now() - held_since_);
    }
    if (pool_wait_counted_) {
        pool_wait_counted_ = false;
        cluster_.metrics().pool_wait_ended(now() - held_since_);
    }
    set_client_state();
}

/// The next unit is there and stays with the client's link.
void Session::note_waiting() {
    if (waiting_since_ == TimePoint{}) waiting_since_ = now();
}

void Session::hold_expired() {
    timer_.reset();
    if (cluster_.is_paused() && !moving_) return;
    if (moving_) {
        const dialect::FailureText text = hold_failure();
        failure_.reset();
        return fail_moving(text, HoldOutcome::timed_out);
    }
    expired_ = true;
    wake();
}

/// Why the statement that waited is refused.
dialect::FailureText Session::hold_failure() const {
    const auto waited = std::to_string(cluster_.settings().failover.wait.count()) + " ms (failover.wait)";
    dialect::FailureText text;
    if (failure_) {
        // Only what a server says of the login is the login's fault.
        const bool is_refusal = failure_->result == ServerConnectResult::auth ||
                                failure_->result == ServerConnectResult::too_many;
        text.failure = is_refusal ? dialect::Failure::server_refused : dialect::Failure::no_server;
        text.message =
            "no server connection could be made within " + waited + ": " + failure_->refusal.message;
        text.code = failure_->refusal.code;
        if (failure_->result == ServerConnectResult::too_many) text.code = "53300";
        return text;
    }
    if (!cluster_.view().primary) {
        const bool read_only = cluster_.settings().failover.no_primary == config::NoPrimary::read_only;
        text.failure = dialect::Failure::no_primary;
        text.message = "cluster \"" + cluster_.settings().name + "\" has had no primary for " + waited;
        text.hint = read_only ? "The statement was not run. Reads are served while a replica is up."
                              : "The statement was not run.";
        text.code = read_only ? "25006" : "57P03";
        return text;
    }
    text.failure = dialect::Failure::no_server;
    text.message =
        "no server of cluster \"" + cluster_.settings().name + "\" could take the statement for " + waited;
    text.hint = "The statement was not run.";
    return text;
}

/// Whether reads are not to run any more either: there has been no primary for too long.
bool Session::is_rejecting() const {
    const config::Failover& failover = cluster_.settings().failover;
    const health::View& view = cluster_.view();
    if (failover.no_primary != config::NoPrimary::reject || view.primary || !view.primary_lost_at)
        return false;
    return now() - *view.primary_lost_at >= failover.wait && !busy() && !moving_ &&
           conversation_->transaction() == Transaction::idle;
}

/// Earlier requests must be answered first.
void Session::wait_in_turn() {
    link_->pause(Pause::in_turn);
}

/// Lets the client's link give what it has kept.
void Session::wake() {
    if (!link_) return;
    link_->resume(Pause::in_turn);
    link_->resume(Pause::held);
}

void Session::on_news() {
    retry_timer_.reset();
    switch (phase_) {
        case Phase::opening: return open_first_server();
        case Phase::held:
            if (moving_) return try_move();
            return wake();
        case Phase::ready: return subscribe();
        case Phase::login:
            if (!handshake_) greet();
            return;
        case Phase::closing: return;
    }
}

/// What is in flight on a primary that does not answer waits as long as a statement that was held.
void Session::watch_stall() {
    if (stall_timer_) return;
    stall_timer_ = cluster_.world().after(cluster_.settings().failover.wait, [this] {
        stall_timer_.reset();
        const bool stalled = busy() && !moving_ && active_ == primary_slot_ && !cluster_.view().primary;
        if (stalled || conversation_->synchronising(primary_slot_)) {
            lose_slot(primary_slot_, "it has not answered for failover.wait");
        }
    });
}

/// Notifications that the client subscribed to do not wait for its next statement: the connection to the
/// primary is opened, and brought up to date, as soon as there is one.
void Session::subscribe() {
    const bool is_needed = conversation_->has_subscriptions() || conversation_->has_unread_state();
    if (!is_needed || busy() || moving_ || !cluster_.view().primary ||
        conversation_->transaction() != Transaction::idle) {
        return;
    }
    ServerConnection* writer = connection(primary_slot_);
    if (!writer) {
        if (!open_slot(primary_slot_, *cluster_.view().primary)) return cluster_.wait_for_news(*this);
        writer = connection(primary_slot_);
    }
    if (!writer->ready() || conversation_->synchronising(Slot::a) || conversation_->synchronising(Slot::b))
        return;
    ByteBuffer& out = engine_.out();
    out.clear();
    if (conversation_->synchronise(primary_slot_, out)) {
        active_ = primary_slot_;
        send_server(*writer, out);
    }
}

/// A statement in flight on a primary that was demoted, and says so itself, is answered first: what it
/// carried out before is on the new primary too, and the rest it refuses. One that is not heard of, or still
/// takes writes, gets no such credit: what it acknowledged now would be lost.
bool Session::finishes_on_old_primary() {
    const ServerConnection* writer = connection(primary_slot_);
    if (!busy() || moving_ || active_ != primary_slot_ || !writer->ready()) return false;
    const health::ServerView* server = cluster_.view().find(writer->server());
    using health::ServerState;
    const bool is_demoted = server && (server->state == ServerState::up || health::is_behind(server->state) ||
                                       server->state == ServerState::broken);
    if (!is_demoted) return false;
    if (!finish_timer_) {
        finish_timer_ = cluster_.world().after(limits::demoted_answer_timeout, [this] {
            finish_timer_.reset();
            lose_slot(primary_slot_, "the server is not the primary any more");
        });
    }
    return true;
}

/// The servers' roles or states have changed.
void Session::on_view_changed(bool primary_changed) {
    if (phase_ == Phase::closing || phase_ == Phase::login) return;
    if (phase_ == Phase::opening) return on_news();
    const health::View& view = cluster_.view();

    // The replica that this session reads from was promoted: its connection can write now, in place.
    const Slot replica_slot = dialect::other(primary_slot_);
    if (primary_changed && view.primary) {
        ServerConnection* reader = connection(replica_slot);
        ServerConnection* writer = connection(primary_slot_);
        const bool writer_is_old = writer && writer->server() != *view.primary;
        if (writer_is_old && !finishes_on_old_primary()) {
            lose_slot(primary_slot_, "the server is not the primary any more");
        }
        if (phase_ == Phase::closing) return;
        reader = connection(replica_slot);
        if (reader && reader->server() == *view.primary && !connection(primary_slot_) &&
            entrance_->settings.role == config::ListenerRole::automatic) {
            primary_slot_ = replica_slot;
            conversation_->slot_promoted(replica_slot);
            read_from(std::nullopt);
        }
    }
    for (const Slot slot : {Slot::a, Slot::b}) {
        const ServerConnection* existing = connection(slot);
        if (!existing) continue;
        const health::ServerView* server = view.find(existing->server());
        const bool is_primary = view.primary == existing->server();
        if (!server || is_primary) continue;
        if (server->duty != health::Duty::serves) {
            leave_server(slot);
            continue;
        }
        using health::ServerState;
        const bool in_use = (busy() && slot == active_) ||
                            (conversation_->transaction() != Transaction::idle && slot == active_);
        switch (server->state) {
            case ServerState::suspect:
                // A read that nobody answers runs elsewhere; an answer that flows is left alone.
                if (slot != primary_slot_ && busy() && slot == active_ && conversation_->rerunnable() &&
                    retained_whole_) {
                    lose_slot(slot, server->reason);
                }
                break;
            case ServerState::down:
                if (slot != primary_slot_) lose_slot(slot, server->reason);
                break;
            case ServerState::quarantined: lose_slot(slot, server->reason); break;
            case ServerState::broken:
                if (!in_use) lose_slot(slot, server->reason);
                break;
            case ServerState::starting:
            case ServerState::up:
            case ServerState::catching_up:
            case ServerState::lagging: break;
        }
        if (phase_ == Phase::closing) return;
    }
    if (view.primary) {
        stall_timer_.reset();
    } else if (phase_ == Phase::ready && connection(primary_slot_) && active_ == primary_slot_ && busy()) {
        watch_stall();
    }
    // Nobody will ask for notifications again: they are subscribed to on the new primary at once.
    if (phase_ == Phase::ready) subscribe();
    if (phase_ == Phase::held) on_news();
}

}  // namespace holdfast::engine
