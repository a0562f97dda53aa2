#include <csignal>
#include <thread>

#include "harness.h"

namespace holdfast::loop::test {

TEST_CASE("defer: runs in order, at the end of the turn, after the callback that asked has returned") {
    const auto loop = make_loop();
    std::string order;
    const auto timer = loop->after(0ms, [&] {
        loop->defer([&] {
            order += "b";
            loop->defer([&] { order += "d"; });
        });
        loop->defer([&] { order += "c"; });
        order += "a";
    });
    CHECK(run_until(*loop, [&] { return order.size() == 4; }));
    CHECK(order == "abcd");
}

TEST_CASE("defer: a task that defers itself for ever neither blocks the loop nor waits for an event") {
    const auto loop = make_loop();
    int runs = 0;
    std::function<void()> again = [&] {
        ++runs;
        loop->defer(again);
    };
    loop->defer(again);
    bool due = false;
    const auto timer = loop->after(5ms, [&] { due = true; });
    CHECK(run_until(*loop, [&] { return due && runs > 100; }));
}

TEST_CASE("timers: are never early, come in order, and end when destroyed, also by themselves") {
    const auto loop = make_loop();
    std::string order;
    const TimePoint began = loop->now();
    TimePoint first{};
    auto slow = loop->after(20ms, [&] { order += "2"; });
    const auto fast = loop->after(3ms, [&] {
        first = loop->now();
        order += "1";
    });
    auto never = loop->after(1ms, [&] { order += "x"; });
    never.reset();
    std::unique_ptr<engine::Timer> self;
    const std::string captured(100, 's');
    self = loop->after(1ms, [&self, &order, captured] {
        self.reset();
        order += captured.substr(0, 1);  // what a callback stands on outlives the timer
    });
    CHECK(run_until(*loop, [&] { return order.size() >= 3; }));
    CHECK(order == "s12");
    CHECK(first - began >= 3ms);
}

TEST_CASE("now: stands still within a callback and moves between them") {
    const auto loop = make_loop();
    bool same = false;
    TimePoint seen{};
    const auto one = loop->after(1ms, [&] {
        seen = loop->now();
        const auto until = std::chrono::steady_clock::now() + 3ms;
        while (std::chrono::steady_clock::now() < until) continue;
        same = loop->now() == seen;
    });
    bool done = false;
    TimePoint later{};
    const auto two = loop->after(10ms, [&] {
        later = loop->now();
        done = true;
    });
    CHECK(run_until(*loop, [&] { return done; }));
    CHECK(same);
    CHECK(later - seen >= 3ms);
}

TEST_CASE("offload: works on another thread and comes back on the loop's") {
    const auto loop = make_loop();
    const auto own = std::this_thread::get_id();
    std::thread::id worked;
    std::thread::id came_back;
    loop->offload([&] { worked = std::this_thread::get_id(); },
                  [&] { came_back = std::this_thread::get_id(); });
    CHECK(run_until(*loop, [&] { return came_back != std::thread::id{}; }));
    CHECK(worked != own);
    CHECK(came_back == own);
}

TEST_CASE("offload: a loop that ends first calls nobody") {
    bool told = false;
    {
        const auto loop = make_loop();
        loop->offload([] {}, [&] { told = true; });
    }
    CHECK_FALSE(told);
}

TEST_CASE("signals: are told on the loop, and run() ends with stop()") {
    const auto loop = make_loop();
    int caught = 0;
    const auto watch = loop->on_signal(SIGHUP, [&] {
        ++caught;
        loop->stop();
    });
    const auto guard = loop->after(10s, [&] { loop->stop(); });
    loop->defer([] { std::raise(SIGHUP); });
    loop->run();
    CHECK(caught == 1);
}

TEST_CASE("random: fills the bytes it is given, differently each time") {
    const auto loop = make_loop();
    std::array<std::byte, 32> one{};
    std::array<std::byte, 32> two{};
    loop->random(one.data(), one.size());
    loop->random(two.data(), two.size());
    CHECK(one != two);
}

TEST_CASE("resolve: numeric addresses come as they are, but later; names come as addresses") {
    const auto loop = make_loop();
    std::vector<std::string> v4;
    std::vector<std::string> v6;
    std::vector<std::string> named;
    const auto one = loop->events().resolve("192.0.2.7", [&](auto r) { v4 = *r; });
    const auto two = loop->events().resolve("2001:db8::0:1", [&](auto r) { v6 = *r; });
    const auto three = loop->events().resolve("localhost", [&](auto r) { named = *r; });
    CHECK(v4.empty());
    CHECK(run_until(*loop, [&] { return !v4.empty() && !v6.empty() && !named.empty(); }));
    CHECK(v4 == std::vector<std::string>{"192.0.2.7"});
    CHECK(v6 == std::vector<std::string>{"2001:db8::1"});
    CHECK((named.front() == "127.0.0.1" || named.front() == "::1"));
}

TEST_CASE("resolve: an error names the host; a destroyed watch hears nothing") {
    const auto loop = make_loop();
    std::string message;
    bool heard = false;
    const auto kept = loop->events().resolve("no such host", [&](auto r) {
        REQUIRE_FALSE(r);
        CHECK(r.error().code == ErrorCode::not_found);
        message = r.error().message;
    });
    auto dropped = loop->events().resolve("localhost", [&](auto) { heard = true; });
    auto dropped_numeric = loop->events().resolve("127.0.0.1", [&](auto) { heard = true; });
    dropped.reset();
    dropped_numeric.reset();
    CHECK(run_until(*loop, [&] { return !message.empty(); }));
    settle(*loop);
    CHECK(message.find("no such host") != std::string::npos);
    CHECK_FALSE(heard);
}

TEST_CASE("watch: tells while a descriptor is ready, and can be destroyed by its callback") {
    const auto loop = make_loop();
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    const Descriptor a{ends[0]};
    Descriptor b{ends[1]};
    int readable = 0;
    std::unique_ptr<health::Watch> watch = loop->events().watch(a.get(), health::Readiness::readable, [&] {
        // Level-triggered: the byte is not read, and is told of again.
        if (++readable == 3) watch.reset();
    });
    settle(*loop, 5ms);
    CHECK(readable == 0);
    REQUIRE(::send(b.get(), "x", 1, 0) == 1);
    CHECK(run_until(*loop, [&] { return readable == 3; }));
    settle(*loop, 5ms);
    CHECK(readable == 3);
    bool writable = false;
    watch = loop->events().watch(a.get(), health::Readiness::writable, [&] {
        writable = true;
        watch.reset();
    });
    CHECK(run_until(*loop, [&] { return writable; }));
}

TEST_CASE("watch: a connection in error is told of as ready, as often as it is asked for") {
    const auto loop = make_loop();
    auto socket = open_stream_socket(AF_INET);
    // Bound and not listening: nobody else gets the port, and connecting to it is refused.
    const auto closed = open_stream_socket(AF_INET);
    auto address = numeric_address("127.0.0.1", 0);
    REQUIRE(::bind(closed.get(), address->get(), address->size) == 0);
    REQUIRE(::getsockname(closed.get(), address->get(), &address->size) == 0);
    (void)::connect(socket.get(), address->get(), address->size);
    int told = 0;
    std::unique_ptr<health::Watch> watch =
        loop->events().watch(socket.get(), health::Readiness::readable_or_writable, [&] { ++told; });
    CHECK(run_until(*loop, [&] { return told >= 2; }));
    watch.reset();
    CHECK(take_socket_error(socket.get()) == ECONNREFUSED);
}

}  // namespace holdfast::loop::test
