#include <doctest/doctest.h>

#include "tests/unit/protocol/sql/classified.h"

// Where each kind of PostgreSQL statement goes; the numbers are those of the routing table (rows 47 to 96).
namespace holdfast::sql {
namespace {

const std::string read = "replica read";
const std::string state = "transaction session_state";

}  // namespace

TEST_CASE("routing row 47: SET and RESET are recorded") {
    struct Row {
        const char* sql;
        const char* effect;
    };
    for (const Row& row :
         {Row{"SET x.y = 1", "set x.y"}, Row{"SET SESSION Work_Mem TO '1MB'", "set work_mem"},
          Row{"SET \"DateStyle\" = iso, mdy", "set datestyle"}, Row{"RESET x", "reset x"},
          Row{"SET x TO DEFAULT", "reset x"}, Row{"RESET ALL", "reset_all"},
          Row{"SET TIME ZONE 'UTC'", "set timezone"}, Row{"SET TIME ZONE LOCAL", "reset timezone"},
          Row{"SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE", "set timezone"},
          Row{"RESET TIME ZONE", "reset timezone"}, Row{"SET NAMES 'UTF8'", "set client_encoding"},
          Row{"SET SCHEMA 'a'", "set search_path"}, Row{"SET XML OPTION DOCUMENT", "set xmloption"},
          Row{"SET timezone = 'UTC'", "set timezone"}}) {
        CAPTURE(row.sql);
        CHECK(route(row.sql) == state);
        CHECK(effects(row.sql) == row.effect);
    }
    CHECK(replay(" /* c */ SET x = 'a;b' ; ") == "SET x = 'a;b'");
    CHECK(replay("RESET x;") == "RESET x");
}

TEST_CASE("routing row 48: SET LOCAL leaves nothing") {
    CHECK(route("SET LOCAL x = 1") == state);
    CHECK(effects("SET LOCAL x = 1").empty());
    CHECK(control("SET LOCAL x = 1") == Control::set_transaction_other);
    CHECK(effects("SET LOCAL TIME ZONE 'UTC'").empty());
    CHECK(effects("SET LOCAL ROLE r").empty());
}

TEST_CASE("routing row 49: session characteristics") {
    for (const char* modes : {"READ ONLY", "READ WRITE", "ISOLATION LEVEL SERIALIZABLE"}) {
        const std::string sql = std::string("SET SESSION CHARACTERISTICS AS TRANSACTION ") + modes;
        CHECK(route(sql) == state);
        CHECK(effects(sql) == "set session characteristics");
        CHECK(replay(sql) == sql);
    }
}

TEST_CASE("routing row 50: modes of the transaction under way") {
    CHECK(destination("SET TRANSACTION READ WRITE") == "transaction");
    CHECK(control("SET TRANSACTION READ WRITE") == Control::set_transaction_other);
    CHECK(control("SET TRANSACTION READ ONLY") == Control::set_transaction_read_only);
    CHECK(control("SET LOCAL TRANSACTION READ ONLY") == Control::set_transaction_read_only);
    CHECK(control("SET TRANSACTION READ ONLY, READ WRITE") == Control::set_transaction_other);
    CHECK(route("SET transaction_read_only = off") == state);
    CHECK(control("SET transaction_read_only = off") == Control::set_transaction_other);
    CHECK(control("SET transaction_read_only TO 'On'") == Control::set_transaction_read_only);
    CHECK(effects("SET transaction_read_only = off; SET TRANSACTION READ ONLY; RESET transaction_isolation")
              .empty());
    CHECK(route("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE") == "primary serializable");
}

TEST_CASE("routing row 51: the default for later transactions") {
    CHECK(route("SET default_transaction_read_only = off") == state);
    CHECK(effects("SET default_transaction_read_only = off") == "set default_transaction_read_only");
}

TEST_CASE("routing row 52: roles") {
    CHECK(effects("SET ROLE admin") == "set role");
    CHECK(effects("SET role = 'admin'") == "set role");
    CHECK(effects("SET ROLE NONE") == "set role");
    CHECK(effects("RESET ROLE") == "reset role");
    CHECK(effects("SET SESSION AUTHORIZATION bob") == "set session authorization");
    CHECK(effects("SET SESSION SESSION AUTHORIZATION bob") == "set session authorization");
    CHECK(effects("SET SESSION AUTHORIZATION DEFAULT") == "reset session authorization");
    CHECK(effects("RESET SESSION AUTHORIZATION") == "reset session authorization");
    CHECK(effects("SET session_authorization TO bob") == "set session authorization");
    CHECK(effects("SELECT set_config('role', 'admin', false)") == "set role");
    CHECK(route("SET ROLE admin") == state);
}

TEST_CASE("routing row 53: constraints") {
    CHECK(route("SET CONSTRAINTS ALL DEFERRED") == state);
    CHECK(control("SET CONSTRAINTS a, b IMMEDIATE") == Control::set_transaction_other);
    CHECK(effects("SET CONSTRAINTS ALL DEFERRED").empty());
}

TEST_CASE("routing rows 54 and 56: transactions that may write") {
    for (const char* sql :
         {"BEGIN", "begin work", "BEGIN TRANSACTION", "START TRANSACTION", "BEGIN READ WRITE",
          "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN READ ONLY, READ WRITE",
          "START TRANSACTION ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary begin");
        CHECK(control(sql) == Control::begin);
    }
    CHECK(route("BEGIN garbage") == "primary unparsed");
}

TEST_CASE("routing row 55: transactions that only read") {
    for (const char* sql :
         {"BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", "BEGIN READ WRITE READ ONLY",
          "START TRANSACTION READ ONLY, ISOLATION LEVEL READ UNCOMMITTED",
          "BEGIN WORK READ ONLY DEFERRABLE"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "replica read_only_transaction");
        CHECK(control(sql) == Control::begin_read_only);
    }
    const Classification two = classified("BEGIN; SET TRANSACTION READ ONLY");
    CHECK(two.destination == Destination::replica);
    CHECK(two.statements[0].control == Control::begin_read_only);
    CHECK(two.statements[1].control == Control::set_transaction_read_only);
    CHECK(route("BEGIN; SET LOCAL transaction_read_only = on; SELECT 1") == "replica read_only_transaction");
    CHECK(route("BEGIN; SELECT 1; SET TRANSACTION READ ONLY") == "primary begin");
    CHECK(route("BEGIN; SET TRANSACTION READ ONLY; SET TRANSACTION READ WRITE") == "primary begin");
    CHECK(route("BEGIN; SET TRANSACTION READ ONLY; INSERT INTO t VALUES (1)") == "primary write");
}

TEST_CASE("routing row 57: serializable is for the primary") {
    for (const char* sql :
         {"BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
          "START TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE"}) {
        CHECK(route(sql) == "primary serializable");
        CHECK(control(sql) == Control::begin);
    }
    CHECK(route("BEGIN ISOLATION LEVEL SERIALIZABLE; SET TRANSACTION READ ONLY") == "primary serializable");
}

TEST_CASE("routing row 58: the end of transactions, and savepoints") {
    struct Row {
        const char* sql;
        Control control;
        const char* name;
    };
    for (const Row& row :
         {Row{"COMMIT", Control::commit, ""}, Row{"END", Control::commit, ""},
          Row{"COMMIT WORK", Control::commit, ""}, Row{"end transaction", Control::commit, ""},
          Row{"ROLLBACK", Control::rollback, ""}, Row{"ABORT", Control::rollback, ""},
          Row{"ABORT TRANSACTION", Control::rollback, ""}, Row{"SAVEPOINT A", Control::savepoint, "a"},
          Row{"SAVEPOINT \"A\"", Control::savepoint, "A"}, Row{"RELEASE a", Control::release, "a"},
          Row{"RELEASE SAVEPOINT a", Control::release, "a"},
          Row{"RELEASE savepoint", Control::release, "savepoint"},
          Row{"ROLLBACK TO a", Control::rollback_to, "a"},
          Row{"ROLLBACK WORK TO SAVEPOINT B", Control::rollback_to, "b"}}) {
        CAPTURE(row.sql);
        const Classification out = classified(row.sql);
        CHECK(out.destination == Destination::transaction);
        CHECK(out.reason == Reason::transaction_control);
        CHECK(out.has_control);
        CHECK(out.statements[0].control == row.control);
        CHECK(out.statements[0].name == row.name);
    }
}

TEST_CASE("routing row 59: AND CHAIN") {
    CHECK(control("COMMIT AND CHAIN") == Control::commit_and_chain);
    CHECK(control("END WORK AND CHAIN") == Control::commit_and_chain);
    CHECK(control("ROLLBACK AND CHAIN") == Control::rollback_and_chain);
    CHECK(control("COMMIT AND NO CHAIN") == Control::commit);
    CHECK(destination("ABORT AND CHAIN") == "transaction");
}

TEST_CASE("routing row 60: two-phase commit") {
    CHECK(control("PREPARE TRANSACTION 'x'") == Control::prepare_transaction);
    CHECK(control("COMMIT PREPARED 'x'") == Control::commit_prepared);
    CHECK(control("ROLLBACK PREPARED 'x'") == Control::commit_prepared);
    for (const char* sql : {"PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'", "ROLLBACK PREPARED 'x'"}) {
        CHECK(destination(sql) == "primary");
    }
}

TEST_CASE("routing rows 61 and 62: PREPARE is session state, whatever it prepares") {
    for (const char* sql :
         {"PREPARE Q AS SELECT 1", "PREPARE q (int, numeric(3,1)) AS INSERT INTO t VALUES ($1)"}) {
        CHECK(route(sql) == state);
        CHECK(effects(sql) == "prepare q");
        CHECK(replay(sql) == sql);
        CHECK(classified(sql).statements[0].name == "q");
    }
    CHECK(effects("PREPARE transaction AS SELECT 1") == "prepare transaction");
}

TEST_CASE("routing rows 62 and 63: EXECUTE names its statement") {
    const Classification out = classified("EXECUTE \"Q\" (1, 'x')");
    CHECK(out.destination == Destination::transaction);
    CHECK(out.statements[0].executes_prepared);
    CHECK(out.statements[0].name == "Q");
    CHECK(destination("EXECUTE q(nextval('s'))") == "primary");
    const Classification table = classified("CREATE TABLE x AS EXECUTE q");
    CHECK(table.destination == Destination::primary);
    CHECK(table.statements[0].executes_prepared);
    CHECK(table.statements[0].name == "q");
}

TEST_CASE("routing row 64: DEALLOCATE") {
    CHECK(route("DEALLOCATE q") == state);
    CHECK(effects("DEALLOCATE PREPARE Q") == "deallocate q");
    CHECK(effects("DEALLOCATE ALL") == "deallocate_all");
    CHECK(effects("DEALLOCATE PREPARE ALL") == "deallocate_all");
    CHECK(effects("DEALLOCATE prepare") == "deallocate prepare");
}

TEST_CASE("routing row 65: a statement's class does not depend on what was classified before") {
    Classification out;
    classify(Dialect::postgres, "BEGIN; SET x = 1; SELECT nextval('s')", {}, out);
    classify(Dialect::postgres, "SELECT $1", {}, out);
    CHECK(out.destination == Destination::replica);
    CHECK(out.statement_count == 1);
    CHECK(out.statements[0].effects.empty());
    CHECK(out.statements[0].control == Control::none);
    CHECK_FALSE(out.has_effects);
    CHECK_FALSE(out.has_control);
}

TEST_CASE("routing row 66: cursors of a transaction") {
    for (const char* sql :
         {"DECLARE c CURSOR FOR SELECT * FROM t", "FETCH 10 FROM c", "MOVE FORWARD ALL IN c",
          "DECLARE c BINARY INSENSITIVE SCROLL CURSOR WITHOUT HOLD FOR SELECT 1"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "transaction cursor");
        CHECK(effects(sql).empty());
    }
    CHECK(route("CLOSE c") == "transaction cursor");
    CHECK(effects("CLOSE C") == "cursor_close c");
    CHECK(effects("CLOSE ALL") == "cursor_close_all");
}

TEST_CASE("routing row 67: cursors that outlive it") {
    CHECK(effects("DECLARE C CURSOR WITH HOLD FOR SELECT 1") == "cursor c");
    CHECK(route("DECLARE c NO SCROLL CURSOR WITH HOLD FOR WITH w AS (SELECT 1) TABLE w") ==
          "transaction cursor");
}

TEST_CASE("routing row 68: cursors over what needs the primary") {
    CHECK(route("DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE") == "primary row_lock");
    CHECK(route("DECLARE c CURSOR FOR SELECT f_vol()") == "primary unknown_function");
}

TEST_CASE("routing row 69: a limited Execute is of the statement that it runs") {
    CHECK(route("SELECT * FROM t WHERE a > $1 LIMIT $2") == read);
}

TEST_CASE("routing rows 70 and 71: LOCK TABLE in every mode") {
    for (const char* sql :
         {"LOCK TABLE t", "LOCK t IN ROW EXCLUSIVE MODE", "LOCK TABLE t IN ACCESS SHARE MODE",
          "LOCK TABLE ONLY t IN ROW SHARE MODE NOWAIT"}) {
        CHECK(route(sql) == "primary row_lock");
    }
}

TEST_CASE("routing rows 72 and 73: what may do anything") {
    CHECK(route("DO $$ BEGIN PERFORM 1; END $$") == "primary opaque");
    CHECK(route("CALL p()") == "primary opaque");
    CHECK(effects("CALL p(nextval('s'))").empty());
    CHECK(route("CALL p() /* holdfast: replica */") == "primary opaque");
}

TEST_CASE("routing rows 74 and 75: DISCARD") {
    CHECK(route("DISCARD ALL") == state);
    CHECK(effects("DISCARD ALL") == "discard_all");
    CHECK(effects("DISCARD TEMP") == "discard_temp");
    CHECK(effects("DISCARD TEMPORARY") == "discard_temp");
    CHECK(route("DISCARD PLANS") == state);
    CHECK(effects("DISCARD PLANS; DISCARD SEQUENCES").empty());
    CHECK(route("DISCARD everything") == "primary unparsed");
}

TEST_CASE("routing row 76: maintenance") {
    for (const char* sql :
         {"VACUUM", "VACUUM (FULL) t", "ANALYZE t", "CLUSTER t USING i", "REINDEX TABLE t"}) {
        CHECK(route(sql) == "primary ddl");
    }
}

TEST_CASE("routing row 77: CHECKPOINT, LOAD, ALTER SYSTEM") {
    CHECK(route("CHECKPOINT") == "primary server_local");
    CHECK(route("ALTER SYSTEM SET x = 1") == "primary server_local");
    CHECK(route("LOAD 'lib'") == "primary server_local");
    CHECK(effects("LOAD 'lib'") == "set_opaque");
}

TEST_CASE("routing row 78: writes") {
    for (const char* sql : {"TRUNCATE t", "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
                            "INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = excluded.b",
                            "UPDATE t SET a = 1", "DELETE FROM t WHERE a = 1", "INSERT INTO v VALUES (1)"}) {
        CHECK(route(sql) == "primary write");
        CHECK(effects(sql).empty());
    }
}

TEST_CASE("routing row 79: one write decides for the message") {
    CHECK(route("SELECT 1; INSERT INTO t VALUES (1)") == "primary write");
    CHECK(route("INSERT INTO t VALUES (1); SELECT 1") == "primary write");
}

TEST_CASE("routing row 80: several reads") {
    CHECK(route("SELECT 1; SELECT 2;") == read);
}

TEST_CASE("routing row 81: SET and a read") {
    CHECK(route("SET x=1; SELECT * FROM t") == read);
    CHECK(effects("SET x=1; SELECT * FROM t") == "set x");
    const Classification out = classified(" SET x=1 ; SELECT 2 ");
    REQUIRE(out.statement_count == 2);
    CHECK(out.statements[0].begin == 1);
    CHECK(out.statements[0].end == 8);
    CHECK(out.statements[1].begin == 11);
    CHECK(out.statements[1].end == 19);
    CHECK(out.statements[0].effects[0].replay == "SET x=1");
}

TEST_CASE("routing row 82: several transactions in one message") {
    const Classification out = classified("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT 1");
    CHECK(out.destination == Destination::primary);
    REQUIRE(out.statement_count == 4);
    CHECK(out.statements[0].control == Control::begin);
    CHECK(out.statements[2].control == Control::commit);
    CHECK(out.statements[3].destination == Destination::replica);
}

TEST_CASE("routing row 83: nothing") {
    for (const char* sql : {"", ";;", "  \n", "-- only this", "/* a */ ; -- b"}) {
        const Classification out = classified(sql);
        CHECK(out.destination == Destination::transaction);
        CHECK(out.reason == Reason::empty);
        CHECK(out.statement_count == 0);
    }
}

TEST_CASE("routing row 84: comments") {
    CHECK(route("/* c */ SELECT 1") == read);
    CHECK(route("-- insert\nSELECT 1") == read);
    CHECK(route("/* a /* nested */ insert */ SELECT 1") == read);
    CHECK(route("SELECT 1 -- ; insert into t values (1)\r, 2") == read);
    CHECK(route("SELECT 1 +/* */ 2 */* x */ 3") == read);
    CHECK(route("/* a /* nested */ SELECT 1; */ INSERT INTO t VALUES (1)") == "primary write");
    CHECK(route("/* open SELECT 1") == "primary unparsed");
    CHECK(route("SELECT 1 --\n; INSERT INTO t VALUES (1)") == "primary write");
}

TEST_CASE("routing row 85: strings and dollar quotes") {
    CHECK(route("SELECT 'for update', $$for update$$, $t$ insert $x$ $t$") == read);
    CHECK(route("SELECT $1$ insert $1$") == "primary unparsed");
    CHECK(route("SELECT $1, $2 FROM t") == read);
    CHECK(route("SELECT 'it''s; insert into t values (1)'") == read);
    CHECK(route("SELECT $a$ $b$; INSERT INTO t VALUES (1) --$b$ $a$") == read);
    CHECK(route("SELECT $a$ x $a$; INSERT INTO t VALUES (1) --$a$") == "primary write");
    CHECK(route("SELECT a$a$; INSERT INTO t VALUES (1) --$a$") == "primary write");
}

TEST_CASE("routing row 86: backslashes escape in E'' only") {
    CHECK(route("SELECT E'\\'; insert into t values (1)--'") == read);
    CHECK(route("SELECT '\\'; insert into t values (1)--'") == "primary write");
    // A literal goes on after a line break, in the form in which it began.
    CHECK(route("SELECT E'a'\n -- c\n 'b\\'; insert into t values (1)--'") == read);
    CHECK(route("SELECT E'a' 'b\\'; insert into t values (1)--'") == "primary write");
    CHECK(route("SELECT 1e'\\'; insert into t values (1)--'") == read);
}

TEST_CASE("routing row 87: Unicode escapes") {
    CHECK(route("SELECT U&'\\0066or update', U&\"\\0076\"") == read);
    CHECK(route("SELECT U&'!0066or update' UESCAPE '!' FROM t") == read);
    CHECK(route("SELECT U&\"\\006eextval\"('s')") == "primary writing_function");
    CHECK(route("SELECT u&\"!006eextval\" /* c */ UESCAPE '!' ('s')") == "primary writing_function");
    CHECK(route("SELECT U&\"\\+00006eextval\"('s')") == "primary writing_function");
    CHECK(route("SELECT U&\"l\\006fwer\"('s')") == read);
    CHECK(route("SELECT U&\"\\zzzz\"('s')") == "primary unparsed");
    CHECK(route("SELECT U&'\\0066'", {.standard_conforming_strings = false}) == "primary unparsed");
}

TEST_CASE("routing row 88: standard_conforming_strings") {
    const Context off{.standard_conforming_strings = false};
    CHECK(route("SELECT 'a\\'; insert into t values (1)--'", off) == read);
    CHECK(route("SELECT 'a\\\\'; insert into t values (1)--'", off) == "primary write");
    // The server reads a message whole before it runs its SET; in doubt it is no read.
    CHECK(destination("SET standard_conforming_strings=off; SELECT 'a\\'; insert into t values (1)--'") ==
          "primary");
    CHECK(destination("SET standard_conforming_strings=on; SELECT 'a\\'; insert into t values (1)--'", off) ==
          "primary");
    CHECK(destination("RESET ALL; SELECT 'a\\'; insert into t values (1)--'", off) == "primary");
    CHECK(route("SET standard_conforming_strings=off; SELECT 'a'") == read);
}

TEST_CASE("routing row 89: quoted names that look like keywords") {
    CHECK(route("SELECT 1 AS \"for update\"") == read);
    CHECK(route("SELECT \"into\", t.into, 1 AS into FROM t") == read);
}

TEST_CASE("routing row 91: pg_temp") {
    for (const char* sql :
         {"SELECT * FROM pg_temp.x", "SELECT * FROM \"pg_temp\".x", "SELECT * FROM pg_temp_3.x",
          "INSERT INTO PG_TEMP.x VALUES (1)", "COPY pg_temp.x TO STDOUT", "DROP TABLE pg_temp.x",
          "SELECT set_config('search_path', 'pg_temp', false)"}) {
        CAPTURE(sql);
        CHECK(destination(sql) == "primary");
        CHECK(effects(sql).find("temporary") != std::string::npos);
    }
    CHECK(route("SET search_path = pg_temp, public") == "primary temporary");
    CHECK(effects("SET search_path = pg_temp") == "temporary, set search_path");
}

TEST_CASE("routing row 92: SQL inside of strings") {
    CHECK(route("SELECT query_to_xml('insert into t values (1)', true, false, '')") == read);
    CHECK(route("SELECT * FROM ts_stat('select v from t where lower(a) = $$x$$')") == read);
    CHECK(destination("SELECT cursor_to_xml('c', 1, true, false, '')") == "transaction");
    // A standby would take these.
    CHECK(destination("SELECT query_to_xml('select pg_advisory_lock(1)', true, false, '')") == "primary");
    CHECK(destination("SELECT query_to_xml($1, true, false, '')") == "primary");
}

TEST_CASE("routing row 93: a read stays a read after the session's writes") {
    CHECK(route("SELECT * FROM t") == read);
}

TEST_CASE("routing rows 94 and 96: what is no SQL of ours goes to the primary") {
    for (const char* sql :
         {"IDENTIFY_SYSTEM", "START_REPLICATION SLOT s PHYSICAL 0/0", "SELEC 1", "FROBNICATE x",
          "SELECT 'open", "SELECT \"open", "SELECT $$open", "SELECT (1", "SELECT 1)", "\\d t",
          "SELECT 1; \\x", "{fn now()}", "SET", "SET x", "EXPLAIN VACUUM", "SELECT 1; garbage"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary unparsed");
    }
    CHECK(route(std::string_view("SELECT 1\0; x", 12)) == "primary unparsed");
}

TEST_CASE("routing row 95: character sets that the lexer can't follow") {
    const Context sjis{.encoding_is_safe = false};
    CHECK(route("SELECT 'a\x83\x5c'", sjis) == "primary unparsed");
    CHECK(route("SELECT 1", sjis) == "primary unparsed");
    // ASCII is the same in all of them: the way out is recorded.
    CHECK(route("SET client_encoding = 'UTF8'", sjis) == "primary unparsed");
    CHECK(effects("SET client_encoding = 'UTF8'", sjis) == "set client_encoding");
}

}  // namespace holdfast::sql
