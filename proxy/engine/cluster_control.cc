// What operators ask of a cluster, and ask about it.
#include <algorithm>
#include <utility>

#include "proxy/engine/cluster.h"
#include "proxy/engine/session.h"
#include "proxy/engine/tcp_relay.h"

namespace holdfast::engine {

void Cluster::pause(Duration limit, std::function<void()> on_limit) {
    is_paused_ = true;
    pause_timer_.reset();
    if (limit > Duration::zero()) {
        pause_timer_ = world_.after(limit, [this, on_limit = std::move(on_limit)] {
            const auto tell = on_limit;  // resume() ends the timer that holds the original
            resume();
            tell();
        });
    }
    tell_relays([](TcpRelay& relay) { relay.on_news(); });
}

void Cluster::resume() {
    pause_timer_.reset();
    if (!std::exchange(is_paused_, false)) return;
    wake_waiting();
    tell_relays([](TcpRelay& relay) { relay.on_news(); });
}

void Cluster::begin_end() {
    is_ending_ = true;
    tell_relays([](TcpRelay& relay) { relay.dismiss(); });
}

void Cluster::enrol(TcpRelay& relay) {
    relays_.emplace(relay.id(), &relay);
}

void Cluster::strike(TcpRelay& relay) {
    relays_.erase(relay.id());
}

void Cluster::tell_relays(const std::function<void(TcpRelay&)>& tell) {
    std::vector<SessionId> ids;
    ids.reserve(relays_.size());
    for (const auto& [id, relay] : relays_) ids.push_back(id);
    for (const SessionId id : ids) {
        if (const auto found = relays_.find(id); found != relays_.end()) tell(*found->second);
    }
}

uint32_t Cluster::connections(ServerId server) const {
    uint32_t open = 0;
    for (const auto& [key, count] : open_) {
        if (key.first == server.value) open += count;
    }
    for (const auto& [id, relay] : relays_) {
        if (relay->server() == server) ++open;
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

void Cluster::for_each_relay(const std::function<void(const TcpRelay&)>& visit) const {
    for (const auto& [id, relay] : relays_) visit(*relay);
}

}  // namespace holdfast::engine
