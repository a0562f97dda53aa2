#pragma once

#include <array>
#include <optional>
#include <string>

#include "health/view.h"
#include "proxy/admin/series.h"
#include "proxy/engine/metrics.h"

namespace holdfast::admin {

inline constexpr size_t server_state_count = 7;
inline constexpr size_t server_role_count = 3;

/// One server's series. Public members for the events that PrometheusClusterMetrics counts.
class ServerSeries {
public:
    ServerSeries(MetricStore& store, const std::string& cluster, const std::string& server);

    const std::string& name() const { return name_; }
    /// Shows what the topology believes of this server.
    void show(const health::ServerView& view);
    /// Before the series are read: what is counted in plain numbers becomes theirs.
    void publish();

private:
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
    prometheus::Counter* statements_;
    health::ServerState shown_state_ = health::ServerState::starting;

public:
    prometheus::Gauge* connections;
    std::array<prometheus::Counter*, static_cast<size_t>(engine::server_connect_result_count)> connects{};
    prometheus::Histogram* connect_duration;
    prometheus::Counter* corrections;
    uint64_t statements_unpublished = 0;
};

}  // namespace holdfast::admin
