#include "tests/simulation/sim_prober.h"

#include <utility>

namespace holdfast::simulation {

using health::Observation;
using health::Outcome;

namespace {
constexpr uint64_t system_identifier = 7'000'000'000'000'000'001;
constexpr int server_version = 150'004;
}  // namespace

void SimProber::probe(const config::Server&, ServerId id, std::function<void(Observation)> done) {
    auto probe = std::make_shared<Probe>();
    probe->done = std::move(done);
    probe->sent_at = network_.events().now();
    probe->id = id;
    probes_[id] = probe;
    Server& server = *servers_.at(id.value - 1);
    network_.events().after(network_.latency(), [this, probe, &server] {
        if (!probe->done || !server.host()->reachable) return;  // the packet is lost, and nobody answers
        if (!server.listens()) {
            Observation refused;
            refused.outcome = Outcome::conn_refused;
            refused.text = "connection refused";
            return reply(probe, refused);
        }
        probe->waiting_for =
            network_.random().chance(50) ? Outcome::greeting_timeout : Outcome::query_timeout;
        server.later(network_.random().between(Duration(20'000), Duration(2'000'000)),
                     [this, probe, &server] { answer(probe, server); });
    });
}

void SimProber::answer(const std::shared_ptr<Probe>& probe, Server& server) {
    Observation out;
    if (server.process() == Server::Process::starting) {
        out.outcome = Outcome::starting_up;
        out.text = "the database system is starting up";
        return reply(probe, out);
    }
    out.outcome = Outcome::ok;
    out.in_recovery = server.is_standby();
    out.system_identifier = system_identifier;
    out.server_version = server_version;
    out.timeline = server.timeline();
    if (server.is_standby()) {
        out.position = {server.applied_lsn()};
        out.received = {server.written_lsn()};
        out.receiver_known = true;
        out.receiver_streaming = server.is_streaming();
    } else {
        out.position = {server.written_lsn()};
        out.flushed = {server.written_lsn()};
    }
    reply(probe, out);
}

void SimProber::reply(const std::shared_ptr<Probe>& probe, Observation observation) {
    Server& server = *servers_.at(probe->id.value - 1);
    if (!server.host()->reachable) return;
    observation.server = probe->id;
    observation.sent_at = probe->sent_at;
    network_.events().after(network_.latency(), [this, probe, observation]() mutable {
        observation.received_at = network_.events().now();
        if (const auto call = std::exchange(probe->done, {})) call(observation);
    });
}

Outcome SimProber::cancel(ServerId id) {
    const auto found = probes_.find(id);
    if (found == probes_.end()) return Outcome::conn_timeout;
    found->second->done = {};
    return found->second->waiting_for;
}

}  // namespace holdfast::simulation
