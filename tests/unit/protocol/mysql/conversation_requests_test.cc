#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "protocol/mysql/capabilities.h"
#include "tests/unit/protocol/mysql/conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::CutKind;
using dialect::ScanEvent;
using dialect::Slot;

TEST_CASE("mysql conversation: a command cut anywhere is not taken before it is whole") {
    const std::string request = query("INSERT INTO t VALUES (1)");
    for (size_t size = 0; size < request.size(); ++size) {
        Lab lab;
        CHECK(lab.send(std::string_view(request).substr(0, size)).empty());
        CHECK(lab.kind == CutKind::more);
    }
    Lab lab;
    CHECK(lab.send(request) == request);
    CHECK(lab.kind == CutKind::begin);
}

TEST_CASE("mysql conversation: a COM_STMT_CLOSE without an end is dropped as it comes") {
    Lab lab;
    const std::string head = "\xff\xff\xff" + std::string(1, '\0') + '\x19' + id_bytes(1);
    ByteBuffer out;
    CHECK(lab.conversation->cut(as_bytes(head).first(head.size() - 1), false, out).kind == CutKind::more);
    dialect::Cut cut = lab.conversation->cut(as_bytes(head), false, out);
    CHECK(cut.kind == CutKind::drop);
    CHECK(cut.size == head.size());
    const std::string more(1'000, 'x');
    cut = lab.conversation->cut(as_bytes(more), false, out);
    CHECK(cut.kind == CutKind::drop);
    CHECK(cut.size == more.size());
}

TEST_CASE("mysql conversation: commands that nobody knows get error 1047, and the connection goes on") {
    for (const uint8_t code : {uint8_t{0x00}, uint8_t{0x0b}, uint8_t{0x0f}, uint8_t{0x10}, uint8_t{0x1d},
                               uint8_t{0x20}, uint8_t{0x42}, uint8_t{0xfe}, uint8_t{0xff}}) {
        Lab lab;
        CHECK(lab.send(command_of(code, "x")).empty());
        CHECK(lab.kind == CutKind::answer);
        CHECK(lab.answer == err_packet(1, 1047, "Unknown command", "08S01"));
        CHECK(lab.send(query("SELECT 1")) == query("SELECT 1"));
    }
}

TEST_CASE("mysql conversation: a packet out of order is malformed") {
    Lab lab;
    CHECK(lab.send(packet(3, "\x03SELECT 1")).empty());
    CHECK(lab.kind == CutKind::malformed);
}

TEST_CASE("mysql conversation: COM_PING is answered here when idle, and in its turn otherwise") {
    Lab lab;
    lab.send(command_of(command::ping));
    CHECK(lab.kind == CutKind::answer);
    CHECK(lab.answer == ok_packet(1));
    lab.send(query("SELECT a FROM t"));
    CHECK(lab.send(command_of(command::ping)) == command_of(command::ping));
    CHECK(lab.conversation->units_in_flight() == 2);
}

TEST_CASE(
    "mysql conversation: statement ids are the proxy's to clients and each connection's own to servers") {
    Lab lab;
    const std::string prepare = command_of(command::stmt_prepare, "UPDATE t SET a=?");
    CHECK(lab.send(prepare) == prepare);
    CHECK(lab.receive(prepared_answer(700)) == prepared_answer(1));
    CHECK(lab.send(execute(1, true)) == execute(700, true));
    lab.receive(ok_packet(1));
    // Types are told once; the same connection needs no more.
    CHECK(lab.send(execute(1, false)) == execute(700, false));
    lab.receive(ok_packet(1));

    SUBCASE("another connection gets the statement prepared first, and the types told") {
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->slot_opened(Slot::a, false);
        lab.scratch.clear();
        ByteBuffer out;
        lab.conversation->cut(as_bytes(execute(1, false)), false, out);
        CHECK(lab.synchronise(Slot::a).find("UPDATE t SET a=?") != std::string::npos);
        CHECK(lab.receive(prepared_answer(9)) == "");
        CHECK(lab.event == ScanEvent::sync_done);
        CHECK(lab.send(execute(1, false)) == execute(9, true));
    }
    SUBCASE("a statement that can't be prepared there gives its error to who executes it") {
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->slot_opened(Slot::a, false);
        ByteBuffer out;
        lab.conversation->cut(as_bytes(execute(1, false)), false, out);
        CHECK_FALSE(lab.synchronise(Slot::a).empty());
        lab.receive(err_packet(1, 1146, "Table 'shop.t' doesn't exist", "42S02"));
        CHECK(lab.event == ScanEvent::sync_done);
        lab.send(execute(1, false));
        CHECK(lab.kind == CutKind::answer);
        CHECK(lab.answer == err_packet(1, 1146, "Table 'shop.t' doesn't exist", "42S02"));
    }
    SUBCASE("in a transaction another connection gets the statement, and nothing else") {
        // Settings that a transaction's connection lacked were told before it began.
        lab.send(query("SET @a = 1"), Slot::a);
        lab.receive(ok_packet(1));
        lab.send(query("BEGIN"), Slot::b);
        lab.receive(ok_packet(1, status::autocommit | status::in_transaction), Slot::b);
        ByteBuffer out;
        lab.conversation->cut(as_bytes(execute(1, false)), false, out);
        CHECK(lab.synchronise(Slot::b) == prepare);
        CHECK(lab.receive(prepared_answer(9), Slot::b) == "");
        CHECK(lab.event == ScanEvent::sync_done);
        CHECK(lab.send(execute(1, false), Slot::b) == execute(9, true));
    }
    SUBCASE("in a transaction a statement that can't be prepared costs no more than itself") {
        lab.send(query("START TRANSACTION READ ONLY"), Slot::b);
        lab.receive(ok_packet(1, status::autocommit | status::in_transaction), Slot::b);
        ByteBuffer out;
        lab.conversation->cut(as_bytes(execute(1, false)), false, out);
        CHECK(lab.synchronise(Slot::b) == prepare);
        lab.receive(err_packet(1, 1146, "Table 'shop.t' doesn't exist", "42S02"), Slot::b);
        CHECK(lab.event == ScanEvent::sync_done);
        lab.send(execute(1, false), Slot::b);
        CHECK(lab.answer == err_packet(1, 1146, "Table 'shop.t' doesn't exist", "42S02"));
    }
    SUBCASE("an id of the client's never reaches a server as it is") {
        CHECK(lab.send(execute(1, false), Slot::b) == execute(0, false));
    }
    SUBCASE("a closed one is closed on the server with the next command, and unknown afterwards") {
        CHECK(lab.send(command_of(command::stmt_close, id_bytes(1))).empty());
        CHECK(lab.kind == CutKind::drop);
        CHECK(lab.send(query("SELECT 1")) ==
              command_of(command::stmt_close, id_bytes(700)) + query("SELECT 1"));
        lab.receive(result({"1"}));
        lab.send(execute(1, false));
        CHECK(lab.kind == CutKind::answer);
    }
}

TEST_CASE("mysql conversation: an unknown statement id is the proxy's to refuse") {
    Lab lab;
    lab.send(execute(5, true));
    CHECK(lab.kind == CutKind::answer);
    CHECK(lab.answer.find("Unknown prepared statement handler (5)") != std::string::npos);
    // Nobody answers these.
    lab.send(command_of(command::stmt_close, id_bytes(5)));
    CHECK(lab.kind == CutKind::drop);
    lab.send(command_of(command::stmt_send_long_data, id_bytes(5) + std::string(2, '\0') + "data"));
    CHECK(lab.kind == CutKind::drop);
}

TEST_CASE("mysql conversation: long data is sent without an answer, and pins until it is used") {
    Lab lab;
    lab.send(command_of(command::stmt_prepare, "UPDATE t SET a=?"));
    lab.receive(prepared_answer(3));
    const std::string body = std::string(2, '\0') + "data";
    CHECK(lab.send(command_of(command::stmt_send_long_data, id_bytes(1) + body)) ==
          command_of(command::stmt_send_long_data, id_bytes(3) + body));
    CHECK(lab.conversation->units_in_flight() == 0);
    CHECK(lab.conversation->pins().describe() == "parameters sent in pieces");
    lab.send(execute(1, true));
    lab.receive(ok_packet(1));
    CHECK_FALSE(lab.conversation->pins().any());
}

TEST_CASE("mysql conversation: a request longer than a packet streams, and is refused only at its end") {
    Lab lab;
    const std::string body =
        std::string(1, '\x03') + "INSERT INTO t VALUES ('" + std::string(17'000'000, 'x') + "')";
    const std::string request = packet(0, body);
    const std::string first = request.substr(0, 300'000);
    ByteBuffer out;
    const dialect::Cut cut = lab.conversation->cut(as_bytes(first), false, out);
    CHECK(cut.kind == CutKind::begin);
    CHECK(lab.conversation->facts().too_long);
    CHECK(lab.conversation->facts().destination == sql::Destination::primary);
    SUBCASE("sent") {
        ByteBuffer prefix;
        CHECK(lab.conversation->accept(as_bytes(first).first(cut.size), Slot::a, prefix));
        CHECK(lab.conversation->unit_open());
        std::string_view rest = std::string_view(request).substr(cut.size);
        while (!rest.empty()) {
            const dialect::Cut more = lab.conversation->cut(as_bytes(rest.substr(0, 1'000'003)), false, out);
            REQUIRE(more.kind == CutKind::stream);
            rest.remove_prefix(more.size);
        }
        CHECK_FALSE(lab.conversation->unit_open());
        CHECK(lab.receive(ok_packet(2)) == ok_packet(2));
    }
    SUBCASE("refused") {
        dialect::FailureText text{dialect::Failure::no_primary, "no primary", {}, {}, {}};
        CHECK(lab.conversation->refuse_unit(as_bytes(first).first(cut.size), text, out) == cut.size);
        CHECK(out.empty());
        std::string_view rest = std::string_view(request).substr(cut.size);
        while (!rest.empty()) {
            const dialect::Cut more = lab.conversation->cut(as_bytes(rest.substr(0, 1'000'003)), false, out);
            REQUIRE((more.kind == CutKind::drop || more.kind == CutKind::answer));
            rest.remove_prefix(more.size);
        }
        CHECK(as_text(out) == err_packet(2, 9703, "no primary"));
    }
}

TEST_CASE("mysql conversation: a file that the server asks for is relayed to its end") {
    Lab lab(modern_client | capability::local_files);
    lab.send(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
    const std::string wish = packet(1,
                                    "\xfb"
                                    "f");
    CHECK(lab.receive(wish) == wish);
    const std::string file = packet(2, "1\n2\n") + packet(3, "");
    ByteBuffer out;
    const dialect::Cut cut = lab.conversation->cut(as_bytes(file), false, out);
    CHECK(cut.kind == CutKind::stream);
    CHECK(cut.size == file.size());
    CHECK(lab.receive(ok_packet(4)) == ok_packet(4));
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE(
    "mysql conversation: a connection for reads is made read-only, and writable when its server is "
    "promoted") {
    Lab lab;
    CHECK(lab.synchronise(Slot::b) == query("SET SESSION TRANSACTION READ ONLY"));
    lab.receive(ok_packet(1), Slot::b);
    CHECK(lab.event == ScanEvent::sync_done);
    CHECK(lab.synchronise(Slot::b) == "");
    lab.conversation->slot_promoted(Slot::b);
    CHECK(lab.synchronise(Slot::b) == query("SET SESSION TRANSACTION READ WRITE"));
    CHECK(lab.synchronise(Slot::a) == "");
}

TEST_CASE("mysql conversation: a session with more state than is recorded stays where it is") {
    Lab lab;
    for (size_t i = 0; i < limits::session_state_entries_max; ++i) {
        lab.send(query("SET @a" + std::to_string(i) + "=1"));
        lab.receive(ok_packet(1));
    }
    CHECK_FALSE(lab.conversation->pins().any());
    lab.send(query("SET @one_more=1"));
    lab.receive(ok_packet(1));
    CHECK(lab.conversation->pins().settings);
}

TEST_CASE("mysql conversation: statements that were prepared and deallocated leave nothing to follow") {
    Lab lab;
    for (size_t i = 0; i <= limits::session_state_entries_max; ++i) {
        const std::string name = "s" + std::to_string(i);
        for (const auto& sql : {"PREPARE " + name + " FROM 'SELECT 1'", "DEALLOCATE PREPARE " + name}) {
            lab.send(query(sql));
            lab.receive(ok_packet(1));
        }
    }
    CHECK_FALSE(lab.conversation->pins().any());
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::b) == query("SET SESSION TRANSACTION READ ONLY"));
}

TEST_CASE("mysql conversation: COM_RESET_CONNECTION forgets the session's state on both connections") {
    Lab lab;
    lab.send(query("SET @a=1"));
    ByteBuffer block;
    append_system_variable(block, "sql_mode", "ANSI");
    lab.receive(ok_packet(1, status::autocommit, reply::ok, block));
    lab.send(command_of(command::stmt_prepare, "UPDATE t SET a=?"));
    lab.receive(prepared_answer(3));
    lab.send(command_of(command::reset_connection));
    lab.receive(ok_packet(1));
    lab.send(execute(1, true));
    CHECK(lab.kind == CutKind::answer);  // unknown
    lab.scratch.clear();
    const std::string sync = lab.synchronise(Slot::b);
    CHECK(sync.starts_with(command_of(command::reset_connection)));
    CHECK(sync.find("session_track_system_variables='*'") != std::string::npos);
    CHECK(sync.find("ANSI") == std::string::npos);
}

TEST_CASE("mysql conversation: the client's own COM_CHANGE_USER is a new login, once nothing is in flight") {
    Lab lab;
    lab.send(query("SELECT a FROM t"));
    lab.send(command_of(command::change_user, "other"));
    CHECK(lab.kind == CutKind::wait);
    lab.receive(result({}));
    lab.send(command_of(command::change_user, "other"));
    CHECK(lab.kind == CutKind::log_in);
}

TEST_CASE("mysql conversation: a lost transaction is told once, and over") {
    Lab lab;
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, status::autocommit | status::in_transaction));
    lab.conversation->slot_lost(Slot::a);
    lab.conversation->lose_transaction({dialect::Failure::transaction_lost, "gone", {}, {}, {}});
    CHECK(lab.conversation->transaction() == dialect::Transaction::failed);
    lab.send(command_of(command::ping));
    CHECK(lab.answer == ok_packet(1));
    lab.send(query("INSERT INTO t VALUES (1)"));
    CHECK(lab.kind == CutKind::answer);
    CHECK(lab.answer == err_packet(1, 1213, "gone", "40001"));
    CHECK(lab.conversation->transaction() == dialect::Transaction::idle);
    CHECK(lab.send(query("INSERT INTO t VALUES (1)")) == query("INSERT INTO t VALUES (1)"));
}

TEST_CASE("mysql conversation: a unit whose server is gone fails with an error behind what was delivered") {
    Lab lab;
    lab.send(query("SELECT a FROM t"));
    const std::string head = packet(1, "\x01") + column(2) +
                             packet(3,
                                    "\x01"
                                    "1");
    CHECK(lab.receive(head) == head);
    lab.conversation->slot_lost(Slot::a);
    CHECK(lab.conversation->rows_delivered());
    ByteBuffer out;
    lab.conversation->fail_unit({dialect::Failure::result_broken_off, "broken off", {}, {}, {}}, out);
    CHECK(as_text(out) == err_packet(4, 9705, "broken off"));
    CHECK(lab.conversation->units_in_flight() == 0);
}

TEST_CASE(
    "mysql conversation: a long request is refused with the number behind its last packet, however it was "
    "cut") {
    Lab lab;
    const std::string request =
        packet(0, std::string(1, '\x03') + "INSERT INTO t VALUES ('" + std::string(17'000'000, 'x') + "')");
    ByteBuffer out;
    const dialect::Cut cut = lab.conversation->cut(as_bytes(request).first(300'000), false, out);
    lab.conversation->refuse_unit(as_bytes(request).first(cut.size),
                                  {dialect::Failure::no_primary, "no primary", {}, {}, {}}, out);
    std::string_view rest = std::string_view(request).substr(cut.size);
    while (!rest.empty()) {
        // The last part has no header in it; and another session's request comes between.
        const dialect::Cut more = lab.conversation->cut(as_bytes(rest.substr(0, 100'000)), false, out);
        REQUIRE((more.kind == CutKind::drop || more.kind == CutKind::answer));
        rest.remove_prefix(more.size);
        lab.scratch.clear();
    }
    CHECK(as_text(out) == err_packet(2, 9703, "no primary"));
}

TEST_CASE("mysql conversation: an empty packet behind a full one does not end a file") {
    Lab lab(modern_client | capability::local_files);
    lab.send(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
    lab.receive(packet(1,
                       "\xfb"
                       "f"));
    const std::string file =
        packet(2, std::string(packet_payload_bytes_max, '1')) + packet(4, "2\n") + packet(5, "");
    std::string_view rest = file;
    std::string sent;
    while (!rest.empty()) {
        ByteBuffer out;
        const dialect::Cut cut = lab.conversation->cut(as_bytes(rest), false, out);
        REQUIRE(cut.kind == CutKind::stream);
        sent += rest.substr(0, cut.size);
        rest.remove_prefix(cut.size);
    }
    CHECK(sent == file);
    CHECK(lab.receive(ok_packet(6)) == ok_packet(6));
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE("mysql conversation: a file whose server is lost is read to its end before the client is told") {
    Lab lab(modern_client | capability::local_files);
    lab.send(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
    lab.receive(packet(1,
                       "\xfb"
                       "f"));
    lab.conversation->slot_lost(Slot::a);
    ByteBuffer out;
    lab.conversation->fail_unit({dialect::Failure::outcome_unknown, "gone", {}, {}, {}}, out);
    const std::string file = packet(2, std::string(1'000, '1')) + packet(3, "");
    std::string_view rest = file;
    while (!rest.empty()) {
        CHECK(out.empty());
        const dialect::Cut cut = lab.conversation->cut(as_bytes(rest.substr(0, 100)), false, out);
        REQUIRE(cut.size > 0);
        rest.remove_prefix(cut.size);
    }
    CHECK(as_text(out).substr(0, 4) == err_packet(4, 9702, "gone").substr(0, 4));
}

TEST_CASE("mysql conversation: a connection that multi-statements were switched off on is not for others") {
    Lab lab(modern_client | capability::multi_statements);
    ByteBuffer out;
    CHECK(lab.conversation->append_reset(Slot::a, out));
    lab.send(command_of(command::set_option, std::string("\x01\x00", 2)));
    lab.receive(packet(1, std::string("\xfe\x00\x00\x02\x00", 5)));
    CHECK_FALSE(lab.conversation->append_reset(Slot::a, out));
    // The other connection follows, and stays behind when they are switched on again.
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::b).starts_with(command_of(command::set_option, std::string("\x01\x00", 2))));
    lab.receive(packet(1, std::string("\xfe\x00\x00\x02\x00", 5)) + ok_packet(1), Slot::b);
    lab.send(command_of(command::set_option, std::string("\x00\x00", 2)));
    lab.receive(packet(1, std::string("\xfe\x00\x00\x02\x00", 5)));
    CHECK_FALSE(lab.conversation->append_reset(Slot::a, out));
}

TEST_CASE(
    "mysql conversation: query attributes are offered where servers have them, and to a pool of their own") {
    CHECK((offered_capabilities("8.0.36", true) & capability::query_attributes) != 0);
    CHECK((offered_capabilities("8.0.22", true) & capability::query_attributes) == 0);
    CHECK((offered_capabilities("11.8.2-MariaDB", true) & capability::query_attributes) == 0);
    CHECK((identity_capabilities & capability::query_attributes) != 0);
}
