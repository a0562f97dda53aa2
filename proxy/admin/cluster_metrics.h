#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "health/observation.h"
#include "proxy/admin/fast_histogram.h"
#include "proxy/admin/late_series.h"
#include "proxy/admin/series.h"
#include "proxy/admin/server_series.h"
#include "proxy/admin/statement_counts.h"
#include "proxy/engine/metrics.h"

namespace holdfast::admin {

/// What is not told as events, but looked at when the metrics are read.
struct ClusterSample {
    TimePoint now{};
    bool is_paused = false;
    Duration lag_limit{};
    uint32_t pool_limit = 0;
    std::vector<uint32_t> weights;  // by server, as the view orders them
    std::vector<uint32_t> readers;  // likewise
};

/// One cluster's events as Prometheus series. Owned by PrometheusMetrics. What is called per statement
/// finds its series through arrays indexed by enums, and is counted in plain numbers: the counters of
/// prometheus-cpp are made for threads, and each change of one waits for the processor's memory. publish()
/// brings them up to date.
class PrometheusClusterMetrics final : public engine::ClusterMetrics {
public:
    PrometheusClusterMetrics(MetricStore& store, const std::string& cluster,
                             const std::vector<std::string>& servers);

    /// To be called before the series are read, after show().
    void publish();
    void show(const ClusterSample& sample);
    /// A probe has ended.
    void probed(const health::Observation& observation);

    void client_accepted() override;
    void client_logged_in(Duration login) override;
    void client_closed(engine::CloseReason reason) override;
    void client_state(engine::ClientState from, engine::ClientState to) override;
    void client_state_entered(engine::ClientState state) override;
    void client_state_left(engine::ClientState state) override;
    void client_bytes(size_t received, size_t sent) override;
    void session_pins(engine::PinSet before, engine::PinSet now) override;
    void server_connect(ServerId server, engine::ServerConnectResult result, Duration took) override;
    void server_connection_entered(ServerId server, engine::ServerConnectionState state) override;
    void server_connection_state(ServerId server, engine::ServerConnectionState from,
                                 engine::ServerConnectionState to) override;
    void server_connection_left(ServerId server, engine::ServerConnectionState state) override;
    void server_bytes(ServerId server, size_t received, size_t sent) override;
    void statement(ServerId server, engine::Target target, engine::RouteReason route,
                   sql::Reason classified) override;
    void statement_done(engine::Target target, Duration waited, Duration served) override;
    void statement_error(std::string_view sqlstate) override;
    void corrected(ServerId server) override;
    void hold_began() override;
    void hold_ended(engine::HoldOutcome outcome, Duration held) override;
    void pool_wait_began() override;
    void pool_wait_ended(Duration waited) override;
    void state_replayed(bool succeeded) override;
    void loss(engine::LossOutcome outcome) override;
    void cancel_request(bool found) override;
    void query_timed_out() override { query_timeouts_->Increment(); }
    void stale_read_avoided() override;
    void failover_completed(Duration outage) override;
    void view_changed(const health::View& view) override;

private:
    /// nullptr: no server of this cluster (any more).
    ServerSeries* find(ServerId server);
    void match_servers(const health::View& view);
    void show_primary(const health::View& view);
    void show_outage(TimePoint now);
    /// Of statements that a server answers.
    struct StatementTimes {
        FastHistogram total;
        FastHistogram server;
    };

    template <int count>
    using Counters = std::array<prometheus::Counter*, static_cast<size_t>(count)>;
    template <int count>
    using Gauges = std::array<prometheus::Gauge*, static_cast<size_t>(count)>;

    MetricStore* store_;
    std::string cluster_;
    Series series_;

    prometheus::Counter* accepts_;
    prometheus::Histogram* login_;
    LateCounters disconnects_;
    prometheus::Histogram* server_connect_;
    prometheus::Counter* corrections_;
    DecisionCounts decisions_;
    Gauges<engine::client_state_count> clients_{};
    prometheus::Counter* bytes_received_;
    prometheus::Counter* bytes_sent_;
    uint64_t received_unpublished_ = 0;
    uint64_t sent_unpublished_ = 0;
    LateGauges pinned_;
    std::array<int64_t, static_cast<size_t>(engine::pin_reason_count)> pinned_now_{};
    prometheus::Gauge* paused_;
    std::array<int64_t, static_cast<size_t>(engine::client_state_count)> clients_in_{};
    std::vector<StatementTimes> times_;  // by target: primary, replica
    FastHistogram waiting_;
    LateCounters errors_;
    prometheus::Gauge* held_;
    Counters<engine::hold_outcome_count> hold_outcomes_{};
    LateHistogram hold_duration_;
    prometheus::Gauge* pool_limit_;
    prometheus::Gauge* pool_waiting_;
    LateHistogram pool_wait_;
    prometheus::Counter* replays_done_;
    prometheus::Counter* replays_failed_;
    Counters<engine::loss_outcome_count> losses_{};
    prometheus::Counter* cancels_found_;
    prometheus::Counter* cancels_not_found_;
    prometheus::Counter* query_timeouts_;
    prometheus::Counter* stale_reads_avoided_;
    prometheus::Counter* failovers_;
    prometheus::Histogram* failover_duration_;
    prometheus::Gauge* primary_present_;
    prometheus::Gauge* primary_epoch_;
    prometheus::Counter* primary_changes_;
    prometheus::Gauge* split_brain_;
    prometheus::Gauge* lag_limit_;
    prometheus::Counter* write_unavailable_;
    Duration outages_{};                       // that are over
    std::optional<TimePoint> outage_began_{};  // of the present one

    std::vector<std::unique_ptr<ServerSeries>> servers_;  // servers_[id - 1]
    std::string last_primary_;                            // by name, which survives a reload; empty: none yet
};

}  // namespace holdfast::admin
