#include "protocol/dialect/session_log.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/sql/quoted.h"

namespace holdfast::dialect {
namespace {

constexpr std::string_view role_key = "set:role";
constexpr std::string_view authorization_key = "set:session authorization";

bool is_privileged(std::string_view key) {
    return key == role_key || key == authorization_key;
}

/// Settings by which the texts behind them are read: the strings in them, and the names.
constexpr std::array<std::string_view, 8> reading_keys = {"set:names",
                                                          "set:character_set_client",
                                                          "set:character_set_connection",
                                                          "set:collation_connection",
                                                          "set:sql_mode",
                                                          "set:schema",
                                                          "set:client_encoding",
                                                          "set:standard_conforming_strings"};
/// Such a setting that holds no more, but for what was made under it.
constexpr std::string_view past = "past:";

/// The place in `reading_keys`; their number: it is none of them.
size_t reading_key(std::string_view key) {
    if (key.starts_with(past)) key.remove_prefix(past.size());
    return static_cast<size_t>(std::find(reading_keys.begin(), reading_keys.end(), key) -
                               reading_keys.begin());
}

/// Whether what an entry brings about depends on how its text is read.
bool depends_on_reading(const SessionLog::Entry& entry) {
    if (entry.key.starts_with("deallocate")) return false;
    return entry.key.starts_with("prepare:") || entry.key.starts_with("variable:") ||
           std::any_of(entry.replay.begin(), entry.replay.end(),
                       [](char c) { return c == '"' || c == '\\' || static_cast<uint8_t>(c) >= 0x80; });
}

}  // namespace

/// Whether one more thing of `bytes` can be noted of the transaction under way.
bool SessionLog::has_room(size_t bytes) const {
    return !pending_is_full_ && pending_.size() < limits::session_state_entries_max &&
           bytes <= limits::session_state_bytes_max - pending_bytes_;
}

/// What of the transaction counts can't be told any more.
void SessionLog::lose_pending() {
    pending_has_lost_ |=
        std::any_of(pending_.begin(), pending_.end(), [](const Pending& each) { return each.marks == 0; });
    pending_.clear();
    pending_bytes_ = 0;
}

void SessionLog::end_pending() {
    pending_.clear();
    pending_bytes_ = 0;
    pending_is_full_ = false;
    pending_has_lost_ = false;
}

void SessionLog::record(const sql::Effect& effect) {
    Pending pending{effect, {}, 0};
    if (!has_room(pending.bytes())) {
        pending_is_full_ = true;
        pending_has_lost_ = true;
        return;
    }
    pending_bytes_ += pending.bytes();
    pending_.push_back(std::move(pending));
}

void SessionLog::savepoint(std::string_view name) {
    if (!pending_.empty() && pending_.back().marks > 0 && pending_.back().savepoint == name) {
        ++pending_.back().marks;
        return;
    }
    if (!has_room(name.size())) {
        pending_is_full_ = true;
        return;
    }
    pending_bytes_ += name.size();
    pending_.push_back({{}, std::string(name), 1});
}

void SessionLog::release(std::string_view name) {
    if (pending_is_full_) return lose_pending();
    // The effects behind the mark now belong to the outer level; marks above it are gone with it.
    for (size_t i = pending_.size(); i-- > 0;) {
        if (pending_[i].marks == 0) continue;
        const bool found = pending_[i].savepoint == name;
        if (found && --pending_[i].marks > 0) return;
        pending_bytes_ -= pending_[i].bytes();
        pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
        if (found) return;
    }
}

void SessionLog::rollback_to(std::string_view name) {
    if (pending_is_full_) return lose_pending();
    for (size_t i = pending_.size(); i-- > 0;) {
        if (pending_[i].marks == 0 || pending_[i].savepoint != name) continue;
        while (pending_.size() > i + 1) {  // the savepoint itself lives on
            pending_bytes_ -= pending_.back().bytes();
            pending_.pop_back();
        }
        return;
    }
}

void SessionLog::commit() {
    has_lost_ |= pending_has_lost_;
    const auto pending = std::exchange(pending_, {});
    end_pending();
    for (const auto& each : pending) {
        if (each.marks == 0) record_now(each.effect);
    }
}

void SessionLog::rollback() {
    end_pending();
}

void SessionLog::record_now(const sql::Effect& effect) {
    using sql::EffectKind;
    switch (effect.kind) {
        case EffectKind::set:
        case EffectKind::reset: {
            std::string key = "set:" + effect.key;
            // The server itself ends a SET ROLE at SET SESSION AUTHORIZATION; replaying in order does too.
            const bool privileged = is_privileged(key);
            put(std::move(key), effect.replay, Scope::everywhere, privileged);
            return;
        }
        case EffectKind::reset_all: {
            std::vector<Entry> kept;
            for (auto& entry : entries_) {
                if (!entry.key.starts_with("set:") || is_privileged(entry.key)) {
                    kept.push_back(std::move(entry));
                } else if (reading_key(entry.key) < reading_keys.size()) {
                    bytes_ += past.size();
                    entry.key.insert(0, past);
                    kept.push_back(std::move(entry));
                } else {
                    bytes_ -= entry.key.size() + entry.replay.size();
                }
            }
            entries_ = std::move(kept);
            put("set:*", "RESET ALL", Scope::everywhere);
            return;
        }
        case EffectKind::discard_all:
            entries_.clear();
            bytes_ = 0;
            // DISCARD ALL itself can't be part of a longer message, and connections that follow this session
            // have neither temporary tables nor locks nor subscriptions of it.
            put("authorization", "SET SESSION AUTHORIZATION DEFAULT", Scope::everywhere);
            put("set:*", "RESET ALL", Scope::everywhere);
            put("deallocate", "DEALLOCATE ALL", Scope::everywhere);
            return;
        case EffectKind::prepare: put("prepare:" + effect.key, effect.replay, Scope::everywhere); return;
        case EffectKind::deallocate: {
            const std::string key = "prepare:" + effect.key;
            const auto known =
                std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
            if (known == entries_.end()) return;
            const uint64_t prepared_at = known->version;
            erase(key);
            const uint64_t before = version_;
            put("deallocate:" + effect.key,
                effect.replay.empty() ? "DEALLOCATE " + sql::quoted(effect.key, '"') : effect.replay,
                Scope::everywhere);
            if (version_ > before) entries_.back().only_after = prepared_at;
            return;
        }
        case EffectKind::deallocate_all:
            erase_prefix("prepare:");
            put("deallocate", "DEALLOCATE ALL", Scope::everywhere);
            return;
        case EffectKind::user_variable:
            put("variable:" + effect.key, effect.replay, Scope::everywhere);
            return;
        case EffectKind::listen: put("listen:" + effect.key, effect.replay, Scope::primary); return;
        case EffectKind::unlisten: erase("listen:" + effect.key); return;
        case EffectKind::unlisten_all: erase_prefix("listen:"); return;
        case EffectKind::set_opaque:
        case EffectKind::discard_temp:
        case EffectKind::temporary:
        case EffectKind::advisory_lock:
        case EffectKind::advisory_unlock:
        case EffectKind::advisory_unlock_all:
        case EffectKind::cursor:
        case EffectKind::cursor_close:
        case EffectKind::cursor_close_all:
        case EffectKind::sequence:
        case EffectKind::user_variables:
        case EffectKind::table_lock:
        case EffectKind::table_unlock:
        case EffectKind::handler:
        case EffectKind::handler_close:
        case EffectKind::next_transaction:
        case EffectKind::routine:
        case EffectKind::tracking: return;  // pins: not replayable, not ours
    }
}

bool SessionLog::has_subscriptions() const {
    return std::any_of(entries_.begin(), entries_.end(),
                       [](const Entry& e) { return e.scope == Scope::primary; });
}

void SessionLog::forget_refused(uint64_t version) {
    std::erase_if(entries_, [&](const Entry& entry) {
        if (entry.version != version || entry.privileged) return false;
        bytes_ -= entry.key.size() + entry.replay.size();
        return true;
    });
}

void SessionLog::forget_deallocated(const std::vector<uint64_t>& synced) {
    std::erase_if(entries_, [&](const Entry& entry) {
        if (entry.only_after == 0) return false;
        const bool needed = std::any_of(synced.begin(), synced.end(), [&](uint64_t version) {
            return version >= entry.only_after && version < entry.version;
        });
        if (!needed) bytes_ -= entry.key.size() + entry.replay.size();
        return !needed;
    });
}

/// The key's entry is about to be replaced. What was made under it is replayed under it all the same.
void SessionLog::supersede(std::string_view key) {
    const auto found =
        std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
    const bool is_needed = found != entries_.end() && reading_key(key) < reading_keys.size() &&
                           std::any_of(found, entries_.end(), depends_on_reading);
    if (!is_needed) return erase(key);
    bytes_ += past.size();
    found->key.insert(0, past);
}

/// Drops settings of the past that nothing was made under, or nothing that is still there.
void SessionLog::forget_past() {
    std::array<bool, reading_keys.size()> counts{};  // something is between here and the next of the kind
    for (size_t i = entries_.size(); i-- > 0;) {
        const Entry& entry = entries_[i];
        if (entry.key == "set:*") counts.fill(false);
        if (const size_t key = reading_key(entry.key); key < reading_keys.size()) {
            const bool is_needed = std::exchange(counts[key], false) || !entry.key.starts_with(past);
            if (!is_needed) {
                bytes_ -= entry.key.size() + entry.replay.size();
                entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
                continue;
            }
        }
        if (depends_on_reading(entry)) counts.fill(true);
    }
}

void SessionLog::put(std::string key, std::string replay, Scope scope, bool privileged) {
    supersede(key);
    // Without its role a session would have rights that it gave up: that is kept in any case.
    if (!privileged &&
        (entries_.size() >= limits::session_state_entries_max || bytes_ > limits::session_state_bytes_max ||
         key.size() + replay.size() > limits::session_state_bytes_max - bytes_)) {
        has_lost_ = true;
        return;
    }
    bytes_ += key.size() + replay.size();
    entries_.push_back({std::move(key), std::move(replay), ++version_, 0, scope, privileged});
    if (std::any_of(entries_.begin(), entries_.end(),
                    [](const Entry& entry) { return entry.key.starts_with(past); })) {
        forget_past();
    }
}

void SessionLog::erase(std::string_view key) {
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
        if (it->key == key) {
            bytes_ -= it->key.size() + it->replay.size();
            entries_.erase(it);
            return;
        }
    }
}

void SessionLog::erase_prefix(std::string_view prefix) {
    std::erase_if(entries_, [&](const Entry& e) {
        if (!e.key.starts_with(prefix)) return false;
        bytes_ -= e.key.size() + e.replay.size();
        return true;
    });
}

}  // namespace holdfast::dialect
