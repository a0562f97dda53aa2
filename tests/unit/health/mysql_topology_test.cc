#include <doctest/doctest.h>

#include "health/mysql_facts.h"
#include "health/topology.h"
#include "mysql_lab.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

TEST_CASE("mysql topology: the writable server that replicates from nobody is the primary") {
    MysqlLab lab(3);
    lab.claims(1);
    CHECK_FALSE(lab.view().primary);
    lab.replica(2, 1);
    lab.replica(3, 1);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).role == ServerRole::primary);
    CHECK(lab.server(1).version_text == "10.11.19-MariaDB");
    CHECK(lab.server(2).role == ServerRole::replica);
    lab.replica(2, 1);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).lag == 0s);
    CHECK_FALSE(lab.server(2).lag_bytes);
}

TEST_CASE("mysql topology: a writable replica is a replica") {
    MysqlLab lab(2);
    lab.claims(1);
    lab.ring(2, 1);
    lab.ring(2, 1);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(2).readable);
    CHECK_FALSE(lab.view().split_brain);
}

TEST_CASE("mysql topology: a crash, a promotion, and the return of the old primary") {
    MysqlLab lab(3);
    lab.settle(3);
    lab.fails(1, Outcome::conn_refused);
    CHECK_FALSE(lab.view().primary);
    lab.orphan(2, 1);
    lab.orphan(3, 1);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).reason == "it has no connection to 10.0.0.1:3306");
    lab.claims(2, "0-1-100");
    CHECK(lab.primary() == 2);
    CHECK(lab.view().epoch.value == 3);
    lab.orphan(3, 1);
    CHECK(lab.server(3).readable);  // nothing was written since

    lab.claims(1, "0-1-103");  // with writes that nobody got
    CHECK(lab.primary() == 2);
    CHECK(lab.server(1).state == ServerState::quarantined);
    CHECK(lab.server(1).role == ServerRole::unknown);
    CHECK(lab.view().split_brain);
    // Not even when the new one dies.
    lab.fails(2, Outcome::conn_refused, 2);
    lab.claims(1, "0-1-103");
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::quarantined);
    CHECK(lab.server(1).reason.find("db2 has taken its place") != std::string::npos);
    lab.claims(2, "0-2-101");
    CHECK(lab.primary() == 2);
    lab.replica(1, 2, "0-2-101");
    lab.replica(1, 2, "0-2-101");
    CHECK(lab.server(1).readable);
    CHECK_FALSE(lab.view().split_brain);
}

TEST_CASE("mysql topology: an old primary that was promoted again between two looks is borne out by others") {
    MysqlLab lab(3);
    lab.settle(3);
    lab.fails(1, Outcome::conn_refused, 3);
    lab.claims(2, "0-2-101");
    REQUIRE(lab.primary() == 2);
    SUBCASE("the last primary replicates from it") {
        lab.read_only(2, "0-2-101");
        lab.claims(1, "0-1-102");
        lab.claims(1, "0-1-102");
        CHECK_FALSE(lab.view().primary);
        CHECK(lab.server(1).state == ServerState::quarantined);
        lab.orphan(2, 1);  // it may never have reached it
        CHECK_FALSE(lab.view().primary);
        lab.replica(2, 1, "0-1-102");
        CHECK(lab.primary() == 1);
    }
    SUBCASE("the last primary is down, and all others replicate from it") {
        lab.fails(2, Outcome::conn_refused, 3);
        lab.orphan(3, 2);
        lab.claims(1, "0-1-102");
        lab.claims(1, "0-1-102");
        CHECK_FALSE(lab.view().primary);
        lab.replica(3, 1, "0-1-102");
        CHECK(lab.primary() == 1);
    }
    SUBCASE("but not when it lacks what the last primary wrote") {
        lab.claims(2, "0-2-120");
        lab.fails(2, Outcome::conn_refused, 3);
        lab.claims(1, "0-1-102");
        lab.claims(1, "0-1-102");
        lab.replica(3, 1, "0-1-102");
        CHECK_FALSE(lab.view().primary);
        CHECK(lab.server(1).state == ServerState::quarantined);
    }
}

TEST_CASE("mysql topology: a primary that comes back before anybody took its place goes on") {
    MysqlLab lab(2);
    lab.settle(2);
    lab.fails(1, Outcome::conn_refused, 3);
    CHECK(lab.server(1).state == ServerState::down);
    lab.claims(1);
    CHECK(lab.primary() == 1);
}

TEST_CASE("mysql topology: a promoted server takes over from a frozen primary at its first overdue probe") {
    MysqlLab lab(2);
    lab.settle(2);
    lab.claims(2);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(2).state == ServerState::quarantined);
    lab.fails(1, Outcome::query_timeout);
    CHECK(lab.primary() == 2);
    lab.claims(1);
    CHECK(lab.primary() == 2);
    CHECK(lab.server(1).state == ServerState::quarantined);
}

TEST_CASE("mysql topology: an overdue answer and a promotion are enough, in either order") {
    for (const bool is_late_first : {true, false}) {
        MysqlLab lab(2);
        lab.settle(2);
        if (is_late_first) CHECK_FALSE(lab.topology.late(ServerId{1}, lab.now));
        CHECK(lab.primary() == 1);
        lab.claims(2);
        if (!is_late_first) CHECK(lab.topology.late(ServerId{1}, lab.now));
        CHECK(lab.primary() == 2);
    }
}

TEST_CASE("mysql topology: a hint and a promotion are enough") {
    MysqlLab lab(2);
    lab.settle(2);
    lab.hint(1, Hint::connection_lost);
    CHECK_FALSE(lab.view().primary);
    lab.claims(2);
    CHECK(lab.primary() == 2);
}

TEST_CASE("mysql topology: where the primary proves itself, another writable server has to wait") {
    MysqlLab lab(2);
    lab.settle(2);
    lab.claims(2);
    lab.claims(1);
    CHECK(lab.primary() == 1);
    CHECK(lab.view().split_brain);
    CHECK(lab.server(2).reason == "writable as well as db1");
    lab.hint(1, Hint::connection_lost);
    lab.claims(2);
    CHECK_FALSE(lab.view().primary);  // one broken connection is no reason to change sides
    lab.claims(1);
    CHECK(lab.primary() == 1);
    lab.read_only(1);
    lab.claims(2);
    CHECK(lab.primary() == 2);
}

TEST_CASE("mysql topology: a planned switchover, read-only first") {
    MysqlLab lab(3);
    lab.settle(3);
    lab.read_only(1, "0-1-120");
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::broken);
    CHECK(lab.server(1).reason == "read-only, and it replicates from nobody");
    lab.replica(2, 1, "0-1-120");
    lab.claims(2, "0-1-120");
    CHECK(lab.primary() == 2);
    lab.replica(1, 2, "0-1-120");
    lab.replica(1, 2, "0-1-120");
    CHECK(lab.server(1).readable);
    CHECK_FALSE(lab.view().split_brain);
}

TEST_CASE("mysql topology: two writable servers at first: nobody is chosen until one gives way") {
    MysqlLab lab(2);
    lab.claims(1);
    lab.claims(2);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.view().split_brain);
    CHECK(lab.server(1).state == ServerState::quarantined);
    CHECK(lab.server(1).reason == "writable, and so is another server");
    lab.replica(2, 1);
    CHECK(lab.primary() == 1);
}

TEST_CASE("mysql topology: two promoted servers: nobody is chosen") {
    MysqlLab lab(3);
    lab.settle(3);
    lab.fails(1, Outcome::conn_timeout);
    lab.fails(1, Outcome::conn_timeout);
    Observation second = lab.as_server(2, "0-1-100");
    lab.claims(3);
    CHECK(lab.primary() == 3);
    lab.take(second);
    CHECK(lab.primary() == 3);
    lab.claims(2);
    CHECK(lab.primary() == 3);
    CHECK(lab.server(2).state == ServerState::quarantined);
}

TEST_CASE("mysql topology: an old primary is not chosen while replicas follow one out of reach") {
    MysqlLab lab(3);
    lab.claims(1);
    lab.fails(2, Outcome::conn_timeout);
    lab.replica(3, 2);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).reason == "writable, but replicas follow a server that can't be reached");
    lab.claims(2, "0-2-101");
    CHECK_FALSE(lab.view().primary);
    lab.replica(1, 2);
    CHECK(lab.primary() == 2);
}

TEST_CASE("mysql topology: a flapping primary does not lose its office") {
    MysqlLab lab(2);
    lab.settle(2);
    for (int i = 0; i < 5; ++i) {
        lab.fails(1, Outcome::conn_refused);
        CHECK_FALSE(lab.view().primary);
        lab.orphan(2, 1);
        lab.claims(1);
        CHECK(lab.primary() == 1);
        lab.replica(2, 1);
    }
    CHECK(lab.server(2).readable);
}

TEST_CASE("mysql topology: total loss, and everything comes back as it was") {
    MysqlLab lab(3);
    lab.settle(3);
    for (uint64_t n = 1; n <= 3; ++n) lab.fails(n, Outcome::conn_refused, 3);
    CHECK_FALSE(lab.view().primary);
    CHECK_FALSE(lab.server(2).readable);
    for (int i = 0; i < 2; ++i) {
        lab.orphan(2, 1);
        lab.orphan(3, 1);
    }
    CHECK_FALSE(lab.view().primary);
    lab.claims(1);
    CHECK(lab.primary() == 1);
    lab.replica(2, 1);
    lab.replica(3, 1);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(3).readable);
}

TEST_CASE("mysql topology: lag is the age of the newest state of the primary that a replica covers") {
    MysqlLab lab(2);
    lab.settle(2);
    lab.claims(1, "0-1-200");
    lab.pass(10s);
    lab.claims(1, "0-1-300");
    lab.replica(2, 1, "0-1-250");
    CHECK(lab.server(2).state == ServerState::lagging);
    REQUIRE(lab.server(2).lag);
    CHECK(*lab.server(2).lag >= 10s);
    CHECK(*lab.server(2).lag < 11s);
    CHECK(lab.server(2).position < lab.view().primary_position);
    lab.replica(2, 1, "0-1-300");
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).position == lab.view().primary_position);
}

TEST_CASE("mysql topology: positions grow over a failover") {
    MysqlLab lab(2);
    lab.settle(2);
    lab.claims(1, "0-1-200");
    const Position before = lab.view().primary_position;
    lab.fails(1, Outcome::conn_refused);
    lab.claims(2, "0-1-150");
    CHECK(lab.primary() == 2);
    CHECK(lab.view().primary_position > before);
    lab.replica(1, 2, "0-1-150");
    CHECK(lab.server(1).position == lab.view().primary_position);
}

TEST_CASE("mysql topology: a late replica of the old primary lags once there are new writes") {
    MysqlLab lab(3);
    lab.settle(3);
    lab.fails(1, Outcome::conn_refused);
    lab.claims(2, "0-1-100");
    lab.orphan(3, 1);
    CHECK(lab.server(3).readable);
    lab.pass(1s);
    lab.claims(2, "0-2-101");
    lab.pass(10s);
    lab.claims(2, "0-2-101");
    lab.orphan(3, 1);
    CHECK_FALSE(lab.server(3).readable);
    CHECK(lab.server(3).state == ServerState::lagging);
}

TEST_CASE("mysql topology: stopped or failed replication is broken, never without lag") {
    MysqlLab lab(2);
    lab.settle(2);
    CHECK(lab.server(2).readable);
    Observation o = lab.as_replica(2, 1);
    o.mysql->sources[0].sql_running = false;
    o.mysql->sources[0].failed = true;
    o.mysql->sources[0].seconds_behind.reset();
    o.mysql->sources[0].error = "error 1950: An attempt was made to binlog GTID 0-2-101";
    lab.take(o);
    CHECK(lab.server(2).state == ServerState::broken);
    CHECK(lab.server(2).reason ==
          "its SQL thread is stopped: error 1950: An attempt was made to binlog GTID 0-2-101");
    o = lab.as_replica(2, 1);
    o.mysql->sources[0].io = ReplicationThread::stopped;
    lab.take(o);
    CHECK(lab.server(2).state == ServerState::broken);
    CHECK(lab.server(2).reason == "its IO thread is stopped");
    lab.replica(2, 1);
    CHECK(lab.server(2).readable);
}

TEST_CASE("mysql topology: a writable replica whose replication failed does not become the primary") {
    MysqlLab lab(2);
    lab.claims(1);
    Observation o = lab.as_replica(2, 1);
    o.mysql->read_only = false;
    o.mysql->sources[0].io = ReplicationThread::stopped;
    o.mysql->sources[0].sql_running = false;
    o.mysql->sources[0].failed = true;
    o.mysql->sources[0].error = "error 1062: Duplicate entry";
    lab.take(o);
    lab.fails(1, Outcome::conn_refused, 2);
    o.sent_at = lab.now;
    lab.take(o);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(2).state == ServerState::broken);
}

TEST_CASE("mysql topology: replication from elsewhere is broken, in doubt it is not") {
    MysqlLab lab(2);
    lab.settle(2);
    Observation o = lab.as_replica(2, 1);
    o.mysql->sources[0].host = "other.example";
    lab.take(o);
    CHECK(lab.server(2).readable);  // another spelling of db1: its server_id tells
    o = lab.as_replica(2, 1);
    o.mysql->sources[0].host = "other.example";
    o.mysql->sources[0].server_id = 77;
    lab.take(o);
    CHECK(lab.server(2).state == ServerState::broken);
    CHECK(lab.server(2).reason == "it replicates from elsewhere: other.example:3306");
    o = lab.as_replica(2, 1);
    o.mysql->sources[0].host = "other.example";
    o.mysql->sources[0].server_id = 0;
    lab.take(o);
    CHECK(lab.server(2).readable);
}

TEST_CASE("mysql topology: a chain of replicas is fine, one that leads to a fenced server is not") {
    MysqlLab lab(3);
    lab.claims(1);
    lab.replica(2, 1);
    lab.replica(3, 2);
    lab.replica(3, 2);
    CHECK(lab.server(3).readable);
    lab.fails(1, Outcome::conn_refused);
    lab.claims(2);
    lab.claims(1);
    CHECK(lab.primary() == 2);
    lab.replica(3, 1);
    CHECK(lab.server(3).state == ServerState::broken);
    CHECK(lab.server(3).reason == "it follows db1, which is not the primary");
}

TEST_CASE("mysql topology: without the right to see replication a replica is judged by its GTIDs") {
    MysqlLab lab(2);
    lab.settle(2);
    Observation o = lab.as_server(2, "0-1-100");
    o.mysql->read_only = true;
    o.mysql->sources_hidden = "its replication threads can't be seen; GRANT …";
    lab.take(o);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).reason == "its replication threads can't be seen; GRANT …");
}

TEST_CASE("mysql topology: without GTIDs the server's own word on lag counts, and positions are unknown") {
    MysqlLab lab(2);
    const auto without = [](Observation o) {
        o.mysql->has_gtids = false;
        return o;
    };
    lab.take(without(lab.as_server(1, "")));
    lab.take(without(lab.as_replica(2, 1, "")));
    lab.take(without(lab.as_replica(2, 1, "")));
    CHECK(lab.primary() == 1);
    CHECK(lab.server(2).readable);
    CHECK_FALSE(lab.view().primary_position);
    CHECK_FALSE(lab.server(2).position);
    Observation o = without(lab.as_replica(2, 1, ""));
    o.mysql->sources[0].seconds_behind = 60;
    lab.take(o);
    CHECK(lab.server(2).state == ServerState::lagging);
    CHECK(lab.server(2).lag == 60s);
    o = without(lab.as_replica(2, 1, ""));
    o.mysql->sources[0].seconds_behind.reset();
    lab.take(o);
    CHECK(lab.server(2).state == ServerState::lagging);
    CHECK_FALSE(lab.server(2).lag);
}

TEST_CASE("mysql topology: of a master-master pair the first writes, the other reads, and they switch") {
    MysqlLab lab(2);
    lab.ring(1, 2);
    lab.ring(2, 1);
    CHECK(lab.primary() == 1);
    CHECK_FALSE(lab.view().split_brain);
    lab.ring(2, 1);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).role == ServerRole::replica);
    lab.fails(1, Outcome::conn_timeout);
    CHECK(lab.primary() == 1);
    lab.fails(1, Outcome::conn_timeout);
    lab.ring(2, 1);
    CHECK(lab.primary() == 2);
    lab.ring(1, 2);
    lab.ring(1, 2);
    CHECK(lab.primary() == 2);
    CHECK(lab.server(1).readable);
    lab.fails(2, Outcome::conn_refused);
    lab.ring(1, 2);
    CHECK(lab.primary() == 1);
}

TEST_CASE("mysql topology: the passive one of a pair becomes the writer when roles are swapped") {
    MysqlLab lab(2);
    lab.ring(1, 2);
    lab.replica(2, 1);
    CHECK(lab.primary() == 1);
    lab.replica(1, 2);
    CHECK_FALSE(lab.view().primary);
    lab.ring(2, 1);
    CHECK(lab.primary() == 2);
}

namespace {
Observation galera_node(MysqlLab& lab, uint64_t n, uint64_t committed, int state = 4) {
    Observation o = lab.as_server(n, "");
    o.mysql->has_gtids = false;
    o.position = {committed};
    o.received = {committed};
    o.mysql->galera = GaleraState{true, true, state, "uuid"};
    return o;
}
}  // namespace

TEST_CASE("mysql topology: of a Galera cluster one writes and the others read") {
    MysqlLab lab(3);
    for (uint64_t n = 1; n <= 3; ++n) lab.take(galera_node(lab, n, 50));
    CHECK(lab.primary() == 1);
    CHECK_FALSE(lab.view().split_brain);
    lab.take(galera_node(lab, 2, 50));
    lab.take(galera_node(lab, 3, 50, 2));
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).position == lab.view().primary_position);
    CHECK(lab.server(3).state == ServerState::broken);
    CHECK(lab.server(3).reason == "it is a donor in the Galera cluster, or desynced");

    Observation minority = galera_node(lab, 1, 50);
    minority.mysql->galera->in_primary_component = false;
    lab.take(minority);
    CHECK(lab.primary() == 2);
    lab.take(galera_node(lab, 2, 60));
    CHECK(lab.primary() == 2);
    CHECK(lab.server(1).reason == "its part of the Galera cluster has no quorum");
    lab.take(galera_node(lab, 1, 60));
    CHECK(lab.primary() == 2);
    CHECK(lab.server(1).readable);
}

TEST_CASE("mysql topology: the primary of a replication group is followed") {
    MysqlLab lab(2);
    const auto member = [&](uint64_t n, bool is_primary) {
        Observation o = lab.as_server(n, "");
        o.mysql->read_only = !is_primary;
        o.mysql->group = GroupState{"ONLINE", is_primary, true, true};
        return o;
    };
    lab.take(member(1, true));
    lab.take(member(2, false));
    lab.take(member(2, false));
    CHECK(lab.primary() == 1);
    CHECK(lab.server(2).readable);
    lab.fails(1, Outcome::conn_lost);
    lab.take(member(2, true));
    CHECK(lab.primary() == 2);
    Observation alone = member(1, false);
    alone.mysql->group->member_state = "ERROR";
    lab.take(alone);
    CHECK(lab.server(1).state == ServerState::broken);
    CHECK(lab.server(1).reason == "its state in the replication group is ERROR");
}

TEST_CASE("mysql topology: of a group whose members can't be seen the writable one is the primary") {
    MysqlLab lab(2);
    const auto member = [&](uint64_t n, bool is_writable) {
        Observation o = lab.as_server(n, "");
        o.mysql->read_only = !is_writable;
        o.mysql->group.emplace();
        note_hidden_group("SELECT command denied", "watcher", o);
        return o;
    };
    lab.take(member(1, true));
    lab.take(member(2, false));
    lab.take(member(2, false));
    CHECK(lab.primary() == 1);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).reason ==
          "its place in the replication group can't be seen (SELECT command denied); GRANT SELECT ON "
          "performance_schema.replication_group_members TO 'watcher'@'%'");
    lab.fails(1, Outcome::conn_lost);
    lab.take(member(2, true));
    CHECK(lab.primary() == 2);
}

TEST_CASE("mysql topology: a lone server without a service account is the primary") {
    MysqlLab lab(1);
    lab.fails(1, Outcome::alive);
    CHECK(lab.primary() == 1);
}
