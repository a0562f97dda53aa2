#include "proxy/admin/server_series.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "tests/unit/proxy/admin/scrape.h"

using namespace holdfast;
using namespace holdfast::admin;
using namespace std::chrono_literals;

namespace {

/// A view as after a promotion: pg2 is the primary, pg1 down, pg3 lags by an unknown time.
health::View view_of_three() {
    health::View view;
    view.epoch = Epoch{7};
    view.primary = ServerId{2};
    view.servers.resize(3);
    for (size_t i = 0; i < 3; ++i) {
        view.servers[i].id = ServerId{i + 1};
        view.servers[i].name = "pg" + std::to_string(i + 1);
    }
    view.servers[0].state = health::ServerState::down;
    view.servers[1].state = health::ServerState::up;
    view.servers[1].role = health::ServerRole::primary;
    view.servers[1].timeline = 2;
    view.servers[1].position = Position{50'331'648};
    view.servers[2].state = health::ServerState::up;
    view.servers[2].role = health::ServerRole::replica;
    view.servers[2].readable = true;
    view.servers[2].lag = 1500ms;
    view.servers[2].lag_bytes = 4096;
    return view;
}

}  // namespace

TEST_CASE("metrics: a server's connections, and an id that is nobody's") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2"}));
    shop.server_connect(ServerId{2}, engine::ServerConnectResult::ok, 4ms);
    using State = engine::ServerConnectionState;
    for (int i = 0; i < 3; ++i) shop.server_connection_entered(ServerId{2}, State::opening);
    shop.server_connection_state(ServerId{2}, State::opening, State::busy);
    shop.server_connection_state(ServerId{2}, State::opening, State::busy);
    shop.server_connection_state(ServerId{2}, State::busy, State::idle);
    shop.server_connection_left(ServerId{2}, State::opening);
    shop.server_bytes(ServerId{2}, 100, 7);
    shop.server_bytes(ServerId{2}, 1, 0);
    shop.corrected(ServerId{2});
    for (const uint64_t nobody : {uint64_t{0}, uint64_t{3}, ~uint64_t{0}}) {
        shop.server_connect(ServerId{nobody}, engine::ServerConnectResult::ok, 4ms);
        shop.server_connection_entered(ServerId{nobody}, State::opening);
        shop.server_connection_state(ServerId{nobody}, State::opening, State::busy);
        shop.server_connection_left(ServerId{nobody}, State::busy);
        shop.server_bytes(ServerId{nobody}, 1, 1);
        shop.corrected(ServerId{nobody});
        shop.statement(ServerId{nobody}, engine::Target::replica, engine::RouteReason::classified,
                       sql::Reason::read);
    }
    CHECK(value(metrics, R"(holdfast_server_connects_total{cluster="shop",result="ok",server="pg2"})") ==
          "1");
    CHECK(value(metrics, R"(holdfast_server_connects_total{cluster="shop",result="ok",server="pg1"})") ==
          "0");
    const std::string connections = R"(holdfast_server_connections{cluster="shop",server="pg2",state=)";
    CHECK(value(metrics, connections + R"("opening"})") == "absent");
    CHECK(value(metrics, connections + R"("busy"})") == "1");
    CHECK(value(metrics, connections + R"("idle"})") == "1");
    CHECK(value(metrics,
                R"(holdfast_server_bytes_total{cluster="shop",direction="received",server="pg2"})") == "101");
    CHECK(value(metrics, R"(holdfast_server_bytes_total{cluster="shop",direction="sent",server="pg2"})") ==
          "7");
    CHECK(value(metrics, R"(holdfast_server_connect_duration_seconds_count{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_corrections_total{cluster="shop"})") == "4");
    shop.server_connection_entered(ServerId{2}, State::opening);
    CHECK(value(metrics, connections + R"("opening"})") == "1");
    shop.server_connection_left(ServerId{2}, State::opening);
    CHECK(value(metrics, connections + R"("opening"})") == "0");
}

TEST_CASE("metrics: a view's states, roles and positions; unknown is NaN, never 0") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg3"})") == "absent");
    CHECK(value(metrics, R"(holdfast_server_state{cluster="shop",server="pg3",state="starting"})") == "1");
    CHECK(value(metrics, R"(holdfast_primary_present{cluster="shop"})") == "0");

    health::View view = view_of_three();
    shop.view_changed(view);
    CHECK(value(metrics, R"(holdfast_primary_present{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_primary_epoch{cluster="shop"})") == "7");
    CHECK(value(metrics, R"(holdfast_split_brain_detected{cluster="shop"})") == "0");
    CHECK(value(metrics, R"(holdfast_server_up{cluster="shop",server="pg1"})") == "0");
    CHECK(value(metrics, R"(holdfast_server_up{cluster="shop",server="pg2"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_state{cluster="shop",server="pg1",state="down"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_state{cluster="shop",server="pg1",state="starting"})") == "0");
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="unknown",server="pg1"})") == "absent");
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="primary",server="pg2"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="replica",server="pg2"})") == "absent");
    CHECK(value(metrics, R"(holdfast_server_readable{cluster="shop",server="pg3"})") == "1");
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg3"})") == "1.5");
    CHECK(value(metrics, R"(holdfast_replication_lag_bytes{cluster="shop",server="pg3"})") == "4096");
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg1"})") == "absent");
    CHECK(value(metrics, R"(holdfast_server_timeline{cluster="shop",server="pg2"})") == "2");
    CHECK(value(metrics, R"(holdfast_server_timeline{cluster="shop",server="pg3"})") == "absent");
    CHECK(value(metrics, R"(holdfast_server_position_bytes{cluster="shop",server="pg2"})") == "50331648");
    CHECK(value(metrics, R"(holdfast_server_state_changes_total{cluster="shop",server="pg2"})") == "1");

    view.servers[2].lag.reset();
    view.servers[1].role = health::ServerRole::unknown;
    view.servers[1].state = health::ServerState::suspect;
    view.split_brain = true;
    shop.view_changed(view);
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg3"})") == "NaN");
    CHECK(value(metrics, R"(holdfast_split_brain_detected{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_state_changes_total{cluster="shop",server="pg2"})") == "2");
    // What a server once was is 0 from then on.
    CHECK(value(metrics, R"(holdfast_server_state{cluster="shop",server="pg2",state="up"})") == "0");
    CHECK(value(metrics, R"(holdfast_server_state{cluster="shop",server="pg2",state="suspect"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="primary",server="pg2"})") == "0");
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="unknown",server="pg2"})") == "1");
}

TEST_CASE("metrics: a reload's servers come and go by name, and what stays keeps its counts") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    shop.server_bytes(ServerId{3}, 5, 0);
    health::View view = view_of_three();
    view.servers.erase(view.servers.begin());  // pg1 is gone, the others move up, pg4 is new
    view.servers.push_back(view.servers.back());
    view.servers[2].name = "pg4";
    for (size_t i = 0; i < 3; ++i) view.servers[i].id = ServerId{i + 1};
    view.primary = ServerId{1};
    shop.view_changed(view);
    CHECK(value(metrics, R"(holdfast_server_up{cluster="shop",server="pg1"})") == "absent");
    CHECK(value(metrics, R"(holdfast_server_up{cluster="shop",server="pg4"})") == "1");
    const std::string received =
        R"(holdfast_server_bytes_total{cluster="shop",direction="received",server="pg3"})";
    CHECK(value(metrics, received) == "5");
    shop.server_bytes(ServerId{2}, 2, 0);
    CHECK(value(metrics, received) == "7");
}

TEST_CASE("metrics: what operators and the topology say of a server") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    CHECK(value(metrics,
                R"(holdfast_server_administrative_state{cluster="shop",server="pg3",state="ready"})") == "1");
    health::View view = view_of_three();
    view.servers[2].duty = health::Duty::maintenance;
    shop.view_changed(view);
    CHECK(value(metrics,
                R"(holdfast_server_administrative_state{cluster="shop",server="pg3",state="ready"})") == "0");
    CHECK(value(metrics,
                R"(holdfast_server_administrative_state{cluster="shop",server="pg3",state="maintenance"})") ==
          "1");
    CHECK(value(metrics, R"(holdfast_primary_info{cluster="shop",server="pg2"})") == "1");
    CHECK(value(metrics, R"(holdfast_primary_info{cluster="shop",server="pg3"})") == "absent");
    view.primary = ServerId{3};
    shop.view_changed(view);
    CHECK(value(metrics, R"(holdfast_primary_info{cluster="shop",server="pg2"})") == "0");
    CHECK(value(metrics, R"(holdfast_primary_info{cluster="shop",server="pg3"})") == "1");
    shop.show({.now = TimePoint{1s},
               .is_paused = true,
               .lag_limit = 5s,
               .pool_limit = 20,
               .weights = {100, 50, 1},
               .readers = {0, 3, 4}});
    CHECK(value(metrics, R"(holdfast_server_weight{cluster="shop",server="pg2"})") == "50");
    CHECK(value(metrics, R"(holdfast_server_readers{cluster="shop",server="pg3"})") == "4");
    CHECK(value(metrics, R"(holdfast_cluster_paused{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_pool_connections_limit{cluster="shop"})") == "20");
    CHECK(value(metrics, R"(holdfast_replication_lag_limit_seconds{cluster="shop"})") == "5");
}

TEST_CASE("metrics: downtime and the time without a primary grow while they last, and stay") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    const std::string down = R"(holdfast_server_downtime_seconds_total{cluster="shop",server="pg1"})";
    const std::string outage = R"(holdfast_write_unavailable_seconds_total{cluster="shop"})";
    const auto at = [&](Duration since_start) {
        shop.show({.now = TimePoint{since_start}, .weights = {}, .readers = {}});
    };
    health::View view = view_of_three();
    view.primary.reset();
    view.primary_lost_at = TimePoint{10s};
    view.servers[0].since = TimePoint{9s};
    shop.view_changed(view);
    at(12s);
    CHECK(value(metrics, down) == "3");
    CHECK(value(metrics, outage) == "2");
    view.primary = ServerId{2};
    view.primary_lost_at.reset();
    view.primary_since = TimePoint{14s};
    view.servers[0].state = health::ServerState::up;
    view.servers[0].since = TimePoint{15s};
    shop.view_changed(view);
    at(100s);
    CHECK(value(metrics, down) == "6");
    CHECK(value(metrics, outage) == "4");
}

TEST_CASE("metrics: probes by result, and whether a replica replicates") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    const std::string running = R"(holdfast_replication_running{cluster="shop",server="pg1"})";
    health::Observation probe;
    probe.server = ServerId{1};
    probe.sent_at = TimePoint{1s};
    probe.received_at = TimePoint{1s + 250ms};
    shop.probed(probe);
    shop.probed(probe);
    CHECK(value(metrics, running) == "absent");  // a primary
    probe.in_recovery = true;
    probe.receiver_known = true;
    shop.probed(probe);
    CHECK(value(metrics, running) == "0");
    probe.receiver_streaming = true;
    shop.probed(probe);
    CHECK(value(metrics, running) == "1");
    probe.mysql.emplace();
    probe.mysql->sources.resize(2);
    for (auto& source : probe.mysql->sources) {
        source.io = health::ReplicationThread::running;
        source.sql_running = true;
    }
    shop.probed(probe);
    CHECK(value(metrics, running) == "1");
    probe.mysql->sources[1].sql_running = false;
    shop.probed(probe);
    CHECK(value(metrics, running) == "0");
    probe.outcome = health::Outcome::conn_refused;
    shop.probed(probe);
    CHECK(value(metrics, running) == "NaN");
    probe.server = ServerId{2};
    shop.probed(probe);  // nobody's
    CHECK(value(metrics, R"(holdfast_health_checks_total{cluster="shop",result="ok",server="pg1"})") == "6");
    CHECK(value(metrics,
                R"(holdfast_health_checks_total{cluster="shop",result="conn_refused",server="pg1"})") == "1");
    CHECK(value(metrics, R"(holdfast_health_check_seconds_total{cluster="shop",server="pg1"})") == "1.75");
}
