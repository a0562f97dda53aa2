#pragma once

#include <functional>

#include "config/settings.h"
#include "health/observation.h"
#include "health/view.h"

namespace holdfast::health {

/// Asks a server how it is. The monitor drives it: one probe of a server at a time, each either answered
/// or cancelled. postgres_prober.h is the real one.
class Prober {
public:
    virtual ~Prober() = default;

    /// Starts a probe. `done` is called once, never from inside this call, unless the probe is cancelled or
    /// the prober destroyed before. It keeps no time limit of its own: the monitor cancels.
    virtual void probe(const config::Server& server, ServerId id, std::function<void(Observation)> done) = 0;
    /// Gives up the probe under way. Returns what it was waiting for: conn_timeout, greeting_timeout or
    /// query_timeout.
    virtual Outcome cancel(ServerId id) = 0;
    /// `on_news` is called when something is noticed between probes, such as the end of an idle connection.
    /// A prober without such senses never calls it.
    virtual void notify(std::function<void(ServerId, Hint)> /*on_news*/) {}
};

}  // namespace holdfast::health
