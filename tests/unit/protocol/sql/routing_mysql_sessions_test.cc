#include <doctest/doctest.h>

#include "tests/unit/protocol/sql/classified_mysql.h"

// Session state, transactions and administration; the numbers are those of the routing table.
namespace holdfast::sql::mysql {
namespace {

const std::string state = "transaction session_state";
const std::string control_route = "transaction transaction_control";

struct Row {
    const char* sql;
    const char* effects;
    const char* replay;
};

void check_state(std::initializer_list<Row> rows) {
    for (const Row& row : rows) {
        CAPTURE(row.sql);
        CHECK(route(row.sql) == state);
        CHECK(effects(row.sql) == row.effects);
        CHECK(replay(row.sql) == row.replay);
    }
}

}  // namespace

TEST_CASE("MySQL routing row 5: user variables") {
    check_state({{"SET @X = 5", "user_variable x", "SET @X = 5"},
                 {"SET @x := 'a;b'", "user_variable x", "SET @x = 'a;b'"},
                 {"SET @x = -1.5e3", "user_variable x", "SET @x = -1.5e3"},
                 {"SET @x = NULL", "user_variable x", "SET @x = NULL"},
                 {"SET @`a b` = \"c\"", "user_variable a b", "SET @`a b` = 'c'"},
                 {"SET @x = \"it's\"", "user_variable x", "SET @x = \"it's\""},
                 {"SET @x = 1, @y = 0x41", "user_variable x, user_variable y", "SET @x = 1\nSET @y = 0x41"},
                 {"SET @x = 1 + 1", "user_variables", "(nothing)"},
                 {"SET @x = @y, @z = @x", "user_variables", "(nothing)"},
                 {"SET @x = _utf8'a'", "user_variables", "(nothing)"},
                 {"SET @x = CURRENT_TIMESTAMP", "user_variables", "(nothing)"},
                 {"SET @x = @@sql_mode", "user_variables", "(nothing)"},
                 {"SET @\xc3\xa9 = 1", "user_variables", "(nothing)"}});
    CHECK(route("SET @x = (SELECT MAX(a) FROM t)") == "primary session_state");
    CHECK(route("SET @x = f()") == "primary unknown_function");
    CHECK(route("SET @x = @@server_id") == "primary server_role");
    CHECK(effects("SET @x = GET_LOCK('a', 1)") == "advisory_lock, user_variables");
}

TEST_CASE("MySQL routing row 23: character sets") {
    check_state({{"SET NAMES utf8mb4", "set names", "SET NAMES utf8mb4"},
                 {"set names 'utf8' COLLATE utf8_bin", "set names", "SET names 'utf8' COLLATE utf8_bin"},
                 {"SET CHARACTER SET latin1", "set names", "SET CHARACTER SET latin1"},
                 {"SET CHARSET DEFAULT", "set names", "SET CHARSET DEFAULT"},
                 {"SET NAMES utf8, autocommit = 1", "set names, set autocommit",
                  "SET NAMES utf8\nSET SESSION autocommit = 1"}});
}

TEST_CASE("MySQL routing row 23: what no server takes for a character set") {
    for (const char* sql :
         {"SET NAMES", "SET NAMES a b", "SET NAMES a @x:=1", "SET CHARACTER a", "SET NAMES a COLLATE"}) {
        CHECK(route(sql) == "primary unparsed");
        CHECK(effects(sql).empty());
    }
}

TEST_CASE("MySQL routing row 24: session variables") {
    check_state({{"SET sql_mode = 'ANSI'", "set sql_mode", "SET SESSION sql_mode = 'ANSI'"},
                 {"SET SESSION Sql_Mode=\"A,B\"", "set sql_mode", "SET SESSION sql_mode = 'A,B'"},
                 {"SET LOCAL x = on", "set x", "SET SESSION x = on"},
                 {"SET @@x = DEFAULT", "set x", "SET SESSION x = DEFAULT"},
                 {"SET @@session.x := 1", "set x", "SET SESSION x = 1"},
                 {"SET `time_zone` = '+00:00'", "set time_zone", "SET SESSION time_zone = '+00:00'"},
                 {"SET a = 1, b = -2, SESSION c = `d`", "set a, set b, set c",
                  "SET SESSION a = 1\nSET SESSION b = -2\nSET SESSION c = `d`"},
                 {"SET sql_mode = CONCAT(@@sql_mode, ',X'), a = 1", "set_opaque sql_mode, set a",
                  "(nothing)\nSET SESSION a = 1"},
                 {"SET x = @old", "set_opaque x", "(nothing)"},
                 {"SET global_thing = 1", "set global_thing", "SET SESSION global_thing = 1"}});
    CHECK(route("SET x = f(1)") == "primary unknown_function");
    CHECK(route("SET x") == "primary unparsed");
    CHECK(route("SET x = ") == "primary unparsed");
    CHECK(route("SET = 1") == "primary unparsed");
}

TEST_CASE("MySQL routing rows 25 and 26: global variables are never replayed") {
    for (const char* sql :
         {"SET GLOBAL a = 1", "SET PERSIST a = 1", "SET PERSIST_ONLY a = 1", "SET @@global.a = 1",
          "SET @@persist.a = 1", "SET GLOBAL a = 1, b = 2", "SET GLOBAL TRANSACTION READ ONLY"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary server_local");
        CHECK(effects(sql).empty());
    }
    CHECK(route("SET a = 1, GLOBAL b = 2") == "primary server_local");
    CHECK(replay("SET a = 1, GLOBAL b = 2") == "SET SESSION a = 1");
    CHECK(replay("SET GLOBAL b = 2, SESSION a = 1, c = 3") == "SET SESSION a = 1\nSET SESSION c = 3");
    CHECK(replay("SET GLOBAL b = 2, @@a = 1, @v = 1") == "SET SESSION a = 1\nSET @v = 1");
}

TEST_CASE("MySQL routing rows 27 to 29: autocommit and characteristics of transactions") {
    check_state(
        {{"SET autocommit=0", "set autocommit", "SET SESSION autocommit = 0"},
         {"SET @@autocommit = ON", "set autocommit", "SET SESSION autocommit = ON"},
         {"SET TRANSACTION READ ONLY", "next_transaction", "SET TRANSACTION READ ONLY"},
         {"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE", "next_transaction",
          "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE"},
         {"SET @@tx_isolation = 'SERIALIZABLE'", "next_transaction", "SET @@tx_isolation = 'SERIALIZABLE'"},
         {"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
          "set transaction isolation, set transaction access",
          "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED\nSET SESSION TRANSACTION READ ONLY"},
         {"SET SESSION TRANSACTION READ WRITE", "set transaction access",
          "SET SESSION TRANSACTION READ WRITE"},
         {"SET tx_isolation = 'READ-COMMITTED'", "set transaction isolation",
          "SET SESSION tx_isolation = 'READ-COMMITTED'"},
         {"SET @@session.transaction_read_only = 1", "set transaction access",
          "SET SESSION transaction_read_only = 1"}});
    CHECK(route("SET TRANSACTION") == "primary unparsed");
    CHECK(route("SET SESSION TRANSACTION READ NOTHING") == "primary unparsed");
    CHECK(effects("SET SESSION TRANSACTION READ NOTHING").empty());
}

TEST_CASE("MySQL routing row 30: SET STATEMENT") {
    CHECK(route("SET STATEMENT max_statement_time = 1, x = 'for' FOR SELECT 1") == "replica read");
    CHECK(effects("SET STATEMENT sql_mode = 'ANSI' FOR SELECT 1").empty());
    CHECK(route("SET STATEMENT a = 1 FOR UPDATE t SET b = 1") == "primary write");
    CHECK(route("SET STATEMENT a = f() FOR SELECT 1") == "primary unknown_function");
    CHECK(route("SET STATEMENT a = 1 FOR SELECT 1 FOR UPDATE") == "primary row_lock");
    CHECK(route("SET STATEMENT a = 1") == "primary unparsed");
}

TEST_CASE("MySQL routing row 31: roles and passwords") {
    check_state({{"SET ROLE r", "set role", "SET ROLE r"}, {"SET ROLE NONE", "set role", "SET ROLE NONE"}});
    for (const char* sql :
         {"SET DEFAULT ROLE r FOR u", "SET PASSWORD = PASSWORD('x')", "SET PASSWORD FOR 'a'@'b' = 'c'"}) {
        CHECK(route(sql) == "primary ddl");
        CHECK(effects(sql).empty());
    }
}

TEST_CASE("MySQL routing row 32: variables of the next writes") {
    CHECK(route("SET sql_log_bin = 0") == "primary session_state");
    CHECK(route("SET @@SESSION.PSEUDO_REPLICA_MODE = 1") == "primary session_state");
    CHECK(replay("SET sql_log_bin = 0") == "SET SESSION sql_log_bin = 0");
    CHECK(replay("SET timestamp = 5, gtid_domain_id = 1") ==
          "SET SESSION timestamp = 5\nSET SESSION gtid_domain_id = 1");
    CHECK(route("SET insert_id = 7") == "primary session_state");
    CHECK(effects("SET insert_id = 7, rand_seed1 = 1") == "set_opaque insert_id, set_opaque rand_seed1");
}

TEST_CASE("MySQL routing rows 33 and 90: tracking and Galera") {
    check_state({{"SET session_track_schema = OFF", "tracking session_track_schema",
                  "SET SESSION session_track_schema = OFF"},
                 {"SET SESSION session_track_system_variables = CONCAT('a')",
                  "tracking session_track_system_variables", "(nothing)"},
                 {"SET wsrep_sync_wait = 1", "set wsrep_sync_wait", "SET SESSION wsrep_sync_wait = 1"}});
    CHECK(route("SELECT WSREP_LAST_SEEN_GTID()") == "primary server_local");
}

TEST_CASE("MySQL routing row 34: USE") {
    check_state({{"USE db", "set schema", "USE `db`"}, {"use `a``b`;", "set schema", "USE `a``b`"}});
    CHECK(route("USE") == "primary unparsed");
    CHECK(route("USE a b") == "primary unparsed");
}

TEST_CASE("MySQL routing rows 35 and 36: temporary tables") {
    for (const char* sql :
         {"CREATE TEMPORARY TABLE t (a INT)", "CREATE OR REPLACE TEMPORARY TABLE t AS SELECT 1"}) {
        CHECK(route(sql) == "primary temporary");
        CHECK(effects(sql) == "temporary");
    }
    CHECK(route("DROP TEMPORARY TABLE t") == "primary ddl");
}

TEST_CASE("MySQL routing rows 37 to 40: locks and handlers") {
    for (const char* sql : {"LOCK TABLES t WRITE", "LOCK INSTANCE FOR BACKUP", "FLUSH TABLES WITH READ LOCK",
                            "FLUSH TABLES a, b WITH READ LOCK", "FLUSH LOCAL TABLES t FOR EXPORT",
                            "BACKUP STAGE START", "BACKUP LOCK t"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary row_lock");
        CHECK(effects(sql) == "table_lock");
    }
    for (const char* sql : {"UNLOCK TABLES", "UNLOCK INSTANCE", "BACKUP STAGE END", "BACKUP UNLOCK"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary row_lock");
        CHECK(effects(sql) == "table_unlock");
    }
    for (const char* sql : {"FLUSH PRIVILEGES", "FLUSH TABLES", "RESET MASTER", "PURGE BINARY LOGS TO 'a'"}) {
        CHECK(route(sql) == "primary server_local");
        CHECK(effects(sql).empty());
    }
    CHECK(effects("HANDLER t OPEN") == "handler t");
    CHECK(effects("HANDLER db.T OPEN AS H") == "handler h");
    CHECK(effects("HANDLER h CLOSE") == "handler_close h");
    CHECK(route("HANDLER h READ FIRST") == "primary session_state");
    CHECK(effects("HANDLER h READ FIRST").empty());
}

TEST_CASE("MySQL routing rows 41 to 43: prepared statements in SQL") {
    check_state({{"PREPARE S FROM 'SELECT 1'", "prepare s", "PREPARE S FROM 'SELECT 1'"},
                 {"DEALLOCATE PREPARE S", "deallocate s", "(nothing)"},
                 {"DROP PREPARE `s`", "deallocate s", "(nothing)"}});
    CHECK(route("PREPARE s FROM @v") == "primary session_state");
    CHECK(effects("PREPARE s FROM @v") == "set_opaque, prepare s");
    CHECK(replay("PREPARE s FROM @v") == "(nothing)\n(nothing)");
    const Classification out = classified("EXECUTE S USING @a");
    CHECK(out.statements[0].executes_prepared);
    CHECK(out.statements[0].name == "s");
    CHECK(route("EXECUTE s USING @a, @b") == "transaction cursor");
    CHECK(route("EXECUTE s USING f()") == "primary unknown_function");
    CHECK(route("EXECUTE IMMEDIATE 'SELECT 1'") == "replica read");
    CHECK(route("EXECUTE IMMEDIATE 'DELETE FROM t'") == "primary write");
    CHECK(effects("EXECUTE IMMEDIATE 'SET x = 1'") == "set x");
    CHECK(route("EXECUTE IMMEDIATE @x") == "primary opaque");
    CHECK(route("EXECUTE IMMEDIATE CONCAT('SELECT', ' 1')") == "primary opaque");
    CHECK(route("EXECUTE IMMEDIATE 'SELECT 1' 'FOR UPDATE'") == "primary opaque");
}

TEST_CASE("MySQL routing rows 57 to 62: transactions") {
    struct Case {
        const char* sql;
        const char* route;
        Control control;
    };
    for (const Case& each :
         {Case{"BEGIN", "primary begin", Control::begin},
          Case{"begin work;", "primary begin", Control::begin},
          Case{"START TRANSACTION", "primary begin", Control::begin},
          Case{"START TRANSACTION READ WRITE", "primary begin", Control::begin},
          Case{"START TRANSACTION READ ONLY", "replica read_only_transaction", Control::begin_read_only},
          Case{"START TRANSACTION WITH CONSISTENT SNAPSHOT", "primary begin", Control::begin},
          Case{"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "replica read_only_transaction",
               Control::begin_read_only},
          Case{"BEGIN NOT ATOMIC SELECT 1; DELETE FROM t; END", "primary opaque", Control::none},
          Case{"COMMIT", control_route.c_str(), Control::commit},
          Case{"COMMIT WORK AND CHAIN", control_route.c_str(), Control::commit_and_chain},
          Case{"COMMIT AND NO CHAIN RELEASE", control_route.c_str(), Control::commit},
          Case{"ROLLBACK NO RELEASE", control_route.c_str(), Control::rollback},
          Case{"ROLLBACK AND CHAIN", control_route.c_str(), Control::rollback_and_chain},
          Case{"SAVEPOINT A", control_route.c_str(), Control::savepoint},
          Case{"ROLLBACK TO A", control_route.c_str(), Control::rollback_to},
          Case{"ROLLBACK WORK TO SAVEPOINT A", control_route.c_str(), Control::rollback_to},
          Case{"RELEASE SAVEPOINT A", control_route.c_str(), Control::release},
          Case{"COMMIT AND", "primary unparsed", Control::none}}) {
        CAPTURE(each.sql);
        CHECK(route(each.sql) == each.route);
        CHECK(control(each.sql) == each.control);
    }
    CHECK(classified("ROLLBACK TO A").statements[0].name == "a");
}

TEST_CASE("MySQL routing row 63: XA") {
    CHECK(route("XA START 'x'") == "primary begin");
    for (const char* sql :
         {"XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'", "XA ROLLBACK 'x'", "XA RECOVER"}) {
        CHECK(route(sql) == "primary transaction_control");
    }
}

TEST_CASE("MySQL routing row 75: several statements go where the most restrictive must") {
    CHECK(route("SELECT 1; SELECT 2") == "replica read");
    CHECK(route("SELECT 1; DELETE FROM t") == "primary write");
    CHECK(route("SET a = 1; SELECT 1;") == "replica read");
    const Classification out =
        classified("SELECT 1; CREATE PROCEDURE p() BEGIN SELECT 1; DELETE FROM t; END");
    REQUIRE(out.statement_count == 2);
    CHECK(out.statements[1].reason == Reason::ddl);
    CHECK(out.statements[1].end == 65);
}

TEST_CASE("MySQL routing rows 76 and 77: LOAD") {
    CHECK(route("LOAD DATA LOCAL INFILE 'a' INTO TABLE t") == "primary copy_in");
    CHECK(route("LOAD DATA INFILE 'a' INTO TABLE t") == "primary write");
    CHECK(route("LOAD XML INFILE 'a' INTO TABLE t") == "primary write");
    CHECK(route("LOAD INDEX INTO CACHE t") == "primary server_local");
    CHECK(effects("LOAD DATA INFILE 'a' INTO TABLE t (a, b)").empty());
    CHECK(effects("LOAD DATA INFILE 'a' INTO TABLE t (a, @v) SET b = @v + 1") == "user_variables");
}

TEST_CASE("MySQL routing row 78: KILL") {
    struct Case {
        const char* sql;
        Statement::Kill kill;
        uint64_t id;
    };
    for (const Case& each :
         {Case{"KILL 5", Statement::Kill::connection, 5},
          Case{"KILL HARD CONNECTION 6", Statement::Kill::connection, 6},
          Case{"kill soft query 7;", Statement::Kill::query, 7},
          Case{"KILL 18446744073709551615", Statement::Kill::connection, UINT64_MAX},
          Case{"KILL 18446744073709551616", Statement::Kill::other, 0},
          Case{"KILL QUERY ID 5", Statement::Kill::none, 0}, Case{"KILL USER 'a'", Statement::Kill::none, 0},
          Case{"KILL 5 + 1", Statement::Kill::other, 0},
          Case{"KILL CONNECTION_ID()", Statement::Kill::other, 0},
          Case{"KILL 5.0", Statement::Kill::other, 0}, Case{"KILL", Statement::Kill::other, 0}}) {
        CAPTURE(each.sql);
        const Classification out = classified(each.sql);
        REQUIRE(out.statement_count == 1);
        CHECK(out.destination == Destination::primary);
        CHECK(out.statements[0].kill == each.kill);
        CHECK(out.statements[0].kill_id == each.id);
    }
}

TEST_CASE("MySQL routing row 83: administration") {
    for (const char* sql :
         {"SHUTDOWN", "RESTART", "CLONE LOCAL DATA DIRECTORY 'a'", "INSTALL PLUGIN a SONAME 'b'",
          "UNINSTALL SONAME 'b'", "CHANGE MASTER TO MASTER_HOST='a'", "START SLAVE", "STOP SLAVE",
          "START REPLICA", "START GROUP_REPLICATION", "STOP GROUP_REPLICATION"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary server_local");
    }
}

TEST_CASE("MySQL routing row 84: bodies of stored programs") {
    for (const char* sql :
         {"CREATE PROCEDURE p() BEGIN SET @x = 1; SELECT GET_LOCK('a', 1); END",
          "CREATE DEFINER=`a`@`b` TRIGGER t BEFORE INSERT ON u FOR EACH ROW BEGIN SET NEW.a = 1; END",
          "CREATE OR REPLACE FUNCTION f() RETURNS INT BEGIN RETURN 1; END",
          "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN SET x = 1; END",
          "ALTER EVENT e DO BEGIN SET x = 1; END", "CREATE PACKAGE p AS FUNCTION f RETURN INT; END"}) {
        CAPTURE(sql);
        const Classification out = classified(sql);
        CHECK(out.statement_count == 1);
        CHECK(route(sql) == "primary ddl");
        CHECK(effects(sql).empty());
    }
    CHECK(route("DECLARE x INT; BEGIN NULL; END") == "primary opaque");
}

TEST_CASE("MySQL routing row 86: SIGNAL and RESIGNAL") {
    CHECK(route("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'x'") ==
          "transaction session_state, same connection");
    CHECK(route("RESIGNAL") == "transaction session_state, same connection");
}

}  // namespace holdfast::sql::mysql
