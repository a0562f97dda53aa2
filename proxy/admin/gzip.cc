#include "proxy/admin/gzip.h"

#include <limits>
#include <zlib.h>

namespace holdfast::admin {

namespace {

constexpr int window_bits = 15 + 16;  // zlib's way to ask for gzip's format
constexpr int memory_level = 8;

}  // namespace

std::string gzip(std::string_view text) {
    z_stream stream{};
    if (text.size() > std::numeric_limits<uInt>::max() / 2 ||
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window_bits, memory_level, Z_DEFAULT_STRATEGY) !=
            Z_OK) {
        return {};
    }
    std::string out(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int result = deflate(&stream, Z_FINISH);
    out.resize(result == Z_STREAM_END ? stream.total_out : 0);
    deflateEnd(&stream);
    return out;
}

bool accepts_gzip(std::string_view accept_encoding) {
    constexpr std::string_view name = "gzip";
    const size_t at = accept_encoding.find(name);
    if (at == std::string_view::npos) return false;
    const std::string_view rest = accept_encoding.substr(at + name.size());
    return !rest.starts_with(";q=0") || rest.starts_with(";q=0.");
}

}  // namespace holdfast::admin
