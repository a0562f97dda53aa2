#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/position.h"

namespace holdfast::health {

/// Where the primary was when: what a replica's lag in time is measured by, without comparing clocks. Keeps a
/// bounded number of samples, thinning out the old ones as it fills.
class LagSamples {
public:
    static constexpr size_t samples_max = 512;

    /// The primary had reached `position` when a probe sent at `sent_at` was answered at `received_at`. A
    /// position before the last one (another history) forgets everything known.
    void add(Position position, TimePoint sent_at, TimePoint received_at);
    void clear() { samples_.clear(); }

    bool empty() const { return samples_.empty(); }
    /// The newest position known; zero when there is none.
    Position newest() const { return samples_.empty() ? Position{} : samples_.back().position; }

    /// How far behind a replica is that had replayed up to `replayed` when asked at `asked_at`: the age,
    /// then, of the newest known position of the primary that it has replayed; zero when it has replayed all
    /// that was known by then. Empty: it is behind everything known.
    std::optional<Duration> lag(Position replayed, TimePoint asked_at) const;

private:
    struct Sample {
        Position position;
        TimePoint first_received_at;  // when it was first known
        TimePoint last_sent_at;       // the last time that it was still the newest
    };
    void thin_out();

    std::vector<Sample> samples_;  // positions grow
};

}  // namespace holdfast::health
