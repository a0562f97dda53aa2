// A server is gone, or can't answer: what was in flight is run again where that is safe, and told to the
// client where it is not. The client's connection stays.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

using dialect::Failure;
using dialect::FailureText;

std::string Session::server_name(Slot slot) const {
    const ServerConnection* of = connection(slot);
    return of ? cluster_.server(of->server()).name : std::string("?");
}

/// Lets a connection go; what the conversation had on it is gone too.
void Session::drop_slot(Slot slot) {
    auto& place = slots_[dialect::index(slot)];
    if (!place) return;
    // What waited for this connection to move on waits no more.
    if (link_) link_->resume(Pause::peer_is_slow);
    if (ServerConnection* waiting = connection(dialect::other(slot)); waiting && waiting->link()) {
        waiting->link()->resume(Pause::in_turn);
    }
    if (slot == primary_slot_) finish_timer_.reset();
    if (slot == active_) cancelling_ = false;
    if (slot != primary_slot_ && reader_ == place->server()) read_from(std::nullopt);
    defer_death(std::move(place));
    if (conversation_) conversation_->slot_lost(slot);
}

/// When the slot's server was taken away, its connection is let go as soon as nothing needs it.
void Session::leave_server(Slot slot) {
    const ServerConnection* existing = connection(slot);
    if (!existing || moving_) return;
    const health::ServerView* server = cluster_.view().find(existing->server());
    if (!server || server->duty == health::Duty::serves) return;
    const bool is_in_use = slot == active_ && (busy() || conversation_->transaction() != Transaction::idle);
    const bool is_pinned = slot == primary_slot_ && conversation_->pins().any();
    if (!is_in_use && !is_pinned && !conversation_->synchronising(slot)) drop_slot(slot);
}

void Session::on_drain_over(ServerId server) {
    if (phase_ == Phase::login || phase_ == Phase::opening) return;
    for (const Slot slot : {Slot::a, Slot::b}) {
        const ServerConnection* existing = connection(slot);
        if (existing && existing->server() == server)
            lose_slot(slot, "it was taken off duty, and proxy.drain_timeout is over");
        if (phase_ == Phase::closing) return;
    }
}

bool Session::connection_is_gone(const ServerConnection& connection, Slot slot) const {
    return this->connection(slot) != &connection;
}

void Session::lose_slot(Slot slot, std::string_view why) {
    const std::string server = server_name(slot);
    const std::string reason(why);
    const bool in_flight = busy() && slot == active_ && !moving_;
    const bool transaction =
        conversation_ && conversation_->transaction() != Transaction::idle && slot == active_;
    const bool syncing = conversation_ && conversation_->synchronising(slot);
    const bool had_pins = conversation_ && slot == primary_slot_ && conversation_->pins().any();
    drop_slot(slot);
    if (phase_ == Phase::opening) return open_first_server();
    if (!conversation_ || phase_ == Phase::closing) return;

    std::string lost;
    if (had_pins) {
        lost = conversation_->pins().describe();
        conversation_->clear_pins();
        count_pins();
    }
    if (in_flight) {
        if (!lost.empty()) lost_state_ = lost;
        resolve_lost_units("server \"" + server + "\" was lost: " + reason);
        return;
    }
    if (transaction) {
        FailureText text;
        text.failure = Failure::transaction_lost;
        text.message =
            "the transaction was lost with its server \"" + server + "\" and is rolled back: " + reason;
        if (!lost.empty()) text.detail = "Session state was lost with it: " + lost + ".";
        text.hint = "Run the transaction again.";
        const bool is_unknown = conversation_->may_have_committed() || conversation_->transaction_survives();
        if (is_unknown) {
            text.failure = Failure::outcome_unknown;
            text.message = "the outcome of the transaction is unknown: its server \"" + server +
                           "\" was lost behind a statement that may have committed it: " + reason;
            text.hint = "Look whether it was carried out before running it again.";
            last_write_at_ = now();
        }
        if (conversation_->transaction_survives())
            tell_survival(text, "its server \"" + server + "\" was lost: " + reason);
        conversation_->lose_transaction(text);
        cluster_.metrics().loss(is_unknown ? LossOutcome::outcome_unknown : LossOutcome::transaction_lost);
        cluster_.metrics().statement_error(is_unknown ? "08007" : "40001");
        wrote_ = false;
        set_client_state();
    } else if (!lost.empty()) {
        lost_state_ = lost;
    }
    if (moving_ && !lost_state_.empty()) return fail_moving(take_refusal(), HoldOutcome::timed_out);
    if (moving_) return try_move();
    if (syncing || phase_ == Phase::ready || phase_ == Phase::held) wake();
    if (phase_ == Phase::ready) subscribe();
}

/// The server of the units in flight is gone.
void Session::resolve_lost_units(std::string_view why) {
    // Without the state that was lost with the server it may read something else.
    const bool can_move = conversation_->transaction() == Transaction::idle && conversation_->rerunnable() &&
                          retained_whole_ && lost_state_.empty();
    if (can_move) {
        cluster_.metrics().loss(LossOutcome::read_again);
        moving_ = true;
        move_to_primary_ = false;
        hold(HoldFor::server);
        try_move();
        return;
    }
    fail_all_units(why);
}

/// A transaction that was prepared is neither rolled back nor committed by its server's end.
void Session::tell_survival(FailureText& text, std::string_view why) {
    text.failure = Failure::outcome_unknown;
    text.message =
        "the transaction was prepared and is neither committed nor rolled back by this: " + std::string(why);
    text.hint =
        "Look with XA RECOVER whether the present primary has it, and commit it or roll it back there. "
        "The server that was lost has it still when it comes back.";
    last_write_at_ = now();
}

void Session::fail_all_units(std::string_view why) {
    const std::string reason(why);
    pad_client();
    if (phase_ == Phase::closing) return;
    ByteBuffer& out = engine_.out();
    out.clear();
    while (conversation_->units_in_flight() > 0) {
        const Transaction transaction = conversation_->transaction();
        if (transaction != Transaction::idle && conversation_->answer_rollback(out)) continue;
        FailureText text;
        text.hint = "The connection goes on.";
        LossOutcome outcome;
        std::string_view sqlstate = "40001";
        if (conversation_->transaction_survives() && !conversation_->may_have_committed()) {
            outcome = LossOutcome::outcome_unknown;
            sqlstate = "08007";
            tell_survival(text, reason);
        } else if (conversation_->may_have_committed()) {
            outcome = LossOutcome::outcome_unknown;
            sqlstate = "08007";
            last_write_at_ = now();  // who looks whether it was carried out must not look at a late replica
            text.failure = Failure::outcome_unknown;
            text.message = "the outcome of the statement is unknown: " + reason;
            text.hint = "It may have been carried out: look before running it again.";
        } else if (transaction != Transaction::idle) {
            outcome = LossOutcome::transaction_lost;
            text.failure = Failure::transaction_lost;
            text.message = "the transaction was lost and is rolled back: " + reason;
            text.hint = "Run the transaction again.";
        } else {
            outcome = LossOutcome::result_broken_off;
            text.failure = Failure::result_broken_off;
            text.message = "the result was broken off: " + reason;
            text.hint = "It only read: run it again.";
        }
        cluster_.metrics().loss(outcome);
        cluster_.metrics().statement_error(sqlstate);
        conversation_->fail_unit(text, out);
    }
    retained_.clear();
    wrote_ = false;
    moving_ = false;
    if (!link_) return;
    bytes_to_client_ += out.size();
    send_client(out);
    set_client_state();
    if (phase_ == Phase::ready) subscribe();
    wake();
}

/// The client was in the middle of a long message: it is completed with zeros, so that the error behind it
/// can be read.
void Session::pad_client() {
    size_t left = conversation_->padding();
    if (left == 0) return;
    if (left > limits::padding_bytes_max) {
        close(CloseReason::limit, "a message was broken off with more bytes missing than can be made up");
        return;
    }
    static const std::array<std::byte, 65'536> zeros{};
    while (left > 0) {
        const size_t size = std::min(left, zeros.size());
        send_client(Bytes(zeros).first(size));
        left -= size;
    }
}

/// The units in flight on `from` are to be run on another server; its own answer is not wanted any more.
void Session::move_units(Slot from, bool to_primary) {
    if (!retained_whole_ || !conversation_->abandon_answer(from)) drop_slot(from);
    moving_ = true;
    move_to_primary_ = to_primary;
    hold(HoldFor::login);
    try_move();
}

/// Gives up the units that wait to be run again: nothing of them runs anywhere.
void Session::fail_moving(const FailureText& text, HoldOutcome outcome) {
    moving_ = false;
    end_hold(outcome);
    if (conversation_->synchronising(active_)) drop_slot(active_);
    ByteBuffer& out = engine_.out();
    out.clear();
    while (conversation_->units_in_flight() > 0) conversation_->fail_unit(text, out);
    bytes_to_client_ += out.size();
    send_client(out);
    wake();
}

/// Runs the units that wait again, as soon as a server is there for them.
void Session::try_move() {
    const health::View& view = cluster_.view();
    Slot slot = primary_slot_;
    std::optional<ServerId> server = view.primary;
    update_required_position();
    const config::Routing& policy = cluster_.settings().routing;
    const bool to_primary =
        move_to_primary_ || conversation_->needs_primary() || conversation_->pins().reads() ||
        entrance_->settings.role == config::ListenerRole::primary || now() < replica_unusable_until_ ||
        policy.consistency == config::Consistency::primary ||
        (policy.consistency == config::Consistency::session && last_write_at_ != TimePoint{});
    if (!to_primary) {
        if (const auto replica = pick_reader(Readers::replicas)) {
            slot = dialect::other(primary_slot_);
            server = replica;
        } else if (policy.primary_reads == config::PrimaryReads::never) {
            server.reset();
        }
    }
    if (server && slot == primary_slot_ && server == refused_by_) {
        const health::ServerView* const looked_at = view.find(*server);
        if (!looked_at || looked_at->position_sampled_at <= refused_at_) server.reset();
    }
    if (!server) return hold(HoldFor::server);
    ServerConnection* existing = connection(slot);
    if (existing && existing->server() != *server) {
        drop_slot(slot);
        existing = nullptr;
    }
    if (!existing) {
        if (!open_slot(slot, *server)) return hold(HoldFor::server);
        existing = connection(slot);
    }
    if (!existing->ready()) return hold(HoldFor::login);
    ByteBuffer& prefix = engine_.prefix();
    prefix.clear();
    if (conversation_->synchronise_for_rerun(slot, prefix)) {
        active_ = slot;
        send_server(*existing, prefix);
        return hold(HoldFor::login);
    }
    if (conversation_->synchronising(slot)) return hold(HoldFor::login);
    moving_ = false;
    const Duration held = now() - held_since_;
    waited_ += held;
    unit_began_at_ += held;
    end_hold(HoldOutcome::resumed);
    active_ = slot;
    const bool as_it_came = conversation_->rerun_unit(slot, retained_, prefix);
    if (std::exchange(learn_, false)) {
        const auto text = conversation_->facts().text;
        if (!text.empty()) {
            cluster_.learn(sql::fingerprint(cluster_.dialect().sql_dialect(),
                                            text.substr(0, limits::batch_collected_bytes_max)));
        }
    }
    send_server(*existing, prefix, as_it_came ? Bytes(retained_) : Bytes{});
    set_client_state();
    wake();
}

}  // namespace holdfast::engine
