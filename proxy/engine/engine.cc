#include "proxy/engine/engine.h"

#include <utility>

namespace holdfast::engine {

Engine::Engine(World& world, Log& log, const config::Proxy& settings)
    : world_(world), log_(log), settings_(settings) {}

Engine::~Engine() {
    close_all();
    sessions_.clear();
    relays_.clear();
    for (auto& cluster : clusters_) cluster->close_idle();
}

Cluster& Engine::add_cluster(ClusterParts parts) {
    clusters_.push_back(std::make_unique<Cluster>(world_, log_, std::move(parts)));
    return *clusters_.back();
}

Entrance& Engine::add_entrance(Cluster& cluster, config::Listener settings) {
    entrances_.push_back(std::make_unique<Entrance>(Entrance{cluster, std::move(settings)}));
    return *entrances_.back();
}

LinkOwner* Engine::accept(Entrance& entrance, std::unique_ptr<Link> link, Peer peer) {
    // The process id that clients see is 31 bits of this: skip those in use after it has wrapped.
    do {
        ++next_id_;
    } while (process_id(SessionId{next_id_}) == 0 ||
             by_process_id_.contains(process_id(SessionId{next_id_})));
    const SessionId id{next_id_};
    if (entrance.settings.role == config::ListenerRole::tcp) {
        if (!peer.is_allowed || shutting_down_ || sessions() >= settings_.max_clients) return nullptr;
        auto relay = std::make_unique<TcpRelay>(*this, id, entrance.cluster, std::move(peer.text));
        TcpRelay& added = *relay;
        relays_.emplace(id, std::move(relay));
        added.adopt(std::move(link));
        return &added;
    }
    by_process_id_.emplace(process_id(id), id);
    auto session = std::make_unique<Session>(*this, id, entrance, std::move(peer));
    Session& added = *session;
    sessions_.emplace(id, std::move(session));
    added.adopt(std::move(link));
    return &added;
}

void Engine::check_empty() {
    if (shutting_down_ && sessions() == 0 && on_empty_) std::exchange(on_empty_, {})();
}

void Engine::bury_relay(SessionId id) {
    world_.defer([this, id] {
        relays_.erase(id);
        check_empty();
    });
}

void Engine::bury(SessionId id) {
    by_process_id_.erase(process_id(id));
    // The session is on the stack: its owner lets go at the end of the turn.
    world_.defer([this, id] {
        sessions_.erase(id);
        check_empty();
    });
}

void Engine::cancel(Cluster& cluster, Bytes key) {
    uint32_t process_id = 0;
    Bytes secret;
    bool found = false;
    if (cluster.dialect().parse_cancel_key(key, process_id, secret)) {
        if (const auto id = by_process_id_.find(process_id); id != by_process_id_.end()) {
            Session* session = cluster.find(id->second);
            found = session && session->owns_cancel_secret(secret);
            if (found) session->cancel();
        }
    }
    cluster.metrics().cancel_request(found);
}

dialect::KillOutcome Engine::kill(Cluster& cluster, const std::string& user,
                                  const dialect::KillRequest& request) {
    using dialect::KillOutcome;
    if (request.process_id > UINT32_MAX) return KillOutcome::no_such_session;
    const auto id = by_process_id_.find(static_cast<uint32_t>(request.process_id));
    Session* session = id == by_process_id_.end() ? nullptr : cluster.find(id->second);
    if (!session || session->user().empty()) return KillOutcome::no_such_session;
    if (session->user() != user) return KillOutcome::not_allowed;
    session->cancel();
    if (request.whole_session) {
        session->close(CloseReason::limit, "killed by its user");
    }
    return KillOutcome::done;
}

void Engine::shut_down(std::function<void()> on_empty) {
    shutting_down_ = true;
    on_empty_ = std::move(on_empty);
    std::vector<Session*> idle;
    for (auto& [id, session] : sessions_) {
        if (session->is_idle()) idle.push_back(session.get());
    }
    for (Session* session : idle) {
        session->close_with(CloseReason::shutdown, "57P01",
                            "terminating connection: the proxy is shutting down");
    }
    world_.defer([this] { check_empty(); });
}

void Engine::close_all() {
    std::vector<Session*> all;
    for (auto& [id, session] : sessions_) all.push_back(session.get());
    for (Session* session : all) {
        session->close_with(CloseReason::shutdown, "57P01",
                            "terminating connection: the proxy is shutting down");
    }
    std::vector<TcpRelay*> relays;
    for (auto& [id, relay] : relays_) relays.push_back(relay.get());
    for (TcpRelay* relay : relays) relay->close(CloseReason::shutdown, {});
}

}  // namespace holdfast::engine
