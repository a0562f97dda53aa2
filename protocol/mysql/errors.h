#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/dialect/dialect.h"

/// The proxy's errors as MySQL clients know errors: a number and a five-letter SQLSTATE.
/// spec    MySQL Reference Manual, "Server Error Message Reference"
namespace holdfast::mysql {

namespace error {
inline constexpr uint16_t too_many_connections = 1040;
inline constexpr uint16_t bad_handshake = 1043;
inline constexpr uint16_t access_denied = 1045;
inline constexpr uint16_t unknown_database = 1049;
inline constexpr uint16_t server_shutdown = 1053;
inline constexpr uint16_t syntax = 1064;
inline constexpr uint16_t normal_shutdown = 1077;
inline constexpr uint16_t shutdown_complete = 1079;
inline constexpr uint16_t unknown = 1105;
inline constexpr uint16_t host_is_blocked = 1129;
inline constexpr uint16_t packet_too_large = 1153;
inline constexpr uint16_t packets_out_of_order = 1156;
inline constexpr uint16_t too_many_user_connections = 1203;
inline constexpr uint16_t deadlock = 1213;
inline constexpr uint16_t user_limit_reached = 1226;
inline constexpr uint16_t not_supported = 1235;
inline constexpr uint16_t auth_protocol_too_old = 1251;
inline constexpr uint16_t read_only = 1290;
inline constexpr uint16_t interrupted = 1317;
inline constexpr uint16_t must_change_password = 1820;
inline constexpr uint16_t malformed_packet = 1835;
inline constexpr uint16_t must_change_password_login = 1862;
inline constexpr uint16_t connection_killed = 1927;  // MariaDB
inline constexpr uint16_t server_offline_mode = 3032;
inline constexpr uint16_t account_locked_mysql = 3118;
inline constexpr uint16_t secure_transport_required = 3159;
inline constexpr uint16_t session_was_killed = 3169;          // MySQL
inline constexpr uint16_t client_interaction_timeout = 4031;  // MySQL's; MariaDB means another error by it
inline constexpr uint16_t account_locked_mariadb = 4151;

/// The proxy's own. No server uses this range, and no common driver takes one of them, with SQLSTATE HY000,
/// for a lost connection: Connector/J goes by SQLSTATE 08…, mysql2 and PyMySQL by 2006 and 2013,
/// go-sql-driver by 1290, 1792 and 1836.
inline constexpr uint16_t outcome_unknown = 9701;    // the server was lost after a statement was sent to it
inline constexpr uint16_t state_lost = 9702;         // session state that can't be replayed is gone
inline constexpr uint16_t no_primary = 9703;         // none was there for as long as failover.wait
inline constexpr uint16_t no_server = 9704;          // none that reads may go to
inline constexpr uint16_t result_broken_off = 9705;  // rows were delivered, the rest can't be
}  // namespace error

/// In place of an SQLSTATE: PostgreSQL has one for every limit on connections.
inline constexpr std::string_view user_limit_code = "53300 user";

struct ErrorNumber {
    uint16_t number;
    std::string_view sqlstate;
};
/// What stands for an SQLSTATE as the engine uses them (PostgreSQL's).
ErrorNumber error_of(std::string_view engine_sqlstate);
ErrorNumber error_of(dialect::Failure failure);
/// Whether a server announces by this error that the connection, or the server itself, ends.
bool announces_end(uint16_t number);
/// Why a server that answers a login with this error did not let us in.
dialect::ServerRefusal::Kind refusal_kind_of(uint16_t number);

}  // namespace holdfast::mysql
