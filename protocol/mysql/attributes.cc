#include "protocol/mysql/attributes.h"

namespace holdfast::mysql {
namespace {

/// Servers take no more.
constexpr uint64_t attributes_max = 65'535;

/// Bytes of a TIME with all its parts, the longest of the values that are dates or times.
constexpr uint8_t time_bytes_max = 12;

/// Moves behind a value that is not NULL; false: how long it is depends on who reads it.
bool skip_value(PacketReader& reader, uint8_t type) {
    switch (type) {
        case 0x01: reader.take(1); return true;  // TINY
        case 0x02: reader.take(2); return true;  // SHORT
        case 0x03:                               // LONG
        case 0x04: reader.take(4); return true;  // FLOAT
        case 0x05:                               // DOUBLE
        case 0x08: reader.take(8); return true;  // LONGLONG
        case 0x07:                               // TIMESTAMP
        case 0x0a:                               // DATE
        case 0x0b:                               // TIME
        case 0x0c: {                             // DATETIME
            const uint8_t size = reader.u8();
            reader.take(size);
            return size <= time_bytes_max;
        }
        case 0x00:                                      // DECIMAL
        case 0x0f:                                      // VARCHAR
        case 0xf6:                                      // NEWDECIMAL
        case 0xf9:                                      // TINY_BLOB
        case 0xfa:                                      // MEDIUM_BLOB
        case 0xfb:                                      // LONG_BLOB
        case 0xfc:                                      // BLOB
        case 0xfd:                                      // VAR_STRING
        case 0xfe: reader.lenenc_bytes(); return true;  // STRING
        default: return false;
    }
}

}  // namespace

std::optional<std::string_view> text_behind_attributes(Bytes in) {
    PacketReader reader(in);
    const uint64_t count = reader.lenenc();
    if (reader.lenenc() != 1 || reader.failed() || count > attributes_max) return std::nullopt;
    if (count == 0) return as_text(reader.rest());
    const Bytes nulls = reader.take((count + 7) / 8);
    if (reader.u8() != 1 || reader.failed())
        return std::nullopt;  // there is no earlier time to tell types at
    const Bytes types = reader.rest();
    const auto types_bytes = named_types_bytes(types, count);
    if (!types_bytes) return std::nullopt;
    PacketReader type(types);
    reader.take(*types_bytes);
    for (uint64_t i = 0; i < count; ++i) {
        const auto code = static_cast<uint8_t>(type.u16());  // what is above says whether it is unsigned
        type.lenenc_bytes();
        const bool is_null = (nulls[i / 8] >> (i % 8) & std::byte{1}) != std::byte{0};
        if (!is_null && !skip_value(reader, code)) return std::nullopt;
    }
    if (reader.failed()) return std::nullopt;
    return as_text(reader.rest());
}

std::optional<size_t> named_types_bytes(Bytes in, size_t count) {
    PacketReader reader(in);
    for (size_t i = 0; i < count && !reader.failed(); ++i) {
        reader.u16();
        reader.lenenc_bytes();
    }
    if (reader.failed()) return std::nullopt;
    return in.size() - reader.rest().size();
}

}  // namespace holdfast::mysql
