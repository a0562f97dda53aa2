// What takes too long: a client that asks for nothing is disconnected, a statement is cancelled at its
// server.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

Activity Session::activity() const {
    Activity activity;
    activity.is_watched = phase_ == Phase::ready && !moving_ && !conversation_->pins().replication;
    activity.is_busy = busy();
    activity.quiet_since = quiet_since_;
    activity.query_since = query_began_at_;
    activity.patient_until = patient_until_;
    activity.transaction_since = transaction_began_at_;
    return activity;
}

/// The client's state is `state` now; client_state_ is what it was.
void Session::note_activity(ClientState state) {
    if (phase_ != Phase::ready) return;
    const bool is_open = conversation_->transaction() != Transaction::idle;
    if (!is_open) {
        transaction_began_at_ = {};
    } else if (transaction_began_at_ == TimePoint{}) {
        transaction_began_at_ = unit_began_at_;
    }
    if (!busy()) {
        if (state != client_state_) quiet_since_ = now();
        patient_until_ = {};
    }
    watch_timeouts();
}

/// Makes sure that somebody looks in time. One timer does for all: it is only moved when something is due
/// earlier, and finds out what that is when it fires.
void Session::watch_timeouts() {
    const config::Timeouts& timeouts = cluster_.settings().timeouts;
    const auto sum = timeouts.idle + timeouts.idle_in_transaction + timeouts.transaction + timeouts.query;
    if (sum.count() == 0) return;
    const auto due = next_deadline(activity(), timeouts);
    if (!due || (timeout_timer_ && timeout_armed_until_ <= due->at)) return;
    timeout_armed_until_ = due->at;
    timeout_timer_ = cluster_.world().after(std::max(due->at - now(), Duration::zero()), [this] {
        timeout_timer_.reset();
        timeout_due();
    });
}

void Session::timeout_due() {
    if (phase_ != Phase::ready) return;  // whoever makes it ready again watches anew
    const auto due = next_deadline(activity(), cluster_.settings().timeouts);
    if (!due) return;
    if (due->at > now()) return watch_timeouts();
    switch (due->what) {
        case Overdue::idle:
            return close_with(CloseReason::idle_timeout, "57P05",
                              "terminating connection due to idle-session timeout (timeouts.idle)");
        case Overdue::idle_in_transaction:
            return close_with(CloseReason::idle_in_transaction_timeout, "25P03",
                              "terminating connection due to idle-in-transaction timeout "
                              "(timeouts.idle_in_transaction)");
        case Overdue::transaction:
            // Only when nothing is in flight is it certain that the transaction is rolled back.
            if (busy()) return cancel_overdue();
            return close_with(CloseReason::transaction_timeout, "25P04",
                              "terminating connection due to transaction timeout (timeouts.transaction)");
        case Overdue::query: return cancel_overdue();
    }
}

/// Asks the server to end what is in flight. Its answer goes to the client, whatever it is: a cancel that
/// comes too late changes nothing. If it got lost, the next one comes after as long again.
void Session::cancel_overdue() {
    query_began_at_ = now();
    patient_until_ = now() + limits::cancel_again_after;
    ServerConnection* server = connection(active_);
    if (server && server->ready() && !conversation_->synchronising(active_) && !cancelling_) {
        cancelling_ = true;
        const uint32_t number = ++cancel_number_;
        cluster_.metrics().query_timed_out();
        engine_.log().debug("query_timed_out", {{"cluster", cluster_.settings().name},
                                                {"session", id_},
                                                {"server", cluster_.server(server->server()).name}});
        cluster_.send_cancel(*server, credential_, [cluster = &cluster_, id = id_, number] {
            if (Session* session = cluster->find(id)) session->cancel_done(number);
        });
    }
    watch_timeouts();
}

/// The server has been told: what is sent from now on is not hit.
void Session::cancel_done(uint32_t number) {
    if (number != cancel_number_ || !std::exchange(cancelling_, false)) return;
    if (link_ && phase_ == Phase::ready) link_->resume(Pause::in_turn);
}

}  // namespace holdfast::engine
