// The client's side: cutting its bytes into commands, and taking those that go to a server.
#include <algorithm>

#include "protocol/dialect/rerun.h"
#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {
namespace {

using dialect::Cut;
using dialect::CutKind;
using sql::Control;
using sql::Destination;

/// The first byte of what a replica acknowledges events with.
constexpr uint8_t semi_sync_acknowledgement = 0xef;

/// Whether a text begins with the word SET, behind spaces and comments: those that servers run count as text.
bool begins_with_set(std::string_view text) {
    const auto skip_behind = [&text](std::string_view end) {
        const size_t at = text.find(end);
        text.remove_prefix(at == std::string_view::npos ? text.size() : at + end.size());
    };
    while (!text.empty()) {
        if (text.starts_with("/*!") || text.starts_with("/*M!")) {
            text.remove_prefix(text.find('!') + 1);
            text.remove_prefix(std::min(text.find_first_not_of("0123456789"), text.size()));
        } else if (text.starts_with("/*")) {
            text.remove_prefix(2);
            skip_behind("*/");
        } else if (text[0] == '#' || text.starts_with("--")) {
            skip_behind("\n");
        } else if (std::string_view(" \t\n\v\f\r").find(text[0]) != std::string_view::npos) {
            text.remove_prefix(1);
        } else {
            break;
        }
    }
    return text.size() > 3 && (text[0] | 0x20) == 's' && (text[1] | 0x20) == 'e' && (text[2] | 0x20) == 't';
}

/// How the answer to a command is built.
ReplyKind reply_kind(uint8_t command) {
    switch (command) {
        case command::stmt_prepare: return ReplyKind::prepare;
        case command::stmt_fetch: return ReplyKind::rows;
        case command::field_list: return ReplyKind::fields;
        case command::statistics: return ReplyKind::text;
        case command::binlog_dump:
        case command::binlog_dump_gtid: return ReplyKind::stream;
        case command::ping:
        case command::init_db:
        case command::set_option:
        case command::reset_connection:
        case command::stmt_reset:
        case command::debug:
        case command::refresh:
        case command::create_db:
        case command::drop_db:
        case command::register_slave: return ReplyKind::single;
        default: return ReplyKind::result;
    }
}

}  // namespace

void CutScratch::clear() {
    facts = dialect::UnitFacts::of_nothing();
    size = 0;
    stream_left = 0;
    continues = false;
    last_sequence = 0;
    statement = {};
    statement_id = 0;
    is_answered = true;
    opens_cursor = false;
    is_last_prepared = false;
    query.statement_count = 0;
    query.has_effects = query.has_control = query.truncated = false;
}

Cut Conversation::cut(Bytes in, bool, ByteBuffer& out) {
    scratch_.clear();
    if (in.empty()) return {};
    if (stream_under_way()) return cut_stream(in, out);
    if (file_under_way_) return cut_file(in, out);

    const auto header = peek_packet_header(in);
    if (!header) return {};
    if (header->sequence != 0) {
        // A file that the server did not ask for, or bytes that are no packet.
        detail_ =
            "a packet with sequence number " + std::to_string(header->sequence) + " where a command begins";
        return {CutKind::malformed};
    }
    const size_t there = std::min<size_t>(in.size() - packet_header_bytes, header->payload_bytes);
    if (header->payload_bytes > 0 && there == 0) return {};
    const bool whole = there == header->payload_bytes && !header->continues();
    scratch_.size = packet_header_bytes + there;
    scratch_.stream_left = header->payload_bytes - there;
    scratch_.continues = header->continues();
    const Bytes payload = in.subspan(packet_header_bytes, there);
    if (payload.empty()) return answer_here(out, 1047, "08S01", "an empty packet is no command");
    scratch_.command = std::to_integer<uint8_t>(payload[0]);
    if (scratch_.command == semi_sync_acknowledgement && pins_.replication && !units_.empty()) {
        // What a replica says while events come to it: nobody answers it.
        begin_stream(false);
        return {CutKind::stream, scratch_.size};
    }
    return cut_command(payload, whole, out);
}

/// The rest of a long request whose beginning was dealt with.
Cut Conversation::cut_stream(Bytes in, ByteBuffer& out) {
    size_t size = std::min(stream_left_, in.size());
    stream_left_ -= size;
    while (stream_left_ == 0 && stream_continues_) {
        const auto header = peek_packet_header(in.subspan(size));
        if (!header) break;
        stream_continues_ = header->continues();
        const size_t there = std::min<size_t>(in.size() - size - packet_header_bytes, header->payload_bytes);
        size += packet_header_bytes + there;
        stream_left_ = header->payload_bytes - there;
        if (!units_.empty() && !stream_dropped_)
            units_.back().next_sequence = static_cast<uint8_t>(header->sequence + 1);
        scratch_.last_sequence = header->sequence;
    }
    if (!stream_under_way() && deferred_) {
        append_err(out, static_cast<uint8_t>(scratch_.last_sequence + 1), deferred_->number,
                   deferred_->sqlstate, deferred_->message);
        deferred_.reset();
        return {CutKind::answer, size};
    }
    if (size == 0) return {};
    return {stream_dropped_ ? CutKind::drop : CutKind::stream, size};
}

/// A file that the server asked for: packets up to an empty one.
Cut Conversation::cut_file(Bytes in, ByteBuffer& out) {
    size_t size = 0;
    while (file_under_way_) {
        const auto header = peek_packet_header(in.subspan(size));
        if (!header) break;
        const size_t there = std::min<size_t>(in.size() - size - packet_header_bytes, header->payload_bytes);
        size += packet_header_bytes + there;
        stream_left_ = header->payload_bytes - there;
        stream_dropped_ = file_dropped_;
        if (!file_dropped_ && !units_.empty())
            units_.front().next_sequence = static_cast<uint8_t>(header->sequence + 1);
        if (header->payload_bytes == 0) {
            file_under_way_ = false;
            if (!file_dropped_ && !units_.empty()) units_.front().reply.file_sent();
            if (deferred_) {
                append_err(out, static_cast<uint8_t>(header->sequence + 1), deferred_->number,
                           deferred_->sqlstate, deferred_->message);
                deferred_.reset();
                return {CutKind::answer, size};
            }
        }
        if (stream_left_ > 0) break;
    }
    if (size == 0) return {};
    return {file_dropped_ ? CutKind::drop : CutKind::stream, size};
}

void Conversation::begin_stream(bool dropped) {
    stream_left_ = scratch_.stream_left;
    stream_continues_ = scratch_.continues;
    stream_dropped_ = dropped;
}

Cut Conversation::drop_request() {
    begin_stream(true);
    return {CutKind::drop, scratch_.size};
}

Cut Conversation::begin_or_wait() {
    if (!is_autocommit_) {
        // Whatever touches a table begins a transaction.
        scratch_.facts.destination = Destination::primary;
        if (scratch_.facts.reason == sql::Reason::read) scratch_.facts.reason = sql::Reason::begin;
    } else if (is_system_schema_ && scratch_.facts.destination == Destination::replica) {
        scratch_.facts.destination = Destination::primary;
        scratch_.facts.reason = sql::Reason::server_local;
    }
    return {CutKind::begin, scratch_.size};
}

bool Conversation::accept(Bytes in, Slot slot, ByteBuffer& prefix) {
    if (units_.empty()) active_ = slot;
    begin_stream(false);
    append_closes(slot, prefix);
    const dialect::UnitFacts& facts = scratch_.facts;
    const uint8_t command = scratch_.command;
    SlotState& state = slots_[index(slot)];
    if (!scratch_.is_answered) {
        Prepared* prepared = find_prepared(scratch_.statement_id);
        if (!prepared->has_long_data) ++pins_.long_data;
        prepared->has_long_data = true;
        Unit none;
        none.command = command;
        none.statement_id = scratch_.statement_id;
        append_request(in, none, slot, prefix);
        return false;
    }
    if (command == command::set_option)
        option_wanted_ = in.size() > packet_header_bytes + 1 && in[packet_header_bytes + 1] == std::byte{0};
    if (units_.empty()) reported_write_ = false;
    Unit& unit = units_.push({});
    unit.command = command;
    unit.reply = Reply(reply_kind(command), state.capabilities);
    unit.rerunnable = facts.rerunnable && !stream_under_way();
    unit.resendable = !stream_under_way() && command != command::stmt_fetch;
    unit.may_write = facts.may_write;
    unit.commits = facts.commits;
    unit.needs_primary = facts.destination == Destination::primary;
    unit.statement_id = scratch_.statement_id;
    unit.statement = scratch_.statement;
    if (command == command::stmt_prepare) unit.statement_id = ++last_statement_id_;
    if (command == command::binlog_dump || command == command::binlog_dump_gtid ||
        command == command::register_slave)
        pins_.replication = true;

    const bool runs = command == command::query || command == command::stmt_execute ||
                      command == command::stmt_bulk_execute;
    const sql::Classification* classes = command == command::query    ? &scratch_.query
                                         : runs && scratch_.statement ? &scratch_.statement->classes
                                                                      : nullptr;
    if (classes && classes->statement_count > 0) {
        const sql::Statement& first = classes->statements[0];
        if (classes->statement_count == 1) {
            unit.begins = dialect::is_begin(first.control);
            unit.is_rollback = first.control == Control::rollback;
        }
        for (uint32_t i = 0; i < classes->statement_count; ++i)
            unit.is_call |= classes->statements[i].reason == sql::Reason::opaque;
        unit.keep_statements(*classes);
        unit.trackers_lie = first.reason != sql::Reason::session_state && begins_with_set(facts.text);
    }
    // Settings changed somewhere in a text that was not read can't be replayed.
    if (facts.too_long && classes && dialect::may_hide_settings(*classes)) pins_.settings = true;
    if (unit.statement_id != 0 && command != command::stmt_prepare) {
        append_request(in, unit, slot, prefix);
        return false;
    }
    return true;
}

bool Conversation::rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) {
    active_ = slot;
    answer_is_complete_ = false;
    append_closes(slot, prefix);
    for (size_t i = 0; i < units_.size(); ++i) {
        Unit& unit = units_.at(i);
        unit.reply = Reply(reply_kind(unit.command), slots_[index(slot)].capabilities);
        unit.run_again();
        unit.next_sequence = 1;
        unit.shift = 0;
        unit.owes_eof = false;
        const auto header = peek_packet_header(requests);
        if (!header || requests.size() < header->total_bytes()) break;
        const Bytes request = requests.first(header->total_bytes());
        if (unit.statement_id != 0 && unit.command != command::stmt_prepare) {
            append_request(request, unit, slot, prefix);
        } else {
            append(prefix, request);
        }
        if (i == 0) {
            bool readable = true;
            scratch_.facts.text = unit.statement ? std::string_view(unit.statement->text())
                                                 : query_text(request.subspan(packet_header_bytes), readable);
        }
        requests = requests.subspan(request.size());
    }
    return false;
}

}  // namespace holdfast::mysql
