// What a conversation knows of its server connections: made, lost, given back.
#include "protocol/mysql/conversation.h"

#include "protocol/base/numbers.h"
#include "protocol/mysql/attributes.h"
#include "protocol/mysql/character_sets.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/schema.h"
#include "protocol/mysql/tracking.h"

namespace holdfast::mysql {
namespace {

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

/// What a login with IGNORE_SPACE or INTERACTIVE makes of the server's own settings, and a reset unmakes.
constexpr std::string_view ignore_space_again =
    ", sql_mode=CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'IGNORE_SPACE')";
constexpr std::string_view interactive_again = ", wait_timeout=@@interactive_timeout";

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
    schema_ = identity.database;
    is_system_schema_ = is_system_schema(schema_);
    read_as_at_login();
}

Conversation::~Conversation() = default;

dialect::SessionLog& Conversation::log() {
    if (!log_) log_ = std::make_unique<dialect::SessionLog>();
    return *log_;
}

void Conversation::take_sql_mode(std::string_view mode) {
    ansi_quotes_ = mode.find("ANSI") != std::string_view::npos;
    no_backslash_escapes_ = mode.find("NO_BACKSLASH_ESCAPES") != std::string_view::npos;
    sql_mode_is_reported_ = true;
}

/// Texts are read as the server said at login that it reads them, until something changes that.
void Conversation::read_as_at_login() {
    take_sql_mode(around_.sql_mode.value_or(std::string()));
    sql_mode_is_reported_ = around_.sql_mode.has_value();
    encoding_is_safe_ = around_.character_set_client.empty()
                            ? is_safe_collation(around_.collation)
                            : !is_unsafe_character_set(around_.character_set_client);
}

void Conversation::clear_pins() {
    pins_ = {};
    locks_.reset();
    if (!prepared_) return;
    for (auto& [id, prepared] : *prepared_) {
        prepared.lost_long_data = prepared.lost_long_data || prepared.has_long_data;
        prepared.has_long_data = prepared.has_cursor = false;
    }
}

void Conversation::slot_opened(Slot slot, bool is_replica) {
    SlotState& state = slots_[index(slot)];
    const uint32_t generation = state.generation + 1;
    state = {};
    state.generation = generation;
    state.is_open = true;
    state.is_replica = is_replica;
    state.multi_statements = (around_.client_capabilities & capability::multi_statements) != 0;
    // What the login makes of it is no more: character set, IGNORE_SPACE, the timeout of an interactive
    // client.
    state.needs_reset = is_reset_;
}

void Conversation::slot_parameters(Slot slot, const dialect::Parameters& parameters) {
    SlotState& state = slots_[index(slot)];
    for (const auto& [name, value] : parameters) {
        if (name == "capabilities") state.capabilities = parse_number<uint64_t>(value).value_or(0);
        if (name == "sql_mode") state.login_sql_mode = value;
        if (name == "tracking") state.lacks_tracking = value == "off";
    }
    // Nobody would hear of what the session does to itself.
    if (state.lacks_tracking) pins_.settings = true;
    // The server's own may have been changed since the session began.
    state.has_own_sql_mode =
        around_.sql_mode && state.login_sql_mode && *state.login_sql_mode != *around_.sql_mode;
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
        // The rest of a request that nobody answers has nowhere to go.
        if (units_.empty() && stream_under_way()) stream_dropped_ = true;
    }
    if (pins_.long_data > 0 && prepared_) {
        for (auto& [id, prepared] : *prepared_) {
            if (!prepared.has_long_data || prepared.long_data_slot != slot) continue;
            forget_long_data(prepared);
            prepared.lost_long_data = true;
        }
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

/// Always three commands, so that whoever follows the answers needs to know nothing of this session.
bool Conversation::append_reset(Slot slot, ByteBuffer& out) {
    const SlotState& own = slots_[index(slot)];
    if (own.lacks_tracking || transaction_ != Transaction::idle || !units_.empty() || pins_.replication ||
        lost_ || stream_under_way() || file_under_way_) {
        return false;
    }
    for (const auto& state : slots_) {
        if (!state.syncs.empty() || state.body_left > 0) return false;
        // No reset sets this option back.
        if (state.is_open && state.multi_statements != client_has(capability::multi_statements)) return false;
    }
    // Neither MySQL nor MariaDB sets the role back, and which ones a login begins with is the server's to
    // know.
    if (role_was_set_) return false;
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
        .bare_text(client_has(capability::query_attributes) ? no_attributes : std::string_view())
        .bare_text(tracking_statement(around_.is_mariadb))
        .bare_text(", character_set_client=" + collation + ", character_set_results=" + collation +
                   ", collation_connection=" + collation)
        // As its login found it: whoever gets the connection is told that it is so.
        .bare_text(own.login_sql_mode ? ", sql_mode='" + std::string(*own.login_sql_mode) + "'"
                   : client_has(capability::ignore_space) ? std::string(ignore_space_again)
                                                          : std::string())
        .bare_text(client_has(capability::interactive) ? interactive_again : std::string_view())
        .finish();
    return true;
}

void Conversation::append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) {
    const ErrorNumber error = error_of(code);
    // MariaDB ends connections that are idle for too long without a word.
    if (error.number == error::client_interaction_timeout && around_.is_mariadb) return;
    const uint8_t sequence = units_.empty() ? uint8_t{1} : units_.front().next_sequence;
    append_err(out, sequence, error.number, error.sqlstate, message);
}

}  // namespace holdfast::mysql
