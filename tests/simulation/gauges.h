#pragma once

#include <array>
#include <map>
#include <string>

#include "proxy/engine/metrics.h"
#include "tests/simulation/books.h"

namespace holdfast::simulation {

/// The engine's metrics as plain numbers. A gauge that goes below zero is a problem at once.
class Gauges final : public engine::ClusterMetrics {
public:
    explicit Gauges(Books& books) : books_(books) {}

    void client_accepted() override { ++accepted; }
    void client_logged_in(Duration) override { ++logged_in; }
    void client_closed(engine::CloseReason reason) override { ++closed[static_cast<size_t>(reason)]; }
    void client_state(engine::ClientState from, engine::ClientState to) override {
        lower(clients[static_cast<size_t>(from)], "clients");
        ++clients[static_cast<size_t>(to)];
    }
    void client_state_entered(engine::ClientState state) override { ++clients[static_cast<size_t>(state)]; }
    void client_state_left(engine::ClientState state) override {
        lower(clients[static_cast<size_t>(state)], "clients");
    }
    void client_bytes(size_t, size_t) override {}
    void session_pins(engine::PinSet before, engine::PinSet now) override {
        for (size_t i = 0; i < pinned.size(); ++i) {
            if ((unsigned{before} >> i & 1U) != 0) lower(pinned[i], "pinned sessions");
            if ((unsigned{now} >> i & 1U) != 0) ++pinned[i];
        }
    }
    void server_connect(ServerId, engine::ServerConnectResult, Duration) override {}
    void server_connection_entered(ServerId, engine::ServerConnectionState state) override {
        ++server_connections[static_cast<size_t>(state)];
    }
    void server_connection_state(ServerId, engine::ServerConnectionState from,
                                 engine::ServerConnectionState to) override {
        lower(server_connections[static_cast<size_t>(from)], "server connections");
        ++server_connections[static_cast<size_t>(to)];
    }
    void server_connection_left(ServerId, engine::ServerConnectionState state) override {
        lower(server_connections[static_cast<size_t>(state)], "server connections");
    }
    void server_bytes(ServerId, size_t, size_t) override {}
    void statement(ServerId, engine::Target target, engine::RouteReason, sql::Reason) override {
        ++statements[static_cast<size_t>(target)];
    }
    void statement_done(engine::Target, Duration waited, Duration served) override {
        if (waited < Duration::zero() || served < Duration::zero()) {
            books_.problem("a statement's time is negative");
        }
    }
    void statement_error(std::string_view) override {}
    void corrected(ServerId) override { ++corrections; }
    void hold_began() override {
        ++held;
        ++holds;
    }
    void hold_ended(engine::HoldOutcome, Duration) override { lower(held, "held statements"); }
    void pool_wait_began() override { ++pool_waits; }
    void pool_wait_ended(Duration) override { lower(pool_waits, "waits for the pool"); }
    void state_replayed(bool) override {}
    void loss(engine::LossOutcome outcome) override { ++losses[static_cast<size_t>(outcome)]; }
    void cancel_request(bool) override {}
    void query_timed_out() override { ++query_timeouts; }
    void stale_read_avoided() override {}
    void failover_completed(Duration) override { ++failovers; }
    void view_changed(const health::View&) override {}

    /// Everybody has left: all gauges must be at zero again.
    void check_baseline() {
        for (const int count : clients) {
            if (count != 0) books_.problem("a gauge of client states stays at " + std::to_string(count));
        }
        if (held != 0) books_.problem("the gauge of held statements stays at " + std::to_string(held));
        for (const int count : server_connections) {
            if (count != 0) books_.problem("a gauge of server connections stays at " + std::to_string(count));
        }
        for (const int count : pinned) {
            if (count != 0) books_.problem("a gauge of pinned sessions stays at " + std::to_string(count));
        }
        if (pool_waits != 0) {
            books_.problem("the gauge of waits for the pool stays at " + std::to_string(pool_waits));
        }
        int ends = 0;
        for (const int count : closed) ends += count;
        if (ends != accepted)
            books_.problem(std::to_string(accepted) + " clients came and " + std::to_string(ends) + " left");
    }

    std::array<int, engine::client_state_count> clients{};
    std::array<int, engine::close_reason_count> closed{};
    int query_timeouts = 0;
    std::array<int, engine::target_count> statements{};
    std::array<int, engine::loss_outcome_count> losses{};
    int accepted = 0;
    int logged_in = 0;
    int held = 0;
    int holds = 0;
    std::array<int, engine::server_connection_state_count> server_connections{};
    std::array<int, engine::pin_reason_count> pinned{};
    int pool_waits = 0;
    int corrections = 0;
    int failovers = 0;

private:
    void lower(int& gauge, const char* what) {
        if (--gauge < 0) books_.problem(std::string("a gauge went below zero: ") + what);
    }
    Books& books_;
};

}  // namespace holdfast::simulation
