#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/ids.h"
#include "protocol/base/ip_address.h"
#include "proxy/engine/cluster.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

class Engine;
struct Peer;

/// A client of a listener with role "tcp": its bytes go to the primary and back, unread. Such a connection
/// can't outlive its server; it is closed when the server is lost or is not the primary any more.
/// Owned by the engine's table.
class TcpRelay final : public LinkOwner {
public:
    TcpRelay(Engine& engine, SessionId id, Cluster& cluster, Peer peer);
    ~TcpRelay() override;

    void adopt(std::unique_ptr<Link> link);
    const Cluster& cluster() const { return cluster_; }
    void close(CloseReason reason, std::string_view detail);

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
    void watch_primary();
    void count_bytes();

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
    std::unique_ptr<Timer> watch_;
    ServerId server_id_;
    TimePoint accepted_at_;
    uint64_t received_ = 0;
    uint64_t sent_ = 0;
    uint64_t counted_received_ = 0;  // in the metrics
    uint64_t counted_sent_ = 0;
    ClientState state_ = ClientState::held;
    bool closed_ = false;
};

}  // namespace holdfast::engine
