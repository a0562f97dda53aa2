#include "proxy/app/local_checks.h"

#include <doctest/doctest.h>

using namespace holdfast::app;

namespace {

constexpr int64_t day = 86'400;
constexpr int64_t now = 1'800'000'000;  // 2027-01-15 08:00:00 UTC

std::vector<Finding> judged(int64_t seconds_left) {
    std::vector<Finding> out;
    add_certificate_finding(out, "here", "it", now + seconds_left, now);
    return out;
}

}  // namespace

TEST_CASE("certificate: a warning comes 14 days before its end, an error behind it") {
    CHECK(judged(14 * day).empty());
    const auto soon = judged(14 * day - 1);
    REQUIRE(soon.size() == 1);
    CHECK(soon[0].severity == Finding::Severity::warning);
    CHECK(soon[0].where == "here");
    CHECK(soon[0].message == "it runs out in 13 days, on 2027-01-29");
    CHECK(judged(0)[0].message == "it runs out in 0 days, on 2027-01-15");
    const auto over = judged(-1);
    REQUIRE(over.size() == 1);
    CHECK(over[0].severity == Finding::Severity::error);
    CHECK(over[0].message == "it has run out, on 2027-01-15");
}

TEST_CASE("date: is the day in UTC") {
    CHECK(date_text(0) == "1970-01-01");
    CHECK(date_text(now) == "2027-01-15");
}
