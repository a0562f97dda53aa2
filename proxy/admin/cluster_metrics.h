#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admin/series.h"
#include "proxy/admin/server_series.h"
#include "proxy/admin/sqlstate_class.h"
#include "proxy/engine/metrics.h"

namespace holdfast::admin {

inline constexpr int sql_reason_count = static_cast<int>(sql::Reason::too_long) + 1;

/// One cluster's events as Prometheus series. Owned by PrometheusMetrics. What is called per statement
/// finds its series through arrays indexed by enums, and is counted in plain numbers: the counters of
/// prometheus-cpp are made for threads, and each change of one waits for the processor's memory. publish()
/// brings them up to date.
class PrometheusClusterMetrics final : public engine::ClusterMetrics {
public:
    PrometheusClusterMetrics(MetricStore& store, const std::string& cluster,
                             const std::vector<std::string>& servers);

    /// To be called before the series are read.
    void publish();

    void client_accepted() override;
    void client_logged_in(Duration login) override;
    void client_closed(engine::CloseReason reason) override;
    void client_state(engine::ClientState from, engine::ClientState to) override;
    void client_state_entered(engine::ClientState state) override;
    void client_state_left(engine::ClientState state) override;
    void client_bytes(size_t received, size_t sent) override;
    void server_connect(ServerId server, engine::ServerConnectResult result, Duration took) override;
    void server_connection_opened(ServerId server) override;
    void server_connection_closed(ServerId server) override;
    void statement(engine::Target target, engine::RouteReason route, sql::Reason classified) override;
    void statement_done(engine::Target target, ServerId server, Duration total) override;
    void statement_error(std::string_view sqlstate) override;
    void corrected(ServerId server) override;
    void hold_began() override;
    void hold_ended(engine::HoldOutcome outcome, Duration held) override;
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
    prometheus::Counter* make_statement_series(engine::Target target, engine::RouteReason route,
                                               sql::Reason classified);

    /// What a histogram has not been told yet.
    struct Durations {
        std::vector<double> in_bucket;  // one more than there are bounds
        double seconds = 0;
        bool is_empty = true;
    };
    struct StatementCount {
        prometheus::Counter* counter = nullptr;  // made at the first statement: most combinations never occur
        uint64_t unpublished = 0;
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
    Counters<engine::close_reason_count> disconnects_{};
    Gauges<engine::client_state_count> clients_{};
    prometheus::Counter* bytes_received_;
    prometheus::Counter* bytes_sent_;
    std::array<int64_t, static_cast<size_t>(engine::client_state_count)> clients_in_{};
    /// [target][route][reason]
    std::array<std::array<std::array<StatementCount, static_cast<size_t>(sql_reason_count)>,
                          static_cast<size_t>(engine::route_reason_count)>,
               static_cast<size_t>(engine::target_count)>
        statements_{};
    std::array<prometheus::Histogram*, static_cast<size_t>(engine::target_count)> statement_duration_{};
    std::array<Durations, static_cast<size_t>(engine::target_count)> durations_{};
    std::array<prometheus::Counter*, sqlstate_classes.size()> errors_{};
    prometheus::Gauge* held_;
    Counters<engine::hold_outcome_count> hold_outcomes_{};
    prometheus::Histogram* hold_duration_;
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

    std::vector<std::unique_ptr<ServerSeries>> servers_;  // servers_[id - 1]
    std::string last_primary_;                            // by name, which survives a reload; empty: none yet
};

}  // namespace holdfast::admin
