#include "protocol/postgres/reported.h"

#include <doctest/doctest.h>

using namespace holdfast::postgres;

namespace {

const Parameters to_alice = {{"application_name", "ledger"},     {"client_encoding", "LATIN1"},
                             {"DateStyle", "German, DMY"},       {"is_superuser", "on"},
                             {"server_encoding", "UTF8"},        {"server_version", "15.4"},
                             {"session_authorization", "alice"}, {"TimeZone", "Europe/Berlin"}};
const Parameters of_alice = {
    {"application_name", "ledger"}, {"CLIENT_ENCODING", "latin1"}, {"options", "-c datestyle=German"}};

Parameters guess(const Parameters& own, std::string_view user = "bob") {
    Parameters reported = to_alice;
    guess_reported(reported, of_alice, "alice", own, user);
    return reported;
}

}  // namespace

TEST_CASE("reported: what another client asked for itself is nobody else's") {
    CHECK(guess({}) == Parameters{{"application_name", ""},
                                  {"client_encoding", "UTF8"},
                                  {"DateStyle", "ISO, MDY"},
                                  {"is_superuser", "off"},
                                  {"server_encoding", "UTF8"},
                                  {"server_version", "15.4"},
                                  {"session_authorization", "bob"},
                                  {"TimeZone", "Europe/Berlin"}});
}

TEST_CASE("reported: what the client asks for is what it is told") {
    const Parameters told = guess({{"application_name", "shop"},
                                   {"client_encoding", "sql_ascii"},
                                   {"timezone", "UTC"},
                                   {"options", "-c DateStyle=ISO,\\ YMD --application-name=never"}},
                                  "alice");
    CHECK(told == Parameters{{"application_name", "shop"},
                             {"client_encoding", "SQL_ASCII"},
                             {"DateStyle", "ISO, YMD"},
                             {"is_superuser", "on"},
                             {"server_encoding", "UTF8"},
                             {"server_version", "15.4"},
                             {"session_authorization", "alice"},
                             {"TimeZone", "UTC"}});
}

TEST_CASE("reported: encodings by the server's names") {
    for (const char* name : {"utf8", "UTF-8", "unicode"}) {
        CAPTURE(name);
        CHECK(guess({{"client_encoding", name}})[1].second == "UTF8");
    }
}

TEST_CASE("reported: options that make no sense are left alone") {
    for (const char* options :
         {"", " ", "-c", "-c ", "--", "-c name", "\\", "-c a=\\", "-x DateStyle=German", "--=x"}) {
        CAPTURE(options);
        CHECK(guess({{"options", options}}) == guess({}));
    }
    CHECK(guess({{"options", " \t-cTimeZone=a\\\\b "}})[7].second == "a\\b");
}
