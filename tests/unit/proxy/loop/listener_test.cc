#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <vector>

#include "harness.h"

namespace holdfast::loop::test {
namespace {

/// Takes everybody in, and remembers who came.
struct Guests {
    Listener::OnAccept taking() {
        return [this](std::unique_ptr<engine::Link> link, const PeerAddress& peer) -> engine::LinkOwner* {
            peers.push_back(peer);
            owners.push_back(std::make_unique<Recorder>());
            owners.back()->link = std::move(link);
            return owners.back().get();
        };
    }
    std::vector<PeerAddress> peers;
    std::vector<std::unique_ptr<Recorder>> owners;
};

class KeptLog final : public Log {
public:
    bool enabled(LogLevel) const override { return true; }
    void write(LogLevel, std::string_view event, std::initializer_list<LogField>) override {
        events.emplace_back(event);
    }
    size_t count(std::string_view event) const {
        return static_cast<size_t>(std::count(events.begin(), events.end(), event));
    }
    std::vector<std::string> events;
};

Descriptor connect_to(const Result<SocketAddress>& address) {
    Descriptor socket = open_stream_socket(address->family());
    if (socket) (void)::connect(socket.get(), address->get(), address->size);
    return socket;
}

struct Directory {
    Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    ~Directory() { ::rmdir(path.c_str()); }
    std::string path = "/tmp/holdfast-loop-XXXXXX";
};

}  // namespace

TEST_CASE("listener: says who came, and takes many in one go") {
    const auto loop = make_loop();
    NullLog log;
    Guests guests;
    auto listener = Listener::open(*loop, log, {"127.0.0.1", 0, ""}, {}, nullptr, guests.taking());
    REQUIRE(listener);
    std::vector<Descriptor> clients;
    for (int i = 0; i < 200; ++i)
        clients.push_back(connect_to(numeric_address("127.0.0.1", (*listener)->port())));
    CHECK(run_until(*loop, [&] { return guests.owners.size() == 200; }));
    CHECK(guests.peers[0].text.starts_with("127.0.0.1:"));
    CHECK(guests.peers[0].ip.size == 4);
    CHECK(guests.peers[0].ip.bytes[0] == std::byte{127});
    CHECK_FALSE(guests.peers[0].is_unix);
    REQUIRE(::send(clients[7].get(), "x", 1, 0) == 1);
    CHECK(run_until(*loop, [&] { return guests.owners[7]->received == "x"; }));
}

namespace {

/// A listener that trusts this machine to tell addresses, with what came of it.
struct BalancedLab {
    explicit BalancedLab(bool required = true) {
        auto opened = Listener::open(*loop, log, {"127.0.0.1", 0, ""}, {}, nullptr, guests.taking());
        REQUIRE(opened);
        listener = std::move(*opened);
        serve({{"127.0.0.0/8"}, required});
    }
    void serve(const config::ProxyProtocol& proxy_protocol) {
        listener->serve({}, nullptr, proxy_protocol, guests.taking());
    }
    Descriptor connect() { return connect_to(numeric_address("127.0.0.1", listener->port())); }
    static void send(const Descriptor& client, std::string_view text) {
        REQUIRE(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(text.size()));
    }
    bool has_guest() {
        return run_until(*loop, [&] { return !guests.owners.empty(); });
    }
    std::unique_ptr<Loop> loop = make_loop();
    KeptLog log;
    Guests guests;
    std::unique_ptr<Listener> listener;
};

constexpr std::string_view told = "PROXY TCP4 192.0.2.7 192.0.2.1 4711 5432\r\n";

}  // namespace

TEST_CASE("listener: a balancer's header says who came, and the bytes behind it are the client's") {
    BalancedLab lab;
    const Descriptor client = lab.connect();
    lab.send(client, told.substr(0, 20));
    settle(*lab.loop);
    CHECK(lab.guests.owners.empty());
    lab.send(client, std::string(told.substr(20)) + "first");
    REQUIRE(lab.has_guest());
    CHECK(lab.guests.peers[0].text == "192.0.2.7:4711");
    CHECK(lab.guests.peers[0].ip.port == 4'711);
    CHECK(lab.guests.peers[0].local.port == 5'432);
    CHECK_FALSE(lab.guests.peers[0].is_unix);
    CHECK(run_until(*lab.loop, [&] { return lab.guests.owners[0]->received == "first"; }));
    lab.send(client, " second");
    CHECK(run_until(*lab.loop, [&] { return lab.guests.owners[0]->received == "first second"; }));
}

TEST_CASE("listener: a header without an address leaves the balancer's own") {
    BalancedLab lab;
    const Descriptor client = lab.connect();
    lab.send(client, "PROXY UNKNOWN\r\n");
    REQUIRE(lab.has_guest());
    CHECK(lab.guests.peers[0].text.starts_with("127.0.0.1:"));
    CHECK(lab.guests.peers[0].local.port == lab.listener->port());
}

TEST_CASE("listener: who is not trusted tells nothing, and who must tell and does not is closed") {
    BalancedLab lab;
    lab.serve({{"10.0.0.0/8"}, true});
    const Descriptor stranger = lab.connect();
    lab.send(stranger, told);
    REQUIRE(lab.has_guest());
    CHECK(lab.guests.peers[0].text.starts_with("127.0.0.1:"));
    CHECK(run_until(*lab.loop, [&] { return lab.guests.owners[0]->received == told; }));

    lab.serve({{"127.0.0.1"}, true});
    const Descriptor silent = lab.connect();
    lab.send(silent, "\x16\x03\x01");
    CHECK(run_until(*lab.loop, [&] { return lab.log.count("proxy_header_bad") == 1; }));
    char byte;
    CHECK(::recv(silent.get(), &byte, 1, 0) <= 0);
    CHECK(lab.guests.owners.size() == 1);
}

TEST_CASE("listener: a trusted peer that need not send a header is taken as it comes") {
    BalancedLab lab(false);
    const Descriptor plain = lab.connect();
    lab.send(plain, "first");
    REQUIRE(lab.has_guest());
    CHECK(lab.guests.peers[0].text.starts_with("127.0.0.1:"));
    CHECK(run_until(*lab.loop, [&] { return lab.guests.owners[0]->received == "first"; }));
    const Descriptor balanced = lab.connect();
    lab.send(balanced, told);
    REQUIRE(run_until(*lab.loop, [&] { return lab.guests.owners.size() == 2; }));
    CHECK(lab.guests.peers[1].text == "192.0.2.7:4711");
}

TEST_CASE("listener: leaves the last descriptors to others, and goes on when there are more again") {
    const auto loop = make_loop();
    KeptLog log;
    Guests guests;
    auto listener = Listener::open(*loop, log, {"127.0.0.1", 0, ""}, {}, nullptr, guests.taking());
    REQUIRE(listener);
    const auto address = numeric_address("127.0.0.1", (*listener)->port());
    std::vector<Descriptor> clients;
    clients.push_back(connect_to(address));
    REQUIRE(run_until(*loop, [&] { return guests.owners.size() == 1; }));
    loop->set_descriptor_ceiling(clients[0].get());
    clients.push_back(connect_to(address));
    CHECK(run_until(*loop, [&] { return log.count("accept_failed") == 1; }));
    char byte;
    CHECK(::recv(clients[1].get(), &byte, 1, 0) <= 0);
    CHECK(guests.owners.size() == 1);
    loop->set_descriptor_ceiling(1'000'000);
    clients.push_back(connect_to(address));
    CHECK(run_until(*loop, [&] { return guests.owners.size() == 2; }));
    CHECK(log.count("accepting_again") == 1);
}

TEST_CASE("listener: dies while headers are awaited, and a peer that leaves before its header is forgotten") {
    BalancedLab lab;
    {
        const Descriptor gone = lab.connect();
        lab.send(gone, "PROXY ");
        settle(*lab.loop);
    }
    CHECK(run_until(*lab.loop, [&] { return lab.log.count("proxy_header_bad") == 1; }));
    const Descriptor waiting = lab.connect();
    lab.send(waiting, "PROXY ");
    settle(*lab.loop);
    lab.listener.reset();
    settle(*lab.loop);
    CHECK(lab.guests.owners.empty());
}

TEST_CASE("listener: every address means both families, and one port") {
    const auto loop = make_loop();
    NullLog log;
    Guests guests;
    for (const char* host : {"*", ""}) {
        guests.peers.clear();
        auto listener = Listener::open(*loop, log, {host, 0, ""}, {}, nullptr, guests.taking());
        REQUIRE(listener);
        const auto v4 = connect_to(numeric_address("127.0.0.1", (*listener)->port()));
        const auto v6 = connect_to(numeric_address("::1", (*listener)->port()));
        CHECK(run_until(*loop, [&] { return guests.peers.size() == 2; }));
        CHECK(guests.peers[0].ip.size + guests.peers[1].ip.size == 20);
    }
    // An IPv6 listener leaves IPv4 alone.
    auto v6 = Listener::open(*loop, log, {"::", 0, ""}, {}, nullptr, guests.taking());
    REQUIRE(v6);
    auto v4 = Listener::open(*loop, log, {"0.0.0.0", (*v6)->port(), ""}, {}, nullptr, guests.taking());
    CHECK(v4.ok());
}

TEST_CASE("listener: errors name the address and what to do") {
    const auto loop = make_loop();
    NullLog log;
    Guests guests;
    auto first = Listener::open(*loop, log, {"127.0.0.1", 0, ""}, {}, nullptr, guests.taking());
    REQUIRE(first);
    const auto taken =
        Listener::open(*loop, log, {"127.0.0.1", (*first)->port(), ""}, {}, nullptr, guests.taking());
    REQUIRE_FALSE(taken);
    CHECK(taken.error().code == ErrorCode::refused);
    CHECK(taken.error().message.find("127.0.0.1:" + std::to_string((*first)->port())) != std::string::npos);
    CHECK(taken.error().message.find("another process") != std::string::npos);

    const auto foreign = Listener::open(*loop, log, {"192.0.2.1", 0, ""}, {}, nullptr, guests.taking());
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error().message.find("does not have that address") != std::string::npos);
    const auto unnamed = Listener::open(*loop, log, {"no such host", 1, ""}, {}, nullptr, guests.taking());
    REQUIRE_FALSE(unnamed);
    CHECK(unnamed.error().message.find("no such host") != std::string::npos);
    const auto nowhere = Listener::open(*loop, log, {"", 0, "/nonexistent/s"}, {}, nullptr, guests.taking());
    REQUIRE_FALSE(nowhere);
    CHECK(nowhere.error().message.find("directory of the Unix socket") != std::string::npos);
    // The port is free again with the listener.
    const uint16_t port = (*first)->port();
    first->reset();
    CHECK(Listener::open(*loop, log, {"127.0.0.1", port, ""}, {}, nullptr, guests.taking()).ok());
}

TEST_CASE(
    "listener: a Unix socket is open to all, replaces a dead one, respects a live one and goes with us") {
    const auto loop = make_loop();
    NullLog log;
    Guests guests;
    const Directory directory;
    const std::string path = directory.path + "/.s.PGSQL.6432";
    {
        // A process that died leaves its file.
        const auto dead = open_stream_socket(AF_UNIX);
        const auto address = unix_address(path);
        REQUIRE(::bind(dead.get(), address->get(), address->size) == 0);
        REQUIRE(::listen(dead.get(), 1) == 0);
    }
    auto listener = Listener::open(*loop, log, {"", 0, path}, {}, nullptr, guests.taking());
    REQUIRE(listener);
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0777);
    const auto second = Listener::open(*loop, log, {"", 0, path}, {}, nullptr, guests.taking());
    REQUIRE_FALSE(second);
    CHECK(second.error().message.find("another process") != std::string::npos);
    const auto client = connect_to(unix_address(path));
    CHECK(run_until(*loop, [&] { return guests.peers.size() >= 1; }));
    CHECK(guests.peers.back().is_unix);
    CHECK(guests.peers.back().text == "unix");
    REQUIRE(::send(client.get(), "x", 1, 0) == 1);
    CHECK(run_until(*loop, [&] {
        return std::any_of(guests.owners.begin(), guests.owners.end(),
                           [](auto& o) { return o->received == "x"; });
    }));
    listener->reset();
    CHECK(::stat(path.c_str(), &found) != 0);
}

TEST_CASE("listener: a file that is no socket is not removed") {
    const auto loop = make_loop();
    NullLog log;
    Guests guests;
    const Directory directory;
    const std::string path = directory.path + "/precious";
    Descriptor{::open(path.c_str(), O_CREAT | O_WRONLY, 0600)}.reset();
    CHECK_FALSE(Listener::open(*loop, log, {"", 0, path}, {}, nullptr, guests.taking()).ok());
    CHECK(::unlink(path.c_str()) == 0);
}

TEST_CASE("listener: may be destroyed while it accepts; a refused link needs no owner") {
    const auto loop = make_loop();
    NullLog log;
    std::unique_ptr<Listener> listener;
    int came = 0;
    auto opened = Listener::open(*loop, log, {"127.0.0.1", 0, ""}, {}, nullptr,
                                 [&](std::unique_ptr<engine::Link> link, const PeerAddress&) {
                                     if (++came == 1) {
                                         link->write(as_bytes("full"));
                                         engine::Link::close_gently(std::move(link));
                                     }
                                     if (came == 2) listener.reset();
                                     return nullptr;
                                 });
    REQUIRE(opened);
    listener = std::move(*opened);
    const auto address = numeric_address("127.0.0.1", listener->port());
    const auto one = connect_to(address);
    const auto two = connect_to(address);
    const auto three = connect_to(address);
    CHECK(run_until(*loop, [&] { return came == 2; }));
    settle(*loop, 10ms);
    CHECK(came == 2);
    char text[8];
    CHECK(::recv(one.get(), text, sizeof text, 0) == 4);
}

TEST_CASE(
    "listener: without descriptors it closes the newest, says so once, and goes on when there are some") {
    const auto loop = make_loop();
    KeptLog log;
    Guests guests;
    auto listener = Listener::open(*loop, log, {"127.0.0.1", 0, ""}, {}, nullptr, guests.taking());
    REQUIRE(listener);
    const auto address = numeric_address("127.0.0.1", (*listener)->port());
    const auto first = connect_to(address);
    REQUIRE(run_until(*loop, [&] { return guests.peers.size() == 1; }));
    auto turned_away = connect_to(address);
    auto turned_away_too = connect_to(address);
    // The sanitizer checks a type that is new to it by means of a pipe: it must know these by then.
    static_cast<Log&>(log).info("began", {});
    REQUIRE(log.count("began") == 1);
    // Use all descriptors up to a limit just above those in use.
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const Descriptor highest{::fcntl(0, F_DUPFD_CLOEXEC, 3)};
    rlimit low = before;
    low.rlim_cur = static_cast<rlim_t>(highest.get()) + 8;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    std::vector<Descriptor> filler;
    while (true) {
        Descriptor one{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
        if (!one) break;
        filler.push_back(std::move(one));
    }
    char byte;
    const auto closed = [&](const Descriptor& socket) {
        const ssize_t got = ::recv(socket.get(), &byte, 1, MSG_DONTWAIT);
        return got == 0 || (got < 0 && errno == ECONNRESET);
    };
    CHECK(run_until(*loop, [&] { return closed(turned_away) && closed(turned_away_too); }));
    CHECK(log.count("accept_failed") == 1);
    CHECK(guests.peers.size() == 1);
    filler.clear();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    const auto later = connect_to(address);
    CHECK(run_until(*loop, [&] { return guests.peers.size() == 2; }));
    CHECK(log.count("accepting_again") == 1);
    // Those that were in stay in.
    REQUIRE(::send(first.get(), "x", 1, 0) == 1);
    CHECK(run_until(*loop, [&] { return guests.owners[0]->received == "x"; }));
}

}  // namespace holdfast::loop::test
