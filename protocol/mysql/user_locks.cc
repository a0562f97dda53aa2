#include "protocol/mysql/user_locks.h"

#include <limits>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/base/numbers.h"
#include "protocol/mysql/packets.h"

namespace holdfast::mysql {

using sql::EffectKind;

void UserLocks::apply(const sql::Effect& effect, CameTrue came_true) {
    // Without a column it may have been called often, or not at all.
    const bool is_certain = !effect.replay.empty();
    switch (effect.kind) {
        case EffectKind::advisory_lock:
            if (came_true == CameTrue::no) return;
            if (!named_.contains(effect.key) && named_.size() >= limits::session_state_entries_max)
                lose_names();
            if (is_certain && !effect.key.empty()) {
                ++named_[effect.key];
            } else if (unnamed_ < std::numeric_limits<uint32_t>::max() / 2) {
                ++unnamed_;
            }
            return;
        case EffectKind::advisory_unlock: return released(effect.key, came_true, is_certain);
        case EffectKind::advisory_unlock_all:
            if (!is_certain) return;
            named_.clear();
            unnamed_ = 0;
            return;
        default: return;
    }
}

void UserLocks::released(const std::string& name, CameTrue came_true, bool is_certain) {
    if (!is_certain) return;
    if (const auto found = name.empty() ? named_.end() : named_.find(name); found != named_.end()) {
        if (came_true == CameTrue::no || --found->second == 0) named_.erase(found);
        return;
    }
    if (came_true != CameTrue::yes) return;  // most likely none that is held
    if (unnamed_ == 0) lose_names();
    if (unnamed_ > 0) --unnamed_;
}

/// One of them is another one than it seemed: only their number is known.
void UserLocks::lose_names() {
    for (const auto& [name, times] : std::exchange(named_, {})) unnamed_ += times;
}

uint32_t UserLocks::count() const {
    uint32_t count = unnamed_;
    for (const auto& [name, times] : named_) count += times;
    return count;
}

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
