#include "proxy/app/tables.h"

#include <sstream>

#include <doctest/doctest.h>

#include "proxy/app/duties.h"

using namespace holdfast;
using namespace holdfast::app;
using nlohmann::json;

TEST_CASE("tables: ages and sizes in a few characters") {
    CHECK(age_text(0.0123) == "12ms");
    CHECK(age_text(0) == "0ms");
    CHECK(age_text(-5) == "0ms");
    CHECK(age_text(59.9) == "59s");
    CHECK(age_text(250) == "4m 10s");
    CHECK(age_text(3 * 3600 + 125) == "3h 2m");
    CHECK(age_text(86'400 * 400) == "400d 0h");
    CHECK(age_text(json()) == "-");
    CHECK(bytes_text(812) == "812 B");
    CHECK(bytes_text(4'404'019) == "4.2 MiB");
    CHECK(bytes_text(uint64_t{1} << 60) == "1048576.0 TiB");
    CHECK(bytes_text(json()) == "-");
}

TEST_CASE("tables: columns line up, and what clients call themselves moves no cursor") {
    std::ostringstream out;
    print_table({{"A", "LONGER", "C"}, {"grün", "x", ""}, {"evil\x1b[2J\n", "y", "z"}}, out);
    CHECK(out.str() ==
          "A          LONGER  C\n"
          "grün       x\n"
          "evil?[2J?  y       z\n");
}

TEST_CASE("tables: a status without anything optional") {
    std::ostringstream out;
    print_status(
        json::parse(R"({"version":"1","clusters":[{"name":"shop","protocol":"postgres","primary":null,
        "without_primary_s":3,"paused":true,"servers":[{"name":"pg1","role":"unknown","health":"down","state":"drain",
        "reason":"refused","state_reason":"disk"}]}]})"),
        "", out);
    const std::string text = out.str();
    CHECK(text.find("NO PRIMARY for 3s, PAUSED") != std::string::npos);
    CHECK(text.find("refused; disk") != std::string::npos);
    out.str("");
    print_status(json::parse(R"({"clusters":[{"name":"shop"}]})"), "blog", out);
    CHECK(out.str().find("shop") == std::string::npos);
}

TEST_CASE("duties: the file says again what was said") {
    Duties::Records records;
    records[{"shop", "pg1"}] = {health::Duty::draining, "disk \"7\"\n", "unix socket, user 0", 1'790'000'000};
    records[{"blog", "10.0.0.1:3306"}] = {health::Duty::maintenance, "", "10.0.0.9", 1};
    const auto read = Duties::parse(Duties::to_text(records));
    REQUIRE(read);
    REQUIRE(read->size() == 2);
    const auto& first = read->at({"shop", "pg1"});
    CHECK(first.duty == health::Duty::draining);
    CHECK(first.reason == "disk \"7\"\n");
    CHECK(first.by == "unix socket, user 0");
    CHECK(first.since_unix_s == 1'790'000'000);
    CHECK(read->at({"blog", "10.0.0.1:3306"}).duty == health::Duty::maintenance);
}

TEST_CASE("duties: a file of another kind is refused") {
    for (const char* text : {"", "{", "[]", "{}", R"({"version":2,"servers":[]})", R"({"version":1})",
                             R"({"version":1,"servers":[{}]})", R"({"version":"1","servers":[]})",
                             R"({"version":1,"servers":[{"cluster":"a","server":"b","state":"removed",
                                "reason":"","by":"","since":1}]})"}) {
        CAPTURE(text);
        CHECK_FALSE(Duties::parse(text));
    }
    CHECK(Duties::parse(R"({"version":1,"servers":[]})"));
}
