#include "health/postgres_prober.h"

#include <doctest/doctest.h>

#include "cluster_lab.h"
#include "fake_postgres.h"
#include "health/monitor.h"
#include "poll_loop.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

namespace {

const std::vector<Cell> primary_row = {
    "f", "7000", "00000003", "0/3000148", "0/3000148",    {}, {}, {}, {}, {}, {}, {},
    {},  {},     {},         "150004",    "8192 16777216"};
const std::vector<Cell> standby_row = {
    "t", "7000",     {},     {},  {},  "0/3000100", "0/3000148",    "f", "4711", "streaming",
    "3", "10.0.0.1", "5432", "2", "3", "150004",    "8192 16777216"};

config::Cluster one_server(uint16_t port) {
    config::Cluster cluster = make_cluster(1);
    cluster.servers[0].address.port = port;
    cluster.server_tls.mode = config::ServerTlsMode::disable;
    config::Service service;
    service.user = "watcher";
    service.password = Secret("hush-hush");
    cluster.service = service;
    return cluster;
}

struct Fixture {
    explicit Fixture(FakePostgres::Script script)
        : server(loop, std::move(script)), cluster(one_server(server.port())), prober(cluster, loop) {
        prober.notify([this](ServerId, Hint what) { news.push_back(what); });
    }
    std::optional<Observation> probe(Duration time_limit = 2s) {
        std::optional<Observation> seen;
        prober.probe(cluster.servers[0], ServerId{1}, [&](Observation o) { seen = std::move(o); });
        CHECK_FALSE(seen);
        loop.run_until([&] { return seen.has_value(); }, time_limit);
        return seen;
    }

    PollLoop loop;
    FakePostgres server;
    config::Cluster cluster;
    std::vector<Hint> news;
    PostgresProber prober;
};

}  // namespace

TEST_CASE("postgres prober: reads a primary's facts, again and again over one connection") {
    Fixture f({{welcome(), row_answer(primary_row), row_answer(primary_row), row_answer(standby_row)}});
    const TimePoint before = f.loop.now();
    auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::ok);
    CHECK(o->server == ServerId{1});
    CHECK_FALSE(o->in_recovery);
    CHECK(o->timeline == 3);
    CHECK(o->position.lsn == 0x3000148);
    CHECK(o->system_identifier == 7000);
    CHECK(o->server_version == 150004);
    CHECK(o->sent_at > before);
    CHECK(o->received_at >= o->sent_at);
    REQUIRE(f.probe());
    o = f.probe();
    REQUIRE(o);
    CHECK(o->in_recovery);
    CHECK(o->timeline == 3);
    CHECK(o->position.lsn == 0x3000100);
    CHECK(o->received.lsn == 0x3000148);
    CHECK(o->sender_host == "10.0.0.1");
    CHECK(f.server.connections() == 1);
    CHECK(f.news.empty());
}

TEST_CASE("postgres prober: nobody listening is a refusal") {
    Fixture f({});
    f.server.stop_listening();
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::conn_refused);
    CHECK(o->text == "Connection refused");
}

TEST_CASE("postgres prober: login failures are named by what they mean") {
    struct Case {
        const char* sqlstate;
        const char* text;
        Outcome outcome;
    };
    for (const Case& c : {Case{"57P03", "the database system is starting up", Outcome::starting_up},
                          Case{"53300", "sorry, too many clients already", Outcome::too_many},
                          Case{"28P01", "password authentication failed for user \"watcher\"", Outcome::auth},
                          Case{"28000", "no pg_hba.conf entry for host", Outcome::auth},
                          Case{"3D000", "database \"postgres\" does not exist", Outcome::auth},
                          Case{"57P01", "terminating connection", Outcome::conn_lost},
                          Case{"XX000", "odd: very odd", Outcome::protocol}}) {
        CAPTURE(c.sqlstate);
        Fixture f({{error_message("FATAL", c.sqlstate, c.text)}, true});
        const auto o = f.probe();
        REQUIRE(o);
        CHECK(o->outcome == c.outcome);
        CHECK(o->text == c.text);
    }
}

TEST_CASE("postgres prober: a server that closes at once is lost") {
    Fixture f({{}, true});
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::conn_lost);
    CHECK(o->text == "server closed the connection unexpectedly");
}

TEST_CASE("postgres prober: something that is no PostgreSQL is told apart") {
    Fixture f({{"HTTP/1.1 400 Bad Request\r\n\r\n"}, true});
    const auto o = f.probe();
    REQUIRE(o);
    CHECK((o->outcome == Outcome::protocol || o->outcome == Outcome::conn_lost));
}

TEST_CASE("postgres prober: a server without TLS is refused where TLS is required") {
    PollLoop loop;
    FakePostgres server(loop, {{"N"}, false});
    config::Cluster cluster = one_server(server.port());
    cluster.server_tls.mode = config::ServerTlsMode::require;
    PostgresProber prober(cluster, loop);
    std::optional<Observation> seen;
    prober.probe(cluster.servers[0], ServerId{1}, [&](Observation o) { seen = std::move(o); });
    loop.run_until([&] { return seen.has_value(); });
    REQUIRE(seen);
    CHECK(seen->outcome == Outcome::tls);
    CHECK(seen->text == "server does not support SSL, but SSL was required");
}

TEST_CASE("postgres prober: waiting is named by the stage it is stuck in, and a cancelled probe is silent") {
    struct Case {
        FakePostgres::Script script;
        Outcome outcome;
    };
    for (const Case& c : {Case{{{}, false, false}, Outcome::greeting_timeout},
                          Case{{{}, false, true}, Outcome::greeting_timeout},
                          Case{{{welcome()}, false, true}, Outcome::query_timeout}}) {
        Fixture f(c.script);
        CHECK_FALSE(f.probe(100ms));
        CHECK(f.prober.cancel(ServerId{1}) == c.outcome);
        f.server.set_script({{welcome(), row_answer(primary_row)}});
        f.loop.run_until([] { return false; }, 20ms);
        if (c.script.accepts) CHECK(f.probe()->outcome == Outcome::ok);
    }
}

TEST_CASE(
    "postgres prober: a connection that breaks under the question fails the probe, the next one is new") {
    Fixture f({{welcome(), row_answer(primary_row)}});
    REQUIRE(f.probe());
    f.server.set_script({{welcome()}, true});
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::conn_lost);
    f.server.set_script({{welcome(), row_answer(primary_row)}});
    CHECK(f.probe()->outcome == Outcome::ok);
    CHECK(f.server.connections() == 2);
}

TEST_CASE("postgres prober: the end of an idle connection is news at once") {
    Fixture f({{welcome(), row_answer(primary_row), row_answer(primary_row)}});
    REQUIRE(f.probe());
    f.server.drop_clients();
    CHECK(f.loop.run_until([&] { return !f.news.empty(); }, 1s));
    CHECK(f.news == std::vector{Hint::connection_lost});
    CHECK(f.probe()->outcome == Outcome::ok);
}

TEST_CASE("postgres prober: an announced shutdown is news before the connection ends") {
    Fixture f({{welcome(), row_answer(primary_row)}});
    REQUIRE(f.probe());
    f.server.say_to_all(
        error_message("FATAL", "57P01", "terminating connection due to administrator command"));
    CHECK(f.loop.run_until([&] { return !f.news.empty(); }, 1s));
    CHECK(f.news == std::vector{Hint::shutting_down});
}

TEST_CASE("postgres prober: what a server says between probes without going away is no news") {
    Fixture f({{welcome(), row_answer(primary_row), row_answer(primary_row)}});
    REQUIRE(f.probe());
    f.server.say_to_all(message('S', std::string("in_hot_standby\0off\0", 19)));
    f.loop.run_until([] { return false; }, 50ms);
    CHECK(f.news.empty());
    CHECK(f.probe()->outcome == Outcome::ok);
    CHECK(f.server.connections() == 1);
}

TEST_CASE("postgres prober: a promotion in the middle of the question is asked again, once") {
    const std::string refusal = error_message("ERROR", "55000", "recovery is not in progress") + ready;
    Fixture f({{welcome(), refusal, row_answer(primary_row), refusal, refusal}});
    CHECK(f.probe()->outcome == Outcome::ok);
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::protocol);
    CHECK(o->text == "recovery is not in progress");
}

TEST_CASE("postgres prober: a lying server gets its answer refused") {
    std::vector<Cell> odd = primary_row;
    odd[2] = "zz";
    Fixture f({{welcome(), row_answer(odd), row_answer({"f"}), row_answer(primary_row)}});
    CHECK(f.probe()->outcome == Outcome::protocol);
    CHECK(f.probe()->outcome == Outcome::protocol);
    CHECK(f.probe()->outcome == Outcome::ok);
}

TEST_CASE("postgres prober: texts from outside are one printable line of bounded length") {
    Fixture f({{error_message("FATAL", "XX000", "a\x01" + std::string(5000, 'b') + "\nc")}, true});
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->text.size() <= 300);
    CHECK(o->text.substr(0, 3) == "a b");
}

TEST_CASE("postgres prober: without a service account any answer to a login is life") {
    for (const std::string& answer :
         {error_message("FATAL", "28P01", "no"), error_message("FATAL", "53300", "full"),
          message('R', big_endian(3, 4)), message('R', big_endian(5, 4) + "salt")}) {
        PollLoop loop;
        FakePostgres server(loop, {{answer}, false});
        config::Cluster cluster = one_server(server.port());
        cluster.service.reset();
        PostgresProber prober(cluster, loop);
        std::optional<Observation> seen;
        prober.probe(cluster.servers[0], ServerId{1}, [&](Observation o) { seen = std::move(o); });
        loop.run_until([&] { return seen.has_value(); }, 2s);
        REQUIRE(seen);
        CHECK(seen->outcome == Outcome::alive);
    }
    PollLoop loop;
    FakePostgres server(loop, {{error_message("FATAL", "57P03", "starting")}, true});
    config::Cluster cluster = one_server(server.port());
    cluster.service.reset();
    PostgresProber prober(cluster, loop);
    std::optional<Observation> seen;
    prober.probe(cluster.servers[0], ServerId{1}, [&](Observation o) { seen = std::move(o); });
    loop.run_until([&] { return seen.has_value(); }, 2s);
    REQUIRE(seen);
    CHECK(seen->outcome == Outcome::starting_up);
}

TEST_CASE("postgres prober: under a monitor a primary's death is noticed between probes") {
    PollLoop loop;
    NullLog log;
    FakePostgres server(loop, {{welcome(), row_answer(primary_row)}});
    config::Cluster cluster = one_server(server.port());
    cluster.health.interval = 60s;  // so that no regular probe can be what noticed
    Monitor monitor(cluster, loop, std::make_unique<PostgresProber>(cluster, loop), log, [](const View&) {});
    monitor.start();
    REQUIRE(loop.run_until([&] { return monitor.view().primary.has_value(); }));
    server.stop_listening();
    server.drop_clients();
    REQUIRE(
        loop.run_until([&] { return monitor.view().find(ServerId{1})->reason == "Connection refused"; }, 2s));
    CHECK_FALSE(monitor.view().primary);
}
