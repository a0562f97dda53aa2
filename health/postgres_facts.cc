#include "health/postgres_facts.h"

#include <algorithm>
#include <string>

#include "protocol/base/numbers.h"

namespace holdfast::health {

// One statement, so that all facts are of one moment. Functions that fail on the wrong kind of server sit
// behind CASE; a standby may be promoted while the statement runs, but the way back does not exist, so what
// needs a primary is safe once recovery was seen to be over. Names are qualified: the account's search_path
// is not ours to trust.
const char* const postgres_facts_sql = R"(
SELECT r.standby,
       s.system_identifier,
       CASE WHEN NOT r.standby THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,
       CASE WHEN NOT r.standby THEN pg_catalog.pg_current_wal_insert_lsn() END,
       CASE WHEN NOT r.standby THEN pg_catalog.pg_current_wal_flush_lsn() END,
       CASE WHEN r.standby THEN pg_catalog.pg_last_wal_replay_lsn() END,
       CASE WHEN r.standby THEN pg_catalog.pg_last_wal_receive_lsn() END,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() END,
       w.pid,
       w.status,
       w.received_tli,
       w.sender_host,
       w.sender_port,
       CASE WHEN r.standby THEN (SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() c) END,
       CASE WHEN r.standby THEN (SELECT m.min_recovery_end_timeline FROM pg_catalog.pg_control_recovery() m) END,
       pg_catalog.current_setting('server_version_num'),
       pg_catalog.current_setting('wal_block_size') || ' ' ||
           pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))
  FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby OFFSET 0) r
 CROSS JOIN pg_catalog.pg_control_system() s
  LEFT JOIN pg_catalog.pg_stat_wal_receiver w ON r.standby
)";

namespace {

enum Column : size_t {
    standby,
    system_identifier,
    timeline_hex,
    inserted,
    flushed,
    replayed,
    received,
    paused,
    receiver_pid,
    receiver_status,
    received_timeline,
    sender_host,
    sender_port,
    checkpoint_timeline,
    recovery_timeline,
    version,
    wal_sizes,
    column_count
};
static_assert(column_count == postgres_facts_columns);

/// A server can send a name of any length; nothing longer is a host name.
constexpr size_t host_chars_max = 255;

using Text = std::optional<std::string_view>;

/// "16/B374D848": the high and the low half in hexadecimal.
std::optional<Position> parse_position(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto high = parse_number<uint32_t>(text.substr(0, slash), 16);
    const auto low = parse_number<uint32_t>(text.substr(slash + 1), 16);
    if (!high || !low) return std::nullopt;
    return Position{(uint64_t{*high} << 32) | *low};
}

Error bad(const char* what) {
    return {ErrorCode::bad_value, std::string("no sense in ") + what};
}

Status parse_primary(std::span<const Text> columns, Observation& out) {
    const Text& hex = columns[timeline_hex];
    const auto timeline = hex ? parse_number<uint32_t>(*hex, 16) : std::nullopt;
    if (!timeline || *timeline == 0) return bad("the timeline");
    out.timeline = *timeline;

    const auto position = columns[inserted] ? parse_position(*columns[inserted]) : std::nullopt;
    const auto flush = columns[flushed] ? parse_position(*columns[flushed]) : std::nullopt;
    if (!position || !flush) return bad("the WAL position");
    const std::string_view sizes = columns[wal_sizes].value_or("");
    const size_t space = std::min(sizes.find(' '), sizes.size());
    const auto block = parse_number<uint64_t>(sizes.substr(0, space));
    const auto segment = parse_number<uint64_t>(sizes.substr(std::min(space + 1, sizes.size())));
    if (!block || !segment || *block == 0 || *segment == 0) return bad("wal_block_size");
    out.position = without_page_header(*position, *block, *segment);
    // The WAL writer flushes whole pages: such an end may lie within a record, and what standbys have of that
    // one can't be replayed yet.
    const bool is_within_record = flush->lsn % *block == 0 && *flush < out.position;
    out.flushed = is_within_record ? Position{} : *flush;
    return {};
}

Status parse_standby(std::span<const Text> columns, Observation& out) {
    for (const Column column : {received_timeline, checkpoint_timeline, recovery_timeline}) {
        if (!columns[column]) continue;
        const auto timeline = parse_number<int64_t>(*columns[column]);
        if (!timeline || *timeline < 0 || *timeline > UINT32_MAX) return bad("the timeline");
        out.timeline = std::max(out.timeline, static_cast<uint32_t>(*timeline));
    }
    if (columns[replayed]) {
        const auto position = parse_position(*columns[replayed]);
        if (!position) return bad("the replay position");
        out.position = *position;
    }
    if (columns[received]) {
        const auto position = parse_position(*columns[received]);
        if (!position) return bad("the receive position");
        out.received = *position;
    }
    out.replay_paused = columns[paused] == "t";
    // A row with a process but no status: there is a receiver, and we lack pg_monitor to see more.
    out.receiver_known = !columns[receiver_pid] || columns[receiver_status];
    out.receiver_streaming = columns[receiver_status] == "streaming";
    out.sender_host = std::string(columns[sender_host].value_or("").substr(0, host_chars_max));
    if (columns[sender_port]) out.sender_port = parse_number<int>(*columns[sender_port]).value_or(0);
    return {};
}

}  // namespace

Status parse_postgres_facts(std::span<const Text> columns, Observation& out) {
    if (columns.size() != postgres_facts_columns) {
        return Error{ErrorCode::bad_length, "the answer has another shape"};
    }
    if (columns[standby] != "t" && columns[standby] != "f") return bad("pg_is_in_recovery()");
    out.in_recovery = columns[standby] == "t";
    // bigint in SQL, unsigned in the server.
    const auto identifier =
        columns[system_identifier] ? parse_number<int64_t>(*columns[system_identifier]) : std::nullopt;
    if (!identifier || *identifier == 0) return bad("the system identifier");
    out.system_identifier = static_cast<uint64_t>(*identifier);
    const auto number = columns[version] ? parse_number<int>(*columns[version]) : std::nullopt;
    if (!number || *number <= 0) return bad("server_version_num");
    out.server_version = *number;
    return out.in_recovery ? parse_standby(columns, out) : parse_primary(columns, out);
}

Position without_page_header(Position inserted, uint64_t block_bytes, uint64_t segment_bytes) {
    constexpr uint64_t page_header_bytes = 24;     // SizeOfXLogShortPHD
    constexpr uint64_t segment_header_bytes = 40;  // SizeOfXLogLongPHD, on a segment's first page
    if (inserted.lsn % segment_bytes == segment_header_bytes) return {inserted.lsn - segment_header_bytes};
    if (inserted.lsn % segment_bytes != page_header_bytes &&
        inserted.lsn % block_bytes == page_header_bytes) {
        return {inserted.lsn - page_header_bytes};
    }
    return inserted;
}

}  // namespace holdfast::health
