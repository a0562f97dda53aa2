#pragma once

#include <map>
#include <memory>
#include <string>

#include "config/settings.h"
#include "protocol/base/clock.h"
#include "proxy/admin/cluster_metrics.h"
#include "proxy/admin/series.h"

namespace holdfast::admin {

/// All metrics of the program, over prometheus-cpp's counters; what is counted and how it is called is
/// metric_table.h. Made once at start and outlives everything that counts. For the event loop's thread.
class PrometheusMetrics {
public:
    /// `unix_seconds_now` is taken for the start of the process.
    explicit PrometheusMetrics(double unix_seconds_now);

    /// The metrics of one cluster, made at the first call with its name; live until forget() or the end of
    /// this object. Servers that a later view names appear by themselves.
    engine::ClusterMetrics& cluster(const config::Cluster& cluster);
    /// A reload took the cluster away: its series vanish. Nobody may count on them any more.
    void forget(const std::string& cluster);

    void set_client_limit(uint32_t clients_max);
    /// What became of a configuration that was read.
    enum class ConfigResult { started, applied, unchanged, rejected };
    void config_read(ConfigResult result, double unix_seconds_now);
    /// Whether the files say what is in use.
    void set_config_in_sync(bool is_in_sync);
    void loop_was_late(Duration lag);

    /// Everything as Prometheus text format 0.0.4, with the process's own figures as they are now.
    std::string exposition();

private:
    void sample_process();

    MetricStore store_;
    Series series_;
    prometheus::Histogram* loop_lag_;
    prometheus::Gauge* client_limit_;
    prometheus::Counter* reloads_applied_;
    prometheus::Counter* reloads_unchanged_;
    prometheus::Counter* reloads_rejected_;
    prometheus::Gauge* last_reload_successful_;
    prometheus::Gauge* config_in_sync_;
    prometheus::Gauge* last_reload_success_time_;
    prometheus::Counter* cpu_seconds_;
    prometheus::Gauge* resident_memory_;
    prometheus::Gauge* open_fds_;
    prometheus::Gauge* max_fds_;
    std::map<std::string, std::unique_ptr<PrometheusClusterMetrics>> clusters_;
};

}  // namespace holdfast::admin
