// Reading back from a connection what no statement and no report has told: user variables, temporary tables.
#include <algorithm>
#include <charconv>
#include <utility>

#include "protocol/mysql/conversation.h"
#include "protocol/mysql/tracking.h"
#include "protocol/sql/quoted.h"

namespace holdfast::mysql {
namespace {

/// What user variables hold, whoever set them (MariaDB's plugin user_variables, on by default).
constexpr std::string_view user_variables_query =
    "SELECT VARIABLE_NAME, HEX(VARIABLE_VALUE), VARIABLE_TYPE, CHARACTER_SET_NAME FROM "
    "information_schema.USER_VARIABLES";

/// How many temporary tables were made on this connection since its login or its last reset, whoever made
/// them: procedures, functions and triggers count too. MySQL counts them among the others. spec    MariaDB
/// Knowledge Base, "Server Status Variables"; MySQL Reference Manual, "Server Status Variables"
constexpr std::string_view temporary_tables_query_mariadb =
    "SHOW SESSION STATUS LIKE 'Com_create_temporary_table'";
constexpr std::string_view temporary_tables_query_mysql = "SHOW SESSION STATUS LIKE 'Com_create_table'";

}  // namespace

/// Whether there is something to be read back. On a listener for reads it was left behind on a replica, and
/// does not stay with the session.
bool Conversation::can_examine() const {
    return !only_reads_ && ((pins_.variables && can_read_variables_) || (pins_.routines && can_read_status_));
}

void Conversation::ask_for_unread(SlotState& state, ByteBuffer& out) {
    if (pins_.routines && can_read_status_) {
        routines_are_examined_ = false;
        Sync sync;
        sync.kind = Sync::Kind::routines;
        ask(state, std::move(sync), command::query,
            around_.is_mariadb ? temporary_tables_query_mariadb : temporary_tables_query_mysql, out);
    }
    if (pins_.variables && can_read_variables_) {
        variables_are_whole_ = true;
        Sync sync;
        sync.kind = Sync::Kind::variables;
        ask(state, std::move(sync), command::query, user_variables_query, out);
    }
}

/// The answer to what user variables hold: from then on they are state that can be replayed.
void Conversation::take_variables(PacketRole role, Bytes payload, bool is_whole) {
    if (role == PacketRole::row && !(is_whole && take_variable_row(payload))) variables_are_whole_ = false;
    if (role == PacketRole::end_of_rows && variables_are_whole_) pins_.variables = false;
    // What can't be read now can't be read later: the session stays where it is.
    if (role == PacketRole::end_of_rows && !variables_are_whole_) can_read_variables_ = false;
}

/// The answer to how many temporary tables the connection has ever made: if none, the procedure left none.
void Conversation::take_routines(PacketRole role, Bytes payload, bool is_whole) {
    if (role == PacketRole::row && is_whole) {
        PacketReader reader(payload);
        reader.lenenc_text();
        const std::string_view count = reader.lenenc_text();
        if (reader.failed() || !is_number(count)) return;
        routines_are_examined_ = true;
        // One that was dropped again looks the same.
        if (count != "0") pins_.temporary = true;
    }
    if (role != PacketRole::end_of_rows) return;
    if (routines_are_examined_) pins_.routines = false;
    can_read_status_ = routines_are_examined_;  // else the pin stays
}

/// One variable: name, value in hexadecimal, type, character set. False: it can't be replayed.
bool Conversation::take_variable_row(Bytes payload) {
    PacketReader reader(payload);
    const std::string_view name = reader.lenenc_text();
    const bool is_null = reader.take_null();
    const std::string_view hex = is_null ? std::string_view() : reader.lenenc_text();
    const std::string_view type = reader.lenenc_text();
    const std::string_view charset = reader.take_null() ? std::string_view() : reader.lenenc_text();
    if (reader.failed() || hex.size() % 2 != 0) return false;
    std::string value;
    if (is_null) {
        value = "NULL";
    } else if (type == "VARCHAR") {
        if (charset == "binary" || !is_plain_name(charset)) return false;  // shown with loss
        value = hex.empty() ? "_utf8mb4 ''" : "_utf8mb4 0x" + std::string(hex);
        if (charset != "utf8mb4") value = "CONVERT(" + value + " USING " + std::string(charset) + ")";
    } else {
        for (size_t i = 0; i + 1 < hex.size(); i += 2) {
            unsigned byte = 0;
            std::from_chars(hex.data() + i, hex.data() + i + 2, byte, 16);
            const auto c = static_cast<char>(byte);
            const bool fits =
                (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
            if (!fits) return false;
            value += c;
        }
        if (value.empty()) return false;
    }
    std::string key(name);
    std::transform(key.begin(), key.end(), key.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    std::string replay = "SET @" + sql::quoted(name, '`') + " = " + value;
    for (const auto& entry : log().entries()) {
        if (entry.key == "variable:" + key && entry.replay == replay) return true;
    }
    log().record_now({sql::EffectKind::user_variable, std::move(key), std::move(replay)});
    return true;
}

}  // namespace holdfast::mysql
