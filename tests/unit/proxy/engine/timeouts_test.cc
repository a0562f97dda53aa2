#include "proxy/engine/timeouts.h"

#include <chrono>

#include <doctest/doctest.h>

#include "tests/unit/proxy/engine/mysql_session_lab.h"

using namespace holdfast;
using namespace holdfast::engine;
using namespace holdfast::engine::test;
using namespace std::chrono_literals;

namespace {

constexpr uint16_t in_transaction = mysql::status::autocommit | mysql::status::in_transaction;

config::Timeouts all() {
    config::Timeouts timeouts;
    timeouts.idle = 10s;
    timeouts.idle_in_transaction = 5s;
    timeouts.transaction = 20s;
    timeouts.query = 3s;
    return timeouts;
}

/// A client that has logged in, and what its cluster's timeouts are.
struct TimeoutLab : SessionLab {
    explicit TimeoutLab(const config::Timeouts& timeouts) {
        set(timeouts);
        client = come();
        one = serve(1);
        CHECK(client->take() == ok(2));
    }
    void set(const config::Timeouts& timeouts) {
        auto settings = std::make_shared<config::Cluster>(cluster->settings());
        settings->timeouts = timeouts;
        cluster->reconfigure(settings);
        world.run();
    }
    void begin() {
        give(*client, query("BEGIN"));
        CHECK(one->take() == query("BEGIN"));
        give(*one, ok(1, in_transaction));
        CHECK(client->take() == ok(1, in_transaction));
    }
    /// What the connection that came for a cancel sends; empty: none came.
    std::shared_ptr<Wire> canceller() {
        auto wire = serve(1);
        CHECK(wire->take().find("KILL QUERY") != std::string::npos);
        return wire;
    }
    bool asks_for_a_connection() { return world.accept(first_port) != nullptr; }

    std::shared_ptr<Wire> client;
    std::shared_ptr<Wire> one;
};

}  // namespace

TEST_CASE("timeouts: which one is next") {
    Activity activity;
    activity.quiet_since = TimePoint{100s};
    CHECK_FALSE(next_deadline(activity, {}));
    auto next = next_deadline(activity, all());
    REQUIRE(next);
    CHECK(next->what == Overdue::idle);
    CHECK(next->at == TimePoint{110s});

    activity.transaction_since = TimePoint{95s};
    next = next_deadline(activity, all());
    CHECK(next->what == Overdue::idle_in_transaction);
    CHECK(next->at == TimePoint{105s});
    activity.transaction_since = TimePoint{84s};
    next = next_deadline(activity, all());
    CHECK(next->what == Overdue::transaction);
    CHECK(next->at == TimePoint{104s});

    activity.is_busy = true;
    activity.query_since = TimePoint{100s};
    next = next_deadline(activity, all());
    CHECK(next->what == Overdue::query);
    CHECK(next->at == TimePoint{103s});
    activity.query_since = TimePoint{102s};
    CHECK(next_deadline(activity, all())->what == Overdue::transaction);

    activity.patient_until = TimePoint{110s};  // after a cancel nothing is overdue at once
    CHECK(next_deadline(activity, all())->at == TimePoint{110s});

    activity.is_watched = false;
    CHECK_FALSE(next_deadline(activity, all()));
}

TEST_CASE("timeouts: a client that asks for nothing is let go, one that asks is not") {
    config::Timeouts timeouts;
    timeouts.idle = 10s;
    TimeoutLab lab(timeouts);
    for (int i = 0; i < 5; ++i) {
        lab.world.pass(9s);
        REQUIRE(lab.client->is_open);
        lab.give(*lab.client, SessionLab::query("INSERT INTO t VALUES (1)"));
        lab.world.pass(30s);  // its statement may take its time
        lab.give(*lab.one, SessionLab::ok());
        CHECK(lab.client->take() == SessionLab::ok());
    }
    lab.world.pass(9s);
    CHECK(lab.client->is_open);
    lab.world.pass(2s);
    CHECK_FALSE(lab.client->is_open);
    CHECK(lab.client->take().empty());  // as MariaDB itself
    CHECK(lab.one->is_open);            // it can serve another
}

TEST_CASE("timeouts: no timeout of one kind ends what another is for") {
    config::Timeouts timeouts;
    timeouts.idle = 10s;
    TimeoutLab lab(timeouts);
    lab.begin();
    lab.world.pass(1h);
    CHECK(lab.client->is_open);
}

TEST_CASE("timeouts: a reload brings them to clients that are there") {
    TimeoutLab lab({});
    lab.world.pass(1h);
    config::Timeouts timeouts;
    timeouts.idle = 2h;
    lab.set(timeouts);
    lab.world.pass(59min);
    CHECK(lab.client->is_open);
    timeouts.idle = 10s;
    lab.set(timeouts);
    lab.world.pass(0s);
    CHECK_FALSE(lab.client->is_open);
}

TEST_CASE("timeouts: an idle transaction is rolled back with its connection") {
    config::Timeouts timeouts;
    timeouts.idle_in_transaction = 5s;
    TimeoutLab lab(timeouts);
    lab.world.pass(1h);
    lab.begin();
    lab.world.pass(4s);
    CHECK(lab.client->is_open);
    lab.world.pass(2s);
    CHECK_FALSE(lab.client->is_open);
    CHECK_FALSE(lab.one->is_open);
}

TEST_CASE("timeouts: a query that takes too long is cancelled, and the server says what became of it") {
    config::Timeouts timeouts;
    timeouts.query = 3s;
    TimeoutLab lab(timeouts);
    const std::string slow = SessionLab::query("UPDATE t SET a = 1");
    lab.give(*lab.client, slow);
    CHECK(lab.one->take() == slow);
    lab.world.pass(2s);
    CHECK_FALSE(lab.asks_for_a_connection());
    lab.world.pass(2s);
    auto killer = lab.canceller();
    CHECK(lab.client->take().empty());
    SUBCASE("the server cancels it") {
        lab.give(*lab.one, SessionLab::err(1'317, "Query execution was interrupted"));
        CHECK(lab.client->take() == SessionLab::err(1'317, "Query execution was interrupted"));
    }
    SUBCASE("it was done before") {
        lab.give(*lab.one, SessionLab::ok());
        CHECK(lab.client->take() == SessionLab::ok());
    }
    // Until the server has dealt with the cancel, nothing is sent that it could hit.
    lab.give(*lab.client, SessionLab::query("UPDATE t SET a = 2"));
    CHECK(lab.one->take().empty());
    lab.give(*killer, SessionLab::ok());
    CHECK(lab.one->take() == SessionLab::query("UPDATE t SET a = 2"));
    lab.give(*lab.one, SessionLab::ok());
    CHECK(lab.client->take() == SessionLab::ok());
    lab.world.pass(1h);
    CHECK_FALSE(lab.asks_for_a_connection());
}

TEST_CASE("timeouts: a cancel that got lost is followed by another") {
    config::Timeouts timeouts;
    timeouts.query = 3s;
    TimeoutLab lab(timeouts);
    lab.give(*lab.client, SessionLab::query("UPDATE t SET a = 1"));
    lab.world.pass(4s);
    lab.give(*lab.canceller(), SessionLab::ok());
    lab.world.pass(2s);
    CHECK_FALSE(lab.asks_for_a_connection());
    lab.world.pass(2s);
    lab.give(*lab.canceller(), SessionLab::ok());
    CHECK(lab.client->is_open);
}

TEST_CASE("timeouts: a transaction that lasts too long ends where that is certain") {
    config::Timeouts timeouts;
    timeouts.transaction = 20s;
    TimeoutLab lab(timeouts);
    lab.begin();
    SUBCASE("between statements") {
        lab.world.pass(19s);
        CHECK(lab.client->is_open);
        lab.world.pass(2s);
        CHECK_FALSE(lab.client->is_open);
        CHECK_FALSE(lab.one->is_open);
    }
    SUBCASE("in a statement, which is cancelled first") {
        lab.give(*lab.client, SessionLab::query("UPDATE t SET a = 1"));
        lab.world.pass(21s);
        auto killer = lab.canceller();
        CHECK(lab.client->is_open);
        lab.give(*lab.one, SessionLab::err(1'317, "Query execution was interrupted"));
        CHECK(lab.client->take() == SessionLab::err(1'317, "Query execution was interrupted"));
        lab.world.pass(0s);
        CHECK_FALSE(lab.client->is_open);
    }
    SUBCASE("in a COMMIT that comes through") {
        lab.give(*lab.client, SessionLab::query("COMMIT"));
        lab.world.pass(21s);
        auto killer = lab.canceller();
        lab.give(*lab.one, SessionLab::ok());
        CHECK(lab.client->take() == SessionLab::ok());
        lab.world.pass(1h);
        CHECK(lab.client->is_open);
    }
}
