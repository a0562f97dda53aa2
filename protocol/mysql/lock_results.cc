#include "protocol/mysql/lock_results.h"

#include "protocol/base/numbers.h"
#include "protocol/mysql/packets.h"

namespace holdfast::mysql {

UserLocks::CameTrue lock_came_true(Bytes row, bool is_binary, std::string_view column) {
    using enum UserLocks::CameTrue;
    const auto index = parse_number<uint32_t>(column);
    if (row.empty() || !index) return unknown;
    if (is_binary) {
        // Of one column only: a zero, a byte of bits for NULLs, the first of which is the third, a number.
        constexpr size_t head_bytes = 2;
        if (*index != 0 || row.size() < head_bytes) return unknown;
        if (row.size() == head_bytes && row[1] == std::byte{4}) return no;
        const bool is_number = row.size() == head_bytes + 4 || row.size() == head_bytes + 8;
        if (!is_number || row[1] != std::byte{0}) return unknown;
        return row[head_bytes] == std::byte{1} ? yes : no;
    }
    PacketReader reader(row);
    for (uint32_t i = 0; i < *index && !reader.failed(); ++i) {
        if (!reader.take_null()) reader.lenenc_text();
    }
    if (reader.take_null()) return no;
    const std::string_view value = reader.lenenc_text();
    if (reader.failed()) return unknown;
    return value == "1" ? yes : no;
}

}  // namespace holdfast::mysql
