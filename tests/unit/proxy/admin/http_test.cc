#include "proxy/admin/http.h"

#include <arpa/inet.h>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/admin/http_daemon.h"
#include "proxy/admin/listen_socket.h"
#include "tests/unit/proxy/admin/poll_loop.h"

using namespace holdfast;
using namespace holdfast::admin;
using namespace std::chrono_literals;

namespace {

constexpr int turns_max = 500;

class Client {
public:
    explicit Client(uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    explicit Client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }
    void send(std::string_view text) {
        CHECK(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(text.size()));
    }
    /// Takes what is there; true when the stream has ended.
    bool receive() {
        for (std::array<char, 4096> chunk{};;) {
            const ssize_t got = ::recv(socket_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
            if (got < 0) return errno != EAGAIN;
            if (got == 0) return true;
            received.append(chunk.data(), static_cast<size_t>(got));
        }
    }
    bool run_to_the_end(test::PollLoop& loop) {
        for (int turn = 0; turn < turns_max; ++turn) {
            if (receive()) return true;
            loop.turn();
        }
        return false;
    }

    std::string received;

private:
    loop::Descriptor socket_;
};

struct Fixture {
    Fixture() {
        config::Admin admin;
        admin.listen = config::Endpoint{.host = "127.0.0.1", .port = 0, .unix_path = {}};
        start(admin);
    }
    explicit Fixture(const config::Admin& admin) { start(admin); }

    void start(const config::Admin& admin) {
        auto started = HttpServer::start(loop, log, admin,
                                         {.ready = [this] { return ready; },
                                          .ready_detail = [] { return std::string(R"({"clusters":{}})"); },
                                          .metrics = [this] { return metrics; }});
        REQUIRE(started);
        server = std::move(*started);
    }
    std::string fetch(const std::string& request) {
        Client client(server->port());
        client.send(request);
        CHECK(client.run_to_the_end(loop));
        return client.received;
    }
    std::string get(const std::string& path) { return fetch("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); }

    test::PollLoop loop;
    NullLog log;
    bool ready = false;
    std::string metrics = "a_metric 1\n";
    std::unique_ptr<HttpServer> server;
};

std::string status_of(const std::string& answer) {
    return answer.substr(0, answer.find("\r\n"));
}
std::string body_of(const std::string& answer) {
    return answer.substr(answer.find("\r\n\r\n") + 4);
}

/// A directory of its own, removed at the end.
struct TemporaryDirectory {
    TemporaryDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-http-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

}  // namespace

TEST_CASE("http: healthz is ok as soon as it listens, readyz when its source says so") {
    Fixture admin;
    CHECK(status_of(admin.get("/healthz")) == "HTTP/1.1 200 OK");
    CHECK(body_of(admin.get("/healthz")) == "ok\n");
    const std::string not_ready = admin.get("/readyz");
    CHECK(status_of(not_ready) == "HTTP/1.1 503 Service Unavailable");
    CHECK(not_ready.find("Content-Type: application/json") != std::string::npos);
    CHECK(body_of(not_ready) == "{\"clusters\":{}}\n");
    admin.ready = true;
    CHECK(status_of(admin.get("/readyz?verbose=1")) == "HTTP/1.1 200 OK");
}

TEST_CASE("http: metrics come with the content type of the text format") {
    Fixture admin;
    const std::string answer = admin.get("/metrics");
    CHECK(status_of(answer) == "HTTP/1.1 200 OK");
    CHECK(answer.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != std::string::npos);
    CHECK(body_of(answer) == "a_metric 1\n");
}

TEST_CASE("http: an answer larger than every buffer arrives whole") {
    Fixture admin;
    admin.metrics.clear();
    while (admin.metrics.size() < 8'000'000)
        admin.metrics += "a_metric{n=\"" + std::to_string(admin.metrics.size()) + "\"} 1\n";
    CHECK(body_of(admin.get("/metrics")) == admin.metrics);
}

TEST_CASE("http: HEAD has the head and no body, the index names the pages") {
    Fixture admin;
    const std::string head = admin.fetch("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(status_of(head) == "HTTP/1.1 200 OK");
    CHECK(head.find("Content-Length: 11\r\n") != std::string::npos);
    CHECK(body_of(head).empty());
    CHECK(body_of(admin.get("/")).find("/metrics") != std::string::npos);
}

TEST_CASE("http: what is not there and what is not allowed") {
    Fixture admin;
    CHECK(status_of(admin.get("/nothing")) == "HTTP/1.1 404 Not Found");
    CHECK(status_of(admin.get("/metrics/")) == "HTTP/1.1 404 Not Found");
    CHECK(status_of(admin.fetch("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")) ==
          "HTTP/1.1 404 Not Found");
    const std::string refused =
        admin.fetch("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
    CHECK(status_of(refused) == "HTTP/1.1 405 Method Not Allowed");
    CHECK(refused.find("Allow: GET, HEAD\r\n") != std::string::npos);
    CHECK(status_of(admin.fetch("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n")) ==
          "HTTP/1.1 405 Method Not Allowed");
}

TEST_CASE("http: hostile requests cost their own connection only") {
    Fixture admin;
    admin.fetch("\x16\x03\x01 not HTTP at all\r\n\r\n\r\n\r\n");
    Client too_long(admin.server->port());
    too_long.send("GET /" + std::string(40'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(status_of(admin.get("/healthz")) == "HTTP/1.1 200 OK");
    admin.loop.advance(http_connection_lifetime_max);
    CHECK(too_long.run_to_the_end(admin.loop));
}

TEST_CASE("http: a request in pieces is answered when it is whole") {
    Fixture admin;
    Client client(admin.server->port());
    for (const char c : std::string_view("GET /healthz HTTP/1.0\r\n\r")) {
        client.send({&c, 1});
        admin.loop.turn();
        CHECK_FALSE(client.receive());
    }
    client.send("\n");
    CHECK(client.run_to_the_end(admin.loop));
    CHECK(body_of(client.received) == "ok\n");
}

TEST_CASE("http: connections are bounded in number and in lifetime") {
    Fixture admin;
    std::vector<std::unique_ptr<Client>> slow;
    for (unsigned i = 0; i < http_connections_max; ++i) {
        slow.push_back(std::make_unique<Client>(admin.server->port()));
        slow.back()->send("GET /hea");
        admin.loop.turn();
    }
    Client late(admin.server->port());
    late.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int turn = 0; turn < 20; ++turn) admin.loop.turn(1);
    CHECK_FALSE(late.receive());
    CHECK(late.received.empty());  // waits: nobody's connection is free

    admin.loop.advance(http_crowded_lifetime_max);
    for (auto& client : slow) CHECK(client->run_to_the_end(admin.loop));
    CHECK(late.run_to_the_end(admin.loop));
    CHECK(body_of(late.received) == "ok\n");
}

TEST_CASE("http: a slow peer has longer while there is room") {
    Fixture admin;
    std::vector<std::unique_ptr<Client>> slow;
    for (unsigned i = 0; i < http_connections_calm_max; ++i) {
        slow.push_back(std::make_unique<Client>(admin.server->port()));
        slow.back()->send("GET /hea");
        admin.loop.turn();
    }
    admin.loop.advance(http_crowded_lifetime_max);
    for (int turn = 0; turn < 20; ++turn) admin.loop.turn(1);
    for (auto& client : slow) CHECK_FALSE(client->receive());
    slow[0]->send("lthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(slow[0]->run_to_the_end(admin.loop));
    CHECK(body_of(slow[0]->received) == "ok\n");
    slow.erase(slow.begin());
    admin.loop.advance(http_connection_lifetime_max);
    for (auto& client : slow) CHECK(client->run_to_the_end(admin.loop));
}

TEST_CASE("http: a server that goes ends its connections and its timers") {
    test::PollLoop loop;
    {
        Fixture admin;
        Client client(admin.server->port());
        client.send("GET /hea");
        for (int turn = 0; turn < 5; ++turn) admin.loop.turn(1);
        admin.server.reset();
        admin.loop.advance(1h);
        admin.loop.turn(0);
        CHECK(client.receive());
    }
}

TEST_CASE("http: on a Unix socket, for owner and group, in place of a dead one, removed at the end") {
    TemporaryDirectory directory;
    config::Admin admin;
    admin.socket = (directory.path / "admin.sock").string();
    {
        // A leftover: bound, and closed without being removed.
        auto dead = listen_at({.host = {}, .port = 0, .unix_path = admin.socket});
        REQUIRE(dead);
    }
    REQUIRE(std::filesystem::exists(admin.socket));
    {
        Fixture served(admin);
        CHECK(served.server->port() == 0);
        struct stat status {};
        REQUIRE(::stat(admin.socket.c_str(), &status) == 0);
        CHECK((status.st_mode & 0007) == 0);
        CHECK((status.st_mode & 0600) == 0600);
        Client client(admin.socket);
        client.send("GET /healthz HTTP/1.0\r\n\r\n");
        CHECK(client.run_to_the_end(served.loop));
        CHECK(body_of(client.received) == "ok\n");

        test::PollLoop loop;
        NullLog log;
        const auto second = HttpServer::start(loop, log, admin, {});
        REQUIRE_FALSE(second);
        CHECK(second.error().code == ErrorCode::bad_state);
        CHECK(second.error().message.find(admin.socket) != std::string::npos);
    }
    CHECK_FALSE(std::filesystem::exists(admin.socket));
}

TEST_CASE("http: addresses that can't be had are errors that name them") {
    test::PollLoop loop;
    NullLog log;
    config::Admin admin;
    admin.socket = "/" + std::string(200, 'x');
    CHECK(HttpServer::start(loop, log, admin, {}).error().code == ErrorCode::bad_length);

    TemporaryDirectory directory;
    admin.socket = (directory.path / "file").string();
    std::filesystem::create_directory(admin.socket);
    CHECK(HttpServer::start(loop, log, admin, {}).error().code == ErrorCode::bad_state);
    CHECK(std::filesystem::is_directory(admin.socket));  // never removes what is not a socket

    Fixture first;
    admin.socket.clear();
    admin.listen = config::Endpoint{.host = "127.0.0.1", .port = first.server->port(), .unix_path = {}};
    const auto taken = HttpServer::start(loop, log, admin, {});
    REQUIRE_FALSE(taken);
    CHECK(taken.error().message.find("127.0.0.1:" + std::to_string(first.server->port())) !=
          std::string::npos);
    admin.listen = config::Endpoint{.host = "192.0.2.1", .port = 0, .unix_path = {}};
    CHECK(HttpServer::start(loop, log, admin, {}).error().code == ErrorCode::unreachable);
}

TEST_CASE("http: bodies reach the API, up to a limit, and its answers may come later") {
    test::PollLoop loop;
    NullLog log;
    config::Admin settings;
    settings.listen = config::Endpoint{"127.0.0.1", 0, ""};
    Request seen;
    Reply held;
    auto started = HttpServer::start(loop, log, settings,
                                     {.ready = [] { return true; },
                                      .ready_detail = [] { return std::string(); },
                                      .metrics = [] { return std::string(); },
                                      .api =
                                          [&](const Request& request, Reply reply) {
                                              seen = request;
                                              if (request.path == "/api/later") {
                                                  held = std::move(reply);
                                              } else {
                                                  reply({.body = "now"});
                                              }
                                          }});
    REQUIRE(started);
    const auto post = [&](const std::string& path, size_t bytes) {
        return "POST " + path +
               "?a=b%20c HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: " +
               std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'z');
    };
    {
        Client client((*started)->port());
        client.send(post("/api/now", 1000));
        CHECK(client.run_to_the_end(loop));
        CHECK(body_of(client.received) == "now");
        CHECK(seen.method == "POST");
        CHECK(seen.body == std::string(1000, 'z'));
        CHECK(seen.query.at("a") == "b c");
        CHECK(seen.authorization == "Bearer t");
        CHECK_FALSE(seen.is_local);
        CHECK(seen.peer == "127.0.0.1");
    }
    {
        Client client((*started)->port());
        client.send(post("/api/now", http_body_bytes_max + 1));
        CHECK(client.run_to_the_end(loop));
        CHECK(status_of(client.received) == "HTTP/1.1 413 Content Too Large");
    }
    {
        Client client((*started)->port());
        client.send(post("/api/later", 3));
        for (int turn = 0; turn < 20; ++turn) loop.turn(1);
        CHECK_FALSE(client.receive());
        REQUIRE(held);
        held({.body = "later"});
        held({.body = "twice"});
        CHECK(client.run_to_the_end(loop));
        CHECK(body_of(client.received) == "later");
    }
    // Whoever answers when the server is gone reaches nobody; nor does the server wait for it at its end.
    Client client((*started)->port());
    client.send(post("/api/later", 3));
    for (int turn = 0; turn < 20; ++turn) loop.turn(1);
    started->reset();
    held({.body = "too late"});
}

TEST_CASE("http: other addresses are opened before the present ones are left") {
    const TemporaryDirectory folder;
    test::PollLoop loop;
    NullLog log;
    config::Admin settings;
    settings.listen = config::Endpoint{"127.0.0.1", 0, ""};
    settings.socket = folder.path / "one.sock";
    auto started = HttpServer::start(loop, log, settings,
                                     {.ready = [] { return true; },
                                      .ready_detail = [] { return std::string(); },
                                      .metrics = [] { return std::string(); }});
    REQUIRE(started);
    HttpServer& server = **started;
    const uint16_t port = server.port();
    config::Admin next = settings;
    next.socket = folder.path / "missing" / "two.sock";
    CHECK_FALSE(server.open(next));
    CHECK(std::filesystem::exists(folder.path / "one.sock"));
    next.socket = folder.path / "two.sock";
    CHECK(server.open(next));
    CHECK(std::filesystem::exists(folder.path / "two.sock"));
    server.forget_opened();
    CHECK_FALSE(std::filesystem::exists(folder.path / "two.sock"));
    CHECK(server.open(next));
    server.keep(next);
    CHECK(server.port() == port);
    Client client((folder.path / "two.sock").string());
    client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(client.run_to_the_end(loop));
    CHECK(body_of(client.received) == "ok\n");
    CHECK(std::filesystem::exists(folder.path / "one.sock"));
    loop.advance(3s);
    loop.turn(1);
    CHECK_FALSE(std::filesystem::exists(folder.path / "one.sock"));
}
