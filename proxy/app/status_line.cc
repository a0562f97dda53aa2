#include "proxy/app/status_line.h"

#include <algorithm>

namespace holdfast::app {

namespace {

/// A status is read at a glance, and a datagram's room is limited.
constexpr size_t clusters_shown_max = 8;

std::string describe(const ClusterNow& cluster) {
    const health::ServerView* primary =
        cluster.view.primary ? cluster.view.find(*cluster.view.primary) : nullptr;
    size_t up = 0;
    size_t all = 0;
    for (const health::ServerView& server : cluster.view.servers) {
        if (server.duty == health::Duty::removed) continue;
        ++all;
        if (server.state == health::ServerState::up) ++up;
    }
    return std::string(cluster.name) + ": " + (primary ? "primary " + primary->name : "no primary") + ", " +
           std::to_string(up) + " of " + std::to_string(all) + " servers up";
}

}  // namespace

std::string status_line(std::span<const ClusterNow> clusters) {
    std::string line;
    for (const ClusterNow& cluster : clusters.first(std::min(clusters.size(), clusters_shown_max))) {
        line += (line.empty() ? "" : "; ") + describe(cluster);
    }
    if (clusters.size() > clusters_shown_max) {
        line += "; and " + std::to_string(clusters.size() - clusters_shown_max) + " more clusters";
    }
    return line;
}

}  // namespace holdfast::app
