#pragma once

#include <compare>
#include <cstdint>

namespace holdfast {

/// How far a server's history of changes reaches. PostgreSQL: the WAL position (LSN) in bytes. Positions
/// compare only within one cluster's history.
struct Position {
    uint64_t lsn = 0;

    explicit operator bool() const { return lsn != 0; }
    auto operator<=>(const Position&) const = default;
    /// Whether a server at this position has everything that one at `other` had.
    bool covers(const Position& other) const { return lsn >= other.lsn; }
};

}  // namespace holdfast
