#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/ids.h"
#include "protocol/base/ref.h"
#include "protocol/dialect/dialect.h"
#include "proxy/engine/metrics.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

class Cluster;

/// An identity that many sessions and server connections share.
struct SharedIdentity : Counted {
    dialect::Identity identity;
    const dialect::ClassifierSources* sources = nullptr;
    uint32_t number = 0;  // unique in the cluster; with the server it names a pool
};
using IdentityRef = Ref<SharedIdentity>;

/// Why a server connection could not be made.
struct ConnectFailure {
    ServerConnectResult result = ServerConnectResult::unreachable;
    dialect::ServerRefusal refusal;
};

class ServerConnection;

/// Who uses a server connection. Any of these may be answered by destroying it.
class ServerConnectionUser {
public:
    virtual ~ServerConnectionUser() = default;
    virtual void on_server_ready(ServerConnection& connection) = 0;
    virtual void on_server_failed(ServerConnection& connection, const ConnectFailure& failure) = 0;
    virtual size_t on_server_bytes(ServerConnection& connection, Bytes bytes) = 0;
    virtual void on_server_writable(ServerConnection& connection) = 0;
    virtual void on_server_ended(ServerConnection& connection, std::string_view why) = 0;
};

/// One connection to a server, logged in as one identity. Owned by its user, or by the pool while it is idle.
/// Made by start(); the user then hears either on_server_ready or on_server_failed, later.
class ServerConnection final : public LinkOwner {
public:
    /// header  what the server is sent before anything else (PROXY protocol); may be empty
    ServerConnection(Cluster& cluster, ServerId server, IdentityRef identity,
                     std::shared_ptr<const dialect::Credential> credential, ByteBuffer header = {});
    ~ServerConnection() override;
    ServerConnection(const ServerConnection&) = delete;
    ServerConnection& operator=(const ServerConnection&) = delete;

    /// Whether a login waits for its turn (LoginQueue): what is urgent does not.
    enum class Turn : uint8_t { its_own, at_once };
    void start(ServerConnectionUser& user, Turn turn = Turn::its_own);
    /// Its turn has come: called by the queue.
    void begin();
    void set_user(ServerConnectionUser* user) { user_ = user; }
    bool ready() const { return state_ == State::ready; }
    ServerId server() const { return server_; }
    const IdentityRef& identity() const { return identity_; }
    Link* link() { return link_.get(); }
    const dialect::Parameters& parameters() const { return *parameters_; }
    std::optional<bool> says_replica() const { return says_replica_; }
    Bytes cancel_key() const { return as_bytes(cancel_key_); }
    /// For whom it was opened, as its server was told: whoever cancels on its behalf must say the same.
    const ByteBuffer& header() const { return header_; }
    /// A cancel request for it is on its way: it must not be given to another session.
    void cancel_sent() { was_cancelled_ = true; }
    bool was_cancelled() const { return was_cancelled_; }

    /// Sends what makes it fit for another session (`request`), and tells the pool when it is (or isn't).
    void reset(std::unique_ptr<dialect::ResetTracker> tracker, Bytes request);
    /// Out of the pool, in use by a session again.
    void use_again();
    /// Leaves the server in the protocol's own way. Only when nothing is in flight: behind half a request
    /// these bytes would be part of it.
    void say_goodbye();
    /// Its owner has no use for it any more, and it dies at the end of the turn: it calls nobody.
    void retire() {
        user_ = nullptr;
        state_ = State::ended;
        attempt_.reset();  // it may be due in this very turn
        login_over();
    }
    TimePoint idle_since() const { return since_; }

    size_t on_bytes(Bytes bytes) override;
    void on_writable() override;
    void on_secured() override;
    void on_ended(LinkEnd end, std::string_view detail) override;

private:
    enum class State : uint8_t { connecting, logging_in, ready, resetting, idle, ended };
    void connected(Result<std::unique_ptr<Link>> link);
    void step(dialect::Step step);
    void derive_keys();
    void fail(ConnectFailure failure);
    void finish_login();
    void login_over();
    void count_as(ServerConnectionState state);

    Cluster& cluster_;
    ServerConnectionUser* user_ = nullptr;
    std::unique_ptr<Link> link_;
    std::unique_ptr<Timer> attempt_;  // the connection attempt, then a time limit: the login's, the reset's
    std::shared_ptr<dialect::ServerHandshake> handshake_;  // shared with the thread that derives keys
    std::unique_ptr<dialect::ResetTracker> reset_;
    std::shared_ptr<const dialect::Credential> credential_;
    std::shared_ptr<const dialect::Parameters> parameters_;
    IdentityRef identity_;
    std::string cancel_key_;
    ByteBuffer header_;
    TimePoint since_;
    uint64_t login_turn_ = 0;  // in the queue; 0: not in it, or not any more
    ServerId server_;
    State state_ = State::connecting;
    bool was_cancelled_ = false;
    bool begun_ = false;  // counts towards its pool's limit, and in the metrics …
    ServerConnectionState counted_as_ = ServerConnectionState::opening;  // … as this
    std::optional<bool> says_replica_;
};

}  // namespace holdfast::engine
