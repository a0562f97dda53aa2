#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <poll.h>
#include <string>
#include <utility>
#include <vector>

#include "health/event_loop.h"

namespace holdfast::health::testing {

/// A small event loop on poll() and the real clock, for tests that need real sockets. Names are not looked
/// up: what is asked for is taken to be an address.
class PollLoop final : public EventLoop {
public:
    TimePoint now() const override {
        return TimePoint(
            std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
    }
    std::unique_ptr<Watch> after(Duration delay, std::function<void()> on_due) override {
        const uint64_t key = ++last_key_;
        timers_[key] = {now() + delay, std::move(on_due)};
        return std::make_unique<Entry>([this, key] { timers_.erase(key); });
    }
    std::unique_ptr<Watch> watch(int descriptor, Readiness readiness,
                                 std::function<void()> on_ready) override {
        const uint64_t key = ++last_key_;
        short events = 0;
        if (readiness != Readiness::writable) events |= POLLIN;
        if (readiness != Readiness::readable) events |= POLLOUT;
        sockets_[key] = {descriptor, events, std::move(on_ready)};
        return std::make_unique<Entry>([this, key] { sockets_.erase(key); });
    }
    std::unique_ptr<Watch> resolve(const std::string& host,
                                   std::function<void(Result<std::vector<std::string>>)> on_done) override {
        return after(Duration::zero(), [host, on_done] { on_done(std::vector<std::string>{host}); });
    }

    /// Runs until `is_done` holds; returns whether it did before the time was over.
    bool run_until(const std::function<bool()>& is_done, Duration time_limit = std::chrono::seconds(10)) {
        const TimePoint end = now() + time_limit;
        while (!is_done()) {
            if (now() >= end) return false;
            turn(std::min(end, now() + std::chrono::milliseconds(50)));
        }
        return true;
    }

private:
    struct Entry final : Watch {
        explicit Entry(std::function<void()> remove) : remove_(std::move(remove)) {}
        ~Entry() override { remove_(); }
        std::function<void()> remove_;
    };
    struct Timer {
        TimePoint due;
        std::function<void()> on_due;
    };
    struct Socket {
        int descriptor;
        short events;
        std::function<void()> on_ready;
    };

    void turn(TimePoint latest) {
        for (const auto& [key, timer] : timers_) latest = std::min(latest, timer.due);
        std::vector<pollfd> polled;
        std::vector<uint64_t> keys;
        for (const auto& [key, socket] : sockets_) {
            polled.push_back({socket.descriptor, socket.events, 0});
            keys.push_back(key);
        }
        const auto wait =
            std::chrono::ceil<std::chrono::milliseconds>(std::max(latest - now(), Duration::zero()));
        poll(polled.data(), polled.size(), static_cast<int>(wait.count()));
        for (size_t i = 0; i < polled.size(); ++i) {
            const auto socket = sockets_.find(keys[i]);  // an earlier callback may have ended it
            if (polled[i].revents == 0 || socket == sockets_.end()) continue;
            const auto on_ready = socket->second.on_ready;
            on_ready();
        }
        std::vector<uint64_t> due;
        for (const auto& [key, timer] : timers_) {
            if (timer.due <= now()) due.push_back(key);
        }
        for (const uint64_t key : due) {
            const auto timer = timers_.find(key);
            if (timer == timers_.end()) continue;
            const auto on_due = std::move(timer->second.on_due);
            timers_.erase(timer);
            on_due();
        }
    }

    uint64_t last_key_ = 0;
    std::map<uint64_t, Timer> timers_;
    std::map<uint64_t, Socket> sockets_;
};

}  // namespace holdfast::health::testing
