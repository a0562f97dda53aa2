#include <cstdlib>

#include "protocol/base/limits.h"
#include "protocol/mysql/compression.h"

/// Bytes that are taken for compressed frames; and bytes that are compressed and must come back the same.
using namespace holdfast;
using namespace holdfast::mysql;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const Compression algorithm = (data[0] & 1) != 0 ? Compression::zlib : Compression::zstd;
    const Bytes in(reinterpret_cast<const std::byte*>(data + 1), size - 1);
    FrameDecoder decoder(algorithm);
    ByteBuffer plain;
    size_t consumed = 0;
    for (;;) {
        plain.clear();
        const auto fed = decoder.feed(in.subspan(consumed), plain);
        require(plain.size() <= limits::decompressed_at_once_bytes_max + frame_bytes_max);
        if (!fed || *fed == 0) break;
        consumed += *fed;
        require(consumed <= in.size());
    }
    ByteBuffer frames, again;
    FrameEncoder(algorithm).encode(in, frames);
    const auto fed = FrameDecoder(algorithm).feed(frames, again);
    require(fed.ok() && *fed == frames.size() && as_text(again) == as_text(in));
    return 0;
}
