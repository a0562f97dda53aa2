#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "protocol/base/clock.h"
#include "proxy/admin/admin_counters.h"
#include "proxy/admin/cluster_metrics.h"
#include "proxy/admin/series.h"

namespace holdfast::admin {

/// What the process shows of itself when its metrics are read, besides process_figures().
struct ProcessSample {
    bool is_draining = false;
    double loop_idle_seconds = 0;
    double buffer_bytes = 0;
    std::array<uint64_t, 4> log_lines{};  // by LogLevel
    struct Handshakes {
        uint64_t tls12 = 0;
        uint64_t tls13 = 0;
        uint64_t failed = 0;
    };
    Handshakes with_clients;
    Handshakes with_servers;
};

/// A certificate that clients are shown.
struct CertificateEnd {
    std::string cluster;
    std::string listener;  // its first address
    int64_t unix_seconds = 0;
    bool operator==(const CertificateEnd&) const = default;
};

/// All metrics of the program, over prometheus-cpp's counters; what is counted and how it is called is
/// metric_table.h. Made once at start and outlives everything that counts. For the event loop's thread.
class PrometheusMetrics {
public:
    /// `unix_seconds_now` is taken for the start of the process.
    explicit PrometheusMetrics(double unix_seconds_now);

    /// The metrics of one cluster, made at the first call with its name; live until forget() or the end of
    /// this object. Servers that a later view names appear by themselves.
    PrometheusClusterMetrics& cluster(const config::Cluster& cluster);
    /// A reload took the cluster away: its series vanish. Nobody may count on them any more.
    void forget(const std::string& cluster);

    void set_client_limit(uint32_t clients_max);
    /// What became of a configuration that was read.
    enum class ConfigResult { started, applied, unchanged, rejected };
    void config_read(ConfigResult result, double unix_seconds_now);
    /// Whether the files say what is in use.
    void set_config_in_sync(bool is_in_sync);
    void loop_was_late(Duration lag);
    /// The admin address gave an answer.
    void admin_answered(std::string_view method, std::string_view path, unsigned status);
    /// The listeners' certificates; in place of those before.
    void show_certificates(const std::vector<CertificateEnd>& ends);
    /// Whom to ask for samples, at the beginning of exposition(): show() and the clusters' show().
    void on_exposition(std::function<void()> take_samples) { take_samples_ = std::move(take_samples); }
    void show(const ProcessSample& sample);

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
    prometheus::Gauge* virtual_memory_;
    prometheus::Counter* loop_idle_;
    prometheus::Gauge* draining_;
    prometheus::Gauge* buffers_;
    std::array<prometheus::Counter*, 4> log_lines_{};
    struct Handshakes {
        prometheus::Counter* tls12;
        prometheus::Counter* tls13;
        prometheus::Counter* failed;
    };
    Handshakes make_handshakes(const char* side);
    Handshakes with_clients_;
    Handshakes with_servers_;
    AdminCounters admin_;
    std::vector<CertificateEnd> certificates_;
    std::unique_ptr<Series> certificate_series_;
    std::function<void()> take_samples_;
    std::map<std::string, std::unique_ptr<PrometheusClusterMetrics>> clusters_;
};

}  // namespace holdfast::admin
