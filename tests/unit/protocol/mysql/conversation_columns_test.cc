// Results whose columns are not those that their client was told before.
#include <doctest/doctest.h>

#include "tests/unit/protocol/mysql/conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::ScanEvent;
using dialect::Slot;

namespace {

std::string column_of(uint8_t sequence, uint8_t type, uint16_t flags = 0, uint16_t charset = 45) {
    ByteBuffer out;
    PacketWriter writer(out, sequence);
    for (const char* text : {"def", "shop", "t", "t", "a", "a"}) writer.lenenc_text(text);
    writer.lenenc(0x0c).u16(charset).u32(20).u8(type).u16(flags).u8(0).u16(0);
    writer.finish();
    return std::string(as_text(out));
}

/// A read in flight on the replica, of whose answer this much came; it runs again on the primary.
struct RerunLab : Lab {
    explicit RerunLab(std::string_view came) {
        const std::string sql = query("SELECT a, b FROM t");
        send(sql, Slot::b);
        receive(came, Slot::b);
        conversation->slot_lost(Slot::b);
        REQUIRE(conversation->rerunnable());
        ByteBuffer prefix;
        conversation->rerun_unit(Slot::a, as_bytes(sql), prefix);
    }
};

const std::string two_columns = packet(1, "\x02") + column_of(2, 3) + column_of(3, 253);

}  // namespace

TEST_CASE("mysql columns: a read that runs again goes on behind the heads that its client has") {
    RerunLab lab(packet(1, "\x02") + column_of(2, 3));
    CHECK(lab.receive(two_columns +
                      packet(4,
                             "\x01"
                             "1\x01"
                             "2") +
                      ok_packet(5, status::autocommit, reply::eof)) ==
          column_of(3, 253) +
              packet(4,
                     "\x01"
                     "1\x01"
                     "2") +
              ok_packet(5, status::autocommit, reply::eof));
    CHECK(lab.event == ScanEvent::unit_done);
}

TEST_CASE("mysql columns: a read that runs again with other columns is broken off") {
    std::string again;
    SUBCASE("fewer") {
        again = packet(1, "\x01") + column_of(2, 3);
    }
    SUBCASE("more") {
        again = packet(1, "\x03") + column_of(2, 3) + column_of(3, 253) + column_of(4, 3);
    }
    SUBCASE("of another type") {
        again = packet(1, "\x02") + column_of(2, 8) + column_of(3, 253);
    }
    SUBCASE("without a sign") {
        again = packet(1, "\x02") + column_of(2, 3, 32) + column_of(3, 253);
    }
    SUBCASE("binary ones") {
        again = packet(1, "\x02") + column_of(2, 3) + column_of(3, 253, 0, 63);
    }
    RerunLab lab(two_columns);
    CHECK(lab.receive(again).empty());
    CHECK(lab.event == ScanEvent::dying);
    CHECK(lab.conversation->detail().find("other columns") != std::string::npos);
    CHECK_FALSE(lab.conversation->rerunnable());
    CHECK_FALSE(lab.conversation->may_have_committed());
}

namespace {

/// A prepared statement of one column, as the server's answer has it.
std::string prepared_column(uint32_t id, uint8_t type) {
    return packet(1, std::string(1, '\0') + id_bytes(id) + std::string("\x01\0\0\0\0\0\0", 7)) +
           column_of(2, type);
}
std::string run(uint32_t id) {
    return command_of(command::stmt_execute, id_bytes(id) + std::string(1, '\0') + id_bytes(1));
}
std::string rows_without_columns() {
    return packet(1, std::string("\x01\0", 2)) + packet(2, std::string("\0\0\x01\0\0\0", 6)) +
           ok_packet(3, status::autocommit, reply::eof);
}

}  // namespace

TEST_CASE("mysql columns: those that are not sent again are the ones that the client knows") {
    constexpr uint64_t caching = modern_client | capability::cache_metadata;
    Lab lab(caching);
    for (const Slot slot : {Slot::a, Slot::b})
        lab.conversation->slot_parameters(slot, {{"capabilities", std::to_string(caching)}});
    lab.send(command_of(command::stmt_prepare, "SELECT a FROM t"));
    lab.receive(prepared_column(1, 3));
    lab.send(run(1));
    CHECK(lab.receive(rows_without_columns()) == rows_without_columns());
    // Another connection prepares it anew.
    ByteBuffer out;
    lab.conversation->cut(as_bytes(run(1)), false, out);
    lab.synchronise(Slot::b);
    SUBCASE("the same") {
        lab.receive(ok_packet(1), Slot::b);
        lab.receive(prepared_column(9, 3), Slot::b);
        REQUIRE(lab.event == ScanEvent::sync_done);
        lab.send(run(1), Slot::b);
        CHECK(lab.receive(rows_without_columns(), Slot::b) == rows_without_columns());
    }
    SUBCASE("others") {
        lab.receive(ok_packet(1), Slot::b);
        lab.receive(prepared_column(9, 8), Slot::b);
        REQUIRE(lab.event == ScanEvent::sync_done);
        lab.send(run(1), Slot::b);
        CHECK(lab.receive(rows_without_columns(), Slot::b).empty());
        CHECK(lab.event == ScanEvent::dying);
    }
    SUBCASE("others, and the server tells") {
        lab.receive(ok_packet(1), Slot::b);
        lab.receive(prepared_column(9, 8), Slot::b);
        lab.send(run(1), Slot::b);
        const std::string told = packet(1, std::string("\x01\x01", 2)) + column_of(2, 8) +
                                 packet(3, std::string(10, '\0')) +
                                 ok_packet(4, status::autocommit, reply::eof);
        CHECK(lab.receive(told, Slot::b) == told);
        lab.send(run(1), Slot::b);
        CHECK(lab.receive(rows_without_columns(), Slot::b) == rows_without_columns());
    }
}
