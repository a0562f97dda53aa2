#include "proxy/app/descriptors.h"

#include <algorithm>
#include <limits>
#include <sys/resource.h>

namespace holdfast::app {

namespace {

constexpr uint64_t kept_for_the_process = 64;    // standard streams, loop, libraries, admin connections' base
constexpr uint64_t admin_connections_max = 128;  // both admin addresses full
constexpr uint64_t service_connections_per_server = 4;  // probe, catalog look-ups, cancel requests

}  // namespace

uint64_t descriptors_needed(const config::Settings& settings) {
    uint64_t listening = 0;
    uint64_t pooled = 0;
    uint64_t service = 0;
    for (const config::Cluster& cluster : settings.clusters) {
        for (const config::Listener& listener : cluster.listeners) listening += listener.listen.size();
        pooled += uint64_t{cluster.pool.max_connections} * cluster.servers.size();
        service += service_connections_per_server * cluster.servers.size();
    }
    const uint64_t clients = settings.proxy.max_clients;
    return clients + std::min(pooled, 2 * clients) + listening + service + admin_connections_max +
           kept_for_the_process;
}

std::optional<std::string> descriptor_advice(uint64_t limit, const config::Settings& settings) {
    const uint64_t needed = descriptors_needed(settings);
    if (limit >= needed) return std::nullopt;
    return "proxy.max_clients = " + std::to_string(settings.proxy.max_clients) +
           " and the pools need about " + std::to_string(needed) + " file descriptors, and the limit is " +
           std::to_string(limit) +
           ": raise LimitNOFILE= of the service (or ulimit -Hn), or lower proxy.max_clients";
}

int descriptor_ceiling(uint64_t limit) {
    // Of a small limit a part, so that clients are served at all.
    const uint64_t kept = std::min(kept_for_the_process + admin_connections_max, limit / 4);
    return static_cast<int>(std::min<uint64_t>(limit - kept, std::numeric_limits<int>::max()));
}

uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::numeric_limits<uint64_t>::max();
    if (limit.rlim_cur < limit.rlim_max) {
        rlimit raised = limit;
        raised.rlim_cur = raised.rlim_max;
        if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur;  // RLIM_INFINITY is the largest number
}

}  // namespace holdfast::app
