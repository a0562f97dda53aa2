// What operators ask of a session, and ask about it.
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

bool Session::is_working() const {
    if (moving_) return true;
    return phase_ == Phase::ready && (busy() || conversation_->transaction() != Transaction::idle);
}

SessionInfo Session::info() const {
    SessionInfo info;
    info.id = id_;
    if (identity_) {
        info.user = identity_->identity.user;
        info.database = identity_->identity.database;
        info.application_name = identity_->identity.application_name;
    } else if (handshake_) {
        info.user = handshake_->user();
    }
    info.peer = peer_;
    info.listener = entrance_->settings.role;
    info.state = client_state_;
    info.lived = now() - accepted_at_;
    info.statements = statements_;
    info.bytes_in = bytes_from_client_;
    info.bytes_out = bytes_to_client_;
    info.reads_from = reader_;
    if (conversation_) info.pinned_by = conversation_->pins().describe();
    if (is_working()) {
        if (const ServerConnection* server = connection(active_)) info.server = server->server();
        if (busy()) info.running = now() - unit_began_at_;
    }
    if (phase_ == Phase::held) {
        info.held = now() - held_since_;
        const bool is_opening = (slots_[0] && !slots_[0]->ready()) || (slots_[1] && !slots_[1]->ready());
        info.waits_for = cluster_.is_paused()       ? "the cluster is paused"
                         : !cluster_.view().primary ? "there is no primary"
                         : is_opening               ? "a server connection is being opened"
                         : conversation_ && moving_ ? "its statement is to run on another server"
                                                    : "no server connection is free";
    }
    return info;
}

void Session::kill(std::string_view why) {
    if (phase_ == Phase::closing) return;
    if (phase_ == Phase::ready && busy()) cancel();
    close_with(CloseReason::killed, "57P01", why);
}

}  // namespace holdfast::engine
