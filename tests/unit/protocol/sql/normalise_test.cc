#include "protocol/sql/normalise.h"

#include <doctest/doctest.h>

#include "protocol/sql/classify.h"
#include "protocol/sql/prepare.h"

namespace holdfast::sql {
namespace {

std::string normal(std::string_view sql) {
    return normalise(Dialect::postgres, sql);
}

}  // namespace

TEST_CASE("normalise: folds letters, space, comments and literals") {
    CHECK(normal("  SELECT  A, \"B\"\n FROM t /* c */ WHERE x='Secret' -- end") ==
          "select a, \"B\" from t where x=?");
    CHECK(normal("SELECT $1, $$x$$, E'a\\'b', U&'a' UESCAPE '!', B'01', 1.5e10, -3") == "select ?, -?");
    CHECK(normal("/* a */ SELECT/**/1") == "select ?");
    CHECK(normal("") == "");
    CHECK(normal(";") == ";");
}

TEST_CASE("normalise: a list of literals is one") {
    CHECK(normal("a IN (1, 2 ,3)") == "a in (?)");
    CHECK(normal("a IN (1)") == "a in (?)");
    CHECK(normal("VALUES (1,'a'),(2,'b')") == "values (?),(?)");
    CHECK(normal("f(1 , a,2)") == "f(? , a,?)");
    CHECK(normal("1,") == "?,");
    CHECK(normal("1,,2") == "?,,?");
}

TEST_CASE("normalise: hides what it can't read") {
    CHECK(normal("SELECT 'open secret") == "select ?");
    CHECK(normal("SELECT 1, 'open secret") == "select ?");
    CHECK(normal("SELECT a \\ secret") == "select a ?");
}

TEST_CASE("normalise: MySQL's quotes and comments") {
    CHECK(normalise(Dialect::mysql, "SELECT `A`, \"x\\\"y\", 'a\\'b' # c\n FROM T") ==
          "select `A`, ? from t");
    CHECK(normalise(Dialect::mysql, "SELECT 5--1 -- c") == "select ?--?");
    CHECK(comments(Dialect::mysql, "# a\nSELECT 1 /* b */") == " a\n b ");
}

TEST_CASE("normalise: MySQL's executable comments are text") {
    const auto mysql = [](std::string_view sql) { return normalise(Dialect::mysql, sql); };
    CHECK(mysql("SELECT /*!50000 1, A */ FROM t") == "select /*!50000 ?, a */ from t");
    CHECK(mysql("/*M!100100 INSERT INTO T VALUES ('x') */") == "/*M!100100 insert into t values (?) */");
    CHECK(mysql("SELECT 1 /*!99999 'open") == "select ? /*!99999 ?");
    CHECK(mysql("SELECT 1 /*+ hint */ */ 2") == "select ? */ ?");
    CHECK(mysql("SELECT @Var, @`Var`, @@Mode, \\N, a IN (?, ?)") ==
          "select @var, @`Var`, @@mode, ?, a in (?)");
    CHECK(mysql("SELECT 1a, t.1B, 0x1F, 5e") == "select 1a, t.1b, ?, 5e");
    CHECK(mysql("SELECT 'it''s \\' secret' # c") == "select ?");
    CHECK(comments(Dialect::mysql, "/*!50000 SELECT /* a */ 1 */ -- b") == " a \n b");
    CHECK(comments(Dialect::mysql, "SELECT '# no' --no\n# yes\rmore") == " yes\rmore");
}

TEST_CASE("fingerprint: is the hash of the normalised text") {
    for (const char* sql :
         {"", "SELECT 1", "select  2 -- c", "SELECT a, 'x' FROM t WHERE b IN (1,2,3);", "'open"}) {
        CHECK(fingerprint(Dialect::postgres, sql) == fingerprint_of_normalised(normal(sql)));
    }
    CHECK(fingerprint(Dialect::postgres, "SELECT 1") == fingerprint(Dialect::postgres, "select /* x */ 'y'"));
    CHECK(fingerprint(Dialect::postgres, "SELECT 1") != fingerprint(Dialect::postgres, "SELECT a"));
    CHECK(fingerprint_of_normalised("") != fingerprint_of_normalised("a"));
}

TEST_CASE("comments: their texts, one a line") {
    CHECK(comments(Dialect::postgres, "/* a */ SELECT '-- no' -- b\n /* c /* d */ */") ==
          " a \n b\n c /* d */ ");
    CHECK(comments(Dialect::postgres, "SELECT 1") == "");
    CHECK(comments(Dialect::postgres, "SELECT U&'a' /* x */ UESCAPE '!' /* y */") == " y ");
    CHECK(comments(Dialect::postgres, "-- a\n/* open") == " a");
}

TEST_CASE("prepared_body: the statement after AS") {
    CHECK(prepared_body("PREPARE q AS SELECT 1") == "SELECT 1");
    CHECK(prepared_body("PREPARE \"as\" (int, numeric(3,1)) /* as */ AS\n INSERT INTO t SELECT 1 AS a") ==
          "INSERT INTO t SELECT 1 AS a");
    CHECK(prepared_body("PREPARE q") == "");
    CHECK(prepared_body("PREPARE q AS") == "");
    CHECK(prepared_body("") == "");
}

TEST_CASE("prepared_literal: the value of the text after FROM") {
    const Context context;
    CHECK(prepared_literal("PREPARE s FROM 'SELECT 1'", context) == "SELECT 1");
    CHECK(prepared_literal("PREPARE `s` FROM \"SELECT 'a'\"", context) == "SELECT 'a'");
    CHECK(prepared_literal("PREPARE s FROM 'SELECT ''a\\'\\n\\%\\\\' ' b'", context) ==
          "SELECT 'a'\n\\%\\ b");
    CHECK(prepared_literal("PREPARE s FROM ''", context) == "");
    CHECK(prepared_literal("PREPARE s FROM @v", context) == std::nullopt);
    CHECK(prepared_literal("PREPARE s FROM CONCAT('a')", context) == std::nullopt);
    CHECK(prepared_literal("PREPARE s", context) == std::nullopt);
    CHECK(prepared_literal("", context) == std::nullopt);
    Context plain;
    plain.no_backslash_escapes = true;
    CHECK(prepared_literal("PREPARE s FROM 'a\\n'", plain) == "a\\n");
}

TEST_CASE("classification: its words") {
    CHECK(to_string(Reason::row_lock) == "row_lock");
    CHECK(to_string(Destination::transaction) == "transaction");
    CHECK(to_string(EffectKind::set) == "set");
    CHECK(to_string(EffectKind::advisory_unlock_all) == "advisory_unlock_all");
}

}  // namespace holdfast::sql
