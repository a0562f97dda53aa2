#include <doctest/doctest.h>

#include "conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::ScanEvent;

namespace {

const std::string status_mariadb = query("SHOW SESSION STATUS LIKE 'Com_create_temporary_table'");
const std::string status_mysql = query("SHOW SESSION STATUS LIKE 'Com_create_table'");
const std::string variables = query(
    "SELECT VARIABLE_NAME, HEX(VARIABLE_VALUE), VARIABLE_TYPE, CHARACTER_SET_NAME FROM "
    "information_schema.USER_VARIABLES");

/// A row of the server's status, as SHOW STATUS shows it.
std::string status_row(std::string_view count) {
    ByteBuffer row;
    PacketWriter(row, 4).lenenc_text("Com_create_temporary_table").lenenc_text(count).finish();
    return packet(1, "\x02") + column(2) + column(3) + std::string(as_text(row)) +
           ok_packet(5, status::autocommit, reply::eof);
}

}  // namespace

TEST_CASE("mysql examining: a procedure pins until it is known to have made no temporary table") {
    Lab lab;
    lab.send(query("CALL p()"));
    lab.receive(ok_packet(1));
    CHECK(lab.conversation->pins().reads());
    CHECK(lab.conversation->pins().describe() == "user variables, what a procedure may have left behind");
    REQUIRE(lab.synchronise(Slot::a) == status_mariadb + variables);
    SUBCASE("none was ever made") {
        lab.receive(status_row("0"));
        CHECK(lab.conversation->pins().reads());
        lab.receive(result({}));
        CHECK(lab.event == ScanEvent::sync_done);
        CHECK_FALSE(lab.conversation->pins().any());
        CHECK_FALSE(lab.conversation->has_unread_state());
    }
    SUBCASE("one was") {
        lab.receive(status_row("1") + result({}));
        CHECK(lab.conversation->pins().describe() == "temporary tables");
        CHECK_FALSE(lab.conversation->has_unread_state());
    }
    SUBCASE("nobody can tell") {
        lab.receive(err_packet(1, 1142, "denied") + result({}));
        CHECK(lab.event == ScanEvent::sync_done);
        CHECK(lab.conversation->pins().describe() == "what a procedure may have left behind");
        CHECK_FALSE(lab.conversation->has_unread_state());
    }
    SUBCASE("the answer says nothing of it") {
        lab.receive(result({}) + result({}));
        CHECK(lab.conversation->pins().describe() == "what a procedure may have left behind");
        CHECK_FALSE(lab.conversation->has_unread_state());
    }
}

TEST_CASE("mysql examining: a procedure that ends with an error is examined, too") {
    Lab lab;
    lab.send(query("CALL p()"));
    lab.receive(err_packet(1, 1644, "raised"));
    CHECK(lab.conversation->pins().describe() == "user variables, what a procedure may have left behind");
    CHECK(lab.synchronise(Slot::a) == status_mariadb + variables);
}

TEST_CASE("mysql examining: MySQL counts temporary tables among the others, and shows no variables") {
    Lab lab;
    Surroundings around;
    around.client_capabilities = modern_client;
    around.is_mariadb = false;
    around.server_version = 80'036;
    lab.conversation = std::make_unique<Conversation>(lab.identity, lab.cache, lab.scratch, around);
    lab.conversation->slot_opened(Slot::a, false);
    lab.send(query("CALL p()"));
    lab.receive(ok_packet(1));
    CHECK(lab.conversation->pins().describe() == "what a procedure may have left behind");
    REQUIRE(lab.synchronise(Slot::a) == status_mysql);
    lab.receive(status_row("0"));
    CHECK_FALSE(lab.conversation->pins().any());
}

TEST_CASE("mysql examining: not while a transaction is under way, and not on a replica") {
    Lab lab;
    lab.send(query("BEGIN"));
    lab.receive(ok_packet(1, status::autocommit | status::in_transaction));
    lab.send(query("CALL p()"));
    lab.receive(ok_packet(1, status::autocommit | status::in_transaction));
    CHECK(lab.synchronise(Slot::a).empty());
    CHECK(lab.conversation->pins().reads());
    lab.send(query("COMMIT"));
    lab.receive(ok_packet(1));
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::b).find("SHOW SESSION STATUS") == std::string::npos);
    lab.receive(ok_packet(1), Slot::b);
    CHECK(lab.conversation->pins().reads());
    CHECK(lab.synchronise(Slot::a) == status_mariadb + variables);
}

TEST_CASE("mysql examining: warnings are the client's to ask for, before anything else is asked") {
    for (const bool is_error : {false, true}) {
        CAPTURE(is_error);
        Lab lab;
        ByteBuffer warned;
        OkPacket ok;
        ok.status = status::autocommit;
        ok.warnings = 1;
        append_ok(warned, 1, ok, capability::protocol_41 | capability::session_track, reply::ok);
        lab.send(query("CALL p()"));
        lab.receive(is_error ? err_packet(1, 1644, "raised") : std::string(as_text(warned)));
        CHECK(lab.conversation->pins().reads());
        CHECK_FALSE(lab.conversation->has_unread_state());
        ByteBuffer out;
        lab.conversation->cut(as_bytes(query("SHOW WARNINGS")), false, out);
        CHECK(lab.synchronise(Slot::a).empty());
        lab.conversation->cut(as_bytes(query("INSERT INTO t VALUES (1)")), false, out);
        CHECK(lab.synchronise(Slot::a) == status_mariadb + variables);
    }
}

TEST_CASE("mysql examining: a change that a procedure's CALL does not explain still pins") {
    Lab lab;
    ByteBuffer block;
    append_session_state(block, SessionState::state_change, "1");
    lab.send(query("CALL p()"));
    lab.receive(ok_packet(1, status::autocommit, reply::ok, block));
    lab.synchronise(Slot::a);
    lab.receive(status_row("0") + result({}));
    CHECK(lab.conversation->pins().describe() == "settings that could not be recorded");
}
