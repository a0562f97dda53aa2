// What must not run twice, where writes may go, and what is certain of a lost statement.
#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "tests/unit/protocol/mysql/conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::CutKind;
using dialect::ScanEvent;
using dialect::Slot;

namespace {

constexpr uint16_t in_transaction = status::autocommit | status::in_transaction;
const std::string demoted = "The MariaDB server is running with the --read-only option";

dialect::UnitFacts facts_of(Lab& lab, std::string_view sql) {
    ByteBuffer out;
    lab.conversation->cut(as_bytes(query(sql)), false, out);
    return lab.conversation->facts();
}

}  // namespace

TEST_CASE("mysql outcomes: behind a statement in flight that changes how texts are read, they wait") {
    for (const char* sql : {"SET NAMES gbk", "SET sql_mode='ANSI_QUOTES'", "CALL p()"}) {
        CAPTURE(sql);
        Lab lab;
        lab.send(query(sql));
        lab.send(query("SELECT '\xbf\\'; DELETE FROM t; -- '"));
        CHECK(lab.kind == CutKind::wait);
        lab.send(command_of(command::stmt_prepare, "SELECT '\xbf\\'; DELETE FROM t; -- '"));
        CHECK(lab.kind == CutKind::wait);
    }
}

TEST_CASE("mysql outcomes: a refusal of what may have done something before is not taken for proof") {
    Lab lab;
    SUBCASE("a procedure") {
        lab.send(query("CALL p()"));
    }
    SUBCASE("a block") {
        lab.send(query("BEGIN NOT ATOMIC INSERT INTO t VALUES (1); END"));
    }
    SUBCASE("a text that is not known") {
        lab.send(query("EXECUTE s"));
    }
    SUBCASE("rows that are executed one by one") {
        lab.send(command_of(command::stmt_prepare, "UPDATE t SET a=?"));
        lab.receive(prepared_answer(1));
        lab.send(command_of(
            command::stmt_bulk_execute,
            id_bytes(1) + std::string("\x80\x00\x08\x00\x00\x2a\x00\x00\x00\x00\x00\x00\x00", 13)));
    }
    const std::string refusal = err_packet(1, 1290, demoted);
    CHECK(lab.receive(refusal) == refusal);
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE("mysql outcomes: a write in a read-only transaction of the client's own is refused for good") {
    Lab lab;
    lab.send(query("INSERT INTO t VALUES (1)"));
    const std::string refusal =
        err_packet(1, 1792, "Cannot execute statement in a READ ONLY transaction", "25006");
    CHECK(lab.receive(refusal) == refusal);
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE("mysql outcomes: in a transaction, what commits it may have done so") {
    for (const char* sql :
         {"CREATE TABLE u (a int)", "TRUNCATE t", "CALL p()", "BEGIN", "START TRANSACTION READ ONLY",
          "LOCK TABLES t WRITE", "UNLOCK TABLES", "SET autocommit=1", "SET @@autocommit=ON",
          "XA COMMIT 'x' ONE PHASE", "XA PREPARE 'x'", "FLUSH TABLES", "EXECUTE IMMEDIATE 'COMMIT'",
          "EXECUTE s", "INSERT INTO t VALUES (1); COMMIT", "GRANT ALL ON *.* TO a", "SOMETHING new"}) {
        CAPTURE(sql);
        Lab lab;
        lab.send(query("BEGIN"));
        lab.receive(ok_packet(1, in_transaction));
        lab.send(query(sql));
        CHECK(lab.conversation->may_have_committed());
    }
    for (const char* sql :
         {"INSERT INTO t VALUES (1)", "SELECT LAST_INSERT_ID()", "ROLLBACK", "SAVEPOINT a", "SET @a=1",
          "CREATE TEMPORARY TABLE u (a int)", "XA END 'x'", "SELECT @@hostname"}) {
        CAPTURE(sql);
        Lab lab;
        lab.send(query("BEGIN"));
        lab.receive(ok_packet(1, in_transaction));
        lab.send(query(sql));
        CHECK_FALSE(lab.conversation->may_have_committed());
    }
}

TEST_CASE("mysql outcomes: a text that was only read in part may hold a COMMIT") {
    Lab lab(modern_client | capability::multi_statements);
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, in_transaction));
    lab.send(query("INSERT INTO t VALUES ('" + std::string(limits::statement_classified_bytes_max, 'x') +
                   "'); COMMIT"));
    CHECK(lab.conversation->may_have_committed());
}

TEST_CASE("mysql outcomes: a procedure that a demoted primary ends may have committed before") {
    Lab lab;
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, in_transaction));
    lab.send(query("CALL p()"));
    lab.receive(err_packet(1, 1290, demoted));
    CHECK(lab.event == ScanEvent::dying);
    CHECK(lab.conversation->may_have_committed());
}

TEST_CASE("mysql outcomes: a write that asks for what the statement before it left goes to the primary") {
    Lab lab;
    lab.send(query("SELECT a FROM t"), Slot::b);
    lab.receive(result({"1"}), Slot::b);
    for (const char* sql :
         {"INSERT INTO log VALUES (FOUND_ROWS())", "SHOW WARNINGS; INSERT INTO t VALUES (1)"}) {
        CAPTURE(sql);
        CHECK(facts_of(lab, sql).destination == sql::Destination::primary);
        CHECK_FALSE(facts_of(lab, sql).same_connection);
    }
    CHECK(facts_of(lab, "SELECT FOUND_ROWS()").same_connection);
}

TEST_CASE("mysql outcomes: a transaction that writes does not begin on the replica of one that read") {
    for (const char* sql : {"BEGIN", "START TRANSACTION READ WRITE", "COMMIT; INSERT INTO t VALUES (1)",
                            "ROLLBACK; START TRANSACTION READ WRITE; INSERT INTO t VALUES (1)"}) {
        CAPTURE(sql);
        Lab lab;
        lab.synchronise(Slot::b);
        lab.receive(ok_packet(1), Slot::b);
        lab.send(query("START TRANSACTION READ ONLY"), Slot::b);
        lab.receive(ok_packet(1, in_transaction | status::in_transaction_read_only), Slot::b);
        const auto facts = facts_of(lab, sql);
        CHECK(facts.destination == sql::Destination::primary);
        CHECK(lab.conversation->transaction() == dialect::Transaction::idle);
        lab.send(query(sql));
        lab.receive(ok_packet(1));
        // What is left there of the transaction is ended before the connection is used again.
        lab.scratch.clear();
        CHECK(lab.synchronise(Slot::b).starts_with(query("ROLLBACK")));
    }
    Lab lab;
    lab.send(query("START TRANSACTION READ ONLY"), Slot::b);
    lab.receive(ok_packet(1, in_transaction | status::in_transaction_read_only), Slot::b);
    for (const char* sql : {"SELECT a FROM t", "COMMIT", "ROLLBACK AND CHAIN", "SELECT 1; SELECT 2"}) {
        CAPTURE(sql);
        facts_of(lab, sql);
        CHECK(lab.conversation->transaction() == dialect::Transaction::active);
    }
    // Behind a COMMIT in flight nobody knows yet where the next statement belongs.
    lab.send(query("COMMIT"), Slot::b);
    lab.send(query("INSERT INTO t VALUES (1)"));
    CHECK(lab.kind == CutKind::wait);
}

TEST_CASE("mysql outcomes: an error behind heads that the client has continues their numbers") {
    Lab lab;
    lab.send(query("SELECT a FROM t"), Slot::b);
    lab.receive(packet(1, "\x01") + column(2), Slot::b);
    lab.conversation->slot_lost(Slot::b);
    ByteBuffer out;
    lab.conversation->rerun_unit(Slot::a, as_bytes(query("SELECT a FROM t")), out);
    lab.conversation->slot_lost(Slot::a);
    out.clear();
    lab.conversation->fail_unit({dialect::Failure::no_server, "gone", {}, {}, {}}, out);
    CHECK(as_text(out).substr(0, 4) == err_packet(3, 9704, "gone").substr(0, 4));
}

TEST_CASE(
    "mysql outcomes: a result whose definitions the client has from before is not run again elsewhere") {
    Lab lab(modern_client | capability::cache_metadata);
    lab.conversation->slot_parameters(
        Slot::b, {{"capabilities", std::to_string(modern_client | capability::cache_metadata)}});
    lab.send(query("SELECT a FROM t"), Slot::b);
    lab.receive(packet(1, std::string("\x01\x00", 2)), Slot::b);
    CHECK_FALSE(lab.conversation->rerunnable());
}

TEST_CASE("mysql outcomes: KILL in a form that the proxy can't follow reaches no server") {
    Lab lab;
    for (const char* sql : {"KILL 5; SELECT 1", "SELECT 1; KILL QUERY 5", "KILL @a"}) {
        CAPTURE(sql);
        CHECK(lab.send(query(sql)).empty());
        CHECK(lab.kind == CutKind::answer);
    }
    CHECK_FALSE(lab.send(query("KILL USER app")).empty());
    lab.receive(ok_packet(1));
    lab.send(command_of(command::stmt_prepare, "KILL 5"));
    lab.receive(packet(1, std::string("\0", 1) + id_bytes(1) + std::string(7, '\0')));
    lab.send(command_of(command::stmt_execute, id_bytes(1) + std::string(1, '\0') + id_bytes(1)));
    CHECK(lab.kind == CutKind::kill);
    CHECK(lab.conversation->kill_request().process_id == 5);
}

TEST_CASE("mysql conversation: a server without a connection to spare does not look like a wrong password") {
    Lab lab;
    const std::string request = query("SELECT 1");
    ByteBuffer out;
    REQUIRE(lab.conversation->cut(as_bytes(request), false, out).kind == dialect::CutKind::begin);
    dialect::FailureText text;
    text.failure = dialect::Failure::server_refused;
    text.message = "no";
    text.code = "53300";
    lab.conversation->refuse_unit(as_bytes(request), text, out);
    CHECK(std::string(as_text(out)) == err_packet(1, 1040, "no", "08004"));
    out.clear();
    text.code = "28000";
    REQUIRE(lab.conversation->cut(as_bytes(request), false, out).kind == dialect::CutKind::begin);
    lab.conversation->refuse_unit(as_bytes(request), text, out);
    CHECK(std::string(as_text(out)) == err_packet(1, 1045, "no", "28000"));
}

TEST_CASE("mysql outcomes: behind DDL that failed nobody knows whether the transaction was committed") {
    Lab lab;
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, in_transaction));
    lab.send(query("CREATE TABLE t (a int)"));
    lab.receive(err_packet(1, 1050, "Table 't' already exists", "42S01"));
    CHECK(lab.conversation->may_have_committed());
    SUBCASE("until the server tells") {
        lab.send(query("SELECT a FROM t"));
        CHECK(lab.conversation->may_have_committed());
        lab.receive(result({}));
        CHECK_FALSE(lab.conversation->may_have_committed());
        CHECK(lab.conversation->transaction() == dialect::Transaction::idle);
    }
    SUBCASE("or it is given up") {
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->lose_transaction({dialect::Failure::outcome_unknown, "unknown", {}, {}, {}});
        CHECK_FALSE(lab.conversation->may_have_committed());
    }
}

TEST_CASE("mysql outcomes: a write waits for a COMMIT in flight on a replica, whatever is between them") {
    Lab lab;
    lab.send(query("START TRANSACTION READ ONLY"), Slot::b);
    lab.send(query("COMMIT"), Slot::b);
    lab.send(query("SELECT a FROM t"), Slot::b);
    REQUIRE(lab.conversation->units_in_flight() == 3);
    lab.receive(ok_packet(1, in_transaction | status::in_transaction_read_only), Slot::b);
    lab.send(query("INSERT INTO t VALUES (1)"));
    CHECK(lab.kind == CutKind::wait);
    lab.receive(ok_packet(1) + result({}), Slot::b);
    lab.send(query("INSERT INTO t VALUES (1)"));
    CHECK(lab.kind == CutKind::begin);
}
