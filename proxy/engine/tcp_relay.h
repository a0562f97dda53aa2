#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/ids.h"
#include "protocol/base/ip_address.h"
#include "proxy/engine/cluster.h"
#include "proxy/engine/metrics.h"
#include "proxy/engine/session.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

class Engine;

/// A client of a listener with role "tcp": its bytes go to the primary and back, unread. It waits for a
/// primary as a statement would, and for the end of a pause; once it is connected it can't outlive its
/// server, and is closed when that is lost or is not the primary any more. Owned by the engine's table.
class TcpRelay final : public LinkOwner {
public:
    TcpRelay(Engine& engine, SessionId id, Cluster& cluster, Peer peer);
    ~TcpRelay() override;
    TcpRelay(const TcpRelay&) = delete;
    TcpRelay& operator=(const TcpRelay&) = delete;

    void adopt(std::unique_ptr<Link> link);
    SessionId id() const { return id_; }
    const Cluster& cluster() const { return cluster_; }
    /// What is known without reading: no user, no database, no statements.
    SessionInfo info() const;
    ClientState client_state() const { return state_; }
    /// The server that it is connected to, or being connected to.
    std::optional<ServerId> server() const { return server_id_; }
    void close(CloseReason reason, std::string_view detail);

    // From the cluster.
    /// Another view, or a pause began or ended.
    void on_news();
    /// The time that work on a server that is taken away had to end is over.
    void on_drain_over(ServerId server);
    /// Timeouts may be others now.
    void on_settings_changed();
    /// The proxy or the cluster ends: there is no server to wait for any more.
    void dismiss();

    size_t on_bytes(Bytes bytes) override;
    void on_writable() override;
    void on_secured() override {}
    void on_ended(LinkEnd end, std::string_view detail) override;

private:
    /// The side towards the server, which only passes on.
    class ServerSide final : public LinkOwner {
    public:
        explicit ServerSide(TcpRelay& relay) : relay_(relay) {}
        size_t on_bytes(Bytes bytes) override { return relay_.from_server(bytes); }
        void on_writable() override;
        void on_secured() override {}
        void on_ended(LinkEnd end, std::string_view detail) override;

    private:
        TcpRelay& relay_;
    };
    size_t from_server(Bytes bytes);
    void connect(ServerId server);
    void connected(Result<std::unique_ptr<Link>> link);
    void leave_server();
    void watch_quiet();
    void quiet_due();

    Engine& engine_;
    Cluster& cluster_;
    SessionId id_;
    std::string peer_;
    IpAddress source_;
    IpAddress destination_;
    ServerSide server_side_{*this};
    std::unique_ptr<Link> client_;
    std::unique_ptr<Link> server_;
    std::unique_ptr<Timer> attempt_;
    std::unique_ptr<Timer> retry_;     // the last attempt failed
    std::unique_ptr<Timer> patience_;  // until it has waited too long
    std::unique_ptr<Timer> quiet_timer_;
    std::optional<ServerId> server_id_;                                  // with attempt_ or server_
    ServerConnectionState counted_as_ = ServerConnectionState::opening;  // with server_id_
    TimePoint accepted_at_;
    TimePoint connecting_since_{};
    TimePoint quiet_since_{};  // no byte came from either side
    uint64_t received_ = 0;
    uint64_t sent_ = 0;
    ClientState state_ = ClientState::held;
    bool is_asking_ = false;  // the last bytes came from the client: it may wait for an answer
    bool closed_ = false;
};

}  // namespace holdfast::engine
