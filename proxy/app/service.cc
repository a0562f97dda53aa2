#include "proxy/app/service.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/address.h"
#include "config/networks.h"
#include "config/places.h"
#include "health/make_prober.h"
#include "health/monitor.h"
#include "protocol/mysql/dialect.h"
#include "protocol/postgres/dialect.h"
#include "proxy/app/catalog_directory.h"
#include "proxy/app/status_line.h"
#include "proxy/loop/tls_context.h"

namespace holdfast::app {

struct Service::ClusterService {
    std::string name;
    std::shared_ptr<const config::Cluster> settings;  // servers in their places
    config::Cluster probed;                           // the same with the account that probes use
    engine::Cluster* cluster = nullptr;
    std::unique_ptr<health::Monitor> monitor;
    std::unique_ptr<CatalogDirectory> directory;
    bool is_ending = false;
};

namespace {

bool is_same_account(const std::optional<config::Service>& a, const std::optional<config::Service>& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    return a->user == b->user && a->password == b->password && a->database == b->database;
}

bool is_probed_alike(const config::Cluster& a, const config::Cluster& b) {
    return is_same_account(a.service, b.service) && a.server_tls.mode == b.server_tls.mode &&
           a.server_tls.ca_file == b.server_tls.ca_file &&
           a.server_tls.server_name == b.server_tls.server_name &&
           a.server_tls.direct == b.server_tls.direct && a.tcp_user_timeout == b.tcp_user_timeout &&
           a.health.timeout == b.health.timeout;
}

std::unique_ptr<dialect::Dialect> make_dialect(const config::Cluster& cluster, loop::Loop& loop,
                                               const std::shared_ptr<const mysql::RsaKey>& rsa) {
    switch (cluster.protocol) {
        case config::Protocol::postgres: {
            postgres::Surroundings surroundings;
            surroundings.random = [&loop](std::byte* out, size_t size) { loop.random(out, size); };
            surroundings.unix_seconds = [&loop] { return loop.unix_seconds(); };
            return std::make_unique<postgres::PostgresDialect>(std::move(surroundings));
        }
        case config::Protocol::mysql: {
            mysql::DialectOptions options;
            options.random = [&loop](std::byte* out, size_t size) { loop.random(out, size); };
            options.rsa = rsa;
            return std::make_unique<mysql::MysqlDialect>(std::move(options));
        }
    }
    std::abort();
}

}  // namespace

config::Cluster with_probing_account(const config::Cluster& cluster, const config::Settings& settings) {
    config::Cluster probed = cluster;
    if (probed.service) return probed;
    for (const auto& user : settings.users) {
        if ((!user.cluster.empty() && user.cluster != cluster.name) || user.password.empty()) continue;
        probed.service = config::Service{user.name, user.password, "postgres"};
        break;
    }
    return probed;
}

Result<Candidate> prepare(config::Settings settings, std::shared_ptr<const mysql::RsaKey> rsa) {
    Candidate candidate;
    candidate.rsa = std::move(rsa);
    for (const auto& cluster : settings.clusters) {
        auto& certificates = candidate.certificates.emplace_back();
        for (const auto& listener : cluster.listeners) {
            auto tls = loop::make_server_tls(listener.tls);
            if (!tls) {
                return Error{tls.error().code,
                             "cluster." + cluster.name + ".listener: " + tls.error().message};
            }
            certificates.push_back(*std::move(tls));
        }
        if (cluster.protocol == config::Protocol::mysql && !candidate.rsa)
            candidate.rsa = mysql::RsaKey::make();
    }
    candidate.settings = std::make_shared<const config::Settings>(std::move(settings));
    return candidate;
}

Service::Service(loop::Loop& loop, Log& log, admin::PrometheusMetrics& metrics, const Duties& duties)
    : loop_(loop), log_(log), metrics_(metrics), duties_(duties), engine_(loop, log, config::Proxy{}) {}

Service::~Service() {
    gates_.clear();
    engine_.close_all();
}

Service::ClusterService* Service::find(const std::string& name) const {
    const auto found = std::find_if(clusters_.begin(), clusters_.end(),
                                    [&](const auto& each) { return each->name == name; });
    return found == clusters_.end() ? nullptr : found->get();
}

Status Service::check(const config::Settings& next) const {
    for (const auto& cluster : next.clusters) {
        const ClusterService* present = find(cluster.name);
        if (present == nullptr) continue;
        if (present->is_ending) {
            return Error{ErrorCode::refused,
                         "cluster." + cluster.name +
                             ": it was taken away and its last sessions are still ending; add it "
                             "again when they are gone, or under another name"};
        }
        if (present->settings->protocol != cluster.protocol) {
            return Error{ErrorCode::unsupported,
                         "cluster." + cluster.name +
                             ".protocol: a running cluster can't change it; give the new one another name"};
        }
    }
    return {};
}

Status Service::apply(const Candidate& candidate) {
    const config::Settings& next = *candidate.settings;
    if (auto good = check(next); !good) return good;
    std::vector<Gate> opened;
    if (auto done = open_new(candidate, opened); !done) return done;

    // From here on nothing can fail.
    settings_ = candidate.settings;
    if (candidate.rsa) rsa_ = candidate.rsa;
    engine_.set_settings(next.proxy);
    metrics_.set_client_limit(next.proxy.max_clients);
    for (const auto& present : clusters_) {
        const bool stays = std::any_of(next.clusters.begin(), next.clusters.end(),
                                       [&](const auto& each) { return each.name == present->name; });
        if (!stays && !present->is_ending) remove_cluster(*present);
    }
    for (const auto& wanted : next.clusters) {
        if (ClusterService* present = find(wanted.name)) {
            change_cluster(*present, wanted, next);
        } else {
            add_cluster(wanted, next);
        }
    }
    set_gates(candidate, std::move(opened));
    for (const auto& each : clusters_) {
        if (!each->is_ending) each->monitor->start();
    }
    return {};
}

/// Opens the endpoints that are not open yet. They let nobody in before set_gates().
Status Service::open_new(const Candidate& candidate, std::vector<Gate>& opened) const {
    for (const auto& cluster : candidate.settings->clusters) {
        for (const auto& listener : cluster.listeners) {
            for (const auto& endpoint : listener.listen) {
                const bool is_open = std::any_of(gates_.begin(), gates_.end(), [&](const Gate& gate) {
                    return gate.listener->endpoint() == endpoint;
                });
                if (is_open) continue;
                auto made = loop::Listener::open(
                    loop_, log_, endpoint, cluster.keepalive, nullptr,
                    [](std::unique_ptr<engine::Link>, const loop::PeerAddress&) { return nullptr; });
                if (!made) return made.error();
                log_.info("listening", {{"cluster", cluster.name}, {"address", loop::to_text(endpoint)}});
                opened.push_back({*std::move(made), cluster.name});
            }
        }
    }
    return {};
}

void Service::add_cluster(const config::Cluster& wanted, const config::Settings& settings) {
    ClusterService& added = *clusters_.emplace_back(std::make_unique<ClusterService>());
    added.name = wanted.name;
    added.settings = std::make_shared<const config::Cluster>(wanted);
    added.probed = with_probing_account(wanted, settings);
    if (!wanted.service && added.probed.service) {
        log_.warn("probing_without_service_account",
                  {{"cluster", wanted.name}, {"user", added.probed.service->user}});
    }
    added.monitor = std::make_unique<health::Monitor>(added.probed, loop_.events(),
                                                      health::make_prober(added.probed, loop_.events()), log_,
                                                      [&added](const health::View& view) {
                                                          if (added.cluster) added.cluster->on_view(view);
                                                      });
    admin::PrometheusClusterMetrics& counters = metrics_.cluster(*added.settings);
    added.monitor->on_probed(
        [&counters](const health::Observation& observation) { counters.probed(observation); });
    added.directory = std::make_unique<CatalogDirectory>(
        *added.settings, settings.users, loop_.events(), log_,
        [&added]() -> const health::View& { return added.monitor->view(); });
    engine::ClusterParts parts{
        added.settings,
        make_dialect(wanted, loop_, rsa_),
        *added.directory,
        counters,
        [&added](ServerId server, health::Hint what) { added.monitor->hint(server, what); },
        [this] { return Duration(engine_.settings().drain_timeout); }};
    added.cluster = &engine_.add_cluster(std::move(parts));
    tell_duties(added);
}

void Service::change_cluster(ClusterService& service, const config::Cluster& wanted,
                             const config::Settings& settings) {
    config::Cluster next = wanted;
    next.servers = config::keep_places(service.settings->servers, wanted.servers, [&](size_t place) {
        return !service.cluster->is_in_use(ServerId{place + 1});
    });
    config::Cluster probed = with_probing_account(next, settings);
    std::unique_ptr<health::Prober> prober;
    if (!is_probed_alike(service.probed, probed)) prober = health::make_prober(probed, loop_.events());
    service.settings = std::make_shared<const config::Cluster>(std::move(next));
    service.probed = std::move(probed);
    service.cluster->reconfigure(service.settings);
    service.directory->reconfigure(*service.settings, settings.users);
    service.monitor->reconfigure(service.probed, std::move(prober));
    tell_duties(service);
}

void Service::tell_duties(ClusterService& service) const {
    const auto& servers = service.settings->servers;
    for (size_t place = 0; place < servers.size(); ++place) {
        const Duties::Record* said = duties_.find(service.name, servers[place].name);
        service.monitor->set_duty(ServerId{place + 1}, said != nullptr ? said->duty : health::Duty::serves);
    }
}

void Service::tell_duties(const std::string& cluster) {
    if (ClusterService* service = find(cluster)) tell_duties(*service);
}

std::vector<Service::ClusterRef> Service::clusters() const {
    std::vector<ClusterRef> all;
    for (const auto& each : clusters_) {
        all.push_back({each->settings.get(), each->cluster, each->monitor->first_round_done()});
    }
    return all;
}

void Service::remove_cluster(ClusterService& service) {
    service.is_ending = true;
    log_.info("cluster_removed", {{"cluster", service.name}});
    engine_.remove_cluster(*service.cluster, [this, gone = &service] {
        metrics_.forget(gone->name);
        std::erase_if(clusters_, [&](const auto& each) { return each.get() == gone; });
    });
}

/// Gives every endpoint the certificate and the entrance of the configuration, and closes those that have
/// none.
void Service::set_gates(const Candidate& candidate, std::vector<Gate> opened) {
    std::vector<Gate> before = std::exchange(gates_, {});
    for (auto& gate : opened) before.push_back(std::move(gate));
    const auto& clusters = candidate.settings->clusters;
    std::vector<admin::CertificateEnd> certificates;
    for (size_t c = 0; c < clusters.size(); ++c) {
        const ClusterService& service = *find(clusters[c].name);
        for (size_t l = 0; l < clusters[c].listeners.size(); ++l) {
            const config::Listener& listener = clusters[c].listeners[l];
            const auto& tls = candidate.certificates[c][l];
            if (const auto end =
                    tls && !listener.listen.empty() ? loop::certificate_end(*tls) : std::nullopt) {
                certificates.push_back({clusters[c].name, loop::to_text(listener.listen.front()), *end});
            }
            const auto allowed = std::make_shared<const config::Networks>(listener.allow);
            const engine::EntranceRef entrance =
                std::make_shared<const engine::Entrance>(engine::Entrance{*service.cluster, listener});
            for (const auto& endpoint : listener.listen) {
                const auto at = std::find_if(before.begin(), before.end(), [&](const Gate& gate) {
                    return gate.listener && gate.listener->endpoint() == endpoint;
                });
                at->listener->serve(
                    clusters[c].keepalive, candidate.certificates[c][l], listener.proxy_protocol,
                    [this, entrance, allowed](std::unique_ptr<engine::Link> link,
                                              const loop::PeerAddress& peer) {
                        engine::Peer who;
                        who.text = peer.text;
                        who.is_local = peer.is_unix;
                        who.is_allowed = peer.is_unix || allowed->empty() || allowed->hold(peer.ip.ip());
                        who.address = to_text(peer.ip);
                        who.source = peer.ip;
                        who.destination = peer.local;
                        return engine_.accept(entrance, std::move(link), std::move(who));
                    });
                gates_.push_back({std::move(at->listener), clusters[c].name});
            }
        }
    }
    metrics_.show_certificates(certificates);
    for (const auto& gate : before) {
        if (!gate.listener) continue;
        log_.info("listening_no_more",
                  {{"cluster", gate.cluster}, {"address", loop::to_text(gate.listener->endpoint())}});
    }
}

bool Service::ready() const {
    if (engine_.shutting_down()) return false;
    // A cluster that is added later does not make a proxy that serves others unready.
    was_ready_ = was_ready_ || std::all_of(clusters_.begin(), clusters_.end(), [](const auto& cluster) {
                     return cluster->monitor->first_round_done();
                 });
    return was_ready_;
}

std::string Service::ready_detail() const {
    nlohmann::json detail;
    detail["ready"] = ready();
    detail["shutting_down"] = engine_.shutting_down();
    for (const auto& cluster : clusters_) {
        const health::View& view = cluster->monitor->view();
        auto& entry = detail["clusters"][cluster->name];
        entry["probed"] = cluster->monitor->first_round_done();
        entry["primary"] = view.primary ? nlohmann::json(view.find(*view.primary)->name) : nlohmann::json();
    }
    return detail.dump();
}

std::string Service::status_line() const {
    std::vector<ClusterNow> now;
    for (const auto& cluster : clusters_) {
        if (!cluster->is_ending) now.push_back({cluster->name, cluster->monitor->view()});
    }
    return app::status_line(now);
}

void Service::shut_down(std::function<void()> on_empty) {
    gates_.clear();
    engine_.shut_down(std::move(on_empty));
}

}  // namespace holdfast::app
