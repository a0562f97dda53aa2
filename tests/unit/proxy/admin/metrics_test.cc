#include "proxy/admin/metrics.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>

#include <doctest/doctest.h>

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
    shop.statement(Target::primary, RouteReason::classified, sql::Reason::write);  // the one kind made late

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
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    for (int i = 0; i < 3; ++i) shop.statement(Target::replica, RouteReason::classified, sql::Reason::read);
    shop.statement(Target::primary, RouteReason::read_your_writes, sql::Reason::read);
    shop.statement(Target::proxy, RouteReason::consistency, sql::Reason::too_long);  // the enums' last values
    shop.statement_done(Target::replica, ServerId{1}, 3ms);
    shop.statement_error("23505");
    shop.statement_error("nonsense");
    CHECK(
        value(
            metrics,
            R"(holdfast_statements_total{cluster="shop",reason="read",route="classified",target="replica"})") ==
        "3");
    CHECK(
        value(
            metrics,
            R"(holdfast_statements_total{cluster="shop",reason="read",route="read_your_writes",target="primary"})") ==
        "1");
    CHECK(
        value(
            metrics,
            R"(holdfast_statements_total{cluster="shop",reason="too_long",route="consistency",target="proxy"})") ==
        "1");
    CHECK(value(metrics, R"(holdfast_statement_duration_seconds_count{cluster="shop",target="replica"})") ==
          "1");
    CHECK(value(metrics, R"(holdfast_statement_duration_seconds_sum{cluster="shop",target="replica"})") ==
          "0.003");
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
    shop.server_connection_opened(ServerId{2});
    shop.server_connection_opened(ServerId{2});
    shop.server_connection_closed(ServerId{2});
    shop.corrected(ServerId{2});
    shop.statement_done(engine::Target::replica, ServerId{2}, 1ms);
    shop.statement_done(engine::Target::replica, ServerId{2}, 1ms);
    for (const uint64_t nobody : {uint64_t{0}, uint64_t{3}, ~uint64_t{0}}) {
        shop.server_connect(ServerId{nobody}, engine::ServerConnectResult::ok, 4ms);
        shop.server_connection_opened(ServerId{nobody});
        shop.server_connection_closed(ServerId{nobody});
        shop.corrected(ServerId{nobody});
        shop.statement_done(engine::Target::replica, ServerId{nobody}, 1ms);
    }
    CHECK(value(metrics, R"(holdfast_server_connects_total{cluster="shop",result="ok",server="pg2"})") ==
          "1");
    CHECK(value(metrics, R"(holdfast_server_connects_total{cluster="shop",result="ok",server="pg1"})") ==
          "0");
    CHECK(value(metrics, R"(holdfast_server_connections{cluster="shop",server="pg2"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_connect_duration_seconds_count{cluster="shop",server="pg2"})") ==
          "1");
    CHECK(value(metrics, R"(holdfast_corrections_total{cluster="shop",server="pg2"})") == "1");
    CHECK(value(metrics, R"(holdfast_server_statements_total{cluster="shop",server="pg2"})") == "2");
    CHECK(value(metrics, R"(holdfast_server_statements_total{cluster="shop",server="pg1"})") == "0");
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
