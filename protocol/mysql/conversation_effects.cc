// What statements leave behind in the session: from the classifier, and from what servers report.
#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "protocol/mysql/character_sets.h"
#include "protocol/mysql/conversation.h"
#include "protocol/mysql/schema.h"
#include "protocol/mysql/tracking.h"
#include "protocol/sql/prepare.h"
#include "protocol/sql/quoted.h"

namespace holdfast::mysql {
namespace {

using sql::EffectKind;

/// Reported, but no part of a session's state: counters, what holds for one statement, the proxy's own.
bool is_no_setting(std::string_view name) {
    static constexpr std::string_view names[] = {"autocommit",
                                                 "character_set_database",
                                                 "collation_database",
                                                 "error_count",
                                                 "gtid_next",
                                                 "gtid_seq_no",
                                                 "identity",
                                                 "insert_id",
                                                 "last_gtid",
                                                 "last_insert_id",
                                                 "pseudo_replica_mode",
                                                 "pseudo_slave_mode",
                                                 "pseudo_thread_id",
                                                 "rand_seed1",
                                                 "rand_seed2",
                                                 "redirect_url",
                                                 "statement_id",
                                                 "timestamp",
                                                 "transaction_read_only",
                                                 "warning_count"};
    return name.starts_with("session_track_") || name == "tx_read_only" ||
           std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is_character_set(std::string_view name) {
    return name.starts_with("character_set_") || name == "collation_connection";
}

/// A whole number, or one with a point: servers refuse either between quotes.
bool is_number(std::string_view text) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    const size_t point = std::min(text.find('.'), text.size());
    const std::string_view fraction = text.substr(std::min(point + 1, text.size()));
    return point > 0 && text.size() < 20 && text.back() != '.' &&
           std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(point), is_digit) &&
           std::all_of(fraction.begin(), fraction.end(), is_digit);
}

/// A value as the server has reported it, for a SET. What a backslash means depends on the session's
/// sql_mode, which may be another one when the SET is replayed.
std::string literal(std::string_view value) {
    if (is_number(value)) return std::string(value);
    if (value.find('\\') == std::string_view::npos) return sql::quoted(value, '\'');
    constexpr const char* digits = "0123456789abcdef";
    std::string out = "_utf8mb4 X'";
    for (const char c : value) {
        out += digits[static_cast<unsigned char>(c) >> 4];
        out += digits[static_cast<unsigned char>(c) & 15];
    }
    return out + "'";
}

/// Whether the character set that a SET chooses for the client may be an unsafe one. MariaDB does not report
/// a character_set_client that was set by its name: the statement itself has to tell.
bool chooses_unsafe_character_set(const sql::Effect& effect) {
    if (effect.kind == EffectKind::set_opaque || effect.replay.empty()) return true;
    std::string text = effect.replay;
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    for (const std::string_view unsafe : unsafe_character_sets) {
        if (text.find(unsafe) != std::string::npos) return true;
    }
    if (effect.key == "names") return false;  // by name, or reported
    // A number, or whatever the server has by default.
    const size_t equals = std::min(text.find('='), text.size() - 1);
    const size_t value = std::min(text.find_first_not_of(" '\"`", equals + 1), text.size());
    return value == text.size() || (text[value] >= '0' && text[value] <= '9') ||
           text.compare(value, 7, "default") == 0;
}

/// Whether a server has told SET TRANSACTION statements and nothing else: they are run on another one.
bool is_set_transaction(std::string_view text) {
    constexpr size_t bytes_max = 512;  // isolation level and access mode, some times over
    if (text.size() > bytes_max) return false;
    while (!text.empty()) {
        std::string_view one = text.substr(0, text.find(';'));
        text.remove_prefix(std::min(text.size(), one.size() + 1));
        one.remove_prefix(std::min(one.size(), one.find_first_not_of(' ')));
        const bool is_plain = std::all_of(one.begin(), one.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ' ' || c == ',';
        });
        if (!is_plain || (!one.empty() && !one.starts_with("SET TRANSACTION "))) return false;
    }
    return true;
}

bool names_variable(const sql::Effect& effect, std::string_view name) {
    if (effect.kind != EffectKind::set) return false;
    return effect.key == name || (effect.key == "names" && is_character_set(name));
}

bool names_variable(const sql::Statement& statement, std::string_view name) {
    return std::any_of(statement.effects.begin(), statement.effects.end(),
                       [&](const sql::Effect& effect) { return names_variable(effect, name); });
}

/// Whether the texts tell what changes; a CALL tells nothing.
bool explain_changes(const std::vector<sql::Statement>& statements) {
    return !std::all_of(statements.begin(), statements.end(), [](const sql::Statement& statement) {
        return statement.is_opaque &&
               std::all_of(statement.effects.begin(), statement.effects.end(),
                           [](const sql::Effect& effect) { return effect.kind == EffectKind::routine; });
    });
}

}  // namespace

/// Whether a variable that is reported now is set back behind the statement.
bool Conversation::Unit::holds_for_one_statement(std::string_view variable) const {
    if (!trackers_lie) return false;
    const bool can_tell = statements && !is_call && next_statement > 0;
    if (!can_tell) return true;
    const sql::Statement& done = (*statements)[next_statement - 1];
    return done.is_set_statement &&
           std::none_of(done.effects.begin(), done.effects.end(), [&](const sql::Effect& effect) {
               return effect.kind == EffectKind::set_opaque ? effect.key == variable
                                                            : names_variable(effect, variable);
           });
}

/// The next statement of the oldest unit has succeeded.
void Conversation::statement_done(Slot slot, Unit& unit) {
    if (!unit.statements || unit.next_statement >= unit.statements->size()) return;
    const sql::Statement& statement = (*unit.statements)[unit.next_statement++];
    for (const auto& effect : statement.effects) apply_effect(slot, effect, unit);
    unit.first_row.clear();
}

void Conversation::apply_effect(Slot slot, const sql::Effect& effect, const Unit& unit) {
    SlotState& state = slots_[index(slot)];
    const bool is_set = effect.kind == EffectKind::set || effect.kind == EffectKind::set_opaque;
    if (is_set && (effect.key == "character_set_client" || effect.key == "names"))
        encoding_is_safe_ = !chooses_unsafe_character_set(effect);
    switch (effect.kind) {
        case EffectKind::set:
            if (is_access_mode(effect.key))
                state.is_read_only = false;  // if it was the proxy's, it may be gone
            if (effect.key == "schema") schema_changed_ = true;
            if (effect.key == "role") role_was_set_ = true;
            log().record_now(effect);
            return;
        case EffectKind::user_variable: log().record_now(effect); return;
        case EffectKind::user_variables: pins_.variables = true; return;
        case EffectKind::routine: routine_ran(); return;
        case EffectKind::set_opaque:
            // The server may report the value: then it is as good as a literal.
            opaque_.push_back(effect.key);
            return;
        case EffectKind::temporary: pins_.temporary = true; return;
        case EffectKind::advisory_lock:
        case EffectKind::advisory_unlock:
        case EffectKind::advisory_unlock_all:
            if (!locks_) locks_ = std::make_unique<UserLocks>();
            locks_->apply(effect, lock_came_true(as_bytes(unit.first_row),
                                                 unit.command == command::stmt_execute, effect.replay));
            pins_.advisory_locks = locks_->count();
            return;
        case EffectKind::table_lock: pins_.table_locks = true; return;
        case EffectKind::table_unlock: pins_.table_locks = false; return;
        case EffectKind::handler: ++pins_.handlers; return;
        case EffectKind::handler_close:
            if (pins_.handlers > 0) --pins_.handlers;
            return;
        case EffectKind::next_transaction:
            next_transaction_ = effect.replay;  // what the server reports is the whole of it
            slots_[index(dialect::other(slot))].has_next_transaction = false;
            state.has_next_transaction = true;
            return;
        case EffectKind::tracking:
            state.needs_tracking = true;  // the proxy's own wishes were overwritten
            wish(effect);
            return;
        case EffectKind::prepare: {
            const auto text = sql::prepared_literal(effect.replay, context(false));
            if (effect.replay.empty() || !text) {
                // Nobody knows what the name stands for now, but not for what it did.
                forget_text(effect.key);
                pins_.settings = true;
                return;
            }
            log().record_now(effect);
            if (!texts_) texts_ = std::make_unique<std::unordered_map<std::string, StatementRef>>();
            (*texts_)[effect.key] = statements_.intern(*text, context(false));
            return;
        }
        case EffectKind::deallocate: forget_text(effect.key); return;
        case EffectKind::sequence:
        case EffectKind::reset:
        case EffectKind::reset_all:
        case EffectKind::discard_all:
        case EffectKind::discard_temp:
        case EffectKind::deallocate_all:
        case EffectKind::listen:
        case EffectKind::unlisten:
        case EffectKind::unlisten_all:
        case EffectKind::cursor:
        case EffectKind::cursor_close:
        case EffectKind::cursor_close_all: return;
    }
}

/// A procedure has run, to its end or to an error. Of a temporary table that it made from a SELECT, and of a
/// variable that it filled with INTO, servers report nothing.
void Conversation::routine_ran() {
    pins_.routines = !pins_.temporary;
    // Where they can't be read, they would stay unknown for ever: there only those count that a CALL names.
    pins_.variables = pins_.variables || can_read_variables_;
}

/// Statements of which one may run several have ended with an error: how far they came can't be told.
void Conversation::broke_off(const std::vector<sql::Statement>& statements) {
    for (const auto& statement : statements) {
        for (const auto& effect : statement.effects) {
            switch (effect.kind) {
                case EffectKind::routine: routine_ran(); break;
                case EffectKind::user_variables: pins_.variables = true; break;
                default: pins_.settings = true; break;
            }
        }
    }
}

/// What SQL's PREPARE gave this name is gone.
void Conversation::forget_text(const std::string& name) {
    log().record_now({EffectKind::deallocate, name, "DEALLOCATE PREPARE " + sql::quoted(name, '`')});
    if (texts_) texts_->erase(name);
}

/// The client's own SET session_track_…: what it wants to be told from now on.
void Conversation::wish(const sql::Effect& effect) {
    if (!wishes_) wishes_ = std::make_unique<TrackingWishes>();
    const size_t equals = effect.replay.find('=');
    if (equals == std::string::npos) return;
    std::string value = effect.replay.substr(equals + 1);
    std::erase_if(value, [](char c) { return c == ' ' || c == '\'' || c == '"'; });
    std::transform(value.begin(), value.end(), value.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    const bool is_on = value == "1" || value == "on" || value == "true" || value == "default";
    if (effect.key == "session_track_system_variables") {
        wishes_->variables = value == "default" ? std::string(default_tracked_variables) : value;
    } else if (effect.key == "session_track_schema") {
        wishes_->schema = is_on;
    } else if (effect.key == "session_track_state_change") {
        wishes_->state_change = is_on && value != "default";
    } else if (effect.key == "session_track_transaction_info") {
        wishes_->transaction_state =
            value == "state" || value == "characteristics" || value == "1" || value == "2";
        wishes_->transaction_characteristics = value == "characteristics" || value == "2";
    } else if (effect.key == "session_track_gtids") {
        wishes_->gtids = value != "off" && value != "0" && value != "default";
    }
}

/// What the server reports of the session's state: the truth about settings that procedures, functions or
/// expressions have changed.
void Conversation::take_session_state(Slot slot, Unit& unit, const OkPacket& ok) {
    bool is_explained = unit.statements && explain_changes(*unit.statements);
    bool has_changed = false;
    SessionStateReader reader(ok.session_state);
    while (const auto entry = reader.next()) {
        if (entry->is(SessionState::schema)) {
            is_explained = true;
            schema_changed_ = true;
            sql::Effect effect{EffectKind::set, "schema", "USE " + sql::quoted(entry->value, '`')};
            if (!entry->value.empty()) log().record_now(effect);
            schema_ = entry->value;
            is_system_schema_ = is_system_schema(entry->value);
            is_other_schema_ = entry->value != identity_.database;
        } else if (entry->is(SessionState::system_variable)) {
            is_explained = true;
            if (!entry->is_null) take_variable(slot, entry->name, entry->value, unit);
        } else if (entry->is(SessionState::transaction_characteristics)) {
            // They add up until a statement uses them, which need not begin a transaction.
            if (transaction_ == Transaction::idle && is_set_transaction(entry->value)) {
                next_transaction_ = entry->value;
                for (auto& state : slots_) state.has_next_transaction = false;
                slots_[index(slot)].has_next_transaction = true;
            }
        } else if (entry->is(SessionState::gtids)) {
            reported_write_ = true;
        } else if (entry->is(SessionState::state_change)) {
            has_changed = true;
        }
    }
    // Something that nobody can name has changed: a temporary table or a variable made by a procedure, say.
    if (has_changed && !is_explained && unit.command != command::reset_connection &&
        unit.command != command::set_option) {
        pins_.settings = true;
    }
}

void Conversation::take_variable(Slot slot, std::string_view name, std::string_view value, const Unit& unit) {
    if (name == "last_gtid") reported_write_ = true;
    if (unit.holds_for_one_statement(name)) {
        // Of several statements, nobody can tell whose it is.
        if (unit.is_call && unit.statements && unit.statements->size() > 1) pins_.settings = true;
        return;
    }
    if (name == "sql_mode") {
        take_sql_mode(value);
    } else if (name == "character_set_client") {
        encoding_is_safe_ = !is_unsafe_character_set(value);
    } else if (name == "tx_read_only" || name == "transaction_read_only") {
        wants_read_only_ = value == "ON" || value == "1";
        slots_[index(slot)].is_read_only = false;
        log().record_now(
            {EffectKind::set, "transaction access",
             wants_read_only_ ? "SET SESSION TRANSACTION READ ONLY" : "SET SESSION TRANSACTION READ WRITE"});
        return;
    } else if (name == "autocommit") {
        log().record_now({EffectKind::set, "autocommit",
                          value == "ON" || value == "1" ? "SET autocommit=1" : "SET autocommit=0"});
        return;
    }
    if (is_no_setting(name) || !is_plain_name(name)) return;
    if (unit.statements &&
        std::any_of(unit.statements->begin(), unit.statements->end(),
                    [&](const sql::Statement& each) { return names_variable(each, name); })) {
        return;  // the statement itself is recorded
    }
    std::erase(opaque_, std::string(name));
    // MySQL reports NULL as an empty text, which is no character set's name.
    const bool is_null = value.empty() && name == "character_set_results";
    log().record_now({EffectKind::set, std::string(name),
                      "SET SESSION " + std::string(name) + "=" + (is_null ? "NULL" : literal(value))});
}

/// COM_RESET_CONNECTION has brought this connection back to its beginnings; the other one follows.
void Conversation::session_was_reset(Slot slot) {
    // The schema and the role stay, as on the server.
    std::string schema, role;
    if (log_) {
        for (const auto& entry : log_->entries()) {
            if (entry.key == "set:schema") schema = entry.replay;
            if (entry.key == "set:role") role = entry.replay;
        }
    }
    log_.reset();
    forget_statements();
    pins_ = {};
    locks_.reset();
    wishes_.reset();
    next_transaction_.clear();
    last_insert_id_ = 0;
    read_as_at_login();
    is_reset_ = true;
    reset_sql_mode_.reset();
    // The character set is the server's own now: the tracking statement's answer tells which.
    encoding_is_safe_ = false;
    wants_read_only_ = false;
    for (auto& state : slots_) {
        state.synced = 0;
        state.insert_id = 0;
        state.needs_reset = &state != &slots_[index(slot)];
    }
    SlotState& here = slots_[index(slot)];
    ++here.generation;
    here.is_read_only = false;
    here.needs_tracking = here.was_reset = true;
    here.has_next_transaction = false;
    if (!schema.empty()) log().record_now({EffectKind::set, "schema", schema});
    if (!role.empty()) log().record_now({EffectKind::set, "role", role});
}

}  // namespace holdfast::mysql
