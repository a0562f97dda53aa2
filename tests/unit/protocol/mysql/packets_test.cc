#include "protocol/mysql/packets.h"

#include <string>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::mysql;

namespace {

std::string text_of(Bytes bytes) {
    return std::string(as_text(bytes));
}
template <size_t n>
std::string raw(const char (&text)[n]) {
    return std::string(text, n - 1);
}

}  // namespace

TEST_CASE("packets: take_packet finds whole packets only, and refuses by the header") {
    const std::string two = raw("\3\0\0\7abc\0\0\0\10");
    for (size_t cut = 0; cut < 7; ++cut) {
        const auto none = take_packet(as_bytes(two).first(cut), 10);
        REQUIRE(none);
        CHECK_FALSE(none->has_value());
    }
    const auto first = take_packet(as_bytes(two), 10);
    REQUIRE(first);
    REQUIRE(first->has_value());
    CHECK((*first)->sequence == 7);
    CHECK(text_of((*first)->payload) == "abc");
    CHECK((*first)->total_bytes() == 7);
    CHECK((*first)->type() == 'a');
    const auto second = take_packet(as_bytes(two).subspan(7), 10);
    REQUIRE(second);
    CHECK((*second)->type() == 0x100);
    CHECK(take_packet(as_bytes(two).first(4), 2).error().code == ErrorCode::limit_exceeded);
}

TEST_CASE("packets: a payload of exactly 0xffffff bytes has an empty packet behind it") {
    for (const size_t size : {size_t{0xfffffe}, size_t{0xffffff}, size_t{0x1000000}}) {
        CAPTURE(size);
        const ByteBuffer payload(size, std::byte{'x'});
        ByteBuffer out, written;
        const uint8_t next = append_packet(out, 255, payload);
        const size_t packets = size >= packet_payload_bytes_max ? 2 : 1;
        CHECK(next == static_cast<uint8_t>(255 + packets));
        CHECK(out.size() == size + packets * packet_header_bytes);
        CHECK(PacketWriter(written, 255).bytes(payload).finish() == next);
        CHECK(written == out);

        const auto first = peek_packet_header(out);
        REQUIRE(first);
        CHECK(first->sequence == 255);
        CHECK(first->continues() == (packets == 2));
        if (packets == 2) {
            const auto second = peek_packet_header(Bytes(out).subspan(first->total_bytes()));
            REQUIRE(second);
            CHECK(second->sequence == 0);
            CHECK(second->payload_bytes == size - packet_payload_bytes_max);
            CHECK_FALSE(second->continues());
        }
    }
}

TEST_CASE("packet reader: length-encoded integers and strings, as written") {
    for (const uint64_t value :
         {0ull, 250ull, 251ull, 0xffffull, 0x10000ull, 0xffffffull, 0x1000000ull, ~0ull}) {
        CAPTURE(value);
        ByteBuffer out;
        append_lenenc(out, value);
        CHECK(out.size() == lenenc_bytes_of(value));
        PacketReader reader(out);
        CHECK(reader.lenenc() == value);
        CHECK(reader.at_end());
        CHECK_FALSE(reader.failed());
        PacketReader cut(Bytes(out).first(out.size() - 1));
        cut.lenenc();
        CHECK(cut.failed());
    }
    for (const std::string& bad :
         {raw("\xfb"), raw("\xff"), raw("\5abcd"), raw("\xfe\xff\xff\xff\xff\xff\xff\xff\xff")}) {
        PacketReader reader(as_bytes(bad));
        CHECK(reader.lenenc_text().empty());
        CHECK(reader.failed());
        CHECK(reader.u32() == 0);
    }
    const std::string mixed =
        raw("\1\2\3\4\5\6\7\10\11\12"
            "user\0\xfb\2hi");
    PacketReader reader(as_bytes(mixed));
    CHECK(reader.u8() == 1);
    CHECK(reader.u16() == 0x0302);
    CHECK(reader.u24() == 0x060504);
    CHECK(reader.u32() == 0x0a090807);
    CHECK(reader.text() == "user");
    CHECK(reader.take_null());
    CHECK_FALSE(reader.take_null());
    CHECK(reader.lenenc_text() == "hi");
    CHECK_FALSE(reader.failed());
    CHECK(reader.text().empty());
    CHECK(reader.failed());
}

TEST_CASE("OK: what a server sends, with and without session state") {
    const std::string plain = raw("\0\1\2\2\0\3\0");
    auto ok = parse_ok(as_bytes(plain), capability::session_track);
    REQUIRE(ok);
    CHECK(ok->affected_rows == 1);
    CHECK(ok->insert_id == 2);
    CHECK(ok->status == status::autocommit);
    CHECK(ok->warnings == 3);
    CHECK(ok->info.empty());

    const std::string tracked = raw("\xfe\0\0\2\x40\0\0\2hi\5\1\3\2db");
    ok = parse_ok(as_bytes(tracked), capability::session_track);
    REQUIRE(ok);
    CHECK(ok->info == "hi");
    CHECK(text_of(ok->session_state) == raw("\1\3\2db"));
    CHECK(parse_ok(as_bytes(tracked), 0).error().code == ErrorCode::bad_length);
    for (size_t cut = 0; cut < tracked.size(); ++cut) {
        CAPTURE(cut);
        CHECK_FALSE(parse_ok(as_bytes(tracked).first(cut), capability::session_track));
    }
    CHECK(parse_ok(as_bytes("\1"), 0).error().code == ErrorCode::bad_value);

    ByteBuffer out;
    CHECK(append_ok(out, 3, *ok, capability::session_track, reply::eof) == 4);
    CHECK(text_of(out) == raw("\x10\0\0\3") + tracked);
    out.clear();
    append_ok(out, 3, *ok, 0, reply::ok);
    CHECK(text_of(out) == raw("\x0a\0\0\3\0\0\0\2\0\0\0\2hi"));
}

TEST_CASE("ERR: with and without an SQLSTATE, and progress reports") {
    const std::string usual = raw("\xff\x15\x04#28000Access denied");
    auto err = parse_err(as_bytes(usual));
    REQUIRE(err);
    CHECK(err->number == 1045);
    CHECK(err->sqlstate == "28000");
    CHECK(err->message == "Access denied");
    const std::string early = raw("\xff\x10\x04Too many connections");
    err = parse_err(as_bytes(early));
    REQUIRE(err);
    CHECK(err->number == 1040);
    CHECK(err->sqlstate.empty());
    CHECK(err->message == "Too many connections");
    CHECK_FALSE(parse_err(as_bytes(raw("\xff\x15"))));
    CHECK_FALSE(parse_err(as_bytes(raw("\xff\x15\x04#280"))));
    const std::string progress = raw("\xff\xff\xff\1\1\2\0\0\0\0");
    CHECK(is_progress_report(as_bytes(progress)));
    CHECK_FALSE(is_progress_report(as_bytes(early)));
    ByteBuffer out;
    CHECK(append_err(out, 2, 1045, "28000", "no") == 3);
    CHECK(text_of(out) == raw("\x0b\0\0\2\xff\x15\x04#28000no"));
}

TEST_CASE("EOF: told from rows by its length") {
    CHECK(is_eof(as_bytes(raw("\xfe\1\0\2\0"))));
    CHECK_FALSE(is_eof(as_bytes(raw("\xfe\1\0\2\0\0\0\0\0"))));
    CHECK(is_ok_of_rows(0xfe, 9));
    CHECK_FALSE(is_ok_of_rows(0xfe, packet_payload_bytes_max));
    const auto eof = parse_eof(as_bytes(raw("\xfe\1\0\2\0")));
    REQUIRE(eof);
    CHECK(eof->warnings == 1);
    CHECK(eof->status == 2);
    CHECK_FALSE(parse_eof(as_bytes(raw("\xfe\1\0\2"))));
    ByteBuffer out;
    append_eof(out, 5, *eof);
    CHECK(text_of(out) == raw("\5\0\0\5\xfe\1\0\2\0"));
}

TEST_CASE("session state: all kinds, several variables in one entry, and nonsense") {
    ByteBuffer block;
    append_system_variable(block, "autocommit", "OFF");
    append_session_state(block, SessionState::schema, "shop");
    append_session_state(block, SessionState::state_change, "1");
    append_session_state(block, SessionState::gtids, "0-1-7");
    append_session_state(block, SessionState::transaction_state, "T_______");
    append(block, raw("\0\10\1a\1b\1c\1d\x63\2zz"));
    SessionStateReader reader(block);
    std::string seen;
    size_t whole = 0;
    while (const auto entry = reader.next()) {
        seen += std::to_string(entry->type) + ":" + std::string(entry->name) + "=" +
                std::string(entry->value) + " ";
        whole += entry->whole.size();
    }
    CHECK_FALSE(reader.failed());
    CHECK(seen == "0:autocommit=OFF 1:=shop 2:=1 3:=0-1-7 5:=T_______ 0:a=b 0:c=d 99:=zz ");
    CHECK(whole == block.size());
    CHECK(text_of(block).substr(0, 17) == raw("\0\x0f\x0a"
                                              "autocommit\3OFF"));

    for (size_t cut = 1; cut < 17; ++cut) {
        SessionStateReader broken(Bytes(block).first(cut));
        CHECK_FALSE(broken.next());
        CHECK(broken.failed());
    }
}
