#include "proxy/admin/metrics.h"

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include <doctest/doctest.h>

#include "proxy/admin/metric_table.h"
#include "tests/unit/proxy/admin/scrape.h"

using namespace holdfast;
using namespace holdfast::admin;
using namespace std::chrono_literals;
using engine::RouteReason;
using engine::Target;

TEST_CASE("metrics: every row of the table is shown, with exactly its labels") {
    PrometheusMetrics metrics(1'700'000'000);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    metrics.show_certificates({{"shop", "127.0.0.1:5432", 1}});
    // What comes late: all that the rows don't name.
    shop.statement(ServerId{1}, Target::primary, RouteReason::classified, sql::Reason::write);
    shop.hold_ended(engine::HoldOutcome::resumed, 1s);
    shop.pool_wait_ended(1s);
    health::View view;
    view.primary = ServerId{1};
    view.servers.resize(1);
    view.servers[0].name = "pg1";
    view.servers[0].id = ServerId{1};
    view.servers[0].state = health::ServerState::down;
    view.servers[0].role = health::ServerRole::replica;
    view.servers[0].lag = 1s;
    view.servers[0].lag_bytes = 1;
    view.servers[0].timeline = 1;
    view.servers[0].position = Position{1};
    shop.view_changed(view);
    shop.show({.now = TimePoint{9s}, .weights = {}, .readers = {}});
    health::Observation probe;
    probe.server = ServerId{1};
    probe.in_recovery = probe.receiver_known = true;
    shop.probed(probe);

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

TEST_CASE("metrics: what is there at 0 before its first event is what alerts and rates of rare events need") {
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
    CHECK(zeros("holdfast_client_disconnects_total{") == 3);
    CHECK(zeros("holdfast_client_connections{") == engine::client_state_count);
    CHECK(zeros("holdfast_held_statements_total{") == engine::hold_outcome_count);
    CHECK(zeros("holdfast_losses_total{") == engine::loss_outcome_count);
    CHECK(series.contains(R"(holdfast_client_disconnects_total{cluster="shop",reason="login_failed"})"));
    CHECK(series.contains(R"(holdfast_client_disconnects_total{cluster="shop",reason="internal"})"));
    CHECK(zeros("holdfast_server_connects_total{") == 2);
    CHECK(
        series.contains(R"(holdfast_server_connects_total{cluster="shop",result="too_many",server="pg1"})"));
    CHECK(zeros("holdfast_server_state_changes_total{") == 1);
    CHECK(zeros("holdfast_primary_changes_total{") == 1);
    CHECK(zeros("holdfast_write_unavailable_seconds_total{") == 1);
    CHECK(zeros("holdfast_failover_duration_seconds_count{") == 1);
    CHECK(zeros("holdfast_statement_errors_total{") == 1);
    CHECK(zeros("holdfast_cancel_requests_total{") == 2);
    CHECK(zeros("holdfast_client_bytes_total{") == 2);
    CHECK(zeros("holdfast_sessions_pinned{") == 1);
    CHECK(zeros("holdfast_server_connections{") == 2);
    CHECK(zeros("holdfast_health_checks_total{") == 1);
    CHECK(zeros("holdfast_state_replays_total{") == 2);
    CHECK(zeros("holdfast_admin_requests_total{") == 18);
    CHECK(zeros("holdfast_admin_actions_total{") == 10);
    CHECK(zeros("holdfast_log_messages_total{") == 4);
    CHECK(zeros("holdfast_tls_handshakes_total{") == 4);
    CHECK(zeros("holdfast_statements_total{") == 0);
    CHECK(zeros("holdfast_hold_duration_seconds_count{") == 0);
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
