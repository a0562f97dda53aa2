#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/admin/series.h"
#include "proxy/engine/metrics.h"

namespace holdfast::admin {

inline constexpr size_t target_count = static_cast<size_t>(engine::target_count);

/// Shows what was counted in plain numbers since the last time.
inline void publish_count(prometheus::Counter& shown, uint64_t& unpublished) {
    if (unpublished > 0) shown.Increment(static_cast<double>(unpublished));
    unpublished = 0;
}

/// A series that is made at its first event, and what it doesn't show yet.
struct LateCount {
    prometheus::Counter* counter = nullptr;
    uint64_t unpublished = 0;
};

/// A cluster's statements by what decided where they went. Its series are made at the first statement of
/// their kind: most combinations never occur. Must not outlive `series`.
class DecisionCounts {
public:
    explicit DecisionCounts(Series& series) : series_(&series) {}

    void count(engine::Target target, engine::RouteReason route, sql::Reason classified) {
        if (!counts_) counts_ = std::make_unique<Counts>();
        LateCount& count = (*counts_)[static_cast<size_t>(target)][static_cast<size_t>(route)]
                                     [static_cast<size_t>(classified)];
        if (count.counter == nullptr) make(count, target, route, classified);
        ++count.unpublished;
    }
    /// To be called before the series are read.
    void publish() {
        for (LateCount* count : used_) publish_count(*count->counter, count->unpublished);
    }

private:
    static constexpr size_t reason_count = static_cast<size_t>(sql::Reason::too_long) + 1;
    /// [target][route][reason]
    using Counts = std::array<
        std::array<std::array<LateCount, reason_count>, static_cast<size_t>(engine::route_reason_count)>,
        target_count>;

    void make(LateCount& count, engine::Target target, engine::RouteReason route, sql::Reason classified) {
        count.counter =
            series_->counter(rows::routing_decisions, {{"target", std::string(to_string(target))},
                                                       {"route", std::string(to_string(route))},
                                                       {"reason", std::string(sql::to_string(classified))}});
        used_.push_back(&count);
    }

    Series* series_;
    std::unique_ptr<Counts> counts_;  // null: there was no statement yet
    std::vector<LateCount*> used_;    // those of them that have a series
};

/// A server's statements by what it was chosen as. Must not outlive `series`.
class ServerStatementCounts {
public:
    explicit ServerStatementCounts(Series& series) : series_(&series) {}

    void count(engine::Target target) {
        LateCount& count = counts_[static_cast<size_t>(target)];
        if (count.counter == nullptr) {
            count.counter = series_->counter(rows::statements, {{"target", std::string(to_string(target))}});
        }
        ++count.unpublished;
    }
    /// To be called before the series are read.
    void publish() {
        for (LateCount& count : counts_) {
            if (count.counter != nullptr) publish_count(*count.counter, count.unpublished);
        }
    }

private:
    Series* series_;
    std::array<LateCount, target_count> counts_{};
};

}  // namespace holdfast::admin
