#include "proxy/engine/engine.h"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/base/limits.h"

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

void Engine::remove_cluster(Cluster& cluster, std::function<void()> on_gone) {
    cluster.begin_end();
    Removed removed{&cluster, std::move(on_gone), nullptr, false};
    removed.timer =
        world_.after(settings_.drain_timeout, [this, gone = &cluster] { end_sessions(*gone, false); });
    removed_.push_back(std::move(removed));
    end_sessions(cluster, true);
    world_.defer([this] { check_removed(); });
}

/// Ends the sessions of a cluster that is going: those that are idle, or all.
void Engine::end_sessions(const Cluster& cluster, bool only_idle) {
    std::vector<Session*> ending;
    for (const auto& [id, session] : sessions_) {
        if (&session->cluster() == &cluster && (!only_idle || session->is_idle()))
            ending.push_back(session.get());
    }
    for (Session* session : ending) session->dismiss();
    std::vector<TcpRelay*> relays;
    for (const auto& [id, relay] : relays_) {
        if (&relay->cluster() == &cluster && !only_idle) relays.push_back(relay.get());
    }
    for (TcpRelay* relay : relays) relay->close(CloseReason::shutdown, {});
}

/// Lets go of removed clusters whose last session has ended.
void Engine::check_removed() {
    for (Removed& removed : removed_) {
        const auto is_of_it = [&](const auto& each) { return &each.second->cluster() == removed.cluster; };
        if (removed.is_empty || std::any_of(sessions_.begin(), sessions_.end(), is_of_it) ||
            std::any_of(relays_.begin(), relays_.end(), is_of_it)) {
            continue;
        }
        removed.is_empty = true;
        removed.cluster->close_idle();
        // Cancel requests and deferred calls may still refer to it.
        removed.timer =
            world_.after(limits::removed_cluster_grace, [this, gone = removed.cluster] { destroy(*gone); });
    }
}

void Engine::destroy(const Cluster& cluster) {
    const auto removed = std::find_if(removed_.begin(), removed_.end(),
                                      [&](const Removed& each) { return each.cluster == &cluster; });
    const auto on_gone = std::move(removed->on_gone);
    const auto timer = std::move(removed->timer);  // its callback is on the stack
    removed_.erase(removed);
    std::erase_if(clusters_, [&](const auto& each) { return each.get() == &cluster; });
    on_gone();
}

SourceLimits& Engine::source_limits() {
    if (!source_limits_) {
        std::array<std::byte, 16> secret{};
        world_.random(secret.data(), secret.size());
        source_limits_ = std::make_unique<SourceLimits>(secret, limits::source_buckets);
    }
    return *source_limits_;
}

/// Ends a connection before anything is known of it but its address. That has to be cheap: it happens
/// thousands of times a second when somebody means harm.
LinkOwner* Engine::refuse(Cluster& cluster, Link& link, const Peer& peer, CloseReason reason,
                          std::string_view code, std::string_view message) {
    if (cluster.dialect().greets_first()) {
        out_.clear();
        cluster.dialect().append_fatal(code, message, out_);
        link.write(out_);
    }
    cluster.metrics().client_accepted();
    cluster.metrics().client_closed(reason);
    ++refused_unlogged_;
    const TimePoint now = world_.now();
    if (!refusal_logged_at_ || now - *refusal_logged_at_ >= limits::refusals_log_interval) {
        refusal_logged_at_ = now;
        log_.warn("connections_refused", {{"cluster", cluster.settings().name},
                                          {"client", peer.text},
                                          {"reason", to_string(reason)},
                                          {"since_last_line", std::exchange(refused_unlogged_, 0)}});
    }
    return nullptr;
}

LinkOwner* Engine::accept(const EntranceRef& entrance, std::unique_ptr<Link> link, Peer peer) {
    Cluster& cluster = entrance->cluster;
    const bool is_tcp = entrance->settings.role == config::ListenerRole::tcp;
    if (sessions() >= settings_.max_clients + (is_tcp ? 0 : limits::refused_clients_max)) {
        return refuse(cluster, *link, peer, CloseReason::too_many_clients, "53300",
                      "Too many connections (proxy.max_clients)");
    }
    const config::Limits& client_limits = cluster.settings().limits;
    if (client_limits.connect_rate > 0 &&
        !source_limits().may_connect(peer.source, client_limits, world_.now())) {
        return refuse(cluster, *link, peer, CloseReason::rate_limited, "53400",
                      "Too many new connections from this address (limits.connect_rate)");
    }
    // The process id that clients see is 31 bits of this: skip those in use after it has wrapped.
    do {
        ++next_id_;
    } while (process_id(SessionId{next_id_}) == 0 ||
             by_process_id_.contains(process_id(SessionId{next_id_})));
    const SessionId id{next_id_};
    if (is_tcp) {
        if (!peer.is_allowed || !cluster.access().judge_unread(peer.source.ip()).is_allowed) {
            return refuse(cluster, *link, peer, CloseReason::access_denied, "28000",
                          "No access from this address");
        }
        if (shutting_down_ || cluster.is_ending()) return nullptr;
        auto relay = std::make_unique<TcpRelay>(*this, id, cluster, std::move(peer));
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
        if (!removed_.empty()) check_removed();
    });
}

void Engine::bury(SessionId id) {
    by_process_id_.erase(process_id(id));
    // The session is on the stack: its owner lets go at the end of the turn.
    world_.defer([this, id] {
        sessions_.erase(id);
        check_empty();
        if (!removed_.empty()) check_removed();
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

bool Engine::end_session(SessionId id, std::string_view why) {
    if (const auto session = sessions_.find(id); session != sessions_.end()) {
        session->second->kill(why);
        return true;
    }
    const auto relay = relays_.find(id);
    if (relay == relays_.end()) return false;
    relay->second->close(CloseReason::killed, why);
    return true;
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
    for (Session* session : idle) session->dismiss();
    std::vector<TcpRelay*> relays;
    for (auto& [id, relay] : relays_) relays.push_back(relay.get());
    for (TcpRelay* relay : relays) relay->dismiss();
    world_.defer([this] { check_empty(); });
}

void Engine::close_all() {
    std::vector<Session*> all;
    for (auto& [id, session] : sessions_) all.push_back(session.get());
    for (Session* session : all) session->dismiss();
    std::vector<TcpRelay*> relays;
    for (auto& [id, relay] : relays_) relays.push_back(relay.get());
    for (TcpRelay* relay : relays) relay->close(CloseReason::shutdown, {});
}

}  // namespace holdfast::engine
