#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "config/settings.h"
#include "protocol/base/clock.h"
#include "proxy/app/duties.h"
#include "proxy/engine/cluster.h"

/// What operators are shown, as JSON; described by openapi.json. Times are seconds: ages, not times of day,
/// unless the name says `unix`.
namespace holdfast::app {

/// A cluster with its servers, listeners and counts. `probed`: its first round of probes is over.
nlohmann::json describe(const engine::Cluster& cluster, const config::Cluster& settings, bool probed,
                        const Duties& duties, TimePoint now);

/// A listener's role, as the configuration says it.
std::string_view word(config::ListenerRole role);

}  // namespace holdfast::app
