#pragma once

#include <functional>
#include <memory>
#include <queue>
#include <vector>

#include "protocol/base/clock.h"

namespace holdfast::simulation {

/// Virtual time. Events run one by one, by time and then by the order in which they were asked for; each is a
/// turn of the loop, at whose end the deferred tasks run.
class Events {
public:
    struct Task {
        std::function<void()> run;  // empty: cancelled, or running
    };

    TimePoint now() const { return now_; }
    /// Runs `run` once at `when`; not before this call has returned.
    std::shared_ptr<Task> at(TimePoint when, std::function<void()> run);
    std::shared_ptr<Task> after(Duration delay, std::function<void()> run) {
        return at(now_ + delay, std::move(run));
    }
    /// Runs `run` at the end of this turn.
    void defer(std::function<void()> run) { deferred_.push_back(std::move(run)); }
    /// Runs everything until `end`, which is then the time. Stops early when `stop` says so after an event.
    void run_until(TimePoint end, const std::function<bool()>& stop);
    /// Drops what was not run yet.
    void clear();
    uint64_t count() const { return count_; }

private:
    struct Entry {
        TimePoint when;
        uint64_t number;
        std::shared_ptr<Task> task;
        bool operator<(const Entry& other) const {
            return when != other.when ? when > other.when : number > other.number;
        }
    };
    void end_turn();

    std::priority_queue<Entry> queue_;
    std::vector<std::function<void()>> deferred_;
    TimePoint now_{std::chrono::hours(1)};
    uint64_t asked_ = 0;
    uint64_t count_ = 0;
};

}  // namespace holdfast::simulation
