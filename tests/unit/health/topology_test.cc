#include "health/topology.h"

#include <doctest/doctest.h>

#include "cluster_lab.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

TEST_CASE("topology: at first there is no primary, and it says since when") {
    Lab lab(2);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.view().primary_lost_at == TimePoint{});
    CHECK(lab.view().epoch.value == 0);
    CHECK(lab.server(1).state == ServerState::starting);
    CHECK(lab.server(2).name == "pg2");
    CHECK(lab.topology.in_doubt());
}

TEST_CASE("topology: chooses the only writable server once all were tried") {
    Lab lab(3);
    CHECK(lab.writable(1, 1));
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::starting);
    lab.standby(2, 1);
    CHECK_FALSE(lab.view().primary);
    lab.fails(3, Outcome::conn_refused);
    CHECK(lab.primary() == 1);
    CHECK(lab.view().epoch.value == 1);
    CHECK(lab.view().primary_since == lab.now);
    CHECK_FALSE(lab.view().primary_lost_at);
    CHECK(lab.server(1).role == ServerRole::primary);
    CHECK(lab.server(1).state == ServerState::up);
    CHECK(lab.server(2).readable);
    CHECK_FALSE(lab.server(1).readable);
    CHECK(lab.server(3).state == ServerState::starting);
}

TEST_CASE("topology: at first the higher timeline wins, whoever answers first") {
    Lab lab(2);
    lab.writable(1, 3);
    lab.writable(2, 4);
    CHECK(lab.primary() == 2);
    CHECK(lab.view().split_brain);
    CHECK(lab.server(1).state == ServerState::quarantined);
    CHECK(lab.server(1).reason == "writable on timeline 3 while the primary is on 4");
    CHECK(lab.server(1).role == ServerRole::unknown);
}

TEST_CASE("topology: two writable servers on one timeline at first: nobody is chosen until one gives way") {
    Lab lab(2);
    lab.writable(1, 3);
    lab.writable(2, 3);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.view().split_brain);
    CHECK(lab.server(1).state == ServerState::quarantined);
    lab.writable(1, 3);
    CHECK_FALSE(lab.view().primary);
    lab.fails(1, Outcome::conn_refused);
    CHECK(lab.primary() == 2);
    CHECK_FALSE(lab.view().split_brain);
}

TEST_CASE("topology: a writable server that a replica has left behind is not chosen") {
    Lab lab(3);
    lab.writable(1, 1);
    lab.fails(2, Outcome::conn_timeout);
    lab.standby(3, 2);
    CHECK_FALSE(lab.view().primary);
    lab.writable(2, 2);
    CHECK(lab.primary() == 2);
}

TEST_CASE("topology: a crash of the primary is believed at the first refusal") {
    Lab lab(3);
    lab.settle_three();
    CHECK(lab.primary() == 1);
    lab.fails(1, Outcome::conn_refused);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.view().primary_lost_at == lab.now);
    CHECK(lab.view().epoch.value == 2);
    CHECK(lab.server(1).state == ServerState::suspect);
    CHECK(lab.server(2).readable);
    lab.fails(1, Outcome::conn_refused);
    CHECK(lab.server(1).state == ServerState::down);
    CHECK(lab.view().epoch.value == 2);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(3).readable);
}

TEST_CASE("topology: each proof of loss withholds the primary, each mere slowness does not") {
    struct Case {
        Outcome outcome;
        bool is_kept;
    };
    for (const Case& c :
         {Case{Outcome::conn_refused, false}, Case{Outcome::conn_lost, false},
          Case{Outcome::starting_up, false}, Case{Outcome::conn_timeout, true},
          Case{Outcome::greeting_timeout, true}, Case{Outcome::query_timeout, true},
          Case{Outcome::conn_failed, true}, Case{Outcome::protocol, true}, Case{Outcome::tls, true},
          Case{Outcome::too_many, true}, Case{Outcome::auth, true}}) {
        CAPTURE(to_string(c.outcome));
        Lab lab(2);
        lab.writable(1, 1);
        lab.standby(2, 1);
        lab.fails(1, c.outcome);
        CHECK(lab.view().primary.has_value() == c.is_kept);
    }
}

TEST_CASE("topology: a frozen primary stays through one timeout and falls with the second") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(1, Outcome::query_timeout);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).state == ServerState::suspect);
    CHECK(lab.server(1).reason == "failed: query_timeout");
    CHECK(lab.topology.in_doubt());
    lab.fails(1, Outcome::greeting_timeout);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::down);
}

TEST_CASE("topology: a slow primary that answers again was never lost") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    for (int i = 0; i < 5; ++i) {
        lab.fails(1, Outcome::query_timeout);
        lab.writable(1, 1);
    }
    CHECK(lab.primary() == 1);
    CHECK(lab.view().epoch.value == 1);
}

TEST_CASE("topology: a full primary lives") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(1, Outcome::too_many, 10);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).state == ServerState::up);
}

TEST_CASE("topology: fullness alone does not bring a lost primary back") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(1, Outcome::conn_refused, 2);
    lab.fails(1, Outcome::too_many, 3);
    CHECK_FALSE(lab.view().primary);
    lab.writable(1, 1);
    CHECK(lab.primary() == 1);
}

TEST_CASE(
    "topology: a service account that stops working takes no primary away, but no replica can be judged") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(1, Outcome::auth, 5);
    lab.fails(2, Outcome::auth, 5);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).state == ServerState::suspect);
    CHECK(lab.server(2).state == ServerState::broken);
    CHECK_FALSE(lab.server(2).readable);
    CHECK_FALSE(lab.topology.in_doubt());
}

TEST_CASE("topology: a service account that never worked shows nobody's role") {
    Lab lab(2);
    lab.fails(1, Outcome::auth);
    lab.fails(2, Outcome::auth);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::broken);
    CHECK(lab.server(1).reason == "failed: auth");
}

TEST_CASE("topology: promotion after a crash") {
    Lab lab(3);
    lab.settle_three();
    lab.fails(1, Outcome::conn_refused, 2);
    lab.writable(2, 2, 1200);
    CHECK(lab.primary() == 2);
    CHECK(lab.view().epoch.value == 3);
    CHECK(lab.view().primary_position.lsn == 1200);
    CHECK_FALSE(lab.view().primary_lost_at);
    CHECK_FALSE(lab.view().split_brain);
    // A replica of the old primary is not readable before it follows the new one.
    CHECK(lab.server(3).state == ServerState::quarantined);
    CHECK(lab.server(3).reason == "on timeline 1 while the primary is on 2");
    CHECK_FALSE(lab.server(3).readable);
    lab.standby(3, 2, 1200);
    CHECK(lab.server(3).readable);
    CHECK(lab.candidate() == 3);
}

TEST_CASE("topology: promotion while the old primary still answers") {
    Lab lab(3);
    lab.settle_three();
    lab.writable(2, 2);
    CHECK(lab.primary() == 2);
    CHECK(lab.view().epoch.value == 2);
    CHECK(lab.view().split_brain);
    CHECK(lab.server(1).state == ServerState::quarantined);
    lab.writable(1, 1);
    CHECK(lab.primary() == 2);
    CHECK(lab.server(1).state == ServerState::quarantined);
}

TEST_CASE("topology: promotion while the old primary is frozen, and its thaw") {
    Lab lab(3);
    lab.settle_three();
    lab.fails(1, Outcome::query_timeout);
    lab.writable(2, 2);
    CHECK(lab.primary() == 2);
    lab.fails(1, Outcome::query_timeout);
    CHECK(lab.server(1).state == ServerState::down);
    lab.writable(1, 1);
    lab.writable(1, 1);
    CHECK(lab.primary() == 2);
    CHECK(lab.view().split_brain);
    CHECK(lab.server(1).state == ServerState::quarantined);
}

TEST_CASE("topology: a promoted server needs no run of good probes") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.fails(2, Outcome::conn_refused, 2);
    lab.fails(1, Outcome::conn_refused, 2);
    lab.writable(2, 2);
    CHECK(lab.primary() == 2);
    CHECK(lab.server(2).state == ServerState::up);
}

TEST_CASE("topology: a quick restart gives the same primary back under a new epoch") {
    Lab lab(3);
    lab.settle_three();
    lab.hint(1, Hint::shutting_down);
    CHECK_FALSE(lab.view().primary);
    lab.fails(1, Outcome::conn_refused);
    lab.fails(1, Outcome::starting_up);
    CHECK(lab.server(1).state == ServerState::down);
    CHECK_FALSE(lab.view().primary);
    lab.writable(1, 1, 1100);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).state == ServerState::up);
    CHECK(lab.view().epoch.value == 3);
    CHECK(lab.view().primary_since == lab.now);
}

TEST_CASE("topology: a demoted primary is none") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.standby(1, 1);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).role == ServerRole::replica);
    lab.writable(2, 2);
    CHECK(lab.primary() == 2);
    lab.standby(1, 2);
    CHECK(lab.server(1).state == ServerState::up);
    CHECK(lab.server(1).readable);
}

TEST_CASE("topology: the old primary stays fenced until it follows the new one") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(1, Outcome::conn_refused, 2);
    lab.writable(2, 2, 1500);
    lab.writable(1, 1, 1600);
    CHECK(lab.server(1).state == ServerState::quarantined);
    lab.writable(1, 1, 1700);
    CHECK(lab.server(1).state == ServerState::quarantined);
    CHECK(lab.candidate() == 0);
    lab.standby(1, 1, 1700);  // restarted as a standby without a rewind
    CHECK(lab.server(1).state == ServerState::quarantined);
    CHECK_FALSE(lab.server(1).readable);
    CHECK(lab.candidate() == 0);
    lab.fails(1, Outcome::conn_refused, 2);
    lab.standby(1, 2, 1500);
    CHECK(lab.server(1).state == ServerState::starting);
    CHECK(lab.server(1).reason == "answers again: 1 of 2 good probes");
    lab.standby(1, 2, 1500);
    CHECK(lab.server(1).state == ServerState::up);
    CHECK(lab.server(1).readable);
    CHECK(lab.primary() == 2);
}

TEST_CASE("topology: a second writable server on the primary's timeline does not replace it, alive or dead") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.writable(2, 1);
    CHECK(lab.primary() == 1);
    CHECK(lab.view().split_brain);
    CHECK(lab.server(2).state == ServerState::quarantined);
    CHECK(lab.server(2).reason == "writable on timeline 1 as well as pg1");
    lab.fails(1, Outcome::conn_refused, 2);
    lab.writable(2, 1);
    CHECK_FALSE(lab.view().primary);  // it diverged while pg1 served
    lab.writable(1, 1);
    CHECK(lab.primary() == 1);
}

TEST_CASE("topology: a standby restarted as a primary takes a dead one's place without a promotion") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(1, Outcome::conn_refused);
    lab.writable(2, 1);
    CHECK_FALSE(lab.view().primary);  // pg1 may just be restarting
    lab.fails(1, Outcome::conn_refused);
    CHECK(lab.primary() == 2);
    lab.writable(1, 1);
    CHECK(lab.primary() == 2);
    CHECK(lab.view().split_brain);
}

TEST_CASE("topology: a server of another cluster is refused, before and after the choice") {
    Lab lab(3);
    Observation stranger = lab.as_primary(1, 9);
    stranger.system_identifier = 6666;
    lab.take(stranger);
    lab.writable(2, 1);
    lab.standby(3, 1);
    CHECK(lab.primary() == 2);
    CHECK(lab.server(1).state == ServerState::broken);
    CHECK(lab.server(1).reason == "belongs to another cluster: its system identifier is 6666, not 7000");
    CHECK(lab.server(1).role == ServerRole::unknown);
    CHECK_FALSE(lab.view().split_brain);

    stranger = lab.as_standby(3, 1);
    stranger.system_identifier = 6666;
    lab.take(stranger);
    CHECK(lab.server(3).state == ServerState::broken);
    CHECK_FALSE(lab.server(3).readable);
    CHECK(lab.candidate() == 0);
}

TEST_CASE("topology: two writable servers of two clusters: nobody is chosen") {
    Lab lab(2);
    Observation stranger = lab.as_primary(1, 9);
    stranger.system_identifier = 6666;
    lab.take(stranger);
    lab.writable(2, 1);
    // Timelines of different clusters say nothing of each other.
    CHECK_FALSE(lab.view().primary);
}

TEST_CASE("topology: when all servers agree on another identity the cluster was made anew") {
    Lab lab(2);
    lab.writable(1, 5);
    lab.standby(2, 5);
    Observation o = lab.as_primary(1, 1);
    o.system_identifier = 8000;
    lab.take(o);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::broken);
    o = lab.as_standby(2, 1);
    o.system_identifier = 8000;
    lab.take(o);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(2).readable);
}

TEST_CASE("topology: a flapping replica comes back only after a run of good probes") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    CHECK(lab.server(2).readable);
    for (int i = 0; i < 10; ++i) {
        lab.fails(2, Outcome::conn_refused, 2);
        CHECK(lab.server(2).state == ServerState::down);
        lab.standby(2, 1);
        CHECK(lab.server(2).state == ServerState::starting);
        CHECK_FALSE(lab.server(2).readable);
        lab.fails(2, Outcome::conn_refused);
        CHECK(lab.server(2).state == ServerState::down);
    }
    lab.standby(2, 1);
    lab.standby(2, 1);
    CHECK(lab.server(2).readable);
    CHECK(lab.view().epoch.value == 1);
}

TEST_CASE("topology: a replica that fails once is suspect and not read from") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(2, Outcome::query_timeout);
    CHECK(lab.server(2).state == ServerState::suspect);
    CHECK_FALSE(lab.server(2).readable);
    lab.standby(2, 1);
    CHECK(lab.server(2).readable);
}

TEST_CASE(
    "topology: everything lost and back in any order: only a primary of the last timeline is believed") {
    Lab lab(3);
    lab.settle_three();
    lab.fails(1, Outcome::conn_refused, 2);
    lab.writable(2, 2, 1500);
    lab.standby(3, 2, 1500);
    for (const uint64_t n : {2u, 3u}) lab.fails(n, Outcome::conn_refused, 2);
    CHECK_FALSE(lab.view().primary);
    lab.writable(1, 1, 1400);
    lab.writable(1, 1, 1400);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::quarantined);
    lab.standby(3, 2, 1500);
    lab.standby(3, 2, 1500);
    CHECK_FALSE(lab.view().primary);
    lab.writable(2, 2, 1500);
    CHECK(lab.primary() == 2);
    CHECK(lab.server(3).readable);
}

TEST_CASE("topology: a standby that appears late is taken in") {
    Lab lab(3);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(3, Outcome::conn_refused, 5);
    CHECK(lab.server(3).state == ServerState::down);
    lab.standby(3, 1, 400);
    lab.standby(3, 1, 400);
    CHECK(lab.server(3).state == ServerState::catching_up);
    CHECK_FALSE(lab.server(3).lag);
    CHECK_FALSE(lab.server(3).readable);
    lab.standby(3, 1, 1000);
    CHECK(lab.server(3).readable);
    CHECK(lab.server(3).lag == Duration::zero());
}

TEST_CASE("topology: a standby whose receiver is gone keeps the timeline that it showed") {
    Lab lab(2);
    lab.writable(1, 2);
    lab.standby(2, 2);
    CHECK(lab.server(2).readable);
    Observation o = lab.as_standby(2, 1);  // what the control file still says
    o.receiver_streaming = false;
    lab.take(o);
    CHECK(lab.server(2).timeline == 2);
    CHECK(lab.server(2).readable);
}

TEST_CASE("topology: a standby of an unknown newer primary is not read from") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 2);
    CHECK(lab.primary() == 0);
    Lab other(2);
    other.writable(1, 1);
    other.standby(2, 1);
    other.standby(2, 2);
    CHECK(other.primary() == 1);
    CHECK(other.server(2).state == ServerState::broken);
    CHECK(other.server(2).reason == "follows timeline 2 while the primary is on 1");
}

TEST_CASE("topology: the candidate is the most advanced replica that may be promoted") {
    config::Cluster cluster = make_cluster(4);
    cluster.servers[3].promote = config::Promotable::never;
    Lab lab(cluster);
    lab.writable(1, 1, 1000);
    lab.standby(2, 1, 900);
    lab.standby(3, 1, 950);
    lab.standby(4, 1, 1000);
    CHECK(lab.candidate() == 3);
    Observation o = lab.as_standby(2, 1, 900);
    o.received = {980};  // received counts, for it will be replayed before a promotion
    lab.take(o);
    // While the primary serves, the choice does not follow every small lead.
    CHECK(lab.candidate() == 3);
    lab.fails(1, Outcome::conn_refused);
    CHECK(lab.candidate() == 2);
    lab.fails(2, Outcome::conn_refused, 2);
    CHECK(lab.candidate() == 3);
}

TEST_CASE("topology: results that come out of order are dropped") {
    Lab lab(2);
    lab.writable(1, 1);
    const Observation older = lab.as_standby(2, 1);
    lab.writable(2, 2);
    CHECK(lab.primary() == 2);
    CHECK_FALSE(lab.take(older));
    CHECK(lab.primary() == 2);
    Observation unknown = lab.as_primary(3, 7);
    CHECK_FALSE(lab.take(unknown));
}

TEST_CASE("topology: a result that changes nothing says so") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.fails(2, Outcome::conn_refused, 2);
    CHECK_FALSE(lab.fails(2, Outcome::conn_refused));
    CHECK_FALSE(lab.topology.tick(lab.now));
    CHECK(lab.writable(1, 1, 1001));
}

TEST_CASE("topology: after a long silence of the probes nothing known is believed") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.pass(5s);
    CHECK_FALSE(lab.topology.tick(lab.now));
    lab.pass(60s);
    CHECK(lab.topology.tick(lab.now));
    CHECK_FALSE(lab.view().primary);
    CHECK_FALSE(lab.server(2).readable);
    CHECK(lab.server(1).reason == "nothing was heard of it for too long");
    lab.writable(1, 1);
    CHECK(lab.primary() == 1);
}

TEST_CASE("topology: since tells when state or role last changed") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    const TimePoint since = lab.server(2).since;
    CHECK(since == lab.now);
    lab.pass(10s);
    lab.standby(2, 1, 1001);
    CHECK(lab.server(2).since == since);
    lab.fails(2, Outcome::query_timeout);
    CHECK(lab.server(2).since == lab.now);
}

TEST_CASE(
    "topology: without a service account the only server is the primary, and one of several is nothing") {
    Lab lab(1);
    lab.fails(1, Outcome::alive);
    CHECK(lab.primary() == 1);
    lab.hint(1, Hint::connection_lost);
    CHECK_FALSE(lab.view().primary);
    lab.fails(1, Outcome::alive);
    CHECK(lab.primary() == 1);
    lab.fails(1, Outcome::conn_refused);
    CHECK_FALSE(lab.view().primary);
    lab.fails(1, Outcome::alive);
    CHECK(lab.primary() == 1);

    Lab two(2);
    two.fails(1, Outcome::alive);
    two.fails(2, Outcome::alive);
    CHECK_FALSE(two.view().primary);
    CHECK(two.server(1).state == ServerState::up);
    CHECK(two.server(1).role == ServerRole::unknown);
    CHECK(two.server(1).reason == "its role is unknown: there is no service account to ask with");
}

// ---- a changed configuration
