#pragma once

#include <span>
#include <string>
#include <string_view>

/// Every metric there is, one row each: what /metrics shows, and what METRICS.md is made from.
namespace holdfast::admin {

enum class MetricKind { counter, gauge, histogram };
/// The word of the text format.
std::string_view to_string(MetricKind kind);

/// A histogram's upper bounds, in seconds.
using Buckets = std::span<const double>;

/// For MetricRow::at_start.
inline constexpr std::string_view all_series = "all";
inline constexpr std::string_view no_series = "";

struct MetricRow {
    std::string_view name;
    MetricKind kind;
    std::string_view labels;  // separated by commas
    std::string_view help;    // one sentence, and what an operator must know to read it
    Buckets buckets = {};     // a histogram's
    /// Which series there are before their first event: of labels with many words these, separated by commas.
    std::string_view at_start = all_series;
};

// Two bounds a decade: a quantile is known within a factor of three, which tells a slow server from a fast
// one.
inline constexpr double statement_buckets[] = {0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};
inline constexpr double waiting_buckets[] = {0.001, 0.01, 0.1, 1, 5, 30};
inline constexpr double connect_buckets[] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3};
inline constexpr double hold_buckets[] = {0.01, 0.1, 0.5, 1, 5, 10, 30, 60};
inline constexpr double failover_buckets[] = {0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 120};
inline constexpr double loop_lag_buckets[] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1};

namespace rows {

inline constexpr MetricRow build_info{"holdfast_build_info", MetricKind::gauge, "version",
                                      "1, with the version of the program as label."};
inline constexpr MetricRow start_time{"holdfast_start_time_seconds", MetricKind::gauge, "",
                                      "When the process started, in seconds since 1970."};
inline constexpr MetricRow loop_lag{
    "holdfast_event_loop_lag_seconds", MetricKind::histogram, "",
    "How late timers ran on the event loop. Above 0.1 s the proxy itself delays its clients.",
    loop_lag_buckets};
inline constexpr MetricRow loop_idle{"holdfast_event_loop_idle_seconds_total", MetricKind::counter, "",
                                     "Time that the event loop waited for something to do. 1 less the rate "
                                     "of this is its utilisation; near 1 it is full."};
inline constexpr MetricRow draining{
    "holdfast_draining", MetricKind::gauge, "",
    "1 while the proxy is ending: nobody is let in, and clients leave as they fall idle."};
inline constexpr MetricRow buffer_memory{"holdfast_buffer_bytes", MetricKind::gauge, "",
                                         "Memory of the connections' queues: what was read and not consumed "
                                         "yet, or written and not taken by the peer."};
inline constexpr MetricRow log_messages{
    "holdfast_log_messages_total", MetricKind::counter, "level",
    "Log lines, by level. Lines that a slow reader of stderr made the proxy drop are counted too."};
inline constexpr MetricRow admin_requests{"holdfast_admin_requests_total", MetricKind::counter, "page,code",
                                          "Requests to the admin address, by page (\"/api\": everything "
                                          "below it; \"other\": what is not there) and class of the status."};
inline constexpr MetricRow admin_actions{
    "holdfast_admin_actions_total", MetricKind::counter, "action,result",
    "What operators told the proxy to do, and whether it was done or refused."};
inline constexpr MetricRow tls_handshakes{"holdfast_tls_handshakes_total", MetricKind::counter,
                                          "side,version",
                                          "TLS handshakes completed, with clients and with servers."};
inline constexpr MetricRow tls_failures{
    "holdfast_tls_handshake_failures_total", MetricKind::counter, "side",
    "TLS handshakes that failed. A peer that just goes is not among them."};
inline constexpr MetricRow virtual_memory{"process_virtual_memory_bytes", MetricKind::gauge, "",
                                          "Virtual memory."};
inline constexpr MetricRow process_start{
    "process_start_time_seconds", MetricKind::gauge, "",
    "The same as holdfast_start_time_seconds, under the name that all programs use."};
inline constexpr MetricRow cpu_seconds{"process_cpu_seconds_total", MetricKind::counter, "",
                                       "CPU time used, user and system."};
inline constexpr MetricRow resident_memory{"process_resident_memory_bytes", MetricKind::gauge, "",
                                           "Resident memory."};
inline constexpr MetricRow open_fds{"process_open_fds", MetricKind::gauge, "", "Open file descriptors."};
inline constexpr MetricRow max_fds{"process_max_fds", MetricKind::gauge, "",
                                   "The limit on open file descriptors (RLIMIT_NOFILE)."};
inline constexpr MetricRow reloads{
    "holdfast_config_reloads_total", MetricKind::counter, "result",
    "Reloads of the configuration: applied, rejected for an error, or unchanged "
    "because nothing in it or in the files that it names differs."};
inline constexpr MetricRow last_reload_successful{
    "holdfast_config_last_reload_successful", MetricKind::gauge, "",
    "1 while the file's configuration is the one in use, 0 after a reload that was rejected."};
inline constexpr MetricRow config_in_sync{"holdfast_config_file_in_sync", MetricKind::gauge, "",
                                          "1 while the configuration file and those it names are the ones in "
                                          "use; 0 when one differs, or when a key "
                                          "waits for a restart. Looked at every 10 s."};
inline constexpr MetricRow last_reload_success_time{
    "holdfast_config_last_reload_success_timestamp_seconds", MetricKind::gauge, "",
    "When the configuration in use was applied, in seconds since 1970."};

inline constexpr MetricRow client_connections_limit{
    "holdfast_client_connections_limit", MetricKind::gauge, "",
    "proxy.max_clients: how many clients are let in, all clusters together."};

inline constexpr MetricRow certificate_end{
    "holdfast_tls_certificate_not_after_timestamp_seconds", MetricKind::gauge, "cluster,listener",
    "When the certificate that the listener shows its clients ends, in seconds since 1970. The listener is "
    "named by its first address."};

inline constexpr MetricRow client_connections{
    "holdfast_client_connections", MetricKind::gauge, "cluster,state",
    "Client connections now, by what they do. \"held\" waits for a server."};
inline constexpr MetricRow client_accepts{"holdfast_client_accepts_total", MetricKind::counter, "cluster",
                                          "Connections accepted from clients."};
inline constexpr MetricRow client_login{
    "holdfast_client_login_duration_seconds", MetricKind::histogram, "cluster",
    "From the accept of a client to the end of its login; its count is the number of logins that succeeded.",
    connect_buckets};
inline constexpr MetricRow client_disconnects{"holdfast_client_disconnects_total",
                                              MetricKind::counter,
                                              "cluster,reason",
                                              "Client connections that ended, by why.",
                                              {},
                                              "client_left,login_failed,internal"};
inline constexpr MetricRow paused{"holdfast_cluster_paused", MetricKind::gauge, "cluster",
                                  "1 while an operator has paused the cluster: statements wait."};
inline constexpr MetricRow pinned{"holdfast_sessions_pinned",
                                  MetricKind::gauge,
                                  "cluster,reason",
                                  "Sessions tied to their connection to the primary by state that can't be "
                                  "moved, by what it is; one may have several.",
                                  {},
                                  "temporary_tables"};
inline constexpr MetricRow client_bytes{"holdfast_client_bytes_total", MetricKind::counter,
                                        "cluster,direction", "Bytes received from clients and sent to them."};

inline constexpr MetricRow server_connections{
    "holdfast_server_connections",
    MetricKind::gauge,
    "cluster,server,state",
    "Connections to the server now: being opened, busy (a session has it) or idle in the pool.",
    {},
    "busy,idle"};
inline constexpr MetricRow server_connects{"holdfast_server_connects_total",
                                           MetricKind::counter,
                                           "cluster,server,result",
                                           "Connections tried to the server, by result.",
                                           {},
                                           "ok,too_many"};
inline constexpr MetricRow server_connect{"holdfast_server_connect_duration_seconds", MetricKind::histogram,
                                          "cluster", "What connecting to servers took: TCP, TLS and login.",
                                          connect_buckets};
inline constexpr MetricRow pool_limit{
    "holdfast_pool_connections_limit", MetricKind::gauge, "cluster",
    "pool.max_connections: how many connections each user and database may have to each server."};
inline constexpr MetricRow pool_waiting{
    "holdfast_pool_waiting", MetricKind::gauge, "cluster",
    "Statements that wait for a connection now because pool.max_connections are in use."};
inline constexpr MetricRow pool_wait{"holdfast_pool_wait_duration_seconds",
                                     MetricKind::histogram,
                                     "cluster",
                                     "How long statements waited because pool.max_connections were in use; "
                                     "its count is the number of such waits.",
                                     hold_buckets,
                                     no_series};
inline constexpr MetricRow server_bytes{"holdfast_server_bytes_total", MetricKind::counter,
                                        "cluster,server,direction",
                                        "Bytes received from the server and sent to it."};
inline constexpr MetricRow administrative_state{
    "holdfast_server_administrative_state",
    MetricKind::gauge,
    "cluster,server,state",
    "1 for what an operator says of the server (ready, drain, maintenance), 0 for what it was before.",
    {},
    "ready"};
inline constexpr MetricRow weight{"holdfast_server_weight", MetricKind::gauge, "cluster,server",
                                  "The share of the reads that the server is to get now; grows to the "
                                  "configured weight in its slow start."};
inline constexpr MetricRow readers{"holdfast_server_readers", MetricKind::gauge, "cluster,server",
                                   "Sessions that read from the server."};
inline constexpr MetricRow downtime{"holdfast_server_downtime_seconds_total",
                                    MetricKind::counter,
                                    "cluster,server",
                                    "Time that the server was down, since the proxy started.",
                                    {},
                                    no_series};
inline constexpr MetricRow health_checks{
    "holdfast_health_checks_total",
    MetricKind::counter,
    "cluster,server,result",
    "Probes of the server, by result, which names the layer that failed.",
    {},
    "ok"};
inline constexpr MetricRow health_check_seconds{
    "holdfast_health_check_seconds_total", MetricKind::counter, "cluster,server",
    "Time that probes of the server took. Over the rate of holdfast_health_checks_total it is their mean."};
inline constexpr MetricRow replication_running{
    "holdfast_replication_running",
    MetricKind::gauge,
    "cluster,server",
    "1 while the replica receives and applies (PostgreSQL: its WAL receiver streams; MySQL: all threads "
    "run), 0 while it does not; NaN for a primary and while unknown.",
    {},
    no_series};
inline constexpr MetricRow lag_limit{"holdfast_replication_lag_limit_seconds", MetricKind::gauge, "cluster",
                                     "routing.max_lag.time: a replica that is further behind gets no reads."};
inline constexpr MetricRow corrections{
    "holdfast_corrections_total", MetricKind::counter, "cluster",
    "Statements that a replica refused as writes and that ran on the primary instead."};
inline constexpr MetricRow server_up{
    "holdfast_server_up", MetricKind::gauge, "cluster,server",
    "1 while the server answers, whatever its role or state; 0 while it is starting or down."};
inline constexpr MetricRow server_state{"holdfast_server_state",
                                        MetricKind::gauge,
                                        "cluster,server,state",
                                        "1 for the state that the server is in, 0 for those that it was in.",
                                        {},
                                        "starting"};
inline constexpr MetricRow server_state_changes{"holdfast_server_state_changes_total", MetricKind::counter,
                                                "cluster,server", "Changes of the server's state."};
inline constexpr MetricRow server_role{"holdfast_server_role",
                                       MetricKind::gauge,
                                       "cluster,server,role",
                                       "1 for the role that the server has, 0 for those that it had.",
                                       {},
                                       no_series};
inline constexpr MetricRow server_readable{"holdfast_server_readable", MetricKind::gauge, "cluster,server",
                                           "1 while reads may go to this replica."};
inline constexpr MetricRow lag_seconds{
    "holdfast_replication_lag_seconds",
    MetricKind::gauge,
    "cluster,server",
    "Age of the newest primary position that the replica has replayed; NaN while unknown, never 0 then.",
    {},
    no_series};
inline constexpr MetricRow lag_bytes{"holdfast_replication_lag_bytes",
                                     MetricKind::gauge,
                                     "cluster,server",
                                     "How far the replica is behind the primary; NaN while unknown.",
                                     {},
                                     no_series};
inline constexpr MetricRow server_timeline{"holdfast_server_timeline",
                                           MetricKind::gauge,
                                           "cluster,server",
                                           "PostgreSQL's timeline that the server is on; NaN while unknown.",
                                           {},
                                           no_series};
inline constexpr MetricRow server_position{
    "holdfast_server_position_bytes",
    MetricKind::gauge,
    "cluster,server",
    "The newest position reported, written (primary) or replayed (replica); NaN while unknown.",
    {},
    no_series};

inline constexpr MetricRow statements{
    "holdfast_statements_total",
    MetricKind::counter,
    "cluster,server,target",
    "Statements, by the server that they were sent to and what it was chosen "
    "as.",
    {},
    no_series};
inline constexpr MetricRow routing_decisions{
    "holdfast_routing_decisions_total",
    MetricKind::counter,
    "cluster,target,route,reason",
    "Statements, by what kind of server they were sent to, what decided that, "
    "and what the classifier said of them.",
    {},
    no_series};
inline constexpr MetricRow statement_duration{
    "holdfast_statement_duration_seconds", MetricKind::histogram, "cluster,target",
    "From a statement's arrival to the end of its answer, waiting included.", statement_buckets};
inline constexpr MetricRow statement_waiting{
    "holdfast_statement_waiting_duration_seconds", MetricKind::histogram, "cluster",
    "The part of holdfast_statement_duration_seconds before the statement was sent: a server, a connection "
    "or its turn were missing.",
    waiting_buckets};
inline constexpr MetricRow statement_server{
    "holdfast_statement_server_duration_seconds", MetricKind::histogram, "cluster,target",
    "The part of holdfast_statement_duration_seconds from sending the statement (or the end of the one "
    "before it) to the end of its answer.",
    statement_buckets};
inline constexpr MetricRow state_replays{
    "holdfast_state_replays_total", MetricKind::counter, "cluster,result",
    "Times that a connection was brought to a session's state before it was used."};
inline constexpr MetricRow statement_errors{
    "holdfast_statement_errors_total",
    MetricKind::counter,
    "cluster,class",
    "Errors that clients got, by the SQLSTATE's class (its first two characters).",
    {},
    "other"};
inline constexpr MetricRow held_statements{"holdfast_held_statements", MetricKind::gauge, "cluster",
                                           "Statements that wait for a server now."};
inline constexpr MetricRow held_statements_total{"holdfast_held_statements_total", MetricKind::counter,
                                                 "cluster,outcome",
                                                 "Statements that waited, by how it ended."};
inline constexpr MetricRow hold_duration{
    "holdfast_hold_duration_seconds",           MetricKind::histogram, "cluster",
    "How long statements waited for a server.", hold_buckets,          no_series};
inline constexpr MetricRow losses{"holdfast_losses_total", MetricKind::counter, "cluster,outcome",
                                  "What became of statements and transactions whose server was lost. "
                                  "\"never_sent\" and \"read_again\" cost "
                                  "the client nothing but time."};
inline constexpr MetricRow cancel_requests{"holdfast_cancel_requests_total", MetricKind::counter,
                                           "cluster,result",
                                           "Cancel requests, by whether their key named a session."};
inline constexpr MetricRow query_timeouts{
    "holdfast_query_timeouts_total", MetricKind::counter, "cluster",
    "Cancel requests sent to servers because of timeouts.query or timeouts.transaction."};
inline constexpr MetricRow stale_reads_avoided{
    "holdfast_stale_reads_avoided_total", MetricKind::counter, "cluster",
    "Reads sent elsewhere because a replica might have missed the session's last write."};

inline constexpr MetricRow failovers{"holdfast_failovers_total", MetricKind::counter, "cluster",
                                     "Failovers completed: a new primary has answered its first write."};
inline constexpr MetricRow failover_duration{
    "holdfast_failover_duration_seconds", MetricKind::histogram, "cluster",
    "From the loss of the old primary to the first write that the new one answered.", failover_buckets};
inline constexpr MetricRow primary_present{"holdfast_primary_present", MetricKind::gauge, "cluster",
                                           "1 while a primary is known."};
inline constexpr MetricRow primary_info{
    "holdfast_primary_info",
    MetricKind::gauge,
    "cluster,server",
    "1 for the server that takes the writes, 0 for those that did before.",
    {},
    no_series};
inline constexpr MetricRow write_unavailable{
    "holdfast_write_unavailable_seconds_total", MetricKind::counter, "cluster",
    "Time without a primary, since the proxy started: what availability of writes is computed from."};
inline constexpr MetricRow primary_epoch{
    "holdfast_primary_epoch", MetricKind::gauge, "cluster",
    "Grows with every change of the primary: changed, lost or back. Starts anew with the process."};
inline constexpr MetricRow primary_changes{"holdfast_primary_changes_total", MetricKind::counter, "cluster",
                                           "Times that another server became the primary."};
inline constexpr MetricRow split_brain{"holdfast_split_brain_detected", MetricKind::gauge, "cluster",
                                       "1 while two servers of the cluster are writable. Act at once."};

}  // namespace rows

/// All rows, in the order of the reference.
std::span<const MetricRow* const> all_metric_rows();

/// METRICS.md: a test compares it with the file.
std::string metrics_reference();

}  // namespace holdfast::admin
