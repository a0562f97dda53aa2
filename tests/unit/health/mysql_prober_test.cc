#include "health/mysql_prober.h"

#include <doctest/doctest.h>

#include "fake_mysql.h"
#include "mysql_lab.h"
#include "poll_loop.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

namespace {

MysqlRows variables(const std::string& read_only) {
    return {{"Variable_name", "Value"},
            {{"version", "10.11.19-MariaDB-log"},
             {"read_only", read_only},
             {"server_id", "2"},
             {"log_bin", "ON"},
             {"gtid_binlog_pos", "0-1-5"},
             {"gtid_current_pos", "0-1-5"},
             {"gtid_slave_pos", "0-1-5"}}};
}

MysqlRows one_source() {
    return {{"Connection_name", "Master_Host", "Master_Port", "Slave_IO_Running", "Slave_SQL_Running",
             "Seconds_Behind_Master", "Last_IO_Errno", "Last_SQL_Errno", "Master_Server_Id", "Gtid_IO_Pos"},
            {{"", "10.0.0.1", "3306", "Yes", "Yes", "0", "0", "0", "1", "0-1-6"}}};
}

std::optional<std::string> answer_replica(const std::string& sql) {
    if (sql.find("VARIABLES") != std::string::npos) return result_set(variables("ON"));
    if (sql == "SHOW ALL SLAVES STATUS") return result_set(one_source());
    return std::nullopt;
}

config::Cluster one_server(uint16_t port) {
    config::Cluster cluster = make_mysql_cluster(1);
    cluster.servers[0].address.host = "127.0.0.1";
    cluster.servers[0].address.port = port;
    cluster.server_tls.mode = config::ServerTlsMode::disable;
    cluster.service = config::Service{"watcher", Secret("hush-hush"), ""};
    return cluster;
}

struct Fixture {
    explicit Fixture(FakeMysql::Script script, bool has_account = true)
        : server(loop, std::move(script)), cluster(one_server(server.port())) {
        if (!has_account) cluster.service.reset();
        prober = std::make_unique<MysqlProber>(cluster, loop);
        prober->notify([this](ServerId, Hint what) { news.push_back(what); });
    }
    std::optional<Observation> probe(Duration time_limit = 2s) {
        std::optional<Observation> seen;
        prober->probe(cluster.servers[0], ServerId{1}, [&](Observation o) { seen = std::move(o); });
        CHECK_FALSE(seen);
        loop.run_until([&] { return seen.has_value(); }, time_limit);
        return seen;
    }

    PollLoop loop;
    FakeMysql server;
    config::Cluster cluster;
    std::vector<Hint> news;
    std::unique_ptr<MysqlProber> prober;
};

FakeMysql::Script script_of(decltype(FakeMysql::Script::answer) answer) {
    FakeMysql::Script script;
    script.answer = std::move(answer);
    return script;
}

}  // namespace

TEST_CASE("mysql prober: reads a replica's facts, again and again over one connection, and says goodbye") {
    Fixture f(script_of(answer_replica));
    for (int i = 0; i < 3; ++i) {
        const auto o = f.probe();
        REQUIRE(o);
        CHECK(o->outcome == Outcome::ok);
        CHECK(o->text == "");
        CHECK(o->version_text == "10.11.19-MariaDB-log");
        CHECK(o->server_version == 101'119);
        REQUIRE(o->mysql);
        CHECK(o->mysql->read_only);
        CHECK(o->mysql->server_id == 2);
        CHECK(o->mysql->applied.text() == "0-1-5");
        CHECK(o->mysql->received.text() == "0-1-6");
        REQUIRE(o->mysql->sources.size() == 1);
        CHECK(o->mysql->sources[0].host == "10.0.0.1");
        CHECK(o->mysql->sources[0].io == ReplicationThread::running);
        CHECK(o->sent_at <= o->received_at);
    }
    CHECK(f.server.connections() == 1);
    CHECK(f.news.empty());
    f.prober.reset();
    CHECK(f.loop.run_until([&] { return f.server.goodbyes() == 1; }, 2s));
}

TEST_CASE("mysql prober: errors of a login say what is the matter") {
    struct Case {
        int code;
        Outcome outcome;
    };
    for (const Case& c : {Case{1040, Outcome::too_many}, Case{1203, Outcome::too_many},
                          Case{1045, Outcome::auth}, Case{1044, Outcome::auth}, Case{1698, Outcome::auth},
                          Case{1129, Outcome::auth}, Case{1130, Outcome::auth}, Case{3159, Outcome::auth},
                          Case{3955, Outcome::auth}, Case{1053, Outcome::starting_up},
                          Case{3032, Outcome::starting_up}, Case{1064, Outcome::protocol}}) {
        CAPTURE(c.code);
        FakeMysql::Script script;
        script.login = error_packet(2, c.code, "no: something");
        Fixture f(std::move(script));
        const auto o = f.probe();
        REQUIRE(o);
        CHECK(o->outcome == c.outcome);
        CHECK(o->text.find("no: something") == 0);
    }
}

TEST_CASE("mysql prober: an error in place of the greeting") {
    FakeMysql::Script script;
    script.first = packet(0, "\xff" + little_endian(1040, 2) + "Too many connections");
    Fixture f(std::move(script));
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::too_many);
}

TEST_CASE("mysql prober: nobody there, not MySQL, a frozen server, a silent one") {
    {
        Fixture f(script_of(answer_replica));
        f.server.stop_listening();
        const auto o = f.probe();
        REQUIRE(o);
        CHECK(o->outcome == Outcome::conn_refused);
    }
    {
        FakeMysql::Script script;
        script.first = packet(0, "HTTP/1.1 400 Bad Request");
        Fixture f(std::move(script));
        const auto o = f.probe();
        REQUIRE(o);
        CHECK(o->outcome == Outcome::protocol);
    }
    {
        FakeMysql::Script script;
        script.first = "";
        Fixture f(std::move(script));
        CHECK_FALSE(f.probe(50ms));
        CHECK(f.prober->cancel(ServerId{1}) == Outcome::greeting_timeout);
    }
    {
        Fixture f(script_of({}));
        CHECK_FALSE(f.probe(50ms));
        CHECK(f.prober->cancel(ServerId{1}) == Outcome::query_timeout);
        CHECK_FALSE(f.probe(50ms));
        CHECK(f.server.connections() == 2);
    }
}

TEST_CASE("mysql prober: the end of an idle connection is news, and the next probe connects anew") {
    Fixture f(script_of(answer_replica));
    REQUIRE(f.probe());
    f.server.drop_clients();
    CHECK(f.loop.run_until([&] { return !f.news.empty(); }, 2s));
    CHECK(f.news.back() == Hint::connection_lost);
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::ok);
    f.server.say_to_all(packet(0, "\xff" + little_endian(1053, 2) + "#08S01Server shutdown in progress"));
    CHECK(f.loop.run_until([&] { return f.news.size() == 2; }, 2s));
    CHECK(f.news.back() == Hint::shutting_down);
}

TEST_CASE("mysql prober: a connection that breaks while it is asked") {
    Fixture f(script_of({}));
    std::optional<Observation> seen;
    f.prober->probe(f.cluster.servers[0], ServerId{1}, [&](Observation o) { seen = std::move(o); });
    CHECK(f.loop.run_until([&] { return !f.server.commands().empty(); }, 2s));
    f.server.drop_clients();
    CHECK(f.loop.run_until([&] { return seen.has_value(); }, 2s));
    CHECK(seen->outcome == Outcome::conn_lost);
    CHECK(f.news.empty());
}

TEST_CASE("mysql prober: without the right to see replication the rest is still known") {
    Fixture f(script_of([](const std::string& sql) -> std::optional<std::string> {
        if (sql.find("VARIABLES") != std::string::npos) return result_set(variables("OFF"));
        return error_packet(1, 1227, "Access denied; you need the SLAVE MONITOR privilege");
    }));
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::ok);
    CHECK_FALSE(o->mysql->read_only);
    CHECK(
        o->mysql->sources_hidden ==
        "its replication threads can't be seen (Access denied; you need the SLAVE MONITOR privilege); GRANT "
        "SLAVE MONITOR ON *.* TO 'watcher'@'%'");
}

TEST_CASE("mysql prober: without the right to see a replication group its writable member is the primary") {
    for (const bool is_writable : {true, false}) {
        Fixture f(script_of([&](const std::string& sql) -> std::optional<std::string> {
            if (sql.find("replication_group_members") != std::string::npos)
                return error_packet(1, 1142,
                                    "SELECT command denied to user 'watcher'@'localhost' for table "
                                    "'replication_group_members'");
            if (sql.find("VARIABLES") == std::string::npos) return result_set({{"Source_Host"}, {}});
            return result_set({{"Variable_name", "Value"},
                               {{"version", "8.4.3"},
                                {"read_only", is_writable ? "OFF" : "ON"},
                                {"super_read_only", is_writable ? "OFF" : "ON"},
                                {"server_id", "1"},
                                {"group_replication_group_name", "g"},
                                {"group_replication_single_primary_mode", "ON"}}});
        }));
        const auto o = f.probe();
        REQUIRE(o);
        CHECK(o->outcome == Outcome::ok);
        REQUIRE(o->mysql->group);
        CHECK(o->mysql->group->is_primary == is_writable);
        CHECK(
            o->mysql->group->hidden.starts_with("its place in the replication group can't be seen (SELECT "));
        CHECK(o->mysql->sources_hidden.empty());
    }
}

TEST_CASE("mysql prober: without an account any answer to a login is a sign of life") {
    FakeMysql::Script script;
    script.login = error_packet(2, 1045, "Access denied for user 'holdfast'");
    Fixture f(std::move(script), false);
    const auto o = f.probe();
    REQUIRE(o);
    CHECK(o->outcome == Outcome::alive);
    CHECK(o->text == "");
}

TEST_CASE("mysql connection: names in statements are quoted without escapes") {
    CHECK(MysqlConnection::quoted("shop_1-a") == "'shop_1-a'");
    CHECK(MysqlConnection::quoted("") == "''");
    CHECK(MysqlConnection::quoted("a'b\\") == "_utf8mb4 X'6127625c'");
}
