#include "proxy/app/classify.h"

#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace holdfast;
using nlohmann::json;

namespace {

struct Outcome {
    int code;
    std::vector<json> lines;
};

Outcome classify(const std::string& input, sql::Dialect dialect = sql::Dialect::postgres) {
    std::istringstream in(input);
    std::ostringstream out;
    const int code = app::classify_lines(dialect, in, out);
    Outcome outcome{code, {}};
    std::istringstream lines(out.str());
    for (std::string line; std::getline(lines, line);) outcome.lines.push_back(json::parse(line));
    return outcome;
}

/// Counts flushes: a program at the other end of a pipe waits for each answer.
class CountingBuffer final : public std::stringbuf {
public:
    int flushes = 0;

protected:
    int sync() override {
        ++flushes;
        return 0;
    }
};

}  // namespace

TEST_CASE("classify: one object for each line, in order") {
    const Outcome outcome = classify(
        "\"select 1\"\n"
        "\"insert into t values (1)\"\n"
        "\"commit\"\n"
        "\"select * from t for update\"\n");
    CHECK(outcome.code == 0);
    REQUIRE(outcome.lines.size() == 4);
    CHECK(outcome.lines[0] == json::parse(R"({"destination":"replica","reason":"read","session":[]})"));
    CHECK(outcome.lines[1]["destination"] == "primary");
    CHECK(outcome.lines[1]["reason"] == "write");
    CHECK(outcome.lines[2]["destination"] == "transaction");
    CHECK(outcome.lines[3]["reason"] == "row_lock");
}

TEST_CASE("classify: session effects, each once, in order of appearance") {
    const Outcome outcome =
        classify("\"set a = 1; prepare p as select 1; set b = 2; create temp table t (a int); listen c\"\n");
    REQUIRE(outcome.lines.size() == 1);
    CHECK(outcome.lines[0]["session"] == json::parse(R"(["set","prepare","temporary","listen"])"));
}

TEST_CASE("classify: nothing is carried from one line to the next") {
    const Outcome outcome = classify("\"create temp table t (a int)\"\n\"select 1\"\n");
    REQUIRE(outcome.lines.size() == 2);
    CHECK(outcome.lines[1] == json::parse(R"({"destination":"replica","reason":"read","session":[]})"));
}

TEST_CASE("classify: a line that is no JSON string is an error of its own, and the exit code tells") {
    const Outcome outcome = classify("select 1\n42\n\n[\"select 1\"]\n\"a\\ud800\"\n\"select 1\"");
    CHECK(outcome.code == 1);
    REQUIRE(outcome.lines.size() == 6);
    for (size_t i = 0; i < 5; ++i) CHECK(outcome.lines[i].contains("error"));
    CHECK(outcome.lines[5]["destination"] == "replica");  // without a line end, too
}

TEST_CASE("classify: text that is escaped, and bytes that are not text") {
    const Outcome outcome = classify("\"select 'a\\nb' -- \\u00e4\"\n\"\\u0000\"\n");
    REQUIRE(outcome.lines.size() == 2);
    CHECK(outcome.lines[0]["destination"] == "replica");
    CHECK(outcome.lines[1].contains("destination"));
    CHECK(outcome.code == 0);
}

TEST_CASE("classify: a message longer than the proxy looks at goes to the primary") {
    const Outcome outcome = classify("\"select '" + std::string(400'000, 'x') + "'\"\n");
    REQUIRE(outcome.lines.size() == 1);
    CHECK(outcome.lines[0]["destination"] == "primary");
}

TEST_CASE("classify: each answer is flushed") {
    CountingBuffer buffer;
    std::ostream out(&buffer);
    std::istringstream in("\"select 1\"\n\"select 2\"\nx\n");
    app::classify_lines(sql::Dialect::postgres, in, out);
    CHECK(buffer.flushes == 3);
}
