#include "config/diagnostic.h"

#include <doctest/doctest.h>

namespace holdfast::config {
namespace {

Diagnostic at(int line, int column, std::string message = "something") {
    return {Diagnostic::Severity::error, "holdfast.toml", line, column, std::move(message)};
}

TEST_CASE("format: place, message, line and caret") {
    CHECK(
        format(at(2, 5, "unknown key 'max_lagg' in cluster.shop.routing; did you mean 'max_lag'?"),
               "[cluster.shop.routing]\n    max_lagg = \"5s\"\n") ==
        "holdfast.toml:2:5: error: unknown key 'max_lagg' in cluster.shop.routing; did you mean 'max_lag'?\n"
        "        max_lagg = \"5s\"\n"
        "        ^\n");
}

TEST_CASE("format: a warning about the whole file is one line") {
    CHECK(format({Diagnostic::Severity::warning, "f", 0, 0, "text"}, "a = 1") == "f: warning: text\n");
    CHECK(format(at(3, 1), "a = 1\n") == "holdfast.toml:3:1: error: something\n");
    CHECK(format(at(1, 1), "") == "holdfast.toml:1:1: error: something\n");
}

TEST_CASE("format: the caret stands under the place behind tabs and wide characters") {
    CHECK(format(at(1, 6), "\ta\u00e9b = 1\r\n") ==
          "holdfast.toml:1:6: error: something\n    \ta\u00e9b = 1\n    \t    ^\n");
}

TEST_CASE("format: a long line is shown around the place") {
    const std::string line = "a = '" + std::string(500, 'x') + "MARK" + std::string(500, 'y') + "'";
    const std::string out = format(at(1, 506), line);
    const size_t mark = out.find("MARK");
    REQUIRE(mark != std::string::npos);
    CHECK(out.size() < 400);
    const size_t text_begin = out.find('\n') + 1;
    const size_t caret_begin = out.find('\n', text_begin) + 1;
    CHECK(out.find('^') - caret_begin == mark - text_begin);
}

TEST_CASE("format: what follows a key that may hold a secret is never shown") {
    for (const char* line :
         {"password = \"hunter2\"", "  \"password\" = 'hunter2'", "pasword='hunter2'",
          "service = { user = \"u\", password = \"hunter2\", databse = \"x\" }", "db_passwd = \"hunter2\"",
          "token = hunter2", "md5 = \"hunter2\"", "Password = [\"hunter2\"]",
          "password = { text = \"hunter2\" }", "scram_verifer = \"hunter2\"", "pw = \"hunter2\"",
          "user.password = \"hunter2\"", "password = \"\"\"hunter2"}) {
        CAPTURE(line);
        for (const int column : {1, 20, 70, 1'000}) {
            CHECK(format(at(1, column), line).find("unter2") == std::string::npos);
        }
    }
    CHECK(format(at(2, 1), "password = \"\"\"\nhunter2\nend\"\"\"\n").find("hunter2") == std::string::npos);
}

TEST_CASE("format: a line that only says where a secret is stays whole") {
    const std::string line = "service = { user = \"u\", password = { file = \"/x\" }, databse = \"y\" }";
    CHECK(format(at(1, 54), line).find("databse = \"y\"") != std::string::npos);
}

TEST_CASE("format: control characters do not reach the terminal") {
    CHECK(format(at(1, 1), "a = \x1b[2J").find('\x1b') == std::string::npos);
}

}  // namespace
}  // namespace holdfast::config
