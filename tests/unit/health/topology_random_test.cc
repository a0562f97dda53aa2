#include <algorithm>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "cluster_lab.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

namespace {

/// What the servers really are, while a topology is shown glimpses of it.
struct World {
    struct Server {
        bool runs = true;
        bool frozen = false;
        bool standby = true;
        uint32_t timeline = 1;
        uint64_t position = 1000;
    };
    std::vector<Server> servers;
    uint32_t newest_timeline = 1;
};

void disturb(World& world, size_t index, int what) {
    World::Server& server = world.servers[index];
    switch (what) {
        case 0: server.runs = false; break;
        case 1: server.runs = true; break;
        case 2: server.frozen = !server.frozen; break;
        case 3:  // a promotion
            if (server.runs && server.standby) {
                server.standby = false;
                server.timeline = ++world.newest_timeline;
            }
            break;
        case 4:  // made a standby of the newest primary
            for (const World::Server& other : world.servers) {
                if (other.standby || other.timeline != world.newest_timeline || &other == &server) continue;
                server.standby = true;
                server.timeline = other.timeline;
                server.position = other.position;
            }
            break;
        default:
            if (!server.standby && server.runs) server.position += 100;
            break;
    }
}

Observation glimpse(Lab& lab, const World& world, size_t index) {
    const World::Server& server = world.servers[index];
    const uint64_t n = index + 1;
    if (!server.runs) return lab.as_failure(n, Outcome::conn_refused);
    if (server.frozen) return lab.as_failure(n, Outcome::query_timeout);
    return server.standby ? lab.as_standby(n, server.timeline, server.position)
                          : lab.as_primary(n, server.timeline, server.position);
}

}  // namespace

TEST_CASE("topology: under random faults the view never contradicts what was seen") {
    for (uint32_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const auto pick = [&](size_t below) { return static_cast<size_t>(random() % below); };
        const size_t count = 2 + pick(3);
        Lab lab(count);
        World world;
        world.servers.resize(count);
        world.servers[0].standby = false;
        std::vector<Observation> held_back;
        std::vector<Observation> last(count);
        std::vector<bool> seen(count, false);
        uint32_t highest_believed = 0;

        for (int step = 0; step < 300; ++step) {
            CAPTURE(step);
            const View before = lab.view();
            if (pick(4) == 0) disturb(world, pick(count), static_cast<int>(pick(8)));
            const size_t action = pick(12);
            bool changed = false;
            std::optional<Observation> taken;
            if (action == 0) {
                changed = lab.hint(1 + pick(count), static_cast<Hint>(pick(6)));
            } else if (action == 1) {
                held_back.push_back(glimpse(lab, world, pick(count)));  // will arrive late
            } else if (action == 2 && !held_back.empty()) {
                taken = held_back[pick(held_back.size())];
            } else if (action == 3) {
                lab.pass(std::chrono::milliseconds(pick(20'000)));
                changed = lab.topology.tick(lab.now);
            } else {
                taken = glimpse(lab, world, pick(count));
            }
            if (taken) {
                const size_t index = taken->server.value - 1;
                const bool is_news = !seen[index] || taken->sent_at >= last[index].sent_at;
                changed = lab.take(*taken);
                if (is_news) {
                    seen[index] = true;
                    last[index] = *taken;
                } else {
                    CHECK_FALSE(changed);
                }
            }

            const View& view = lab.view();
            CHECK(changed == !(view == before));
            CHECK(view.epoch.value == before.epoch.value + (view.primary == before.primary ? 0 : 1));
            CHECK(view.primary.has_value() != view.primary_lost_at.has_value());
            if (view.primary) {
                const Observation& o = last[view.primary->value - 1];
                CHECK(seen[view.primary->value - 1]);
                CHECK_FALSE((o.outcome == Outcome::ok && o.in_recovery));
                CHECK(o.outcome != Outcome::conn_refused);
                const ServerView& primary = *view.find(*view.primary);
                CHECK(primary.role == ServerRole::primary);
                CHECK(primary.timeline >= highest_believed);
                highest_believed = primary.timeline;
                CHECK((primary.state == ServerState::up || primary.state == ServerState::suspect));
            }
            CHECK(std::count_if(view.servers.begin(), view.servers.end(),
                                [](const ServerView& s) { return s.role == ServerRole::primary; }) <= 1);
            for (const ServerView& s : view.servers) {
                if (s.readable) {
                    CHECK(s.state == ServerState::up);
                    CHECK(s.role == ServerRole::replica);
                    CHECK(s.lag.has_value());
                    CHECK(s.timeline == highest_believed);
                    CHECK(view.primary != s.id);
                }
                CHECK((s.state == ServerState::up || !s.reason.empty()));
                CHECK(s.since <= lab.now);
            }
            if (view.candidate) {
                CHECK(view.find(*view.candidate)->role == ServerRole::replica);
                CHECK(view.candidate != view.primary);
            }
        }
    }
}

TEST_CASE("topology: once faults end it settles on the newest primary, whatever went before") {
    for (uint32_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const auto pick = [&](size_t below) { return static_cast<size_t>(random() % below); };
        Lab lab(3);
        World world;
        world.servers.resize(3);
        world.servers[0].standby = false;
        lab.settle_three();
        for (int step = 0; step < 200; ++step) {
            disturb(world, pick(3), static_cast<int>(pick(8)));
            if (pick(10) == 0) lab.hint(1 + pick(3), static_cast<Hint>(pick(6)));
            lab.take(glimpse(lab, world, pick(3)));
        }
        for (World::Server& server : world.servers) {
            server.runs = true;
            server.frozen = false;
        }
        for (int round = 0; round < 3; ++round) {
            for (size_t i = 0; i < 3; ++i) lab.take(glimpse(lab, world, i));
        }
        size_t newest = 3;
        for (size_t i = 0; i < 3; ++i) {
            const World::Server& server = world.servers[i];
            if (!server.standby && server.timeline == world.newest_timeline) newest = i;
        }
        CHECK(lab.primary() == (newest == 3 ? 0 : newest + 1));
        for (size_t i = 0; i < 3; ++i) {
            const World::Server& server = world.servers[i];
            if (!server.standby && i != newest) {
                CHECK(lab.server(i + 1).state == ServerState::quarantined);
            }
        }
    }
}
