#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/sql/classify.h"

namespace holdfast::dialect {

/// The settings, SQL-level prepared statements and subscriptions of one session, as statements that bring a
/// fresh server connection to the same state: a log with versions, one entry for each key. Transactions are
/// respected: what is recorded counts once the transaction commits.
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
    /// The bytes that the entries hold; the owner bounds them.
    size_t bytes() const { return bytes_; }
    /// Drops an entry that a server would not take.
    void forget(uint64_t version);

private:
    struct Pending {
        sql::Effect effect;
        std::string savepoint;  // set: a mark, not an effect
        bool is_mark = false;
    };
    void put(std::string key, std::string replay, Scope scope, bool privileged = false);
    void erase(std::string_view key);
    void erase_prefix(std::string_view prefix);

    std::vector<Entry> entries_;  // in order of version
    std::vector<Pending> pending_;
    uint64_t version_ = 0;
    size_t bytes_ = 0;
};

}  // namespace holdfast::dialect
