// What the data path saw before any probe.
#include <doctest/doctest.h>

#include "cluster_lab.h"
#include "health/topology.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

TEST_CASE("topology: a hint withholds the primary until a later probe answers") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    const Observation sent_before = lab.as_primary(1, 1);
    CHECK(lab.hint(1, Hint::connection_lost));
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::suspect);
    CHECK(lab.server(1).reason == "a connection to it broke");
    CHECK(lab.view().epoch.value == 2);
    lab.take(sent_before);
    CHECK_FALSE(lab.view().primary);
    lab.writable(1, 1);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).state == ServerState::up);
    CHECK(lab.view().epoch.value == 3);
}

TEST_CASE("topology: a timeout answers no hint") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.hint(1, Hint::connect_failed);
    lab.fails(1, Outcome::conn_timeout);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).state == ServerState::suspect);
}

TEST_CASE("topology: an overdue statement makes the primary suspect and no more") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.hint(1, Hint::not_answering);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).state == ServerState::suspect);
    CHECK(lab.topology.in_doubt());
    lab.writable(1, 1);
    CHECK(lab.server(1).state == ServerState::up);
    CHECK(lab.view().epoch.value == 1);
}

TEST_CASE("topology: a refused write is answered by facts only, not by a sign of life") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.hint(1, Hint::refused_write);
    lab.fails(1, Outcome::too_many);
    CHECK_FALSE(lab.view().primary);
    lab.standby(1, 1);
    CHECK_FALSE(lab.view().primary);
    CHECK(lab.server(1).role == ServerRole::replica);
}

TEST_CASE("topology: a lost connection is answered by a sign of life") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.hint(1, Hint::connection_lost);
    lab.fails(1, Outcome::too_many);
    CHECK(lab.primary() == 1);
}

TEST_CASE("topology: hints that are disproved again and again no longer stop the writes, until they rest") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    for (int i = 0; i < 3; ++i) {
        lab.hint(1, Hint::connection_lost);
        CHECK_FALSE(lab.view().primary);
        lab.writable(1, 1);
    }
    lab.hint(1, Hint::connection_lost);
    CHECK(lab.primary() == 1);
    CHECK(lab.server(1).state == ServerState::suspect);
    lab.fails(1, Outcome::conn_refused);
    CHECK_FALSE(lab.view().primary);
    lab.writable(1, 1);
    lab.pass(11s);
    lab.writable(1, 1);
    lab.hint(1, Hint::connection_lost);
    CHECK_FALSE(lab.view().primary);
}

TEST_CASE("topology: hints that keep coming while probes are under way cannot starve the primary") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    for (int i = 0; i < 10; ++i) {
        lab.hint(1, Hint::connection_lost);
        const Observation under_way = lab.as_primary(1, 1);
        lab.hint(1, Hint::connection_lost);
        lab.take(under_way);
    }
    CHECK(lab.primary() == 1);
}

TEST_CASE("topology: a hint about a replica keeps reads off until it answers, and leaves the primary alone") {
    Lab lab(2);
    lab.writable(1, 1);
    lab.standby(2, 1);
    lab.hint(2, Hint::connection_lost);
    CHECK(lab.primary() == 1);
    CHECK_FALSE(lab.server(2).readable);
    lab.standby(2, 1);
    CHECK(lab.server(2).readable);
    CHECK_FALSE(lab.hint(99, Hint::connection_lost));
    CHECK_FALSE(lab.hint(0, Hint::connection_lost));
}
