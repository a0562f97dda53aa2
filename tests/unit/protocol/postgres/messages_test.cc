#include "protocol/postgres/messages.h"

#include <doctest/doctest.h>

#include "login_fixtures.h"

using namespace holdfast;
using namespace holdfast::postgres;
using test::raw;

namespace {

template <typename Build>
ByteBuffer built(const Build& build) {
    ByteBuffer out = raw("before");
    build(out);
    CHECK(test::text_of(Bytes(out).first(6)) == "before");
    return {out.begin() + 6, out.end()};
}

}  // namespace

TEST_CASE("messages: the bytes of what a server says") {
    CHECK(built([](ByteBuffer& out) { append_authentication_ok(out); }) == raw("R\0\0\0\x08\0\0\0\0"));
    CHECK(built([](ByteBuffer& out) {
              append_authentication(out, authentication::md5_password, as_bytes("salt"));
          }) == raw("R\0\0\0\x0c\0\0\0\x05salt"));
    CHECK(built([](ByteBuffer& out) { append_ready_for_query(out, 'E'); }) == raw("Z\0\0\0\x05"
                                                                                  "E"));
    CHECK(built([](ByteBuffer& out) { append_parameter_status(out, "a", "bc"); }) == raw("S\0\0\0\x09"
                                                                                         "a\0bc\0"));
    CHECK(built([](ByteBuffer& out) { append_command_complete(out, "SET"); }) == raw("C\0\0\0\x08SET\0"));
    CHECK(built([](ByteBuffer& out) { append_backend_key_data(out, as_bytes("pid.key.")); }) ==
          raw("K\0\0\0\x0cpid.key."));
    CHECK(built([](ByteBuffer& out) { append_message(out, backend::parse_complete); }) == raw("1\0\0\0\x04"));
    CHECK(built([](ByteBuffer& out) {
              append_negotiate_protocol_version(out, 2, {"_pq_.x", "_pq_.y"});
          }) == raw("v\0\0\0\x1a\0\x03\0\x02\0\0\0\x02_pq_.x\0_pq_.y\0"));
}

TEST_CASE("messages: the bytes of what a client says") {
    CHECK(built([](ByteBuffer& out) { append_query(out, "select 1"); }) == raw("Q\0\0\0\x0dselect 1\0"));
    CHECK(built([](ByteBuffer& out) { append_ssl_request(out); }) == raw("\0\0\0\x08\x04\xd2\x16\x2f"));
    CHECK(built([](ByteBuffer& out) { append_cancel_request(out, as_bytes("pid.key.")); }) ==
          raw("\0\0\0\x10\x04\xd2\x16\x2epid.key."));
    CHECK(built([](ByteBuffer& out) {
              append_startup(out, 2, "al", "db", {{"a", "b"}, {"", "lost"}});
          }) == raw("\0\0\0\x21\0\x03\0\x02user\0al\0database\0db\0"
                    "a\0b\0\0"));
    CHECK(built([](ByteBuffer& out) { append_startup(out, 0, "al", "", {}); }) ==
          raw("\0\0\0\x11\0\x03\0\0user\0al\0\0"));
    CHECK(built([](ByteBuffer& out) { append_password(out, "secret"); }) == raw("p\0\0\0\x0bsecret\0"));
    CHECK(built([](ByteBuffer& out) { append_sasl_initial_response(out, "M", "data"); }) ==
          raw("p\0\0\0\x0eM\0\0\0\0\x04"
              "data"));
    CHECK(built([](ByteBuffer& out) { append_sasl_response(out, "data"); }) == raw("p\0\0\0\x08"
                                                                                   "data"));
}

TEST_CASE("messages: an error, as bytes and back") {
    const auto error = built([](ByteBuffer& out) { append_error(out, "FATAL", "28P01", "no", "why", "do"); });
    CHECK(error == raw("E\0\0\0\x27SFATAL\0VFATAL\0C28P01\0Mno\0Dwhy\0Hdo\0\0"));
    const auto fields = parse_error_fields(Bytes(error).subspan(5));
    REQUIRE(fields);
    CHECK(fields->severity == "FATAL");
    CHECK(fields->sqlstate == "28P01");
    CHECK(fields->message == "no");
    CHECK(fields->detail == "why");
    CHECK(fields->hint == "do");
    CHECK(built([](ByteBuffer& out) { append_notice(out, "NOTICE", "00000", "hm"); }) ==
          raw("N\0\0\0\x20SNOTICE\0VNOTICE\0C00000\0Mhm\0\0"));
}

TEST_CASE("messages: a text with a NUL ends there, and the framing stays whole") {
    const auto error =
        built([](ByteBuffer& out) { append_error(out, "ERROR", "XX000", std::string_view("a\0b", 3)); });
    const auto fields = parse_error_fields(Bytes(error).subspan(5));
    REQUIRE(fields);
    CHECK(fields->message == "a");
}

TEST_CASE("messages: error fields of a server that leaves out, repeats or breaks off") {
    const auto bare = parse_error_fields(raw("Mgone\0\0"));
    REQUIRE(bare);
    CHECK(bare->sqlstate.empty());
    CHECK(bare->severity.empty());
    CHECK(bare->message == "gone");
    const auto nothing = parse_error_fields(raw("\0"));
    REQUIRE(nothing);
    CHECK(nothing->message.empty());
    const auto translated = parse_error_fields(raw("SFEHLER\0C1\0C2\0Fpostgres.c\0\0"));
    REQUIRE(translated);
    CHECK(translated->severity == "FEHLER");
    CHECK(translated->sqlstate == "2");
    CHECK_FALSE(parse_error_fields({}));
    CHECK_FALSE(parse_error_fields(raw("M")));
    CHECK_FALSE(parse_error_fields(raw("Mgone")));
    CHECK_FALSE(parse_error_fields(raw("Mgone\0")));
    CHECK_FALSE(parse_error_fields(raw("Mgone\0\0x")));
}

TEST_CASE("messages: parameter status is two texts and nothing else") {
    CHECK(*parse_parameter_status(raw("a\0\0")) == std::pair<std::string, std::string>{"a", ""});
    CHECK_FALSE(parse_parameter_status({}));
    CHECK_FALSE(parse_parameter_status(raw("a\0")));
    CHECK_FALSE(parse_parameter_status(raw("a\0b")));
    CHECK_FALSE(parse_parameter_status(raw("a\0b\0c")));
}

TEST_CASE("take_message: waits at every cut, then takes exactly one") {
    const ByteBuffer stream = raw("Z\0\0\0\x05INEXT");
    for (size_t size = 0; size < 6; ++size) {
        CAPTURE(size);
        const auto message = take_message(Bytes(stream).first(size), 100);
        REQUIRE(message);
        CHECK_FALSE(message->has_value());
    }
    const auto message = take_message(stream, 100);
    REQUIRE(message);
    REQUIRE(message->has_value());
    CHECK((*message)->type == 'Z');
    CHECK(as_text((*message)->body) == "I");
    CHECK((*message)->total_bytes() == 6);
}

TEST_CASE("take_message: refuses a length as soon as it is there") {
    for (const auto& header : {raw("Z\0\0\0\0"), raw("Z\0\0\0\x03")}) {
        CHECK(take_message(header, 100).error().code == ErrorCode::bad_length);
    }
    CHECK(take_message(raw("Z\0\0\0\x69"), 100).error().code == ErrorCode::limit_exceeded);
    CHECK(take_message(raw("Z\xff\xff\xff\xff"), 100).error().code == ErrorCode::limit_exceeded);
    CHECK(take_message(raw("Z\x80\0\0\0"), 100).error().code == ErrorCode::limit_exceeded);
    CHECK(take_message(raw("Z\0\0\0\x68"), 100).ok());
    CHECK((*take_message(raw("Z\0\0\0\x04"), 0))->body.empty());
}
