#include "proxy/admin/gzip.h"

#include <array>
#include <zlib.h>

#include <doctest/doctest.h>

using namespace holdfast::admin;

namespace {

std::string gunzip(std::string packed) {
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_in = static_cast<uInt>(packed.size());
    std::string out;
    std::array<char, 4096> part{};
    int result = Z_OK;
    while (result == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(part.data());
        stream.avail_out = part.size();
        result = inflate(&stream, Z_NO_FLUSH);
        out.append(part.data(), part.size() - stream.avail_out);
    }
    CHECK(result == Z_STREAM_END);
    inflateEnd(&stream);
    return out;
}

}  // namespace

TEST_CASE("gzip: gives back what went in, and repetition costs little") {
    std::string text;
    for (int i = 0; i < 10'000; ++i) text += "holdfast_server_up{cluster=\"shop\",server=\"pg1\"} 1\n";
    const std::string packed = gzip(text);
    CHECK(packed.size() < text.size() / 20);
    CHECK(gunzip(packed) == text);
    CHECK(gunzip(gzip("")).empty());
    CHECK(gunzip(gzip("x")) == "x");
}

TEST_CASE("gzip: only who asks for it by name gets it") {
    CHECK(accepts_gzip("gzip"));
    CHECK(accepts_gzip("deflate, gzip;q=0.5, br"));
    CHECK_FALSE(accepts_gzip(""));
    CHECK_FALSE(accepts_gzip("br"));
    CHECK_FALSE(accepts_gzip("gzip;q=0"));
    CHECK_FALSE(accepts_gzip("*"));
}
