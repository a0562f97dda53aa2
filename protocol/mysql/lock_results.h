#pragma once

#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/dialect/user_locks.h"

namespace holdfast::mysql {

using dialect::UserLocks;

/// What the only row of a result says of a lock. row  a text protocol's row, or a binary one
UserLocks::CameTrue lock_came_true(Bytes row, bool is_binary, std::string_view column);

}  // namespace holdfast::mysql
