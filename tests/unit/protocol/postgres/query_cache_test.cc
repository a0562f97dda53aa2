#include "protocol/postgres/query_cache.h"

#include <string>

#include <doctest/doctest.h>

using namespace holdfast;
using postgres::QueryCache;

namespace {

/// Answers by name, and counts how often it is asked: what was kept asks nothing.
class Functions final : public sql::FunctionCatalog {
public:
    Verdict find(std::string_view, std::string_view name) const override {
        ++asked;
        return name == "reads" || name == "f 1" ? Verdict::reads_only : Verdict::may_write;
    }
    mutable int asked = 0;
};

sql::Destination destination(QueryCache& cache, std::string_view text, const Functions* functions = nullptr,
                             uint64_t version = 1) {
    sql::Context context;
    context.functions = functions;
    sql::Classification out;
    cache.classify(text, context, version, out);
    return out.destination;
}

}  // namespace

TEST_CASE("query cache: queries that differ in numbers alone have one key") {
    QueryCache cache;
    CHECK(cache.key_of("select a from t where id = 12345;") == "select a from t where id = 0;");
    CHECK(cache.key_of("SELECT 1.50, -7, .5 limit 10") == "SELECT 0.0, -0, .0 limit 0");
    CHECK(cache.key_of("select 1") == "select 0");
}

TEST_CASE("query cache: digits of names, literals and parameters stay in the key") {
    QueryCache cache;
    CHECK(cache.key_of("select f1(2) from t_3") == "select f1(0) from t_3");
    CHECK(cache.key_of("select 1e5, 0x1f, 12a, 1_000") == "select 1e5, 0x1f, 12a, 1_000");
    CHECK(cache.key_of("select 5 from \"a 1\" limit 7") == "select 0 from \"a 1\" limit 7");
    CHECK(cache.key_of("select 5, ' 1 ', 7") == "select 0, ' 1 ', 7");
    CHECK(cache.key_of("select 5, $1, 7") == "select 0, $1, 7");
    CHECK(cache.key_of("select 5 \\ 7") == "select 0 \\ 7");
    CHECK(cache.key_of("select \xc3\xa4"
                       "1") ==
          "select \xc3\xa4"
          "1");
}

TEST_CASE("query cache: what is never kept has no key") {
    QueryCache cache;
    CHECK(cache.key_of("").empty());
    CHECK(cache.key_of("explain (analyze 1) delete from t").empty());
    CHECK(cache.key_of("begin").empty());
    CHECK(cache.key_of("select " + std::string(2'000, '1')).empty());
}

TEST_CASE("query cache: reads a query once, whatever its numbers are") {
    QueryCache cache;
    const Functions functions;
    CHECK(destination(cache, "select reads(1)", &functions) == sql::Destination::replica);
    const int asked = functions.asked;
    CHECK(asked > 0);
    CHECK(destination(cache, "select reads(22)", &functions) == sql::Destination::replica);
    CHECK(functions.asked == asked);
    CHECK(destination(cache, "select writes(1)", &functions) == sql::Destination::primary);
    CHECK(destination(cache, "select writes(2)", &functions) == sql::Destination::primary);
    CHECK(destination(cache, "select reads(333)", &functions) == sql::Destination::replica);
}

TEST_CASE("query cache: functions whose quoted names differ in a number are different functions") {
    QueryCache cache;
    const Functions functions;
    CHECK(destination(cache, "select \"f 1\"(1)", &functions) == sql::Destination::replica);
    CHECK(destination(cache, "select \"f 2\"(1)", &functions) == sql::Destination::primary);
    CHECK(destination(cache, "select 1, \"f 1\"(1)", &functions) == sql::Destination::replica);
    CHECK(destination(cache, "select 1, \"f 2\"(1)", &functions) == sql::Destination::primary);
}

TEST_CASE("query cache: a new version of the function catalog is asked again") {
    QueryCache cache;
    const Functions functions;
    CHECK(destination(cache, "select reads(1)", &functions, 1) == sql::Destination::replica);
    CHECK(destination(cache, "select reads(1)", nullptr, 2) == sql::Destination::primary);
}

TEST_CASE("query cache: numbers that mean something are never mixed up") {
    QueryCache cache;
    for (int i = 0; i < 2; ++i) {
        sql::Classification out;
        cache.classify("set transaction_read_only = 0", {}, 1, out);
        CHECK(out.statements[0].control == sql::Control::set_transaction_other);
        cache.classify("set transaction_read_only = 1", {}, 1, out);
        CHECK(out.statements[0].control == sql::Control::set_transaction_read_only);
    }
}

TEST_CASE("query cache: several statements and those with effects are read each time") {
    QueryCache cache;
    for (const std::string_view number : {"1", "2"}) {
        sql::Classification out;
        cache.classify("select pg_advisory_lock(" + std::string(number) + ")", {}, 1, out);
        REQUIRE(out.statement_count == 1);
        REQUIRE(out.statements[0].effects.size() == 1);
        CHECK(out.statements[0].effects[0].kind == sql::EffectKind::advisory_lock);
        CHECK(out.has_effects);
        cache.classify("select " + std::string(number) + "; select 2", {}, 1, out);
        CHECK(out.statement_count == 2);
        cache.classify("select " + std::string(number), {}, 1, out);
        CHECK(out.statement_count == 1);
        CHECK_FALSE(out.has_effects);
    }
}

TEST_CASE("query cache: a session that reads strings in its own way has its queries read by it") {
    QueryCache cache;
    sql::Context own;
    own.standard_conforming_strings = false;
    sql::Classification out;
    // As a plain string 'a\' ends at its second quote, and what follows is code.
    const std::string_view text = "select 'a\\', nextval('s'), ' '";
    cache.classify(text, {}, 1, out);
    CHECK(out.destination == sql::Destination::primary);
    const std::string_view hidden = "select '\\', 1, '";
    cache.classify(hidden, {}, 1, out);
    const auto plain = out.reason;
    cache.classify(hidden, own, 1, out);
    CHECK(out.reason != plain);
}
