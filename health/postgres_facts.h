#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "health/observation.h"
#include "protocol/base/result.h"

namespace holdfast::health {

/// The one question of a probe, and how many columns its single row has. It works on PostgreSQL 13 and later,
/// on a primary and on a standby; without pg_monitor some columns are null.
extern const char* const postgres_facts_sql;
inline constexpr size_t postgres_facts_columns = 17;

/// Reads that row into `out` (everything but server, times and outcome). A column is null or text.
/// errors  bad_length: another number of columns; bad_value: a column that must be there is null or not what
///         it should be (the text names it)
Status parse_postgres_facts(std::span<const std::optional<std::string_view>> columns, Observation& out);

/// A primary's insert position as the end of its last record: on a fresh page (or segment) PostgreSQL counts
/// the page's header in, which no standby's replay position ever shows.
Position without_page_header(Position inserted, uint64_t block_bytes, uint64_t segment_bytes);

}  // namespace holdfast::health
