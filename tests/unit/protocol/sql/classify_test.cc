#include "protocol/sql/classify.h"

#include <chrono>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "tests/unit/protocol/sql/classified.h"

namespace holdfast::sql {
namespace {

const std::string read = "replica read";

std::string repeated(std::string_view part, size_t times) {
    std::string text;
    text.reserve(part.size() * times);
    for (size_t i = 0; i < times; ++i) text += part;
    return text;
}

}  // namespace

TEST_CASE("classify: a hint before or after a statement overrules soft reasons") {
    for (const char* sql :
         {"/* holdfast: primary */ SELECT 1", "SELECT 1 -- Holdfast:PRIMARY",
          "--holdfast : primary\n SELECT 1", "SELECT 1 /*holdfast:primary*/;",
          "SELECT 1; /* holdfast: primary */", "/* other */ /* holdfast: primary */ SET x = 1"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary hint");
    }
    for (const char* sql : {"/* holdfast: replica */ SELECT f()", "SELECT f() -- holdfast: replica",
                            "SELECT pg_is_in_recovery() /* holdfast: replica */",
                            "SELECT pg_advisory_xact_lock(1) /* holdfast: replica */",
                            "/* holdfast: replica */ SHOW transaction_read_only"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "replica hint");
    }
}

TEST_CASE("classify: a hint never sends a write to a replica") {
    struct Row {
        const char* sql;
        const char* route;
    };
    for (const Row& row :
         {Row{"INSERT INTO t VALUES (f())", "primary write"},
          Row{"SELECT f() FOR UPDATE", "primary row_lock"},
          Row{"SELECT f(), nextval('s')", "primary writing_function"},
          Row{"CREATE TABLE t ()", "primary ddl"}, Row{"SELECT f() INTO x", "primary ddl"},
          Row{"BEGIN", "primary begin"}, Row{"LISTEN c", "primary notification"},
          Row{"SELECT f() FROM pg_temp.x", "primary temporary"}, Row{"DO ''", "primary opaque"},
          Row{"WITH w AS (DELETE FROM t RETURNING f()) SELECT f()", "primary write"},
          Row{"SELECT f() + 'open", "primary unparsed"},
          Row{"BEGIN ISOLATION LEVEL SERIALIZABLE", "primary serializable"},
          Row{"EXPLAIN ANALYZE DELETE FROM t", "primary explain_write"},
          Row{"SELECT set_config('x', $1, false)", "primary session_state"}}) {
        CAPTURE(row.sql);
        CHECK(route(std::string("/* holdfast: replica */ ") + row.sql) == row.route);
    }
}

TEST_CASE("classify: a hint is for its own statement, and stands outside of it") {
    const Classification out = classified("SELECT 1; /* holdfast: primary */ SELECT 2; SELECT 3");
    REQUIRE(out.statement_count == 3);
    CHECK(out.statements[0].destination == Destination::replica);
    CHECK(out.statements[1].reason == Reason::hint);
    CHECK(out.statements[2].destination == Destination::replica);
    CHECK(route("SELECT /* holdfast: primary */ 1") == read);
    CHECK(route("SELECT '/* holdfast: primary */'") == read);
    CHECK(route("/* holdfast: primary please */ SELECT 1") == read);
    CHECK(route("/* holdfast: primary */ /* holdfast: replica */ SELECT 1") == "primary hint");
    CHECK(route("/* holdfast: primary */ COMMIT") == "transaction transaction_control");
    const Classification begin = classified("/* holdfast: primary */ BEGIN READ ONLY");
    CHECK(begin.destination == Destination::primary);
    CHECK(begin.statements[0].control == Control::begin_read_only);
}

TEST_CASE("classify: parentheses that are not calls") {
    for (const char* sql :
         {"SELECT CAST(a AS numeric(10,2)), b::varchar(10), c::character varying(3), d::s.t(3) FROM t",
          "SELECT count(*) FILTER (WHERE a) OVER (PARTITION BY b ORDER BY c) FROM t",
          "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t",
          "SELECT rank() OVER (ORDER BY a) FROM t WINDOW w AS (PARTITION BY (b))",
          "SELECT ROW(1), ARRAY(SELECT 1), EXISTS(SELECT 1), COALESCE(a), NULLIF(a, b), GREATEST(1, 2) FROM "
          "t",
          "SELECT a FROM t GROUP BY GROUPING SETS ((a), (b))",
          "SELECT a FROM t GROUP BY ROLLUP (a)",
          "SELECT EXTRACT(epoch FROM a), SUBSTRING(a FROM 1 FOR 2), TRIM(BOTH FROM b), POSITION('a' IN b) "
          "FROM t",
          "SELECT * FROM t TABLESAMPLE system(10) REPEATABLE (1)",
          "SELECT INTERVAL(3) '1', TIMESTAMP(3) '2020-01-01'",
          "SELECT INTERVAL '1' second(3)",
          "SELECT a FROM t JOIN u USING (a) LEFT JOIN (v CROSS JOIN w) ON (1 = 1)",
          "SELECT * FROM (VALUES (1, 2)) v(a, b), generate_series(1, 3) g(i), t AS x(a, b), LATERAL (SELECT "
          "1) l(c)",
          "SELECT * FROM unnest(ARRAY[1]) WITH ORDINALITY u(a, n)",
          "SELECT * FROM json_to_record('{}') AS x(a int, b char(3))",
          "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[1])) AS x(a, b)",
          "SELECT a AT TIME ZONE ('utc') FROM t WHERE a IN (1) AND b = ANY (ARRAY[1]) AND (a, b) OVERLAPS "
          "(c, d)",
          "SELECT a OPERATOR(pg_catalog.=) b, OPERATOR(-) 1 FROM t",
          "SELECT x.a FROM \"x\" JOIN (SELECT 1) y ON (x.a = y.a)",
          "SELECT * FROM t JOIN u ON (a = b) JOIN (SELECT 1) q ON true",
          "SELECT * FROM t FETCH FIRST (2) ROWS ONLY",
          "SELECT left('a', 1), right('b', 1), overlay('a' placing 'b' from 1)",
          "SELECT xmlelement(name a, xmlattributes('b' as c)), xmlforest(a), json_object('a': 1)",
          "SELECT (information_schema._pg_expandarray(i.indkey)).n FROM pg_index i"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
    }
}

TEST_CASE("classify: calls that hide among them") {
    for (const char* sql : {"SELECT DISTINCT ON (a) f(b) FROM t",
                            "SELECT 1 OPERATOR(pg_catalog.+) f(1)",
                            "SELECT operator(1)",
                            "SELECT * FROM t JOIN u ON (a = b) WHERE f(a)",
                            "SELECT a FROM t ORDER BY f(a)",
                            "SELECT a FROM t LIMIT f(1)",
                            "SELECT * FROM f(1)",
                            "SELECT * FROM t, LATERAL f(a)",
                            "SELECT a::numeric(3) + f(a) FROM t",
                            "SELECT s.left('a', 1)",
                            "SELECT s.\"select\"(1)",
                            "SELECT f /* c */ (1)",
                            "SELECT filter(1)",
                            "SELECT over(1)",
                            "SELECT \"coalesce\"(1)",
                            "SELECT (f(1)).x",
                            "SELECT CASE WHEN f(1) THEN 1 END",
                            "VALUES (f(1))",
                            "SELECT join(1)",
                            "SELECT DISTINCT ON (a) join(1) FROM t",
                            "SELECT * FROM t CROSS JOIN join(1)",
                            "SELECT a FROM t ORDER BY cube(1)",
                            "SELECT 1 OPERATOR(pg_catalog.+) join()",
                            "WITH w AS (SELECT 1) (SELECT 1) ORDER BY 1, f(2)",
                            "SELECT ARRAY[f(1)]",
                            "SELECT a[f(1)] FROM t",
                            "SELECT lower(f(1))",
                            "SELECT pg_catalog.nosuch(1)",
                            "SELECT system('ls')",
                            "SELECT cast(f(1) AS text)",
                            "WITH w(a) AS (SELECT f(1)) SELECT 1",
                            "SELECT * FROM t WHERE a IN (f(1))",
                            "SELECT x.y.z(1)"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary unknown_function");
    }
}

TEST_CASE("classify: what drivers and tools ask is a read") {
    for (const char* sql :
         {"SELECT c.oid, n.nspname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = "
          "c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(t)$' COLLATE pg_catalog.default AND "
          "pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3;",
          "SELECT t.oid, typarray FROM pg_type t JOIN pg_namespace ns ON typnamespace = ns.oid WHERE typname "
          "= 'hstore'",
          "select version()", "SELECT NULL AS TABLE_CAT, current_schema()",
          "SELECT pg_catalog.format_type(a.atttypid, "
          "a.atttypmod), pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a LEFT JOIN pg_attrdef d ON "
          "true"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
    }
}

TEST_CASE("classify: functions with SQL bodies hold their semicolons") {
    const Classification out = classified(
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 "
        "END AS end; "
        "SELECT 2; END; SELECT 3");
    CHECK(out.reason == Reason::ddl);
    REQUIRE(out.statement_count == 2);
    CHECK(out.statements[1].destination == Destination::replica);
    CHECK_FALSE(out.has_control);
}

TEST_CASE("classify: names are folded and cut as the server does") {
    const std::string a62(62, 'a');
    CHECK(classified("SAVEPOINT " + a62 + "BcD").statements[0].name == a62 + "b");
    CHECK(classified("SAVEPOINT \"" + a62 + "\xc3\xa4\"").statements[0].name == a62);
    CHECK(classified("SAVEPOINT \"a\"\"B\"").statements[0].name == "a\"B");
    CHECK(classified("SAVEPOINT U&\"d\\0061t\\+000061\"").statements[0].name == "data");
    CHECK(classified("SAVEPOINT U&\"\\D83D\\DE00\"").statements[0].name == "\xf0\x9f\x98\x80");
    CHECK(route("SAVEPOINT U&\"\\D83D\"") == "primary unparsed");
    CHECK(route("SAVEPOINT a b") == "primary unparsed");
}

TEST_CASE("classify: the beginning of a longer message goes to the primary") {
    const Classification cut = classified("SET x = 'abc", {.truncated = true});
    CHECK(cut.truncated);
    CHECK(cut.destination == Destination::primary);
    CHECK(cut.reason == Reason::too_long);
    REQUIRE(cut.statement_count == 1);
    REQUIRE(cut.statements[0].effects.size() == 1);
    CHECK(cut.statements[0].effects[0].replay.empty());
    CHECK(route("SELECT 1", {.truncated = true}) == "primary too_long");

    const std::string longest =
        "SELECT '" + std::string(limits::statement_classified_bytes_max - 9, 'x') + "'";
    CHECK(route(longest) == read);
    CHECK(route(longest + " ") == "primary too_long");
}

TEST_CASE("classify: nesting is followed to its limit and no further") {
    const auto nested = [](size_t depth) {
        return "SELECT " + repeated("(", depth) + "1" + repeated(")", depth);
    };
    const auto limit = static_cast<size_t>(limits::sql_nesting_max);
    CHECK(route(nested(limit)) == read);
    CHECK(route(nested(limit + 1)) == "primary unparsed");
    CHECK(route(nested(100'000)) == "primary unparsed");
    CHECK(route(repeated("/*", limit) + repeated("*/", limit) + "SELECT 1") == read);
    CHECK(route(repeated("/*", limit + 2) + repeated("*/", limit + 2) + "SELECT 1") == "primary unparsed");
}

TEST_CASE("classify: time grows with length only") {
    using namespace std::chrono_literals;
    const size_t size = limits::statement_classified_bytes_max;
    // Quadratic behaviour would take minutes for any of these.
    for (const std::string_view part : {"(",           "((1)",
                                        "'a' ",        "'a'\n",
                                        "/* */",       "/*",
                                        "$a",          "$a$",
                                        "U&\"a\" ",    "U&'a' ",
                                        "f(",          "set_config('a',",
                                        "operator(a.", "--\n",
                                        "\"",          "1,",
                                        "(select ",    "with a as (",
                                        "BEGIN;",      "'a'--\n",
                                        ";",           "query_to_xml('f(',"}) {
        CAPTURE(part);
        const std::string text = "SELECT " + repeated(part, size / part.size() - 8);
        const auto start = std::chrono::steady_clock::now();
        classified(text);
        fingerprint(Dialect::postgres, text);
        CHECK(std::chrono::steady_clock::now() - start < 5s);
    }
}

}  // namespace holdfast::sql
