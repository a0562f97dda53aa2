#include "proxy/admin/metrics.h"

#include <chrono>
#include <vector>

#include "proxy/admin/process_figures.h"

namespace holdfast::admin {

namespace {

/// Brings a counter to a total that is counted elsewhere.
void raise(prometheus::Counter& counter, double total) {
    const double more = total - counter.Value();
    if (more > 0) counter.Increment(more);  // false for NaN too
}

}  // namespace

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
      max_fds_(series_.gauge(rows::max_fds)),
      virtual_memory_(series_.gauge(rows::virtual_memory)),
      loop_idle_(series_.counter(rows::loop_idle)),
      draining_(series_.gauge(rows::draining)),
      buffers_(series_.gauge(rows::buffer_memory)),
      with_clients_(make_handshakes("client")),
      with_servers_(make_handshakes("server")),
      admin_(series_) {
    series_.gauge(rows::build_info, {{"version", HOLDFAST_VERSION}})->Set(1);
    series_.gauge(rows::start_time)->Set(unix_seconds_now);
    series_.gauge(rows::process_start)->Set(unix_seconds_now);
    constexpr std::array levels = {"debug", "info", "warn", "error"};  // as LogLevel has them
    for (size_t i = 0; i < levels.size(); ++i) {
        log_lines_[i] = series_.counter(rows::log_messages, {{"level", levels[i]}});
    }
}

PrometheusMetrics::Handshakes PrometheusMetrics::make_handshakes(const char* side) {
    return {series_.counter(rows::tls_handshakes, {{"side", side}, {"version", "TLSv1.2"}}),
            series_.counter(rows::tls_handshakes, {{"side", side}, {"version", "TLSv1.3"}}),
            series_.counter(rows::tls_failures, {{"side", side}})};
}

PrometheusClusterMetrics& PrometheusMetrics::cluster(const config::Cluster& cluster) {
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

void PrometheusMetrics::admin_answered(std::string_view method, std::string_view path, unsigned status) {
    admin_.answered(method, path, status);
}

void PrometheusMetrics::show_certificates(const std::vector<CertificateEnd>& ends) {
    if (ends == certificates_) return;
    certificates_ = ends;
    certificate_series_ = std::make_unique<Series>(store_, Labels{});
    for (const CertificateEnd& end : ends) {
        certificate_series_
            ->gauge(rows::certificate_end, {{"cluster", end.cluster}, {"listener", end.listener}})
            ->Set(static_cast<double>(end.unix_seconds));
    }
}

void PrometheusMetrics::show(const ProcessSample& sample) {
    draining_->Set(sample.is_draining ? 1 : 0);
    buffers_->Set(sample.buffer_bytes);
    raise(*loop_idle_, sample.loop_idle_seconds);
    for (size_t i = 0; i < log_lines_.size(); ++i) {
        raise(*log_lines_[i], static_cast<double>(sample.log_lines[i]));
    }
    const auto raise_all = [](const Handshakes& shown, const ProcessSample::Handshakes& now) {
        raise(*shown.tls12, static_cast<double>(now.tls12));
        raise(*shown.tls13, static_cast<double>(now.tls13));
        raise(*shown.failed, static_cast<double>(now.failed));
    };
    raise_all(with_clients_, sample.with_clients);
    raise_all(with_servers_, sample.with_servers);
}

std::string PrometheusMetrics::exposition() {
    if (take_samples_) take_samples_();
    sample_process();
    for (const auto& [name, metrics] : clusters_) metrics->publish();
    return store_.text();
}

void PrometheusMetrics::sample_process() {
    const ProcessFigures figures = process_figures();
    raise(*cpu_seconds_, figures.cpu_seconds);
    resident_memory_->Set(figures.resident_bytes);
    virtual_memory_->Set(figures.virtual_bytes);
    open_fds_->Set(figures.open_descriptors);
    max_fds_->Set(figures.descriptors_max);
}

}  // namespace holdfast::admin
