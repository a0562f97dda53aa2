#include <doctest/doctest.h>

#include "tests/unit/protocol/mysql/conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::CutKind;
using dialect::ScanEvent;
using dialect::Slot;

TEST_CASE("mysql conversation: a result passes as it came to a client that can read it") {
    Lab lab;
    CHECK(lab.send(query("SELECT a FROM t")) == query("SELECT a FROM t"));
    const std::string answer = result({"1", "2"});
    CHECK(lab.receive(answer) == answer);
    CHECK(lab.event == ScanEvent::unit_done);
    CHECK(lab.conversation->units_in_flight() == 0);
}

TEST_CASE("mysql conversation: an answer cut at every byte gives the client the same bytes") {
    for (const uint64_t client : {modern_client, classic_client}) {
        const std::string answer = result({"one", "two", std::string(300, 'x')});
        std::string expected;
        {
            Lab lab(client);
            lab.send(query("SELECT a FROM t"));
            expected = lab.receive(answer);
        }
        for (size_t cut = 1; cut < answer.size(); ++cut) {
            Lab lab(client);
            lab.send(query("SELECT a FROM t"));
            std::string client_bytes = lab.receive(std::string_view(answer).substr(0, cut));
            const std::string pending = lab.rest + answer.substr(cut);
            client_bytes += lab.receive(pending);
            CHECK(client_bytes == expected);
            CHECK(lab.event == ScanEvent::unit_done);
        }
    }
}

TEST_CASE("mysql conversation: a client without DEPRECATE_EOF gets both EOFs, and every packet renumbered") {
    Lab lab(classic_client);
    lab.send(query("SELECT a FROM t"));
    CHECK(lab.receive(result({"1", "2"})) == classic_result({"1", "2"}));
    lab.send(query("SELECT a FROM t"));
    CHECK(lab.receive(result({})) == classic_result({}));
}

TEST_CASE("mysql conversation: several results of one command are one unit") {
    Lab lab(classic_client);
    lab.send(query("CALL p()"));
    const auto more = static_cast<uint16_t>(status::autocommit | status::more_results);
    const std::string first = result({"1"}, more);  // ends with sequence number 4
    CHECK(lab.receive(first) == classic_result({"1"}, more));
    CHECK(lab.event == ScanEvent::none);
    CHECK(lab.conversation->units_in_flight() == 1);
    CHECK(lab.receive(ok_packet(5)) == ok_packet(6));
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE("mysql conversation: a cursor's answer has one EOF for a classic client") {
    Lab lab(classic_client);
    lab.send(query("SELECT a FROM t"));
    const auto flags = static_cast<uint16_t>(status::autocommit | status::cursor_exists);
    const std::string answer = packet(1, "\x01") + column(2) + ok_packet(3, flags, reply::eof);
    CHECK(lab.receive(answer) == packet(1, "\x01") + column(2) + eof_packet(3, flags));
}

TEST_CASE("mysql conversation: session state that the client did not ask for is stripped") {
    ByteBuffer block;
    append_system_variable(block, "sql_mode", "ANSI");
    append_system_variable(block, "redirect_url", "mysql://elsewhere");
    const std::string answer = ok_packet(1, status::autocommit, reply::ok, block);
    SUBCASE("from a client without SESSION_TRACK") {
        Lab lab(classic_client);
        lab.send(query("SET sql_mode='ANSI'"));
        CHECK(lab.receive(answer) == ok_packet(1));
    }
    SUBCASE("what servers do not report by default, and redirections always") {
        Lab lab;
        lab.send(query("SET sql_mode='ANSI'"));
        CHECK(lab.receive(answer) == ok_packet(1));
    }
    SUBCASE("but the schema is told to who asked") {
        Lab lab;
        ByteBuffer schema;
        append_session_state(schema, SessionState::schema, "other");
        lab.send(command_of(command::init_db, "other"));
        CHECK(lab.receive(ok_packet(1, status::autocommit, reply::ok, schema)) ==
              ok_packet(1, status::autocommit, reply::ok, schema));
        CHECK(lab.synchronise(Slot::b).find("USE `other`") != std::string::npos);
    }
}

TEST_CASE("mysql conversation: what servers report of settings is replayed as they reported it") {
    Lab lab;
    ByteBuffer block;
    append_system_variable(block, "max_sort_length", "4096");
    append_system_variable(block, "lc_time_names", "it's");
    append_system_variable(block, "default_regex_flags", "a\\' OR 1");
    append_system_variable(block, "a=1; DROP TABLE t; --", "1");
    lab.send(query("CALL settings()"));
    lab.receive(ok_packet(1, status::autocommit, reply::ok, block));
    const std::string sync = lab.synchronise(Slot::b);
    CHECK(sync.find("SET SESSION max_sort_length=4096") != std::string::npos);
    CHECK(sync.find("SET SESSION lc_time_names='it''s'") != std::string::npos);
    CHECK(sync.find("SET SESSION default_regex_flags=_utf8mb4 X'615c27204f522031'") != std::string::npos);
    CHECK(sync.find("DROP") == std::string::npos);
}

TEST_CASE("mysql conversation: transaction state comes from the status flags") {
    Lab lab;
    lab.send(query("anything at all"));
    lab.receive(ok_packet(1, status::autocommit | status::in_transaction));
    CHECK(lab.conversation->transaction() == dialect::Transaction::active);
    SUBCASE("an ordinary error changes nothing") {
        lab.send(query("INSERT INTO t VALUES (1)"));
        lab.receive(err_packet(1, 1062, "Duplicate entry", "23000"));
        CHECK(lab.conversation->transaction() == dialect::Transaction::active);
    }
    SUBCASE("a deadlock ends it") {
        lab.send(query("INSERT INTO t VALUES (1)"));
        lab.receive(err_packet(1, 1213, "Deadlock found", "40001"));
        CHECK(lab.conversation->transaction() == dialect::Transaction::idle);
    }
}

TEST_CASE("mysql conversation: a replica's read-only refusal of a supposed read is taken back") {
    for (const auto& [number, text] : std::vector<std::pair<uint16_t, std::string>>{
             {1290, "The MariaDB server is running with the --read-only option"},
             {1792, "Cannot execute statement in a READ ONLY transaction"},
             {1836, "Running in read-only mode"}}) {
        Lab lab;
        lab.send(query("SELECT a FROM v"), Slot::b);
        CHECK(lab.receive(err_packet(1, number, text), Slot::b) == "");
        CHECK(lab.event == ScanEvent::refused);
        CHECK(lab.conversation->abandon_answer(Slot::b));
    }
    Lab lab;
    lab.send(query("SELECT a FROM v"), Slot::b);
    const std::string other = err_packet(1, 1290, "running with the --secure-file-priv option");
    CHECK(lab.receive(other, Slot::b) == other);
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE(
    "mysql conversation: a write that the primary refuses as read-only was not carried out, and waits") {
    Lab lab;
    lab.send(query("INSERT INTO t VALUES (1)"));
    CHECK(lab.receive(err_packet(1, 1290, "running with the --read-only option")) == "");
    CHECK(lab.event == ScanEvent::refused);
    CHECK(lab.conversation->units_in_flight() == 1);
    ByteBuffer again;
    CHECK_FALSE(lab.conversation->rerun_unit(Slot::a, as_bytes(query("INSERT INTO t VALUES (1)")), again));
    CHECK(as_text(again) == query("INSERT INTO t VALUES (1)"));
    CHECK(lab.receive(ok_packet(1)) == ok_packet(1));
}

TEST_CASE(
    "mysql conversation: a COMMIT that is refused as read-only is a lost transaction, not an unknown "
    "outcome") {
    Lab lab;
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, status::autocommit | status::in_transaction));
    lab.send(query("COMMIT"));
    CHECK(lab.conversation->may_have_committed());
    CHECK(lab.receive(err_packet(1, 1290, "running with the --read-only option")) == "");
    CHECK(lab.event == ScanEvent::dying);
    CHECK(lab.conversation->last_error_code() == "25006");
    CHECK_FALSE(lab.conversation->may_have_committed());
}

TEST_CASE("mysql conversation: what commits the transaction that it is part of leaves its outcome unknown") {
    const auto may_have_committed = [](const std::string& request) {
        Lab lab;
        lab.send(query("PREPARE c FROM 'COMMIT'"));
        lab.receive(ok_packet(1));
        lab.send(query("PREPARE w FROM 'UPDATE t SET a = 1'"));
        lab.receive(ok_packet(1));
        lab.send(query("BEGIN"));
        lab.receive(ok_packet(1, status::autocommit | status::in_transaction));
        lab.send(request);
        REQUIRE(lab.conversation->units_in_flight() == 1);
        return lab.conversation->may_have_committed();
    };
    for (const char* sql :
         {"COMMIT", "CREATE TABLE u (a INT)", "ALTER TABLE t ADD b INT", "TRUNCATE t",
          "GRANT SELECT ON t TO u", "CALL p()", "BEGIN", "START TRANSACTION READ ONLY", "LOCK TABLES t WRITE",
          "UNLOCK TABLES", "SET autocommit = 1", "SET @@SESSION.autocommit = ON", "FLUSH TABLES",
          "XA COMMIT 'x'", "EXECUTE c", "EXECUTE unknown", "FROBNICATE t"}) {
        CAPTURE(sql);
        CHECK(may_have_committed(query(sql)));
    }
    for (const char* sql : {"INSERT INTO t VALUES (1)", "UPDATE t SET a = f()", "SELECT a FROM t FOR UPDATE",
                            "SELECT a FROM t", "SAVEPOINT s", "ROLLBACK", "SET @a = 1", "SET sql_mode = ''",
                            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t", "EXECUTE w"}) {
        CAPTURE(sql);
        CHECK_FALSE(may_have_committed(query(sql)));
    }
    CHECK(may_have_committed(command_of(command::create_db, "d")));
    CHECK_FALSE(may_have_committed(command_of(command::init_db, "d")));
}

TEST_CASE("mysql conversation: an announced end is no answer") {
    Lab lab;
    lab.send(query("SELECT a FROM t"));
    CHECK(lab.receive(err_packet(1, 1053, "Server shutdown in progress", "08S01")) == "");
    CHECK(lab.event == ScanEvent::dying);
    CHECK(lab.conversation->last_error_code() == "57P01");
}

TEST_CASE("mysql conversation: a row that begins like an end, for its first column is long, is a row") {
    Lab lab;
    lab.send(query("SELECT a FROM t"));
    // 0xfe and eight bytes of length: the packet is full, and goes on.
    std::string payload("\xfe\xff\xff\xff\x00\x00\x00\x00\x00", 9);
    payload.resize(packet_payload_bytes_max, 'x');
    std::string tail(packet_payload_bytes_max + 9 - packet_payload_bytes_max, '\xff');  // looks like an error
    const std::string head = packet(1, "\x01") + column(2);
    std::string row = std::string("\xff\xff\xff\x03", 4) + payload;
    row += std::string("\x09\x00\x00\x04", 4) + tail;
    const std::string answer = head + row + ok_packet(5, status::autocommit, reply::eof);
    CHECK(lab.receive(answer) == answer);
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE("mysql conversation: progress reports end nothing, and pass only to who asked for them") {
    const std::string report = packet(1, std::string("\xff\xff\xff\x01\x01\x01\x00\x00\x00\x00", 10));
    SUBCASE("dropped, and what follows is renumbered") {
        Lab lab;
        lab.send(query("ALTER TABLE t ADD b int"));
        CHECK(lab.receive(report) == "");
        CHECK(lab.conversation->units_in_flight() == 1);
        CHECK(lab.receive(ok_packet(2)) == ok_packet(1));
    }
    SUBCASE("passed on") {
        Lab lab(modern_client | capability::progress);
        lab.send(query("ALTER TABLE t ADD b int"));
        CHECK(lab.receive(report) == report);
        CHECK(lab.receive(ok_packet(2)) == ok_packet(2));
    }
}

TEST_CASE("mysql conversation: answers that fit nothing are a lying server") {
    Lab lab;
    CHECK(lab.receive(ok_packet(1)) == "");
    CHECK(lab.event == ScanEvent::lying);
    Lab other;
    other.send(query("SELECT a FROM t"));
    other.receive(packet(1, "\xfc"));
    CHECK(other.event == ScanEvent::lying);
}

TEST_CASE("mysql conversation: what ends an answer does not come in parts") {
    // A packet as long as they get, which says that it goes on in another one behind the answer's end.
    const std::string endless = std::string("\xff\xff\xff\x01", 4) + std::string(1'000, 'x');
    SUBCASE("a text") {
        Lab lab;
        lab.send(command_of(command::statistics));
        CHECK(lab.receive(endless) == "");
        CHECK(lab.event == ScanEvent::lying);
    }
    SUBCASE("a definition of a prepared statement") {
        Lab lab;
        lab.send(command_of(command::stmt_prepare, "SELECT ?"));
        lab.receive(
            packet(1, std::string(1, '\0') + id_bytes(1) + std::string("\x00\x00\x01\x00\x00\x00\x00", 7)));
        CHECK(lab.receive(std::string("\xff\xff\xff\x02", 4) + std::string(1'000, 'x')) == "");
        CHECK(lab.event == ScanEvent::lying);
    }
}

TEST_CASE("mysql conversation: a server that wants a file of the proxy itself is lying") {
    Lab lab;
    lab.synchronise(Slot::b);
    lab.receive(packet(1, "\xfb/etc/passwd"), Slot::b);
    CHECK(lab.event == ScanEvent::lying);
}

TEST_CASE("mysql conversation: SET TRANSACTION is of one statement or transaction, whatever the connection") {
    Lab lab;
    const auto report = [](std::string_view characteristics) {
        ByteBuffer block;
        append_session_state(block, SessionState::transaction_characteristics, characteristics);
        return ok_packet(1, status::autocommit, reply::ok, block);
    };
    const std::string level = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    const std::string access = "SET TRANSACTION READ ONLY";
    lab.send(query(level));
    lab.receive(report(level + ";"));
    lab.send(query(access));
    lab.receive(report(level + "; " + access + ";"));
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::a) == "");
    lab.send(query("SELECT a FROM t"));
    CHECK(lab.conversation->facts().destination == sql::Destination::primary);

    SUBCASE("all of it is told to a new one") {
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->slot_opened(Slot::a, false);
        ByteBuffer out;
        CHECK(lab.conversation->synchronise_for_rerun(Slot::a, out));
        CHECK(as_text(out) == query(level) + query(access));
    }
    SUBCASE("what is no SET TRANSACTION is not repeated") {
        lab.receive(result({}));
        lab.send(query("SELECT 1"));
        lab.receive(report("SET TRANSACTION READ ONLY; DROP TABLE t;"));
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->slot_opened(Slot::a, false);
        ByteBuffer out;
        lab.conversation->synchronise_for_rerun(Slot::a, out);
        CHECK(as_text(out).find("DROP") == std::string::npos);
    }
    SUBCASE("and it is used up by a read") {
        ByteBuffer block;
        append_session_state(block, SessionState::transaction_characteristics, "");
        lab.receive(packet(1, "\x01") + column(2) + ok_packet(3, status::autocommit, reply::eof, block));
        REQUIRE(lab.event == ScanEvent::unit_done);
        lab.send(query("SELECT a FROM t"));
        CHECK(lab.conversation->facts().destination == sql::Destination::replica);
        lab.receive(result({}));
        lab.scratch.clear();
        CHECK(lab.synchronise(Slot::a) == "");
    }
}
