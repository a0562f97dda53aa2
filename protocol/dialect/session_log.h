#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/sql/classify.h"

namespace holdfast::dialect {

/// The settings, SQL-level prepared statements and subscriptions of one session, as statements that bring a
/// fresh server connection to the same state: a log with versions, one entry for each key. Settings by which
/// texts are read (character sets, sql_mode, the schema) also stay where they were as long as something that
/// was made under them is there. Transactions are respected: what is recorded counts once the transaction
/// commits.
class SessionLog {
public:
    /// Who needs an entry: every connection, or only one to the primary.
    enum class Scope : uint8_t { everywhere, primary };
    struct Entry {
        std::string key;
        std::string replay;
        uint64_t version;
        uint64_t only_after;  // only for connections that were brought to at least this version before
        Scope scope;
        bool privileged;  // forgetting it would raise privileges (SET ROLE, SET SESSION AUTHORIZATION)
    };

    /// What a statement that has succeeded does to the state, from the moment its transaction commits.
    void record(const sql::Effect& effect);
    /// The same, at once, whatever becomes of the transaction.
    void record_now(const sql::Effect& effect);
    void savepoint(std::string_view name);
    void release(std::string_view name);
    void rollback_to(std::string_view name);
    void commit();
    void rollback();

    /// Grows with every change that a connection would have to follow.
    uint64_t version() const { return version_; }
    const std::vector<Entry>& entries() const { return entries_; }
    bool has_subscriptions() const;
    /// The bytes that the entries hold: at most limits::session_state_bytes_max, but for the few that are
    /// privileged.
    size_t bytes() const { return bytes_; }
    /// Whether something was not recorded since the last call, because there is too much already. The
    /// session's state can't be moved then.
    bool take_loss() { return std::exchange(has_lost_, false); }
    /// Drops an entry that a server would not take, unless the session would have more rights without it.
    void forget_refused(uint64_t version);
    /// Drops what none of these connections has to follow any more: statements that were deallocated before
    /// a connection knew of them, or that it has deallocated. Each is given by the version it was brought to;
    /// one that is not there, or new, by 0.
    void forget_deallocated(const std::vector<uint64_t>& synced);

private:
    struct Pending {
        sql::Effect effect;
        std::string savepoint;  // set: a mark, not an effect
        uint32_t marks = 0;     // savepoints of this name without an effect between them; 0: an effect
        size_t bytes() const { return effect.key.size() + effect.replay.size() + savepoint.size(); }
    };
    bool has_room(size_t bytes) const;
    void lose_pending();
    void end_pending();
    void supersede(std::string_view key);
    void forget_past();
    void put(std::string key, std::string replay, Scope scope, bool privileged = false);
    void erase(std::string_view key);
    void erase_prefix(std::string_view prefix);

    std::vector<Entry> entries_;  // in order of version
    std::vector<Pending> pending_;
    uint64_t version_ = 0;
    size_t bytes_ = 0;
    size_t pending_bytes_ = 0;
    bool pending_is_full_ = false;   // nothing more is noted of this transaction …
    bool pending_has_lost_ = false;  // … and this much was not
    bool has_lost_ = false;
};

}  // namespace holdfast::dialect
