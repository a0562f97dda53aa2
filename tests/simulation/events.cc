#include "tests/simulation/events.h"

#include <utility>

namespace holdfast::simulation {

std::shared_ptr<Events::Task> Events::at(TimePoint when, std::function<void()> run) {
    auto task = std::make_shared<Task>(Task{std::move(run)});
    queue_.push({std::max(when, now_), ++asked_, task});
    return task;
}

void Events::run_until(TimePoint end, const std::function<bool()>& stop) {
    end_turn();
    while (!queue_.empty() && queue_.top().when <= end) {
        const Entry entry = queue_.top();
        queue_.pop();
        if (!entry.task->run) continue;
        now_ = entry.when;
        ++count_;
        // Taken out first: a timer may be destroyed from within its own callback.
        const auto run = std::exchange(entry.task->run, {});
        run();
        end_turn();
        if (stop && stop()) return;
    }
    now_ = std::max(now_, end);
}

void Events::end_turn() {
    while (!deferred_.empty()) {
        for (const auto& run : std::exchange(deferred_, {})) run();
    }
}

void Events::clear() {
    end_turn();
    while (!queue_.empty()) {
        const auto task = queue_.top().task;
        queue_.pop();
        task->run = {};
    }
    deferred_.clear();
}

}  // namespace holdfast::simulation
