#include "health/lag.h"

#include <chrono>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::health;
using namespace std::chrono_literals;

namespace {
TimePoint at(Duration time) {
    return TimePoint(time);
}
}  // namespace

TEST_CASE("lag samples: nothing known is no lag known") {
    const LagSamples samples;
    CHECK_FALSE(samples.lag({100}, at(5s)));
    CHECK(samples.empty());
}

TEST_CASE("lag samples: a replica asked before the newest sample came in is not blamed for it") {
    LagSamples samples;
    samples.add({100}, at(1s), at(1s));
    samples.add({200}, at(2s), at(2s + 30ms));
    CHECK(samples.lag({150}, at(2s + 10ms)) == 0s);
    CHECK(samples.lag({150}, at(2s + 40ms)) == 1s + 40ms);
    CHECK(samples.lag({200}, at(2s + 10ms)) == 0s);
    CHECK_FALSE(samples.lag({99}, at(2s + 40ms)));
}

TEST_CASE("lag samples: a position that stays counts from when it was last seen") {
    LagSamples samples;
    samples.add({100}, at(1s), at(1s));
    samples.add({100}, at(8s), at(8s));
    samples.add({300}, at(9s), at(9s));
    CHECK(samples.lag({200}, at(10s)) == 2s);
}

TEST_CASE("lag samples: a position that goes back begins another history") {
    LagSamples samples;
    samples.add({500}, at(1s), at(1s));
    samples.add({100}, at(2s), at(2s));
    CHECK(samples.newest().lsn == 100);
    CHECK(samples.lag({100}, at(3s)) == 0s);
    CHECK_FALSE(samples.lag({50}, at(3s)));
}

TEST_CASE("lag samples: memory is bounded, old lag is measured coarsely, recent lag finely") {
    LagSamples samples;
    for (uint64_t i = 1; i <= 100'000; ++i) {
        const TimePoint time = at(std::chrono::seconds(i));
        samples.add({i * 10}, time, time);
    }
    CHECK(samples.lag({1'000'000}, at(100'000s)) == 0s);
    CHECK(samples.lag({999'900}, at(100'000s)) == 10s);
    const auto old = samples.lag({500'000}, at(100'000s));
    REQUIRE(old);
    CHECK(*old >= 50'000s);
    CHECK(samples.lag({15}, at(100'000s)) == 99'999s);
}
