#pragma once

#include <memory>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/prober.h"

namespace holdfast::health {

/// The prober for a cluster's protocol. It must not outlive `loop`.
std::unique_ptr<Prober> make_prober(const config::Cluster& cluster, EventLoop& loop);

}  // namespace holdfast::health
