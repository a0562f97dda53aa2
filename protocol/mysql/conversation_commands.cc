// The client's commands, one by one: how much of each has to be there, and what it asks of routing.
#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/dialect/rerun.h"
#include "protocol/mysql/attributes.h"
#include "protocol/mysql/conversation.h"
#include "protocol/mysql/errors.h"

namespace holdfast::mysql {
namespace {

using dialect::Cut;
using dialect::CutKind;
using sql::Destination;

/// COM_STMT_EXECUTE's statement id for "the last one prepared" (MariaDB).
constexpr uint32_t last_prepared_id = 0xffffffff;

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

bool is_of_text(uint8_t command) {
    return command == command::query || command == command::stmt_prepare || names_statement(command);
}

/// Whether it asks for what only the proxy knows, or is for the proxy alone to do.
bool answers_itself(const sql::Classification& classes) {
    return classes.statement_count == 1 && (classes.statements[0].asks_connection_id ||
                                            classes.statements[0].kill != sql::Statement::Kill::none);
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
    context.is_other_schema = is_other_schema_;
    context.truncated = truncated;
    return context;
}

/// A statement is in flight that writes, and is a transaction of its own.
bool Conversation::awaits_own_write() const {
    if (units_.empty() || !units_.back().may_write || transaction_ != Transaction::idle || !is_autocommit_)
        return false;
    for (size_t i = 0; i < units_.size(); ++i) {
        if (units_.at(i).begins) return false;
    }
    return true;
}

Cut Conversation::cut_command(Bytes payload, bool whole, ByteBuffer& out) {
    const uint8_t command = scratch_.command;
    if (command == command::quit) return {CutKind::terminate, scratch_.size};
    if (command == command::stmt_close) return cut_close(payload, whole);
    // A pipeline of writes goes out one by one: what the server's end or a refusal leaves in doubt is one
    // statement, and those behind it go to the next primary.
    if (awaits_own_write()) return {CutKind::wait};
    if (command == command::change_user) {
        if (!whole) return payload.size() < limits::login_buffered_bytes_max ? Cut{} : drop_request();
        if (!units_.empty()) return {CutKind::wait};
        return {CutKind::log_in, scratch_.size};
    }
    if (lost_ && command == command::stmt_send_long_data) {
        // Its transaction's connection is gone, and nobody answers it.
        if (payload.size() < statement_head_bytes) return whole ? drop_request() : Cut{};
        const uint32_t id = load_le32(payload.data() + 1);
        if (Prepared* prepared = find_prepared(id == last_prepared_id ? last_prepared_ : id))
            prepared->lost_long_data = true;
        return drop_request();
    }
    if (lost_ && command != command::ping && command != command::query &&
        command != command::reset_connection) {
        return answer_lost(out);
    }
    const bool has_text = is_of_text(command);
    // Where one of them was sent, what is before it changes nothing.
    for (size_t i = units_.size(); has_text && i-- > 0;) {
        if (units_.at(i).changes_reading) return {CutKind::wait};
        if (is_of_text(units_.at(i).command)) break;
    }
    if (command == command::query) return cut_query(payload, whole, out);
    if (command == command::stmt_prepare) return cut_prepare(payload, whole, out);
    if (names_statement(command)) return cut_statement_command(payload, whole, out);

    // Everything else is short.
    if (!whole && payload.size() < limits::mysql_short_command_bytes_max && !scratch_.continues) return {};
    dialect::UnitFacts& facts = scratch_.facts;
    switch (command) {
        case command::ping:
            if (!units_.empty()) return begin_or_wait(out);
            return answer_ok(out);
        case command::init_db: facts.reason = sql::Reason::session_state; return begin_or_wait(out);
        case command::set_option: facts.reason = sql::Reason::session_state; return begin_or_wait(out);
        case command::reset_connection:
            lost_.reset();
            demand_primary(sql::Reason::session_state);
            facts.rerunnable = true;
            facts.may_write = false;
            return begin_or_wait(out);
        case command::field_list: facts.reason = sql::Reason::read; return begin_or_wait(out);
        case command::statistics:
        case command::process_info:
        case command::debug:
            demand_primary(sql::Reason::server_local);
            facts.may_write = false;
            return begin_or_wait(out);
        case command::create_db:
        case command::drop_db:
            demand_primary(sql::Reason::ddl);
            facts.commits = true;
            return begin_or_wait(out);
        case command::refresh:
            demand_primary(sql::Reason::server_local);
            facts.commits = true;
            return begin_or_wait(out);
        case command::register_slave: demand_primary(sql::Reason::server_local); return begin_or_wait(out);
        case command::binlog_dump:
        case command::binlog_dump_gtid:
            if (!units_.empty()) return {CutKind::wait};
            demand_primary(sql::Reason::server_local);
            facts.may_write = false;
            return begin_or_wait(out);
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

/// The text of a COM_QUERY, or as much as there is of it. nullopt: what is in front of it can't be read.
std::optional<std::string_view> Conversation::query_text(Bytes payload) const {
    const Bytes body = payload.subspan(1);
    return client_has(capability::query_attributes) ? text_behind_attributes(body) : as_text(body);
}

Cut Conversation::cut_query(Bytes payload, bool whole, ByteBuffer& out) {
    if (!whole && payload.size() < limits::statement_classified_bytes_max && scratch_.stream_left > 0)
        return {};
    const auto readable = query_text(payload);
    const bool too_long = !whole || payload.size() > limits::statement_classified_bytes_max || !readable;
    const std::string_view text =
        readable.value_or(std::string_view()).substr(0, limits::statement_classified_bytes_max);
    sql::classify(sql::Dialect::mysql, text, context(too_long), scratch_.query);
    take_classes(scratch_.query);
    scratch_.facts.text = text;
    if (too_long) {
        // A COMMIT may be in what was not read.
        scratch_.facts.commits |= wants_multi_statements_ || !readable;
        scratch_.facts.too_long = true;
        scratch_.facts.rerunnable = false;
        scratch_.facts.may_write = true;
        scratch_.facts.destination = Destination::primary;
        scratch_.facts.reason = sql::Reason::too_long;
    }
    if (lost_) return answer_lost(out);
    if (const auto kill = take_kill(scratch_.query, out)) return *kill;
    if (scratch_.query.statement_count == 1) {
        const sql::Statement& only = run_by(scratch_.query.statements[0]);
        if (only.asks_connection_id) {
            if (!units_.empty()) return {CutKind::wait};
            return answer_connection_id(only.name, /*is_binary=*/false, out);
        }
    }
    return begin_or_wait(out);
}

/// KILL is of the proxy's own numbers: what it can't follow, a server would take for one of its own.
std::optional<Cut> Conversation::take_kill(const sql::Classification& classes, ByteBuffer& out) {
    using Kill = sql::Statement::Kill;
    const auto begin = classes.statements.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(classes.statement_count);
    const auto found = std::find_if(
        begin, end, [this](const sql::Statement& each) { return run_by(each).kill != Kill::none; });
    if (found == end) return std::nullopt;
    const sql::Statement& kill = run_by(*found);
    if (classes.statement_count > 1 || kill.kill == Kill::other) {
        return answer_here(out, error::not_supported, "42000",
                           "the proxy takes KILL [CONNECTION | QUERY] with a number, alone in its message");
    }
    return ask_kill(kill.kill_id, kill.kill == Kill::connection);
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
        bool is_preparing = false;
        for (size_t i = 0; i < units_.size(); ++i)
            is_preparing = is_preparing || units_.at(i).command == command::stmt_prepare;
        if (is_preparing) {
            const bool can_follow =
                command == command::stmt_execute && units_.back().command == command::stmt_prepare && whole &&
                payload.size() >= execute_head_bytes && payload[statement_head_bytes] == std::byte{0} &&
                payload.size() <= limits::mysql_pipelined_execution_bytes_max;
            // What the proxy answers by itself is for when there is nothing in flight.
            if (!can_follow || answers_itself(units_.back().statement->classes)) return {CutKind::wait};
            scratch_.is_last_prepared = true;
            scratch_.statement = units_.back().statement;
            take_classes(scratch_.statement->classes);
            facts.text = scratch_.statement->text();
            facts.same_connection = true;
            facts.rerunnable = false;  // what it names there can't be told to another connection in time
            return begin_or_wait(out);
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
        if (command == command::stmt_send_long_data) return drop_request();  // its execution is told
        if (!units_.empty()) return {CutKind::wait};
        const std::string told = std::exchange(prepared->error, {});
        const auto err = parse_err(as_bytes(told));
        const Deferred why =
            err ? Deferred{err->number, std::string(err->sqlstate), std::string(err->message)}
                : Deferred{1243, "HY000", "the statement could not be prepared again"};
        return answer_here(out, why.number, why.sqlstate, why.message);
    }
    const bool executes = command == command::stmt_execute || command == command::stmt_bulk_execute;
    if (executes && !whole) {
        // Of a long one all is needed to the types of its parameters.
        const bool has_room = payload.size() < limits::statement_retained_bytes_max;
        if (has_room && scratch_.stream_left > 0 && !types_extent(payload, *prepared).is_there) return {};
    }
    statements_.refresh(*prepared->statement);
    scratch_.statement_id = id;
    scratch_.statement = prepared->statement;
    take_classes(prepared->statement->classes);
    facts.text = prepared->statement->text();
    const bool is_partial = !whole;
    const bool is_elsewhere =
        prepared->has_long_data && prepared->long_data_slot != active_ && transaction_ != Transaction::idle;
    if (executes && (prepared->lost_long_data || is_elsewhere)) {
        if (!units_.empty()) return {CutKind::wait};
        drop_long_data(*prepared);
        return answer_here(out, error::state_lost, "HY000",
                           "parameters sent in pieces were lost: the statement was not run");
    }
    switch (command) {
        case command::stmt_execute:
            if (payload.size() < execute_head_bytes)
                return answer_here(out, 1835, "HY000", "Malformed communication packet");
            if (const auto kill = take_kill(prepared->statement->classes, out)) return *kill;
            if (answers_itself(prepared->statement->classes)) {
                if (!units_.empty()) return {CutKind::wait};
                return answer_connection_id(prepared->statement->classes.statements[0].name,
                                            /*is_binary=*/true, out);
            }
            scratch_.opens_cursor = (std::to_integer<uint8_t>(payload[5]) & ~parameters_are_counted) != 0;
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
            scratch_.is_answered = facts.is_answered = false;
            demand_primary(sql::Reason::session_state);
            facts.may_write = false;
            break;
        case command::stmt_fetch:
            demand_primary(sql::Reason::cursor);
            facts.may_write = facts.commits = false;
            break;
        case command::stmt_reset:
            if (!prepared->has_cursor && !prepared->has_long_data) {
                if (!units_.empty()) return {CutKind::wait};
                forget_long_data(*prepared);
                return answer_ok(out);
            }
            demand_primary(sql::Reason::session_state);
            facts.may_write = facts.commits = false;
            break;
        default: break;
    }
    if (!executes) scratch_.ends_transaction = scratch_.unlocks = scratch_.prepares_xa = false;
    // While requests are in flight, the connection can't be brought to have the statement.
    if (!units_.empty() && !is_present(*prepared, active_)) return {CutKind::wait};
    return begin_or_wait(out);
}

}  // namespace holdfast::mysql
