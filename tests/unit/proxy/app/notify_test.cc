#include "proxy/app/notify.h"

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "proxy/app/loop_lag.h"
#include "proxy/loop/socket_options.h"
#include "tests/unit/proxy/admin/poll_loop.h"

using namespace holdfast;
using namespace holdfast::app;
using namespace std::chrono_literals;
using admin::test::PollLoop;

namespace {

/// The service manager's end, in the abstract namespace.
class Manager {
public:
    explicit Manager(const char* watchdog_us) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
        const std::string name = "holdfast-notify-" + std::to_string(::getpid());
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path + 1, name.data(), name.size());
        const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
        ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
        if (watchdog_us != nullptr) {
            ::setenv("WATCHDOG_USEC", watchdog_us, 1);
            ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
        }
    }
    ~Manager() {
        for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
    }
    /// The next message; empty: none.
    std::string heard() {
        std::array<char, 512> text{};
        const ssize_t got = ::recv(socket_.get(), text.data(), text.size(), 0);
        return got > 0 ? std::string(text.data(), static_cast<size_t>(got)) : std::string();
    }

private:
    loop::Descriptor socket_;
};

}  // namespace

TEST_CASE("service manager: hears that we are ready when we are, and that we stop") {
    Manager manager(nullptr);
    PollLoop loop;
    ServiceManager us(loop);
    bool is_ready = false;
    int announced = 0;
    us.announce_ready([&] { return is_ready; }, [&] { ++announced; });
    loop.advance(1s);
    loop.turn(0);
    CHECK(manager.heard().empty());
    is_ready = true;
    loop.advance(1s);
    loop.turn(0);
    CHECK(manager.heard().find("READY=1") == 0);
    CHECK(announced == 1);
    loop.advance(1h);
    loop.turn(0);
    CHECK(manager.heard().empty());
    us.announce_stopping(60s);
    CHECK(manager.heard().find("STOPPING=1\nEXTEND_TIMEOUT_USEC=70000000\n") == 0);
}

TEST_CASE("service manager: its watchdog is fed twice as often as it asks, by the loop") {
    Manager manager("10000000");
    PollLoop loop;
    ServiceManager us(loop);
    CHECK(manager.heard() == "WATCHDOG=1");
    loop.advance(4900ms);
    loop.turn(0);
    CHECK(manager.heard().empty());
    loop.advance(100ms);
    loop.turn(0);
    CHECK(manager.heard() == "WATCHDOG=1");
    loop.advance(5s);
    loop.turn(0);
    CHECK(manager.heard() == "WATCHDOG=1");
}

TEST_CASE("service manager: without one, readiness is still announced to the log") {
    PollLoop loop;
    ServiceManager us(loop);
    int announced = 0;
    us.announce_ready([] { return true; }, [&] { ++announced; });
    us.announce_reloading();
    us.announce_reloaded(true);
    us.announce_stopping(60s);
    CHECK(announced == 1);
}

TEST_CASE("service manager: is shown the status when it changes, as one line") {
    Manager manager(nullptr);
    PollLoop loop;
    ServiceManager us(loop);
    std::string status = "shop: primary pg1";
    us.show([&] { return status; });
    us.announce_ready([] { return true; }, [] {});
    CHECK(manager.heard() == "READY=1\nSTATUS=shop: primary pg1");
    loop.advance(1s);
    loop.turn(0);
    CHECK(manager.heard().empty());
    status = "shop: primary pg2\nREADY=1";
    loop.advance(1s);
    loop.turn(0);
    CHECK(manager.heard() == "STATUS=shop: primary pg2?READY=1");
    us.announce_stopping(1s);
    CHECK(manager.heard().find("STOPPING=1") == 0);
    status = "shop: no primary";
    loop.advance(1s);
    loop.turn(0);
    CHECK(manager.heard().empty());
}

TEST_CASE("service manager: hears of a reload, and of one that was rejected until the next is applied") {
    Manager manager(nullptr);
    PollLoop loop;
    ServiceManager us(loop);
    us.show([] { return std::string("fine"); });
    us.announce_ready([] { return true; }, [] {});
    CHECK(manager.heard() == "READY=1\nSTATUS=fine");
    us.announce_reloading();
    CHECK(manager.heard().find("RELOADING=1\nMONOTONIC_USEC=") == 0);
    us.announce_reloaded(false);
    CHECK(manager.heard().find("READY=1\nSTATUS=fine; the last reload was rejected") == 0);
    loop.advance(1s);
    loop.turn(0);
    CHECK(manager.heard().empty());
    us.announce_reloading();
    CHECK(manager.heard().find("RELOADING=1") == 0);
    us.announce_reloaded(true);
    CHECK(manager.heard() == "READY=1\nSTATUS=fine");
}

TEST_CASE("service manager: a reload makes nothing ready that was not, or that is about to end") {
    Manager manager(nullptr);
    PollLoop loop;
    ServiceManager us(loop);
    bool is_ready = false;
    us.announce_ready([&] { return is_ready; }, [] {});
    us.announce_reloading();
    us.announce_reloaded(true);
    CHECK(manager.heard().empty());
    is_ready = true;
    loop.advance(1s);
    loop.turn(0);
    CHECK(manager.heard().find("READY=1") == 0);
    us.announce_reloading();
    CHECK(manager.heard().find("RELOADING=1") == 0);
    us.announce_stopping(1s);
    CHECK(manager.heard().find("STOPPING=1") == 0);
    us.announce_reloaded(true);
    CHECK(manager.heard().empty());
}

TEST_CASE("loop lag: samples how late its timer ran, again and again") {
    PollLoop loop;
    std::vector<Duration> samples;
    LoopLag lag(loop, [&](Duration sample) { samples.push_back(sample); });
    loop.advance(100ms);
    loop.turn(0);
    loop.advance(350ms);
    loop.turn(0);
    REQUIRE(samples.size() == 2);
    CHECK(samples[0] == 0ms);
    CHECK(samples[1] == 250ms);
}
