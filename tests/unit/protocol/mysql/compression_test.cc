#include "protocol/mysql/compression.h"

#include <string>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::mysql;

TEST_CASE("compression: what is encoded is decoded, at every cut") {
    for (const Compression algorithm : {Compression::zlib, Compression::zstd}) {
        FrameEncoder encoder(algorithm);
        ByteBuffer frames;
        std::string plain = "short";
        encoder.encode(as_bytes(plain), frames);
        CHECK(std::string(as_text(frames)) == std::string("\5\0\0\0\0\0\0short", 12));
        plain += std::string(1'000, 'x');
        encoder.encode(as_bytes(plain).subspan(5), frames);
        CHECK(frames.size() < 100);
        CHECK(encoder.sequence() == 2);
        for (size_t cut = 0; cut <= frames.size(); ++cut) {
            FrameDecoder decoder(algorithm);
            ByteBuffer decoded;
            const auto first = decoder.feed(Bytes(frames).first(cut), decoded);
            REQUIRE(first);
            const auto second = decoder.feed(Bytes(frames).subspan(*first), decoded);
            REQUIRE(second);
            CHECK(*first + *second == frames.size());
            CHECK(as_text(decoded) == plain);
            CHECK(decoder.next_sequence() == 2);
        }
    }
}

TEST_CASE("compression: what does not shrink is stored, what is long is split") {
    std::string noise;
    uint32_t state = 12'345;
    for (int i = 0; i < 1'000; ++i) {
        state = state * 1'664'525 + 1'013'904'223;
        noise.push_back(static_cast<char>(state >> 24));
    }
    FrameEncoder encoder(Compression::zlib);
    ByteBuffer frames;
    encoder.encode(as_bytes(noise), frames);
    CHECK(frames.size() == 1'007);
    frames.clear();
    encoder.follow(255);
    encoder.encode(ByteBuffer(frame_bytes_max + 10), frames);
    CHECK(encoder.sequence() == 1);
    FrameDecoder decoder(Compression::zlib);
    ByteBuffer decoded;
    frames[3] = std::byte{0};  // the first of a command
    size_t at = 0;
    const auto one = decoder.feed(frames, decoded);
    REQUIRE(one);
    at = *one;
    CHECK(at < frames.size());  // not more than about 1 MiB and one frame at once
    const auto two = decoder.feed(Bytes(frames).subspan(at), decoded);
    REQUIRE(two);
    CHECK(at + *two == frames.size());
    CHECK(decoded.size() == frame_bytes_max + 10);
}

TEST_CASE("compression: liars") {
    const std::string body(60, 'x');
    for (const Compression algorithm : {Compression::zlib, Compression::zstd}) {
        ByteBuffer frame;
        FrameEncoder(algorithm).encode(as_bytes(body), frame);
        const auto refused = [algorithm](const ByteBuffer& bytes) {
            FrameDecoder decoder(algorithm);
            ByteBuffer decoded;
            const bool is_refused = !decoder.feed(bytes, decoded).ok();
            CHECK(decoded.empty());
            return is_refused;
        };
        for (const int wrong : {59, 61, 200}) {
            ByteBuffer changed = frame;
            changed[4] = std::byte{static_cast<uint8_t>(wrong)};
            CHECK(refused(changed));
        }
        ByteBuffer huge = frame;
        huge[4] = huge[5] = huge[6] = std::byte{0xff};
        CHECK(refused(huge));
        ByteBuffer garbage = frame;
        garbage[7] ^= std::byte{0xff};
        CHECK(refused(garbage));
        ByteBuffer late = frame;
        late[3] = std::byte{3};
        CHECK(refused(late));
    }
}
