#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/prober.h"
#include "health/topology.h"
#include "protocol/base/log.h"

namespace holdfast::health {

/// Watches the servers of one cluster: probes each of them all the time, feeds what they say to the
/// topology, and publishes what the topology makes of it. Owned by the cluster's part of the engine; must not
/// outlive the loop, the log or whoever `on_view` reaches. Destroying it ends its probes.
class Monitor {
public:
    /// `on_view` is called with each changed view (also when only positions changed), from the loop or from
    /// inside hint(). The view lives until it returns. It may call hint() and must not destroy the monitor.
    Monitor(const config::Cluster& cluster, EventLoop& loop, std::unique_ptr<Prober> prober, Log& log,
            std::function<void(const View&)> on_view);
    ~Monitor();
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    /// Begins to probe: all servers at once.
    void start();
    /// Goes on with a changed configuration, whose servers are in the places of those before
    /// (config/places.h). `prober` replaces the present one where its account or TLS have changed; null: they
    /// have not.
    void reconfigure(const config::Cluster& cluster, std::unique_ptr<Prober> prober);
    /// What an operator says of a server; unknown ids are ignored.
    void set_duty(ServerId server, Duty duty);
    /// Called with the result of every probe, before the topology makes anything of it.
    void on_probed(std::function<void(const Observation&)> told) { on_probed_ = std::move(told); }
    /// What the data path saw of a server. Probes all servers now; unknown ids are ignored.
    void hint(ServerId server, Hint what);

    const View& view() const { return topology_.view(); }
    /// Whether every server has answered, or failed to, at least once.
    bool first_round_done() const { return topology_.first_round_done(); }

private:
    struct Target {
        config::Server server;
        ServerId id;
        bool in_flight = false;
        bool again = false;  // a hint came while a probe was in flight
        TimePoint started_at{};
        std::unique_ptr<Watch> timeout;
        std::unique_ptr<Watch> late;  // until an answer of the primary is overdue
        std::unique_ptr<Watch> next;  // the timer for the next probe
    };

    void set_prober(std::unique_ptr<Prober> prober);
    void stop(Target& target);
    void probe(Target& target);
    void probe_soon(Target& target);
    void probe_all_soon();
    void give_up(Target& target);
    void on_primary_late(Target& primary);
    Duration lateness() const;
    bool is_primary_late() const;
    void finish(Target& target, const Observation& observation);
    void schedule(Target& target);
    Duration jittered(Duration interval);
    void publish(bool changed);
    void log_changes(const View& before, const View& after);

    std::string cluster_name_;
    config::Health settings_;
    EventLoop& loop_;
    Log& log_;
    std::function<void(const View&)> on_view_;
    std::function<void(const Observation&)> on_probed_;
    Topology topology_;
    View published_;
    std::optional<ServerId> last_primary_;  // for the log
    std::deque<Target> targets_;            // by ServerId; callbacks hold on to each
    uint64_t jitter_state_;
    bool is_started_ = false;
    std::unique_ptr<Prober> prober_;  // last: its callbacks reach into the rest
};

}  // namespace holdfast::health
