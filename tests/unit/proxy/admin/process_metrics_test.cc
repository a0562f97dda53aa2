#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "tests/unit/proxy/admin/scrape.h"

using namespace holdfast;
using namespace holdfast::admin;
using namespace std::chrono_literals;

TEST_CASE("metrics: the process and its loop") {
    PrometheusMetrics metrics(1'700'000'000);
    metrics.set_client_limit(10'000);
    metrics.loop_was_late(20ms);
    const auto series = scrape(metrics);
    CHECK(series.at("holdfast_start_time_seconds") == "1700000000");
    CHECK(series.at("holdfast_build_info{version=\"" HOLDFAST_VERSION "\"}") == "1");
    CHECK(series.at("holdfast_client_connections_limit") == "10000");
    CHECK(series.at("holdfast_event_loop_lag_seconds_count") == "1");
    CHECK(series.at(R"(holdfast_event_loop_lag_seconds_bucket{le="0.01"})") == "0");
    CHECK(series.at(R"(holdfast_event_loop_lag_seconds_bucket{le="0.05"})") == "1");
    CHECK(std::stod(series.at("process_resident_memory_bytes")) > 1e6);
    CHECK(std::stod(series.at("process_open_fds")) >= 3);
    CHECK(std::stod(series.at("process_open_fds")) < std::stod(series.at("process_max_fds")));
    CHECK(std::stod(series.at("process_cpu_seconds_total")) > 0);
}

TEST_CASE("metrics: samples are taken when they are read; totals from elsewhere never fall") {
    PrometheusMetrics metrics(0);
    ProcessSample sample;
    sample.is_draining = true;
    sample.loop_idle_seconds = 12.5;
    sample.buffer_bytes = 4096;
    sample.log_lines = {0, 7, 2, 1};
    sample.with_clients = {.tls12 = 1, .tls13 = 5, .failed = 2};
    metrics.on_exposition([&] { metrics.show(sample); });
    CHECK(value(metrics, "holdfast_draining") == "1");
    CHECK(value(metrics, "holdfast_event_loop_idle_seconds_total") == "12.5");
    CHECK(value(metrics, "holdfast_buffer_bytes") == "4096");
    CHECK(value(metrics, R"(holdfast_log_messages_total{level="info"})") == "7");
    CHECK(value(metrics, R"(holdfast_tls_handshakes_total{side="client",version="TLSv1.3"})") == "5");
    CHECK(value(metrics, R"(holdfast_tls_handshakes_total{side="server",version="TLSv1.3"})") == "0");
    CHECK(value(metrics, R"(holdfast_tls_handshake_failures_total{side="client"})") == "2");
    sample.log_lines = {0, 6, 2, 1};
    CHECK(value(metrics, R"(holdfast_log_messages_total{level="info"})") == "7");
}

TEST_CASE("metrics: certificates come and go with the configuration") {
    PrometheusMetrics metrics(0);
    metrics.show_certificates({{"shop", "127.0.0.1:5432", 1'800'000'000}});
    const std::string series =
        R"(holdfast_tls_certificate_not_after_timestamp_seconds{cluster="shop",listener="127.0.0.1:5432"})";
    CHECK(value(metrics, series) == "1800000000");
    metrics.show_certificates({{"blog", "127.0.0.1:3306", 1}});
    CHECK(value(metrics, series) == "absent");
}

TEST_CASE("metrics: what the admin address answers, in words that no request can add to") {
    PrometheusMetrics metrics(0);
    metrics.admin_answered("GET", "/metrics", 200);
    metrics.admin_answered("GET", "/no/such/page", 404);
    metrics.admin_answered("POST", "/api/v1/pause", 200);
    metrics.admin_answered("POST", "/api/v1/kill", 404);
    metrics.admin_answered("GET", "/api/v1/kill", 405);
    metrics.admin_answered("POST", "/api/v1/nothing", 404);
    metrics.admin_answered("POST", "/api/v1", 404);
    const auto requests = [&](const std::string& code, const std::string& page) {
        return value(metrics, "holdfast_admin_requests_total{code=\"" + code + "\",page=\"" + page + "\"}");
    };
    CHECK(requests("2xx", "/metrics") == "1");
    CHECK(requests("4xx", "other") == "1");
    CHECK(requests("2xx", "/api") == "1");
    CHECK(requests("4xx", "/api") == "4");
    CHECK(value(metrics, R"(holdfast_admin_actions_total{action="pause",result="done"})") == "1");
    CHECK(value(metrics, R"(holdfast_admin_actions_total{action="kill",result="refused"})") == "1");
}
