#include "config/units.h"

#include <doctest/doctest.h>

namespace holdfast::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("duration: a whole number and its unit") {
    CHECK(*parse_duration("500ms") == 500ms);
    CHECK(*parse_duration("5s") == 5'000ms);
    CHECK(*parse_duration("2m") == 120'000ms);
    CHECK(*parse_duration("1h") == 3'600'000ms);
    CHECK(*parse_duration("0s") == 0ms);
}

TEST_CASE("duration: anything else is refused with examples") {
    for (const char* text :
         {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "5sec", "1m30s", "5d", "٥s"}) {
        CAPTURE(text);
        const auto parsed = parse_duration(text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().code == ErrorCode::bad_value);
        CHECK(parsed.error().message.find(R"(a duration such as "500ms", "5s", "2m" or "1h")") == 9);
    }
}

TEST_CASE("duration: refuses what does not fit instead of wrapping") {
    CHECK(parse_duration("9223372036854775807ms"));
    for (const char* text : {"9223372036854775808ms", "9223372036854775807s", "18446744073709551617ms",
                             "99999999999999999999999999h"}) {
        CAPTURE(text);
        const auto parsed = parse_duration(text);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().code == ErrorCode::limit_exceeded);
    }
}

TEST_CASE("size: thousands and 1024s are told apart") {
    CHECK(*parse_size("512B") == 512);
    CHECK(*parse_size("10kB") == 10'000);
    CHECK(*parse_size("10KiB") == 10'240);
    CHECK(*parse_size("64MiB") == 67'108'864);
    CHECK(*parse_size("64MB") == 64'000'000);
    CHECK(*parse_size("1GiB") == 1'073'741'824);
    CHECK(*parse_size("2GB") == 2'000'000'000);
    CHECK(*parse_size("1TiB") == 1'099'511'627'776);
    CHECK(*parse_size("1TB") == 1'000'000'000'000);
}

TEST_CASE("size: anything else is refused") {
    for (const char* text : {"", "64", "MiB", "64 MiB", "64mib", "64M", "-1B", "1.5MiB"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_size(text));
    }
    CHECK(parse_size("16777216TiB").error().code == ErrorCode::limit_exceeded);
}

TEST_CASE("duration: is written in its shortest exact form") {
    CHECK(to_text(0ms) == "0s");
    CHECK(to_text(1'500ms) == "1500ms");
    CHECK(to_text(90s) == "90s");
    CHECK(to_text(120s) == "2m");
    CHECK(to_text(7'200s) == "2h");
}

TEST_CASE("size: is written in its shortest exact form") {
    CHECK(size_text(0) == "0B");
    CHECK(size_text(512) == "512B");
    CHECK(size_text(67'108'864) == "64MiB");
    CHECK(size_text(64'000'000) == "64MB");
    CHECK(size_text(1'000'001) == "1000001B");
}

}  // namespace
}  // namespace holdfast::config
