#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "health/observation.h"
#include "health/topology.h"

namespace holdfast::health::testing {

using namespace std::chrono_literals;

inline config::Cluster make_cluster(size_t servers) {
    config::Cluster cluster;
    cluster.name = "shop";
    for (size_t i = 0; i < servers; ++i) {
        config::Server server;
        server.name = "pg" + std::to_string(i + 1);
        server.address.host = "127.0.0.1";
        server.address.port = 5432;
        cluster.servers.push_back(server);
    }
    return cluster;
}

inline constexpr uint64_t our_identifier = 7000;

/// Drives a topology by a few words a step. Every step takes a millisecond; servers are numbered from 1.
class Lab {
public:
    explicit Lab(size_t servers) : Lab(make_cluster(servers)) {}
    explicit Lab(const config::Cluster& cluster) : topology(cluster, TimePoint{}) {}

    Topology topology;
    TimePoint now{1s};

    const View& view() const { return topology.view(); }
    const ServerView& server(uint64_t n) const { return *view().find(ServerId{n}); }
    uint64_t primary() const { return view().primary.value_or(ServerId{}).value; }
    uint64_t candidate() const { return view().candidate.value_or(ServerId{}).value; }

    Observation base(uint64_t n) {
        now += 1ms;
        Observation o;
        o.server = ServerId{n};
        o.sent_at = now;
        o.received_at = now;
        o.system_identifier = our_identifier;
        o.server_version = 150'004;
        return o;
    }
    Observation as_primary(uint64_t n, uint32_t timeline, uint64_t position = 1000) {
        Observation o = base(n);
        o.timeline = timeline;
        o.position = {position};
        o.flushed = {position};
        return o;
    }
    Observation as_standby(uint64_t n, uint32_t timeline, uint64_t position = 1000) {
        Observation o = base(n);
        o.in_recovery = true;
        o.timeline = timeline;
        o.position = {position};
        o.received = {position};
        o.receiver_known = true;
        o.receiver_streaming = true;
        return o;
    }
    Observation as_failure(uint64_t n, Outcome outcome) {
        Observation o = base(n);
        o.outcome = outcome;
        o.text = "failed: " + std::string(to_string(outcome));
        return o;
    }
    bool take(const Observation& o) { return topology.observe(o, now); }

    bool writable(uint64_t n, uint32_t timeline, uint64_t position = 1000) {
        return take(as_primary(n, timeline, position));
    }
    bool standby(uint64_t n, uint32_t timeline, uint64_t position = 1000) {
        return take(as_standby(n, timeline, position));
    }
    bool fails(uint64_t n, Outcome outcome, int times = 1) {
        bool changed = false;
        for (int i = 0; i < times; ++i) changed |= take(as_failure(n, outcome));
        return changed;
    }
    bool hint(uint64_t n, Hint what) {
        now += 1ms;
        return topology.hint(ServerId{n}, what, now);
    }
    void pass(Duration time) { now += time; }

    /// pg1 primary on timeline 1, the others its standbys, everything caught up.
    void settle_three() {
        writable(1, 1);
        standby(2, 1);
        standby(3, 1);
    }
};

}  // namespace holdfast::health::testing
