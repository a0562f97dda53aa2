#include "tests/simulation/run.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "health/monitor.h"
#include "protocol/mysql/dialect.h"
#include "protocol/postgres/dialect.h"
#include "proxy/engine/engine.h"
#include "tests/simulation/client.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/gauges.h"
#include "tests/simulation/operator.h"
#include "tests/simulation/sim_link.h"
#include "tests/simulation/sim_prober.h"
#include "tests/simulation/sim_world.h"

namespace holdfast::simulation {
namespace {

using namespace std::chrono_literals;

/// Longer than most transactions here, shorter than some.
constexpr Duration drain_timeout = 2s;

/// Roles come from here at random times; logins are by trust, so nobody needs a secret.
class SimDirectory final : public engine::Directory {
public:
    explicit SimDirectory(Network& network) : network_(network) {}
    void find_role(const std::string&, OnRole on_done) override {
        network_.events().after(network_.latency(), [on_done = std::move(on_done)] {
            on_done(Result<std::optional<dialect::StoredRole>>(
                std::optional<dialect::StoredRole>(dialect::StoredRole{})));
        });
    }
    void forget_role(const std::string&) override {}
    const dialect::ClassifierSources& sources(const std::string&) override { return sources_; }

private:
    Network& network_;
    dialect::ClassifierSources sources_;
};

/// One run: the parts, put together as the application does, and the story.
class Run {
public:
    Run(config::Protocol protocol, uint64_t seed, bool trace);
    Report play();

private:
    std::shared_ptr<const config::Cluster> make_settings();
    void make_clients();
    void strike_now_and_then();
    void wait_until_idle(Duration limit);
    void check_end();
    void check_listeners();
    void tear_down();

    std::unique_ptr<dialect::Dialect> make_dialect();

    const config::Protocol protocol_;
    Events events_;
    Random random_;
    Network network_{events_, random_};
    Trace trace_;
    TraceLog log_{trace_};
    Books books_{events_, trace_};
    Site site_{network_, books_, trace_, true};
    std::vector<std::unique_ptr<Server>> servers_;
    std::unique_ptr<Faults> faults_;
    std::shared_ptr<const config::Cluster> settings_;
    SimWorld world_{network_};
    SimHealthLoop health_loop_{events_};
    SimDirectory directory_{network_};
    Gauges gauges_{books_};
    std::unique_ptr<engine::Engine> engine_;
    std::unique_ptr<health::Monitor> monitor_;
    engine::Cluster* cluster_ = nullptr;
    engine::EntranceRef entrance_;
    std::unique_ptr<Operator> operator_;  // in some runs
    std::unique_ptr<Neighbourhood> around_;
    std::vector<std::unique_ptr<Client>> clients_;
    bool over_ = false;
};

Run::Run(config::Protocol protocol, uint64_t seed, bool trace)
    : protocol_(protocol), random_(seed), trace_(events_, trace) {
    site_.speaks_mysql = protocol == config::Protocol::mysql;
    site_.synchronous = random_.chance(70);
    const uint64_t count = random_.between(2, 4);
    std::vector<Server*> all;
    for (uint64_t i = 1; i <= count; ++i) {
        servers_.push_back(std::make_unique<Server>(site_, i));
        all.push_back(servers_.back().get());
        world_.add_door(*all.back());
    }
    faults_ = std::make_unique<Faults>(site_, all);
    settings_ = make_settings();

    engine_ = std::make_unique<engine::Engine>(world_, log_, config::Proxy{});
    engine::ClusterParts parts{settings_,
                               make_dialect(),
                               directory_,
                               gauges_,
                               [this](ServerId id, health::Hint what) { monitor_->hint(id, what); },
                               [] { return drain_timeout; }};
    cluster_ = &engine_->add_cluster(std::move(parts));
    entrance_ =
        std::make_shared<const engine::Entrance>(engine::Entrance{*cluster_, settings_->listeners[0]});
    monitor_ = std::make_unique<health::Monitor>(*settings_, health_loop_,
                                                 std::make_unique<SimProber>(network_, all), log_,
                                                 [this](const health::View& view) {
                                                     books_.view(view);
                                                     cluster_->on_view(view);
                                                 });
    if (random_.chance(35)) {
        operator_ = std::make_unique<Operator>(network_, books_, trace_, *monitor_, *cluster_, drain_timeout);
    }
    around_ = std::make_unique<Neighbourhood>(
        Neighbourhood{network_, books_, trace_,
                      [this](std::shared_ptr<Endpoint> endpoint) {
                          auto link = std::make_unique<SimLink>(network_, std::move(endpoint));
                          SimLink& arrived = *link;
                          if (engine::LinkOwner* owner =
                                  engine_->accept(entrance_, std::move(link), {"client", false, true, {}})) {
                              arrived.adopt(*owner);
                          }
                      },
                      Duration(settings_->failover.wait),
                      settings_->routing.consistency == config::Consistency::session, site_.synchronous, 100,
                      0, settings_->failover.no_primary == config::NoPrimary::reject, site_.speaks_mysql});
    make_clients();
}

std::unique_ptr<dialect::Dialect> Run::make_dialect() {
    const auto random = [this](std::byte* out, size_t size) { world_.random(out, size); };
    if (site_.speaks_mysql)
        return std::make_unique<mysql::MysqlDialect>(mysql::DialectOptions{random, nullptr});
    postgres::Surroundings surroundings;
    surroundings.random = random;
    surroundings.unix_seconds = [this] { return world_.unix_seconds(); };
    return std::make_unique<postgres::PostgresDialect>(surroundings);
}

std::shared_ptr<const config::Cluster> Run::make_settings() {
    auto cluster = std::make_shared<config::Cluster>();
    cluster->protocol = protocol_;
    cluster->name = "shop";
    for (size_t i = 1; i <= servers_.size(); ++i) {
        config::Server server;
        server.name = "pg" + std::to_string(i);
        server.address.host = "10.0.0." + std::to_string(i);
        server.address.port = static_cast<uint16_t>(i);
        if (random_.chance(15)) server.weight = static_cast<uint32_t>(random_.between(0, 200));
        cluster->servers.push_back(server);
    }
    config::Listener listener;
    listener.tls.mode = config::ClientTlsMode::disable;
    listener.auth = config::ClientAuth::trust;
    cluster->listeners.push_back(listener);
    cluster->server_tls.mode = config::ServerTlsMode::disable;
    cluster->pool.idle_timeout = random_.chance(70) ? 3'000ms : 0ms;
    cluster->failover.wait =
        random_.chance(75) ? 30'000ms : config::milliseconds(random_.between(800, 4'000));
    if (random_.chance(20)) cluster->failover.no_primary = config::NoPrimary::reject;
    if (random_.chance(25)) cluster->health.timeout = 400ms;
    if (random_.chance(15)) cluster->routing.consistency = config::Consistency::eventual;
    if (random_.chance(30)) {
        cluster->routing.balance =
            random_.chance(50) ? config::Balance::round_robin : config::Balance::random;
    }
    if (random_.chance(15)) cluster->routing.primary_reads = config::PrimaryReads::never;
    if (random_.chance(15)) cluster->routing.primary_reads = config::PrimaryReads::always;
    if (random_.chance(15)) cluster->routing.max_lag_time = 500ms;
    return cluster;
}

void Run::make_clients() {
    around_->busy_percent = static_cast<unsigned>(random_.between(15, 60));
    const auto add = [this](Role role, uint64_t count) {
        for (; count > 0; --count) clients_.push_back(make_client(*around_, clients_.size() + 1, role));
    };
    add(Role::inserter, random_.between(1, 3));
    add(Role::raiser, random_.between(1, 3));
    add(Role::bumper, random_.between(1, 3));
    add(Role::reader, random_.between(1, 3));
    add(Role::idler, random_.between(1, 3));
    if (!site_.speaks_mysql) add(Role::listener, random_.between(0, 2));
    add(Role::ticketer, random_.between(0, 1));
    if (random_.chance(15)) add(Role::slow_reader, 1);
    add(Role::troubled, random_.between(0, 1));
    around_->keys = static_cast<int64_t>(clients_.size());
}

void Run::strike_now_and_then() {
    if (over_) return;
    events_.after(random_.between(Duration(100ms), Duration(4s)), [this] {
        if (over_) return;
        faults_->strike();
        strike_now_and_then();
    });
}

void Run::wait_until_idle(Duration limit) {
    const TimePoint end = events_.now() + limit;
    while (events_.now() < end) {
        bool idle = true;
        for (const auto& client : clients_) idle = idle && client->is_idle();
        if (idle) return;
        events_.run_until(events_.now() + 50ms, {});
    }
    for (const auto& client : clients_) {
        if (!client->is_idle()) books_.problem("still waits at the end: " + client->describe());
    }
}

Report Run::play() {
    faults_->bring_up();
    monitor_->start();
    for (const auto& client : clients_) client->begin(random_.between(Duration(0ms), Duration(1500ms)));
    events_.after(random_.between(Duration(0ms), Duration(2500ms)), [this] { strike_now_and_then(); });
    if (operator_) operator_->begin();
    const auto is_broken = [this] { return !books_.problems().empty(); };
    events_.run_until(events_.now() + random_.between(Duration(6s), Duration(25s)), is_broken);
    over_ = true;
    if (operator_) operator_->stop();
    // The first problem ends the story: what follows from it says nothing new.
    if (!is_broken()) check_end();
    Report result;
    tear_down();
    result.problems = books_.problems();
    result.statements = books_.statements;
    result.faults = static_cast<uint64_t>(faults_->struck());
    result.failovers = static_cast<uint64_t>(gauges_.failovers);
    result.unknown_outcomes = books_.unknown_outcomes;
    result.corrections = static_cast<uint64_t>(gauges_.corrections);
    result.reads_again =
        static_cast<uint64_t>(gauges_.losses[static_cast<size_t>(engine::LossOutcome::read_again)]);
    result.summary = std::to_string(clients_.size()) + " clients, " + std::to_string(servers_.size()) +
                     " servers, " + std::to_string(result.statements) + " statements, " +
                     std::to_string(result.faults) + " faults, " + std::to_string(books_.errors) +
                     " errors, " + std::to_string(events_.count()) + " events";
    return result;
}

/// The faults are over: everything comes to rest, works again, and goes away without leaving anything.
void Run::check_end() {
    for (TimePoint limit = events_.now() + 30s; !faults_->is_calm() && events_.now() < limit;) {
        events_.run_until(events_.now() + 100ms, {});
    }
    faults_->mend_all();
    for (const auto& client : clients_) client->stop();
    wait_until_idle(settings_->failover.wait + 15s);
    events_.run_until(events_.now() + 12s, {});
    if (!cluster_->view().primary) return books_.problem("no primary is known at the end");
    if (cluster_->view().primary->value != books_.truth()->number()) {
        return books_.problem("another server than the promoted one is the primary at the end");
    }
    for (const auto& server : cluster_->view().servers) {
        if (server.state != health::ServerState::up) {
            books_.problem(server.name + " is not up at the end: " + server.reason);
        }
    }
    for (const auto& client : clients_) client->make_last_check();
    wait_until_idle(5s);
    if (!site_.speaks_mysql) check_listeners();
    if (gauges_.held != 0) books_.problem("statements are held while nobody waits");
    for (const auto& client : clients_) client->leave();
    events_.run_until(events_.now() + 12s, {});
    if (engine_->sessions() != 0)
        books_.problem(std::to_string(engine_->sessions()) + " sessions are left when all clients are gone");
    for (const uint32_t load : cluster_->loads()) {
        if (load != 0) books_.problem("a server's load stays at " + std::to_string(load));
    }
    gauges_.check_baseline();
    for (const auto& server : servers_) {
        if (server->backends() != 0) {
            books_.problem(server->name() + " still has " + std::to_string(server->backends()) + " sessions");
        }
    }
    books_.check_history(site_.synchronous);
}

/// Whoever listens still does.
void Run::check_listeners() {
    // By the first that is there: some leave by themselves and come back later.
    const bool sent = std::any_of(clients_.begin(), clients_.end(),
                                  [](const auto& client) { return client->send_notification("the end"); });
    if (!sent) return books_.problem("no client is there to send the last notification");
    wait_until_idle(5s);
    events_.run_until(events_.now() + 1s, {});
    for (const auto& client : clients_) {
        if (client->is_listening() && !client->has_heard("the end"))
            books_.problem(client->describe() + " did not hear the last notification");
    }
}

void Run::tear_down() {
    for (const auto& client : clients_) client->leave();
    engine_->close_all();
    events_.run_until(events_.now() + 12s, {});
    monitor_.reset();
    events_.clear();
    engine_.reset();
    clients_.clear();
    events_.clear();
}

}  // namespace

Report run(config::Protocol protocol, uint64_t seed, bool trace) {
    return Run(protocol, seed, trace).play();
}

}  // namespace holdfast::simulation
