#include "protocol/postgres/md5.h"

#include <doctest/doctest.h>

#include "login_fixtures.h"

using namespace holdfast;
using namespace holdfast::postgres;

TEST_CASE("md5: the hash that PostgreSQL stores, and the answer to a challenge") {
    const auto hash = md5_hash("pencil", "u_md5");
    REQUIRE(hash);
    CHECK(hash->reveal() == test::pencil_md5_of_u_md5);
    const auto response = md5_response(hash->reveal(), as_bytes("\x01\x02\x03\x04"));
    REQUIRE(response);
    CHECK(response->reveal() == "md57e9b31d35ec4b9a238581e1a6109e467");
}

TEST_CASE("md5: only what looks like a stored hash is one") {
    CHECK(is_md5_hash("md56520b9e6d1360465923cccaa4a18e5f0"));
    CHECK_FALSE(is_md5_hash(""));
    CHECK_FALSE(is_md5_hash("md5"));
    CHECK_FALSE(is_md5_hash("md56520B9E6D1360465923CCCAA4A18E5F0"));
    CHECK_FALSE(is_md5_hash("md56520b9e6d1360465923cccaa4a18e5f"));
    CHECK_FALSE(is_md5_hash("md56520b9e6d1360465923cccaa4a18e5f00"));
    CHECK_FALSE(is_md5_hash("sha6520b9e6d1360465923cccaa4a18e5f0"));
    CHECK(md5_response("pencil", as_bytes("salt")).error().code == ErrorCode::bad_value);
}
