#include "proxy/admin/cluster_metrics.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "tests/unit/proxy/admin/scrape.h"

using namespace holdfast;
using namespace holdfast::admin;
using namespace std::chrono_literals;
using engine::ClientState;
using engine::CloseReason;
using engine::RouteReason;
using engine::Target;

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
    CHECK(value(metrics, R"(holdfast_client_login_duration_seconds_bucket{cluster="shop",le="0.01"})") ==
          "0");
    CHECK(value(metrics, R"(holdfast_client_login_duration_seconds_bucket{cluster="shop",le="0.03"})") ==
          "1");
}

TEST_CASE("metrics: statements are counted by where they went, and by what decided that and what they are") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2"}));
    for (int i = 0; i < 3; ++i)
        shop.statement(ServerId{2}, Target::replica, RouteReason::classified, sql::Reason::read);
    shop.statement(ServerId{1}, Target::primary, RouteReason::read_your_writes, sql::Reason::read);
    shop.statement(ServerId{1}, Target::primary, RouteReason::classified, sql::Reason::write);
    shop.statement(ServerId{1}, Target::proxy, RouteReason::consistency,
                   sql::Reason::too_long);  // the enums' last values
    shop.statement(ServerId{7}, Target::primary, RouteReason::classified, sql::Reason::read);  // nobody's
    shop.statement_done(Target::replica, 0ms, 2ms);
    shop.statement_done(Target::replica, 40ms, 2ms);
    shop.statement_error("23505");
    shop.statement_error("nonsense");
    const auto statements = [&](const std::string& server, const std::string& target) {
        return value(metrics, "holdfast_statements_total{cluster=\"shop\",server=\"" + server +
                                  "\",target=\"" + target + "\"}");
    };
    CHECK(statements("pg2", "replica") == "3");
    CHECK(statements("pg1", "primary") == "2");
    CHECK(statements("pg1", "proxy") == "1");
    CHECK(statements("pg2", "primary") == "absent");
    const std::string decisions = R"(holdfast_routing_decisions_total{cluster="shop",reason=)";
    CHECK(value(metrics, decisions + R"("read",route="classified",target="replica"})") == "3");
    CHECK(value(metrics, decisions + R"("read",route="read_your_writes",target="primary"})") == "1");
    CHECK(value(metrics, decisions + R"("too_long",route="consistency",target="proxy"})") == "1");
    CHECK(value(metrics, decisions + R"("write",route="classified",target="replica"})") == "absent");
    CHECK(value(metrics, R"(holdfast_statement_duration_seconds_count{cluster="shop",target="replica"})") ==
          "2");
    CHECK(std::stod(value(metrics,
                          R"(holdfast_statement_duration_seconds_sum{cluster="shop",target="replica"})")) ==
          doctest::Approx(0.044));
    const std::string total =
        R"(holdfast_statement_duration_seconds_bucket{cluster="shop",target="replica",le=)";
    CHECK(value(metrics, total + R"("0.001"})") == "0");
    CHECK(value(metrics, total + R"("0.003"})") == "1");
    CHECK(value(metrics, total + R"("0.03"})") == "1");
    CHECK(value(metrics, total + R"("0.1"})") == "2");
    const std::string served =
        R"(holdfast_statement_server_duration_seconds_bucket{cluster="shop",target="replica",le=)";
    CHECK(value(metrics, served + R"("0.001"})") == "0");
    CHECK(value(metrics, served + R"("0.003"})") == "2");
    const std::string waited = R"(holdfast_statement_waiting_duration_seconds_bucket{cluster="shop",le=)";
    CHECK(value(metrics, waited + R"("0.001"})") == "1");
    CHECK(value(metrics, waited + R"("0.01"})") == "1");
    CHECK(value(metrics, waited + R"("0.1"})") == "2");
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

TEST_CASE("metrics: pins, the pool and replayed state") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1"}));
    const std::string pinned = R"(holdfast_sessions_pinned{cluster="shop",reason=)";
    shop.session_pins(0, 0b101);
    shop.session_pins(0, 0b001);
    shop.session_pins(0b101, 0b110);
    CHECK(value(metrics, pinned + R"("temporary_tables"})") == "1");
    CHECK(value(metrics, pinned + R"("listen"})") == "absent");
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

TEST_CASE("metrics: another primary is a change, the first one and the same one back are not") {
    PrometheusMetrics metrics(0);
    auto& shop = metrics.cluster(cluster("shop", {"pg1", "pg2", "pg3"}));
    const std::string changes = R"(holdfast_primary_changes_total{cluster="shop"})";
    health::View view;
    view.servers.resize(3);
    for (size_t i = 0; i < 3; ++i) {
        view.servers[i].id = ServerId{i + 1};
        view.servers[i].name = "pg" + std::to_string(i + 1);
    }
    view.primary = ServerId{2};
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
