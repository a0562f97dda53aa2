#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "protocol/postgres/dialect.h"
#include "protocol/postgres/messages.h"
#include "proxy/engine/cluster.h"

using namespace holdfast;
using namespace holdfast::engine;

namespace {

/// A link whose other end is the test.
class FakeLink final : public Link {
public:
    explicit FakeLink(int& open) : open_(open) { ++open_; }
    ~FakeLink() override { --open_; }
    void write(Bytes bytes) override { append(written, bytes); }
    void write(Bytes first, Bytes second) override {
        write(first);
        write(second);
    }
    size_t queued() const override { return 0; }
    void pause(Pause) override {}
    void resume(Pause) override {}
    bool paused() const override { return false; }
    void start_tls_as_server(Bytes) override {}
    void start_tls_as_client(const config::ServerTls&, const std::string&) override {}
    bool is_secured() const override { return false; }
    const TlsFacts* tls() const override { return nullptr; }
    ByteBuffer written;

protected:
    void finish() override { delete this; }

private:
    int& open_;
};

/// Time stands still until the test moves it; what is deferred runs when the test ends the turn.
class FakeWorld final : public World {
public:
    TimePoint now() const override { return now_; }
    std::unique_ptr<Timer> connect(const config::Endpoint&, const config::Cluster&, LinkOwner&,
                                   std::function<void(Result<std::unique_ptr<Link>>)> on_done) override {
        connected_ = std::move(on_done);
        ++attempts;
        return std::make_unique<FakeTimer>(std::make_shared<Due>());
    }
    std::unique_ptr<Timer> after(Duration delay, std::function<void()> on_due) override {
        auto due = std::make_shared<Due>(Due{now_ + delay, std::move(on_due)});
        timers_.push_back(due);
        return std::make_unique<FakeTimer>(due);
    }
    void defer(std::function<void()> task) override { deferred_.push_back(std::move(task)); }
    void offload(std::function<void()> work, std::function<void()> done) override {
        work();
        defer(std::move(done));
    }
    void random(std::byte* out, size_t size) override { std::fill(out, out + size, std::byte{1}); }
    int64_t unix_seconds() const override { return 0; }

    FakeLink& accept_connection() {
        auto link = std::make_unique<FakeLink>(links);
        FakeLink& made = *link;
        std::exchange(connected_, {})(std::unique_ptr<Link>(std::move(link)));
        return made;
    }
    int attempts = 0;  // to connect
    void pass(Duration time) {
        now_ += time;
        for (const auto& due : std::vector(timers_)) {
            if (due->when <= now_ && due->run) std::exchange(due->run, {})();
        }
    }
    void end_turn() {
        for (const auto& task : std::exchange(deferred_, {})) task();
    }
    int links = 0;  // open ones

private:
    struct Due {
        TimePoint when{};
        std::function<void()> run;
    };
    struct FakeTimer final : Timer {
        explicit FakeTimer(std::shared_ptr<Due> of) : due(std::move(of)) {}
        ~FakeTimer() override { due->run = {}; }
        std::shared_ptr<Due> due;
    };
    TimePoint now_{};
    std::function<void(Result<std::unique_ptr<Link>>)> connected_;
    std::vector<std::shared_ptr<Due>> timers_;
    std::vector<std::function<void()>> deferred_;
};

class CountingMetrics final : public ClusterMetrics {
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
    void server_connection_state(ServerId, ServerConnectionState from, ServerConnectionState) override {
        if (from == ServerConnectionState::opening) ++open;
    }
    void server_connection_left(ServerId, ServerConnectionState state) override {
        if (state != ServerConnectionState::opening) --open;
    }
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
    int open = 0;
};

class NoDirectory final : public Directory {
public:
    void find_role(const std::string&, OnRole on_done) override {
        on_done(std::optional<dialect::StoredRole>{});
    }
    void forget_role(const std::string&) override {}
    const dialect::ClassifierSources& sources(const std::string&) override { return sources_; }

private:
    dialect::ClassifierSources sources_;
};

class User final : public ServerConnectionUser {
public:
    void on_server_ready(ServerConnection&) override { ready = true; }
    void on_server_failed(ServerConnection&, const ConnectFailure&) override {}
    size_t on_server_bytes(ServerConnection&, Bytes bytes) override { return bytes.size(); }
    void on_server_writable(ServerConnection&) override {}
    void on_server_ended(ServerConnection&, std::string_view) override {}
    bool ready = false;
};

/// A cluster of one server, and a connection to it that a session has had its use of.
struct Lab {
    Lab() {
        auto settings = std::make_shared<config::Cluster>();
        settings->servers.resize(1);
        settings->server_tls.mode = config::ServerTlsMode::disable;
        cluster = std::make_unique<Cluster>(
            world, log,
            ClusterParts{settings,
                         std::make_unique<postgres::PostgresDialect>(postgres::Surroundings{
                             [](std::byte* out, size_t size) { std::fill(out, out + size, std::byte{1}); },
                             [] { return int64_t{0}; }}),
                         directory, metrics, [](ServerId, health::Hint) {}});
        identity = cluster->intern_identity({"app", "shop", {}, {}, false});
    }

    std::unique_ptr<ServerConnection> connect() {
        auto made = std::make_unique<ServerConnection>(*cluster, ServerId{1}, identity, nullptr);
        User user;
        made->start(user);
        world.accept_connection();
        ByteBuffer welcome;
        postgres::append_authentication_ok(welcome);
        postgres::append_backend_key_data(welcome, as_bytes("pid.key."));
        postgres::append_ready_for_query(welcome, 'I');
        made->on_bytes(welcome);
        REQUIRE(user.ready);
        made->set_user(nullptr);
        return made;
    }
    /// Gives a connection back for others, and what cleans it; returns it as long as it lives.
    ServerConnection& give_back() {
        auto connection = connect();
        ServerConnection& given = *connection;
        cluster->give_back(std::move(connection), as_bytes("reset"));
        return given;
    }
    static ByteBuffer clean() {
        ByteBuffer answer;
        postgres::append_command_complete(answer, "DISCARD ALL");
        postgres::append_ready_for_query(answer, 'I');
        return answer;
    }

    FakeWorld world;
    NullLog log;
    NoDirectory directory;
    CountingMetrics metrics;
    std::unique_ptr<Cluster> cluster;
    IdentityRef identity;
};

}  // namespace

TEST_CASE("pool: a connection is there for others once it is clean") {
    Lab lab;
    ServerConnection& given = lab.give_back();
    CHECK(lab.cluster->take_idle(ServerId{1}, *lab.identity) == nullptr);
    given.on_bytes(Lab::clean());
    lab.world.pass(limits::server_reset_timeout);  // the time limit was the reset's alone
    lab.world.end_turn();
    const auto taken = lab.cluster->take_idle(ServerId{1}, *lab.identity);
    REQUIRE(taken.get() == &given);
    CHECK(taken->ready());
}

TEST_CASE("pool: a connection that does not get clean in time is closed") {
    Lab lab;
    ServerConnection& given = lab.give_back();
    lab.world.pass(limits::server_reset_timeout - std::chrono::milliseconds(1));
    lab.world.end_turn();
    CHECK(lab.world.links == 1);
    SUBCASE("it says nothing") {}
    SUBCASE("it says half of it") {
        given.on_bytes(Bytes(Lab::clean()).first(7));
    }
    lab.world.pass(std::chrono::milliseconds(1));
    lab.world.end_turn();
    CHECK(lab.world.links == 0);
    CHECK(lab.metrics.open == 0);
    CHECK(lab.cluster->take_idle(ServerId{1}, *lab.identity) == nullptr);
}

TEST_CASE("pool: a connection that ends when its time is up dies once") {
    Lab lab;
    ServerConnection& given = lab.give_back();
    given.on_ended(LinkEnd::reset, "gone");
    lab.world.pass(limits::server_reset_timeout);
    lab.world.end_turn();
    CHECK(lab.world.links == 0);
    CHECK(lab.metrics.open == 0);
}

TEST_CASE("pool: a connection whose statement was to be cancelled is for nobody else") {
    // The request to cancel travels by itself: it may arrive when the connection runs another's statement.
    Lab lab;
    auto connection = lab.connect();
    lab.cluster->send_cancel(*connection, nullptr);
    lab.cluster->give_back(std::move(connection), as_bytes("reset"));
    lab.world.end_turn();
    CHECK(lab.world.links == 0);
    CHECK(lab.metrics.open == 0);
    CHECK(lab.cluster->take_idle(ServerId{1}, *lab.identity) == nullptr);
    lab.world.pass(limits::server_login_timeout);  // the request's own end
    lab.world.end_turn();
}

TEST_CASE("pool: connections that were to die at the end of a turn die with their cluster") {
    Lab lab;
    lab.give_back().on_ended(LinkEnd::reset, "gone");
    lab.cluster->bury(lab.connect());
    CHECK(lab.world.links == 2);
    lab.identity = {};
    lab.cluster.reset();  // the process is told to end at once: no turn ends any more
    CHECK(lab.world.links == 0);
    CHECK(lab.metrics.open == 0);
}

TEST_CASE("pool: of many logins a few begin at once, and more as they end") {
    Lab lab;
    User user;
    std::vector<std::unique_ptr<ServerConnection>> all;
    const auto start = [&](int count) {
        for (int i = 0; i < count; ++i) {
            all.push_back(
                std::make_unique<ServerConnection>(*lab.cluster, ServerId{1}, lab.identity, nullptr));
            all.back()->start(user);
        }
    };
    start(20);
    CHECK(lab.world.attempts == 8);
    // One that is given up before its turn, one that has had it.
    all.back().reset();
    all.front().reset();
    CHECK(lab.world.attempts == 8);
    lab.world.end_turn();
    CHECK(lab.world.attempts == 10);
    // What is urgent does not wait.
    ServerConnection urgent(*lab.cluster, ServerId{1}, lab.identity, nullptr);
    urgent.start(user, ServerConnection::Turn::at_once);
    CHECK(lab.world.attempts == 11);
    for (size_t i = 1; i <= 5; ++i) all[i].reset();
    lab.world.end_turn();
    CHECK(lab.world.attempts == 20);  // all that were left
    all.clear();
    lab.world.end_turn();
    // The next crowd begins anew.
    start(9);
    CHECK(lab.world.attempts == 28);
}
