#include <chrono>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "tests/unit/protocol/sql/classified_mysql.h"

// How text is read: comments, quotes, character sets; the numbers are those of the routing table.
namespace holdfast::sql::mysql {
namespace {

const std::string read = "replica read";

std::string repeated(std::string_view part, size_t times) {
    std::string text;
    text.reserve(part.size() * times);
    for (size_t i = 0; i < times; ++i) text += part;
    return text;
}

}  // namespace

TEST_CASE("MySQL routing row 71: executable comments are text when the server runs them") {
    struct Row {
        const char* sql;
        const char* mariadb;
        const char* mysql;
    };
    for (const Row& row : {
             Row{"/*!50000 INSERT INTO t VALUES (1) */", "primary write", "primary write"},
             Row{"/*! DELETE FROM t */", "primary write", "primary write"},
             Row{"SELECT 1 /*!50000 FOR UPDATE */", "primary row_lock", "primary row_lock"},
             Row{"SELECT /*!40001 SQL_NO_CACHE */ 1", "replica read", "replica read"},
             Row{"SELECT 1 /*!50700 FOR UPDATE */", "replica read", "primary row_lock"},
             Row{"SELECT 1 /*!80036 FOR UPDATE */", "replica read", "primary row_lock"},
             Row{"SELECT 1 /*!80037 FOR UPDATE */", "replica read", "replica read"},
             Row{"SELECT 1 /*!99999 FOR UPDATE */", "replica read", "replica read"},
             Row{"SELECT 1 /*!100100 FOR UPDATE */", "primary row_lock", "primary unparsed"},
             Row{"SELECT 1 /*!999999 FOR UPDATE */", "replica read", "replica read"},
             Row{"SELECT 1 /*M!100100 FOR UPDATE */", "primary row_lock", "replica read"},
             Row{"SELECT 1 /*M!50700 FOR UPDATE */", "primary row_lock", "replica read"},
             Row{"SELECT 1 /*M!999999 FOR UPDATE */", "replica read", "replica read"},
             Row{"SELECT 1 /*M! FOR UPDATE */", "primary row_lock", "replica read"},
             Row{"SELECT 1 /*m! FOR UPDATE */", "replica read", "replica read"},
             Row{"/*!999999\\- enable the sandbox mode */", "transaction empty", "transaction empty"},
             Row{"SELECT 1 /*!5000 FOR UPDATE */", "primary row_lock", "primary row_lock"},
             Row{"SELECT 1 /*!99999 /* inner */ FOR UPDATE */", "replica read", "replica read"},
             Row{"SELECT /*!50000 1 /* x */, 2 */ FROM t", "replica read", "replica read"},
             Row{"SELECT '/*!50000' FOR UPDATE -- */", "primary row_lock", "primary row_lock"},
             Row{"SELECT /*!50000 '*/' */ FROM t FOR UPDATE", "primary row_lock", "primary row_lock"},
             Row{"SELECT /*+ SET_VAR(a=1) */ 1", "replica read", "replica read"},
             Row{"SELECT 1 /*!50000", "primary unparsed", "primary unparsed"},
             Row{"SELECT 1 /*!50000 ; DELETE FROM t */", "primary unparsed", "primary unparsed"},
             Row{"SELECT 1 /*!99999", "primary unparsed", "primary unparsed"},
         }) {
        CAPTURE(row.sql);
        CHECK(route(row.sql, mariadb) == row.mariadb);
        CHECK(route(row.sql, mysql8) == row.mysql);
    }
}

TEST_CASE("MySQL routing row 71: what executable comments leave behind") {
    CHECK(replay("/*!40101 SET NAMES utf8 */;") == "SET NAMES utf8");
    CHECK(replay("/*!40101 SET */ ROLE /*!50000 r */") == "SET ROLE r");
    CHECK(replay("SET /*!50000 TRANSACTION */ READ ONLY") == "SET TRANSACTION READ ONLY");
    CHECK(replay("/*!40101 SET @a=@@sql_mode, sql_mode='X' */") == "(nothing)\nSET SESSION sql_mode = 'X'");
}

TEST_CASE("MySQL routing row 71: an unknown version is a doubt") {
    Context context;
    context.server_version = 0;
    CHECK(route("SELECT /*!40001 SQL_NO_CACHE */ 1", context) == "primary unparsed");
    CHECK(effects("SELECT /*!40001 SQL_NO_CACHE */ 1", context) == "set_opaque");
    CHECK(route("SELECT /* plain */ 1", context) == read);
}

TEST_CASE("MySQL routing row 72: other comments") {
    for (const char* sql : {"/* c */ SELECT 1", "-- c\nSELECT 1", "# c\nSELECT 1", "--\tc\nSELECT 1",
                            "SELECT 1 --", "SELECT 1 # FOR UPDATE", "SELECT 1 -- FOR UPDATE",
                            "SELECT 1 --\x01 FOR UPDATE", "SELECT 1 /* /* FOR UPDATE */", "SELECT 1 /**/",
                            "SELECT 5--1, 5 - -1", "# \r FOR UPDATE\nSELECT 1"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
    }
    CHECK(route("SELECT 1 --FOR UPDATE") == "primary row_lock");
    CHECK(route("/* /* */ DELETE FROM t") == "primary write");
    // A carriage return ends no line.
    CHECK(route("SELECT 1 -- \r /*\n; DELETE FROM t -- */") == "primary write");
    CHECK(route(std::string_view("SELECT 1 -- a\0 b", 16)) == "primary unparsed");
    CHECK(route("SELECT 1 /* open") == "primary unparsed");
}

TEST_CASE("MySQL routing row 73: literals and quoted names") {
    for (const char* sql :
         {"SELECT '… FOR UPDATE …'", "SELECT \" FOR UPDATE \"", "SELECT ` FOR UPDATE `, `a``FOR UPDATE`",
          "SELECT N'FOR UPDATE', _utf8'FOR UPDATE', x'41', b'01', 0x41, 0b01", "SELECT 'a\\' FOR UPDATE'",
          "SELECT 'a'' FOR UPDATE'", "SELECT \"a\\\" FOR UPDATE\"", "SELECT '; DELETE FROM t'",
          "SELECT '/*' , '*/'", "SELECT 'a' 'b'", "SELECT 1.5e10, .5, 1., 1e5, 0xzz FROM t"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
    }
    CHECK(route("SELECT `a\\` FOR UPDATE") == "primary row_lock");
    CHECK(route("SELECT 'a\\\\' FOR UPDATE") == "primary row_lock");
    CHECK(route("SELECT 'open") == "primary unparsed");
    CHECK(route("SELECT `open") == "primary unparsed");
}

TEST_CASE("MySQL routing row 73: sql_mode changes how quotes are read") {
    Context ansi;
    ansi.ansi_quotes = true;
    CHECK(route("SELECT \"a\\\" FOR UPDATE -- \"", ansi) == "primary row_lock");
    CHECK(route("SELECT \"f\"(1)", ansi) == "primary unknown_function");
    CHECK(route("SELECT \"a\"", ansi) == read);
    Context plain;
    plain.no_backslash_escapes = true;
    CHECK(route("SELECT 'a\\' FOR UPDATE -- '", plain) == "primary row_lock");
    CHECK(route("SELECT 'a\\' FOR UPDATE -- '") == read);
    // A later statement of the message is read under the new mode.
    CHECK(route("SET sql_mode = 'ANSI_QUOTES'; SELECT \"a\"") == "primary unparsed");
    CHECK(effects("SET sql_mode = 'ANSI_QUOTES'; SELECT \"a\"") == "set sql_mode, set_opaque");
    CHECK(route("SET sql_mode = ''; SET NAMES utf8; SELECT 'a'") == read);
    CHECK(route("SET NAMES gbk; SELECT '\xbf\x27'") == "primary unparsed");
}

TEST_CASE("MySQL routing row 74: character sets in which a quote may be half a character") {
    Context gbk;
    gbk.encoding_is_safe = false;
    CHECK(route("SELECT '\xbf\\'", gbk) == "primary unparsed");
    CHECK(route("SELECT 'a'", gbk) == read);
    CHECK(route("SELECT '\xc3\xa9', caf\xc3\xa9 FROM t") == read);
    CHECK(route("SELECT caf\xe9 FROM t") == "primary unparsed");
    CHECK(route("SELECT 1 FOR\xa0UPDATE") == "primary unparsed");
}

TEST_CASE("MySQL classify: odd characters") {
    CHECK(route("SELECT \\x") == "primary unparsed");
    CHECK(route(std::string_view("SELECT \0", 8)) == "primary unparsed");
    CHECK(route("SELECT $$a$$") == "primary unparsed");
    CHECK(route("SELECT 1)") == "primary unparsed");
    CHECK(route("SELECT (1") == "primary unparsed");
    CHECK(route("SELECT (1; SELECT 2)") == "primary unparsed");
    CHECK(route("FROBNICATE") == "primary unparsed");
    CHECK(route(repeated("(", 5'000) + "SELECT 1") == "primary unparsed");
}

TEST_CASE("MySQL classify: hints") {
    CHECK(route("/* holdfast: primary */ SELECT 1") == "primary hint");
    CHECK(route("SELECT 1 # holdfast: primary") == "primary hint");
    CHECK(route("/* holdfast: replica */ SELECT f()") == "replica hint");
    CHECK(route("SHOW SLAVE STATUS; -- holdfast: replica") == "replica hint");
    CHECK(route("/* holdfast: replica */ DELETE FROM t") == "primary write");
    CHECK(route("/* holdfast: replica */ SELECT @x := 1") == "primary session_state");
    CHECK(route("/* holdfast: primary */ COMMIT") == "transaction transaction_control");
}

TEST_CASE("MySQL classify: the beginning of a longer text goes to the primary") {
    Context context;
    context.truncated = true;
    CHECK(route("SELECT 1", context) == "primary too_long");
    CHECK(replay("SET ROLE r", context) == "(nothing)");
    CHECK(route("SELECT '" + std::string(limits::statement_classified_bytes_max, 'x') + "'") ==
          "primary too_long");
}

TEST_CASE("MySQL classify: a used object keeps nothing of the message before") {
    Classification out;
    classify(Dialect::mysql, "KILL 5; SELECT FOUND_ROWS(); SELECT CONNECTION_ID()", mariadb, out);
    CHECK(out.same_connection);
    classify(Dialect::mysql, "SELECT 1; SELECT 2; SELECT 3", mariadb, out);
    CHECK_FALSE(out.same_connection);
    for (const Statement& statement : out.statements) {
        CHECK(statement.kill == Statement::Kill::none);
        CHECK(statement.kill_id == 0);
        CHECK_FALSE(statement.asks_connection_id);
        CHECK_FALSE(statement.same_connection);
    }
}

TEST_CASE("MySQL classify: time is linear in the length") {
    const size_t size = limits::statement_classified_bytes_max;
    for (const char* part : {"(",
                             "/*!",
                             "/*!99999 ",
                             "/* ",
                             "'",
                             "`a`",
                             "@",
                             "@@x,",
                             "f(",
                             "a.",
                             "WITH a(",
                             "SET x=1,",
                             "SET NAMES a;",
                             "/*!50000 SET ROLE r*/;",
                             "SET ROLE r /* c */;",
                             "$",
                             "--",
                             "1e",
                             "0x",
                             "NEXT VALUE ",
                             "EXECUTE IMMEDIATE '",
                             "SET STATEMENT a=1 FOR ",
                             "SET sql_mode=1;",
                             "{"}) {
        CAPTURE(part);
        const std::string text = repeated(part, size / std::string_view(part).size());
        const auto begin = std::chrono::steady_clock::now();
        classified(text);
        normalise(Dialect::mysql, text);
        comments(Dialect::mysql, text);
        const auto taken = std::chrono::steady_clock::now() - begin;
        // A quadratic reader needs minutes.
        CHECK(taken < std::chrono::seconds(2));
    }
}

}  // namespace holdfast::sql::mysql
