#pragma once

#include <optional>

#include "config/settings.h"
#include "protocol/base/clock.h"

namespace holdfast::engine {

/// What timeouts need to know of a session.
struct Activity {
    bool is_watched = true;  // false: it waits for a server, or is a stream that has no end
    bool is_busy = false;    // something is in flight
    TimePoint quiet_since{};
    TimePoint query_since{};        // began, or was last cancelled
    TimePoint patient_until{};      // a cancel is on its way: what is in flight is not overdue before this
    TimePoint transaction_since{};  // zero: none is open
};

enum class Overdue { idle, idle_in_transaction, transaction, query };

struct Deadline {
    TimePoint at;
    Overdue what;
};

/// The next time at which the session has taken too long, if nothing changes until then; it may have passed.
/// nullopt: it never will. Pure.
std::optional<Deadline> next_deadline(const Activity& activity, const config::Timeouts& timeouts);

}  // namespace holdfast::engine
