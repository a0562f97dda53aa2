#include <cstdlib>
#include <sys/un.h>

#include "harness.h"

namespace holdfast::loop::test {
namespace {

using Made = std::optional<Result<std::unique_ptr<engine::Link>>>;

/// Listens and never accepts; with its queue full, more connections get no answer.
struct Deaf {
    Deaf() {
        auto address = numeric_address("127.0.0.1", 0);
        REQUIRE(::bind(socket.get(), address->get(), address->size) == 0);
        REQUIRE(::listen(socket.get(), 0) == 0);
        REQUIRE(::getsockname(socket.get(), address->get(), &address->size) == 0);
        port = port_of(*address);
        for (auto& one : waiting) {
            one = open_stream_socket(AF_INET);
            (void)::connect(one.get(), address->get(), address->size);
        }
    }
    Descriptor socket = open_stream_socket(AF_INET);
    std::array<Descriptor, 4> waiting;
    uint16_t port = 0;
};

/// A port that is taken and refuses.
struct Refusing {
    Refusing() {
        auto address = numeric_address("127.0.0.1", 0);
        REQUIRE(::bind(socket.get(), address->get(), address->size) == 0);
        REQUIRE(::getsockname(socket.get(), address->get(), &address->size) == 0);
        port = port_of(*address);
    }
    Descriptor socket = open_stream_socket(AF_INET);
    uint16_t port = 0;
};

struct Directory {
    Directory() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    ~Directory() { ::rmdir(path.c_str()); }
    std::string path = "/tmp/holdfast-loop-XXXXXX";
};

}  // namespace

TEST_CASE("connect: refused is an error that names the address, told later") {
    const auto loop = make_loop();
    const Refusing refusing;
    Recorder owner;
    Made made;
    const auto attempt = loop->connect({"127.0.0.1", refusing.port, ""}, {}, owner,
                                       [&](auto result) { made.emplace(std::move(result)); });
    CHECK_FALSE(made);
    REQUIRE(run_until(*loop, [&] { return made.has_value(); }));
    REQUIRE_FALSE(made->ok());
    CHECK(made->error().code == ErrorCode::unreachable);
    CHECK(made->error().message ==
          "can't connect to 127.0.0.1:" + std::to_string(refusing.port) + ": Connection refused");
}

TEST_CASE("connect: no answer ends with the timeout") {
    const auto loop = make_loop();
    const Deaf deaf;
    Recorder owner;
    config::Cluster cluster;
    cluster.connect_timeout = 60ms;
    Made made;
    const TimePoint began = loop->now();
    const auto attempt = loop->connect({"127.0.0.1", deaf.port, ""}, cluster, owner,
                                       [&](auto result) { made.emplace(std::move(result)); });
    REQUIRE(run_until(*loop, [&] { return made.has_value(); }));
    REQUIRE_FALSE(made->ok());
    CHECK(made->error().code == ErrorCode::timed_out);
    CHECK(made->error().message.find("60ms") != std::string::npos);
    CHECK(loop->now() - began >= 60ms);
    CHECK(loop->now() - began < 2s);
}

TEST_CASE("connect: a name's addresses are tried in turn") {
    const auto loop = make_loop();
    // "localhost" is ::1 and 127.0.0.1 in whichever order; only one of them listens.
    NullLog log;
    Recorder near;
    auto listener = Listener::open(*loop, log, {"127.0.0.1", 0, ""}, {}, nullptr,
                                   [&](std::unique_ptr<engine::Link> link, const PeerAddress&) {
                                       near.link = std::move(link);
                                       return &near;
                                   });
    REQUIRE(listener);
    Recorder owner;
    Made made;
    const auto attempt = loop->connect({"localhost", (*listener)->port(), ""}, {}, owner,
                                       [&](auto result) { made.emplace(std::move(result)); });
    REQUIRE(run_until(*loop, [&] { return made.has_value() && near.link; }));
    REQUIRE(made->ok());
    (**made)->write(as_bytes("hi"));
    CHECK(run_until(*loop, [&] { return near.received == "hi"; }));
}

TEST_CASE("connect: a name without address is an error that names it") {
    const auto loop = make_loop();
    Recorder owner;
    Made made;
    const auto attempt = loop->connect({"no such host", 5432, ""}, {}, owner,
                                       [&](auto result) { made.emplace(std::move(result)); });
    REQUIRE(run_until(*loop, [&] { return made.has_value(); }));
    REQUIRE_FALSE(made->ok());
    CHECK(made->error().code == ErrorCode::not_found);
    CHECK(made->error().message.find("no such host") != std::string::npos);
}

TEST_CASE("connect: destroying the attempt cancels it, at every stage and in its callback") {
    const auto loop = make_loop();
    const Deaf deaf;
    const Refusing refusing;
    Recorder owner;
    bool told = false;
    const auto tell = [&](auto) { told = true; };
    for (const auto& endpoint : {config::Endpoint{"127.0.0.1", deaf.port, ""},
                                 {"localhost", deaf.port, ""},
                                 {"127.0.0.1", refusing.port, ""},
                                 {"", 0, "/nonexistent/socket"}}) {
        auto attempt = loop->connect(endpoint, {}, owner, tell);
        attempt.reset();
        attempt = loop->connect(endpoint, {}, owner, tell);
        if (endpoint.port == deaf.port) loop->turn();
        attempt.reset();
    }
    settle(*loop);
    CHECK_FALSE(told);
    std::unique_ptr<engine::Timer> attempt;
    attempt = loop->connect({"127.0.0.1", refusing.port, ""}, {}, owner, [&](auto) {
        attempt.reset();
        told = true;
    });
    CHECK(run_until(*loop, [&] { return told; }));
}

TEST_CASE("connect: a Unix socket that is missing, too long, or full") {
    const auto loop = make_loop();
    Recorder owner;
    const auto result_of = [&](const std::string& path, const config::Cluster& cluster) {
        Made made;
        const auto attempt = loop->connect({"", 0, path}, cluster, owner,
                                           [&](auto result) { made.emplace(std::move(result)); });
        REQUIRE(run_until(*loop, [&] { return made.has_value(); }));
        REQUIRE_FALSE(made->ok());
        return made->error();
    };
    const auto missing = result_of("/nonexistent/socket", {});
    CHECK(missing.code == ErrorCode::unreachable);
    CHECK(missing.message == "can't connect to /nonexistent/socket: No such file or directory");
    CHECK(result_of("/" + std::string(200, 'x'), {}).code == ErrorCode::bad_length);

    const Directory directory;
    const std::string path = directory.path + "/full";
    auto address = unix_address(path);
    const auto socket = open_stream_socket(AF_UNIX);
    REQUIRE(::bind(socket.get(), address->get(), address->size) == 0);
    REQUIRE(::listen(socket.get(), 0) == 0);
    const auto first = open_stream_socket(AF_UNIX);
    REQUIRE(::connect(first.get(), address->get(), address->size) == 0);
    config::Cluster cluster;
    cluster.connect_timeout = 50ms;
    CHECK(result_of(path, cluster).code == ErrorCode::timed_out);
    // With room again the waiting attempt gets in.
    Made made;
    cluster.connect_timeout = 5s;
    const auto attempt =
        loop->connect({"", 0, path}, cluster, owner, [&](auto result) { made.emplace(std::move(result)); });
    settle(*loop);
    CHECK_FALSE(made.has_value());
    const Descriptor accepted{::accept(socket.get(), nullptr, nullptr)};
    CHECK(run_until(*loop, [&] { return made.has_value(); }));
    CHECK(made->ok());
    ::unlink(path.c_str());
}

}  // namespace holdfast::loop::test
