#include "protocol/mysql/compression.h"

#include <algorithm>
#include <cassert>
#include <zlib.h>
#include <zstd.h>

#include "protocol/base/limits.h"
#include "protocol/mysql/packets.h"

namespace holdfast::mysql {
namespace {

/// Deflate makes at most 1032 bytes of one: a frame that claims more is lying, and gets no memory.
constexpr size_t deflate_ratio_max = 1'032;

}  // namespace

void FrameEncoder::encode(Bytes plain, ByteBuffer& frames) {
    while (!plain.empty()) {
        const size_t size = std::min<size_t>(plain.size(), frame_bytes_max);
        encode_frame(plain.first(size), frames);
        plain = plain.subspan(size);
    }
}

void FrameEncoder::encode_frame(Bytes plain, ByteBuffer& frames) {
    const size_t head = frames.size();
    frames.resize(head + frame_header_bytes);
    size_t compressed = 0;  // 0: stored
    if (plain.size() >= compressed_bytes_min) {
        const size_t bound =
            algorithm_ == Compression::zlib ? compressBound(plain.size()) : ZSTD_compressBound(plain.size());
        frames.resize(head + frame_header_bytes + bound);
        std::byte* body = frames.data() + head + frame_header_bytes;
        if (algorithm_ == Compression::zlib) {
            uLongf size = bound;
            if (compress2(reinterpret_cast<Bytef*>(body), &size, reinterpret_cast<const Bytef*>(plain.data()),
                          plain.size(), Z_DEFAULT_COMPRESSION) == Z_OK) {
                compressed = size;
            }
        } else {
            const size_t size = ZSTD_compress(body, bound, plain.data(), plain.size(),
                                              level_ > 0 ? level_ : ZSTD_CLEVEL_DEFAULT);
            if (ZSTD_isError(size) == 0) compressed = size;
        }
        if (compressed >= plain.size()) compressed = 0;
    }
    frames.resize(head + frame_header_bytes + compressed);
    if (compressed == 0) append(frames, plain);
    const size_t body_bytes = compressed == 0 ? plain.size() : compressed;
    store_packet_header(frames.data() + head, static_cast<uint32_t>(body_bytes), sequence_++);
    store_le24(frames.data() + head + packet_header_bytes,
               compressed == 0 ? 0 : static_cast<uint32_t>(plain.size()));
}

Result<size_t> FrameDecoder::feed(Bytes in, ByteBuffer& plain) {
    size_t consumed = 0;
    const size_t before = plain.size();
    while (in.size() - consumed >= frame_header_bytes &&
           plain.size() - before < limits::decompressed_at_once_bytes_max) {
        const std::byte* head = in.data() + consumed;
        const PacketHeader header{load_le24(head), std::to_integer<uint8_t>(head[3])};
        // A new command begins with 0 again, be the answer to the last one still under way or not.
        if (header.sequence != sequence_ && header.sequence != answered_ && header.sequence != 0) {
            return Error{ErrorCode::bad_value, "a compressed frame out of order"};
        }
        if (in.size() - consumed - frame_header_bytes < header.payload_bytes) break;
        const Status decoded = decode_frame(in.subspan(consumed + frame_header_bytes, header.payload_bytes),
                                            load_le24(head + packet_header_bytes), plain);
        if (!decoded) return decoded.error();
        sequence_ = static_cast<uint8_t>(header.sequence + 1);
        consumed += frame_header_bytes + header.payload_bytes;
    }
    return consumed;
}

Status FrameDecoder::decode_frame(Bytes body, uint32_t plain_bytes, ByteBuffer& plain) {
    if (plain_bytes == 0) {
        append(plain, body);
        return {};
    }
    const size_t before = plain.size();
    if (algorithm_ == Compression::zlib) {
        if (plain_bytes > body.size() * deflate_ratio_max) {
            return Error{ErrorCode::bad_length, "a compressed frame claims more than it can hold"};
        }
        plain.resize(before + plain_bytes);
        uLongf size = plain_bytes;
        if (uncompress(reinterpret_cast<Bytef*>(plain.data() + before), &size,
                       reinterpret_cast<const Bytef*>(body.data()), body.size()) == Z_OK &&
            size == plain_bytes) {
            return {};
        }
    } else {
        const auto claimed = ZSTD_getFrameContentSize(body.data(), body.size());
        if (claimed == ZSTD_CONTENTSIZE_ERROR ||
            (claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed != plain_bytes)) {
            return Error{ErrorCode::bad_value, "a compressed frame is not zstd of the size that it says"};
        }
        plain.resize(before + plain_bytes);
        const size_t size = ZSTD_decompress(plain.data() + before, plain_bytes, body.data(), body.size());
        if (ZSTD_isError(size) == 0 && size == plain_bytes) return {};
    }
    plain.resize(before);
    return Error{ErrorCode::bad_length, "a compressed frame does not hold what it says"};
}

void PacketRenumberer::pass(std::span<std::byte> plain) {
    while (!plain.empty()) {
        if (header_bytes_ == packet_header_bytes) {
            const size_t size = std::min(payload_left_, plain.size());
            payload_left_ -= size;
            plain = plain.subspan(size);
            if (payload_left_ == 0) {
                continues_ = payload_bytes_ == packet_payload_bytes_max;
                header_bytes_ = 0;
            }
            continue;
        }
        if (header_bytes_ == 0) payload_bytes_ = 0;
        if (header_bytes_ < 3) {
            payload_bytes_ |= std::to_integer<uint32_t>(plain[0]) << (8 * header_bytes_);
        } else {
            if (continues_) plain[0] = std::byte{static_cast<uint8_t>(sequence_ + 1)};
            sequence_ = std::to_integer<uint8_t>(plain[0]);
            payload_left_ = payload_bytes_;
        }
        plain = plain.subspan(1);
        ++header_bytes_;
        if (header_bytes_ == packet_header_bytes && payload_left_ == 0) {
            continues_ = false;
            header_bytes_ = 0;
        }
    }
}

}  // namespace holdfast::mysql
