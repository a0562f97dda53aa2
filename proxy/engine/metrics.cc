#include "proxy/engine/metrics.h"

#include <cstdlib>

namespace holdfast::engine {

std::string_view to_string(Target target) {
    switch (target) {
        case Target::primary: return "primary";
        case Target::replica: return "replica";
        case Target::proxy: return "proxy";
    }
    std::abort();
}

std::string_view to_string(RouteReason reason) {
    switch (reason) {
        case RouteReason::classified: return "classified";
        case RouteReason::in_transaction: return "in_transaction";
        case RouteReason::pinned: return "pinned";
        case RouteReason::rule: return "rule";
        case RouteReason::listener_role: return "listener_role";
        case RouteReason::learned: return "learned";
        case RouteReason::read_your_writes: return "read_your_writes";
        case RouteReason::lag: return "lag";
        case RouteReason::no_replica: return "no_replica";
        case RouteReason::oversize: return "oversize";
        case RouteReason::consistency: return "consistency";
    }
    std::abort();
}

std::string_view to_string(CloseReason reason) {
    switch (reason) {
        case CloseReason::client_left: return "client_left";
        case CloseReason::client_lost: return "client_lost";
        case CloseReason::protocol_error: return "protocol_error";
        case CloseReason::login_failed: return "login_failed";
        case CloseReason::login_refused: return "login_refused";
        case CloseReason::login_timeout: return "login_timeout";
        case CloseReason::tls_failed: return "tls_failed";
        case CloseReason::cancel_request: return "cancel_request";
        case CloseReason::shutdown: return "shutdown";
        case CloseReason::limit: return "limit";
        case CloseReason::killed: return "killed";
        case CloseReason::internal: return "internal";
        case CloseReason::access_denied: return "access_denied";
        case CloseReason::too_many_clients: return "too_many_clients";
        case CloseReason::rate_limited: return "rate_limited";
        case CloseReason::idle_timeout: return "idle_timeout";
        case CloseReason::idle_in_transaction_timeout: return "idle_in_transaction_timeout";
        case CloseReason::transaction_timeout: return "transaction_timeout";
        case CloseReason::server_gone: return "server_gone";
    }
    std::abort();
}

// The first letter says who ended the session (N nobody: the normal end, C the client, S the server, P the
// proxy's policy, T a timeout, K an operator, R a resource limit, I the proxy itself), the second where (A
// accept or TLS, L login, I idle, X in a transaction, D in the established stream, - anywhere).
std::string_view end_code(CloseReason reason) {
    switch (reason) {
        case CloseReason::client_left: return "N-";
        case CloseReason::client_lost: return "C-";
        case CloseReason::protocol_error: return "CD";
        case CloseReason::login_failed: return "PL";
        case CloseReason::login_refused: return "PA";
        case CloseReason::login_timeout: return "TL";
        case CloseReason::tls_failed: return "CA";
        case CloseReason::cancel_request: return "NA";
        case CloseReason::shutdown: return "K-";
        case CloseReason::limit: return "R-";
        case CloseReason::killed: return "KA";
        case CloseReason::internal: return "I-";
        case CloseReason::access_denied: return "PL";
        case CloseReason::too_many_clients: return "RL";
        case CloseReason::rate_limited: return "RA";
        case CloseReason::idle_timeout: return "TI";
        case CloseReason::idle_in_transaction_timeout: return "TX";
        case CloseReason::transaction_timeout: return "TX";
        case CloseReason::server_gone: return "S-";
    }
    std::abort();
}

std::string_view to_string(HoldOutcome outcome) {
    switch (outcome) {
        case HoldOutcome::resumed: return "resumed";
        case HoldOutcome::timed_out: return "timed_out";
        case HoldOutcome::client_gone: return "client_gone";
        case HoldOutcome::cancelled: return "cancelled";
    }
    std::abort();
}

std::string_view to_string(LossOutcome outcome) {
    switch (outcome) {
        case LossOutcome::never_sent: return "never_sent";
        case LossOutcome::read_again: return "read_again";
        case LossOutcome::transaction_lost: return "transaction_lost";
        case LossOutcome::outcome_unknown: return "outcome_unknown";
        case LossOutcome::result_broken_off: return "result_broken_off";
        case LossOutcome::state_lost: return "state_lost";
    }
    std::abort();
}

std::string_view to_string(ServerConnectResult result) {
    switch (result) {
        case ServerConnectResult::ok: return "ok";
        case ServerConnectResult::unreachable: return "unreachable";
        case ServerConnectResult::timed_out: return "timed_out";
        case ServerConnectResult::tls: return "tls";
        case ServerConnectResult::auth: return "auth";
        case ServerConnectResult::too_many: return "too_many";
        case ServerConnectResult::refused: return "refused";
    }
    std::abort();
}

std::string_view to_string(ServerConnectionState state) {
    switch (state) {
        case ServerConnectionState::opening: return "opening";
        case ServerConnectionState::busy: return "busy";
        case ServerConnectionState::idle: return "idle";
    }
    std::abort();
}

std::string_view to_string(PinReason reason) {
    switch (reason) {
        case PinReason::temporary: return "temporary_tables";
        case PinReason::settings: return "settings";
        case PinReason::advisory_locks: return "advisory_locks";
        case PinReason::cursors: return "cursors";
        case PinReason::replication: return "replication";
        case PinReason::variables: return "variables";
        case PinReason::table_locks: return "table_locks";
        case PinReason::handlers: return "handlers";
        case PinReason::long_data: return "long_data";
    }
    std::abort();
}

std::string_view to_string(ClientState state) {
    switch (state) {
        case ClientState::login: return "login";
        case ClientState::idle: return "idle";
        case ClientState::active: return "active";
        case ClientState::in_transaction: return "in_transaction";
        case ClientState::held: return "held";
    }
    std::abort();
}

}  // namespace holdfast::engine
