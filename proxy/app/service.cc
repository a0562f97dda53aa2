#include "proxy/app/service.h"

#include <cstdlib>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/address.h"
#include "health/make_prober.h"
#include "protocol/mysql/dialect.h"
#include "protocol/postgres/dialect.h"
#include "proxy/app/access.h"
#include "proxy/loop/tls_context.h"

namespace holdfast::app {

struct Service::ClusterService {
    std::shared_ptr<const config::Cluster> settings;
    engine::Cluster* cluster = nullptr;
    std::unique_ptr<health::Monitor> monitor;
    std::unique_ptr<CatalogDirectory> directory;
};

namespace {

/// A cluster without a service account is probed with the first account of its own whose password is known:
/// any account can tell a primary from a replica. Look-ups of other roles stay impossible.
config::Cluster with_probing_account(const config::Cluster& cluster, const config::Settings& settings,
                                     Log& log) {
    config::Cluster probed = cluster;
    if (probed.service) return probed;
    for (const auto& user : settings.users) {
        if ((!user.cluster.empty() && user.cluster != cluster.name) || user.password.empty()) continue;
        probed.service = config::Service{user.name, user.password, "postgres"};
        log.warn("probing_without_service_account", {{"cluster", cluster.name}, {"user", user.name}});
        break;
    }
    return probed;
}

/// What speaks a cluster's protocol; nullptr where there is none yet, which start() then refuses.
std::unique_ptr<dialect::Dialect> make_dialect(const config::Cluster& cluster, loop::Loop& loop) {
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
            options.rsa = mysql::RsaKey::make();
            return std::make_unique<mysql::MysqlDialect>(std::move(options));
        }
    }
    std::abort();
}

}  // namespace

Service::Service(loop::Loop& loop, Log& log, admin::PrometheusMetrics& metrics,
                 const config::Settings& settings)
    : loop_(loop), log_(log), settings_(settings), engine_(loop, log, settings.proxy) {
    metrics.set_client_limit(settings.proxy.max_clients);
    for (const auto& each : settings.clusters) {
        auto service = std::make_unique<ClusterService>();
        ClusterService& added = *service;
        added.settings = std::make_shared<const config::Cluster>(each);
        const config::Cluster probed = with_probing_account(each, settings, log);
        added.monitor = std::make_unique<health::Monitor>(probed, loop.events(),
                                                          health::make_prober(probed, loop.events()), log,
                                                          [&added](const health::View& view) {
                                                              if (added.cluster) added.cluster->on_view(view);
                                                          });
        added.directory = std::make_unique<CatalogDirectory>(
            *added.settings, settings.users, loop.events(), log,
            [&added]() -> const health::View& { return added.monitor->view(); });
        // Without a dialect open_listeners() says so.
        if (auto dialect = make_dialect(each, loop)) {
            added.cluster = &engine_.add_cluster(
                {added.settings, std::move(dialect), *added.directory, metrics.cluster(*added.settings),
                 [&added](ServerId server, health::Hint what) { added.monitor->hint(server, what); }});
        }
        clusters_.push_back(std::move(service));
    }
}

Service::~Service() {
    listeners_.clear();
    engine_.close_all();
}

Status Service::start() {
    for (auto& cluster : clusters_) {
        if (auto opened = open_listeners(*cluster); !opened) return opened;
    }
    for (auto& cluster : clusters_) cluster->monitor->start();
    return {};
}

Status Service::open_listeners(ClusterService& service) {
    if (service.cluster == nullptr) {
        return Error{ErrorCode::unsupported, "cluster." + service.settings->name +
                                                 ": this build can't serve clients of its protocol"};
    }
    for (const auto& listener : service.settings->listeners) {
        auto tls = loop::make_server_tls(listener.tls);
        if (!tls) {
            return Error{tls.error().code,
                         "cluster." + service.settings->name + ".listener: " + tls.error().message};
        }
        auto access = std::make_shared<AccessList>(listener.allow);
        engine::Entrance& entrance = engine_.add_entrance(*service.cluster, listener);
        for (const auto& endpoint : listener.listen) {
            auto opened = loop::Listener::open(
                loop_, log_, endpoint, service.settings->keepalive, *tls,
                [this, &entrance, access](std::unique_ptr<engine::Link> link, const loop::PeerAddress& peer) {
                    engine::Peer who;
                    who.text = peer.text;
                    who.is_local = peer.is_unix;
                    who.address = loop::ip_text(peer);
                    who.is_allowed = peer.is_unix || access->allows(Bytes(peer.ip.data(), peer.ip_size));
                    return engine_.accept(entrance, std::move(link), std::move(who));
                });
            if (!opened) return opened.error();
            log_.info("listening",
                      {{"cluster", service.settings->name}, {"address", loop::to_text(endpoint)}});
            listeners_.push_back(*std::move(opened));
        }
    }
    return {};
}

bool Service::ready() const {
    if (engine_.shutting_down()) return false;
    for (const auto& cluster : clusters_) {
        if (!cluster->monitor->first_round_done()) return false;
    }
    return true;
}

std::string Service::ready_detail() const {
    nlohmann::json detail;
    detail["ready"] = ready();
    detail["shutting_down"] = engine_.shutting_down();
    for (const auto& cluster : clusters_) {
        const health::View& view = cluster->monitor->view();
        auto& entry = detail["clusters"][cluster->settings->name];
        entry["probed"] = cluster->monitor->first_round_done();
        entry["primary"] = view.primary ? nlohmann::json(view.find(*view.primary)->name) : nlohmann::json();
    }
    return detail.dump();
}

void Service::shut_down(std::function<void()> on_empty) {
    listeners_.clear();
    engine_.shut_down(std::move(on_empty));
}

}  // namespace holdfast::app
