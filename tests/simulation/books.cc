#include "tests/simulation/books.h"

#include <algorithm>

#include "tests/simulation/server.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;

namespace {
/// After a fault is over, its consequences are for some time: probes rise, slow statements end.
constexpr Duration aftermath = 3s;
constexpr size_t problems_kept_max = 20;
}  // namespace

void Books::problem(const std::string& text) {
    trace_.line("PROBLEM", text);
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(events_.now().time_since_epoch()).count() -
        3'600'000;
    if (problems_.size() < problems_kept_max)
        problems_.push_back("at " + std::to_string(ms) + " ms: " + text);
}

void Books::view(const health::View& view) {
    if (primaries_.empty() || primaries_.back().second != view.primary) {
        primaries_.emplace_back(events_.now(), view.primary);
    }
}

void Books::executed(uint64_t tag, const Server& server, TimePoint sent_at) {
    Execution& execution = executions_[tag];
    ++execution.times;
    execution.where += server.name() + " (timeline " + std::to_string(server.timeline()) + ") ";
    if (execution.times > 1) {
        problem("write " + std::to_string(tag) + " was run " + std::to_string(execution.times) +
                " times: " + execution.where);
    }
    if (&server == truth_) return;
    // It is not the primary any more: nothing may have been sent there after the proxy knew another one.
    bool known_elsewhere = false;
    for (const auto& [since, primary] : primaries_) {
        if (since >= sent_at) {
            if (since == sent_at) known_elsewhere = false;
            break;
        }
        known_elsewhere = primary && primary->value != server.number();
    }
    if (known_elsewhere) {
        problem("write " + std::to_string(tag) + " was sent to " + server.name() +
                " when another server was the primary");
    }
}

bool Books::survives(uint64_t tag) const {
    for (auto record = truth_->log().rbegin(); record != truth_->log().rend(); ++record) {
        for (const Change& change : (*record)->changes) {
            if (change.tag == tag) return true;
        }
    }
    return false;
}

void Books::fault_begins() {
    if (++faults_ == 1) disturbances_.emplace_back(events_.now(), std::nullopt);
}

void Books::fault_ends() {
    if (--faults_ == 0) disturbances_.back().second = events_.now() + aftermath;
}

bool Books::is_disturbed(TimePoint from, TimePoint to) const {
    return std::any_of(disturbances_.begin(), disturbances_.end(), [&](const auto& each) {
        return each.first <= to && (!each.second || *each.second >= from);
    });
}

void Books::check_history(bool lossless) {
    std::unordered_map<uint64_t, int> commits;
    for (const RecordRef& record : truth_->log()) {
        for (const Change& change : record->changes) ++commits[change.tag];
    }
    for (const auto& [tag, times] : commits) {
        if (times > 1)
            problem("write " + std::to_string(tag) + " is in the history " + std::to_string(times) +
                    " times");
    }
    std::vector<std::pair<uint64_t, Fate>> sorted(fates_.begin(), fates_.end());
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [tag, fate] : sorted) {
        const bool is_there = commits.contains(tag);
        if (fate == Fate::acknowledged) {
            ++writes_acknowledged;
            if (!is_there && lossless)
                problem("write " + std::to_string(tag) + " was acknowledged and is lost");
            if (!is_there && !executions_.contains(tag)) {
                problem("write " + std::to_string(tag) + " was acknowledged and never run");
            }
        }
        if (fate == Fate::failed && is_there) {
            problem("write " + std::to_string(tag) + " was reported as not done, and is in the history");
        }
        if (fate == Fate::open) problem("write " + std::to_string(tag) + " was never answered");
    }
}

}  // namespace holdfast::simulation
