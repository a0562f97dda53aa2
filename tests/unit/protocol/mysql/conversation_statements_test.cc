// Prepared statements, of the protocol and of SQL, on several connections.
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

std::string prepare(std::string_view sql) {
    return command_of(command::stmt_prepare, sql);
}
void prepare_on(Lab& lab, std::string_view sql, uint32_t server_id, Slot slot = Slot::a) {
    lab.send(prepare(sql), slot);
    lab.receive(prepared_answer(server_id), slot);
}
/// The primary's connection is gone, and there is a new one.
void replace_primary(Lab& lab) {
    lab.conversation->slot_lost(Slot::a);
    lab.conversation->slot_opened(Slot::a, false);
}
/// Has the statement prepared where it lacks, as the engine does between a cut and its acceptance.
void bring(Lab& lab, std::string_view request, uint32_t server_id, Slot slot = Slot::a) {
    ByteBuffer out;
    lab.conversation->cut(as_bytes(request), false, out);
    const std::string asked = lab.synchronise(slot);
    REQUIRE_FALSE(asked.empty());
    if (asked.find("READ ONLY") != std::string::npos) lab.receive(ok_packet(1), slot);
    lab.receive(prepared_answer(server_id), slot);
    REQUIRE(lab.event == ScanEvent::sync_done);
}
std::string long_data(uint32_t id, std::string_view data) {
    return command_of(command::stmt_send_long_data, id_bytes(id) + std::string(2, '\0') + std::string(data));
}

}  // namespace

TEST_CASE("mysql statements: a connection that lacks one is never given the id of another") {
    Lab lab;
    prepare_on(lab, "SELECT a FROM t WHERE a=?", 1, Slot::b);
    prepare_on(lab, "DELETE FROM t WHERE a=?", 1);
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, in_transaction));
    // No server gives the id 0.
    CHECK(lab.send(execute(1, true)) == execute(0, true));
}

TEST_CASE("mysql statements: those of all units in flight are prepared before the units run again") {
    Lab lab;
    for (const char* sql : {"SELECT a FROM t WHERE a=?", "SELECT b FROM t WHERE a=?"})
        prepare_on(lab, sql, sql[7] == 'a' ? 1 : 2, Slot::b);
    lab.send(execute(1, true), Slot::b);
    lab.send(execute(2, true), Slot::b);
    lab.send(execute(1, true), Slot::b);
    REQUIRE(lab.conversation->rerunnable());
    lab.conversation->slot_lost(Slot::b);
    ByteBuffer out;
    REQUIRE(lab.conversation->synchronise_for_rerun(Slot::a, out));
    CHECK(as_text(out) == prepare("SELECT a FROM t WHERE a=?") + prepare("SELECT b FROM t WHERE a=?"));
    lab.receive(prepared_answer(8) + prepared_answer(9));
    out.clear();
    CHECK_FALSE(lab.conversation->rerun_unit(
        Slot::a, as_bytes(execute(1, true) + execute(2, true) + execute(1, true)), out));
    CHECK(as_text(out) == execute(8, true) + execute(9, true) + execute(8, true));
}

TEST_CASE("mysql statements: a long execution gets the types told on a new connection too") {
    Lab lab;
    prepare_on(lab, "INSERT INTO t VALUES (?)", 3);
    lab.send(execute(1, true));
    lab.receive(ok_packet(1));
    replace_primary(lab);

    const std::string value(limits::statement_retained_bytes_max, 'x');
    const auto long_execute = [&](uint32_t id, std::string_view types) {
        return command_of(command::stmt_execute, id_bytes(id) + std::string(1, '\0') + id_bytes(1) +
                                                     std::string(1, '\0') + std::string(types) + value);
    };
    const std::string request = long_execute(1, std::string_view("\0", 1));
    bring(lab, std::string_view(request).substr(0, 100), 4);
    // A part that ends before the types would begin is not enough.
    lab.send(std::string_view(request).substr(0, 15));
    CHECK(lab.kind == CutKind::more);
    const std::string sent = lab.send(std::string_view(request).substr(0, 100));
    CHECK(sent == long_execute(4, std::string_view("\x01\x08\x00", 3)).substr(0, 102));
}

TEST_CASE("mysql statements: executions in flight are not run again with the types of one behind them") {
    Lab lab;
    prepare_on(lab, "SELECT a FROM t WHERE a=?", 3, Slot::b);
    lab.send(execute(1, true), Slot::b);
    lab.receive(result({}), Slot::b);
    lab.send(execute(1, false), Slot::b);
    lab.send(execute(1, true), Slot::b);
    CHECK(lab.conversation->rerunnable());
    std::string as_text_value = execute(1, true);
    as_text_value[as_text_value.find("\x01\x08") + 1] = '\xfd';  // MYSQL_TYPE_VAR_STRING
    lab.send(as_text_value, Slot::b);
    CHECK_FALSE(lab.conversation->rerunnable());
}

TEST_CASE("mysql statements: values whose types a connection can't be told are not sent to it") {
    Lab lab;
    prepare_on(lab, "INSERT INTO t VALUES (?)", 3);
    SUBCASE("they were never told") {
        CHECK(lab.send(execute(1, false)) == execute(0, false));
    }
    SUBCASE("there is no room for them in the packet") {
        lab.send(execute(1, true));
        lab.receive(ok_packet(1));
        replace_primary(lab);
        std::string request =
            packet(0, std::string(1, '\x17') + id_bytes(1) + std::string(1, '\0') + id_bytes(1) +
                          std::string(2, '\0') + std::string(packet_payload_bytes_max, 'x'));
        request.resize(1'000);
        bring(lab, request, 4);
        const std::string sent = lab.send(request);
        CHECK(sent.substr(5, 4) == id_bytes(0));
        CHECK(sent.size() == request.size());
    }
}

TEST_CASE("mysql statements: a bulk execution gets the types told on a new connection") {
    const auto bulk = [](uint32_t id, bool tells_types) {
        return command_of(command::stmt_bulk_execute,
                          id_bytes(id) +
                              (tells_types ? std::string("\x80\x00\x08\x00", 4) : std::string(2, '\0')) +
                              std::string("\x00\x2a\x00\x00\x00\x00\x00\x00\x00", 9));
    };
    Lab lab;
    prepare_on(lab, "INSERT INTO t VALUES (?)", 3);
    CHECK(lab.send(bulk(1, true)) == bulk(3, true));
    lab.receive(ok_packet(1));
    CHECK(lab.send(bulk(1, false)) == bulk(3, false));
    lab.receive(ok_packet(1));
    replace_primary(lab);
    bring(lab, bulk(1, false), 4);
    CHECK(lab.send(bulk(1, false)) == bulk(4, true));
    // They hold for single executions too.
    lab.receive(ok_packet(1));
    CHECK(lab.send(execute(1, false)) == execute(4, false));
}

TEST_CASE("mysql statements: the last one prepared is not an older one") {
    Lab lab;
    prepare_on(lab, "DELETE FROM t WHERE a=?", 3);
    const std::string last = execute(0xffffffff, true);
    SUBCASE("when it could not be prepared") {
        lab.send(prepare("SELEC 1"));
        lab.receive(err_packet(1, 1064, "You have an error in your SQL syntax", "42000"));
        lab.send(last);
        CHECK(lab.kind == CutKind::answer);
        CHECK(lab.answer.find("Unknown prepared statement handler") != std::string::npos);
    }
    SUBCASE("when its server was lost") {
        lab.send(prepare("SELECT a FROM t"));
        lab.conversation->slot_lost(Slot::a);
        ByteBuffer out;
        lab.conversation->fail_unit({dialect::Failure::result_broken_off, "gone", {}, {}, {}}, out);
        lab.send(last);
        CHECK(lab.kind == CutKind::answer);
    }
    SUBCASE("when it was refused") {
        ByteBuffer out;
        lab.conversation->cut(as_bytes(prepare("SELECT a FROM t")), false, out);
        lab.conversation->refuse_unit(as_bytes(prepare("SELECT a FROM t")),
                                      {dialect::Failure::no_primary, "no primary", {}, {}, {}}, out);
        lab.send(last);
        CHECK(lab.kind == CutKind::answer);
    }
    SUBCASE("when its answer was that a transaction is lost") {
        lab.conversation->lose_transaction({dialect::Failure::transaction_lost, "gone", {}, {}, {}});
        lab.send(prepare("SELECT a FROM t"));
        REQUIRE(lab.kind == CutKind::answer);
        lab.send(last);
        CHECK(lab.kind == CutKind::answer);
    }
    SUBCASE("when another command is between") {
        lab.send(prepare("INSERT INTO t VALUES (?)"));
        lab.send(query("INSERT INTO t VALUES (1)"));
        lab.send(last);
        CHECK(lab.kind == CutKind::wait);
    }
    SUBCASE("and its long data has no answer") {
        lab.send(prepare("INSERT INTO t VALUES (?)"));
        lab.send(long_data(0xffffffff, "data"));
        CHECK(lab.kind == CutKind::wait);
        lab.receive(prepared_answer(4));
        CHECK(lab.send(long_data(0xffffffff, "data")) == long_data(4, "data"));
        CHECK(lab.conversation->units_in_flight() == 0);
    }
}

TEST_CASE("mysql statements: an execution behind its own preparation teaches the types") {
    Lab lab;
    lab.send(prepare("INSERT INTO t VALUES (?)"));
    CHECK(lab.send(execute(0xffffffff, true)) == execute(0xffffffff, true));
    CHECK(lab.conversation->units_in_flight() == 2);
    lab.receive(prepared_answer(3) + ok_packet(1));
    CHECK(lab.conversation->units_in_flight() == 0);
    CHECK(lab.send(execute(1, false)) == execute(3, false));
    lab.receive(ok_packet(1));
    replace_primary(lab);
    bring(lab, execute(1, false), 4);
    CHECK(lab.send(execute(1, false)) == execute(4, true));
}

TEST_CASE("mysql statements: a cursor that was read to its end is held no longer") {
    Lab lab;
    prepare_on(lab, "SELECT a FROM t WHERE a=?", 3);
    std::string open = execute(1, true);
    open[9] = 1;  // CURSOR_TYPE_READ_ONLY
    lab.send(open);
    lab.receive(packet(1, "\x01") + column(2) +
                ok_packet(3, status::autocommit | status::cursor_exists, reply::eof));
    CHECK(lab.conversation->pins().held_cursors == 1);
    lab.send(command_of(command::stmt_fetch, id_bytes(1) + id_bytes(10)));
    lab.receive(ok_packet(1, status::autocommit | status::cursor_exists | status::last_row_sent, reply::eof));
    CHECK(lab.conversation->pins().held_cursors == 0);
}

TEST_CASE("mysql statements: parameters sent in pieces are not executed without those that were lost") {
    Lab lab;
    prepare_on(lab, "INSERT INTO t VALUES (?)", 3);
    const auto is_refused_once = [&] {
        lab.send(execute(1, true));
        REQUIRE(lab.kind == CutKind::answer);
        CHECK(lab.answer.find("parameters sent in pieces") != std::string::npos);
        if (lab.synchronise(Slot::a) != "") lab.receive(prepared_answer(4));
        lab.send(execute(1, true));
        CHECK(lab.kind == CutKind::begin);
    };
    SUBCASE("with their server") {
        lab.send(long_data(1, "one"));
        lab.conversation->clear_pins();
        replace_primary(lab);
        bring(lab, long_data(1, "two"), 4);
        lab.send(long_data(1, "two"));
        is_refused_once();
    }
    SUBCASE("by a refusal, which nobody hears") {
        ByteBuffer out;
        lab.conversation->cut(as_bytes(long_data(1, "one")), false, out);
        lab.conversation->refuse_unit(as_bytes(long_data(1, "one")),
                                      {dialect::Failure::no_primary, "no primary", {}, {}, {}}, out);
        CHECK(out.empty());
        is_refused_once();
    }
    SUBCASE("with a transaction, whose loss is told first") {
        lab.send(query("BEGIN"));
        lab.receive(ok_packet(1, in_transaction));
        lab.send(long_data(1, "one"));
        lab.conversation->clear_pins();
        replace_primary(lab);
        lab.conversation->lose_transaction({dialect::Failure::transaction_lost, "gone", {}, {}, {}});
        // There is nowhere to send it.
        lab.send(long_data(1, "two"));
        CHECK(lab.kind == CutKind::drop);
        lab.send(query("SELECT 1"));
        CHECK(lab.answer == err_packet(1, 1213, "gone", "40001"));
        is_refused_once();
    }
    SUBCASE("in part, on the way to another connection") {
        lab.send(long_data(1, "one"));
        bring(lab, long_data(1, "two"), 5, Slot::b);
        lab.send(long_data(1, "two"), Slot::b);
        is_refused_once();
    }
    SUBCASE("but a reset begins anew") {
        lab.send(long_data(1, "one"));
        lab.conversation->clear_pins();
        replace_primary(lab);
        lab.send(command_of(command::stmt_reset, id_bytes(1)));
        CHECK(lab.answer == ok_packet(1));
        lab.send(execute(1, true));
        CHECK(lab.kind == CutKind::begin);
    }
}

TEST_CASE("mysql statements: parameters sent in pieces that are given up are executed nowhere") {
    Lab lab;
    prepare_on(lab, "INSERT INTO t VALUES (?)", 3);
    lab.send(long_data(1, "one"));
    SUBCASE("an execution on another connection is refused by that") {
        bring(lab, execute(1, true), 5, Slot::b);
        CHECK(lab.send(execute(1, true), Slot::b).substr(5, 4) == id_bytes(0));
        lab.receive(err_packet(1, 1243, "Unknown prepared statement handler"), Slot::b);
    }
    SUBCASE("a reset may reach another connection") {
        bring(lab, execute(1, true), 5, Slot::b);
        lab.send(command_of(command::stmt_reset, id_bytes(1)), Slot::b);
        lab.receive(ok_packet(1), Slot::b);
    }
    SUBCASE("in a transaction on another connection it is refused here") {
        lab.send(query("START TRANSACTION READ ONLY"), Slot::b);
        lab.receive(ok_packet(1, in_transaction), Slot::b);
        lab.send(execute(1, true), Slot::b);
        REQUIRE(lab.kind == CutKind::answer);
        lab.send(query("COMMIT"), Slot::b);
        lab.receive(ok_packet(1), Slot::b);
    }
    CHECK(lab.conversation->pins().long_data == 0);
    // The connection that has them gets the statement anew, and loses the old one.
    bring(lab, execute(1, true), 4);
    CHECK(lab.send(execute(1, true)) == command_of(command::stmt_close, id_bytes(3)) + execute(4, true));
}

TEST_CASE("mysql statements: a parameter's piece is never answered") {
    Lab lab;
    prepare_on(lab, "INSERT INTO t VALUES (?)", 3);
    replace_primary(lab);
    ByteBuffer out;
    lab.conversation->cut(as_bytes(long_data(1, "one")), false, out);
    REQUIRE_FALSE(lab.synchronise(Slot::a).empty());
    lab.receive(err_packet(1, 1146, "Table 'shop.t' doesn't exist", "42S02"));
    lab.send(long_data(1, "one"));
    CHECK(lab.kind == CutKind::drop);
    CHECK(lab.answer.empty());
    lab.send(execute(1, true));
    CHECK(lab.answer == err_packet(1, 1146, "Table 'shop.t' doesn't exist", "42S02"));
}

TEST_CASE("mysql statements: SQL's EXECUTE counts with all of its message") {
    Lab lab;
    const auto facts_of = [&](std::string_view sql) {
        ByteBuffer out;
        lab.conversation->cut(as_bytes(query(sql)), false, out);
        return lab.conversation->facts();
    };
    lab.send(query("PREPARE s FROM 'SELECT a FROM t'"));
    lab.receive(ok_packet(1));
    CHECK(facts_of("EXECUTE s").destination == sql::Destination::replica);
    CHECK(facts_of("EXECUTE s").rerunnable);

    SUBCASE("beside a write it does not go to a replica") {
        CHECK(facts_of("EXECUTE s; INSERT INTO t VALUES (1)").destination == sql::Destination::primary);
    }
    SUBCASE("nor with arguments that need the primary") {
        CHECK(facts_of("EXECUTE s USING GET_LOCK('a', 1)").destination == sql::Destination::primary);
        CHECK_FALSE(facts_of("EXECUTE s USING GET_LOCK('a', 1)").rerunnable);
    }
    SUBCASE("in the message that prepares it anew nothing is known of it") {
        const auto facts = facts_of("PREPARE s FROM 'INSERT INTO t VALUES (1)'; EXECUTE s");
        CHECK(facts.destination == sql::Destination::primary);
        CHECK_FALSE(facts.rerunnable);
    }
}

TEST_CASE("mysql statements: SQL's EXECUTE is what was prepared last") {
    Lab lab;
    const auto facts_of = [&](std::string_view sql) {
        ByteBuffer out;
        lab.conversation->cut(as_bytes(query(sql)), false, out);
        return lab.conversation->facts();
    };
    lab.send(query("PREPARE s FROM 'SELECT a FROM t'"));
    lab.receive(ok_packet(1));
    CHECK(facts_of("EXECUTE s").destination == sql::Destination::replica);
    CHECK(facts_of("EXECUTE s").rerunnable);

    SUBCASE("behind a message in flight that prepares it anew it waits") {
        lab.send(query("PREPARE s FROM 'INSERT INTO t VALUES (1)'"));
        lab.send(query("EXECUTE s"));
        CHECK(lab.kind == CutKind::wait);
    }
    SUBCASE("of a text that is not known it may write") {
        lab.send(query("PREPARE s FROM @sql"));
        lab.receive(ok_packet(1));
        CHECK(facts_of("EXECUTE s").destination == sql::Destination::primary);
        CHECK_FALSE(facts_of("EXECUTE s").rerunnable);
        lab.scratch.clear();
        CHECK(lab.synchronise(Slot::b).find("SELECT a FROM t") == std::string::npos);
    }
    SUBCASE("one that failed to be prepared anew is gone, as on the server") {
        lab.send(query("PREPARE s FROM 'SELEC'"));
        lab.receive(err_packet(1, 1064, "You have an error in your SQL syntax", "42000"));
        CHECK(facts_of("EXECUTE s").destination == sql::Destination::primary);
        lab.scratch.clear();
        CHECK(lab.synchronise(Slot::b).find("SELECT a FROM t") == std::string::npos);
    }
}

TEST_CASE("mysql statements: what SQL's EXECUTE leaves in the session is that of the prepared text") {
    Lab lab;
    lab.send(query("PREPARE s FROM 'SELECT GET_LOCK(\"a\", 1)'"));
    lab.receive(ok_packet(1));
    lab.send(query("EXECUTE s"));
    lab.receive(result({"1"}));
    CHECK(lab.conversation->pins().advisory_locks == 1);
}

TEST_CASE("mysql statements: no client prepares more than a session may hold") {
    Lab lab;
    const std::string sql = "SELECT '" + std::string(200'000, 'x') + "' FROM t WHERE a=?";
    size_t prepared = 0;
    for (; prepared < 1'000; ++prepared) {
        lab.send(prepare(sql + std::to_string(prepared)));
        if (lab.kind == CutKind::answer) break;
        lab.receive(prepared_answer(1));
    }
    CHECK(prepared * sql.size() <= limits::prepared_bytes_max);
    CHECK(prepared > 300);
    CHECK(lab.answer.find("Can't create more than") != std::string::npos);
    // Room is made by closing one.
    lab.send(command_of(command::stmt_close, id_bytes(1)));
    lab.send(prepare(sql));
    CHECK(lab.kind == CutKind::begin);
}

namespace {

/// The session goes to another schema, by a command or by a text.
void go_to(Lab& lab, std::string_view schema) {
    ByteBuffer block;
    append_session_state(block, SessionState::schema, schema);
    lab.send(command_of(command::init_db, schema));
    lab.receive(ok_packet(1, status::autocommit, reply::ok, block));
}

/// What brings the primary's connection to where it can run the request.
std::string asked_for(Lab& lab, std::string_view request, Slot slot = Slot::a) {
    ByteBuffer out;
    lab.conversation->cut(as_bytes(request), false, out);
    return lab.synchronise(slot);
}

}  // namespace

TEST_CASE("mysql statements: one is prepared again in the schema that it was prepared in") {
    const std::string sql = "SELECT a FROM t WHERE a=?";
    const auto init_db = [](std::string_view schema) { return command_of(command::init_db, schema); };
    const std::string detour = init_db("shop") + prepare(sql) + init_db("other");
    Lab lab;
    prepare_on(lab, sql, 1);
    go_to(lab, "other");
    replace_primary(lab);
    SUBCASE("and the session comes back from there") {
        CHECK(asked_for(lab, execute(1, true)) == query("USE `other`") + detour);
        lab.receive(ok_packet(1) + ok_packet(1) + prepared_answer(7) + ok_packet(1));
        CHECK(lab.event == ScanEvent::sync_done);
        CHECK(lab.send(execute(1, true)) == execute(7, true));
    }
    SUBCASE("in a transaction too") {
        lab.synchronise(Slot::a);
        lab.receive(ok_packet(1));
        lab.send(query("BEGIN"));
        lab.receive(ok_packet(1, in_transaction));
        CHECK(asked_for(lab, execute(1, true)) == detour);
    }
    SUBCASE("unless the session is there again") {
        lab.synchronise(Slot::a);
        lab.receive(ok_packet(1));
        go_to(lab, "shop");
        CHECK(asked_for(lab, execute(1, true)) == prepare(sql));
    }
    SUBCASE("which the client is told when it is gone: nothing is run elsewhere") {
        asked_for(lab, execute(1, true));
        lab.receive(ok_packet(1) + err_packet(1, 1049, "Unknown database 'shop'", "42000") +
                    prepared_answer(7) + ok_packet(1));
        CHECK(lab.event == ScanEvent::sync_done);
        CHECK(lab.send(execute(1, true)).empty());
        CHECK(lab.answer == err_packet(1, 1049, "Unknown database 'shop'", "42000"));
        // The one that was prepared in another schema is closed, and the next execution tries again.
        CHECK(asked_for(lab, execute(1, true)) == detour);
        lab.receive(ok_packet(1) + prepared_answer(8) + ok_packet(1));
        CHECK(lab.send(execute(1, true)) == command_of(command::stmt_close, id_bytes(7)) + execute(8, true));
    }
    SUBCASE("and what its tables say matters less than that it is gone") {
        asked_for(lab, execute(1, true));
        lab.receive(ok_packet(1) + err_packet(1, 1049, "Unknown database 'shop'", "42000") +
                    err_packet(1, 1146, "Table 'other.t' doesn't exist", "42S02") + ok_packet(1));
        lab.send(execute(1, true));
        CHECK(lab.answer.find("Unknown database 'shop'") != std::string::npos);
    }
    SUBCASE("a replica that lacks the schema is left alone") {
        asked_for(lab, execute(1, true), Slot::b);
        lab.receive(ok_packet(1) + ok_packet(1) + err_packet(1, 1049, "Unknown database 'shop'", "42000") +
                        prepared_answer(7) + ok_packet(1),
                    Slot::b);
        CHECK(lab.event == ScanEvent::sync_failed);
    }
}

TEST_CASE("mysql statements: one whose strings would be read in another way is not prepared again") {
    Lab lab;
    prepare_on(lab, "SELECT \"a\" FROM t WHERE a=?", 1);
    prepare_on(lab, "SELECT 'a' FROM t WHERE a=?", 2);
    ByteBuffer block;
    append_system_variable(block, "sql_mode", "ANSI_QUOTES");
    lab.send(query("SET sql_mode='ANSI_QUOTES'"));
    lab.receive(ok_packet(1, status::autocommit, reply::ok, block));
    replace_primary(lab);
    const std::string asked = asked_for(lab, execute(1, true));
    CHECK(asked.find("ANSI_QUOTES") != std::string::npos);
    CHECK(asked.find("SELECT") == std::string::npos);
    lab.receive(ok_packet(1));
    // The server says that it does not know it.
    CHECK(lab.send(execute(1, true)) == execute(0, true));
    lab.receive(err_packet(1, 1243, "Unknown prepared statement handler"));
    CHECK(asked_for(lab, execute(2, true)) == prepare("SELECT 'a' FROM t WHERE a=?"));
}

TEST_CASE("mysql statements: one of a system schema is the primary's, wherever the session is now") {
    Lab lab;
    go_to(lab, "performance_schema");
    prepare_on(lab, "SELECT a FROM threads WHERE a=?", 1);
    go_to(lab, "shop");
    prepare_on(lab, "SELECT a FROM t WHERE a=?", 2);
    const auto destination = [&](uint32_t id) {
        ByteBuffer out;
        lab.conversation->cut(as_bytes(execute(id, true)), false, out);
        return lab.conversation->facts().destination;
    };
    CHECK(destination(1) == sql::Destination::primary);
    CHECK(destination(2) == sql::Destination::replica);
}
