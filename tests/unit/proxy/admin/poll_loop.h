#pragma once

#include <functional>
#include <list>
#include <memory>
#include <poll.h>
#include <string>
#include <utility>
#include <vector>

#include "health/event_loop.h"

namespace holdfast::admin::test {

/// An event loop over poll() for tests: real descriptors, and a clock that moves only when told.
class PollLoop final : public health::EventLoop {
public:
    TimePoint now() const override { return now_; }

    std::unique_ptr<health::Watch> after(Duration delay, std::function<void()> on_due) override {
        return add({-1, 0, now_ + delay, std::move(on_due)});
    }
    std::unique_ptr<health::Watch> watch(int descriptor, health::Readiness readiness,
                                         std::function<void()> on_ready) override {
        const short events = readiness == health::Readiness::readable   ? POLLIN
                             : readiness == health::Readiness::writable ? POLLOUT
                                                                        : POLLIN | POLLOUT;
        return add({descriptor, events, {}, std::move(on_ready)});
    }
    std::unique_ptr<health::Watch> resolve(const std::string&,
                                           std::function<void(Result<std::vector<std::string>>)>) override {
        return nullptr;
    }

    /// Waits for a descriptor for at most `patience_ms`, then runs what is ready and what is due.
    void turn(int patience_ms = 10) {
        std::vector<pollfd> polled;
        std::vector<uint64_t> ids;
        for (const auto& [id, entry] : entries_) {
            if (entry.descriptor < 0) continue;
            polled.push_back({entry.descriptor, entry.events, 0});
            ids.push_back(id);
        }
        ::poll(polled.data(), polled.size(), patience_ms);
        for (size_t i = 0; i < polled.size(); ++i) {
            if (polled[i].revents != 0) call(ids[i]);
        }
        std::vector<uint64_t> due;
        for (const auto& [id, entry] : entries_) {
            if (entry.descriptor < 0 && entry.due <= now_) due.push_back(id);
        }
        for (const uint64_t id : due) call(id);
    }
    void advance(Duration time) { now_ += time; }

private:
    struct Entry {
        int descriptor;
        short events;
        TimePoint due;
        std::function<void()> callback;
    };
    struct Handle final : health::Watch {
        Handle(PollLoop& owner, uint64_t entry) : loop(owner), id(entry) {}
        ~Handle() override { loop.remove(id); }
        PollLoop& loop;
        uint64_t id;
    };

    std::unique_ptr<health::Watch> add(Entry entry) {
        entries_.emplace_back(++last_id_, std::move(entry));
        return std::make_unique<Handle>(*this, last_id_);
    }
    void remove(uint64_t id) {
        entries_.remove_if([id](const auto& item) { return item.first == id; });
    }
    void call(uint64_t id) {
        for (const auto& item : entries_) {
            if (item.first != id) continue;
            const auto callback = item.second.callback;  // survives a watch ended by it
            const bool is_timer = item.second.descriptor < 0;
            if (is_timer) remove(id);
            callback();
            return;
        }
    }

    TimePoint now_{std::chrono::hours(1)};
    uint64_t last_id_ = 0;
    std::list<std::pair<uint64_t, Entry>> entries_;
};

}  // namespace holdfast::admin::test
