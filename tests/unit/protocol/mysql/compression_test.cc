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

TEST_CASE("compression: frames that answer frames, and commands that do not wait, are in order") {
    FrameEncoder client(Compression::zlib);
    FrameDecoder decoder(Compression::zlib);
    const auto feed = [&](uint8_t sequence) {
        client.follow(sequence);
        ByteBuffer frames, plain;
        client.encode(as_bytes("abc"), frames);
        return decoder.feed(frames, plain).ok();
    };
    CHECK(feed(0));
    CHECK(feed(1));
    decoder.answered(5);
    CHECK(feed(5));  // a file, say
    CHECK(feed(6));
    CHECK(feed(0));
    CHECK_FALSE(feed(9));
}

TEST_CASE("compression: packets of a long payload are numbered anew, wherever the stream is cut") {
    // A payload of two full packets and an empty one, then another command; the numbers are nonsense.
    const auto stream = [](std::array<uint8_t, 5> numbers) {
        ByteBuffer made;
        for (size_t i = 0; i < numbers.size(); ++i) {
            const uint32_t size = i < 2 ? packet_payload_bytes_max : i == 2 ? 0 : i == 3 ? 5 : 0;
            const size_t at = made.size();
            made.resize(at + packet_header_bytes + size, std::byte{'x'});
            store_packet_header(made.data() + at, size, numbers[i]);
        }
        return made;
    };
    const ByteBuffer right = stream({4, 5, 6, 0, 7});
    for (const size_t piece : {size_t{1} << 25, size_t{0xffffff}, size_t{0x10001}}) {
        ByteBuffer given = stream({4, 200, 7, 0, 7});
        PacketRenumberer renumberer;
        for (size_t at = 0; at < given.size(); at += piece) {
            renumberer.pass(std::span(given).subspan(at, std::min(piece, given.size() - at)));
        }
        CHECK(given == right);
    }
    ByteBuffer given = stream({4, 200, 7, 0, 7});
    PacketRenumberer renumberer;
    for (std::byte& each : given) renumberer.pass(std::span(&each, 1));
    CHECK(given == right);
}
