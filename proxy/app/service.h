#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "health/monitor.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "proxy/admin/metrics.h"
#include "proxy/app/catalog_directory.h"
#include "proxy/engine/engine.h"
#include "proxy/loop/listener.h"
#include "proxy/loop/loop.h"

namespace holdfast::app {

/// Everything that serves clients, put together from the configuration: the engine, and for each cluster its
/// monitor, directory and listeners. Must not outlive the loop, the log and the metrics.
class Service {
public:
    Service(loop::Loop& loop, Log& log, admin::PrometheusMetrics& metrics, const config::Settings& settings);
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Opens all listeners, then begins to probe.
    /// errors  those of listeners and certificates, naming which
    Status start();
    /// Every cluster has had its first round of probes, and no shutdown has begun.
    bool ready() const;
    std::string ready_detail() const;
    /// Stops accepting, lets clients finish; `on_empty` when none is left.
    void shut_down(std::function<void()> on_empty);

private:
    struct ClusterService;
    Status open_listeners(ClusterService& cluster);

    loop::Loop& loop_;
    Log& log_;
    const config::Settings& settings_;
    std::vector<std::unique_ptr<ClusterService>> clusters_;
    engine::Engine engine_;
    std::vector<std::unique_ptr<loop::Listener>> listeners_;
};

}  // namespace holdfast::app
