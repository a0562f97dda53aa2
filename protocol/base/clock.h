#pragma once

#include <chrono>

namespace holdfast {

/// Monotonic time as the program counts it: never set back, unrelated to the time of day. Production takes
/// it from the event loop, tests and the simulation make it up.
using Duration = std::chrono::nanoseconds;
struct MonotonicClock {
    using rep = Duration::rep;
    using period = Duration::period;
    using duration = Duration;
    using time_point = std::chrono::time_point<MonotonicClock>;
    static constexpr bool is_steady = true;
};
using TimePoint = MonotonicClock::time_point;

class Clock {
public:
    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;
};

}  // namespace holdfast
