#pragma once

#include <functional>
#include <memory>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "proxy/engine/server_connection.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

class Cluster;

/// Carries one cancel request to a server on a connection of its own. Lives by itself until the server has
/// closed that connection (then the request has been dealt with) or a few seconds have passed.
class CancelSender final : public LinkOwner {
public:
    /// on_done  called once, when the request has been dealt with, or could not be
    static void send(Cluster& cluster, ServerId server, ByteBuffer request, std::function<void()> on_done);

    size_t on_bytes(Bytes bytes) override { return bytes.size(); }
    void on_writable() override {}
    void on_secured() override {}
    void on_ended(LinkEnd end, std::string_view detail) override;

private:
    CancelSender(Cluster& cluster, ByteBuffer request, std::function<void()> on_done);
    void finish();

    Cluster& cluster_;
    ByteBuffer request_;
    std::function<void()> on_done_;
    std::unique_ptr<Link> link_;
    std::unique_ptr<Timer> attempt_;
    std::unique_ptr<Timer> limit_;
    std::shared_ptr<CancelSender> self_;
};

/// Carries a cancel command to a server that takes none without a login: logs in as the session's user, sends
/// it, and leaves. Lives by itself, like CancelSender.
class CancelCommand final : public ServerConnectionUser {
public:
    static void send(Cluster& cluster, ServerId server, IdentityRef identity,
                     std::shared_ptr<const dialect::Credential> credential, ByteBuffer header,
                     ByteBuffer command, std::function<void()> on_done);

    void on_server_ready(ServerConnection& connection) override;
    void on_server_failed(ServerConnection&, const ConnectFailure&) override { finish(); }
    size_t on_server_bytes(ServerConnection&, Bytes bytes) override;
    void on_server_writable(ServerConnection&) override {}
    void on_server_ended(ServerConnection&, std::string_view) override { finish(); }

private:
    CancelCommand(Cluster& cluster, ByteBuffer command, std::function<void()> on_done);
    void finish();

    Cluster& cluster_;
    ByteBuffer command_;
    std::function<void()> on_done_;
    std::unique_ptr<ServerConnection> connection_;
    std::unique_ptr<Timer> limit_;
    std::shared_ptr<CancelCommand> self_;
};

}  // namespace holdfast::engine
