// A changed configuration for servers of which something is known.
#include <doctest/doctest.h>

#include "cluster_lab.h"
#include "health/topology.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

TEST_CASE("reconfiguration: what stays goes on as it was, and what is added disturbs nobody") {
    Lab lab(3);
    lab.settle_three();
    const View before = lab.view();
    config::Cluster wider = make_cluster(4);
    CHECK(lab.topology.reconfigure(wider, lab.now));
    CHECK(lab.primary() == 1);
    CHECK(lab.view().epoch == before.epoch);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(3).readable);
    CHECK(lab.server(4).state == ServerState::starting);
    CHECK(lab.topology.first_round_done());
    lab.standby(4, 1);
    lab.writable(1, 1);
    lab.standby(4, 1);
    CHECK(lab.server(4).readable);
    CHECK(lab.server(2).readable);
    CHECK_FALSE(lab.topology.reconfigure(wider, lab.now));
}

TEST_CASE("reconfiguration: a removed replica takes no reads, and nothing that is said of it counts") {
    Lab lab(3);
    lab.settle_three();
    config::Cluster smaller = make_cluster(3);
    smaller.servers[1].is_removed = true;
    CHECK(lab.topology.reconfigure(smaller, lab.now));
    CHECK(lab.primary() == 1);
    CHECK(lab.server(2).duty == Duty::removed);
    CHECK_FALSE(lab.server(2).readable);
    CHECK(lab.server(3).readable);
    CHECK_FALSE(lab.writable(2, 9));
    CHECK(lab.primary() == 1);
    CHECK(lab.candidate() == 3);
    // It comes back: as one that nothing is known of.
    smaller.servers[1].is_removed = false;
    lab.topology.reconfigure(smaller, lab.now);
    CHECK(lab.server(2).state == ServerState::starting);
    lab.standby(2, 1);
    lab.writable(1, 1);
    lab.standby(2, 1);
    CHECK(lab.server(2).readable);
}

TEST_CASE(
    "reconfiguration: a removed primary is none any more, and an older timeline is not believed for it") {
    Lab lab(3);
    lab.settle_three();
    lab.writable(2, 2);  // promoted
    lab.standby(3, 2);
    REQUIRE(lab.primary() == 2);
    config::Cluster smaller = make_cluster(3);
    smaller.servers[1].is_removed = true;
    lab.topology.reconfigure(smaller, lab.now);
    CHECK(lab.primary() == 0);
    lab.writable(1, 1);
    CHECK(lab.primary() == 0);
    lab.writable(3, 3);
    CHECK(lab.primary() == 3);
}

TEST_CASE("reconfiguration: another server in the place of a removed one inherits nothing") {
    Lab lab(3);
    lab.settle_three();
    config::Cluster other = make_cluster(3);
    other.servers[2].name = "pg9";
    CHECK(lab.topology.reconfigure(other, lab.now));
    CHECK(lab.server(3).name == "pg9");
    CHECK(lab.server(3).state == ServerState::starting);
    CHECK(lab.server(3).timeline == 0);
    CHECK_FALSE(lab.server(3).readable);
}
