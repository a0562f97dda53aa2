#include "proxy/admin/metrics.h"

#include <chrono>
#include <vector>

#include "proxy/admin/process_figures.h"

namespace holdfast::admin {

PrometheusMetrics::PrometheusMetrics(double unix_seconds_now)
    : series_(store_, {}),
      loop_lag_(series_.histogram(rows::loop_lag)),
      client_limit_(series_.gauge(rows::client_connections_limit)),
      reloads_applied_(series_.counter(rows::reloads, {{"result", "applied"}})),
      reloads_unchanged_(series_.counter(rows::reloads, {{"result", "unchanged"}})),
      reloads_rejected_(series_.counter(rows::reloads, {{"result", "rejected"}})),
      last_reload_successful_(series_.gauge(rows::last_reload_successful)),
      config_in_sync_(series_.gauge(rows::config_in_sync)),
      last_reload_success_time_(series_.gauge(rows::last_reload_success_time)),
      cpu_seconds_(series_.counter(rows::cpu_seconds)),
      resident_memory_(series_.gauge(rows::resident_memory)),
      open_fds_(series_.gauge(rows::open_fds)),
      max_fds_(series_.gauge(rows::max_fds)) {
    series_.gauge(rows::build_info, {{"version", HOLDFAST_VERSION}})->Set(1);
    series_.gauge(rows::start_time)->Set(unix_seconds_now);
}

engine::ClusterMetrics& PrometheusMetrics::cluster(const config::Cluster& cluster) {
    auto& metrics = clusters_[cluster.name];
    if (!metrics) {
        std::vector<std::string> servers;
        for (const config::Server& server : cluster.servers) servers.push_back(server.name);
        metrics = std::make_unique<PrometheusClusterMetrics>(store_, cluster.name, servers);
    }
    return *metrics;
}

void PrometheusMetrics::forget(const std::string& cluster) {
    clusters_.erase(cluster);
}

void PrometheusMetrics::set_client_limit(uint32_t clients_max) {
    client_limit_->Set(clients_max);
}

void PrometheusMetrics::config_read(ConfigResult result, double unix_seconds_now) {
    switch (result) {
        case ConfigResult::started: break;
        case ConfigResult::applied: reloads_applied_->Increment(); break;
        case ConfigResult::unchanged: reloads_unchanged_->Increment(); break;
        case ConfigResult::rejected:
            reloads_rejected_->Increment();
            last_reload_successful_->Set(0);
            return;
    }
    last_reload_successful_->Set(1);
    last_reload_success_time_->Set(unix_seconds_now);
}

void PrometheusMetrics::set_config_in_sync(bool is_in_sync) {
    config_in_sync_->Set(is_in_sync ? 1 : 0);
}

void PrometheusMetrics::loop_was_late(Duration lag) {
    loop_lag_->Observe(std::chrono::duration<double>(lag).count());
}

std::string PrometheusMetrics::exposition() {
    sample_process();
    for (const auto& [name, metrics] : clusters_) metrics->publish();
    return store_.text();
}

void PrometheusMetrics::sample_process() {
    const ProcessFigures figures = process_figures();
    const double more_cpu = figures.cpu_seconds - cpu_seconds_->Value();
    if (more_cpu > 0) cpu_seconds_->Increment(more_cpu);  // false for NaN too
    resident_memory_->Set(figures.resident_bytes);
    open_fds_->Set(figures.open_descriptors);
    max_fds_->Set(figures.descriptors_max);
}

}  // namespace holdfast::admin
