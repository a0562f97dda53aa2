#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "health/observation.h"
#include "health/view.h"
#include "proxy/admin/series.h"
#include "proxy/engine/metrics.h"

namespace holdfast::admin {

inline constexpr size_t server_state_count = 8;
inline constexpr size_t server_role_count = 3;
inline constexpr size_t duty_count = 3;  // that are shown: what is removed has no series
inline constexpr size_t probe_outcome_count = 13;
inline constexpr int sql_reason_count = static_cast<int>(sql::Reason::too_long) + 1;

/// Shows what was counted in plain numbers since the last time.
inline void publish_count(prometheus::Counter& shown, uint64_t& unpublished) {
    if (unpublished > 0) shown.Increment(static_cast<double>(unpublished));
    unpublished = 0;
}

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
    void count_statement(engine::Target target, engine::RouteReason route, sql::Reason classified) {
        if (!statements_) statements_ = std::make_unique<StatementCounts>();
        StatementCount& count = (*statements_)[static_cast<size_t>(target)][static_cast<size_t>(route)]
                                              [static_cast<size_t>(classified)];
        if (count.counter == nullptr) make_statement_series(count, target, route, classified);
        ++count.unpublished;
    }
    /// To be called before the series are read.
    void publish();

private:
    /// Made at the first statement of its kind: most combinations never occur.
    struct StatementCount {
        prometheus::Counter* counter = nullptr;
        uint64_t unpublished = 0;
    };
    /// [target][route][reason]
    using StatementCounts =
        std::array<std::array<std::array<StatementCount, static_cast<size_t>(sql_reason_count)>,
                              static_cast<size_t>(engine::route_reason_count)>,
                   static_cast<size_t>(engine::target_count)>;
    void make_statement_series(StatementCount& count, engine::Target target, engine::RouteReason route,
                               sql::Reason classified);

    std::string name_;
    Series series_;
    prometheus::Gauge* up_;
    std::array<prometheus::Gauge*, server_state_count> state_{};
    std::array<prometheus::Gauge*, server_role_count> role_{};
    prometheus::Counter* state_changes_;
    prometheus::Gauge* readable_;
    prometheus::Gauge* lag_seconds_;
    prometheus::Gauge* lag_bytes_;
    prometheus::Gauge* timeline_;
    prometheus::Gauge* position_;
    prometheus::Gauge* primary_;
    std::array<prometheus::Gauge*, duty_count> duty_{};
    prometheus::Gauge* weight_;
    prometheus::Gauge* readers_;
    prometheus::Counter* downtime_;
    std::array<prometheus::Counter*, probe_outcome_count> probes_{};
    prometheus::Counter* probe_seconds_;
    prometheus::Gauge* replication_running_;
    std::array<prometheus::Gauge*, static_cast<size_t>(engine::server_connection_state_count)> connections_{};
    prometheus::Counter* bytes_received_;
    prometheus::Counter* bytes_sent_;
    std::unique_ptr<StatementCounts> statements_;  // null: it had no statement yet
    std::vector<StatementCount*> used_;            // those of them that have a series
    Duration down_{};                              // the times that are over
    std::optional<TimePoint> down_since_;
    health::ServerState shown_state_ = health::ServerState::starting;

public:
    std::array<int64_t, static_cast<size_t>(engine::server_connection_state_count)> connections{};
    uint64_t bytes_received = 0;  // not published yet
    uint64_t bytes_sent = 0;
    std::array<prometheus::Counter*, static_cast<size_t>(engine::server_connect_result_count)> connects{};
    prometheus::Histogram* connect_duration;
    prometheus::Counter* corrections;
};

}  // namespace holdfast::admin
