#include "protocol/postgres/startup.h"

#include <doctest/doctest.h>

#include "login_fixtures.h"

using namespace holdfast;
using namespace holdfast::postgres;
using test::raw;

TEST_CASE("startup: names, defaults and order") {
    const auto request =
        read_startup(0x30000, raw("application_name\0psql\0user\0alice\0options\0-c a=b\0\0"));
    REQUIRE(request);
    CHECK_FALSE(request->needs_negotiation);
    CHECK(request->startup.user == "alice");
    CHECK(request->startup.database == "alice");
    CHECK(request->startup.parameters == Parameters{{"application_name", "psql"}, {"options", "-c a=b"}});
    CHECK(request->startup.parameter("options") == "-c a=b");
    CHECK(request->startup.parameter("OPTIONS").empty());
    CHECK(request->startup.replication == Startup::Replication::none);
}

TEST_CASE("startup: the last of several values counts; an empty database is none") {
    const auto request = read_startup(
        0x30000, raw("user\0bob\0database\0shop\0a\0first\0b\0x\0a\0second\0user\0alice\0database\0\0\0"));
    REQUIRE(request);
    CHECK(request->startup.user == "alice");
    CHECK(request->startup.database == "alice");
    CHECK(request->startup.parameters == Parameters{{"a", "second"}, {"b", "x"}});
}

TEST_CASE("startup: names end where the server's do") {
    const std::string longest(63, 'n');
    const auto names = [](const std::string& user, const std::string& database) {
        ByteBuffer body = raw("user\0");
        append(body, user);
        append(body, raw("\0database\0"));
        append(body, database);
        append(body, raw("\0\0"));
        const auto request = read_startup(0x30000, body);
        REQUIRE(request);
        return std::pair(request->startup.user, request->startup.database);
    };
    CHECK(names(longest, "shop") == std::pair(longest, std::string("shop")));
    CHECK(names(longest + "x", longest + "\xc3\xa9") == std::pair(longest, longest));
    CHECK(names(longest + std::string(8'000, 'x'), "") == std::pair(longest, longest));
}

TEST_CASE("startup: versions that have to be negotiated") {
    struct Case {
        uint32_t version;
        uint32_t minor;
        bool needs_negotiation;
    };
    for (const Case& c : {Case{0x30000, 0, false}, Case{0x30001, 0, true}, Case{0x30002, 2, false},
                          Case{0x30003, 2, true}, Case{(3u << 16) + 9999, 2, true}}) {
        CAPTURE(c.version);
        const auto request = read_startup(c.version, raw("user\0alice\0\0"));
        REQUIRE(request);
        CHECK(request->startup.protocol_minor == c.minor);
        CHECK(request->needs_negotiation == c.needs_negotiation);
    }
}

TEST_CASE("startup: protocol options are told apart from parameters") {
    const auto request = read_startup(0x30000, raw("_pq_.one\0001\0user\0alice\0_pq_.two\0\0\0"));
    REQUIRE(request);
    CHECK(request->needs_negotiation);
    CHECK(request->startup.protocol_minor == 0);
    CHECK(request->unrecognized_options == std::vector<std::string>{"_pq_.one", "_pq_.two"});
    CHECK(request->startup.parameters.empty());
}

TEST_CASE("startup: what is refused, and as what") {
    const auto code = [](uint32_t version, const ByteBuffer& rest) {
        return read_startup(version, rest).error().code;
    };
    CHECK(code(0x20000, raw("user\0alice\0\0")) == ErrorCode::unsupported);
    CHECK(code(0x40000, raw("user\0alice\0\0")) == ErrorCode::unsupported);
    CHECK(code(0, {}) == ErrorCode::unsupported);
    CHECK(code(0x30000, raw("\0")) == ErrorCode::denied);
    CHECK(code(0x30000, raw("user\0\0\0")) == ErrorCode::denied);
    CHECK(code(0x30000, {}) == ErrorCode::bad_length);
    CHECK(code(0x30000, raw("user\0alice\0")) == ErrorCode::bad_length);
    CHECK(code(0x30000, raw("user\0alice")) == ErrorCode::bad_length);
    CHECK(code(0x30000, raw("user")) == ErrorCode::bad_length);
    CHECK(code(0x30000, raw("user\0alice\0\0x")) == ErrorCode::bad_length);
    CHECK(code(0x30000, raw("user\0alice\0replication\0maybe\0\0")) == ErrorCode::bad_value);
}

TEST_CASE("startup: replication is a boolean or a database") {
    const auto replication = [](std::string_view value) {
        ByteBuffer body = raw("user\0alice\0replication\0");
        append(body, value);
        body.push_back(std::byte{0});
        body.push_back(std::byte{0});
        return read_startup(0x30000, body)->startup.replication;
    };
    CHECK(replication("database") == Startup::Replication::logical);
    for (const std::string_view yes : {"true", "1", "on", "ON", "yes", "Y", "t", "tRu"}) {
        CAPTURE(yes);
        CHECK(replication(yes) == Startup::Replication::physical);
    }
    for (const std::string_view no : {"false", "0", "off", "OF", "no", "n", "F"}) {
        CAPTURE(no);
        CHECK(replication(no) == Startup::Replication::none);
    }
    for (const std::string_view neither : {"", "o", "truee", "2", "onn", "01", "t "}) {
        CAPTURE(neither);
        CHECK_FALSE(parse_boolean(neither));
    }
}
