#pragma once

#include <algorithm>
#include <string_view>

/// The statement that makes a server report changes of the session's state. A login needs it, and every
/// reset, which sets the trackers back to the server's own settings.
/// spec    MySQL Reference Manual, "Server Tracking of Client Session State"
namespace holdfast::mysql {

inline constexpr std::string_view tracking_statement_mariadb =
    "SET SESSION session_track_system_variables='*', session_track_state_change=1, session_track_schema=1, "
    "session_track_transaction_info='CHARACTERISTICS'";
inline constexpr std::string_view tracking_statement_mysql =
    "SET SESSION session_track_system_variables='*', session_track_state_change=1, session_track_schema=1, "
    "session_track_transaction_info='CHARACTERISTICS', session_track_gtids='OWN_GTID'";

inline std::string_view tracking_statement(bool is_mariadb) {
    return is_mariadb ? tracking_statement_mariadb : tracking_statement_mysql;
}

/// Behind the tracking statement: has the server report at once how it reads texts.
inline constexpr std::string_view report_of_reading =
    ", sql_mode=@@sql_mode, character_set_client=@@character_set_client";

/// Whether a server has told a sql_mode, which can stand in a statement as it is.
inline bool is_sql_mode(std::string_view text) {
    constexpr size_t bytes_max = 2'048;  // every mode that there is, twice
    return text.size() <= bytes_max && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ',';
           });
}

/// Whether a name that a server has told can stand in a statement as it is.
inline bool is_plain_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '.';
    });
}

/// A whole number of at most 19 digits.
inline bool is_number(std::string_view text) {
    return !text.empty() && text.size() < 20 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Settings that say whether a session may write: on a connection for reads they are the proxy's.
inline bool is_access_mode(std::string_view name) {
    return name.find("transaction") != std::string_view::npos ||
           name.find("read_only") != std::string_view::npos;
}

}  // namespace holdfast::mysql
