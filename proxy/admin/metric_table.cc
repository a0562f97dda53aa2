#include "proxy/admin/metric_table.h"

#include <cstdlib>
#include <sstream>

namespace holdfast::admin {

namespace {

constexpr const MetricRow* all_rows[] = {
    &rows::build_info,
    &rows::start_time,
    &rows::loop_lag,
    &rows::loop_idle,
    &rows::draining,
    &rows::buffer_memory,
    &rows::log_messages,
    &rows::admin_requests,
    &rows::admin_actions,
    &rows::tls_handshakes,
    &rows::tls_failures,
    &rows::cpu_seconds,
    &rows::resident_memory,
    &rows::virtual_memory,
    &rows::process_start,
    &rows::open_fds,
    &rows::max_fds,
    &rows::reloads,
    &rows::last_reload_successful,
    &rows::config_in_sync,
    &rows::last_reload_success_time,
    &rows::client_connections_limit,
    &rows::certificate_end,
    &rows::client_connections,
    &rows::client_accepts,
    &rows::client_login,
    &rows::client_disconnects,
    &rows::client_bytes,
    &rows::pinned,
    &rows::paused,
    &rows::server_connections,
    &rows::pool_limit,
    &rows::pool_waiting,
    &rows::pool_wait,
    &rows::server_connects,
    &rows::server_connect,
    &rows::server_bytes,
    &rows::server_up,
    &rows::server_state,
    &rows::server_state_changes,
    &rows::server_role,
    &rows::server_readable,
    &rows::administrative_state,
    &rows::weight,
    &rows::readers,
    &rows::downtime,
    &rows::health_checks,
    &rows::health_check_seconds,
    &rows::replication_running,
    &rows::lag_limit,
    &rows::lag_seconds,
    &rows::lag_bytes,
    &rows::server_timeline,
    &rows::server_position,
    &rows::statements,
    &rows::routing_decisions,
    &rows::statement_duration,
    &rows::statement_waiting,
    &rows::statement_server,
    &rows::state_replays,
    &rows::statement_errors,
    &rows::corrections,
    &rows::stale_reads_avoided,
    &rows::held_statements,
    &rows::held_statements_total,
    &rows::hold_duration,
    &rows::losses,
    &rows::cancel_requests,
    &rows::query_timeouts,
    &rows::failovers,
    &rows::failover_duration,
    &rows::primary_present,
    &rows::primary_info,
    &rows::write_unavailable,
    &rows::primary_epoch,
    &rows::primary_changes,
    &rows::split_brain,
};

}  // namespace

std::string_view to_string(MetricKind kind) {
    switch (kind) {
        case MetricKind::counter: return "counter";
        case MetricKind::gauge: return "gauge";
        case MetricKind::histogram: return "histogram";
    }
    std::abort();
}

std::span<const MetricRow* const> all_metric_rows() {
    return all_rows;
}

std::string metrics_reference() {
    std::ostringstream out;
    out << "# Metrics\n\n"
           "Served as text (Prometheus exposition format 0.0.4) at `/metrics` of the admin address. Times "
           "are "
           "seconds, sizes bytes.\n"
           "Labels come from the configuration (cluster and server names) and from closed sets of words, "
           "never "
           "from clients or their\n"
           "statements. A series is there from the start, at 0, where the fourth column says so; the others "
           "appear with the first\n"
           "event of their kind, or when their value is first known. This file is made from "
           "`metric_table.h`.\n\n"
           "| name | type | labels | from the start | meaning |\n"
           "| --- | --- | --- | --- | --- |\n";
    for (const MetricRow* row : all_rows) {
        out << "| `" << row->name << "` | " << to_string(row->kind) << " | ";
        for (const char c : row->labels) out << c << (c == ',' ? " " : "");
        out << " | ";
        if (row->at_start.empty()) out << "none";
        for (const char c : row->at_start) out << c << (c == ',' ? " " : "");
        out << " | " << row->help << " |\n";
    }
    out << "\n## Buckets\n\nUpper bounds of the histograms, in seconds.\n\n| name | bounds |\n| --- | --- "
           "|\n";
    for (const MetricRow* row : all_rows) {
        if (row->kind != MetricKind::histogram) continue;
        out << "| `" << row->name << "` | ";
        bool first = true;
        for (const double bound : row->buckets) {
            out << (first ? "" : ", ") << bound;
            first = false;
        }
        out << " |\n";
    }
    return out.str();
}

}  // namespace holdfast::admin
