// What operators ask of a cluster, and ask about it.
#include <algorithm>
#include <utility>

#include "proxy/engine/cluster.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

void Cluster::pause(Duration limit, std::function<void()> on_limit) {
    is_paused_ = true;
    pause_timer_.reset();
    if (limit <= Duration::zero()) return;
    pause_timer_ = world_.after(limit, [this, on_limit = std::move(on_limit)] {
        const auto tell = on_limit;  // resume() ends the timer that holds the original
        resume();
        tell();
    });
}

void Cluster::resume() {
    pause_timer_.reset();
    if (!std::exchange(is_paused_, false)) return;
    wake_waiting();
}

uint32_t Cluster::connections(ServerId server) const {
    uint32_t open = 0;
    for (const auto& [key, count] : open_) {
        if (key.first == server.value) open += count;
    }
    return open;
}

uint32_t Cluster::idle_connections(ServerId server) const {
    size_t idle = 0;
    for (const auto& [key, connections] : idle_) {
        if (key.first == server.value) idle += connections.size();
    }
    return static_cast<uint32_t>(idle);
}

void Cluster::for_each_session(const std::function<void(const Session&)>& visit) const {
    for (const auto& [id, session] : sessions_) visit(*session);
}

}  // namespace holdfast::engine
