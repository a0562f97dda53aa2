#include <doctest/doctest.h>

#include "tests/unit/protocol/sql/classified_mysql.h"

// Where reads and writes of MySQL and MariaDB go; the numbers are those of the routing table.
namespace holdfast::sql::mysql {
namespace {

const std::string read = "replica read";
const std::string last = "transaction session_state, same connection";

void check_all(std::string_view expected, std::initializer_list<const char*> statements,
               const Context& context = mariadb) {
    for (const char* sql : statements) {
        CAPTURE(sql);
        CHECK(route(sql, context) == expected);
    }
}

class Catalog : public FunctionCatalog {
public:
    Verdict find(std::string_view schema, std::string_view name) const override {
        if (name == "calm" && schema.empty()) return Verdict::reads_only;
        if (name == "calm" && schema == "db") return Verdict::reads_only;
        if (name == "json_value" || name == "count") return Verdict::may_write;
        return name == "wild" ? Verdict::may_write : Verdict::unknown;
    }
};

}  // namespace

TEST_CASE("MySQL routing: plain reads") {
    check_all(read,
              {"SELECT 1", "select a from t where b in (1, 2) and (c or d)", "(SELECT 1)",
               "SELECT COUNT(*), MAX(a), IF(a, 1, 2), LEFT(b, 1), REPLACE(c, 'a', 'b'), "
               "INSERT(d, 1, 2, 'x') FROM t GROUP BY a HAVING (COUNT(*) > 1) LIMIT 1",
               "SELECT CAST(a AS DECIMAL(10,2)), CONVERT(b, CHAR(10)), CONVERT(c USING utf8) FROM t",
               "SELECT * FROM t JOIN (SELECT 1) u USING (a) LEFT JOIN v ON (a = b)",
               "SELECT * FROM t WHERE a = ANY (SELECT 1) OR a > SOME (SELECT 2) OR EXISTS (SELECT 3)",
               "SELECT MATCH (a) AGAINST ('x' IN BOOLEAN MODE), a DIV (2), INTERVAL(1, 2) FROM t",
               "SELECT a, ROW_NUMBER() OVER (PARTITION BY b ORDER BY c) FROM t WINDOW w AS (ORDER BY a)",
               "SELECT j->'$.a', j->>'$.b', a <=> b, a || b, !a, ~b, \\N FROM t",
               "SELECT {d '2020-01-01'}, {fn NOW()}", "SELECT `update`, t.delete, `into` FROM t",
               "SELECT JSON_EXTRACT(a, '$'), ST_Distance(b, c), DATE_FORMAT(d, '%Y') FROM t"});
    CHECK(route("") == "transaction empty");
    CHECK(route(" /* nothing */ ; -- more") == "transaction empty");
}

TEST_CASE("MySQL routing: what MySQL 8 and 9 have added reads, too") {
    check_all(read,
              {"SELECT a MEMBER OF(b), a MEMBER OF (b) FROM t",
               "SELECT VECTOR_TO_STRING(STRING_TO_VECTOR('[1,2]')), VECTOR_DIM(TO_VECTOR(v)) FROM t",
               "SELECT FROM_VECTOR(v), VECTOR_DISTANCE(v, w, 'COSINE'), DISTANCE(v, w, 'DOT') FROM t"},
              mysql8);
}

TEST_CASE("MySQL routing rows 1 and 2: locking reads") {
    check_all(
        "primary row_lock",
        {"SELECT * FROM t FOR UPDATE", "SELECT * FROM t FOR UPDATE NOWAIT",
         "SELECT * FROM t FOR UPDATE SKIP LOCKED", "SELECT * FROM t FOR UPDATE WAIT 3",
         "WITH c AS (SELECT * FROM t FOR UPDATE) SELECT * FROM c", "(SELECT * FROM t FOR UPDATE)",
         "SELECT 1 UNION (SELECT a FROM t FOR UPDATE)", "SELECT * FROM (SELECT * FROM t FOR UPDATE) d",
         "SELECT * FROM t FOR SHARE", "SELECT * FROM t LOCK IN SHARE MODE", "SELECT * FROM t FOR UPDATE OF t",
         "SELECT 1 FOR/**/UPDATE", "SELECT 1 for#c\nupdate", "SELECT 1 FOR /*!UPDATE*/"});
}

TEST_CASE("MySQL routing row 3: user variables are read anywhere") {
    check_all(read, {"SELECT @x", "SELECT @`a b`, @'c', @\"d\", @e.f FROM t WHERE a = @x"});
}

TEST_CASE("MySQL routing row 4: assignments inside of statements") {
    for (const char* sql : {"SELECT @x:=1", "SELECT @x := a FROM t WHERE @r := @r + 1"}) {
        CHECK(route(sql) == "primary session_state");
        CHECK(effects(sql) == "user_variables");
        CHECK(replay(sql) == "(nothing)");
    }
    CHECK(route("UPDATE t SET a=(@x:=a)") == "primary write");
    CHECK(effects("UPDATE t SET a=(@x:=a)") == "user_variables");
}

TEST_CASE("MySQL routing rows 6, 7 and 89: INTO has three places") {
    for (const char* sql : {"SELECT 1 INTO @x", "SELECT a INTO @x FROM t", "SELECT 1 FOR UPDATE INTO @x",
                            "SELECT a FROM t INTO @x FOR UPDATE", "SELECT a, b INTO @x, @y FROM t LIMIT 1",
                            "TABLE t INTO @x", "(SELECT 1) UNION (SELECT 2) INTO @x"}) {
        CAPTURE(sql);
        CHECK(classified(sql).destination == Destination::primary);
        CHECK(effects(sql) == "user_variables");
    }
    check_all("primary outside_effect",
              {"SELECT * INTO OUTFILE '/tmp/x' FROM t", "SELECT * FROM t INTO DUMPFILE '/tmp/x'",
               "TABLE t INTO OUTFILE 'x'"});
    check_all(read, {"SELECT * FROM t LIMIT ROWS EXAMINED 10", "SELECT t.into FROM t"});
}

TEST_CASE("MySQL routing row 8: user locks") {
    CHECK(route("SELECT GET_LOCK('a', 1)") == "primary advisory_lock");
    CHECK(effects("SELECT GET_LOCK('a', 1)") == "advisory_lock a");
    CHECK(effects("SELECT RELEASE_LOCK('A')") == "advisory_unlock A");
    CHECK(effects("SELECT RELEASE_LOCK('A')", mysql8) == "advisory_unlock a");
    // What it came to stands in the second column.
    CHECK(replay("SELECT NOW(), RELEASE_LOCK(?) AS r") == "1");
    CHECK(replay("SELECT RELEASE_LOCK('a') FROM t") == "(nothing)");
    CHECK(effects("DO RELEASE_ALL_LOCKS()") == "advisory_unlock_all");
    CHECK(route("SELECT IS_FREE_LOCK('a')") == "primary advisory_lock");
    CHECK(route("SELECT IS_USED_LOCK('a')") == "primary advisory_lock");
    CHECK(effects("SELECT IS_USED_LOCK('a')").empty());
}

TEST_CASE("MySQL routing rows 9 and 10: LAST_INSERT_ID") {
    check_all("primary server_local", {"SELECT LAST_INSERT_ID()", "SELECT @@identity",
                                       "SELECT @@last_insert_id", "SELECT @@session.identity"});
    CHECK(route("SELECT LAST_INSERT_ID(5)") == "primary session_state");
    CHECK(effects("SELECT LAST_INSERT_ID(5)") == "set_opaque");
    CHECK(route("UPDATE t SET a = LAST_INSERT_ID(a + 1)") == "primary write");
    CHECK(effects("UPDATE t SET a = LAST_INSERT_ID(a + 1)").empty());
}

TEST_CASE("MySQL routing rows 11 to 14: about the statement before") {
    CHECK(route("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1") == read);
    check_all(last, {"SELECT FOUND_ROWS()", "SELECT ROW_COUNT()", "SHOW WARNINGS", "SHOW ERRORS LIMIT 1",
                     "SHOW COUNT(*) WARNINGS", "SHOW COUNT(*) ERRORS", "SELECT @@warning_count",
                     "SELECT @@session.error_count", "GET DIAGNOSTICS @n = NUMBER"});
    CHECK(effects("GET DIAGNOSTICS CONDITION 1 @s = RETURNED_SQLSTATE") == "user_variables");
    CHECK(route("SELECT LAST_INSERT_ID(), ROW_COUNT()") == "primary server_local, same connection");
}

TEST_CASE("MySQL routing rows 15 to 20: what only the primary answers rightly") {
    check_all("primary server_role",
              {"SHOW MASTER STATUS",        "SHOW BINARY LOG STATUS",    "SHOW BINARY LOGS",
               "SHOW BINLOG EVENTS",        "SHOW SLAVE STATUS",         "SHOW REPLICA STATUS",
               "SHOW ALL SLAVES STATUS",    "SHOW SLAVE HOSTS",          "SHOW VARIABLES LIKE 'read_only'",
               "SHOW SESSION VARIABLES",    "SHOW GLOBAL VARIABLES",     "SELECT @@read_only",
               "SELECT @@global.read_only", "SELECT @@server_id",        "SELECT @@hostname",
               "SELECT @@gtid_current_pos", "SELECT @@innodb_read_only", "SELECT @@`read_only`",
               "SELECT @@tx_read_only",     "SELECT @@global.time_zone"});
    check_all("primary server_local", {"SHOW PROCESSLIST", "SHOW FULL PROCESSLIST", "SHOW GLOBAL STATUS",
                                       "SHOW OPEN TABLES", "SHOW ENGINE INNODB STATUS", "SHOW PLUGINS"});
    check_all(last, {"SHOW STATUS", "SHOW SESSION STATUS LIKE 'Last_query_cost'", "SHOW LOCAL STATUS"});
    check_all(read,
              {"SELECT @@session.auto_increment_increment AS a, @@character_set_client AS b, @@sql_mode",
               "SELECT @@version, @@version_comment LIMIT 1", "SELECT @@tx_isolation", "SELECT VERSION()"});
}

TEST_CASE("MySQL routing rows 21 and 22: definitions and accounts") {
    check_all(read, {"SHOW CREATE TABLE t",
                     "SHOW TABLES",
                     "SHOW FULL TABLES FROM db LIKE 'a%'",
                     "SHOW COLUMNS FROM t",
                     "SHOW FULL FIELDS IN t",
                     "SHOW EXTENDED FULL COLUMNS FROM t",
                     "SHOW INDEX FROM t",
                     "SHOW KEYS FROM t",
                     "SHOW TABLE STATUS",
                     "SHOW DATABASES",
                     "SHOW SCHEMAS",
                     "SHOW CHARACTER SET",
                     "SHOW COLLATION",
                     "SHOW PROCEDURE STATUS",
                     "SHOW GRANTS",
                     "SHOW GRANTS FOR 'a'@'b'",
                     "SHOW GRANTS FOR CURRENT_USER()",
                     "SELECT CURRENT_USER(), USER(), DATABASE()",
                     "SHOW TRIGGERS",
                     "SHOW CREATE PROCEDURE p"});
    CHECK(route("SHOW TABLES WHERE wild(1)") == "primary unknown_function");
}

TEST_CASE("MySQL routing rows 50 and 51: procedures and stored functions") {
    CHECK(route("CALL p()") == "primary opaque");
    CHECK(effects("CALL p(1, 'a')") == "routine");
    CHECK(effects("CALL p(@out)") == "routine, user_variables");
    check_all("primary unknown_function",
              {"SELECT f()", "SELECT db.f(1)", "SELECT `f`(1)", "SELECT a FROM t WHERE f(a)", "SELECT f (1)",
               "SELECT 1f(2)", "SELECT t.1f(2)", "SELECT COUNT (*) FROM t", "SELECT `count`(1)",
               "SELECT a FROM t ORDER BY f(a) LIMIT 1", "WITH c AS (SELECT f()) SELECT * FROM c",
               "SELECT 1 + f(1)", "SELECT DISTINCT f(1)", "SELECT lateral(1)", "VALUES (f())",
               "SELECT * FROM t PROCEDURE other(1)", "SELECT $f(1)", "SELECT /*! f(1) */"});
    const Catalog catalog;
    Context context;
    context.functions = &catalog;
    check_all(read, {"SELECT calm(1)", "SELECT Calm(1)", "SELECT db.calm(1)", "SELECT `calm`(1)"}, context);
    check_all("primary writing_function",
              {"SELECT wild(1)", "SELECT JSON_VALUE(a, '$') FROM t", "SELECT COUNT (*) FROM t"}, context);
    CHECK(route("SELECT COUNT(*) FROM t", context) == read);
    CHECK(route("SELECT other(1)", context) == "primary unknown_function");
}

TEST_CASE("MySQL routing row 52: a view looks like a table") {
    CHECK(route("SELECT * FROM view_that_calls_functions") == read);
}

TEST_CASE("MySQL routing row 53: sequences") {
    for (const char* sql : {"SELECT NEXTVAL(s)", "SELECT NEXT VALUE FOR s", "SELECT s.nextval",
                            "SELECT db.s.NEXTVAL", "SELECT SETVAL(s, 1)"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary writing_function");
        CHECK(effects(sql) == "sequence");
    }
    check_all("primary server_local", {"SELECT LASTVAL(s)", "SELECT PREVIOUS VALUE FOR s"});
    CHECK(route("SELECT next value FROM t") == read);
}

TEST_CASE("MySQL routing rows 54 and 55: writes") {
    check_all(
        "primary write",
        {"INSERT INTO t VALUES (1)", "INSERT LOW_PRIORITY IGNORE t SET a = f()",
         "INSERT INTO t SELECT * FROM u", "REPLACE INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t",
         "DELETE t, u FROM t JOIN u", "INSERT INTO t VALUES (1) RETURNING a", "DELETE FROM t RETURNING *",
         "WITH c AS (SELECT 1) UPDATE t SET a = 1", "WITH c (a, b) AS (SELECT 1, 2) DELETE FROM t",
         "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)"});
    check_all(read, {"WITH c AS (SELECT 1) SELECT * FROM c",
                     "WITH RECURSIVE c (a, b) AS (SELECT 1, 2 UNION ALL "
                     "SELECT a + 1, b FROM c) SELECT * FROM c",
                     "WITH c (a) AS (SELECT 1), d (b, c) AS (SELECT 2, 3) SELECT * FROM c, d",
                     "SELECT * FROM (WITH c(a) AS (SELECT 1) SELECT * FROM c) d"});
    check_all("primary unknown_function",
              {"WITH c (a) AS (SELECT 1) SELECT 1, f (a) FROM c", "WITH c AS (SELECT 1) (SELECT f(1))"});
    CHECK(route("CREATE TABLE t SELECT * FROM u") == "primary ddl");
}

TEST_CASE("MySQL routing row 56: other queries") {
    check_all(read, {"(SELECT 1) UNION (SELECT 2)", "VALUES ROW(1, 2), ROW(3, 4)", "TABLE t",
                     "SELECT a FROM t PROCEDURE ANALYSE()", "SELECT a FROM t PROCEDURE analyse(10, 20)",
                     "(SELECT 1) EXCEPT (SELECT 2) INTERSECT (SELECT 3)"});
}

TEST_CASE("MySQL routing rows 64 and 65: DDL and table maintenance") {
    check_all("primary ddl",
              {"CREATE TABLE t (a INT)", "ALTER TABLE t ADD b VARCHAR(10)", "DROP TABLE t",
               "RENAME TABLE a TO b", "TRUNCATE t", "TRUNCATE TABLE t", "GRANT SELECT ON t TO u",
               "REVOKE ALL ON t FROM u", "CREATE USER 'a'@'b' IDENTIFIED BY 'c'", "DROP DATABASE d",
               "CREATE VIEW v AS SELECT f()", "CREATE INDEX i ON t (a)", "ANALYZE TABLE t",
               "ANALYZE LOCAL TABLE t", "CHECK TABLE t", "OPTIMIZE TABLE t", "REPAIR TABLE t"});
    CHECK(route("CHECKSUM TABLE t") == read);
}

TEST_CASE("MySQL routing rows 66 and 67: EXPLAIN and ANALYZE") {
    check_all(read,
              {"EXPLAIN SELECT * FROM t", "EXPLAIN FORMAT=JSON UPDATE t SET a = 1", "DESC t", "DESCRIBE t a",
               "EXPLAIN t", "EXPLAIN EXTENDED SELECT 1", "EXPLAIN INSERT INTO t VALUES (1)",
               "EXPLAIN SELECT * FROM t FOR UPDATE", "ANALYZE SELECT 1", "ANALYZE FORMAT=JSON SELECT 1",
               "EXPLAIN ANALYZE SELECT 1", "EXPLAIN ANALYZE FORMAT=TREE SELECT 1"});
    check_all("primary explain_write", {"ANALYZE UPDATE t SET a = 1", "ANALYZE FORMAT=JSON DELETE FROM t",
                                        "EXPLAIN ANALYZE DELETE FROM t",
                                        "EXPLAIN ANALYZE WITH c AS (SELECT 1) "
                                        "UPDATE t SET a = 1"});
    check_all("primary server_local", {"EXPLAIN FOR CONNECTION 5", "EXPLAIN FORMAT=JSON FOR CONNECTION 5",
                                       "SHOW EXPLAIN FOR 5", "DESC information_schema.tables"});
    CHECK(route("EXPLAIN SELECT f()") == "primary unknown_function");
    CHECK(route("ANALYZE SELECT * FROM t FOR UPDATE") == "primary row_lock");
    CHECK(effects("EXPLAIN FORMAT=JSON INTO @v SELECT 1") == "user_variables");
}

TEST_CASE("MySQL routing rows 68 to 70: DO and functions with effects in time only") {
    check_all(read, {"DO SLEEP(1)", "SELECT SLEEP(1), BENCHMARK(1, MD5('a')), UUID(), UUID_SHORT(), RAND()",
                     "SELECT MASTER_POS_WAIT('a', 1), MASTER_GTID_WAIT('0-1-1')",
                     "SELECT WAIT_FOR_EXECUTED_GTID_SET('a')"});
    CHECK(route("DO f()") == "primary unknown_function");
    CHECK(effects("DO GET_LOCK('a', 0)") == "advisory_lock a");
}

TEST_CASE("MySQL routing row 69: CONNECTION_ID is the proxy's to answer") {
    struct Row {
        const char* sql;
        const char* column;
    };
    for (const Row& row :
         {Row{"SELECT CONNECTION_ID()", "CONNECTION_ID()"},
          Row{"select Connection_id ( ) ;", "Connection_id ( )"},
          Row{"SELECT CONNECTION_ID() AS `a``b`", "a`b"}, Row{"SELECT CONNECTION_ID() id LIMIT 1", "id"},
          Row{"/* c */ SELECT CONNECTION_ID() LIMIT 1", "CONNECTION_ID()"},
          Row{"SELECT CONNECTION_ID() AS 'x'", "x"}}) {
        CAPTURE(row.sql);
        const Classification out = classified(row.sql);
        REQUIRE(out.statement_count == 1);
        CHECK(out.statements[0].asks_connection_id);
        CHECK(out.statements[0].name == row.column);
        CHECK(route(row.sql) == "primary server_local");
    }
    for (const char* sql :
         {"SELECT CONNECTION_ID() + 1", "SELECT CONNECTION_ID(), 2", "SELECT CONNECTION_ID(1)",
          "SELECT CONNECTION_ID() FROM t", "SELECT a FROM t WHERE b = CONNECTION_ID()",
          "SELECT CONNECTION_ID() LIMIT 0", "SELECT CONNECTION_ID() INTO @x",
          "EXPLAIN SELECT CONNECTION_ID()", "ANALYZE SELECT CONNECTION_ID()", "SELECT CONNECTION_ID() AS"}) {
        CAPTURE(sql);
        const Classification out = classified(sql);
        CHECK_FALSE(out.statements[0].asks_connection_id);
        CHECK(out.destination == Destination::primary);
    }
}

TEST_CASE("MySQL routing row 85: HELP") {
    CHECK(route("HELP 'select'") == read);
}

TEST_CASE("MySQL routing row 87: schemas that describe one server") {
    check_all("primary server_local",
              {"SELECT * FROM information_schema.tables", "SELECT * FROM `INFORMATION_SCHEMA`.PROCESSLIST",
               "SELECT 1 FROM performance_schema.threads", "SELECT 1 FROM mysql . user",
               "SELECT 1 FROM sys.version"});
    CHECK(route("SELECT t.mysql FROM t") == read);
}

TEST_CASE("MySQL routing row 88: words that look like more than they are") {
    check_all(read,
              {"SELECT * FROM t FOR SYSTEM_TIME AS OF NOW()", "SELECT * FROM t PARTITION (p0)",
               "SELECT * FROM t USE INDEX (a) IGNORE INDEX FOR JOIN (b)", "SELECT STRAIGHT_JOIN a FROM t",
               "SELECT SUBSTRING(a FROM 1 FOR 2), TRIM(BOTH 'a' FROM b) FROM t",
               "SELECT * FROM t FORCE INDEX FOR ORDER BY (a)"});
}

}  // namespace holdfast::sql::mysql
