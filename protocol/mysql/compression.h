#pragma once

#include <cstdint>
#include <span>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/mysql/client_login.h"

/// The compressed protocol: packets, in a stream, cut into frames that may be compressed. Frames know nothing
/// of packets' boundaries. Their sequence ids run over both directions and begin anew with each command.
/// spec    MySQL Internals, "Compression"
namespace holdfast::mysql {

inline constexpr size_t frame_header_bytes = 7;
inline constexpr uint32_t frame_bytes_max = 0xffffff;
/// Shorter ones are stored: they would only grow.
inline constexpr size_t compressed_bytes_min = 50;

class FrameEncoder {
public:
    /// `level` counts for zstd; 0: its default.
    explicit FrameEncoder(Compression algorithm, int level = 0) : algorithm_(algorithm), level_(level) {}
    /// Appends `plain` as one frame or more; nothing for nothing.
    void encode(Bytes plain, ByteBuffer& frames);
    /// The next frame's id: that of the frame answered plus one.
    void follow(uint8_t sequence) { sequence_ = sequence; }
    uint8_t sequence() const { return sequence_; }

private:
    void encode_frame(Bytes plain, ByteBuffer& frames);
    Compression algorithm_;
    int level_;
    uint8_t sequence_ = 0;
};

class FrameDecoder {
public:
    explicit FrameDecoder(Compression algorithm) : algorithm_(algorithm) {}
    /// Appends what is in the whole frames at the front of `in`, up to about 1 MiB a call: while something is
    /// consumed there may be more.
    /// returns how many bytes of `in` were consumed; 0: more bytes please
    /// errors  bad_value: a frame out of order, or not compressed data; bad_length: it holds another number
    ///         of bytes than it says
    Result<size_t> feed(Bytes in, ByteBuffer& plain);
    /// The id behind the last frame: for the answer.
    uint8_t next_sequence() const { return sequence_; }
    /// The id behind the last frame sent: what a client sends in answer to it (a file, a proof) begins there.
    void answered(uint8_t sequence) { answered_ = sequence; }

private:
    Status decode_frame(Bytes body, uint32_t plain_bytes, ByteBuffer& plain);
    Compression algorithm_;
    uint8_t sequence_ = 0;
    uint8_t answered_ = 0;
};

/// Numbers the packets of a payload of 16 MiB and more as the uncompressed protocol wants them. In frames
/// nobody looks at those numbers, and libmariadb takes some of them from its count of frames.
class PacketRenumberer {
public:
    /// `plain` goes on where the last call's ended.
    void pass(std::span<std::byte> plain);

private:
    size_t header_bytes_ = 0;  // of the next header, seen so far
    uint32_t payload_bytes_ = 0;
    size_t payload_left_ = 0;
    bool continues_ = false;  // the next packet belongs to the payload of the last one
    uint8_t sequence_ = 0;
};

}  // namespace holdfast::mysql
