// The client's commands, one by one: how much of each has to be there, and what it asks of routing.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/dialect/rerun.h"
#include "protocol/mysql/conversation.h"

namespace holdfast::mysql {
namespace {

using dialect::Cut;
using dialect::CutKind;
using sql::Destination;

/// COM_STMT_EXECUTE's statement id for "the last one prepared" (MariaDB).
constexpr uint32_t last_prepared_id = 0xffffffff;

/// The flags of COM_STMT_EXECUTE that open a cursor; another one says that parameters are counted.
constexpr uint8_t cursor_types = 0x07;

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

/// Whether a statement may commit the transaction that it is part of. Most of what is no plain query does so
/// before it begins, and a procedure may.
/// spec    MySQL Reference Manual, "Statements That Cause an Implicit Commit"
bool may_commit(const sql::Statement& statement) {
    switch (statement.reason) {
        case sql::Reason::ddl:
        case sql::Reason::opaque:
        case sql::Reason::server_local:
        case sql::Reason::begin:
        case sql::Reason::read_only_transaction: return true;
        case sql::Reason::transaction_control:
            if (statement.control == sql::Control::none) return true;  // XA
            break;
        default: break;
    }
    for (const auto& effect : statement.effects) {
        if (effect.kind == sql::EffectKind::table_lock || effect.kind == sql::EffectKind::table_unlock ||
            effect.key == "autocommit") {
            return true;
        }
    }
    return dialect::may_commit(statement);
}

}  // namespace

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

Cut Conversation::cut_command(Bytes payload, bool whole, ByteBuffer& out) {
    const uint8_t command = scratch_.command;
    if (command == command::quit) return {CutKind::terminate, scratch_.size};
    if (command == command::stmt_close) return cut_close(payload, whole);
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
    if (command == command::stmt_prepare) return cut_prepare(payload, whole);
    if (names_statement(command)) return cut_statement_command(payload, whole, out);

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
        case command::drop_db:
            demand_primary(sql::Reason::ddl);
            facts.commits = true;
            return begin_or_wait();
        case command::refresh:
            demand_primary(sql::Reason::server_local);
            facts.commits = true;
            return begin_or_wait();
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
        scratch_.facts.commits = true;
    }
    if (too_long) {
        scratch_.facts.commits |= wants_multi_statements_;  // a COMMIT may be in what was not read
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

Cut Conversation::cut_prepare(Bytes payload, bool whole) {
    dialect::UnitFacts& facts = scratch_.facts;
    if (!whole && payload.size() < limits::statement_classified_bytes_max && scratch_.stream_left > 0)
        return {};
    const bool too_long = !whole || payload.size() > limits::statement_classified_bytes_max;
    const std::string_view text =
        as_text(payload.subspan(1)).substr(0, limits::statement_classified_bytes_max);
    scratch_.statement = statements_.intern(text, context(too_long));
    take_classes(scratch_.statement->classes);
    facts.text = scratch_.statement->text();
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

/// COM_STMT_CLOSE: nobody answers it. Connections that have the statement are told with their next command.
Cut Conversation::cut_close(Bytes payload, bool whole) {
    if (payload.size() < statement_head_bytes) return whole ? drop_request() : Cut{};
    const uint32_t id = load_le32(payload.data() + 1);
    Prepared* prepared = find_prepared(id);
    if (!prepared) return drop_request();
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
    return drop_request();
}

/// Commands that begin with the id of a prepared statement.
Cut Conversation::cut_statement_command(Bytes payload, bool whole, ByteBuffer& out) {
    const uint8_t command = scratch_.command;
    dialect::UnitFacts& facts = scratch_.facts;
    // They may be long (parameters): their head is enough.
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
            facts.text = scratch_.statement->text();
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
    facts.text = prepared->statement->text();
    const bool is_partial = !whole;
    switch (command) {
        case command::stmt_execute:
            if (payload.size() < execute_head_bytes)
                return answer_here(out, 1835, "HY000", "Malformed communication packet");
            if (const auto& classes = prepared->statement->classes;
                classes.statement_count == 1 && classes.statements[0].kill != sql::Statement::Kill::none) {
                const sql::Statement& only = classes.statements[0];
                return ask_kill(only.kill_id, only.kill == sql::Statement::Kill::connection);
            }
            scratch_.opens_cursor = (std::to_integer<uint8_t>(payload[5]) & cursor_types) != 0;
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
            facts.commits |= !inner || inner->statement_count != 1 || may_commit(inner->statements[0]);
        }
        facts.commits |= may_commit(each);
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

}  // namespace holdfast::mysql
