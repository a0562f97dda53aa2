#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/sql/classify.h"

namespace holdfast::mysql {

/// The locks of GET_LOCK() that a session holds on its connection to the primary, as far as texts and results
/// tell: never fewer than there are.
class UserLocks {
public:
    enum class CameTrue : uint8_t { unknown, no, yes };

    /// A call that succeeded. effect  as the classifier notes it, with the lock's name or without
    void apply(const sql::Effect& effect, CameTrue came_true);
    uint32_t count() const;

private:
    void released(const std::string& name, CameTrue came_true, bool is_certain);
    void lose_names();

    std::map<std::string, uint32_t> named_;  // how often each was taken
    uint32_t unnamed_ = 0;                   // those whose names the texts did not tell
};

/// What the only row of a result says of a lock. row  a text protocol's row, or a binary one
UserLocks::CameTrue lock_came_true(Bytes row, bool is_binary, std::string_view column);

}  // namespace holdfast::mysql
