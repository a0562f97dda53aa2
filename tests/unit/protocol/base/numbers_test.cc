#include "protocol/base/numbers.h"

#include <cstdint>

#include <doctest/doctest.h>

using namespace holdfast;

TEST_CASE("numbers: the whole text, or nothing") {
    CHECK(parse_number<uint32_t>("4294967295") == 4'294'967'295);
    CHECK(parse_number<int>("-7") == -7);
    CHECK(parse_number<uint32_t>("fF", 16) == 255);
    for (const char* text : {"", " 1", "1 ", "1x", "x", "-1", "+1", "4294967296"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_number<uint32_t>(text));
    }
}
