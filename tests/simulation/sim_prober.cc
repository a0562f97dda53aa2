#include "tests/simulation/sim_prober.h"

#include <utility>

namespace holdfast::simulation {

using health::Observation;
using health::Outcome;

namespace {
constexpr uint64_t system_identifier = 7'000'000'000'000'000'001;
constexpr int server_version = 150'004;

/// The log up to a record, as MariaDB says it: the last transaction's number, and who wrote it.
health::GtidSet gtids(const Server& server, uint64_t records) {
    if (records == 0) return {};
    const auto set = health::GtidSet::parse_mariadb(
        "0-" + std::to_string(server.log()[records - 1]->timeline) + "-" + std::to_string(records));
    return set ? *set : health::GtidSet();
}

void tell_mysql_state(const Server& server, Observation& out) {
    health::MysqlState state;
    state.read_only = server.is_read_only();
    state.server_id = static_cast<uint32_t>(server.number());
    state.applied = gtids(server, server.applied());
    state.written = state.received = gtids(server, server.log().size());
    state.has_gtids = true;
    if (const Server* upstream = server.upstream()) {
        health::ReplicationSource source;
        source.host = "10.0.0." + std::to_string(upstream->number());
        source.port = static_cast<int>(upstream->number());
        source.server_id = static_cast<uint32_t>(upstream->number());
        source.io = server.is_streaming() ? health::ReplicationThread::running
                                          : health::ReplicationThread::connecting;
        source.sql_running = true;
        state.sources.push_back(source);
    }
    out.version_text = "10.11.6-MariaDB";
    out.mysql = std::move(state);
}

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
    if (server.site().speaks_mysql) {
        tell_mysql_state(server, out);
        return reply(probe, out);
    }
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
