#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "protocol/mysql/auth.h"
#include "proxy/admin/metrics.h"
#include "proxy/app/duties.h"
#include "proxy/engine/engine.h"
#include "proxy/loop/listener.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// A configuration that can be applied without waiting: what takes files or much computing has been done.
struct Candidate {
    std::shared_ptr<const config::Settings> settings;
    /// The listeners' TLS contexts, by cluster and listener in the configuration's order; null: no TLS.
    std::vector<std::vector<std::shared_ptr<const engine::ServerTlsContext>>> certificates;
    std::shared_ptr<const mysql::RsaKey> rsa;  // for MySQL's clients without TLS; null: no such cluster
};

/// Reads certificates and makes keys. Blocks: for the start, or off the loop. `rsa` is the key in use, if
/// any. errors  those of certificates, naming the listener
Result<Candidate> prepare(config::Settings settings, std::shared_ptr<const mysql::RsaKey> rsa);

/// The cluster with the account that its probes use: a cluster without a service account is probed with the
/// first account of its own whose password is known, for any can tell a primary from a replica. Look-ups of
/// other roles stay impossible.
config::Cluster with_probing_account(const config::Cluster& cluster, const config::Settings& settings);

/// Everything that serves clients, put together from the configuration: the engine, and for each cluster its
/// monitor, directory and listeners. Must not outlive the loop, the log, the metrics and the duties.
class Service {
public:
    Service(loop::Loop& loop, Log& log, admin::PrometheusMetrics& metrics, const Duties& duties);
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Makes the configuration the present one, the first time or in place of another: all of it, or on an
    /// error nothing. New listeners are opened before anything else changes; established sessions live on.
    /// errors  those of listeners; what can't be changed while the process runs
    Status apply(const Candidate& candidate);
    /// Every cluster of the first configuration has had its first round of probes, and no shutdown has begun.
    bool ready() const;
    std::string ready_detail() const;
    /// For the service manager: who the primaries are, in one line.
    std::string status_line() const;
    /// A cluster as operators see it; the pointers live as long as it is configured.
    struct ClusterRef {
        const config::Cluster* settings;  // servers in their places
        engine::Cluster* cluster;
        bool is_probed;
    };
    std::vector<ClusterRef> clusters() const;
    engine::Engine& engine() { return engine_; }
    const engine::Engine& engine() const { return engine_; }
    /// Tells the cluster's monitor what the duties say of its servers now.
    void tell_duties(const std::string& cluster);
    /// Stops accepting, lets clients finish; `on_empty` when none is left.
    void shut_down(std::function<void()> on_empty);

private:
    struct ClusterService;
    struct Gate {
        std::unique_ptr<loop::Listener> listener;
        std::string cluster;
    };
    ClusterService* find(const std::string& name) const;
    Status check(const config::Settings& next) const;
    Status open_new(const Candidate& candidate, std::vector<Gate>& opened) const;
    void add_cluster(const config::Cluster& wanted, const config::Settings& settings);
    void change_cluster(ClusterService& service, const config::Cluster& wanted,
                        const config::Settings& settings);
    void remove_cluster(ClusterService& service);
    void tell_duties(ClusterService& service) const;
    void set_gates(const Candidate& candidate, std::vector<Gate> opened);

    loop::Loop& loop_;
    Log& log_;
    admin::PrometheusMetrics& metrics_;
    const Duties& duties_;
    std::shared_ptr<const config::Settings> settings_;
    std::shared_ptr<const mysql::RsaKey> rsa_;
    std::vector<std::unique_ptr<ClusterService>> clusters_;
    engine::Engine engine_;
    std::vector<Gate> gates_;
    mutable bool was_ready_ = false;
};

}  // namespace holdfast::app
