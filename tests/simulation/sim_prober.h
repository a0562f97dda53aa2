#pragma once

#include <map>
#include <memory>
#include <vector>

#include "health/prober.h"
#include "tests/simulation/network.h"
#include "tests/simulation/server.h"

namespace holdfast::simulation {

/// Asks the scripted servers over the network: a question travels, is answered by a process that runs, and
/// the answer travels back. A stopped process or a machine that is cut off lets it wait.
class SimProber final : public health::Prober {
public:
    SimProber(Network& network, std::vector<Server*> servers)
        : network_(network), servers_(std::move(servers)) {}

    void probe(const config::Server& server, ServerId id,
               std::function<void(health::Observation)> done) override;
    health::Outcome cancel(ServerId id) override;

private:
    struct Probe {
        std::function<void(health::Observation)> done;  // empty: cancelled, or answered
        health::Outcome waiting_for = health::Outcome::conn_timeout;
        TimePoint sent_at{};
        ServerId id;
    };
    void answer(const std::shared_ptr<Probe>& probe, Server& server);
    void reply(const std::shared_ptr<Probe>& probe, health::Observation observation);

    Network& network_;
    std::vector<Server*> servers_;
    std::map<ServerId, std::shared_ptr<Probe>> probes_;
};

}  // namespace holdfast::simulation
