#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/loop/address.h"
#include "proxy/loop/listener.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/socket_link.h"
#include "proxy/loop/socket_options.h"
#include "proxy/loop/tls_context.h"

namespace holdfast::loop::test {

using namespace std::chrono_literals;

inline std::unique_ptr<Loop> make_loop() {
    auto loop = Loop::create();
    REQUIRE(loop);
    return std::move(*loop);
}

/// Turns the loop until `done` says so. The limit ends a test that would never end, and nothing waits for it.
inline bool run_until(Loop& loop, const std::function<bool()>& done, Duration limit = 10s) {
    bool late = false;
    const auto guard = loop.after(limit, [&] { late = true; });
    while (!done() && !late) loop.turn();
    return done();
}

/// For what must not happen: gives it some turns and milliseconds in which it would.
inline void settle(Loop& loop, Duration time = 30ms) {
    bool over = false;
    const auto timer = loop.after(time, [&] { over = true; });
    while (!over) loop.turn();
}

/// Keeps all it hears.
class Recorder : public engine::LinkOwner {
public:
    size_t on_bytes(Bytes bytes) override {
        ++calls;
        last_run = std::string(as_text(bytes));
        const size_t taken = on_data ? on_data(bytes) : bytes.size();
        received.append(as_text(bytes.first(std::min(taken, bytes.size()))));
        return taken;
    }
    void on_writable() override {
        ++writable;
        if (when_writable) when_writable();
    }
    void on_secured() override {
        ++secured;
        if (when_secured) when_secured();
    }
    void on_ended(engine::LinkEnd how, std::string_view why) override {
        ++ended;
        end = how;
        detail = std::string(why);
        if (when_ended) when_ended();
    }

    std::unique_ptr<engine::Link> link;
    std::string received;
    std::string last_run;
    std::string detail;
    int calls = 0;
    int writable = 0;
    int secured = 0;
    int ended = 0;
    engine::LinkEnd end{};
    std::function<size_t(Bytes)> on_data;
    std::function<void()> when_writable;
    std::function<void()> when_secured;
    std::function<void()> when_ended;
};

/// Two links that speak with each other over loopback: `near` was accepted, `far` connected.
struct Pair {
    explicit Pair(Loop& l, config::ClientTls tls_settings = {}) : loop(l) {
        auto tls = make_server_tls(tls_settings);
        REQUIRE(tls);
        auto opened = Listener::open(loop, log, {"127.0.0.1", 0, ""}, {}, *tls,
                                     [this](std::unique_ptr<engine::Link> link, const PeerAddress&) {
                                         near.link = std::move(link);
                                         return &near;
                                     });
        REQUIRE(opened);
        listener = std::move(*opened);
        attempt = loop.connect({"127.0.0.1", listener->port(), ""}, cluster, far,
                               [this](Result<std::unique_ptr<engine::Link>> made) {
                                   REQUIRE(made);
                                   far.link = std::move(*made);
                               });
        REQUIRE(run_until(loop, [this] { return near.link && far.link; }));
    }

    Loop& loop;
    NullLog log;
    config::Cluster cluster;
    Recorder near;
    Recorder far;
    std::unique_ptr<Listener> listener;
    std::unique_ptr<engine::Timer> attempt;
};

/// A link on one end of a socket pair, and the bare other end: a peer whose every system call the test makes.
struct Bare {
    explicit Bare(Loop& l) : loop(l) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        peer = Descriptor{ends[1]};
        auto opened = SocketLink::open(loop, Descriptor{ends[0]});
        REQUIRE(opened);
        (*opened)->adopt(owner);
        owner.link = std::move(*opened);
    }
    void send(std::string_view text) {
        REQUIRE(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(text.size()));
    }
    std::string receive() {
        std::string all(1 << 20, '\0');
        const ssize_t got = ::recv(peer.get(), all.data(), all.size(), 0);
        all.resize(got > 0 ? static_cast<size_t>(got) : 0);
        return all;
    }

    Loop& loop;
    Recorder owner;
    Descriptor peer;
};

/// Bytes whose order can be checked.
inline std::string pattern(size_t size) {
    std::string text(size, '\0');
    uint32_t state = 12'345;
    for (char& c : text) {
        state = state * 1'664'525 + 1'013'904'223;
        c = static_cast<char>(state >> 24);
    }
    return text;
}

}  // namespace holdfast::loop::test
