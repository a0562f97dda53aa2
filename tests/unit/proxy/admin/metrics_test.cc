#include "proxy/admin/metrics.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "proxy/admin/gzip.h"
#include "proxy/admin/metric_table.h"

using namespace holdfast;
using namespace holdfast::admin;
using namespace std::chrono_literals;
using engine::ClientState;
using engine::CloseReason;
using engine::RouteReason;
using engine::Target;

namespace {

config::Cluster cluster(const std::string& name, std::initializer_list<const char*> servers) {
    config::Cluster made;
    made.name = name;
    for (const char* server : servers) {
        config::Server entry;
        entry.name = server;
        made.servers.push_back(entry);
    }
    return made;
}

/// series (name and labels as written) -> value as written
std::map<std::string, std::string> scrape(PrometheusMetrics& metrics) {
    std::map<std::string, std::string> series;
    std::istringstream text(metrics.exposition());
    for (std::string line; std::getline(text, line);) {
        if (line.empty() || line[0] == '#') continue;
        const size_t space = line.rfind(' ');
        CHECK(series.emplace(line.substr(0, space), line.substr(space + 1)).second);
    }
    return series;
}

std::string value(PrometheusMetrics& metrics, const std::string& series) {
    const auto all = scrape(metrics);
    const auto found = all.find(series);
    return found == all.end() ? "absent" : found->second;
}

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

TEST_CASE("metrics: every row of the table is shown from the start, with exactly its labels") {
    PrometheusMetrics metrics(1'700'000'000);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    metrics.show_certificates({{"shop", "127.0.0.1:5432", 1}});
    shop.statement(ServerId{1}, Target::primary, RouteReason::classified, sql::Reason::write);  // made late

    std::map<std::string, std::set<std::string>> labels_of;  // family -> label names
    std::map<std::string, std::string> type_of;
    std::istringstream text(metrics.exposition());
    for (std::string line; std::getline(text, line);) {
        std::istringstream words(line);
        std::string hash, keyword, name, type;
        if (line.starts_with("# TYPE")) {
            words >> hash >> keyword >> name >> type;
            type_of[name] = type;
            continue;
        }
        if (line.empty() || line[0] == '#') continue;
        const size_t brace = line.find('{');
        name = line.substr(0, std::min(brace, line.find(' ')));
        for (const char* suffix : {"_bucket", "_sum", "_count"}) {
            if (name.ends_with(suffix) && !type_of.contains(name))
                name.resize(name.size() - std::string(suffix).size());
        }
        std::set<std::string>& labels = labels_of[name];
        if (brace == std::string::npos) continue;
        std::istringstream pairs(line.substr(brace + 1, line.find('}') - brace - 1));
        for (std::string pair; std::getline(pairs, pair, ',');) {
            const std::string label = pair.substr(0, pair.find('='));
            if (label != "le") labels.insert(label);
        }
    }
    std::set<std::string> rows;
    for (const MetricRow* row : all_metric_rows()) {
        CAPTURE(row->name);
        const std::string name(row->name);
        rows.insert(name);
        REQUIRE(labels_of.contains(name));
        std::set<std::string> expected;
        std::istringstream names{std::string(row->labels)};
        for (std::string label; std::getline(names, label, ',');) expected.insert(label);
        CHECK(labels_of[name] == expected);
        CHECK(type_of[name] == (row->kind == MetricKind::counter ? "counter"
                                : row->kind == MetricKind::gauge ? "gauge"
                                                                 : "histogram"));
    }
    for (const auto& [name, labels] : labels_of) CHECK_MESSAGE(rows.contains(name), name);
}

TEST_CASE("metrics: enum series are there at 0 before their first event") {
    PrometheusMetrics metrics(0);
    metrics.cluster(cluster("shop", {"pg1"}));
    const auto series = scrape(metrics);
    const auto zeros = [&](const std::string& prefix) {
        int count = 0;
        for (const auto& [name, text] : series) {
            if (name.starts_with(prefix) && text == "0") ++count;
        }
        return count;
    };
    CHECK(zeros("holdfast_client_disconnects_total{") == engine::close_reason_count);
    CHECK(zeros("holdfast_client_connections{") == engine::client_state_count);
    CHECK(zeros("holdfast_held_statements_total{") == engine::hold_outcome_count);
    CHECK(zeros("holdfast_losses_total{") == engine::loss_outcome_count);
    CHECK(zeros("holdfast_server_connects_total{") == engine::server_connect_result_count);
    CHECK(zeros("holdfast_statement_errors_total{") == 42);
    CHECK(zeros("holdfast_cancel_requests_total{") == 2);
    CHECK(zeros("holdfast_client_bytes_total{") == 2);
    CHECK(zeros("holdfast_sessions_pinned{") == engine::pin_reason_count);
    CHECK(zeros("holdfast_server_connections{") == engine::server_connection_state_count);
    CHECK(zeros("holdfast_health_checks_total{") == 13);
    CHECK(zeros("holdfast_state_replays_total{") == 2);
    CHECK(zeros("holdfast_admin_requests_total{") == 18);
    CHECK(zeros("holdfast_admin_actions_total{") == 10);
    CHECK(zeros("holdfast_log_messages_total{") == 4);
    CHECK(zeros("holdfast_tls_handshakes_total{") == 4);
    CHECK(zeros("holdfast_statements_total{") == 0);
}

TEST_CASE("metrics: a client's life") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    shop.client_accepted();
    shop.client_state_entered(ClientState::login);
    CHECK(value(metrics, R"(holdfast_client_connections{cluster="shop",state="login"})") == "1");
    shop.client_logged_in(30ms);
    shop.client_state(ClientState::login, ClientState::idle);
    shop.client_state(ClientState::idle, ClientState::idle);
    shop.client_bytes(100, 2'000);
    shop.client_bytes(1, 0);
    CHECK(value(metrics, R"(holdfast_client_connections{cluster="shop",state="login"})") == "0");
    CHECK(value(metrics, R"(holdfast_client_connections{cluster="shop",state="idle"})") == "1");
    shop.client_state_left(ClientState::idle);
    shop.client_closed(CloseReason::client_lost);
    CHECK(value(metrics, R"(holdfast_client_connections{cluster="shop",state="idle"})") == "0");
    CHECK(value(metrics, R"(holdfast_client_accepts_total{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_client_disconnects_total{cluster="shop",reason="client_lost"})") == "1");
    CHECK(value(metrics, R"(holdfast_client_disconnects_total{cluster="shop",reason="client_left"})") == "0");
    CHECK(value(metrics, R"(holdfast_client_bytes_total{cluster="shop",direction="received"})") == "101");
    CHECK(value(metrics, R"(holdfast_client_bytes_total{cluster="shop",direction="sent"})") == "2000");
    CHECK(value(metrics, R"(holdfast_client_login_duration_seconds_bucket{cluster="shop",le="0.025"})") ==
          "0");
    CHECK(value(metrics, R"(holdfast_client_login_duration_seconds_bucket{cluster="shop",le="0.05"})") ==
          "1");
}

TEST_CASE("metrics: statements are counted by where, what decided, and what they are") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2"}));
    for (int i = 0; i < 3; ++i)
        shop.statement(ServerId{2}, Target::replica, RouteReason::classified, sql::Reason::read);
    shop.statement(ServerId{1}, Target::primary, RouteReason::read_your_writes, sql::Reason::read);
    shop.statement(ServerId{1}, Target::proxy, RouteReason::consistency,
                   sql::Reason::too_long);  // the enums' last values
    shop.statement(ServerId{7}, Target::primary, RouteReason::classified, sql::Reason::read);  // nobody's
    shop.statement_done(Target::replica, 0ms, 3ms);
    shop.statement_done(Target::replica, 40ms, 2ms);
    shop.statement_error("23505");
    shop.statement_error("nonsense");
    CHECK(
        value(
            metrics,
            R"(holdfast_statements_total{cluster="shop",reason="read",route="classified",server="pg2",target="replica"})") ==
        "3");
    CHECK(
        value(
            metrics,
            R"(holdfast_statements_total{cluster="shop",reason="read",route="read_your_writes",server="pg1",target="primary"})") ==
        "1");
    CHECK(
        value(
            metrics,
            R"(holdfast_statements_total{cluster="shop",reason="too_long",route="consistency",server="pg1",target="proxy"})") ==
        "1");
    CHECK(value(metrics, R"(holdfast_statement_duration_seconds_count{cluster="shop",target="replica"})") ==
          "2");
    CHECK(std::stod(value(metrics,
                          R"(holdfast_statement_duration_seconds_sum{cluster="shop",target="replica"})")) ==
          doctest::Approx(0.045));
    const std::string total =
        R"(holdfast_statement_duration_seconds_bucket{cluster="shop",target="replica",le=)";
    CHECK(value(metrics, total + R"("0.0025"})") == "0");
    CHECK(value(metrics, total + R"("0.005"})") == "1");
    CHECK(value(metrics, total + R"("0.025"})") == "1");
    CHECK(value(metrics, total + R"("0.05"})") == "2");
    const std::string served =
        R"(holdfast_statement_server_duration_seconds_bucket{cluster="shop",target="replica",le=)";
    CHECK(value(metrics, served + R"("0.0025"})") == "1");
    CHECK(value(metrics, served + R"("0.005"})") == "2");
    const std::string waited = R"(holdfast_statement_waiting_duration_seconds_bucket{cluster="shop",le=)";
    CHECK(value(metrics, waited + R"("0.0005"})") == "1");
    CHECK(value(metrics, waited + R"("0.025"})") == "1");
    CHECK(value(metrics, waited + R"("0.05"})") == "2");
    CHECK(value(metrics, R"(holdfast_statement_duration_seconds_count{cluster="shop",target="primary"})") ==
          "0");
    CHECK(value(metrics, R"(holdfast_statement_errors_total{class="23",cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_statement_errors_total{class="other",cluster="shop"})") == "1");
}

TEST_CASE("metrics: holding, losing and failing over") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    shop.hold_began();
    shop.hold_began();
    CHECK(value(metrics, R"(holdfast_held_statements{cluster="shop"})") == "2");
    shop.hold_ended(engine::HoldOutcome::resumed, 700ms);
    CHECK(value(metrics, R"(holdfast_held_statements{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_held_statements_total{cluster="shop",outcome="resumed"})") == "1");
    CHECK(value(metrics, R"(holdfast_hold_duration_seconds_sum{cluster="shop"})") == "0.7");
    shop.loss(engine::LossOutcome::outcome_unknown);
    CHECK(value(metrics, R"(holdfast_losses_total{cluster="shop",outcome="outcome_unknown"})") == "1");
    shop.cancel_request(true);
    shop.cancel_request(false);
    shop.cancel_request(false);
    CHECK(value(metrics, R"(holdfast_cancel_requests_total{cluster="shop",result="found"})") == "1");
    CHECK(value(metrics, R"(holdfast_cancel_requests_total{cluster="shop",result="not_found"})") == "2");
    shop.stale_read_avoided();
    CHECK(value(metrics, R"(holdfast_stale_reads_avoided_total{cluster="shop"})") == "1");
    shop.failover_completed(2500ms);
    CHECK(value(metrics, R"(holdfast_failovers_total{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_failover_duration_seconds_bucket{cluster="shop",le="2"})") == "0");
    CHECK(value(metrics, R"(holdfast_failover_duration_seconds_bucket{cluster="shop",le="3"})") == "1");
}

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
    CHECK(value(metrics, connections + R"("opening"})") == "0");
    CHECK(value(metrics, connections + R"("busy"})") == "1");
    CHECK(value(metrics, connections + R"("idle"})") == "1");
    CHECK(value(metrics,
                R"(holdfast_server_bytes_total{cluster="shop",direction="received",server="pg2"})") == "101");
    CHECK(value(metrics, R"(holdfast_server_bytes_total{cluster="shop",direction="sent",server="pg2"})") ==
          "7");
    CHECK(value(metrics, R"(holdfast_server_connect_duration_seconds_count{cluster="shop",server="pg2"})") ==
          "1");
    CHECK(value(metrics, R"(holdfast_corrections_total{cluster="shop",server="pg2"})") == "1");
}

TEST_CASE("metrics: a view's states, roles and positions; unknown is NaN, never 0") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg3"})") == "NaN");
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
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="unknown",server="pg1"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="primary",server="pg2"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_role{cluster="shop",role="replica",server="pg2"})") == "0");
    CHECK(value(metrics, R"(holdfast_server_readable{cluster="shop",server="pg3"})") == "1");
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg3"})") == "1.5");
    CHECK(value(metrics, R"(holdfast_replication_lag_bytes{cluster="shop",server="pg3"})") == "4096");
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg1"})") == "NaN");
    CHECK(value(metrics, R"(holdfast_server_timeline{cluster="shop",server="pg2"})") == "2");
    CHECK(value(metrics, R"(holdfast_server_timeline{cluster="shop",server="pg3"})") == "NaN");
    CHECK(value(metrics, R"(holdfast_server_position_bytes{cluster="shop",server="pg2"})") == "50331648");
    CHECK(value(metrics, R"(holdfast_server_state_changes_total{cluster="shop",server="pg2"})") == "1");

    view.servers[2].lag.reset();
    view.split_brain = true;
    shop.view_changed(view);
    CHECK(value(metrics, R"(holdfast_replication_lag_seconds{cluster="shop",server="pg3"})") == "NaN");
    CHECK(value(metrics, R"(holdfast_split_brain_detected{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_state_changes_total{cluster="shop",server="pg2"})") == "1");
}

TEST_CASE("metrics: another primary is a change, the first one and the same one back are not") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    const std::string changes = R"(holdfast_primary_changes_total{cluster="shop"})";
    health::View view = view_of_three();
    shop.view_changed(view);
    CHECK(value(metrics, changes) == "0");
    view.primary.reset();
    shop.view_changed(view);
    CHECK(value(metrics, R"(holdfast_primary_present{cluster="shop"})") == "0");
    view.primary = ServerId{2};
    shop.view_changed(view);
    CHECK(value(metrics, changes) == "0");
    view.primary.reset();
    shop.view_changed(view);
    view.primary = ServerId{3};
    shop.view_changed(view);
    CHECK(value(metrics, changes) == "1");
}

TEST_CASE("metrics: a reload's servers come and go by name, and what stays keeps its counts") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    shop.corrected(ServerId{3});
    health::View view = view_of_three();
    view.servers.erase(view.servers.begin());  // pg1 is gone, the others move up, pg4 is new
    view.servers.push_back(view.servers.back());
    view.servers[2].name = "pg4";
    for (size_t i = 0; i < 3; ++i) view.servers[i].id = ServerId{i + 1};
    view.primary = ServerId{1};
    shop.view_changed(view);
    CHECK(value(metrics, R"(holdfast_server_up{cluster="shop",server="pg1"})") == "absent");
    CHECK(value(metrics, R"(holdfast_server_up{cluster="shop",server="pg4"})") == "1");
    CHECK(value(metrics, R"(holdfast_corrections_total{cluster="shop",server="pg3"})") == "1");
    shop.corrected(ServerId{2});
    CHECK(value(metrics, R"(holdfast_corrections_total{cluster="shop",server="pg3"})") == "2");
}

TEST_CASE("metrics: clusters are apart, found again by name, and forgotten") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    auto& blog = metrics.cluster(cluster("blog", {"pg1"}));
    CHECK(&metrics.cluster(cluster("shop", {"pg1"})) == &shop);
    shop.client_accepted();
    blog.client_accepted();
    blog.client_accepted();
    CHECK(value(metrics, R"(holdfast_client_accepts_total{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_client_accepts_total{cluster="blog"})") == "2");
    metrics.forget("blog");
    CHECK(metrics.exposition().find("blog") == std::string::npos);
    CHECK(value(metrics, R"(holdfast_client_accepts_total{cluster="shop"})") == "1");
}

TEST_CASE("metrics: names that need escaping can't break the text") {
    PrometheusMetrics metrics(0);
    metrics.cluster(cluster("a\"b\\c\nd Nan\n", {}));
    const std::string text = metrics.exposition();
    CHECK(text.find(R"(holdfast_failovers_total{cluster="a\"b\\c\nd Nan\n"} 0)") != std::string::npos);
}

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
    CHECK(value(metrics, R"(holdfast_primary_info{cluster="shop",server="pg3"})") == "0");
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
    CHECK(value(metrics, running) == "NaN");
    shop.probed(probe);
    CHECK(value(metrics, running) == "NaN");  // a primary
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
    CHECK(value(metrics, R"(holdfast_health_checks_total{cluster="shop",result="ok",server="pg1"})") == "5");
    CHECK(value(metrics,
                R"(holdfast_health_checks_total{cluster="shop",result="conn_refused",server="pg1"})") == "1");
    CHECK(value(metrics, R"(holdfast_health_check_seconds_total{cluster="shop",server="pg1"})") == "1.5");
}

TEST_CASE("metrics: pins, the pool and replayed state") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    const std::string pinned = R"(holdfast_sessions_pinned{cluster="shop",reason=)";
    shop.session_pins(0, 0b101);
    shop.session_pins(0, 0b001);
    shop.session_pins(0b101, 0b110);
    CHECK(value(metrics, pinned + R"("temporary_tables"})") == "1");
    CHECK(value(metrics, pinned + R"("settings"})") == "1");
    CHECK(value(metrics, pinned + R"("advisory_locks"})") == "1");
    shop.pool_wait_began();
    shop.pool_wait_began();
    shop.pool_wait_ended(300ms);
    CHECK(value(metrics, R"(holdfast_pool_waiting{cluster="shop"})") == "1");
    CHECK(value(metrics, R"(holdfast_pool_wait_duration_seconds_count{cluster="shop"})") == "1");
    shop.state_replayed(true);
    shop.state_replayed(false);
    CHECK(value(metrics, R"(holdfast_state_replays_total{cluster="shop",result="failed"})") == "1");
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

TEST_CASE("metrics: ten clusters of ten servers are read within what the event loop can spare") {
    PrometheusMetrics metrics(0);
    for (int c = 0; c < 10; ++c) {
        auto& each = metrics.cluster(cluster("cluster" + std::to_string(c),
                                             {"s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10"}));
        for (uint64_t server = 1; server <= 10; ++server) {
            const auto target = server == 1 ? Target::primary : Target::replica;
            for (const auto reason : {sql::Reason::read, sql::Reason::session_state, sql::Reason::begin}) {
                each.statement(ServerId{server}, target, RouteReason::classified, reason);
            }
        }
    }
    size_t bytes = metrics.exposition().size();
    double best = 1;  // a machine that is busy with other things tells nothing
    for (int i = 0; i < 50; ++i) {
        const auto began = std::chrono::steady_clock::now();
        bytes = metrics.exposition().size();
        best =
            std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    }
    MESSAGE(bytes << " bytes in " << best * 1000 << " ms");
    const size_t packed = gzip(metrics.exposition()).size();  // as Prometheus asks for it
    MESSAGE(packed << " bytes packed");
    CHECK(packed < 300'000);
    CHECK(bytes < 1'000'000);
    CHECK(best < 0.002);
}
