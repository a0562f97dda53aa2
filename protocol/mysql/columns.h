#pragma once

#include <cstdint>

#include "protocol/base/bytes.h"

namespace holdfast::mysql {

/// A digest of columns, as far as reading their values depends on them: their number, types, signedness, and
/// whether they are binary.
class ColumnsDigest {
public:
    /// definition  the payload of a column's definition: its fixed part stands at the end
    void add(Bytes definition) {
        mix(1);
        if (definition.size() < fixed_bytes) return;
        const auto at = [&](size_t from_end) {
            return std::to_integer<uint8_t>(definition[definition.size() - from_end]);
        };
        constexpr size_t charset_at = 12;
        constexpr size_t type_at = 6;
        constexpr size_t flags_at = 5;
        constexpr uint8_t unsigned_flag = 32;
        constexpr uint16_t binary_charset = 63;
        mix(at(type_at));
        mix(at(flags_at) & unsigned_flag);
        mix((at(charset_at) | at(charset_at - 1) << 8) == binary_charset ? 1 : 0);
    }
    bool operator==(const ColumnsDigest&) const = default;

private:
    static constexpr size_t fixed_bytes = 13;
    void mix(uint8_t byte) { value_ = (value_ ^ byte) * 0x01000193; }  // FNV-1a

    uint32_t value_ = 0x811c9dc5;
};

}  // namespace holdfast::mysql
