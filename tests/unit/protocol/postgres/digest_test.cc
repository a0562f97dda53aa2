#include "protocol/postgres/digest.h"

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::postgres;

TEST_CASE("base64: the vectors of RFC 4648, both ways") {
    const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                     {"f", "Zg=="},
                                                                     {"fo", "Zm8="},
                                                                     {"foo", "Zm9v"},
                                                                     {"foob", "Zm9vYg=="},
                                                                     {"fooba", "Zm9vYmE="},
                                                                     {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : vectors) {
        CHECK(base64_encode(as_bytes(plain)) == encoded);
        const auto decoded = base64_decode(encoded);
        REQUIRE(decoded);
        CHECK(as_text(*decoded) == plain);
    }
    const std::byte high[] = {std::byte{0xfb}, std::byte{0xff}, std::byte{0xfe}};
    CHECK(base64_encode(high) == "+//+");
    CHECK(*base64_decode("+//+") == ByteBuffer(std::begin(high), std::end(high)));
}

TEST_CASE("base64: refuses what no encoder writes") {
    for (const std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zm9v\n", "Zm 9",
                                        "Zh==", "Zm9=", "=g==", "Zg==Zg==", "Zm-v", "Zm_v"}) {
        CAPTURE(text);
        CHECK_FALSE(base64_decode(text));
    }
}

TEST_CASE("digests: published vectors") {
    // FIPS 180-2, "abc".
    CHECK(base64_encode(sha256(as_bytes("abc"))) == "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    // RFC 4231, test case 2.
    CHECK(base64_encode(hmac_sha256(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))) ==
          "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    // RFC 1321.
    CHECK(md5_hex(as_bytes("message digest")) == "f96b697d7cb7938d525a2f31aaf161d0");
    // RFC 7914, section 11, the first 32 bytes.
    CHECK(base64_encode(pbkdf2_sha256("passwd", as_bytes("salt"), 1)) ==
          "VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLw=");
}

TEST_CASE("digests: an empty key or empty data is no special case") {
    // HMAC-SHA-256 of nothing under no key: b613679a…
    CHECK(base64_encode(hmac_sha256({}, {})) == "thNnmggU2ex3L5XXeMNfxf8Wl8STcVZTxscSFEKSxa0=");
    CHECK(equal_in_constant_time({}, {}));
    CHECK_FALSE(equal_in_constant_time(as_bytes("a"), {}));
    CHECK_FALSE(equal_in_constant_time(as_bytes("a"), as_bytes("b")));
}
