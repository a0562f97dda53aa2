#pragma once

#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "config/settings.h"
#include "proxy/engine/cluster.h"
#include "proxy/engine/session.h"
#include "proxy/engine/source_limits.h"
#include "proxy/engine/tcp_relay.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

/// All clusters and sessions of the process. Driven from outside: accepted links and views come in through
/// its methods, everything else through the World's callbacks. Outlived by the world and the log.
class Engine {
public:
    Engine(World& world, Log& log, const config::Proxy& settings);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Adds a cluster; it lives until remove_cluster(), or as long as the engine.
    Cluster& add_cluster(ClusterParts parts);
    /// The cluster is not configured any more. Its idle sessions are told and closed, others when they fall
    /// idle or after `proxy.drain_timeout`. Then `on_gone` is called and the cluster destroyed, at the end of
    /// a turn. Nobody may come in by its entrances meanwhile.
    void remove_cluster(Cluster& cluster, std::function<void()> on_gone);

    /// A client came in. Returns who hears from the link; nullptr: it was closed at once.
    LinkOwner* accept(const EntranceRef& entrance, std::unique_ptr<Link> link, Peer peer);
    /// For what happens from now on.
    void set_settings(const config::Proxy& settings) { settings_ = settings; }
    size_t sessions() const { return sessions_.size() + relays_.size(); }

    /// Begins an orderly end: idle sessions are told and closed, others when they fall idle. `on_empty` is
    /// called once when none is left.
    void shut_down(std::function<void()> on_empty);
    /// Closes every session that is left.
    void close_all();
    bool shutting_down() const { return shutting_down_; }

    // For sessions.
    World& world() { return world_; }
    Log& log() { return log_; }
    const config::Proxy& settings() const { return settings_; }
    /// Of all clusters together. Made at the first call.
    SourceLimits& source_limits();
    bool is_full() const { return sessions() > settings_.max_clients; }
    void bury(SessionId id);
    void bury_relay(SessionId id);
    /// A cancel request came in on `cluster`.
    void cancel(Cluster& cluster, Bytes key);
    /// A session of `cluster` asks to end what another one runs, or that one; only its own user's.
    dialect::KillOutcome kill(Cluster& cluster, const std::string& user, const dialect::KillRequest& request);
    /// An operator ends a session, whoever's it is. False: there is none of this id.
    bool end_session(SessionId id, std::string_view why);
    uint32_t process_id(SessionId id) const { return static_cast<uint32_t>(id.value & 0x7fffffff); }
    /// Two buffers for what is built and written within one call.
    ByteBuffer& out() { return out_; }
    ByteBuffer& prefix() { return prefix_; }

private:
    LinkOwner* refuse(Cluster& cluster, Link& link, const Peer& peer, CloseReason reason,
                      std::string_view code, std::string_view message);
    void check_empty();
    void check_removed();
    void destroy(const Cluster& cluster);
    void end_sessions(const Cluster& cluster, bool only_idle);
    /// A cluster that was removed, and lives until its last session has ended.
    struct Removed {
        Cluster* cluster;
        std::function<void()> on_gone;
        std::unique_ptr<Timer> timer;
        bool is_empty = false;
    };

    World& world_;
    Log& log_;
    config::Proxy settings_;
    std::unique_ptr<SourceLimits> source_limits_;  // outlives sessions, which wait in it
    std::vector<std::unique_ptr<Cluster>> clusters_;
    std::vector<Removed> removed_;
    std::unordered_map<SessionId, std::unique_ptr<Session>> sessions_;
    std::unordered_map<SessionId, std::unique_ptr<TcpRelay>> relays_;
    std::unordered_map<uint32_t, SessionId> by_process_id_;
    ByteBuffer out_;
    ByteBuffer prefix_;
    std::function<void()> on_empty_;
    uint64_t next_id_ = 0;
    uint64_t refused_unlogged_ = 0;
    std::optional<TimePoint> refusal_logged_at_;
    bool shutting_down_ = false;
};

}  // namespace holdfast::engine
