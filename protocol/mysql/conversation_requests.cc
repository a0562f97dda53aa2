// The client's side: cutting its bytes into commands, and keeping account of what the server will answer.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/dialect/rerun.h"
#include "protocol/mysql/conversation.h"
#include "protocol/mysql/errors.h"

namespace holdfast::mysql {
namespace {

using dialect::Cut;
using dialect::CutKind;
using sql::Control;
using sql::Destination;

/// COM_STMT_EXECUTE's statement id for "the last one prepared" (MariaDB).
constexpr uint32_t last_prepared_id = 0xffffffff;
constexpr size_t statement_head_bytes = 5;  // command and statement id
/// COM_STMT_EXECUTE: what stands before its NULL bitmap.
constexpr size_t execute_head_bytes = 10;

bool names_statement(uint8_t command) {
    switch (command) {
        case command::stmt_execute:
        case command::stmt_bulk_execute:
        case command::stmt_send_long_data:
        case command::stmt_fetch:
        case command::stmt_reset: return true;
        default: return false;
    }
}

}  // namespace

void CutScratch::clear() {
    facts = {};
    facts.destination = Destination::transaction;
    facts.reason = sql::Reason::empty;
    facts.rerunnable = true;
    facts.may_write = false;
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

sql::Context Conversation::context(bool truncated) const {
    sql::Context context;
    context.encoding_is_safe = encoding_is_safe_;
    context.ansi_quotes = ansi_quotes_;
    context.no_backslash_escapes = no_backslash_escapes_;
    context.is_mariadb = around_.is_mariadb;
    context.server_version = around_.server_version;
    context.functions = statements_.sources().functions;
    context.truncated = truncated;
    return context;
}

bool Conversation::is_usual_context() const {
    return encoding_is_safe_ && !ansi_quotes_ && !no_backslash_escapes_;
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

Cut Conversation::cut_command(Bytes payload, bool whole, ByteBuffer& out) {
    const uint8_t command = scratch_.command;
    if (command == command::quit) return {CutKind::terminate, scratch_.size};
    if (command == command::stmt_close) {
        // Nobody answers it. Connections that have the statement are told with their next command.
        if (!whole) return {};
        if (payload.size() < statement_head_bytes) return drop_request();
        const uint32_t id = load_le32(payload.data() + 1);
        if (Prepared* prepared = find_prepared(id)) {
            // An answer that is still to come may be the statement's own.
            for (size_t i = 0; i < units_.size(); ++i) {
                if (units_.at(i).statement_id == id) return {CutKind::wait};
            }
            for (const Slot slot : {Slot::a, Slot::b}) {
                if (is_present(*prepared, slot))
                    slots_[index(slot)].closes.push_back(prepared->server_id[index(slot)]);
            }
            if (prepared->has_long_data && pins_.long_data > 0) --pins_.long_data;
            if (prepared->has_cursor && pins_.held_cursors > 0) --pins_.held_cursors;
            prepared_->erase(id);
        }
        return drop_request();
    }
    if (command == command::change_user) {
        if (!whole) return payload.size() < limits::login_buffered_bytes_max ? Cut{} : drop_request();
        if (!units_.empty()) return {CutKind::wait};
        return {CutKind::log_in, scratch_.size};
    }
    if (lost_ && command != command::ping && command != command::query &&
        command != command::reset_connection && command != command::stmt_send_long_data) {
        return answer_lost(out);
    }
    if (command == command::query) return cut_query(payload, whole, out);
    if (names_statement(command) || command == command::stmt_prepare)
        return cut_statement_command(payload, whole, out);

    // Everything else is short.
    if (!whole && payload.size() < limits::mysql_short_command_bytes_max && !scratch_.continues) return {};
    dialect::UnitFacts& facts = scratch_.facts;
    switch (command) {
        case command::ping:
            if (!units_.empty()) return begin_or_wait();
            return answer_ok(out);
        case command::init_db: facts.reason = sql::Reason::session_state; return begin_or_wait();
        case command::set_option: facts.reason = sql::Reason::session_state; return begin_or_wait();
        case command::reset_connection:
            lost_.reset();
            demand_primary(sql::Reason::session_state);
            facts.rerunnable = true;
            facts.may_write = false;
            return begin_or_wait();
        case command::field_list: facts.reason = sql::Reason::read; return begin_or_wait();
        case command::statistics:
        case command::process_info:
        case command::debug:
            demand_primary(sql::Reason::server_local);
            facts.may_write = false;
            return begin_or_wait();
        case command::create_db:
        case command::drop_db: demand_primary(sql::Reason::ddl); return begin_or_wait();
        case command::refresh:
        case command::register_slave: demand_primary(sql::Reason::server_local); return begin_or_wait();
        case command::binlog_dump:
        case command::binlog_dump_gtid:
            if (!units_.empty()) return {CutKind::wait};
            demand_primary(sql::Reason::server_local);
            facts.may_write = false;
            return begin_or_wait();
        case command::process_kill: {
            PacketReader reader(payload.subspan(1));
            const uint32_t id = reader.u32();
            if (reader.failed()) return answer_here(out, 1835, "HY000", "COM_PROCESS_KILL without a number");
            return ask_kill(id, true);
        }
        case command::shutdown:
            return answer_here(out, 1227, "42000",
                               "Access denied: the proxy does not pass COM_SHUTDOWN on; shut the server down "
                               "on a connection of its own");
        default: return answer_here(out, 1047, "08S01", "Unknown command");
    }
}

/// The text of a COM_QUERY, behind its attributes when there are any. `ok`: false when they make no sense.
std::string_view Conversation::query_text(Bytes payload, bool& ok) const {
    ok = true;
    if (!client_has(capability::query_attributes)) return as_text(payload.subspan(1));
    // parameter_count, parameter_set_count, [NULL bitmap, new_params_bind_flag, types and names, values]
    PacketReader reader(payload.subspan(1));
    const uint64_t count = reader.lenenc();
    reader.lenenc();
    if (count == 0 && !reader.failed()) return as_text(reader.rest());
    // Values are not looked into: how long they are depends on their types, and no attribute is worth it.
    ok = false;
    return {};
}

Cut Conversation::cut_query(Bytes payload, bool whole, ByteBuffer& out) {
    if (!whole && payload.size() < limits::statement_classified_bytes_max && scratch_.stream_left > 0)
        return {};
    const bool too_long = !whole || payload.size() > limits::statement_classified_bytes_max;
    bool readable = true;
    const std::string_view text =
        query_text(payload, readable).substr(0, limits::statement_classified_bytes_max);
    if (readable) {
        sql::classify(sql::Dialect::mysql, text, context(too_long), scratch_.query);
        take_classes(scratch_.query);
        scratch_.facts.text = text;
    } else {
        demand_primary(sql::Reason::unparsed);
    }
    if (too_long) {
        scratch_.facts.too_long = true;
        scratch_.facts.rerunnable = false;
        scratch_.facts.may_write = true;
        scratch_.facts.destination = Destination::primary;
        scratch_.facts.reason = sql::Reason::too_long;
    }
    if (lost_) return answer_lost(out);
    if (scratch_.query.statement_count == 1) {
        const sql::Statement& only = scratch_.query.statements[0];
        if (only.kill != sql::Statement::Kill::none)
            return ask_kill(only.kill_id, only.kill == sql::Statement::Kill::connection);
        if (only.asks_connection_id) {
            if (!units_.empty()) return {CutKind::wait};
            return answer_connection_id(only.name, out);
        }
    }
    return begin_or_wait();
}

Cut Conversation::cut_statement_command(Bytes payload, bool whole, ByteBuffer& out) {
    const uint8_t command = scratch_.command;
    dialect::UnitFacts& facts = scratch_.facts;
    if (command == command::stmt_prepare) {
        if (!whole && payload.size() < limits::statement_classified_bytes_max && scratch_.stream_left > 0)
            return {};
        const bool too_long = !whole || payload.size() > limits::statement_classified_bytes_max;
        const std::string_view text =
            as_text(payload.subspan(1)).substr(0, limits::statement_classified_bytes_max);
        scratch_.statement = statements_.intern(text, context(too_long), is_usual_context() && !too_long);
        take_classes(scratch_.statement->classes);
        facts.text = scratch_.statement->text;
        // Preparing runs nothing.
        facts.rerunnable = !too_long;
        facts.may_write = false;
        facts.commits = false;
        facts.same_connection = false;
        if (too_long) {
            facts.too_long = true;
            facts.destination = Destination::primary;
        }
        return begin_or_wait();
    }

    // The others begin with a statement's id, and may be long (parameters): their head is enough.
    if (!whole && payload.size() < execute_head_bytes) return {};
    if (!whole && payload.size() + scratch_.stream_left <= limits::statement_retained_bytes_max) return {};
    if (payload.size() < statement_head_bytes)
        return answer_here(out, 1835, "HY000", "Malformed communication packet");
    uint32_t id = load_le32(payload.data() + 1);
    if (id == last_prepared_id) {
        if (!units_.empty() && units_.back().command == command::stmt_prepare) {
            scratch_.is_last_prepared = true;
            scratch_.statement = units_.back().statement;
            take_classes(scratch_.statement->classes);
            facts.text = scratch_.statement->text;
            facts.same_connection = true;
            facts.rerunnable = false;  // what it names there can't be told to another connection in time
            return begin_or_wait();
        }
        id = last_prepared_;
    }
    Prepared* prepared = find_prepared(id);
    if (!prepared) {
        if (command == command::stmt_send_long_data) return drop_request();  // nobody answers it
        return answer_here(
            out, 1243, "HY000",
            "Unknown prepared statement handler (" + std::to_string(id) + ") given to the command");
    }
    if (!prepared->error.empty()) {
        // It could not be prepared again on the connection that it needs.
        if (!units_.empty()) return {CutKind::wait};
        const std::string told = std::exchange(prepared->error, {});
        const auto err = parse_err(as_bytes(told));
        const Deferred why =
            err ? Deferred{err->number, std::string(err->sqlstate), std::string(err->message)}
                : Deferred{1243, "HY000", "the statement could not be prepared again"};
        return answer_here(out, why.number, why.sqlstate, why.message);
    }
    scratch_.statement_id = id;
    scratch_.statement = prepared->statement;
    take_classes(prepared->statement->classes);
    facts.text = prepared->statement->text;
    const bool is_partial = !whole;
    switch (command) {
        case command::stmt_execute:
            if (payload.size() < execute_head_bytes)
                return answer_here(out, 1835, "HY000", "Malformed communication packet");
            scratch_.opens_cursor = std::to_integer<uint8_t>(payload[5]) != 0;
            if (scratch_.opens_cursor || prepared->has_long_data || prepared->has_cursor || is_partial) {
                facts.destination = Destination::primary;
                facts.rerunnable = false;
            }
            break;
        case command::stmt_bulk_execute:
            facts.destination = Destination::primary;
            facts.rerunnable = false;
            facts.may_write = true;
            break;
        case command::stmt_send_long_data:
            scratch_.is_answered = false;
            demand_primary(sql::Reason::session_state);
            facts.may_write = false;
            break;
        case command::stmt_fetch:
            demand_primary(sql::Reason::cursor);
            facts.may_write = false;
            break;
        case command::stmt_reset:
            if (!prepared->has_cursor && !prepared->has_long_data) {
                if (!units_.empty()) return {CutKind::wait};
                return answer_ok(out);
            }
            demand_primary(sql::Reason::session_state);
            facts.may_write = false;
            break;
        default: break;
    }
    // While requests are in flight, the connection can't be brought to have the statement.
    if (!units_.empty() && !is_present(*prepared, active_)) return {CutKind::wait};
    return begin_or_wait();
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

void Conversation::demand_primary(sql::Reason reason) {
    scratch_.facts.destination = Destination::primary;
    scratch_.facts.reason = reason;
    scratch_.facts.rerunnable = false;
    scratch_.facts.may_write = true;
}

/// Sums up what the classifier says of the statements of a command.
void Conversation::take_classes(const sql::Classification& classes) {
    dialect::UnitFacts& facts = scratch_.facts;
    facts.destination = classes.destination;
    facts.reason = classes.reason;
    facts.same_connection = classes.same_connection;
    for (uint32_t i = 0; i < classes.statement_count; ++i) {
        const sql::Statement& each = classes.statements[i];
        bool harmless = dialect::is_harmless(each) && !each.same_connection;
        if (each.executes_prepared) {
            const auto found = texts_ ? texts_->find(each.name) : decltype(texts_->end()){};
            const bool known = texts_ && found != texts_->end();
            const sql::Classification* inner = known ? &found->second->classes : nullptr;
            facts.destination = std::max(i == 0 ? Destination::replica : facts.destination,
                                         inner ? inner->destination : Destination::primary);
            facts.reason = inner ? inner->reason : sql::Reason::cursor;
            harmless = inner && inner->statement_count == 1 && dialect::is_harmless(inner->statements[0]);
        }
        if (each.control == Control::begin_read_only) facts.begins_read_only = true;
        facts.commits |= dialect::is_commit(each.control);
        if (!harmless) {
            facts.rerunnable = false;
            facts.may_write |= !each.same_connection;
        }
    }
    if (classes.truncated) {
        facts.rerunnable = false;
        facts.may_write = true;
    }
}

Cut Conversation::drop_request() {
    begin_stream(true);
    return {CutKind::drop, scratch_.size};
}

void Conversation::begin_stream(bool dropped) {
    stream_left_ = scratch_.stream_left;
    stream_continues_ = scratch_.continues;
    stream_dropped_ = dropped;
}

Cut Conversation::answer_here(ByteBuffer& out, uint16_t number, std::string_view sqlstate,
                              std::string_view message) {
    if (!units_.empty()) return {CutKind::wait};
    begin_stream(true);
    if (stream_under_way()) {
        deferred_ = std::make_unique<Deferred>(Deferred{number, std::string(sqlstate), std::string(message)});
        return {CutKind::drop, scratch_.size};
    }
    append_err(out, 1, number, sqlstate, message);
    return {CutKind::answer, scratch_.size};
}

Cut Conversation::answer_ok(ByteBuffer& out) {
    begin_stream(true);
    OkPacket ok;
    ok.status = last_status_;
    append_ok(out, 1, ok, around_.client_capabilities);
    return {CutKind::answer, scratch_.size};
}

Cut Conversation::ask_kill(uint64_t id, bool whole_session) {
    if (!units_.empty()) return {CutKind::wait};
    begin_stream(true);
    kill_ = {id, whole_session};
    return {CutKind::kill, scratch_.size};
}

void Conversation::answer_kill(dialect::KillOutcome outcome, ByteBuffer& out) {
    const std::string id = std::to_string(kill_.process_id);
    switch (outcome) {
        case dialect::KillOutcome::done: {
            OkPacket ok;
            ok.status = last_status_;
            append_ok(out, 1, ok, around_.client_capabilities);
            return;
        }
        case dialect::KillOutcome::no_such_session:
            append_err(out, 1, 1094, "HY000", "Unknown thread id: " + id);
            return;
        case dialect::KillOutcome::not_allowed:
            append_err(out, 1, 1095, "HY000", "You are not owner of thread " + id);
            return;
    }
}

/// SELECT CONNECTION_ID(): the number that KILL takes here is the proxy's.
Cut Conversation::answer_connection_id(std::string_view column, ByteBuffer& out) {
    uint8_t sequence = 1;
    {
        PacketWriter writer(out, sequence);
        writer.lenenc(1);
        if (client_has(capability::optional_resultset_metadata | capability::cache_metadata)) writer.u8(1);
        sequence = writer.finish();
    }
    {
        PacketWriter writer(out, sequence);
        writer.lenenc_text("def").lenenc_text("").lenenc_text("").lenenc_text("");
        writer.lenenc_text(column).lenenc_text("");
        if (client_has(capability::extended_metadata)) writer.lenenc_text("");
        writer.lenenc(0x0c).u16(63).u32(10).u8(0x08).u16(0x81).u8(0).u16(0);
        sequence = writer.finish();
    }
    if (!client_has(capability::deprecate_eof)) sequence = append_eof(out, sequence, {0, last_status_});
    {
        PacketWriter writer(out, sequence);
        writer.lenenc_text(std::to_string(around_.process_id));
        sequence = writer.finish();
    }
    if (client_has(capability::deprecate_eof)) {
        OkPacket ok;
        ok.status = last_status_;
        append_ok(out, sequence, ok, around_.client_capabilities, reply::eof);
    } else {
        append_eof(out, sequence, {0, last_status_});
    }
    begin_stream(true);
    return {CutKind::answer, scratch_.size};
}

ReplyKind Conversation::reply_kind(uint8_t command) const {
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
            unit.begins = first.control == Control::begin || first.control == Control::begin_read_only;
            unit.is_rollback = first.control == Control::rollback;
        }
        for (uint32_t i = 0; i < classes->statement_count; ++i)
            unit.is_call |= classes->statements[i].reason == sql::Reason::opaque;
        if (classes->has_effects || classes->has_control) {
            unit.statements = std::make_unique<std::vector<sql::Statement>>(
                classes->statements.begin(),
                classes->statements.begin() + static_cast<std::ptrdiff_t>(classes->statement_count));
        }
        unit.trackers_lie = first.reason != sql::Reason::session_state && facts.text.size() >= 13 &&
                            (facts.text[0] | 0x20) == 's' && (facts.text[1] | 0x20) == 'e' &&
                            (facts.text[2] | 0x20) == 't';
    }
    // Settings changed somewhere in a text that was not read can't be replayed.
    if (facts.too_long && classes &&
        (classes->statement_count != 1 || classes->statements[0].reason != sql::Reason::write)) {
        pins_.settings = true;
    }
    if (unit.statement_id != 0 && command != command::stmt_prepare) {
        append_request(in, unit, slot, prefix);
        return false;
    }
    return true;
}

/// Closes on the server what the client has closed since.
void Conversation::append_closes(Slot slot, ByteBuffer& prefix) {
    auto& closes = slots_[index(slot)].closes;
    for (const uint32_t id : closes) PacketWriter(prefix, 0).u8(command::stmt_close).u32(id).finish();
    closes.clear();
}

/// Appends a request that names a prepared statement, with the connection's own id of it.
void Conversation::append_request(Bytes request, const Unit& unit, Slot slot, ByteBuffer& out) {
    Prepared* prepared = find_prepared(unit.statement_id);
    if (!prepared || !is_present(*prepared, slot)) {
        append(out, request);  // the server says that it does not know it
        return;
    }
    if (unit.command == command::stmt_execute) return append_execute(request, *prepared, slot, out);
    const size_t at = out.size();
    append(out, request);
    store_le32(out.data() + at + packet_header_bytes + 1, prepared->server_id[index(slot)]);
}

/// COM_STMT_EXECUTE tells the parameters' types only when they have changed: another connection has to be
/// told all the same.
/// spec    MySQL Internals, "COM_STMT_EXECUTE"
void Conversation::append_execute(Bytes request, Prepared& prepared, Slot slot, ByteBuffer& out) {
    const size_t at = out.size();
    append(out, request);
    store_le32(out.data() + at + packet_header_bytes + 1, prepared.server_id[index(slot)]);
    if (prepared.parameters == 0 || client_has(capability::query_attributes)) return;
    const size_t flag_at = packet_header_bytes + execute_head_bytes + (size_t{prepared.parameters} + 7) / 8;
    if (request.size() <= flag_at) return;
    bool& has_types = prepared.has_types[index(slot)];
    const size_t types_bytes = size_t{prepared.parameters} * 2;
    if (request[flag_at] == std::byte{1}) {
        if (request.size() < flag_at + 1 + types_bytes) return;
        prepared.types = as_text(request.subspan(flag_at + 1, types_bytes));
        prepared.has_types = {};
        has_types = true;
        return;
    }
    if (has_types || prepared.types.size() != types_bytes || stream_under_way()) return;
    const size_t payload = request.size() - packet_header_bytes + types_bytes;
    if (payload >= packet_payload_bytes_max) return;
    out.resize(at + flag_at);
    out.push_back(std::byte{1});
    append(out, prepared.types);
    append(out, request.subspan(flag_at + 1));
    store_packet_header(out.data() + at, static_cast<uint32_t>(payload), 0);
    has_types = true;
}

bool Conversation::rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) {
    active_ = slot;
    answer_is_complete_ = false;
    append_closes(slot, prefix);
    for (size_t i = 0; i < units_.size(); ++i) {
        Unit& unit = units_.at(i);
        unit.reply = Reply(reply_kind(unit.command), slots_[index(slot)].capabilities);
        unit.heads_to_swallow = unit.heads_delivered;
        unit.next_sequence = 1;
        unit.shift = 0;
        unit.owes_eof = false;
        unit.had_error = false;
        unit.next_statement = 0;
        const auto header = peek_packet_header(requests);
        if (!header || requests.size() < header->total_bytes()) break;
        const Bytes request = requests.first(header->total_bytes());
        if (unit.statement_id != 0 && unit.command != command::stmt_prepare) {
            append_request(request, unit, slot, prefix);
        } else {
            append(prefix, request);
        }
        if (i == 0) {
            scratch_.facts.text = unit.statement ? std::string_view(unit.statement->text)
                                                 : as_text(request.subspan(packet_header_bytes + 1));
        }
        requests = requests.subspan(request.size());
    }
    return false;
}

}  // namespace holdfast::mysql
