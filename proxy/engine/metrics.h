#pragma once

#include <cstdint>
#include <string_view>

#include "health/view.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/sql/classify.h"

namespace holdfast::engine {

/// Where a statement was sent.
enum class Target : uint8_t { primary, replica, proxy /* answered by the proxy itself */ };
inline constexpr int target_count = 3;
std::string_view to_string(Target target);

/// Why it went there: the classifier's reason, or one of routing's own.
enum class RouteReason : uint8_t {
    classified,      // the classifier's reason says it
    in_transaction,  // its transaction is there
    pinned,          // session state that can't move is there
    rule,
    listener_role,
    learned,           // refused by a replica before
    read_your_writes,  // the session's last write is not known to be replayed elsewhere
    lag,               // every replica lags
    no_replica,
    oversize,
    consistency,  // routing.consistency = "primary", or primary_reads
};
inline constexpr int route_reason_count = 11;
std::string_view to_string(RouteReason reason);

/// Why a client's session ended.
enum class CloseReason : uint8_t {
    client_left,  // Terminate, or an orderly end of stream
    client_lost,  // reset
    protocol_error,
    login_failed,   // wrong user or password
    login_refused,  // shutting down, no server, a server's refusal
    login_timeout,
    tls_failed,
    cancel_request,  // the connection carried a cancel request only
    shutdown,
    limit,   // a configured limit on an established session
    killed,  // by an operator
    internal,
    access_denied,     // a listener's `allow`, or an access rule
    too_many_clients,  // max_clients, or a limit on connections of a user or to a database
    rate_limited,      // too many connections, or failed logins, from one address
    idle_timeout,
    idle_in_transaction_timeout,
    transaction_timeout,
    server_gone,  // of a byte relay: its server ended it, or is not the primary any more
};
inline constexpr int close_reason_count = 19;
std::string_view to_string(CloseReason reason);
/// The two-letter end code of the session's log line (operations guide).
std::string_view end_code(CloseReason reason);

enum class HoldOutcome : uint8_t { resumed, timed_out, client_gone, cancelled };
inline constexpr int hold_outcome_count = 4;
std::string_view to_string(HoldOutcome outcome);

/// What became of a statement or transaction whose server was lost.
enum class LossOutcome : uint8_t {
    never_sent,        // waits and is sent to the new server
    read_again,        // a read with nothing received, run again elsewhere
    transaction_lost,  // 40001
    outcome_unknown,   // 08007
    result_broken_off,
    state_lost,  // pinned session state
};
inline constexpr int loss_outcome_count = 6;
std::string_view to_string(LossOutcome outcome);

enum class ServerConnectResult : uint8_t { ok, unreachable, timed_out, tls, auth, too_many, refused };
inline constexpr int server_connect_result_count = 7;
std::string_view to_string(ServerConnectResult result);

/// What becomes of a connection to a server: made, in a session's hands, in the pool (or on its way there).
enum class ServerConnectionState : uint8_t { opening, busy, idle };
inline constexpr int server_connection_state_count = 3;
std::string_view to_string(ServerConnectionState state);

enum class ClientState : uint8_t { login, idle, active, in_transaction, held };
inline constexpr int client_state_count = 5;
std::string_view to_string(ClientState state);

/// What ties a session to its connection to the primary (dialect::Pins).
enum class PinReason : uint8_t {
    temporary,
    settings,
    advisory_locks,
    cursors,
    replication,
    variables,
    table_locks,
    handlers,
    long_data,
};
inline constexpr int pin_reason_count = 9;
std::string_view to_string(PinReason reason);
/// Bit n stands for the PinReason of that number.
using PinSet = uint16_t;

/// What happens in one cluster, as events; implemented by proxy/admin over prometheus-cpp. Called on the
/// hot path: implementations find nothing by string there. `server` is a ServerId of the cluster.
class ClusterMetrics {
public:
    virtual ~ClusterMetrics() = default;
    virtual void client_accepted() = 0;
    virtual void client_logged_in(Duration login) = 0;
    virtual void client_closed(CloseReason reason) = 0;
    virtual void client_state(ClientState from, ClientState to) = 0;  // moves one client between gauges
    virtual void client_state_entered(ClientState state) = 0;         // a new client
    virtual void client_state_left(ClientState state) = 0;            // a client that is gone
    virtual void client_bytes(size_t received, size_t sent) = 0;      // since the last call
    virtual void session_pins(PinSet before, PinSet now) = 0;
    virtual void server_connect(ServerId server, ServerConnectResult result, Duration took) = 0;
    virtual void server_connection_entered(ServerId server, ServerConnectionState state) = 0;
    virtual void server_connection_state(ServerId server, ServerConnectionState from,
                                         ServerConnectionState to) = 0;
    virtual void server_connection_left(ServerId server, ServerConnectionState state) = 0;
    virtual void server_bytes(ServerId server, size_t received, size_t sent) = 0;
    virtual void statement(ServerId server, Target target, RouteReason route, sql::Reason classified) = 0;
    /// `waited` before it was sent (or sent again), `served` from then to the end of the answer.
    virtual void statement_done(Target target, Duration waited, Duration served) = 0;
    virtual void statement_error(
        std::string_view sqlstate) = 0;           // labelled by its class (first two characters)
    virtual void corrected(ServerId server) = 0;  // refused by a replica, run on the primary
    virtual void hold_began() = 0;
    virtual void hold_ended(HoldOutcome outcome, Duration held) = 0;
    virtual void pool_wait_began() = 0;  // a held statement found pool.max_connections in use
    virtual void pool_wait_ended(Duration waited) = 0;
    virtual void state_replayed(bool succeeded) = 0;  // a connection was brought to a session's state
    virtual void loss(LossOutcome outcome) = 0;
    virtual void cancel_request(bool found) = 0;
    virtual void query_timed_out() = 0;  // and is being cancelled at its server
    virtual void stale_read_avoided() = 0;
    /// The first write answered by a new primary; `outage` since the last good answer of the old one's loss.
    virtual void failover_completed(Duration outage) = 0;
    virtual void view_changed(const health::View& view) = 0;
};

}  // namespace holdfast::engine
