#include "health/postgres_facts.h"

#include <array>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::health;

namespace {
using Row = std::array<std::optional<std::string_view>, postgres_facts_columns>;

Row primary() {
    return {"f",
            "7312345678901234567",
            "0000000A",
            "16/B374D848",
            "16/B374D800",
            {},
            {},
            {},
            {},
            {},
            {},
            {},
            {},
            {},
            {},
            "160002",
            "8192 16777216"};
}
Row standby() {
    return {"t",
            "7312345678901234567",
            {},
            {},
            {},
            "16/B374D848",
            "16/B374D900",
            "t",
            "99",
            "streaming",
            "10",
            "db1",
            "5433",
            "9",
            "10",
            "180000",
            "8192 16777216"};
}
}  // namespace

TEST_CASE("postgres facts: a primary") {
    Observation o;
    REQUIRE(parse_postgres_facts(primary(), o));
    CHECK_FALSE(o.in_recovery);
    CHECK(o.system_identifier == 7312345678901234567u);
    CHECK(o.timeline == 10);
    CHECK(o.position.lsn == 0x16B374D848u);
    CHECK(o.flushed.lsn == 0x16B374D800u);
    CHECK(o.server_version == 160002);
}

TEST_CASE("postgres facts: a standby") {
    Observation o;
    REQUIRE(parse_postgres_facts(standby(), o));
    CHECK(o.in_recovery);
    CHECK(o.timeline == 10);
    CHECK(o.position.lsn == 0x16B374D848u);
    CHECK(o.received.lsn == 0x16B374D900u);
    CHECK(o.replay_paused);
    CHECK(o.receiver_known);
    CHECK(o.receiver_streaming);
    CHECK(o.sender_host == "db1");
    CHECK(o.sender_port == 5433);
}

TEST_CASE("postgres facts: a standby without a receiver shows the timeline of its control file") {
    Row row = standby();
    for (size_t i = 8; i <= 12; ++i) row[i].reset();
    row[13] = "3";
    row[14] = "4";
    Observation o;
    REQUIRE(parse_postgres_facts(row, o));
    CHECK(o.timeline == 4);
    CHECK(o.receiver_known);
    CHECK_FALSE(o.receiver_streaming);
}

TEST_CASE("postgres facts: a receiver that we may not look at is unknown, not stopped") {
    Row row = standby();
    for (size_t i = 9; i <= 12; ++i) row[i].reset();
    Observation o;
    REQUIRE(parse_postgres_facts(row, o));
    CHECK_FALSE(o.receiver_known);
    CHECK_FALSE(o.receiver_streaming);
}

TEST_CASE("postgres facts: a standby that has replayed nothing yet has no position") {
    Row row = standby();
    row[5].reset();
    row[6].reset();
    Observation o;
    REQUIRE(parse_postgres_facts(row, o));
    CHECK_FALSE(o.position);
}

TEST_CASE("postgres facts: what makes no sense is refused") {
    struct Case {
        bool is_standby;
        size_t column;
        std::optional<std::string_view> value;
    };
    for (const Case& c : {Case{false, 0, "x"},
                          Case{false, 0, {}},
                          Case{false, 1, {}},
                          Case{false, 1, "0"},
                          Case{false, 1, "12a"},
                          Case{false, 2, {}},
                          Case{false, 2, "00000000"},
                          Case{false, 2, "-1"},
                          Case{false, 3, {}},
                          Case{false, 3, "1"},
                          Case{false, 3, "1/"},
                          Case{false, 3, "/1"},
                          Case{false, 3, "1FFFFFFFF/0"},
                          Case{false, 3, "0x1/0"},
                          Case{false, 4, {}},
                          Case{false, 15, "abc"},
                          Case{false, 15, {}},
                          Case{false, 16, "8192"},
                          Case{false, 16, "0 0"},
                          Case{false, 16, {}},
                          Case{true, 5, "q"},
                          Case{true, 6, "1/2/3"},
                          Case{true, 10, "-4"},
                          Case{true, 10, "4294967296"},
                          Case{true, 13, ""}}) {
        CAPTURE(c.column);
        Row row = c.is_standby ? standby() : primary();
        row[c.column] = c.value;
        Observation o;
        CHECK_FALSE(parse_postgres_facts(row, o));
    }
    const Row row = primary();
    Observation o;
    CHECK(parse_postgres_facts(std::span(row).first(16), o).error().code == ErrorCode::bad_length);
}

TEST_CASE("postgres facts: an end of flushed WAL within a record is not given to measure by") {
    Row row = primary();
    row[3] = "0/3002148";
    row[4] = "0/3002000";
    Observation o;
    REQUIRE(parse_postgres_facts(row, o));
    CHECK_FALSE(o.flushed);
    row[3] = "0/3002018";  // the insert position only stands behind the page's header: all is flushed
    o = {};
    REQUIRE(parse_postgres_facts(row, o));
    CHECK(o.flushed.lsn == 0x3002000u);
    CHECK(o.position.lsn == 0x3002000u);
}

TEST_CASE("postgres facts: page headers are not WAL that a standby could replay") {
    constexpr uint64_t segment = 16 * 1024 * 1024;
    CHECK(without_page_header({0x3002018}, 8192, segment).lsn == 0x3002000);
    CHECK(without_page_header({0x3000028}, 8192, segment).lsn == 0x3000000);
    CHECK(without_page_header({0x3002028}, 8192, segment).lsn == 0x3002028);  // 16 bytes of a record
    CHECK(without_page_header({0x3000148}, 8192, segment).lsn == 0x3000148);
    CHECK(without_page_header({0x3002000}, 8192, segment).lsn == 0x3002000);
}
