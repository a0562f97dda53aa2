#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "health/view.h"
#include "protocol/base/ip_address.h"
#include "protocol/dialect/dialect.h"
#include "proxy/engine/access_rules.h"
#include "proxy/engine/client_counts.h"
#include "proxy/engine/directory.h"
#include "proxy/engine/login_queue.h"
#include "proxy/engine/metrics.h"
#include "proxy/engine/router.h"
#include "proxy/engine/server_connection.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

class Session;
class TcpRelay;

/// What a cluster is made of; the application (or the simulation) brings the parts.
struct ClusterParts {
    std::shared_ptr<const config::Cluster> settings;
    std::unique_ptr<dialect::Dialect> dialect;
    Directory& directory;
    ClusterMetrics& metrics;
    std::function<void(ServerId, health::Hint)> hint;
    /// How long work goes on where it may not begin: proxy.drain_timeout.
    std::function<Duration()> drain_timeout = [] { return std::chrono::seconds(60); };
};

/// One cluster at run time: what its sessions share. Owned by the engine, outlives its sessions.
class Cluster {
public:
    Cluster(World& world, Log& log, ClusterParts parts);
    ~Cluster();
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    World& world() { return world_; }
    Log& log() { return log_; }
    ClusterMetrics& metrics() { return parts_.metrics; }
    dialect::Dialect& dialect() { return *parts_.dialect; }
    Directory& directory() { return parts_.directory; }
    const config::Cluster& settings() const { return *parts_.settings; }
    const config::Server& server(ServerId id) const { return settings().servers[id.value - 1]; }
    const health::View& view() const { return view_; }
    /// What the servers call themselves (the primary, or whichever was last seen); empty: none was seen yet.
    const std::string& version_text() const { return version_text_; }
    const RuleSet& rules() const { return rules_; }
    const AccessRules& access() const { return access_; }
    ClientCounts& client_counts() { return client_counts_; }
    /// What a server is told of whom a connection is opened for; empty: nothing.
    ByteBuffer header_for(const IpAddress& source, const IpAddress& destination) const;
    /// Passed on at the end of the turn: the answer can be a new view at once, and sessions are in the middle
    /// of things when they give hints.
    void hint(ServerId server, health::Hint what) {
        world_.defer([this, server, what] { parts_.hint(server, what); });
    }
    /// For bytes that are built and written within one call.
    ByteBuffer& scratch() { return scratch_; }

    /// A new view: moves the sessions that it concerns, wakes those that wait.
    void on_view(const health::View& view);
    /// A changed configuration, whose servers are in the places of those before (config/places.h). A view
    /// that has them follows.
    void reconfigure(std::shared_ptr<const config::Cluster> settings);
    /// Whether connections to the server in this place are still open.
    bool is_in_use(ServerId server) const;
    /// From now on new units outside transactions wait, and relays that have no server yet, until resume() or
    /// for `limit` (zero: no limit).
    void pause(Duration limit, std::function<void()> on_limit);
    void resume();
    bool is_paused() const { return is_paused_; }
    /// Connections to the server, idle ones of the pool and relays' included, that are open or being opened.
    uint32_t connections(ServerId server) const;
    uint32_t idle_connections(ServerId server) const;
    /// Calls `visit` with each session; it must not end any.
    void for_each_session(const std::function<void(const Session&)>& visit) const;
    /// The same for the clients whose bytes are passed on unread.
    void for_each_relay(const std::function<void(const TcpRelay&)>& visit) const;
    /// No session begins any more, and those that fall idle end.
    void begin_end();
    bool is_ending() const { return is_ending_; }

    // Sessions and relays: they enrol themselves.
    void enrol(Session& session);
    void strike(Session& session);
    void enrol(TcpRelay& relay);
    void strike(TcpRelay& relay);
    void wait_for_news(Session& session);  // called by held sessions; woken once
    void stop_waiting(Session& session);
    void wake_waiting();
    size_t sessions() const { return sessions_.size() + relays_.size(); }
    Session* find(SessionId id) const;

    IdentityRef intern_identity(dialect::Identity identity);
    std::shared_ptr<const dialect::Parameters> intern_parameters(const dialect::Parameters& parameters);
    /// What clients are told at login while no server can be asked: what they were told before, or a guess by
    /// what others were told; nullptr: no server has been seen.
    std::shared_ptr<const dialect::Parameters> remembered_parameters(const SharedIdentity& identity);
    void remember_parameters(const IdentityRef& identity,
                             std::shared_ptr<const dialect::Parameters> parameters);

    // Server connections and their pool.
    /// An idle connection of this identity, ready for use; nullptr: none.
    std::unique_ptr<ServerConnection> take_idle(ServerId server, const SharedIdentity& identity);
    /// By whose turns logins at a server begin.
    LoginQueue& login_queue(ServerId server) {
        return login_queues_.try_emplace(server.value, world_).first->second;
    }
    /// Whether pool.max_connections allows one more.
    bool may_open(ServerId server, const SharedIdentity& identity) const;
    /// Takes a connection back: cleans and keeps it when `reset` is what cleans it, else closes it.
    void give_back(std::unique_ptr<ServerConnection> connection, Bytes reset);
    void connection_begun(const ServerConnection& connection);
    void connection_gone(const ServerConnection& connection);
    void connection_clean(ServerConnection& connection);
    void discard(ServerConnection& connection);
    /// Takes a connection that may be in the middle of a callback: it dies at the end of the turn, or with
    /// this cluster.
    void bury(std::unique_ptr<ServerConnection> connection);
    void close_idle();

    /// Sends a cancel request to the server that `connection` is to; `credential` is its session's.
    /// on_done  called once, later: the server has dealt with the request, or can't be reached
    void send_cancel(ServerConnection& connection, std::shared_ptr<const dialect::Credential> credential,
                     std::function<void()> on_done = {});

    /// How many sessions read from each server, as the view orders them.
    std::vector<uint32_t>& loads() { return loads_; }
    const std::vector<uint32_t>& loads() const { return loads_; }
    /// The share of the reads that each is to get, in the same order.
    std::vector<uint32_t> weights() const;
    uint64_t next_turn() { return ++turn_; }

    bool has_learned() const { return !learned_.empty(); }
    bool has_learned(uint64_t fingerprint) const { return learned_.contains(fingerprint); }
    void learn(uint64_t fingerprint);
    /// A session's write was answered by the primary: ends the outage, if there was one.
    void write_succeeded();

private:
    using PoolKey = std::pair<uint64_t, uint32_t>;  // server, identity number
    static PoolKey key_of(const ServerConnection& connection);
    void sweep_idle();
    bool is_wanted(ServerId server) const;
    void drain(const health::View& before);
    void drain_over(ServerId server);
    /// One may end while it is told.
    void tell_relays(const std::function<void(TcpRelay&)>& tell);

    World& world_;
    Log& log_;
    ClusterParts parts_;
    health::View view_;
    std::string version_text_;
    RuleSet rules_;
    AccessRules access_;
    ClientCounts client_counts_;
    ByteBuffer scratch_;
    std::unordered_map<SessionId, Session*> sessions_;
    std::unordered_map<SessionId, TcpRelay*> relays_;
    std::vector<SessionId> waiting_;
    std::unordered_map<std::string, IdentityRef> identities_;
    std::unordered_map<std::string, std::weak_ptr<const dialect::Parameters>> parameters_;
    std::unordered_map<uint32_t, std::shared_ptr<const dialect::Parameters>> remembered_;
    std::shared_ptr<const dialect::Parameters> remembered_any_;  // those of …
    IdentityRef remembered_of_;                                  // … this one
    std::map<uint64_t, LoginQueue> login_queues_;                // by server
    std::map<PoolKey, std::vector<std::unique_ptr<ServerConnection>>> idle_;
    std::unordered_map<ServerConnection*, std::unique_ptr<ServerConnection>> resetting_;
    std::vector<std::unique_ptr<ServerConnection>> dying_;
    std::map<PoolKey, uint32_t> open_;
    std::vector<uint32_t> loads_;
    std::unordered_set<uint64_t> learned_;
    std::unique_ptr<Timer> sweep_timer_;
    std::optional<TimePoint> outage_began_;
    uint64_t turn_ = 0;
    uint32_t identities_made_ = 0;
    std::map<uint64_t, std::unique_ptr<Timer>> drain_timers_;  // by server
    std::unique_ptr<Timer> pause_timer_;
    bool is_paused_ = false;
    bool is_ending_ = false;
};

}  // namespace holdfast::engine
