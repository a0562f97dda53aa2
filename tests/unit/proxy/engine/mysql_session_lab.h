#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/mysql/client_login.h"
#include "protocol/mysql/dialect.h"
#include "protocol/mysql/packets.h"
#include "protocol/mysql/server_login.h"
#include "proxy/engine/cluster.h"
#include "proxy/engine/engine.h"

/// A MySQL session of the engine, with its client and its servers played by hand.
namespace holdfast::engine::test {

/// The test's end of a connection.
struct Wire {
    LinkOwner* owner = nullptr;
    bool is_open = true;
    uint8_t pauses = 0;
    ByteBuffer kept;      // given to the engine, and not consumed
    bool is_due = false;  // `kept` is to be given (again)
    std::string sent;     // by the engine
    int writes = 0;       // in so many pieces, ever
    /// What was sent since the last call.
    std::string take() { return std::exchange(sent, {}); }
};

class WireLink final : public Link {
public:
    explicit WireLink(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
    ~WireLink() override {
        wire_->is_open = false;
        wire_->owner = nullptr;
    }
    void write(Bytes bytes) override { write(bytes, {}); }
    void write(Bytes first, Bytes second) override {
        ++wire_->writes;
        wire_->sent += as_text(first);
        wire_->sent += as_text(second);
    }
    size_t queued() const override { return 0; }
    void pause(Pause reason) override {
        wire_->pauses = static_cast<uint8_t>(wire_->pauses | static_cast<uint8_t>(reason));
    }
    void resume(Pause reason) override {
        wire_->pauses = static_cast<uint8_t>(wire_->pauses & ~static_cast<unsigned>(reason));
        wire_->is_due = true;
    }
    bool paused() const override { return wire_->pauses != 0; }
    void start_tls_as_server(Bytes) override {}
    void start_tls_as_client(const config::ServerTls&, const std::string&) override {}
    bool is_secured() const override { return false; }
    const TlsFacts* tls() const override { return nullptr; }

protected:
    void finish() override { delete this; }

private:
    std::shared_ptr<Wire> wire_;
};

/// Time stands still until the test moves it. A turn runs until nothing is left to do.
class PlayedWorld final : public World {
public:
    TimePoint now() const override { return now_; }
    std::unique_ptr<Timer> connect(const config::Endpoint& address, const config::Cluster&, LinkOwner& owner,
                                   std::function<void(Result<std::unique_ptr<Link>>)> on_done) override {
        auto due = std::make_shared<Due>();
        attempts_.push_back({address.port, &owner, std::move(on_done), due});
        return std::make_unique<PlayedTimer>(due);
    }
    std::unique_ptr<Timer> after(Duration delay, std::function<void()> on_due) override {
        auto due = std::make_shared<Due>(Due{now_ + delay, std::move(on_due)});
        timers_.push_back(due);
        return std::make_unique<PlayedTimer>(due);
    }
    void defer(std::function<void()> task) override { deferred_.push_back(std::move(task)); }
    void offload(std::function<void()> work, std::function<void()> done) override {
        work();
        defer(std::move(done));
    }
    void random(std::byte* out, size_t size) override { std::fill(out, out + size, std::byte{1}); }
    int64_t unix_seconds() const override { return 0; }

    /// The next connection that the engine makes, accepted; nullptr: it makes none to this port.
    std::shared_ptr<Wire> accept(uint16_t port) {
        for (auto it = attempts_.begin(); it != attempts_.end(); ++it) {
            if (it->port != port || it->due->is_cancelled) continue;
            const Attempt attempt = std::move(*it);
            attempts_.erase(it);
            auto wire = std::make_shared<Wire>();
            wire->owner = attempt.owner;
            wires.push_back(wire);
            attempt.on_done(std::unique_ptr<Link>(std::make_unique<WireLink>(wire)));
            return wire;
        }
        return nullptr;
    }
    void run() {
        for (bool again = true; again;) {
            again = false;
            for (const auto& wire : std::vector(wires)) {
                if (!std::exchange(wire->is_due, false) || wire->pauses != 0 || !wire->owner ||
                    wire->kept.empty()) {
                    continue;
                }
                const ByteBuffer bytes = std::exchange(wire->kept, {});
                const size_t used = wire->owner->on_bytes(bytes);
                wire->kept.insert(wire->kept.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(used),
                                  bytes.end());
                again = true;
            }
            for (const auto& task : std::exchange(deferred_, {})) {
                task();
                again = true;
            }
        }
    }
    void pass(Duration time) {
        now_ += time;
        for (const auto& due : std::vector(timers_)) {
            if (due->when <= now_ && due->run) std::exchange(due->run, {})();
        }
        run();
    }
    std::vector<std::shared_ptr<Wire>> wires;

private:
    struct Due {
        TimePoint when{};
        std::function<void()> run;
        bool is_cancelled = false;
    };
    struct PlayedTimer final : Timer {
        explicit PlayedTimer(std::shared_ptr<Due> of) : due(std::move(of)) {}
        ~PlayedTimer() override {
            due->run = {};
            due->is_cancelled = true;
        }
        std::shared_ptr<Due> due;
    };
    struct Attempt {
        uint16_t port;
        LinkOwner* owner;
        std::function<void(Result<std::unique_ptr<Link>>)> on_done;
        std::shared_ptr<Due> due;
    };
    TimePoint now_{std::chrono::seconds(1)};
    std::vector<Attempt> attempts_;
    std::vector<std::shared_ptr<Due>> timers_;
    std::vector<std::function<void()>> deferred_;
};

class QuietMetrics final : public ClusterMetrics {
public:
    void client_accepted() override {}
    void client_logged_in(Duration) override {}
    void client_closed(CloseReason) override {}
    void client_state(ClientState, ClientState) override {}
    void client_state_entered(ClientState) override {}
    void client_state_left(ClientState) override {}
    void client_bytes(size_t, size_t) override {}
    void session_pins(PinSet, PinSet) override {}
    void server_connect(ServerId, ServerConnectResult, Duration) override {}
    void server_connection_entered(ServerId, ServerConnectionState) override {}
    void server_connection_state(ServerId, ServerConnectionState, ServerConnectionState) override {}
    void server_connection_left(ServerId, ServerConnectionState) override {}
    void server_bytes(ServerId, size_t, size_t) override {}
    void statement(ServerId, Target, RouteReason, sql::Reason) override {}
    void statement_done(Target, Duration, Duration) override {}
    void statement_error(std::string_view) override {}
    void corrected(ServerId) override {}
    void hold_began() override {}
    void hold_ended(HoldOutcome, Duration) override {}
    void pool_wait_began() override {}
    void pool_wait_ended(Duration) override {}
    void state_replayed(bool) override {}
    void loss(LossOutcome) override {}
    void cancel_request(bool) override {}
    void query_timed_out() override {}
    void stale_read_avoided() override {}
    void failover_completed(Duration) override {}
    void view_changed(const health::View&) override {}
};

class EmptyDirectory final : public Directory {
public:
    void find_role(const std::string&, OnRole on_done) override {
        on_done(std::optional<dialect::StoredRole>{});
    }
    void forget_role(const std::string&) override {}
    const dialect::ClassifierSources& sources(const std::string&) override { return sources_; }

private:
    dialect::ClassifierSources sources_;
};

inline constexpr std::string_view version = "10.11.6-MariaDB";
inline constexpr uint16_t first_port = 4'001;

/// Two servers, of which the first is the primary, and a listener that trusts everybody.
struct SessionLab {
    explicit SessionLab(config::Consistency consistency = config::Consistency::session)
        : engine(world, log, config::Proxy{}) {
        auto settings = std::make_shared<config::Cluster>();
        settings->routing.consistency = consistency;
        settings->servers.resize(2);
        for (uint16_t i = 0; i < 2; ++i) {
            settings->servers[i].name = i == 0 ? "one" : "two";
            settings->servers[i].address.host = "server";
            settings->servers[i].address.port = static_cast<uint16_t>(first_port + i);
        }
        settings->server_tls.mode = config::ServerTlsMode::disable;
        cluster = &engine.add_cluster(
            {settings,
             std::make_unique<mysql::MysqlDialect>(mysql::DialectOptions{
                 [](std::byte* out, size_t size) { std::fill(out, out + size, std::byte{1}); }, nullptr}),
             directory, metrics, [this](ServerId server, health::Hint what) {
                 if (on_hint) on_hint(server, what);
             }});
        config::Listener listener;
        listener.auth = config::ClientAuth::trust;
        listener.tls.mode = config::ClientTlsMode::disable;
        entrance = std::make_shared<const Entrance>(Entrance{*cluster, listener});
        view.servers.resize(2);
        for (size_t i = 0; i < 2; ++i) {
            view.servers[i].id = ServerId{i + 1};
            view.servers[i].name = settings->servers[i].name;
            view.servers[i].state = health::ServerState::up;
            view.servers[i].version_text = version;
        }
        set_primary(1);
    }
    /// The other one may be read from.
    void set_primary(uint64_t id) {
        view.primary = ServerId{id};
        view.epoch = Epoch{view.epoch.value + 1};
        for (auto& server : view.servers) {
            server.role = server.id.value == id ? health::ServerRole::primary : health::ServerRole::replica;
            server.readable = server.id.value != id;
        }
        show();
    }
    void set_no_primary() {
        view.primary.reset();
        view.epoch = Epoch{view.epoch.value + 1};
        show();
    }
    void show() {
        cluster->on_view(view);
        world.run();
    }

    void give(Wire& wire, std::string_view bytes) {
        append(wire.kept, bytes);
        wire.is_due = true;
        world.run();
    }
    /// The peer is gone.
    void lose(Wire& wire) {
        REQUIRE(wire.owner);
        wire.owner->on_ended(LinkEnd::reset, "reset");
        world.run();
    }

    /// A client comes in and logs in, as far as the proxy lets it.
    std::shared_ptr<Wire> come(uint64_t more_capabilities = 0, uint64_t fewer_capabilities = 0) {
        auto wire = std::make_shared<Wire>();
        wire->owner =
            engine.accept(entrance, std::make_unique<WireLink>(wire), {"client", false, true, "10.0.0.1"});
        world.wires.push_back(wire);
        world.run();
        const std::string greeting = wire->take();
        dialect::Identity identity;
        identity.user = "app";
        identity.database = "shop";
        identity.parameters = {{"collation", "45"},
                               {"capabilities", std::to_string(mysql::capability::multi_statements)}};
        mysql::ServerLogin login(identity, {});
        ByteBuffer out;
        login.on_bytes(as_bytes(greeting), out);
        // Compression is not part of an identity.
        mysql::store_le32(out.data() + 4,
                          (mysql::load_le32(out.data() + 4) | static_cast<uint32_t>(more_capabilities)) &
                              ~static_cast<uint32_t>(fewer_capabilities));
        give(*wire, as_text(out));
        return wire;
    }
    /// A server lets the next connection in.
    std::shared_ptr<Wire> serve(uint64_t id) {
        auto wire = world.accept(static_cast<uint16_t>(first_port + id - 1));
        REQUIRE(wire);
        dialect::ClientHandshakeOptions options;
        options.process_id = 100 + static_cast<uint32_t>(world.wires.size());
        options.server_version = version;
        options.tls_offered = false;
        options.auth = static_cast<int>(config::ClientAuth::trust);
        mysql::ClientLogin login(
            {options, [](std::byte* out, size_t size) { std::fill(out, out + size, std::byte{2}); }, nullptr,
             nullptr, false});
        ByteBuffer out;
        login.start(out);
        give(*wire, as_text(out));
        out.clear();
        REQUIRE(login.on_bytes(as_bytes(wire->sent), out).step == dialect::Step::done);
        wire->take();
        login.welcome({}, 0, {}, out);
        give(*wire, as_text(out));
        wire->take();  // the tracking statement
        give(*wire, ok());
        return wire;
    }
    static std::string ok(uint8_t sequence = 1, uint16_t flags = mysql::status::autocommit) {
        ByteBuffer out;
        mysql::OkPacket packet;
        packet.status = flags;
        mysql::append_ok(out, sequence, packet, mysql::capability::session_track);
        return std::string(as_text(out));
    }
    static std::string err(uint16_t number, std::string_view message) {
        ByteBuffer out;
        mysql::append_err(out, 1, number, "HY000", message);
        return std::string(as_text(out));
    }
    static std::string command(uint8_t code, std::string_view body) {
        ByteBuffer out;
        mysql::PacketWriter(out, 0).u8(code).bare_text(body).finish();
        return std::string(as_text(out));
    }
    static std::string query(std::string_view sql) { return command(mysql::command::query, sql); }

    std::function<void(ServerId, health::Hint)> on_hint;
    PlayedWorld world;
    NullLog log;
    EmptyDirectory directory;
    QuietMetrics metrics;
    Engine engine;
    Cluster* cluster = nullptr;
    EntranceRef entrance;
    health::View view;
};

}  // namespace holdfast::engine::test
