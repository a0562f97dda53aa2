// Whether a client may come in: rules, limits, and how often it has failed.
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

/// Who may not come in learns so before a password is asked for, as from the server itself.
void Session::look_up_role() {
    if (turn_away() || delay_login()) return;
    find_role();
}

/// Refuses a client that may not log in, whoever it proves to be. False: it may.
bool Session::turn_away() {
    if (!is_allowed_) {
        close_with(CloseReason::access_denied, "28000",
                   "no access for host \"" + peer_ + "\": it is not in this listener's `allow` list");
        return true;
    }
    if (!cluster_.access().empty()) {
        const dialect::Identity identity = handshake_->identity();
        const auto verdict =
            cluster_.access().judge({identity.user, identity.database, source_.ip(), link_->is_secured()});
        if (!verdict.is_allowed) {
            const std::string message = "no access for user \"" + identity.user + "\" to database \"" +
                                        identity.database + "\" from host \"" + peer_ + "\", " +
                                        (link_->is_secured() ? "with TLS" : "without TLS") +
                                        ": refused by the proxy's access rules";
            const std::string rule =
                verdict.line > 0 ? "the rule in line " + std::to_string(verdict.line) : "no rule";
            close_with(CloseReason::access_denied, "28000", message, message + " (" + rule + ")");
            return true;
        }
    }
    if (engine_.is_full()) {
        close_with(CloseReason::too_many_clients, "53300",
                   "sorry, too many clients already (proxy.max_clients)");
        return true;
    }
    if (is_dismissed()) {
        close_with(CloseReason::login_refused, "57P03", "the proxy is shutting down");
        return true;
    }
    return false;
}

/// Has a login wait, or end, whose like have failed too often. False: it goes on at once.
bool Session::delay_login() {
    const config::Limits& limits = cluster_.settings().limits;
    if (limits.login_failures == 0 || source_.empty()) return false;
    SourceLimits& sources = engine_.source_limits();
    const auto claim = sources.claim(source_, cluster_.settings().name, handshake_->user(), limits);
    switch (sources.judge(claim, limits, now())) {
        case SourceLimits::Login::at_once: return false;
        case SourceLimits::Login::refused:
            close_with(CloseReason::rate_limited, "53400",
                       "too many failed logins from this address: try again later (limits.login_failures)");
            return true;
        case SourceLimits::Login::after_delay: break;
    }
    link_->pause(Pause::login);
    login_delay_ = std::make_unique<LoginDelay>(sources, claim);
    login_delay_->timer = cluster_.world().after(limits.login_delay, [this] {
        login_delay_.reset();
        find_role();
    });
    return true;
}

/// The client's proof was wrong.
void Session::login_failed() {
    cluster_.directory().forget_role(handshake_->user());
    const config::Limits& limits = cluster_.settings().limits;
    if (limits.login_failures == 0 || source_.empty()) return;
    SourceLimits& sources = engine_.source_limits();
    const auto claim = sources.claim(source_, cluster_.settings().name, handshake_->user(), limits);
    sources.login_failed(claim, limits, now());
}

/// Takes the place of its user and database. False: there was none left, and the client was told so.
bool Session::take_place() {
    const dialect::Identity& identity = identity_->identity;
    const auto full =
        cluster_.client_counts().take(identity.user, identity.database, cluster_.settings().limits);
    switch (full) {
        case ClientCounts::Full::no: has_place_ = true; return true;
        case ClientCounts::Full::user:
            close_with(CloseReason::too_many_clients, cluster_.dialect().user_limit_code(),
                       "too many connections for user \"" + identity.user + "\" (limits.user_connections)");
            return false;
        case ClientCounts::Full::database:
            close_with(CloseReason::too_many_clients, "53300",
                       "too many connections for database \"" + identity.database +
                           "\" (limits.database_connections)");
            return false;
    }
    return false;
}

void Session::leave_place() {
    if (!std::exchange(has_place_, false)) return;
    cluster_.client_counts().give_back(identity_->identity.user, identity_->identity.database);
}

}  // namespace holdfast::engine
