#include "protocol/dialect/user_locks.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "protocol/base/limits.h"

namespace holdfast::dialect {

using sql::EffectKind;

void UserLocks::apply(const sql::Effect& effect, CameTrue came_true, uint32_t times) {
    if (times == 0) return;
    // Without a column it may have been called often, or not at all.
    const bool is_certain = !effect.replay.empty();
    switch (effect.kind) {
        case EffectKind::advisory_lock:
            if (came_true == CameTrue::no) return;
            if (!named_.contains(effect.key) && named_.size() >= limits::session_state_entries_max)
                lose_names();
            if (is_certain && !effect.key.empty()) {
                ++named_[effect.key];
            } else {
                constexpr uint32_t counted_max = std::numeric_limits<uint32_t>::max() / 4;
                unnamed_ = std::min(counted_max, unnamed_ + std::min(counted_max, is_certain ? 1U : times));
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

bool ask_for_locks(const std::vector<sql::Statement>& statements) {
    return std::any_of(statements.begin(), statements.end(), [](const sql::Statement& each) {
        return std::any_of(each.effects.begin(), each.effects.end(), [](const sql::Effect& effect) {
            return (effect.kind == EffectKind::advisory_lock || effect.kind == EffectKind::advisory_unlock) &&
                   !effect.replay.empty();
        });
    });
}

}  // namespace holdfast::dialect
