#pragma once

#include <cstddef>
#include <vector>

#include "health/gtid.h"
#include "protocol/base/position.h"

namespace holdfast::health {

/// Numbers the states that a primary was seen in, so that sets of GTIDs become positions: each new set of the
/// primary gets the next ordinal, and a replica stands at the newest of them that it has executed wholly.
/// Ordinals grow for ever, also when another server becomes the primary. Keeps a bounded number of sets,
/// thinning out the old ones as it fills.
class GtidHistory {
public:
    static constexpr size_t samples_max = 512;

    /// The primary has executed `set`. What was numbered before and is not part of it (a lost history) is
    /// forgotten.
    Position add(const GtidSet& set);
    /// Where a server stands that has executed `set`; zero: behind everything remembered.
    Position find(const GtidSet& set) const;

private:
    struct Sample {
        Position position;
        GtidSet set;
    };
    void thin_out();

    std::vector<Sample> samples_;  // each covers the one before
    Position last_;
};

}  // namespace holdfast::health
