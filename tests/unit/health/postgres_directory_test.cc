#include "health/postgres_directory.h"

#include <doctest/doctest.h>

#include "cluster_lab.h"
#include "fake_postgres.h"
#include "poll_loop.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

namespace {

const std::string role_answer = row_answer({"t", "SCRAM-SHA-256$4096:c2FsdA==$aaa:bbb", "1893456000"});
const std::string other_answer = row_answer({"f", {}, {}});
const std::string no_role = rows_answer(3, {});

/// The real clock, set forward at will.
class ShiftedLoop final : public EventLoop {
public:
    TimePoint now() const override { return inner.now() + shift; }
    std::unique_ptr<Watch> after(Duration delay, std::function<void()> on_due) override {
        return inner.after(delay, std::move(on_due));
    }
    std::unique_ptr<Watch> watch(int descriptor, Readiness readiness,
                                 std::function<void()> on_ready) override {
        return inner.watch(descriptor, readiness, std::move(on_ready));
    }
    std::unique_ptr<Watch> resolve(const std::string& host,
                                   std::function<void(Result<std::vector<std::string>>)> on_done) override {
        return inner.resolve(host, std::move(on_done));
    }
    PollLoop inner;
    Duration shift{};
};

class CountingLog final : public Log {
public:
    bool enabled(LogLevel) const override { return true; }
    void write(LogLevel, std::string_view, std::initializer_list<LogField>) override { ++lines; }
    int lines = 0;
};

/// pg1 is the primary, pg2 a readable replica; each is a scripted server.
struct Fixture {
    Fixture(FakePostgres::Script first, FakePostgres::Script second)
        : primary(loop, std::move(first)), replica(loop, std::move(second)), cluster(make_cluster(2)) {
        cluster.servers[0].address.port = primary.port();
        cluster.servers[1].address.port = replica.port();
        cluster.server_tls.mode = config::ServerTlsMode::disable;
        cluster.service = config::Service{"watcher", Secret("hush-hush"), "postgres"};
        lab.writable(1, 1);
        lab.standby(2, 1);
        directory = std::make_unique<PostgresDirectory>(cluster, loop, log,
                                                        [this]() -> const View& { return lab.view(); });
    }
    std::optional<PostgresDirectory::RoleAnswer> find(const std::string& user) {
        std::optional<PostgresDirectory::RoleAnswer> seen;
        directory->find_role(user, [&](PostgresDirectory::RoleAnswer answer) { seen = std::move(answer); });
        loop.inner.run_until([&] { return seen.has_value(); }, 3s);
        return seen;
    }
    size_t requests() const { return primary.requests() + replica.requests(); }

    ShiftedLoop loop;
    FakePostgres primary;
    FakePostgres replica;
    config::Cluster cluster;
    Lab lab{2};
    CountingLog log;
    std::unique_ptr<PostgresDirectory> directory;
};

}  // namespace

TEST_CASE("postgres directory: reads a role from the primary") {
    Fixture f({{welcome(), role_answer, no_role, other_answer}}, {});
    auto answer = f.find("app");
    REQUIRE(answer);
    REQUIRE(*answer);
    REQUIRE(**answer);
    CHECK((**answer)->can_login);
    CHECK((**answer)->password_hash == Secret("SCRAM-SHA-256$4096:c2FsdA==$aaa:bbb"));
    CHECK((**answer)->valid_until == 1893456000);
    answer = f.find("nobody");
    REQUIRE(answer->ok());
    CHECK_FALSE(**answer);
    answer = f.find("group");
    REQUIRE(answer->ok());
    CHECK_FALSE((**answer)->can_login);
    CHECK((**answer)->password_hash.empty());
    CHECK_FALSE((**answer)->valid_until);
    CHECK(f.primary.connections() == 1);
    CHECK(f.replica.connections() == 0);
}

TEST_CASE("postgres directory: VALID UNTIL may be infinite either way, and must make sense") {
    Fixture f({{welcome(), row_answer({"t", "x", "infinity"}), row_answer({"t", "x", "-infinity"}),
                row_answer({"t", "x", "soon"})}},
              {});
    CHECK_FALSE((**f.find("a"))->valid_until);
    CHECK((**f.find("b"))->valid_until == INT64_MIN);
    CHECK(f.find("c")->error().code == ErrorCode::bad_value);
}

TEST_CASE("postgres directory: a fresh answer is given at once, an old one is fetched again") {
    Fixture f({{welcome(), role_answer, other_answer}}, {});
    REQUIRE(f.find("app"));
    const size_t requests = f.requests();
    bool is_called = false;
    f.directory->find_role("app", [&](const PostgresDirectory::RoleAnswer& answer) {
        is_called = true;
        CHECK((*answer)->can_login);
    });
    CHECK(is_called);
    CHECK(f.requests() == requests);
    f.loop.shift = 11s;
    CHECK_FALSE((**f.find("app"))->can_login);
    CHECK(f.requests() == requests + 1);
}

TEST_CASE("postgres directory: a forgotten role is fetched again") {
    Fixture f({{welcome(), role_answer, other_answer}}, {});
    CHECK((**f.find("app"))->can_login);
    f.directory->forget("app");
    f.directory->forget("unknown");
    CHECK_FALSE((**f.find("app"))->can_login);
}

TEST_CASE("postgres directory: those who ask for one role at once share one question") {
    Fixture f({{welcome(), role_answer}}, {});
    int answers = 0;
    for (int i = 0; i < 50; ++i) {
        f.directory->find_role("app",
                               [&](const PostgresDirectory::RoleAnswer& a) { answers += a.ok() ? 1 : 0; });
    }
    CHECK(answers == 0);
    f.loop.inner.run_until([&] { return answers == 50; }, 3s);
    CHECK(answers == 50);
    CHECK(f.primary.requests() == 2);  // the startup and one question
}

TEST_CASE("postgres directory: the number of waiting look-ups is bounded") {
    Fixture f({{}, false, false}, {{}, false, false});
    size_t refused = 0;
    for (size_t i = 0; i < PostgresDirectory::lookups_waiting_max + 7; ++i) {
        f.directory->find_role("user" + std::to_string(i), [&](const PostgresDirectory::RoleAnswer& answer) {
            if (answer.error().code == ErrorCode::limit_exceeded) ++refused;
        });
    }
    CHECK(refused == 7);
}

TEST_CASE("postgres directory: another server is asked when the primary does not answer") {
    Fixture f({{}, true}, {{welcome(), role_answer}});
    const auto answer = f.find("app");
    REQUIRE(answer);
    REQUIRE(answer->ok());
    CHECK((**answer)->can_login);
    CHECK(f.replica.connections() == 1);
}

TEST_CASE("postgres directory: in an outage the last known answer is given, and only then") {
    Fixture f({{welcome(), role_answer}}, {{}, true});
    REQUIRE(f.find("app"));
    f.primary.drop_clients();
    f.primary.stop_listening();
    f.loop.shift = 3600s;
    CHECK((**f.find("app"))->can_login);
    f.directory->forget("app");
    CHECK((**f.find("app"))->can_login);
    CHECK(f.find("stranger")->error().code == ErrorCode::unreachable);
}

TEST_CASE("postgres directory: with no server in sight it says so without waiting") {
    Fixture f({}, {});
    f.lab.fails(1, Outcome::conn_refused, 2);
    f.lab.fails(2, Outcome::conn_refused, 2);
    const auto answer = f.find("app");
    REQUIRE(answer);
    CHECK(answer->error().code == ErrorCode::unreachable);
    CHECK(answer->error().message == "no server of shop can be asked now");
    CHECK(f.primary.connections() == 0);
}

TEST_CASE("postgres directory: a missing right is told with the GRANT, and logged once in a while") {
    const std::string refusal =
        error_message("ERROR", "42501", "permission denied for table pg_authid") + ready;
    Fixture f({{welcome(), refusal, refusal, refusal}}, {});
    for (int i = 0; i < 3; ++i) {
        const auto answer = f.find("app");
        REQUIRE(answer);
        CHECK(answer->error().code == ErrorCode::denied);
        CHECK(answer->error().message ==
              "the service account may not read passwords (permission denied for table pg_authid); as a "
              "superuser, in database \"postgres\": GRANT SELECT ON pg_catalog.pg_authid TO \"watcher\"");
    }
    CHECK(f.log.lines == 1);
    CHECK(f.replica.connections() == 0);  // rights are the same everywhere
}

TEST_CASE("postgres directory: names that no role can have cost no question") {
    Fixture f({}, {});
    CHECK_FALSE(**f.find(""));
    CHECK_FALSE(**f.find(std::string(64, 'x')));
    CHECK(f.primary.connections() == 0);
}

TEST_CASE("postgres directory: without a service account there is nobody to ask") {
    Fixture f({}, {});
    f.cluster.service.reset();
    f.directory = std::make_unique<PostgresDirectory>(f.cluster, f.loop, f.log,
                                                      [&]() -> const View& { return f.lab.view(); });
    CHECK(f.find("app")->error().code == ErrorCode::unsupported);
}

TEST_CASE("postgres directory: functions are read once in a while, and kept through an outage") {
    Fixture f({{welcome(), row_answer({"add_tax", "t"}), row_answer({"add_tax", "f"})}}, {{}, true});
    std::vector<std::shared_ptr<const FunctionList>> seen;
    const auto read = [&] {
        const size_t before = seen.size();
        f.directory->find_functions("shop", [&](PostgresDirectory::FunctionAnswer answer) {
            seen.push_back(answer ? *answer : nullptr);
        });
        f.loop.inner.run_until([&] { return seen.size() > before; }, 3s);
    };
    read();
    read();
    REQUIRE(seen.size() == 2);
    REQUIRE(seen[0]);
    CHECK(seen[0]->reads_only.at("add_tax"));
    CHECK(seen[0]->complete);
    CHECK(seen[0] == seen[1]);
    f.loop.shift = 31s;
    read();
    CHECK_FALSE(seen[2]->reads_only.at("add_tax"));
    f.primary.drop_clients();
    f.primary.stop_listening();
    f.loop.shift = 90s;
    read();
    CHECK(seen[3] == seen[2]);
}

TEST_CASE("postgres directory: may be destroyed with questions open") {
    Fixture f({{welcome(), role_answer}}, {});
    bool is_called = false;
    f.directory->find_role("app", [&](const PostgresDirectory::RoleAnswer&) { is_called = true; });
    f.loop.inner.run_until([&] { return f.primary.requests() >= 1; }, 3s);
    f.directory.reset();
    f.loop.inner.run_until([] { return false; }, 50ms);
    CHECK_FALSE(is_called);
}
