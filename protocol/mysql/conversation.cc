// What a conversation knows of its server connections: made, lost, brought to the session's state.
#include "protocol/mysql/conversation.h"

#include <algorithm>
#include <charconv>

#include "protocol/base/limits.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/schema.h"
#include "protocol/mysql/tracking.h"

namespace holdfast::mysql {
namespace {

/// What user variables hold, whoever set them (MariaDB's plugin user_variables, on by default).
constexpr std::string_view user_variables_query =
    "SELECT VARIABLE_NAME, HEX(VARIABLE_VALUE), VARIABLE_TYPE, CHARACTER_SET_NAME FROM "
    "information_schema.USER_VARIABLES";

uint64_t number_of(std::string_view text) {
    uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// Settings that say whether a session may write: on a connection for reads they are the proxy's.
bool is_access_mode(std::string_view key) {
    return key.find("transaction") != std::string_view::npos ||
           key.find("read_only") != std::string_view::npos;
}

std::string_view tracking_statement_of(bool is_mariadb) {
    return is_mariadb ? tracking_statement_mariadb : tracking_statement_mysql;
}

/// Collations of character sets whose second bytes can look like quotes or backslashes: big5, sjis, gbk,
/// cp932, gb18030.
bool is_safe_collation(uint8_t collation) {
    switch (collation) {
        case 1:
        case 84:
        case 13:
        case 88:
        case 28:
        case 87:
        case 95:
        case 96:
        case 248:
        case 249:
        case 250: return false;
        default: return true;
    }
}

}  // namespace

Conversation::Conversation(const dialect::Identity& identity, StatementCache& statements, CutScratch& scratch,
                           const Surroundings& surroundings)
    : identity_(identity),
      statements_(statements),
      scratch_(scratch),
      around_(surroundings),
      encoding_is_safe_(is_safe_collation(surroundings.collation)),
      wants_multi_statements_((surroundings.client_capabilities & capability::multi_statements) != 0),
      can_read_variables_(surroundings.is_mariadb) {
    is_system_schema_ = is_system_schema(identity.database);
}

Conversation::~Conversation() = default;

dialect::SessionLog& Conversation::log() {
    if (!log_) log_ = std::make_unique<dialect::SessionLog>();
    return *log_;
}

Prepared* Conversation::find_prepared(uint32_t id) {
    if (!prepared_) return nullptr;
    const auto found = prepared_->find(id);
    return found == prepared_->end() ? nullptr : &found->second;
}

bool Conversation::is_present(const Prepared& prepared, Slot slot) const {
    const size_t i = index(slot);
    return prepared.server_id[i] != 0 && prepared.generation[i] == slots_[i].generation;
}

void Conversation::forget_statements() {
    prepared_.reset();
    texts_.reset();
    last_prepared_ = 0;
    for (auto& slot : slots_) slot.closes.clear();
    pins_.long_data = pins_.held_cursors = 0;
}

void Conversation::clear_pins() {
    pins_ = {};
    if (!prepared_) return;
    for (auto& [id, prepared] : *prepared_) prepared.has_long_data = prepared.has_cursor = false;
}

void Conversation::slot_opened(Slot slot, bool is_replica) {
    SlotState& state = slots_[index(slot)];
    const uint32_t generation = state.generation + 1;
    state = {};
    state.generation = generation;
    state.is_open = true;
    state.is_replica = is_replica;
    state.multi_statements = (around_.client_capabilities & capability::multi_statements) != 0;
}

void Conversation::slot_parameters(Slot slot, const dialect::Parameters& parameters) {
    SlotState& state = slots_[index(slot)];
    for (const auto& [name, value] : parameters) {
        if (name == "capabilities") state.capabilities = number_of(value);
    }
}

void Conversation::slot_promoted(Slot slot) {
    slots_[index(slot)].is_replica = false;
}

std::optional<bool> Conversation::says_replica(Slot slot) const {
    return slots_[index(slot)].is_replica;
}

void Conversation::slot_lost(Slot slot) {
    SlotState& state = slots_[index(slot)];
    if (slot == active_) {
        padding_ = state.body_is_dropped ? 0 : state.body_left;
        payload_is_open_ = state.continues && !state.body_is_dropped;
    }
    const uint32_t generation = state.generation + 1;
    state = {};
    state.generation = generation;
}

bool Conversation::abandon_answer(Slot) {
    // A refusal is the whole of an answer: nothing of it is left to come. Whatever else is, can't be told
    // apart.
    return answer_is_complete_ && units_.size() == 1 && !stream_under_way();
}

bool Conversation::synchronise(Slot slot, ByteBuffer& out) {
    if (transaction_ != Transaction::idle || !units_.empty() || pins_.replication || synchronising(slot))
        return false;
    return ask_for_state(slot, scratch_.statement_id, out);
}

bool Conversation::synchronise_for_rerun(Slot slot, ByteBuffer& out) {
    if (synchronising(slot)) return false;
    const uint32_t statement_id =
        units_.empty() || units_.front().command == command::stmt_prepare ? 0 : units_.front().statement_id;
    return ask_for_state(slot, statement_id, out);
}

/// Appends a command of the proxy's own, and notes that its answer is to come.
void Conversation::ask(SlotState& state, Sync sync, uint8_t command, std::string_view text, ByteBuffer& out) {
    PacketWriter(out, 0).u8(command).bare_text(text).finish();
    sync.reply =
        Reply(command == command::stmt_prepare ? ReplyKind::prepare : ReplyKind::result, state.capabilities);
    state.syncs.push(std::move(sync));
}

bool Conversation::ask_for_state(Slot slot, uint32_t statement_id, ByteBuffer& out) {
    SlotState& state = slots_[index(slot)];
    const Sync own;
    if (state.needs_reset) {
        state.needs_reset = false;
        ask(state, own, command::reset_connection, {}, out);
        if (!identity_.database.empty() && state.synced > 0)
            ask(state, own, command::init_db, identity_.database, out);
        ++state.generation;
        state.synced = 0;
        state.insert_id = 0;
        state.is_read_only = false;
        state.needs_tracking = true;
        state.closes.clear();
    }
    if (state.needs_tracking) {
        state.needs_tracking = false;
        ask(state, own, command::query, tracking_statement_of(around_.is_mariadb), out);
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
        ask(state, own, command::query, next_transaction_, out);
    }
    if (!state.is_replica && has_unread_state()) {
        variables_are_whole_ = true;
        Sync sync;
        sync.kind = Sync::Kind::variables;
        ask(state, std::move(sync), command::query, user_variables_query, out);
    }
    if (Prepared* prepared = statement_id != 0 ? find_prepared(statement_id) : nullptr;
        prepared && !is_present(*prepared, slot) && !prepared->statement->too_long &&
        prepared->error.empty()) {
        Sync sync;
        sync.kind = Sync::Kind::prepare;
        sync.statement_id = statement_id;
        ask(state, std::move(sync), command::stmt_prepare, prepared->statement->text, out);
    }
    state.sync_failed = false;
    state.sync_failed_at = 0;
    if (state.syncs.empty()) {
        state.synced = version;
        return false;
    }
    state.sync_target = version;
    return true;
}

void Conversation::forget_unsynchronisable() {
    for (auto& state : slots_) {
        if (state.sync_failed_at == 0 || !log_) continue;
        const auto& entries = log_->entries();
        const auto failed = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
            return entry.version == state.sync_failed_at;
        });
        // Going on without a role would give the session rights that it had given up.
        if (failed != entries.end() && !failed->privileged) log_->forget(state.sync_failed_at);
        state.sync_failed_at = 0;
    }
}

/// Always three commands, so that whoever follows the answers needs to know nothing of this session.
bool Conversation::append_reset(ByteBuffer& out) {
    if (transaction_ != Transaction::idle || !units_.empty() || pins_.replication || lost_ ||
        stream_under_way() || file_under_way_) {
        return false;
    }
    for (const auto& state : slots_) {
        if (!state.syncs.empty() || state.body_left > 0) return false;
    }
    // A reset keeps the database, and there is no way to leave one.
    if (schema_changed_ && identity_.database.empty()) return false;
    if (wants_multi_statements_ != client_has(capability::multi_statements)) return false;
    // Settings go back to the server's own, character sets included. A collation's number names both.
    const std::string collation = std::to_string(around_.collation);
    PacketWriter(out, 0).u8(command::reset_connection).finish();
    if (identity_.database.empty()) {
        PacketWriter(out, 0).u8(command::ping).finish();
    } else {
        PacketWriter(out, 0).u8(command::init_db).bare_text(identity_.database).finish();
    }
    PacketWriter(out, 0)
        .u8(command::query)
        .bare_text(tracking_statement_of(around_.is_mariadb))
        .bare_text(", character_set_client=" + collation + ", character_set_results=" + collation +
                   ", collation_connection=" + collation)
        .finish();
    return true;
}

void Conversation::append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) {
    const ErrorNumber error = error_of(code);
    const uint8_t sequence = units_.empty() ? uint8_t{1} : units_.front().next_sequence;
    append_err(out, sequence, error.number, error.sqlstate, message);
}

}  // namespace holdfast::mysql
