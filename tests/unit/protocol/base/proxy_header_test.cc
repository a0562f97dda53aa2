#include "protocol/base/proxy_header.h"

#include <doctest/doctest.h>

#include "protocol/base/limits.h"

using namespace holdfast;

namespace {

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};

IpAddress at(std::string_view ip, uint16_t port) {
    IpAddress address = *parse_ip(ip);
    address.port = port;
    return address;
}

std::string v2(uint8_t command, uint8_t family, std::string_view body) {
    std::string out{signature};
    out += static_cast<char>(command);
    out += static_cast<char>(family);
    out += static_cast<char>(body.size() >> 8);
    out += static_cast<char>(body.size() & 0xff);
    out += body;
    return out;
}

/// Every cut of it asks for more; then it is read, with bytes behind it left alone.
ProxyHeader whole(const std::string& text) {
    for (size_t size = 0; size < text.size(); ++size) {
        const auto part = take_proxy_header(as_bytes(std::string_view(text).substr(0, size)));
        CAPTURE(size);
        REQUIRE(part);
        CHECK_FALSE(*part);
        CHECK(begins_proxy_header(as_bytes(std::string_view(text).substr(0, size))));
    }
    const std::string more = text + "PROXY";
    const auto header = take_proxy_header(as_bytes(more));
    REQUIRE(header);
    REQUIRE(*header);
    CHECK((*header)->bytes == text.size());
    return **header;
}

bool is_refused(const std::string& text) {
    return !take_proxy_header(as_bytes(text)).ok();
}

}  // namespace

TEST_CASE("PROXY protocol: version 1") {
    ProxyHeader header = whole("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    CHECK(header.source == at("192.168.0.1", 56'324));
    CHECK(header.destination == at("192.168.0.11", 443));
    header = whole("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n");
    CHECK(header.source == at("2001:db8::1", 65'535));
    header = whole("PROXY TCP6 ::ffff:10.0.0.7 ::1 1 2\r\n");
    CHECK(header.source == at("10.0.0.7", 1));
    CHECK(whole("PROXY UNKNOWN\r\n").source.empty());
    CHECK(whole("PROXY UNKNOWN ffff:f...f:ffff what ever 65535\r\n").source.empty());
}

TEST_CASE("PROXY protocol: version 1 that is not well formed") {
    for (const char* text : {"GET / HTTP/1.1\r\n", "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
                             "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
                             "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n",
                             "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 ::1 ::1 1 1\r\n",
                             "PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n", "PROXY TCP4 1.1.1.1 ::1 1 1\r\n",
                             "PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n", "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n",
                             "PROXY TCP4 1.1.1.1 1.1.1.1 -1 1\r\n", "PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n",
                             "PROXY \r\n", "PROXY\r\n", "PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n", "PROXY \n"}) {
        CAPTURE(text);
        CHECK(is_refused(text));
    }
    CHECK(is_refused("PROXY UNKNOWN " + std::string(200, 'x')));
    CHECK(is_refused("PROXY UNKNOWN " + std::string(200, 'x') + "\r\n"));
    CHECK_FALSE(begins_proxy_header(as_bytes(std::string_view("\0\0\0\x08", 4))));
    CHECK_FALSE(begins_proxy_header(as_bytes(std::string_view("PROXX"))));
}

TEST_CASE("PROXY protocol: version 2") {
    ByteBuffer out;
    append_proxy_header_v2(at("192.168.0.1", 56'324), at("192.168.0.11", 443), out);
    const std::string inet{"\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb", 12};
    CHECK(as_text(out) == v2(0x21, 0x11, inet));
    ProxyHeader header = whole(std::string(as_text(out)));
    CHECK(header.source == at("192.168.0.1", 56'324));
    CHECK(header.destination == at("192.168.0.11", 443));
    // What balancers add is skipped.
    header = whole(v2(0x21, 0x11, inet + std::string("\x03\x00\x04\0\0\0\0", 7)));
    CHECK(header.source == at("192.168.0.1", 56'324));
    CHECK(whole(v2(0x20, 0x11, inet)).source.empty());  // LOCAL: nobody's address counts
    CHECK(whole(v2(0x20, 0, "")).source.empty());
    CHECK(whole(v2(0x21, 0, "some")).source.empty());
    CHECK(whole(v2(0x21, 0x31, std::string(216, '\0'))).source.empty());
}

TEST_CASE("PROXY protocol: version 2 that is not well formed") {
    CHECK(is_refused(v2(0x11, 0x11, std::string(12, 'x'))));
    CHECK(is_refused(v2(0x22, 0x11, std::string(12, 'x'))));
    CHECK(is_refused(v2(0x21, 0x11, std::string(11, 'x'))));
    CHECK(is_refused(v2(0x21, 0x21, std::string(35, 'x'))));
    CHECK(is_refused(v2(0x21, 0x12, std::string(12, 'x'))));
    CHECK(is_refused(v2(0x21, 0x10, std::string(12, 'x'))));
    CHECK(is_refused(v2(0x21, 0x01, std::string(12, 'x'))));
    CHECK(is_refused(v2(0x21, 0x41, std::string(12, 'x'))));
    CHECK(is_refused(v2(0x21, 0x31, std::string(100, 'x'))));
    CHECK(is_refused(v2(0x21, 0x11, std::string(limits::proxy_header_bytes_max, 'x'))));
    // Said by the head alone: nothing is collected for it.
    CHECK(is_refused(v2(0x21, 0x11, std::string(65'000, 'x')).substr(0, 16)));
    CHECK(is_refused("\r\n\r\nQUIT\n"));
}

TEST_CASE("PROXY protocol: what is written can be read") {
    for (const auto append_header : {append_proxy_header_v1, append_proxy_header_v2}) {
        ByteBuffer out;
        append_header(at("2001:db8::1", 1), at("10.0.0.7", 2), out);  // of two families
        ProxyHeader header = whole(std::string(as_text(out)));
        CHECK(header.source == at("2001:db8::1", 1));
        CHECK(header.destination == at("10.0.0.7", 2));
        out.clear();
        append_header(at("10.0.0.7", 1), {}, out);
        header = whole(std::string(as_text(out)));
        CHECK(header.source == at("10.0.0.7", 1));
        CHECK(header.destination == at("0.0.0.0", 0));
        out.clear();
        append_header({}, {}, out);
        CHECK(whole(std::string(as_text(out))).source.empty());
    }
}
