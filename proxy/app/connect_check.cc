#include "proxy/app/connect_check.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "config/address.h"
#include "config/units.h"
#include "health/make_prober.h"
#include "health/monitor.h"
#include "health/privileges.h"
#include "proxy/app/local_checks.h"
#include "proxy/app/service.h"
#include "proxy/loop/certificate_end.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

namespace {

using namespace std::chrono_literals;
using Severity = Finding::Severity;
using health::ServerRole;
using health::ServerState;

/// How often the watch over all servers looks whether each is known.
constexpr Duration look_interval = 20ms;
constexpr int oldest_postgres = 130'000;

std::string to_version(const health::ServerView& server) {
    if (!server.version_text.empty()) return server.version_text;
    if (server.server_version == 0) return "";
    return std::to_string(server.server_version / 10'000) + "." +
           std::to_string(server.server_version % 10'000);
}

/// One server: its certificate first, for a login that is broken off counts against us until one succeeds;
/// then the questions to the service account.
struct ServerCheck {
    const config::Server* server = nullptr;
    std::optional<Result<std::optional<int64_t>>> certificate_end;
    std::unique_ptr<health::AccountCheck> account;
    std::unique_ptr<health::Watch> timeout;
    health::AccountFacts facts;
    bool is_done = false;
};

/// One cluster, watched as the proxy would watch it.
class ClusterCheck {
public:
    ClusterCheck(const config::Cluster& cluster, const config::Settings& settings, loop::Loop& loop, Log& log)
        : cluster_(with_probing_account(cluster, settings)),
          has_own_account_(cluster.service.has_value()),
          loop_(loop),
          monitor_(cluster_, loop.events(), health::make_prober(cluster_, loop.events()), log,
                   [](const health::View&) {}) {
        for (const config::Server& server : cluster_.servers) {
            servers_.push_back(std::make_unique<ServerCheck>());
            servers_.back()->server = &server;
        }
    }

    void start() {
        monitor_.start();
        for (const auto& each : servers_) {
            ServerCheck& check = *each;
            if (cluster_.server_tls.mode == config::ServerTlsMode::disable) {
                ask_account(check);
                continue;
            }
            // The work may end after a check that was given up: it owns what it fills in.
            auto end = std::make_shared<std::optional<Result<std::optional<int64_t>>>>();
            loop_.offload(
                [end, address = check.server->address, protocol = cluster_.protocol,
                 tls = cluster_.server_tls, limit = cluster_.connect_timeout] {
                    *end = loop::certificate_end_of_server(address, protocol, tls, limit);
                },
                [this, end, &check] {
                    check.certificate_end = std::move(*end);
                    ask_account(check);
                });
        }
    }

    /// How long the slowest server may take: its certificate, then its login, or a frozen one's detection.
    Duration time_limit() const {
        return 2 * cluster_.connect_timeout + cluster_.health.timeout * cluster_.health.fall +
               cluster_.health.fast * cluster_.health.rise + 1s;
    }

    bool is_done() const {
        const bool has_asked =
            std::all_of(servers_.begin(), servers_.end(), [](const auto& each) { return each->is_done; });
        const auto& views = monitor_.view().servers;
        return has_asked && std::none_of(views.begin(), views.end(), [](const health::ServerView& view) {
                   // Lag is known from the second answer on.
                   return view.state == ServerState::starting || view.state == ServerState::suspect ||
                          (is_behind(view.state) && !view.lag);
               });
    }

    void report(ConnectReport& out, int64_t unix_seconds_now) const {
        ClusterFound found;
        found.name = cluster_.name;
        const health::View& view = monitor_.view();
        for (size_t i = 0; i < servers_.size(); ++i) {
            const ServerCheck& check = *servers_[i];
            const health::ServerView& seen = view.servers[i];
            ServerFound server;
            server.name = check.server->name;
            server.address = config::to_text(check.server->address);
            server.role = seen.role;
            server.state = seen.state;
            server.reason = seen.reason;
            server.version = to_version(seen);
            server.lag = seen.lag;
            if (check.certificate_end && *check.certificate_end) {
                server.certificate_end = **check.certificate_end;
            }
            report_server(out.findings, check, seen, unix_seconds_now);
            found.servers.push_back(std::move(server));
        }
        if (view.split_brain) {
            out.findings.push_back({Severity::error, "cluster." + cluster_.name,
                                    "two servers take writes; see their states", "", ""});
        }
        if (!view.primary) {
            out.findings.push_back({Severity::error, "cluster." + cluster_.name,
                                    "no server is known to be the primary: writes would wait, and fail after "
                                    "failover.wait",
                                    "", ""});
        }
        report_grants(out.findings);
        out.clusters.push_back(std::move(found));
    }

private:
    void ask_account(ServerCheck& check) {
        if (!has_own_account_) {
            check.is_done = true;
            return;
        }
        check.timeout = loop_.events().after(cluster_.connect_timeout, [&check, this] {
            check.account.reset();
            check.facts.failure =
                "no answer within connect_timeout (" + config::to_text(cluster_.connect_timeout) + ")";
            check.is_done = true;
        });
        check.account = health::check_account(cluster_, *check.server, loop_.events(),
                                              [&check](health::AccountFacts facts) {
                                                  check.timeout.reset();
                                                  check.facts = std::move(facts);
                                                  check.is_done = true;
                                                  check.account.reset();
                                              });
    }

    void report_server(std::vector<Finding>& out, const ServerCheck& check, const health::ServerView& seen,
                       int64_t unix_seconds_now) const {
        const std::string where = "cluster." + cluster_.name + ".servers[" + check.server->name + "]";
        const auto add = [&](Severity severity, std::string message) {
            out.push_back({severity, where, std::move(message), "", ""});
        };
        if (seen.state != ServerState::up) {
            const std::string word{to_string(seen.state)};
            const bool is_better_soon = seen.state == ServerState::catching_up;
            add(is_better_soon ? Severity::warning : Severity::error,
                "is " + word + (seen.reason.empty() ? "" : ": " + seen.reason));
        }
        if (!check.facts.failure.empty() && seen.state != ServerState::down) {
            add(Severity::error, "the service account can't ask it: " + check.facts.failure);
        }
        if (check.certificate_end) {
            if (!*check.certificate_end) {
                if (seen.state != ServerState::down) {
                    add(Severity::note,
                        "its certificate can't be looked at: " + check.certificate_end->error().message);
                }
            } else if (**check.certificate_end) {
                add_certificate_finding(out, where, "its certificate", ***check.certificate_end,
                                        unix_seconds_now);
            }
        }
        if (cluster_.protocol == config::Protocol::postgres && seen.server_version != 0 &&
            seen.server_version < oldest_postgres) {
            add(Severity::warning,
                "PostgreSQL " + to_version(seen) + " is older than 13, the oldest supported");
        }
        if (check.facts.connections_max > 0 && cluster_.pool.max_connections > check.facts.connections_max) {
            add(Severity::note, "it takes " + std::to_string(check.facts.connections_max) +
                                    " connections (max_connections), and "
                                    "cluster." +
                                    cluster_.name +
                                    ".pool.max_connections lets each user and database have " +
                                    std::to_string(cluster_.pool.max_connections));
        }
    }

    /// What is lacking is lacking on all servers alike: replication carries grants. Each is said once, with
    /// the servers that lack it.
    void report_grants(std::vector<Finding>& out) const {
        std::vector<Finding> grants;
        std::vector<std::string> lacking;
        for (const auto& each : servers_) {
            for (const health::MissingPrivilege& missing : each->facts.missing) {
                const auto at = std::find_if(grants.begin(), grants.end(), [&](const Finding& finding) {
                    return finding.grant == missing.grant;
                });
                if (at != grants.end()) {
                    lacking[static_cast<size_t>(at - grants.begin())] += ", " + each->server->name;
                    continue;
                }
                const bool is_needed = missing.weight == health::MissingPrivilege::Weight::needed;
                grants.push_back({is_needed ? Severity::error : Severity::warning,
                                  "cluster." + cluster_.name + ".service", missing.purpose, missing.grant,
                                  missing.database});
                lacking.push_back(each->server->name);
            }
        }
        for (size_t i = 0; i < grants.size(); ++i) {
            grants[i].message += " (on " + lacking[i] + ")";
            out.push_back(std::move(grants[i]));
        }
    }

    config::Cluster cluster_;
    bool has_own_account_;
    loop::Loop& loop_;
    std::vector<std::unique_ptr<ServerCheck>> servers_;
    health::Monitor monitor_;
};

/// Turns the loop until every cluster is known, or its time is over.
void watch(loop::Loop& loop, const std::vector<std::unique_ptr<ClusterCheck>>& clusters) {
    Duration limit{0};
    for (const auto& cluster : clusters) limit = std::max(limit, cluster->time_limit());
    bool is_late = false;
    const auto late = loop.after(limit, [&] { is_late = true; });
    std::unique_ptr<engine::Timer> look;
    const std::function<void()> wake = [&] { look = loop.after(look_interval, wake); };
    wake();
    const auto are_done = [&] {
        return std::all_of(clusters.begin(), clusters.end(),
                           [](const auto& each) { return each->is_done(); });
    };
    while (!is_late && !are_done()) loop.turn();
}

}  // namespace

ConnectReport check_connections(const config::Settings& settings) {
    ConnectReport report;
    NullLog log;
    auto loop = loop::Loop::create();
    if (!loop) {
        report.findings.push_back({Severity::error, "proxy", loop.error().message, "", ""});
        return report;
    }
    {
        std::vector<std::unique_ptr<ClusterCheck>> clusters;
        for (const config::Cluster& cluster : settings.clusters) {
            clusters.push_back(std::make_unique<ClusterCheck>(cluster, settings, **loop, log));
        }
        for (const auto& cluster : clusters) cluster->start();
        watch(**loop, clusters);
        for (const auto& cluster : clusters) cluster->report(report, (*loop)->unix_seconds());
    }
    check_certificates(settings, (*loop)->unix_seconds(), report.findings);
    check_addresses(settings, **loop, report.findings);
    check_descriptors(settings, report.findings);
    return report;
}

}  // namespace holdfast::app
