#include "config/text.h"

#include <array>

#include <doctest/doctest.h>

namespace holdfast::config {
namespace {

TEST_CASE("quote: is safe for a terminal, and short") {
    CHECK(quote("max_lag") == "'max_lag'");
    CHECK(quote("a\x1b[31m\nb\x7f") == "'a?[31m?b?'");
    CHECK(quote(std::string(200, 'x')) == "'" + std::string(80, 'x') + "...'");
    // A cut inside a character takes the whole of it away.
    CHECK(quote(std::string(79, 'x') + "\u00e9\u00e9") == "'" + std::string(79, 'x') + "...'");
}

TEST_CASE("nearest: finds letters changed, added, left out and swapped") {
    constexpr std::array<std::string_view, 4> words{"max_lag", "balance", "consistency", "rules"};
    CHECK(nearest("max_lagg", words) == "max_lag");
    CHECK(nearest("maxlag", words) == "max_lag");
    CHECK(nearest("MAX_LAG", words) == "max_lag");
    CHECK(nearest("max-lag", words) == "max_lag");
    CHECK(nearest("blaance", words) == "balance");
    CHECK(nearest("consistancy", words) == "consistency");
    CHECK(nearest("rule", words) == "rules");
}

TEST_CASE("nearest: asks nothing when nothing is near") {
    constexpr std::array<std::string_view, 3> words{"max_lag", "to", ""};
    CHECK(nearest("timeout", words).empty());
    CHECK(nearest("xy", words).empty());
    CHECK(nearest("", words).empty());
    CHECK(nearest(std::string(1'000'000, 'm'), words).empty());
}

TEST_CASE("split: keeps empty parts") {
    CHECK(split("", ':') == std::vector<std::string_view>{""});
    CHECK(split("a::b:", ':') == std::vector<std::string_view>{"a", "", "b", ""});
}

}  // namespace
}  // namespace holdfast::config
