#include <doctest/doctest.h>

#include "conversation_lab.h"

using namespace holdfast;
using namespace holdfast::postgres;
using namespace holdfast::postgres::test;

namespace {

/// A row of these values.
std::string values(const std::vector<std::string>& each) {
    ByteBuffer body;
    Writer writer(body);
    writer.u16(static_cast<uint16_t>(each.size()));
    for (const auto& value : each) {
        writer.u32(static_cast<uint32_t>(value.size()));
        append(body, value);
    }
    return message('D', as_text(body));
}

struct Step {
    std::string sql;
    std::vector<std::string> row;
};
using Counts = std::vector<uint32_t>;

/// The number of locks after each of these, whose results are single rows.
Counts locks_after(const std::vector<Step>& steps, bool extended) {
    Lab lab;
    Counts counts;
    for (const auto& [sql, row] : steps) {
        const std::string answer = values(row) + complete("SELECT 1") + ready();
        if (extended) {
            lab.run(batch(sql), message('1') + message('2') + answer);
        } else {
            lab.run(query(sql), row_description() + answer);
        }
        counts.push_back(lab.talk.pins().advisory_locks);
    }
    return counts;
}

}  // namespace

TEST_CASE("advisory locks: only a release that came true lets one go") {
    for (const bool extended : {false, true}) {
        CAPTURE(extended);
        CHECK(locks_after({{"SELECT pg_advisory_lock(1)", {""}},
                           {"SELECT pg_advisory_unlock(2)", {"f"}},
                           {"SELECT pg_advisory_unlock(1)", {"t"}}},
                          extended) == Counts{1, 1, 0});
        CHECK(locks_after({{"SELECT pg_try_advisory_lock(1)", {"f"}},
                           {"SELECT pg_try_advisory_lock(1)", {"t"}},
                           {"SELECT pg_advisory_lock_shared(1)", {""}},
                           {"SELECT pg_advisory_unlock_shared(1)", {"t"}},
                           {"SELECT pg_advisory_unlock_all()", {""}}},
                          extended) == Counts{0, 1, 2, 1, 0});
        // In binary form.
        CHECK(locks_after({{"SELECT pg_advisory_lock(1)", {""}},
                           {"SELECT pg_advisory_unlock(1)", {std::string(1, '\0')}},
                           {"SELECT pg_advisory_unlock(1)", {"\x01"}}},
                          extended) == Counts{1, 1, 0});
    }
}

TEST_CASE("advisory locks: each call has its own column") {
    CHECK(locks_after(
              {{"SELECT pg_advisory_lock(1), pg_catalog.pg_try_advisory_lock(2, 3) AS second", {"", "t"}},
               {"SELECT now(), pg_advisory_unlock(hashtext('a')), pg_advisory_unlock(2, 3)",
                {"2024-01-01", "f", "t"}},
               {"SELECT pg_advisory_unlock(1) AS released, version()", {"t", "PostgreSQL"}}},
              false) == Counts{2, 1, 0});
}

TEST_CASE("advisory locks: a call that may not have been made, or not for this row, lets none go") {
    for (const char* sql :
         {"SELECT pg_advisory_unlock(1) FROM t", "SELECT pg_advisory_unlock(1) WHERE false",
          "SELECT CASE WHEN x THEN pg_advisory_unlock(1) END FROM t", "SELECT NOT pg_advisory_unlock(1)",
          "SELECT pg_advisory_unlock(1) UNION ALL SELECT pg_advisory_unlock(2)",
          "SELECT f(pg_advisory_unlock(1))", "SELECT pg_advisory_unlock_all() FROM t",
          "SELECT (SELECT pg_advisory_unlock(1))"}) {
        CAPTURE(sql);
        CHECK(locks_after({{"SELECT pg_advisory_lock(1)", {""}}, {sql, {"t"}}}, false) == Counts{1, 1});
    }
}

TEST_CASE("advisory locks: those of a statement that returns many rows are as many") {
    Lab lab;
    lab.run(query("SELECT pg_advisory_lock(id) FROM t"),
            row_description() + values({""}) + values({""}) + values({""}) + complete("SELECT 3") + ready());
    CHECK(lab.talk.pins().advisory_locks == 3);
    lab.run(query("SELECT pg_advisory_lock(id) FROM t"), row_description() + complete("SELECT 0") + ready());
    CHECK(lab.talk.pins().advisory_locks == 3);
    lab.run(query("DISCARD ALL"), complete("DISCARD ALL") + ready());
    CHECK_FALSE(lab.talk.pins().any());
}

TEST_CASE("advisory locks: one whose portal is left open behind its only row is held") {
    Lab lab;
    lab.run(batch("SELECT pg_advisory_lock(1)"),
            message('1') + message('2') + values({""}) + message('s') + ready());
    CHECK(lab.talk.pins().advisory_locks == 1);
}

TEST_CASE("advisory locks: rows reach the client as they came, in every cut") {
    const std::string answer = row_description() + values({"t"}) + complete("SELECT 1") + ready();
    for (size_t at = 1; at < answer.size(); ++at) {
        Lab lab;
        lab.send(query("SELECT pg_advisory_lock(1)"));
        lab.receive(answer.substr(0, at));
        lab.receive(answer.substr(at));
        CHECK(lab.to_client == answer);
        CHECK(lab.talk.pins().advisory_locks == 1);
    }
}
