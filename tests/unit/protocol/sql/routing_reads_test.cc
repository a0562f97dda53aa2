#include <doctest/doctest.h>

#include "tests/unit/protocol/sql/classified.h"

// Where each kind of PostgreSQL statement goes; the numbers are those of the routing table (rows 1 to 46).
namespace holdfast::sql {
namespace {

class Catalog final : public FunctionCatalog {
public:
    Verdict find(std::string_view schema, std::string_view name) const override {
        if (name == "reads" && (schema.empty() || schema == "app")) return Verdict::reads_only;
        if (name == "writes") return Verdict::may_write;
        if (name == "uuidv7" && schema.empty()) return Verdict::may_write;
        return Verdict::unknown;
    }
};

const std::string read = "replica read";

}  // namespace

TEST_CASE("routing row 1: plain queries, parentheses, set operations") {
    for (const char* sql :
         {"SELECT 1", "SELECT * FROM t", "select\t1", "(SELECT 1) UNION (SELECT 2)", "((select 1))",
          "SELECT a FROM t UNION ALL SELECT b FROM u EXCEPT (SELECT 3) ORDER BY 1 LIMIT 5",
          "SELECT t.update, \"insert\" FROM t WHERE delete = 1",
          "SELECT * FROM t WHERE (a, b) IN (SELECT 1, 2)"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
    }
}

TEST_CASE("routing row 2: row locks") {
    for (const char* lock : {"FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE", "FOR KEY SHARE",
                             "for update nowait", "FOR SHARE SKIP LOCKED", "FOR/**/UPDATE OF t"}) {
        CAPTURE(lock);
        CHECK(route(std::string("SELECT * FROM t WHERE a = 1 ") + lock) == "primary row_lock");
    }
}

TEST_CASE("routing row 3: row locks at any depth") {
    CHECK(route("SELECT * FROM (SELECT * FROM t FOR UPDATE) q") == "primary row_lock");
    CHECK(route("SELECT 1 WHERE EXISTS (SELECT 1 FROM t FOR SHARE)") == "primary row_lock");
    CHECK(route("TABLE t FOR UPDATE") == "primary row_lock");
    CHECK(route("(SELECT * FROM t FOR UPDATE)") == "primary row_lock");
    CHECK(route("WITH w AS (SELECT * FROM t FOR UPDATE) SELECT * FROM w") == "primary row_lock");
}

TEST_CASE("routing row 4: data-modifying CTEs") {
    CHECK(route("WITH w AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM w") == "primary write");
    CHECK(route("WITH w AS (UPDATE t SET a = 1 RETURNING a) SELECT * FROM w") == "primary write");
    CHECK(route("WITH w AS (DELETE FROM t RETURNING a) SELECT * FROM w") == "primary write");
    CHECK(route("WITH w AS (MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE) SELECT 1") ==
          "primary write");
    CHECK(route("WITH w AS MATERIALIZED (/* x */ DELETE FROM t RETURNING a) SELECT * FROM w") ==
          "primary write");
    CHECK(route("WITH a AS (WITH b AS (UPDATE \"t\" SET a=1 RETURNING 1) SELECT 1) SELECT 1") ==
          "primary write");
    CHECK(route("WITH a AS (WITH b AS (SELECT 1) DELETE FROM t RETURNING 1) SELECT 1") == "primary write");
    CHECK(route("SELECT 1 FROM (WITH w AS (UPDATE ONLY t SET a=1 RETURNING 1) SELECT 1) q") ==
          "primary write");
}

TEST_CASE("routing row 5: the main verb after a WITH list") {
    CHECK(route("WITH w AS (SELECT 1) INSERT INTO t SELECT * FROM w") == "primary write");
    CHECK(route("WITH w (a, b) AS (SELECT 1, 2), v AS (SELECT 3) UPDATE t SET a = 1 FROM w") ==
          "primary write");
    CHECK(route("WITH RECURSIVE w AS (SELECT 1) DELETE FROM t USING w") == "primary write");
    CHECK(route("WITH w AS (SELECT 1) MERGE INTO t USING w ON true WHEN MATCHED THEN DELETE") ==
          "primary write");
    CHECK(route("WITH RECURSIVE w(a) AS (SELECT 1) SEARCH DEPTH FIRST BY a SET o UPDATE t SET a = 2") ==
          "primary write");
}

TEST_CASE("routing row 6: WITH that only reads, whatever its names") {
    for (const char* sql :
         {"WITH w AS (SELECT 1) SELECT * FROM w",
          "WITH RECURSIVE w(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w)"
          " SELECT n FROM w LIMIT 3",
          "WITH w AS MATERIALIZED (SELECT 1) SELECT 1", "WITH w AS NOT MATERIALIZED (SELECT 1) SELECT 1",
          "WITH insert AS (SELECT 1) SELECT * FROM insert",
          "WITH insert(update) AS (SELECT 1) SELECT update FROM insert",
          "WITH \"delete\" AS (SELECT 1), update AS (SELECT 2) TABLE \"delete\"", "SELECT insert FROM t",
          "WITH a(x) AS (SELECT 1), b(y, z) AS (SELECT 1, 2) (SELECT x FROM a) UNION SELECT y FROM b"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
    }
}

TEST_CASE("routing row 7: SELECT INTO") {
    CHECK(route("SELECT * INTO x FROM t") == "primary ddl");
    CHECK(route("SELECT a INTO UNLOGGED x FROM t") == "primary ddl");
    CHECK(route("WITH w AS (SELECT 1 AS a) SELECT a INTO TABLE x FROM w") == "primary ddl");
    for (const char* into : {"TEMP", "TEMPORARY", "LOCAL TEMP", "GLOBAL TEMPORARY TABLE"}) {
        const std::string sql = std::string("SELECT * INTO ") + into + " x FROM t";
        CHECK(route(sql) == "primary temporary");
        CHECK(effects(sql) == "temporary");
    }
}

TEST_CASE("routing row 8: DDL") {
    for (const char* sql :
         {"CREATE TABLE x AS SELECT 1", "CREATE VIEW v AS SELECT 1", "CREATE TABLE x (a int)", "DROP TABLE x",
          "ALTER TABLE x ADD b int", "CREATE INDEX ON t (a)", "GRANT SELECT ON t TO PUBLIC",
          "REVOKE ALL ON t FROM u", "COMMENT ON TABLE t IS 'x'", "SECURITY LABEL ON TABLE t IS 'x'",
          "IMPORT FOREIGN SCHEMA s FROM SERVER f INTO p", "REFRESH MATERIALIZED VIEW v", "CREATE ROLE r",
          "REASSIGN OWNED BY a TO b", "CREATE UNLOGGED TABLE u (a int)"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary ddl");
        CHECK(effects(sql).empty());
    }
}

TEST_CASE("routing row 9: temporary objects pin the session") {
    for (const char* sql : {"CREATE TEMP TABLE x (a int)", "CREATE TEMPORARY TABLE x AS SELECT 1",
                            "CREATE TEMP VIEW v AS SELECT 1", "create local temp sequence s",
                            "CREATE OR REPLACE TEMP VIEW v AS SELECT 1", "CREATE TABLE pg_temp.x (a int)",
                            "CREATE GLOBAL TEMPORARY TABLE x (a int)",
                            "CREATE FUNCTION pg_temp.f() RETURNS int AS 'select 1' LANGUAGE sql"}) {
        CAPTURE(sql);
        CHECK(destination(sql) == "primary");
        CHECK(effects(sql) == "temporary");
    }
}

TEST_CASE("routing row 10: nextval") {
    CHECK(route("SELECT nextval('s')") == "primary writing_function");
    CHECK(effects("SELECT nextval('s')") == "sequence");
    CHECK(effects("VALUES (nextval('s')), (pg_catalog.nextval('s'))") == "sequence");
    CHECK(route("SELECT \"nextval\"('s')") == "primary writing_function");
    CHECK(route("SELECT NextVal /* x */ ('s')") == "primary writing_function");
    CHECK(effects("INSERT INTO t VALUES (nextval('s'))") == "sequence");
    CHECK(effects("INSERT INTO t VALUES (1)").empty());
}

TEST_CASE("routing row 11: currval and lastval go where nextval went") {
    CHECK(destination("SELECT currval('s')") == "primary");
    CHECK(destination("SELECT lastval()") == "primary");
    CHECK(effects("SELECT currval('s'), lastval()").empty());
}

TEST_CASE("routing row 12: setval") {
    CHECK(route("SELECT setval('s', 5)") == "primary writing_function");
}

TEST_CASE("routing row 13: the columns of a sequence, not the window function") {
    CHECK(route("SELECT last_value FROM s") == "primary server_role");
    CHECK(route("SELECT s.last_value, s.is_called FROM s") == "primary server_role");
    CHECK(route("SELECT log_cnt FROM s") == "primary server_role");
    CHECK(route("SELECT \"last_value\" FROM s") == "primary server_role");
    CHECK(route("SELECT last_value(a) OVER (ORDER BY b) FROM t") == read);
    CHECK(route("SELECT last_value(a) OVER w AS last_value FROM t WINDOW w AS (ORDER BY b)") == read);
}

TEST_CASE("routing row 14: session advisory locks") {
    for (const char* f : {"pg_advisory_lock", "pg_try_advisory_lock", "pg_advisory_lock_shared",
                          "pg_try_advisory_lock_shared", "pg_catalog.pg_advisory_lock"}) {
        const std::string sql = std::string("SELECT ") + f + "(1)";
        CAPTURE(sql);
        CHECK(route(sql) == "primary advisory_lock");
        CHECK(effects(sql) == "advisory_lock");
    }
    CHECK(effects("UPDATE t SET a = 1 WHERE pg_try_advisory_lock(1)") == "advisory_lock");
}

TEST_CASE("routing row 15: transaction advisory locks leave nothing") {
    CHECK(route("SELECT pg_advisory_xact_lock(1)") == "primary advisory_lock");
    CHECK(route("SELECT pg_try_advisory_xact_lock_shared(1, 2)") == "primary advisory_lock");
    CHECK(effects("SELECT pg_advisory_xact_lock(1)").empty());
}

TEST_CASE("routing row 16: advisory unlocks") {
    CHECK(destination("SELECT pg_advisory_unlock(1)") == "primary");
    CHECK(effects("SELECT pg_advisory_unlock(1), pg_advisory_unlock_shared(2)") ==
          "advisory_unlock, advisory_unlock");
    CHECK(effects("SELECT pg_advisory_unlock_all()") == "advisory_unlock_all");
}

TEST_CASE("routing row 17: notifications are sent by the primary") {
    CHECK(route("SELECT pg_notify('c', 'x')") == "primary writing_function");
    CHECK(route("NOTIFY c, 'x'") == "primary notification");
}

TEST_CASE("routing row 18: LISTEN") {
    CHECK(route("LISTEN c") == "primary notification");
    CHECK(effects("LISTEN MyChannel") == "listen mychannel");
    CHECK(effects("LISTEN \"MyChannel\"") == "listen MyChannel");
    CHECK(replay("LISTEN c ;") == "LISTEN c");
}

TEST_CASE("routing row 19: UNLISTEN") {
    CHECK(route("UNLISTEN *") == "transaction notification");
    CHECK(effects("UNLISTEN *") == "unlisten_all");
    CHECK(effects("UNLISTEN C") == "unlisten c");
}

TEST_CASE("routing row 20: functions that are not built in follow the catalog") {
    const Catalog catalog;
    const Context known{.functions = &catalog};
    CHECK(route("SELECT f()") == "primary unknown_function");
    CHECK(route("SELECT f()", known) == "primary unknown_function");
    CHECK(route("SELECT writes()", known) == "primary writing_function");
    CHECK(route("SELECT reads(), app.Reads(1), app.\"reads\"()", known) == read);
    CHECK(route("SELECT other.reads()", known) == "primary unknown_function");
    CHECK(route("SELECT a.app.reads()", known) == read);
    CHECK(route("SELECT reads(writes())", known) == "primary writing_function");
    CHECK(route("SELECT * FROM t WHERE writes(a)", known) == "primary writing_function");
    CHECK(route("SELECT pg_catalog.reads()", known) == "primary unknown_function");
    CHECK(route("SELECT public.lower('a')", known) == "primary unknown_function");
    // Built in since 18; an older server's uuidv7 is somebody's own.
    CHECK(route("SELECT uuidv7()") == read);
    CHECK(route("SELECT uuidv7()", known) == "primary writing_function");
}

TEST_CASE("routing rows 21, 22, 90: what no text shows reads as a read") {
    const Catalog catalog;
    CHECK(route("SELECT reads(1)", {.functions = &catalog}) == read);
    CHECK(route("SELECT * FROM view_with_writing_function") == read);
    CHECK(route("SELECT a::domain_with_check, b + c FROM t") == read);
    CHECK(route("SELECT * FROM unlogged_t") == read);
}

TEST_CASE(
    "routing rows 23 and 24: transaction ids are assigned by the primary, snapshots are read anywhere") {
    CHECK(route("SELECT txid_current()") == "primary writing_function");
    CHECK(route("SELECT pg_current_xact_id()") == "primary writing_function");
    CHECK(route("SELECT txid_current_if_assigned(), txid_current_snapshot(), pg_current_snapshot()") == read);
}

TEST_CASE("routing row 25: exported snapshots") {
    CHECK(destination("SELECT pg_export_snapshot()") == "primary");
    CHECK(destination("SET TRANSACTION SNAPSHOT '00000003-0000001B-1'") == "primary");
}

TEST_CASE("routing row 26: large objects") {
    for (const char* sql : {"SELECT lo_create(0)", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, 'x')",
                            "SELECT lo_put(1, 0, 'x')", "SELECT lo_unlink(1)", "SELECT lowrite(0, 'x')",
                            "SELECT lo_import('/x')", "SELECT lo_truncate(0, 1)"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary writing_function");
    }
    CHECK(route("SELECT lo_get(1)") == read);
    CHECK(destination("SELECT lo_open(1, 262144)") == "transaction");
    CHECK(destination("SELECT loread(0, 10)") == "transaction");
}

TEST_CASE("routing row 27: positions in the WAL that is written") {
    for (const char* f : {"pg_current_wal_lsn()", "pg_current_wal_insert_lsn()", "pg_walfile_name('0/0')",
                          "pg_switch_wal()", "pg_create_restore_point('x')"}) {
        CHECK(destination(std::string("SELECT ") + f) == "primary");
    }
}

TEST_CASE("routing row 28: answers of one server") {
    CHECK(route("SELECT pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp()") == read);
    CHECK(route("SELECT * FROM pg_stat_activity") == read);
    CHECK(route("SELECT pg_stat_get_activity(NULL) FROM pg_locks") == read);
    CHECK(route("SELECT pg_is_in_recovery()") == "primary server_role");
    CHECK(route("SELECT pg_catalog.pg_is_in_recovery()") == "primary server_role");
}

TEST_CASE("routing row 29: who am I connected to") {
    CHECK(route("SELECT pg_backend_pid(), inet_server_addr()") == read);
}

TEST_CASE("routing row 30: volatile and harmless") {
    CHECK(route("SELECT now(), random(), gen_random_uuid(), pg_sleep(1), clock_timestamp()") == read);
    CHECK(route("SELECT current_timestamp(3), localtime, current_user") == read);
}

TEST_CASE("routing row 31: set_config for the session") {
    CHECK(route("SELECT set_config('X.y', 'v', false)") == "transaction session_state");
    CHECK(effects("SELECT set_config('X.y', 'v', false)") == "set x.y");
    CHECK(replay("SELECT pg_catalog.set_config('X.y', 'v', false)") ==
          "SELECT pg_catalog.set_config('x.y','v',false)");
    CHECK(replay("SELECT set_config('x', 'a\\b', 'off')") ==
          "SELECT pg_catalog.set_config('x',E'a\\\\b',false)");
    CHECK(replay("SELECT set_config('x', $q$it's$q$, false)") ==
          "SELECT pg_catalog.set_config('x',$q$it's$q$,false)");
    for (const char* sql :
         {"SELECT set_config(k, v, false) FROM t", "SELECT set_config('x', $1, false)",
          "SELECT set_config($1, $2, $3)", "SELECT set_config('x', 'v', false) FROM t WHERE a = 1",
          "SELECT set_config('x', 'v', b)", "SELECT CASE WHEN a THEN set_config('x', 'v', false) END",
          "SELECT set_config('x' || 'y', 'v', false)"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary session_state");
        CHECK(effects(sql) == "set_opaque");
    }
}

TEST_CASE("routing row 32: set_config for the transaction") {
    CHECK(route("SELECT set_config('x', 'v', true)") == "transaction session_state");
    CHECK(route("SELECT set_config('request.jwt.claims', $1, true)") == "transaction session_state");
    CHECK(effects("SELECT set_config($1, $2::text, true)").empty());
}

TEST_CASE("routing rows 33 to 35: administration of one server") {
    for (const char* f : {"pg_cancel_backend(1)", "pg_terminate_backend(1)", "pg_reload_conf()",
                          "pg_stat_reset()", "pg_wal_replay_pause()", "pg_promote()",
                          "pg_create_physical_replication_slot('s')", "pg_drop_replication_slot('s')"}) {
        const std::string sql = std::string("SELECT ") + f;
        CAPTURE(sql);
        CHECK(route(sql) == "primary server_local");
        CHECK(route("/* holdfast: replica */ " + sql) == "replica hint");
    }
}

TEST_CASE("routing row 36: logical messages") {
    CHECK(route("SELECT pg_logical_emit_message(true, 'a', 'b')") == "primary writing_function");
}

TEST_CASE("routing row 37: effects outside the database") {
    CHECK(route("SELECT dblink_exec('c', 'insert into t values (1)')") == "primary outside_effect");
    CHECK(route("SELECT * FROM dblink('c', 'select 1') AS t(a int)") == "primary outside_effect");
    CHECK(route("COPY t TO PROGRAM 'cat'") == "primary outside_effect");
    CHECK(route("/* holdfast: replica */ COPY t TO PROGRAM 'cat'") == "primary outside_effect");
}

TEST_CASE("routing row 38: EXPLAIN only plans") {
    for (const char* sql :
         {"EXPLAIN SELECT 1", "EXPLAIN INSERT INTO t VALUES (nextval('s'))",
          "EXPLAIN (ANALYZE off) INSERT INTO t VALUES (1)", "EXPLAIN VERBOSE DELETE FROM t",
          "EXPLAIN (COSTS off, ANALYZE false, BUFFERS) UPDATE t SET a = 1",
          "EXPLAIN SELECT * FROM t FOR UPDATE", "EXPLAIN SELECT pg_advisory_lock(1)", "EXPLAIN SELECT f()",
          "EXPLAIN CREATE TABLE x AS SELECT 1", "EXPLAIN CREATE TEMP TABLE x AS SELECT 1",
          "EXPLAIN (SELECT 1)", "EXPLAIN (ANALYZE, ANALYZE 0) DELETE FROM t"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
        CHECK(effects(sql).empty());
    }
}

TEST_CASE("routing row 39: EXPLAIN ANALYZE goes where its query goes") {
    CHECK(route("EXPLAIN ANALYZE SELECT * FROM t") == read);
    CHECK(route("EXPLAIN (ANALYZE, BUFFERS) WITH w AS (SELECT 1) TABLE w") == read);
    CHECK(route("EXPLAIN ANALYZE SELECT nextval('s')") == "primary writing_function");
    CHECK(route("EXPLAIN ANALYZE SELECT * FROM t FOR UPDATE") == "primary row_lock");
}

TEST_CASE("routing row 40: EXPLAIN ANALYZE of a write runs it") {
    for (const char* sql :
         {"EXPLAIN (ANALYZE, BUFFERS) INSERT INTO t VALUES (1)", "EXPLAIN ANALYZE DELETE FROM t",
          "EXPLAIN ANALYSE VERBOSE UPDATE t SET a = 1", "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
          "EXPLAIN (ANALYZE on) REFRESH MATERIALIZED VIEW v",
          "EXPLAIN (VERBOSE, ANALYZE 1) MERGE INTO t USING u ON true"
          " WHEN MATCHED THEN DELETE",
          "EXPLAIN (ANALYZE) WITH w AS (DELETE FROM t RETURNING 1) SELECT 1"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary explain_write");
    }
}

TEST_CASE("routing row 41: EXPLAIN EXECUTE goes where the statement is prepared") {
    const Classification out = classified("EXPLAIN EXECUTE Q");
    CHECK(out.destination == Destination::transaction);
    CHECK(out.statements[0].executes_prepared);
    CHECK(out.statements[0].name == "q");
    CHECK(classified("EXPLAIN ANALYZE EXECUTE q(1)").statements[0].executes_prepared);
}

TEST_CASE("routing row 42: COPY out") {
    for (const char* sql : {"COPY t TO STDOUT", "COPY s.t (a, \"b\") TO STDOUT WITH (FORMAT csv, HEADER)",
                            "copy t to stdout csv", "COPY (SELECT * FROM t) TO STDOUT",
                            "COPY (SELECT 1 FROM (SELECT 2) q) TO STDOUT (DELIMITER ',')"}) {
        CAPTURE(sql);
        CHECK(route(sql) == read);
    }
    CHECK(route("COPY t TO '/tmp/x'") == "primary outside_effect");
}

TEST_CASE("routing row 43: COPY out of something that writes") {
    CHECK(route("COPY (INSERT INTO t VALUES (1) RETURNING a) TO STDOUT") == "primary write");
    CHECK(route("COPY (WITH w AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM w) TO STDOUT") ==
          "primary write");
    CHECK(route("COPY (SELECT f_vol()) TO STDOUT") == "primary unknown_function");
    CHECK(route("COPY (DELETE FROM t RETURNING a) TO STDOUT") == "primary write");
}

TEST_CASE("routing row 44: COPY in") {
    CHECK(route("COPY t FROM STDIN") == "primary copy_in");
    CHECK(route("COPY t (a, b) FROM '/tmp/x' WITH (FORMAT binary)") == "primary copy_in");
    CHECK(route("COPY t FROM PROGRAM 'cat'") == "primary outside_effect");
    CHECK(route("/* holdfast: replica */ COPY t FROM STDIN") == "primary copy_in");
}

TEST_CASE("routing row 45: VALUES and TABLE") {
    CHECK(route("VALUES (1), (2)") == read);
    CHECK(route("TABLE t") == read);
}

TEST_CASE("routing row 46: SHOW reflects the session, or what a write would meet") {
    CHECK(route("SHOW search_path") == "transaction session_state");
    CHECK(route("SHOW ALL") == "transaction session_state");
    CHECK(route("SHOW TIME ZONE") == "transaction session_state");
    CHECK(route("SHOW TRANSACTION ISOLATION LEVEL") == "transaction session_state");
    for (const char* sql :
         {"SHOW transaction_read_only", "SHOW In_Hot_Standby", "SHOW \"default_transaction_read_only\"",
          "SELECT current_setting('transaction_read_only')",
          "SELECT pg_catalog.current_setting('IN_HOT_STANDBY', true)", "SELECT current_setting($1)",
          "SELECT current_setting('transaction_' || 'read_only')"}) {
        CAPTURE(sql);
        CHECK(route(sql) == "primary server_role");
    }
    CHECK(route("SELECT current_setting('app.user')") == read);
}

}  // namespace holdfast::sql
