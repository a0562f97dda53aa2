#include <doctest/doctest.h>

#include "cluster_lab.h"
#include "mysql_lab.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

namespace {

bool set(Lab& lab, uint64_t n, Duty duty) {
    lab.now += 1ms;
    return lab.topology.set_duty(ServerId{n}, duty, lab.now);
}

}  // namespace

TEST_CASE("duty: a drained standby keeps its health and role, and gets no reads") {
    Lab lab(3);
    lab.settle_three();
    CHECK(set(lab, 2, Duty::draining));
    CHECK(lab.server(2).since == lab.now);
    CHECK_FALSE(set(lab, 2, Duty::draining));
    CHECK_FALSE(set(lab, 9, Duty::draining));
    CHECK(lab.server(2).state == ServerState::up);
    CHECK(lab.server(2).role == ServerRole::replica);
    CHECK_FALSE(lab.server(2).readable);
    CHECK(lab.server(3).readable);
    CHECK(lab.candidate() == 3);
    lab.standby(2, 1);
    CHECK_FALSE(lab.server(2).readable);
    CHECK(set(lab, 2, Duty::serves));
    CHECK(lab.server(2).readable);
}

TEST_CASE("duty: a drained standby that is promoted serves, one in maintenance does not") {
    for (const Duty duty : {Duty::draining, Duty::maintenance}) {
        Lab lab(3);
        lab.settle_three();
        set(lab, 2, duty);
        lab.fails(1, Outcome::conn_refused, 2);
        lab.writable(2, 2);
        if (duty == Duty::draining) {
            CHECK(lab.primary() == 2);
        } else {
            CHECK(lab.primary() == 0);
            CHECK(lab.server(2).state == ServerState::quarantined);
            CHECK(lab.server(2).reason.find("maintenance") != std::string::npos);
            set(lab, 2, Duty::serves);
            CHECK(lab.primary() == 2);
        }
    }
}

TEST_CASE("duty: a rehearsal's promotion in maintenance disturbs nobody") {
    Lab lab(3);
    lab.settle_three();
    set(lab, 3, Duty::maintenance);
    const uint64_t epoch = lab.view().epoch.value;
    lab.writable(3, 2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    CHECK(lab.primary() == 1);
    CHECK(lab.view().epoch.value == epoch);
    CHECK_FALSE(lab.view().split_brain);
    CHECK(lab.server(2).readable);
    CHECK_FALSE(lab.topology.in_doubt());
}

TEST_CASE("duty: a server in maintenance holds up neither the first choice nor the cluster's identity") {
    Lab lab(3);
    set(lab, 3, Duty::maintenance);
    lab.writable(1, 1);
    lab.standby(2, 1);
    CHECK(lab.topology.first_round_done());
    CHECK(lab.primary() == 1);
    // Nor does one that is being made anew as another cluster.
    Observation other = lab.as_primary(3, 9);
    other.system_identifier = our_identifier + 1;
    lab.take(other);
    CHECK(lab.primary() == 1);
}

TEST_CASE("duty: MySQL: a replica made writable in maintenance is no claimant") {
    MysqlLab lab(3);
    lab.claims(1);
    lab.replica(2, 1);
    lab.replica(3, 1);
    REQUIRE(lab.primary() == 1);
    set(lab, 3, Duty::maintenance);
    lab.claims(3);
    lab.fails(1, Outcome::conn_refused, 2);
    lab.claims(3);
    CHECK(lab.primary() == 0);
    lab.claims(2);
    CHECK(lab.primary() == 2);
}

TEST_CASE("duty: when a server came back is known, for its slow start") {
    Lab lab(3);
    lab.settle_three();
    CHECK(lab.server(2).recovered_at == TimePoint{});
    SUBCASE("after it was down") {
        lab.fails(2, Outcome::conn_refused, 2);
        REQUIRE(lab.server(2).state == ServerState::down);
        lab.standby(2, 1);
        CHECK(lab.server(2).recovered_at == TimePoint{});
        lab.standby(2, 1);
        CHECK(lab.server(2).recovered_at == lab.now);
    }
    SUBCASE("not after a single failure") {
        lab.fails(2, Outcome::query_timeout);
        lab.standby(2, 1);
        lab.standby(2, 1);
        CHECK(lab.server(2).recovered_at == TimePoint{});
    }
    SUBCASE("after a drain") {
        set(lab, 2, Duty::draining);
        lab.standby(2, 1);
        CHECK(lab.server(2).recovered_at == TimePoint{});
        set(lab, 2, Duty::serves);
        CHECK(lab.server(2).recovered_at == lab.now);
    }
}
