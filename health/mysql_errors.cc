#include "health/mysql_errors.h"

#include <cerrno>
#include <string>

#include <mysql/errmsg.h>

namespace holdfast::health {
namespace {

/// What the server's error number says of the server.
Outcome outcome_of_server_error(unsigned code) {
    switch (code) {
        case 1040:  // ER_CON_COUNT_ERROR
        case 1203:  // ER_TOO_MANY_USER_CONNECTIONS
        case 1226:  // ER_USER_LIMIT_REACHED
            return Outcome::too_many;
        case mysql_error_shutdown:  // ER_SERVER_SHUTDOWN
        case 1077:                  // ER_NORMAL_SHUTDOWN
        case 3032:                  // ER_SERVER_OFFLINE_MODE
            return Outcome::starting_up;
        case 1152:  // ER_ABORTING_CONNECTION
        case 1927:  // ER_CONNECTION_KILLED
        case 4031:  // ER_CLIENT_INTERACTION_TIMEOUT
            return Outcome::conn_lost;
        case 1969:  // ER_STATEMENT_TIMEOUT
        case 3024:  // ER_QUERY_TIMEOUT
        case 1317:  // ER_QUERY_INTERRUPTED
            return Outcome::query_timeout;
        case 1044:  // ER_DBACCESS_DENIED_ERROR
        case 1045:  // ER_ACCESS_DENIED_ERROR
        case 1049:  // ER_BAD_DB_ERROR
        case 1129:  // ER_HOST_IS_BLOCKED
        case 1130:  // ER_HOST_NOT_PRIVILEGED
        case 1142:  // ER_TABLEACCESS_DENIED_ERROR
        case 1143:  // ER_COLUMNACCESS_DENIED_ERROR
        case 1227:  // ER_SPECIFIC_ACCESS_DENIED_ERROR
        case 1251:  // ER_NOT_SUPPORTED_AUTH_MODE
        case 1275:  // ER_SERVER_IS_IN_SECURE_AUTH_MODE
        case 1524:  // ER_PLUGIN_IS_NOT_LOADED
        case 1698:  // ER_ACCESS_DENIED_NO_PASSWORD_ERROR
        case 1820:  // ER_MUST_CHANGE_PASSWORD
        case 1862:  // ER_MUST_CHANGE_PASSWORD_LOGIN
        case 3118:  // ER_ACCOUNT_HAS_BEEN_LOCKED
        case 3159:  // ER_SECURE_TRANSPORT_REQUIRED
        case 3955:  // ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK
        case 4151:  // ER_ACCOUNT_HAS_BEEN_LOCKED (MariaDB)
            return Outcome::auth;
        default: return Outcome::protocol;
    }
}

/// "Can't connect to server on '127.0.0.1' (111)": the system's error number stands at the end.
bool mentions_errno(std::string_view text, int number) {
    return text.find("(" + std::to_string(number) + ")") != std::string_view::npos ||
           text.find("error: " + std::to_string(number)) != std::string_view::npos;
}

Outcome outcome_of_library_error(unsigned code, std::string_view text) {
    switch (code) {
        case CR_CONNECTION_ERROR:
        case CR_CONN_HOST_ERROR:
            return mentions_errno(text, ECONNREFUSED) || mentions_errno(text, ENOENT) ? Outcome::conn_refused
                                                                                      : Outcome::conn_failed;
        case CR_UNKNOWN_HOST:
        case CR_SOCKET_CREATE_ERROR:
        case CR_OUT_OF_MEMORY: return Outcome::conn_failed;
        case CR_SERVER_GONE_ERROR:
        case CR_SERVER_LOST:
        case CR_SERVER_LOST_EXTENDED: return Outcome::conn_lost;
        case CR_SSL_CONNECTION_ERROR: return Outcome::tls;
        case CR_AUTH_PLUGIN_CANNOT_LOAD:
        case CR_AUTH_PLUGIN_ERR: return Outcome::auth;
        default: return Outcome::protocol;
    }
}

}  // namespace

bool is_mysql_library_error(unsigned code) {
    return code >= CR_MIN_ERROR && code <= 2999;
}

Outcome outcome_of_mysql_error(unsigned code, std::string_view text) {
    return is_mysql_library_error(code) ? outcome_of_library_error(code, text)
                                        : outcome_of_server_error(code);
}

}  // namespace holdfast::health
