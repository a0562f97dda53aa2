// From the client to a server: its bytes are cut into units, and each is sent on as it came, or answered
// here.
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

using dialect::Cut;
using dialect::CutKind;

size_t Session::on_bytes(Bytes bytes) {
    return wrapped_ ? framed_bytes(bytes) : plain_bytes(bytes);
}

size_t Session::plain_bytes(Bytes bytes) {
    if (phase_ == Phase::login) return login_bytes(bytes);
    return phase_ == Phase::ready || phase_ == Phase::held ? request_bytes(bytes) : 0;
}

/// Frames are left with the link until all that was in them is consumed: then it gives them again after a
/// pause.
size_t Session::framed_bytes(Bytes bytes) {
    size_t consumed = 0;
    while (phase_ != Phase::closing) {
        Wrapped& wrapped = *wrapped_;
        const size_t used = wrapped.plain.empty() ? 0 : plain_bytes(wrapped.plain);
        if (phase_ == Phase::closing || !wrapped_) return bytes.size();
        wrapped.plain.erase(wrapped.plain.begin(), wrapped.plain.begin() + static_cast<std::ptrdiff_t>(used));
        if (wrapped.plain.empty()) {
            consumed += std::exchange(wrapped.decoded, 0);
            if (wrapped.plain.capacity() > limits::batch_collected_bytes_max) wrapped.plain = {};
        }
        if (link_->paused()) break;
        if (used > 0) continue;
        // Only what nobody can use without more is added to: a small frame may hold much.
        const auto taken = wrapped.framing->decode(bytes.subspan(consumed + wrapped.decoded), wrapped.plain);
        if (!taken) {
            close_with(CloseReason::protocol_error, "08P01", taken.error().message);
            return bytes.size();
        }
        wrapped.decoded += *taken;
        if (*taken == 0) break;
    }
    return consumed;
}

size_t Session::request_bytes(Bytes bytes) {
    size_t used = 0;
    pending_base_ = bytes.data();
    pending_begin_ = pending_end_ = 0;
    while (used < bytes.size() && phase_ != Phase::closing) {
        if (conversation_->requests_in_flight() > limits::requests_in_flight_max) {
            crowded_ = true;
            wait_in_turn();
            break;
        }
        const Bytes rest = bytes.subspan(used);
        ByteBuffer& out = engine_.out();
        out.clear();
        const Cut cut = conversation_->cut(rest, insist_, out);
        if (cut.kind == CutKind::more) break;
        if (cut.kind == CutKind::patience) {
            be_patient();
            break;
        }
        if (cut.kind == CutKind::begin) {
            if (!begin_unit(rest.first(cut.size), used)) {
                note_waiting();
                break;
            }
            continue;
        }
        switch (cut.kind) {
            case CutKind::go_on:
                if (cut.escalates && conversation_->rerunnable() && retained_whole_ &&
                    conversation_->units_in_flight() == 1) {
                    // The rest of the batch needs the primary; so far it only asked for descriptions.
                    flush_requests();
                    move_units(active_, true);
                    if (moving_ || phase_ != Phase::ready) return used;
                    continue;  // a link that nothing was consumed of does not give the same bytes again
                }
                wrote_ = wrote_ || conversation_->facts().may_write;
                send_unit(rest.first(cut.size), active_);
                used += cut.size;
                break;
            case CutKind::stream:
                retained_whole_ = false;
                conversation_->forbid_rerun();
                if (connection(active_) && (busy() || conversation_->streams_unanswered())) {
                    if (pending_end_ == used) {
                        pending_end_ += cut.size;
                    } else {
                        flush_requests();
                        pending_begin_ = used;
                        pending_end_ = used + cut.size;
                    }
                }
                used += cut.size;
                break;
            case CutKind::drop: used += cut.size; break;
            case CutKind::answer:
                flush_requests();
                used += cut.size;
                if (!out.empty()) {
                    bytes_to_client_ += out.size();
                    send_client(out);
                }
                quiet_since_ = now();
                set_client_state();
                if (link_->queued() > limits::write_queue_high_bytes) {
                    link_->pause(Pause::peer_is_slow);  // it asks and does not listen
                    return used;
                }
                break;
            case CutKind::wait:
                flush_requests();
                wait_in_turn();
                bytes_from_client_ += used;
                return used;
            case CutKind::kill:
                flush_requests();
                used += cut.size;
                bytes_from_client_ += used;
                if (!kill_other()) return bytes.size();
                bytes_from_client_ -= used;
                break;
            case CutKind::log_in:
                flush_requests();
                bytes_from_client_ += used + cut.size;
                log_in_again(rest.first(cut.size));
                return used + cut.size;
            case CutKind::terminate:
                flush_requests();
                close(CloseReason::client_left);
                return bytes.size();
            case CutKind::malformed: {
                flush_requests();
                const std::string why = conversation_->error();
                close_with(CloseReason::protocol_error, "08P01", why);
                return bytes.size();
            }
            case CutKind::more:
            case CutKind::patience:
            case CutKind::begin: break;
        }
    }
    flush_requests();
    bytes_from_client_ += used;
    return used;
}

/// The client asks to end what another session does, or that session. False: it was this one.
bool Session::kill_other() {
    const dialect::KillRequest request = conversation_->kill_request();
    const dialect::KillOutcome outcome = engine_.kill(cluster_, identity_->identity.user, request);
    ByteBuffer& out = engine_.out();
    out.clear();
    conversation_->answer_kill(outcome, out);
    if (phase_ == Phase::closing) return false;
    bytes_to_client_ += out.size();
    send_client(out);
    return true;
}

void Session::send_server(ServerConnection& to, Bytes first, Bytes second) {
    cluster_.metrics().server_bytes(to.server(), 0, first.size() + second.size());
    to.link()->write(first, second);
}

/// Sends what on_bytes has gathered: one run of the client's own bytes.
void Session::flush_requests() {
    if (pending_end_ > pending_begin_) {
        ServerConnection* to = connection(active_);
        if (to && to->link()) {
            send_server(*to, {pending_base_ + pending_begin_, pending_end_ - pending_begin_});
            if (to->link()->queued() > limits::write_queue_high_bytes) link_->pause(Pause::peer_is_slow);
        }
    }
    pending_begin_ = pending_end_;
}

/// A batch came in part: when the rest is late, what is there goes out.
void Session::be_patient() {
    if (patient_) return;
    patient_ = true;
    patience_timer_ = cluster_.world().after(limits::partial_batch_patience, [this] {
        patient_ = false;
        insist_ = true;
        // Has the link give its kept bytes again.
        link_->pause(Pause::in_turn);
        link_->resume(Pause::in_turn);
    });
}

/// Why the unit that comes next is answered here: cancelled, waited too long, or its session has lost state.
dialect::FailureText Session::take_refusal() {
    if (cancelled_) {
        return {dialect::Failure::cancelled, "canceling statement due to user request", {}, {}, {}};
    }
    if (expired_) return hold_failure();
    const std::string lost = std::exchange(lost_state_, {});
    cluster_.metrics().loss(LossOutcome::state_lost);
    return {dialect::Failure::state_lost,
            "session state was lost with its server: " + lost,
            "The statement was not run.",
            "The session goes on without it: create it again.",
            {}};
}

/// Routes the unit that was cut and begins it. False: it stays with the client's link for now.
bool Session::begin_unit(Bytes unit, size_t& used) {
    patient_ = false;
    patience_timer_.reset();
    unread_timer_.reset();
    insist_ = false;
    const dialect::UnitFacts facts = conversation_->facts();
    if (cancelling_) {
        wait_in_turn();
        return false;
    }
    // Who hears no answer can't be told of lost state.
    if (cancelled_ || expired_ || (!lost_state_.empty() && facts.is_answered)) {
        // What answers this unit by itself must not overtake the answers to those in flight.
        if (busy()) {
            wait_in_turn();
            return false;
        }
        refuse(unit, take_refusal(), used);
        return true;
    }
    if (moving_) {
        wait_in_turn();
        return false;
    }
    if (cluster_.is_paused() && conversation_->transaction() == Transaction::idle) {
        if (busy()) {
            wait_in_turn();
        } else {
            hold(HoldFor::server);
        }
        return false;
    }
    Route route = choose_route(facts);
    if (facts.same_connection && connection(active_) && connection(active_)->ready()) route.current = true;
    const Slot slot = route.current ? active_ : slot_for(route.target);
    if (busy() && slot != active_) {
        wait_in_turn();
        return false;
    }
    if (route.hold) {
        if (busy()) {
            wait_in_turn();
        } else {
            hold(HoldFor::server);
        }
        return false;
    }
    if (route.target == Target::replica && !route.current && is_rejecting()) {
        failure_.reset();  // of a connection; what counts is that there is no primary
        refuse(unit, hold_failure(), used);
        return true;
    }
    if (!(route.current ? bring_up_to_date(slot) : prepare_slot(slot, route))) return false;
    if (phase_ == Phase::held) end_hold(HoldOutcome::resumed);

    if (!busy()) {
        unit_began_at_ = query_began_at_ = now();
        waited_ = waiting_since_ == TimePoint{} ? Duration{} : unit_began_at_ - waiting_since_;
        retained_.clear();
        retained_sizes_.clear();
        retained_whole_ = true;
        wrote_ = wrote_ && conversation_->transaction() != Transaction::idle;
    }
    waiting_since_ = {};
    if (slot != active_) flush_requests();
    active_ = slot;
    wrote_ = wrote_ || facts.may_write || conversation_->transaction() != Transaction::idle ||
             route.reason == RouteReason::learned;
    count_statement(connection(slot)->server(), route, facts);
    if (retained_whole_ && facts.is_answered) retained_sizes_.push_back(0);
    send_unit(unit, slot);
    used += unit.size();
    set_client_state();
    return true;
}

/// Sends part of a unit, with what must stand before it on this connection.
void Session::send_unit(Bytes bytes, Slot slot) {
    ByteBuffer& prefix = engine_.prefix();
    prefix.clear();
    const bool as_it_came = conversation_->accept(bytes, slot, prefix);
    if (retained_whole_ && conversation_->facts().is_answered) {
        if (conversation_->retainable() &&
            retained_.size() + bytes.size() <= limits::statement_retained_bytes_max) {
            append(retained_, bytes);
            retained_sizes_.back() += bytes.size();
        } else {
            retained_whole_ = false;
            retained_.clear();
            conversation_->forbid_rerun();
        }
    }
    if (!prefix.empty()) {
        flush_requests();
        send_server(*connection(slot), prefix, as_it_came ? bytes : Bytes{});
        pending_begin_ = pending_end_ = static_cast<size_t>(bytes.data() - pending_base_) + bytes.size();
        return;
    }
    const auto at = static_cast<size_t>(bytes.data() - pending_base_);
    if (pending_end_ != at || pending_begin_ == pending_end_) {
        flush_requests();
        pending_begin_ = at;
    }
    pending_end_ = at + bytes.size();
}

/// Answers the unit that waits with an error; nothing of it was sent anywhere.
void Session::refuse(Bytes unit, const dialect::FailureText& text, size_t& used) {
    if (phase_ == Phase::held) {
        end_hold(cancelled_ ? HoldOutcome::cancelled : HoldOutcome::timed_out);
    }
    expired_ = cancelled_ = false;
    waiting_since_ = {};
    failure_.reset();
    flush_requests();
    ByteBuffer& out = engine_.out();
    out.clear();
    used += conversation_->refuse_unit(unit, text, out);
    bytes_to_client_ += out.size();
    cluster_.metrics().statement_error(text.code.empty() ? "57" : text.code);
    send_client(out);
    if (link_->queued() > limits::write_queue_high_bytes) link_->pause(Pause::peer_is_slow);
    set_client_state();
}

}  // namespace holdfast::engine
