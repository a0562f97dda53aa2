#include "protocol/base/ip_address.h"

#include <doctest/doctest.h>

using namespace holdfast;

namespace {

std::string again(std::string_view text) {
    const auto address = parse_ip(text);
    return address ? to_text(*address) : "none";
}

}  // namespace

TEST_CASE("ip address: reads both families, and writes the short form") {
    CHECK(again("10.0.0.7") == "10.0.0.7");
    CHECK(again("255.255.255.255") == "255.255.255.255");
    CHECK(again("::") == "::");
    CHECK(again("::1") == "::1");
    CHECK(again("1::") == "1::");
    CHECK(again("2001:DB8:0:0:1:0:0:1") == "2001:db8::1:0:0:1");
    CHECK(again("1:0:2:0:0:3:0:4") == "1:0:2::3:0:4");
    CHECK(again("1:0:2:3:4:5:6:7") == "1:0:2:3:4:5:6:7");
    CHECK(again("::ffff:10.0.0.7") == "::ffff:10.0.0.7");
    CHECK(again("64:ff9b::10.0.0.7") == "64:ff9b::a00:7");
    CHECK(again("1:2:3:4:5:6:10.0.0.7") == "1:2:3:4:5:6:a00:7");
}

TEST_CASE("ip address: refuses what only looks like one") {
    for (const char* text : {"",
                             "1",
                             "1.2.3",
                             "1.2.3.4.5",
                             "1.2.3.256",
                             "01.2.3.4",
                             "1.2.3.04",
                             "1.2.3.",
                             ".1.2.3",
                             "1.2.3.-4",
                             "1.2.3.+4",
                             " 1.2.3.4",
                             "1.2.3.4 ",
                             ":",
                             ":::",
                             "1:",
                             ":1",
                             "1:2:3:4:5:6:7",
                             "1:2:3:4:5:6:7:8:9",
                             "1:2:3:4:5:6:7:8::",
                             "1::2::3",
                             "12345::",
                             "g::",
                             "::1.2.3",
                             "1.2.3.4::",
                             "::1.2.3.4:5",
                             "1:::2",
                             "fe80::1%lo",
                             "[::1]",
                             "::-1",
                             "::+1",
                             "1:2:3:4:5:6:7:1.2.3.4"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_ip(text));
    }
}

TEST_CASE("ip address: IPv4 and its IPv6 disguise") {
    IpAddress address = *parse_ip("10.0.0.7");
    address.port = 5;
    CHECK(to_text(mapped(address)) == "::ffff:10.0.0.7");
    CHECK(unmapped(mapped(address)) == address);
    CHECK(unmapped(*parse_ip("::1")) == *parse_ip("::1"));
}
