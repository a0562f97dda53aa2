#include "proxy/engine/tcp_relay.h"

#include <doctest/doctest.h>

#include "tests/unit/proxy/engine/mysql_session_lab.h"

using namespace holdfast;
using namespace holdfast::engine;
using namespace holdfast::engine::test;
using namespace std::chrono_literals;

namespace {

/// The lab's cluster behind a listener that passes bytes on unread.
struct RelayLab : SessionLab {
    RelayLab() {
        config::Listener listener;
        listener.role = config::ListenerRole::tcp;
        unread = std::make_shared<const Entrance>(Entrance{*cluster, listener});
    }
    /// nullptr: it was closed at once.
    std::shared_ptr<Wire> come_unread() {
        auto wire = std::make_shared<Wire>();
        wire->owner = engine.accept(unread, std::make_unique<WireLink>(wire),
                                    {"client", false, true, "10.0.0.1", *parse_ip("10.0.0.1"), {}});
        if (!wire->owner) return nullptr;
        world.wires.push_back(wire);
        world.run();
        return wire;
    }
    std::shared_ptr<Wire> accept_at(uint64_t id) {
        auto wire = world.accept(static_cast<uint16_t>(first_port + id - 1));
        world.run();
        return wire;
    }
    void change(const std::function<void(config::Cluster&)>& how) {
        auto settings = std::make_shared<config::Cluster>(cluster->settings());
        how(*settings);
        cluster->reconfigure(settings);
    }
    SessionInfo only_relay() const {
        std::optional<SessionInfo> info;
        cluster->for_each_relay([&](const TcpRelay& relay) {
            CHECK_FALSE(info);
            info = relay.info();
        });
        REQUIRE(info);
        return *info;
    }
    EntranceRef unread;
};

}  // namespace

TEST_CASE("tcp relay: bytes go to the primary and back, and operators see it") {
    RelayLab lab;
    const auto client = lab.come_unread();
    REQUIRE(client);
    lab.give(*client, "hel");
    CHECK(lab.only_relay().state == ClientState::held);
    CHECK(lab.only_relay().waits_for == "a server connection is being opened");
    const auto server = lab.accept_at(1);
    REQUIRE(server);
    lab.give(*client, "lo");
    CHECK(server->take() == "hello");
    lab.give(*server, "welcome");
    CHECK(client->take() == "welcome");

    const SessionInfo info = lab.only_relay();
    CHECK(info.listener == config::ListenerRole::tcp);
    CHECK(info.server == ServerId{1});
    CHECK(info.bytes_in == 5);
    CHECK(info.bytes_out == 7);
    CHECK(lab.cluster->sessions() == 1);
    CHECK(lab.cluster->connections(ServerId{1}) == 1);
    CHECK(lab.cluster->is_in_use(ServerId{1}));

    CHECK(lab.engine.end_session(info.id, "killed"));
    CHECK_FALSE(client->is_open);
    CHECK_FALSE(server->is_open);
    CHECK(lab.cluster->sessions() == 0);
    CHECK_FALSE(lab.cluster->is_in_use(ServerId{1}));
}

TEST_CASE("tcp relay: a pause holds those that have no server yet, for as long as it lasts") {
    RelayLab lab;
    const auto before = lab.come_unread();
    const auto server = lab.accept_at(1);
    const auto under_way = lab.come_unread();
    lab.cluster->pause(Duration::zero(), [] {});
    CHECK(lab.accept_at(1) == nullptr);  // what was being opened is given up
    const auto after = lab.come_unread();
    CHECK(lab.accept_at(1) == nullptr);
    lab.give(*before, "goes on");
    CHECK(server->take() == "goes on");

    lab.world.pass(10min);
    CHECK(under_way->is_open);
    CHECK(after->is_open);
    lab.cluster->resume();
    CHECK(lab.accept_at(1) != nullptr);
    CHECK(lab.accept_at(1) != nullptr);
}

TEST_CASE("tcp relay: waits for a primary as long as a statement would") {
    RelayLab lab;
    lab.set_no_primary();
    const auto patient = lab.come_unread();
    lab.world.pass(29s);
    CHECK(lab.only_relay().waits_for == "there is no primary");
    CHECK(lab.accept_at(1) == nullptr);
    lab.set_primary(2);
    REQUIRE(lab.accept_at(2) != nullptr);
    lab.world.pass(2s);
    CHECK(patient->is_open);

    lab.set_no_primary();
    const auto unlucky = lab.come_unread();
    lab.world.pass(29s);
    CHECK(unlucky->is_open);
    lab.world.pass(2s);
    CHECK_FALSE(unlucky->is_open);
    CHECK(patient->is_open);
}

TEST_CASE("tcp relay: is closed when another server is the primary, and never connects to an old one") {
    RelayLab lab;
    const auto settled = lab.come_unread();
    const auto server = lab.accept_at(1);
    const auto opening = lab.come_unread();
    lab.set_no_primary();
    CHECK(settled->is_open);
    CHECK(lab.accept_at(1) == nullptr);
    lab.set_primary(2);
    CHECK_FALSE(settled->is_open);
    CHECK_FALSE(server->is_open);
    CHECK(lab.accept_at(2) != nullptr);
    CHECK(opening->is_open);
}

TEST_CASE("tcp relay: timeouts.idle ends those whose server spoke last, not those that wait for an answer") {
    RelayLab lab;
    const auto client = lab.come_unread();
    const auto server = lab.accept_at(1);
    lab.change([](config::Cluster& settings) { settings.timeouts.idle = 10s; });  // a reload
    lab.give(*client, "a question");
    lab.world.pass(1min);
    CHECK(client->is_open);
    lab.give(*server, "an answer");
    lab.world.pass(9s);
    CHECK(client->is_open);
    lab.give(*server, "more of it");
    lab.world.pass(9s);
    CHECK(client->is_open);
    lab.world.pass(1s);
    CHECK_FALSE(client->is_open);
    CHECK_FALSE(server->is_open);
}

TEST_CASE("tcp relay: a server that is taken away keeps its relays for proxy.drain_timeout") {
    RelayLab lab;
    const auto client = lab.come_unread();
    REQUIRE(lab.accept_at(1) != nullptr);
    lab.view.servers[0].duty = health::Duty::removed;
    lab.set_no_primary();
    lab.world.pass(59s);
    CHECK(client->is_open);
    lab.world.pass(1s);
    CHECK_FALSE(client->is_open);
}

TEST_CASE("tcp relay: a shutdown ends those that have no server, and waits for the others") {
    RelayLab lab;
    const auto settled = lab.come_unread();
    REQUIRE(lab.accept_at(1) != nullptr);
    const auto waiting = lab.come_unread();
    bool is_over = false;
    lab.engine.shut_down([&] { is_over = true; });
    lab.world.run();
    CHECK_FALSE(waiting->is_open);
    CHECK(settled->is_open);
    CHECK_FALSE(is_over);
    CHECK(lab.come_unread() == nullptr);
    lab.lose(*settled);
    CHECK(is_over);
}

TEST_CASE("tcp relay: a cluster that is taken out ends with its relays") {
    RelayLab lab;
    const auto settled = lab.come_unread();
    REQUIRE(lab.accept_at(1) != nullptr);
    const auto waiting = lab.come_unread();
    lab.cluster->pause(Duration::zero(), [] {});
    bool is_gone = false;
    lab.engine.remove_cluster(*lab.cluster, [&] { is_gone = true; });
    lab.world.run();
    CHECK_FALSE(waiting->is_open);
    CHECK(settled->is_open);
    lab.world.pass(60s);
    CHECK_FALSE(settled->is_open);
    lab.world.pass(1h);
    CHECK(is_gone);
}

TEST_CASE("tcp relay: access rules of addresses hold") {
    RelayLab lab;
    config::AccessRule rule;
    rule.action = config::AccessAction::allow;
    rule.address = {"192.168.0.0/16"};
    lab.change([&](config::Cluster& settings) { settings.access = {rule}; });
    CHECK(lab.come_unread() == nullptr);
    rule.address = {"10.0.0.0/8"};
    lab.change([&](config::Cluster& settings) { settings.access = {rule}; });
    CHECK(lab.come_unread() != nullptr);
}

TEST_CASE("tcp relay: only a connection that broke is a hint that its server may be gone") {
    std::vector<health::Hint> hints;
    RelayLab lab;
    lab.on_hint = [&](ServerId, health::Hint what) { hints.push_back(what); };
    const auto client = lab.come_unread();
    const auto server = lab.accept_at(1);
    server->owner->on_ended(LinkEnd::closed_by_peer, "closed by the peer");  // a wrong password, say
    lab.world.run();
    CHECK_FALSE(client->is_open);
    CHECK(hints.empty());
    lab.come_unread();
    lab.lose(*lab.accept_at(1));
    CHECK(hints == std::vector{health::Hint::connection_lost});
}

TEST_CASE("tcp relay: limits.connect_rate is one budget for an address, whichever cluster it goes to") {
    RelayLab lab;
    lab.change([](config::Cluster& settings) {
        settings.limits.connect_rate = 1;
        settings.limits.connect_burst = 2;
    });
    auto settings = std::make_shared<config::Cluster>(lab.cluster->settings());
    settings->name = "other";
    Cluster& other = lab.engine.add_cluster(
        {settings, std::make_unique<mysql::MysqlDialect>(mysql::DialectOptions{{}, nullptr}), lab.directory,
         lab.metrics, [](ServerId, health::Hint) {}});
    const EntranceRef first = lab.unread;
    const auto second = std::make_shared<const Entrance>(Entrance{other, first->settings});
    CHECK(lab.come_unread() != nullptr);
    lab.unread = second;
    CHECK(lab.come_unread() != nullptr);
    CHECK(lab.come_unread() == nullptr);
    lab.unread = first;
    CHECK(lab.come_unread() == nullptr);
    lab.world.pass(1s);
    CHECK(lab.come_unread() != nullptr);
}
