#include "proxy/engine/timeouts.h"

#include <algorithm>

namespace holdfast::engine {

std::optional<Deadline> next_deadline(const Activity& activity, const config::Timeouts& timeouts) {
    std::optional<Deadline> next;
    if (!activity.is_watched) return next;
    const auto consider = [&](config::milliseconds timeout, TimePoint since, Overdue what) {
        if (timeout.count() > 0 && (!next || since + timeout < next->at)) next = {since + timeout, what};
    };
    const bool is_open = activity.transaction_since != TimePoint{};
    if (is_open) consider(timeouts.transaction, activity.transaction_since, Overdue::transaction);
    if (activity.is_busy) {
        consider(timeouts.query, activity.query_since, Overdue::query);
        if (next) next->at = std::max(next->at, activity.patient_until);
    } else if (is_open) {
        consider(timeouts.idle_in_transaction, activity.quiet_since, Overdue::idle_in_transaction);
    } else {
        consider(timeouts.idle, activity.quiet_since, Overdue::idle);
    }
    return next;
}

}  // namespace holdfast::engine
