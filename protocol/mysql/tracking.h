#pragma once

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

/// Settings that say whether a session may write: on a connection for reads they are the proxy's.
inline bool is_access_mode(std::string_view name) {
    return name.find("transaction") != std::string_view::npos ||
           name.find("read_only") != std::string_view::npos;
}

}  // namespace holdfast::mysql
