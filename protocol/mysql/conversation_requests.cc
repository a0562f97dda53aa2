// The client's side: cutting its bytes into commands, and taking those that go to a server.
#include <algorithm>

#include "protocol/dialect/rerun.h"
#include "protocol/mysql/conversation.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/schema.h"

namespace holdfast::mysql {
namespace {

using dialect::Cut;
using dialect::CutKind;
using sql::Control;
using sql::Destination;

/// The first byte of what a replica acknowledges events with.
/// spec    MariaDB Knowledge Base, "Semisynchronous Replication Plugin: ACK packet"
constexpr uint8_t semi_sync_acknowledgement = 0xef;

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

/// Whether a statement may change what a later text means: by the character set, the SQL mode, the schema, or
/// what a name was prepared for.
bool changes_reading(const sql::Statement& statement) {
    switch (statement.reason) {
        case sql::Reason::opaque:
        case sql::Reason::unparsed:
        case sql::Reason::unknown_function:
        case sql::Reason::writing_function: return true;
        default: break;
    }
    return statement.executes_prepared ||
           std::any_of(statement.effects.begin(), statement.effects.end(), [](const sql::Effect& effect) {
               return effect.kind == sql::EffectKind::set || effect.kind == sql::EffectKind::set_opaque ||
                      effect.kind == sql::EffectKind::prepare || effect.kind == sql::EffectKind::deallocate;
           });
}

bool is_opaque(const sql::Classification& text) {
    const auto begin = text.statements.begin();
    return std::any_of(begin, begin + static_cast<std::ptrdiff_t>(text.statement_count),
                       [](const sql::Statement& each) { return each.is_opaque; });
}

/// Whether what servers report of variables holds for this statement only.
/// executed    what it runs, if it is an EXECUTE
bool sets_statement(const sql::Statement& statement, const sql::Classification* executed) {
    if (statement.is_set_statement || !executed) return statement.is_set_statement;
    return executed->statement_count > 0 && executed->statements[0].is_set_statement;
}

}  // namespace

void CutScratch::clear() {
    facts = dialect::UnitFacts::of_nothing();
    size = 0;
    stream_left = 0;
    continues = false;
    statement = {};
    statement_id = 0;
    is_answered = true;
    opens_cursor = false;
    is_last_prepared = false;
    ends_transaction = false;
    unlocks = prepares_xa = false;
    query.statement_count = 0;
    query.has_effects = query.has_control = query.truncated = false;
}

Cut Conversation::cut(Bytes in, bool, ByteBuffer& out) {
    scratch_.clear();
    scratch_.of = this;
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
            (file_under_way_ ? units_.front() : units_.back()).next_sequence =
                static_cast<uint8_t>(header->sequence + 1);
        stream_sequence_ = header->sequence;
    }
    // A file goes on behind this packet.
    if (!stream_under_way() && deferred_ && !file_under_way_) {
        append_err(out, static_cast<uint8_t>(stream_sequence_ + 1), deferred_->number, deferred_->sqlstate,
                   deferred_->message);
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
        stream_continues_ = header->continues();  // what comes then is no end, though it may be empty
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
        if (stream_under_way()) break;
    }
    if (size == 0) return {};
    return {file_dropped_ ? CutKind::drop : CutKind::stream, size};
}

void Conversation::begin_stream(bool dropped) {
    stream_left_ = scratch_.stream_left;
    stream_continues_ = scratch_.continues;
    stream_dropped_ = dropped;
    stream_sequence_ = 0;
}

Cut Conversation::drop_request() {
    begin_stream(true);
    return {CutKind::drop, scratch_.size};
}

/// A transaction that only reads lives on a replica, and what comes next ends it and may write: nothing of it
/// is left to be committed there, so that it is given up. False: what is in flight must be answered first.
bool Conversation::leave_replica() {
    if (transaction_ != Transaction::active || !slots_[index(active_)].is_replica || !corrects_) return true;
    if (transaction_ends_ > 0) return false;
    const bool writes_behind =
        scratch_.ends_transaction && scratch_.facts.destination == Destination::primary;
    if (!writes_behind) return true;
    if (!units_.empty()) return false;
    forget_transaction();
    slots_[index(active_)].needs_rollback = true;
    return true;
}

/// Whether unqualified names are those of a schema that differs on each server.
bool Conversation::is_of_system_schema() {
    const Prepared* prepared = scratch_.statement_id != 0 ? find_prepared(scratch_.statement_id) : nullptr;
    return prepared ? is_system_schema(prepared->schema) : is_system_schema_;
}

Cut Conversation::begin_or_wait(ByteBuffer& out) {
    // What a server that is read-only tells those who may not override that.
    if (only_reads_ && scratch_.unlocks) {
        return answer_here(out, error::read_only, "HY000",
                           "this listener is for reads: what may write is refused (the --read-only option)");
    }
    if (!leave_replica()) return {CutKind::wait};
    if (!is_autocommit_) {
        // Whatever touches a table begins a transaction.
        scratch_.facts.destination = Destination::primary;
        if (scratch_.facts.reason == sql::Reason::read) scratch_.facts.reason = sql::Reason::begin;
    } else if (!next_transaction_.empty() && scratch_.facts.destination == Destination::replica) {
        // SET TRANSACTION holds for this statement.
        scratch_.facts.destination = Destination::primary;
        scratch_.facts.reason = sql::Reason::begin;
    } else if (is_of_system_schema() && scratch_.facts.destination == Destination::replica) {
        scratch_.facts.destination = Destination::primary;
        scratch_.facts.reason = sql::Reason::server_local;
    }
    return {CutKind::begin, scratch_.size};
}

bool Conversation::accept(Bytes in, Slot slot, ByteBuffer& prefix) {
    scratch_.of = nullptr;
    if (units_.empty()) active_ = slot;
    begin_stream(false);
    append_closes(slot, prefix);
    const dialect::UnitFacts& facts = scratch_.facts;
    const uint8_t command = scratch_.command;
    SlotState& state = slots_[index(slot)];
    if (!scratch_.is_answered) {
        Prepared* prepared = find_prepared(scratch_.statement_id);
        if (prepared->has_long_data && prepared->long_data_slot != slot) {
            drop_long_data(*prepared);
            prepared->lost_long_data = true;
        }
        if (!prepared->has_long_data) ++pins_.long_data;
        prepared->has_long_data = true;
        prepared->long_data_slot = slot;
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
    Prepared* of = scratch_.statement_id != 0 ? find_prepared(scratch_.statement_id) : nullptr;
    bool lacks_long_data = false;
    if (of && (of->has_long_data || of->lost_long_data) && command != command::stmt_fetch) {
        // They are used up with it, whatever comes of it.
        unit.resendable = false;
        lacks_long_data = of->has_long_data && of->long_data_slot != slot && command != command::stmt_reset;
        if (of->has_long_data && of->long_data_slot != slot) {
            drop_long_data(*of);
        } else {
            forget_long_data(*of);
        }
    }
    unit.may_write = facts.may_write;
    unit.commits = facts.commits;
    unit.ends_transaction = scratch_.ends_transaction;
    unit.prepares_xa = scratch_.prepares_xa;
    if (unit.ends_transaction) ++transaction_ends_;
    unit.needs_primary = facts.destination == Destination::primary;
    unit.statement_id = scratch_.statement_id;
    unit.statement = scratch_.statement;
    if (scratch_.is_last_prepared) unit.names_last = std::make_unique<std::string>(as_text(in));
    if (command == command::stmt_prepare) unit.statement_id = ++last_statement_id_;
    if (command == command::binlog_dump || command == command::binlog_dump_gtid ||
        command == command::register_slave)
        pins_.replication = true;

    unit.changes_reading = command == command::reset_connection || command == command::init_db;
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
        for (uint32_t i = 0; i < classes->statement_count; ++i) {
            const sql::Statement& each = classes->statements[i];
            const auto* text = each.executes_prepared ? executed_text(each) : nullptr;
            unit.is_call |= each.is_opaque || (each.executes_prepared && !text) || (text && is_opaque(*text));
            unit.trackers_lie |= sets_statement(each, text);
            unit.changes_reading |= changes_reading(each);
        }
        note_statements(*classes, unit);
        unit.asks_for_locks = unit.statements && dialect::ask_for_locks(*unit.statements);
        // Some of what these do may be done when the server refuses the rest.
        if (unit.is_call || command == command::stmt_bulk_execute) unit.resendable = false;
    }
    // Settings changed somewhere in a text that was not read can't be replayed.
    if (facts.too_long && classes && dialect::may_hide_settings(*classes))
        pins_.settings = unit.changes_reading = true;
    if (unit.statement_id != 0 && command != command::stmt_prepare) {
        const size_t at = prefix.size();
        append_request(in, unit, slot, prefix);
        // Refused, rather than run without them.
        if (lacks_long_data) store_le32(prefix.data() + at + packet_header_bytes + 1, 0);
        return false;
    }
    return true;
}

/// Keeps the statements of a unit, when one of them leaves something in the session. An EXECUTE leaves what
/// its text does.
void Conversation::note_statements(const sql::Classification& classes, Unit& unit) {
    const auto begin = classes.statements.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(classes.statement_count);
    const auto executes = [&](const sql::Statement& each) {
        const auto* text = each.executes_prepared ? executed_text(each) : nullptr;
        return text && text->has_effects;
    };
    if (!unit.trackers_lie && !std::any_of(begin, end, executes)) return unit.keep_statements(classes);
    unit.statements = std::make_unique<std::vector<sql::Statement>>(begin, end);
    for (sql::Statement& each : *unit.statements) {
        each.is_set_statement = sets_statement(each, each.executes_prepared ? executed_text(each) : nullptr);
        if (!executes(each)) continue;
        const sql::Classification& text = *executed_text(each);
        for (uint32_t i = 0; i < text.statement_count; ++i) {
            const auto& effects = text.statements[i].effects;
            each.effects.insert(each.effects.end(), effects.begin(), effects.end());
        }
    }
}

bool Conversation::rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) {
    active_ = slot;
    answer_is_complete_ = false;
    append_closes(slot, prefix);
    for (size_t i = 0; i < units_.size(); ++i) {
        Unit& unit = units_.at(i);
        unit.reply = Reply(reply_kind(unit.command), slots_[index(slot)].capabilities);
        unit.run_again();
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
            scratch_.facts.text =
                unit.statement
                    ? std::string_view(unit.statement->text())
                    : query_text(request.subspan(packet_header_bytes)).value_or(std::string_view());
        }
        requests = requests.subspan(request.size());
    }
    return false;
}

}  // namespace holdfast::mysql
