#pragma once

#include <cstdint>
#include <map>

#include "health/monitor.h"
#include "proxy/engine/cluster.h"
#include "tests/simulation/books.h"
#include "tests/simulation/network.h"
#include "tests/simulation/trace.h"

namespace holdfast::simulation {

/// An operator at work while servers break: drains replicas, takes them into maintenance, pauses the cluster,
/// and undoes each after a while. Checks that a drained server is let go of.
class Operator {
public:
    Operator(Network& network, Books& books, Trace& trace, health::Monitor& monitor, engine::Cluster& cluster,
             Duration drain_timeout);

    /// Does something now and then, until stop().
    void begin() { work_now_and_then(); }
    /// Everything is as it was.
    void stop();

private:
    void work_now_and_then();
    void take_off_duty();
    void check_is_empty(ServerId server, uint64_t order);
    void pause();
    Random& random() { return network_.random(); }

    Network& network_;
    Books& books_;
    Trace& trace_;
    health::Monitor& monitor_;
    engine::Cluster& cluster_;
    Duration drain_timeout_;
    std::map<uint64_t, uint64_t> orders_;  // by server: the number of what was ordered last
    uint64_t order_ = 0;
    bool over_ = false;
};

}  // namespace holdfast::simulation
