#pragma once

#include <cstdint>

#include "protocol/base/clock.h"

namespace holdfast::simulation {

/// The only source of chance in a run: the same seed gives the same history. splitmix64.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) { state_ = next() ^ (seed << 32); }

    uint64_t next() {
        state_ += 0x9e3779b97f4a7c15;
        uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }
    /// One of 0 … n-1; n is not 0.
    uint64_t below(uint64_t n) { return next() % n; }
    /// Both ends included.
    uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
    Duration between(Duration low, Duration high) {
        return Duration(static_cast<int64_t>(
            between(static_cast<uint64_t>(low.count()), static_cast<uint64_t>(high.count()))));
    }
    bool chance(unsigned percent) { return below(100) < percent; }

private:
    uint64_t state_;
};

}  // namespace holdfast::simulation
