// How far replicas are behind, and which of them may be read.
#include <doctest/doctest.h>

#include "cluster_lab.h"
#include "health/topology.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

TEST_CASE("topology: lag is the age of the newest primary position replayed") {
    Lab lab(2);
    lab.writable(1, 1, 1000);
    const TimePoint first = lab.now;
    lab.standby(2, 1, 1000);
    CHECK(lab.server(2).lag == Duration::zero());
    CHECK(lab.server(2).lag_bytes == 0);
    lab.pass(1s);
    lab.writable(1, 1, 5000);
    lab.pass(2s);
    lab.standby(2, 1, 3000);
    CHECK(lab.server(2).lag == lab.now - first);
    CHECK(lab.server(2).lag_bytes == 2000);
    CHECK(lab.server(2).readable);
    lab.pass(3s);
    lab.standby(2, 1, 3000);
    CHECK(lab.server(2).state == ServerState::lagging);
    CHECK(lab.server(2).reason == "6 s behind (max_lag is 5 s)");
    CHECK_FALSE(lab.server(2).readable);
    lab.standby(2, 1, 5000);
    CHECK(lab.server(2).state == ServerState::up);
    CHECK(lab.server(2).readable);
}

namespace {

constexpr uint64_t mib = 1024 * 1024;

/// pg2 was rebuilt, and is 1000 MiB behind.
Lab came_back() {
    Lab lab(2);
    lab.writable(1, 1, 1000 * mib);
    lab.standby(2, 1, 1000 * mib);
    REQUIRE(lab.server(2).state == ServerState::up);
    lab.fails(2, Outcome::conn_refused, 5);
    REQUIRE(lab.server(2).state == ServerState::down);
    lab.pass(1h);
    lab.writable(1, 1, 2000 * mib);
    lab.standby(2, 1, 1000 * mib);
    lab.standby(2, 1, 1000 * mib);
    return lab;
}

}  // namespace

TEST_CASE("topology: a replica that came back and gets nearer is catching up, not lagging") {
    Lab lab = came_back();
    CHECK(lab.server(2).state == ServerState::catching_up);
    CHECK(lab.server(2).reason.find("behind") != std::string::npos);
    CHECK(lab.server(2).reason.find("it came back and gets nearer") != std::string::npos);
    const TimePoint since = lab.server(2).since;
    CHECK(since == lab.now);
    for (uint64_t replayed = 1000; replayed < 1900; replayed += 50) {
        lab.pass(1min);
        lab.writable(1, 1, 2000 * mib);
        lab.standby(2, 1, replayed * mib);
        CHECK(lab.server(2).state == ServerState::catching_up);
        CHECK_FALSE(lab.server(2).readable);
        CHECK(lab.server(2).since == since);
    }
    lab.standby(2, 1, 2000 * mib);
    CHECK(lab.server(2).state == ServerState::up);
    // From here on it is one like the others.
    lab.pass(10s);
    lab.writable(1, 1, 2200 * mib);
    lab.standby(2, 1, 2000 * mib);
    CHECK(lab.server(2).state == ServerState::lagging);
    lab.standby(2, 1, 2001 * mib);
    CHECK(lab.server(2).state == ServerState::lagging);
}

TEST_CASE("topology: a replica that came back and comes no nearer is lagging after a while") {
    Lab lab = came_back();
    const auto go_on = [&](uint64_t written, uint64_t replayed) {
        lab.pass(30s);
        lab.writable(1, 1, written * mib);
        lab.standby(2, 1, replayed * mib);
        return lab.server(2).state;
    };
    CHECK(go_on(2100, 1050) == ServerState::catching_up);
    CHECK(go_on(2200, 1100) == ServerState::catching_up);
    CHECK(go_on(2300, 1150) == ServerState::catching_up);
    CHECK(go_on(2400, 1200) == ServerState::lagging);
    CHECK(go_on(2500, 1300) == ServerState::lagging);  // a little is no sign
    CHECK(go_on(2500, 1601) == ServerState::catching_up);
}

TEST_CASE("topology: a replica whose replay is paused is not catching up") {
    Lab lab = came_back();
    Observation o = lab.as_standby(2, 1, 1000 * mib);
    o.replay_paused = true;
    lab.take(o);
    CHECK(lab.server(2).state == ServerState::lagging);
}

TEST_CASE("topology: an idle primary makes no lag, however long") {
    Lab lab(2);
    lab.writable(1, 1, 1000);
    lab.standby(2, 1, 1000);
    for (int i = 0; i < 100; ++i) {
        lab.pass(1s);
        lab.writable(1, 1, 1000);
        lab.standby(2, 1, 1000);
    }
    CHECK(lab.server(2).lag == Duration::zero());
}

TEST_CASE("topology: a replica may also be too many bytes behind") {
    Lab lab(2);
    lab.writable(1, 1, 1000);
    lab.standby(2, 1, 1000);
    lab.writable(1, 1, 1000 + 100 * 1024 * 1024);
    lab.standby(2, 1, 1000);
    CHECK(lab.server(2).state == ServerState::lagging);
    CHECK(lab.server(2).reason == "100 MiB behind (max_lag is 64 MiB)");
}

TEST_CASE("topology: unflushed records of the primary are no lag") {
    Lab lab(2);
    Observation o = lab.as_primary(1, 1, 1000);
    o.position = {1400};
    lab.take(o);
    lab.standby(2, 1, 1000);
    CHECK(lab.server(2).lag == Duration::zero());
    CHECK(lab.view().primary_position.lsn == 1400);
    CHECK(lab.view().primary_position_sampled_at == o.sent_at);
}

TEST_CASE("topology: while there is no primary lag stands still and reads go on") {
    Lab lab(2);
    lab.writable(1, 1, 1000);
    lab.standby(2, 1, 1000);
    lab.pass(1s);
    lab.writable(1, 1, 5000);
    lab.standby(2, 1, 4000);
    const auto lag = lab.server(2).lag;
    CHECK(lag > 1s);
    lab.fails(1, Outcome::conn_refused, 2);
    for (int i = 0; i < 20; ++i) {
        lab.pass(1s);
        lab.standby(2, 1, 4000);
    }
    CHECK(lab.server(2).lag == lag);
    CHECK(lab.server(2).readable);
}

TEST_CASE("topology: a paused replay and a missing receiver are told, and judged by lag alone") {
    Lab lab(2);
    lab.writable(1, 1, 1000);
    Observation o = lab.as_standby(2, 1, 1000);
    o.replay_paused = true;
    lab.take(o);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).reason == "replay is paused");
    lab.pass(1s);
    lab.writable(1, 1, 2000);
    lab.pass(6s);
    o = lab.as_standby(2, 1, 1000);
    o.replay_paused = true;
    lab.take(o);
    CHECK_FALSE(lab.server(2).readable);
    CHECK(lab.server(2).reason == "7 s behind (max_lag is 5 s); replay is paused");
    o = lab.as_standby(2, 1, 2000);
    o.receiver_streaming = false;
    lab.take(o);
    CHECK(lab.server(2).readable);
    CHECK(lab.server(2).reason == "its WAL receiver is not streaming");
}
