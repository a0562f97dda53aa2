#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "health/observation.h"
#include "health/view.h"
#include "proxy/admin/late_series.h"
#include "proxy/admin/series.h"
#include "proxy/admin/statement_counts.h"
#include "proxy/engine/metrics.h"

namespace holdfast::admin {

inline constexpr size_t server_state_count = 8;
inline constexpr size_t server_role_count = 3;
inline constexpr size_t duty_count = 3;  // that are shown: what is removed has no series
inline constexpr size_t probe_outcome_count = 13;
/// One server's series. Public members for the events that PrometheusClusterMetrics counts.
class ServerSeries {
public:
    ServerSeries(MetricStore& store, const std::string& cluster, const std::string& server);

    const std::string& name() const { return name_; }
    /// Shows what the topology believes of this server.
    void show(const health::ServerView& view, bool is_primary);
    void show_share(uint32_t weight, uint32_t readers);
    void show_downtime(TimePoint now);
    void count_probe(const health::Observation& observation);
    void count_statement(engine::Target target) { statements_.count(target); }
    /// To be called before the series are read.
    void publish();

private:
    std::string name_;
    Series series_;
    prometheus::Gauge* up_;
    StateSet state_;
    StateSet role_;
    StateSet duty_;
    KnownGauge lag_seconds_;
    KnownGauge lag_bytes_;
    KnownGauge timeline_;
    KnownGauge position_;
    KnownGauge replication_running_;
    LateCounters probes_;
    LateGauges connections_;
    ServerStatementCounts statements_;
    prometheus::Counter* state_changes_;
    prometheus::Gauge* readable_;
    prometheus::Gauge* primary_ = nullptr;  // null: it never was the primary
    prometheus::Gauge* weight_;
    prometheus::Gauge* readers_;
    prometheus::Counter* downtime_ = nullptr;  // null: it never was down
    prometheus::Counter* probe_seconds_;
    prometheus::Counter* bytes_received_;
    prometheus::Counter* bytes_sent_;
    Duration down_{};  // the times that are over
    std::optional<TimePoint> down_since_;
    health::ServerState shown_state_ = health::ServerState::starting;

public:
    std::array<int64_t, static_cast<size_t>(engine::server_connection_state_count)> connections{};
    uint64_t bytes_received = 0;  // not published yet
    uint64_t bytes_sent = 0;
    LateCounters connects;  // by engine::ServerConnectResult
};

}  // namespace holdfast::admin
