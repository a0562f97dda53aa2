// Bringing a server connection to the session's state, by commands of the proxy's own.
#include <algorithm>
#include <utility>

#include "protocol/mysql/attributes.h"
#include "protocol/mysql/character_sets.h"
#include "protocol/mysql/conversation.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/tracking.h"

namespace holdfast::mysql {
namespace {

using dialect::Scan;
using dialect::ScanEvent;

}  // namespace

bool Conversation::synchronise(Slot slot, ByteBuffer& out) {
    if (!units_.empty() || pins_.replication || synchronising(slot)) return false;
    const bool has_request = scratch_.of == this;
    const uint32_t statement_id = has_request ? scratch_.statement_id : 0;
    // In a transaction the connection has the session's settings, and what asks about the last statement must
    // not come behind another one. A statement that was prepared elsewhere is another matter.
    if (transaction_ != Transaction::idle || (has_request && scratch_.facts.same_connection)) {
        SlotState& state = slots_[index(slot)];
        state.sync_target = state.synced;
        state.sync_failed = false;
        return ask_for_statement(slot, statement_id, out);
    }
    ask_for_state(slot, out);
    ask_for_statement(slot, statement_id, out);
    return sync_begun(slot);
}

/// Whether something was asked for that brings the connection to the session's state.
bool Conversation::sync_begun(Slot slot) {
    SlotState& state = slots_[index(slot)];
    const uint64_t version = log_ ? log_->version() : 0;
    state.sync_failed = false;
    state.sync_failed_at = 0;
    if (state.syncs.empty()) {
        state.synced = version;
        return false;
    }
    state.sync_target = version;
    return true;
}

bool Conversation::is_asked_for(Slot slot, uint32_t statement_id) {
    auto& syncs = slots_[index(slot)].syncs;
    for (size_t i = 0; i < syncs.size(); ++i) {
        if (syncs.at(i).kind == Sync::Kind::prepare && syncs.at(i).statement_id == statement_id) return true;
    }
    return false;
}

/// Whether the session's settings give the statement's text the meaning that it had when it was prepared.
bool Conversation::is_read_alike(const Prepared& prepared) const {
    const sql::Context& before = prepared.statement->context;
    return (before.ansi_quotes == ansi_quotes_ && before.no_backslash_escapes == no_backslash_escapes_) ||
           prepared.statement->text().find_first_of("\"\\") == std::string_view::npos;
}

/// Has a statement of the client's prepared where that is yet to be done; false: nothing is to be done.
bool Conversation::ask_for_statement(Slot slot, uint32_t statement_id, ByteBuffer& out) {
    const Prepared* prepared = statement_id != 0 ? find_prepared(statement_id) : nullptr;
    if (!prepared || is_present(*prepared, slot) || prepared->statement->too_long ||
        !prepared->error.empty() || is_asked_for(slot, statement_id) || !is_read_alike(*prepared)) {
        return false;
    }
    SlotState& state = slots_[index(slot)];
    // It belongs to the schema that it was prepared in, wherever the session is now. Without one to come back
    // to, names are looked for nowhere, and the server says so.
    const bool is_elsewhere = prepared->schema != schema_ && !prepared->schema.empty() && !schema_.empty();
    Sync sync;
    sync.statement_id = statement_id;
    if (is_elsewhere) {
        sync.kind = Sync::Kind::enter;
        ask(state, std::move(sync), command::init_db, prepared->schema, out);
        sync = {};
        sync.statement_id = statement_id;
    }
    sync.kind = Sync::Kind::prepare;
    ask(state, std::move(sync), command::stmt_prepare, prepared->statement->text(), out);
    if (is_elsewhere) ask(state, Sync{}, command::init_db, schema_, out);
    return true;
}

bool Conversation::synchronise_for_rerun(Slot slot, ByteBuffer& out) {
    if (synchronising(slot)) return false;
    ask_for_state(slot, out);
    for (size_t i = 0; i < units_.size(); ++i) {
        const Unit& unit = units_.at(i);
        if (unit.command != command::stmt_prepare) ask_for_statement(slot, unit.statement_id, out);
    }
    return sync_begun(slot);
}

/// Appends a command of the proxy's own, and notes that its answer is to come.
void Conversation::ask(SlotState& state, Sync sync, uint8_t command, std::string_view text, ByteBuffer& out) {
    const bool has_attributes =
        command == command::query && (state.capabilities & capability::query_attributes) != 0;
    PacketWriter writer(out, 0);
    writer.u8(command)
        .bare_text(has_attributes ? no_attributes : std::string_view())
        .bare_text(text)
        .finish();
    sync.reply =
        Reply(command == command::stmt_prepare ? ReplyKind::prepare : ReplyKind::result, state.capabilities);
    state.syncs.push(std::move(sync));
}

void Conversation::ask_for_state(Slot slot, ByteBuffer& out) {
    SlotState& state = slots_[index(slot)];
    const Sync own;
    if (std::exchange(state.needs_rollback, false)) ask(state, own, command::query, "ROLLBACK", out);
    if (state.needs_reset) {
        state.needs_reset = false;
        ask(state, own, command::reset_connection, {}, out);
        if (!identity_.database.empty() && state.synced > 0)
            ask(state, own, command::init_db, identity_.database, out);
        ++state.generation;
        state.synced = 0;
        state.insert_id = 0;
        state.is_read_only = false;
        state.needs_tracking = state.was_reset = true;
        state.closes.clear();
    }
    if (state.needs_tracking) ask_for_tracking(state, out);
    if (std::exchange(state.has_own_sql_mode, false)) {
        ask(state, own, command::query, "SET SESSION sql_mode='" + around_.sql_mode.value_or("") + "'", out);
    }
    if (state.multi_statements != wants_multi_statements_) {
        state.multi_statements = wants_multi_statements_;
        std::string option(2, '\0');
        if (!wants_multi_statements_) option[0] = 1;  // MYSQL_OPTION_MULTI_STATEMENTS_OFF
        ask(state, own, command::set_option, option, out);
    }
    const uint64_t version = log_ ? log_->version() : 0;
    bool access_mode_replayed = false;
    if (log_ && state.synced != version) {
        for (const auto& entry : log_->entries()) {
            if (entry.version <= state.synced) continue;
            if (entry.only_after != 0 && state.synced < entry.only_after) continue;
            access_mode_replayed |= is_access_mode(entry.key);
            Sync sync;
            sync.kind = Sync::Kind::entry;
            sync.version = entry.version;
            ask(state, std::move(sync), command::query, entry.replay, out);
        }
    }
    // A connection for reads can't write, whatever the account may do and the session has set.
    if (state.is_replica && (!state.is_read_only || access_mode_replayed)) {
        state.is_read_only = true;
        ask(state, own, command::query, "SET SESSION TRANSACTION READ ONLY", out);
    } else if (!state.is_replica && state.is_read_only) {
        state.is_read_only = false;
        ask(state, own, command::query,
            wants_read_only_ ? "SET SESSION TRANSACTION READ ONLY" : "SET SESSION TRANSACTION READ WRITE",
            out);
    }
    if (!state.is_replica && state.insert_id != last_insert_id_) {
        state.insert_id = last_insert_id_;
        ask(state, own, command::query, "SET LAST_INSERT_ID=" + std::to_string(last_insert_id_), out);
    }
    if (!state.is_replica && !next_transaction_.empty() && !state.has_next_transaction) {
        state.has_next_transaction = true;
        std::string_view rest = next_transaction_;
        while (!rest.empty()) {
            const std::string_view one = rest.substr(0, rest.find(';'));
            rest.remove_prefix(std::min(rest.size(), one.size() + 1));
            if (one.find_first_not_of(' ') == std::string_view::npos) continue;
            ask(state, own, command::query, one.substr(one.find_first_not_of(' ')), out);
        }
    }
    if (!state.is_replica && can_examine()) ask_for_unread(state, out);
}

/// Has the server report changes again; behind a reset it says at once how it reads texts now.
void Conversation::ask_for_tracking(SlotState& state, ByteBuffer& out) {
    state.needs_tracking = false;
    std::string text(tracking_statement(around_.is_mariadb));
    if (std::exchange(state.was_reset, false)) {
        state.has_own_sql_mode = false;
        text += report_of_reading;
        if (reset_sql_mode_) text += ", sql_mode='" + *reset_sql_mode_ + "'";
    }
    Sync sync;
    sync.kind = Sync::Kind::tracking;
    ask(state, std::move(sync), command::query, text, out);
}

bool Conversation::has_recorded(std::string_view key) const {
    return log_ && std::any_of(log_->entries().begin(), log_->entries().end(),
                               [&](const auto& entry) { return entry.key == key; });
}

/// What holds until the session's own settings are replayed.
void Conversation::take_tracking(const OkPacket& ok) {
    SessionStateReader reader(ok.session_state);
    while (const auto entry = reader.next()) {
        if (!entry->is(SessionState::system_variable) || entry->is_null) continue;
        // What the first connection found is the session's from now on, on whatever server.
        if (entry->name == "sql_mode" && is_reset_ && !reset_sql_mode_ && is_sql_mode(entry->value))
            reset_sql_mode_ = entry->value;
        if (entry->name == "sql_mode" && !has_recorded("set:sql_mode")) take_sql_mode(entry->value);
        if (entry->name == "character_set_client" && !has_recorded("set:names") &&
            !has_recorded("set:character_set_client")) {
            encoding_is_safe_ = !is_unsafe_character_set(entry->value);
        }
    }
}

/// The answer to a command of the proxy's own.
void Conversation::take_sync(Slot slot, PacketRole role, Bytes payload, bool is_whole, Scan& scan) {
    SlotState& state = slots_[index(slot)];
    Sync& sync = state.syncs.front();
    const bool is_of_statement = sync.kind == Sync::Kind::prepare || sync.kind == Sync::Kind::enter;
    Prepared* prepared = is_of_statement ? find_prepared(sync.statement_id) : nullptr;
    if (role == PacketRole::local_infile) return lying(scan, "a wish for a file that nobody offered");
    if (role == PacketRole::error) {
        const auto err = parse_err(payload);
        if (err && announces_end(err->number)) return connection_ends(*err, scan);
        if (sync.kind == Sync::Kind::variables) {
            can_read_variables_ = false;  // the plugin is not there: the pin stays
        } else if (sync.kind == Sync::Kind::routines) {
            can_read_status_ = false;
        } else if (prepared && (!state.is_replica || transaction_ != Transaction::idle)) {
            // The client's to see, when it runs the statement. What comes behind a schema that is gone
            // follows.
            if (prepared->error.empty()) prepared->error = as_text(payload);
        } else if (sync.kind != Sync::Kind::enter || prepared) {
            detail_ = err ? err->message : std::string_view("an error that can't be read");
            state.sync_failed = true;
            if (sync.kind == Sync::Kind::entry && state.sync_failed_at == 0)
                state.sync_failed_at = sync.version;
        }
    } else if (role == PacketRole::prepared && prepared && prepared->error.empty()) {
        prepared->server_id[index(slot)] = sync.reply.statement_id();
        prepared->generation[index(slot)] = state.generation;
        prepared->has_types[index(slot)] = false;
    } else if (role == PacketRole::prepared) {
        // The client has closed it meanwhile, or it was prepared in another schema than its own.
        state.closes.push_back(sync.reply.statement_id());
    }
    const bool is_column = role == PacketRole::last_prepared_column ||
                           (role == PacketRole::definition && sync.reply.defines_columns());
    if (is_column) sync.columns.add(payload);
    if (sync.kind == Sync::Kind::variables) take_variables(role, payload, is_whole);
    if (sync.kind == Sync::Kind::routines) take_routines(role, payload, is_whole);
    if (sync.kind == Sync::Kind::tracking && role == PacketRole::ok) take_tracking(sync.reply.ok());
    if (!sync.reply.done()) return;
    if (prepared && sync.kind == Sync::Kind::prepare) prepared->server_columns[index(slot)] = sync.columns;
    // What was read from this connection is on it already.
    if (sync.kind == Sync::Kind::variables && log_) state.sync_target = log_->version();
    state.syncs.pop();
    if (!state.syncs.empty()) return;
    state.syncs.trim();
    if (state.sync_failed) {
        scan.event = ScanEvent::sync_failed;
        return;
    }
    state.synced = state.sync_target;
    scan.event = ScanEvent::sync_done;
}

void Conversation::forget_unsynchronisable() {
    for (auto& state : slots_) {
        if (state.sync_failed_at == 0 || !log_) continue;
        log_->forget_refused(state.sync_failed_at);
        state.sync_failed_at = 0;
    }
}

}  // namespace holdfast::mysql
