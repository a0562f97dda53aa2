#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "protocol/sql/classify.h"

namespace holdfast::dialect {

/// The locks of the session's own (MySQL: GET_LOCK(), PostgreSQL: pg_advisory_lock()) that it holds on its
/// connection to the primary, as far as texts and results tell: no release counts that is not known to have
/// come true.
class UserLocks {
public:
    enum class CameTrue : uint8_t { unknown, no, yes };

    /// A call that succeeded.
    /// effect  as the classifier notes it, with the lock's name or without
    /// times   how many rows it was made for, if the text does not tell that it was made once
    void apply(const sql::Effect& effect, CameTrue came_true, uint32_t times = 1);
    uint32_t count() const;

private:
    void released(const std::string& name, CameTrue came_true, bool is_certain);
    void lose_names();

    std::map<std::string, uint32_t> named_;  // how often each was taken
    uint32_t unnamed_ = 0;                   // those whose names the texts did not tell
};

/// Whether one of the statements takes or releases a lock and its result tells whether that came true.
bool ask_for_locks(const std::vector<sql::Statement>& statements);

}  // namespace holdfast::dialect
