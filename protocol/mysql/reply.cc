#include "protocol/mysql/reply.h"

namespace holdfast::mysql {
namespace {

/// No server has more columns in a result (MySQL: 4,096; more come only from a liar).
constexpr uint64_t columns_max = 65'535;

}  // namespace

Reply::Reply(ReplyKind kind, uint64_t capabilities) : kind_(kind) {
    has_metadata_byte_ =
        (capabilities & (capability::optional_resultset_metadata | capability::cache_metadata)) != 0;
    has_prepare_metadata_ = (capabilities & capability::optional_resultset_metadata) != 0;
    if (kind == ReplyKind::rows) stage_ = Stage::rows;
    if (kind == ReplyKind::stream) stage_ = Stage::events;
}

bool Reply::needs_whole(uint8_t first_byte, uint32_t payload_bytes) const {
    switch (stage_) {
        case Stage::rows: return first_byte == reply::error || is_ok_of_rows(first_byte, payload_bytes);
        case Stage::columns: return first_byte == reply::error;
        case Stage::events: return first_byte == reply::error;
        case Stage::first:
            return kind_ != ReplyKind::fields || first_byte == reply::eof || first_byte == reply::error;
        // What may end an answer does not come in parts: the next one would begin in the middle of it.
        case Stage::parameters:
        case Stage::definitions:
        case Stage::infile:
        case Stage::done: break;
    }
    return true;
}

PacketRole Reply::advance(Bytes payload, uint32_t payload_bytes) {
    if (payload.empty() && stage_ != Stage::first) return PacketRole::lying;
    const uint8_t byte = payload.empty() ? uint8_t{0} : std::to_integer<uint8_t>(payload[0]);
    if (byte == reply::error && stage_ != Stage::done && !payload.empty()) {
        if (is_progress_report(payload)) return PacketRole::progress;
        // A row's first column can't begin like this; a column definition neither ("def" is its first text).
        stage_ = Stage::done;
        return PacketRole::error;
    }
    switch (stage_) {
        case Stage::first: return first(payload, payload_bytes);
        case Stage::columns:
            if (--columns_left_ > 0) return PacketRole::column;
            stage_ = Stage::rows;
            return PacketRole::last_column;
        case Stage::rows:
            if (!is_ok_of_rows(byte, payload_bytes)) return PacketRole::row;
            return take_ok(payload, PacketRole::end_of_rows);
        case Stage::parameters:
            if (--parameters_left_ > 0) return PacketRole::definition;
            stage_ = columns_left_ > 0 ? Stage::definitions : Stage::done;
            return PacketRole::last_parameter;
        case Stage::definitions:
            if (--columns_left_ > 0) return PacketRole::definition;
            stage_ = Stage::done;
            return PacketRole::last_prepared_column;
        case Stage::events:
            if (byte == reply::eof && payload_bytes < 9) stage_ = Stage::done;
            return PacketRole::event;
        case Stage::infile:
        case Stage::done: return PacketRole::lying;
    }
    return PacketRole::lying;
}

PacketRole Reply::first(Bytes payload, uint32_t payload_bytes) {
    switch (kind_) {
        case ReplyKind::result: return first_of_result(payload);
        case ReplyKind::prepare: return first_of_prepare(payload);
        case ReplyKind::fields:
            if (!payload.empty() && is_ok_of_rows(std::to_integer<uint8_t>(payload[0]), payload_bytes))
                return take_ok(payload, PacketRole::end_of_rows);
            return PacketRole::column;
        case ReplyKind::text: stage_ = Stage::done; return PacketRole::text;
        case ReplyKind::single: {
            if (payload.empty()) return PacketRole::lying;
            const auto byte = std::to_integer<uint8_t>(payload[0]);
            if (byte != reply::ok && byte != reply::eof) return PacketRole::lying;
            return take_ok(payload, PacketRole::ok);
        }
        case ReplyKind::rows:
        case ReplyKind::stream: break;
    }
    return PacketRole::lying;
}

PacketRole Reply::take_ok(Bytes payload, PacketRole role) {
    if (is_eof(payload) && payload.size() <= 5) {
        const auto eof = parse_eof(payload);
        if (!eof) return PacketRole::lying;
        ok_ = {};
        ok_.status = eof->status;
        ok_.warnings = eof->warnings;
    } else {
        const auto parsed = parse_ok(payload, capability::protocol_41 | capability::session_track);
        if (!parsed) return PacketRole::lying;
        ok_ = *parsed;
    }
    const bool more = kind_ == ReplyKind::result && (ok_.status & status::more_results) != 0;
    stage_ = more ? Stage::first : Stage::done;
    return role;
}

PacketRole Reply::first_of_result(Bytes payload) {
    if (payload.empty()) return PacketRole::lying;
    switch (std::to_integer<uint8_t>(payload[0])) {
        case reply::ok: return take_ok(payload, PacketRole::ok);
        // Some servers answer a command that yields nothing with an OK of the other header.
        case reply::eof: return payload.size() < 9 ? take_ok(payload, PacketRole::ok) : PacketRole::lying;
        case reply::local_infile: stage_ = Stage::infile; return PacketRole::local_infile;
        default: break;
    }
    PacketReader reader(payload);
    columns_ = columns_left_ = reader.lenenc();
    bool has_definitions = true;
    if (has_metadata_byte_ && !reader.at_end()) has_definitions = reader.u8() != 0;
    if (reader.failed() || !reader.at_end() || columns_left_ == 0 || columns_left_ > columns_max)
        return PacketRole::lying;
    stage_ = has_definitions ? Stage::columns : Stage::rows;
    return PacketRole::column_count;
}

PacketRole Reply::first_of_prepare(Bytes payload) {
    PacketReader reader(payload);
    if (reader.u8() != reply::ok) return PacketRole::lying;
    statement_id_ = reader.u32();
    columns_ = columns_left_ = reader.u16();
    parameters_ = parameters_left_ = reader.u16();
    reader.u8();
    reader.u16();  // warnings
    if (reader.failed()) return PacketRole::lying;
    if (has_prepare_metadata_ && !reader.at_end() && reader.u8() == 0) columns_left_ = parameters_left_ = 0;
    stage_ = parameters_left_ > 0 ? Stage::parameters : columns_left_ > 0 ? Stage::definitions : Stage::done;
    return PacketRole::prepared;
}

void Reply::file_sent() {
    if (stage_ == Stage::infile) stage_ = Stage::first;
}

}  // namespace holdfast::mysql
