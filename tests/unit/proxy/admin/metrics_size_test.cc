#include <algorithm>
#include <chrono>
#include <map>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "proxy/admin/gzip.h"
#include "proxy/admin/metrics.h"

using namespace holdfast;
using namespace holdfast::admin;
using namespace std::chrono_literals;
using engine::RouteReason;
using engine::Target;

namespace {

constexpr int clusters = 10;
constexpr uint64_t servers = 10;

config::Cluster cluster(int number) {
    config::Cluster made;
    made.name = "cluster" + std::to_string(number);
    for (uint64_t server = 1; server <= servers; ++server) {
        config::Server entry;
        entry.name = "s" + std::to_string(server);
        made.servers.push_back(entry);
    }
    return made;
}

/// One primary, nine replicas that take reads, as a PostgreSQL cluster shows it.
health::View healthy_view() {
    health::View view;
    view.epoch = Epoch{1};
    view.primary = ServerId{1};
    view.servers.resize(servers);
    for (uint64_t i = 0; i < servers; ++i) {
        health::ServerView& server = view.servers[i];
        server.id = ServerId{i + 1};
        server.name = "s" + std::to_string(i + 1);
        server.state = health::ServerState::up;
        server.timeline = 3;
        server.position = Position{123'456'789'012 + i};
        server.role = i == 0 ? health::ServerRole::primary : health::ServerRole::replica;
        if (i == 0) continue;
        server.readable = true;
        server.lag = 1234567us;
        server.lag_bytes = 16'384;
    }
    return view;
}

/// A day of a cluster in which each server is used.
void use(PrometheusClusterMetrics& metrics) {
    metrics.view_changed(healthy_view());
    metrics.show({.now = TimePoint{24h},
                  .lag_limit = 5s,
                  .pool_limit = 20,
                  .weights = std::vector<uint32_t>(servers, 100),
                  .readers = std::vector<uint32_t>(servers, 12)});
    metrics.client_accepted();
    metrics.client_logged_in(3ms);
    metrics.client_closed(engine::CloseReason::client_left);
    metrics.client_bytes(123'456'789, 9'876'543'210);
    metrics.statement_error("23505");
    for (uint64_t i = 1; i <= servers; ++i) {
        const ServerId server{i};
        health::Observation probe;
        probe.server = server;
        probe.received_at = TimePoint{1234567us};
        probe.in_recovery = probe.receiver_known = probe.receiver_streaming = i > 1;
        metrics.probed(probe);
        metrics.server_connect(server, engine::ServerConnectResult::ok, 4321us);
        metrics.server_connection_entered(server, engine::ServerConnectionState::busy);
        metrics.server_connection_entered(server, engine::ServerConnectionState::idle);
        metrics.server_bytes(server, 123'456'789, 9'876'543'210);
        const auto target = i == 1 ? Target::primary : Target::replica;
        for (const auto reason : {sql::Reason::read, sql::Reason::session_state, sql::Reason::begin}) {
            metrics.statement(server, target, RouteReason::classified, reason);
            metrics.statement_done(target, 12us, 345us);
        }
    }
}

/// What the bytes are: the largest families first.
std::string largest(const std::string& text) {
    std::map<std::string, std::pair<size_t, size_t>> families;  // name -> bytes, lines
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('#')) continue;
        auto& [bytes, count] = families[line.substr(0, line.find_first_of("{ "))];
        bytes += line.size() + 1;
        count += 1;
    }
    std::vector<std::pair<size_t, std::string>> sorted;
    for (const auto& [name, sizes] : families) {
        sorted.emplace_back(sizes.first, name + " " + std::to_string(sizes.second));
    }
    std::sort(sorted.rbegin(), sorted.rend());
    std::string out;
    for (const auto& [bytes, name] : sorted) out += "\n  " + std::to_string(bytes) + " " + name;
    return out;
}

}  // namespace

TEST_CASE("metrics: ten clusters of ten servers are read within what the event loop can spare") {
    PrometheusMetrics metrics(0);
    for (int i = 0; i < clusters; ++i) use(metrics.cluster(cluster(i)));
    std::string text = metrics.exposition();
    double best = 1;  // a machine that is busy with other things tells nothing
    for (int i = 0; i < 50; ++i) {
        const auto began = std::chrono::steady_clock::now();
        text = metrics.exposition();
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
        best = std::min(best, took.count());
    }
    const size_t packed = gzip(text).size();  // as Prometheus asks for it
    MESSAGE(text.size() << " bytes (" << packed << " packed) in " << best * 1000 << " ms");
    CAPTURE(largest(text));
    CHECK(text.size() <= 300'000);
    CHECK(packed <= 30'000);
    CHECK(best <= 0.002);
}
