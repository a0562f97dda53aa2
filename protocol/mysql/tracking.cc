#include "protocol/mysql/tracking.h"

namespace holdfast::mysql {

std::string tracking_statement(bool is_mariadb) {
    std::string sql =
        "SET SESSION session_track_system_variables='*', session_track_state_change=1, session_track_schema=1, "
        "session_track_transaction_info='CHARACTERISTICS'";
    if (!is_mariadb) sql += ", session_track_gtids='OWN_GTID'";
    return sql;
}

std::string reset_statement(bool is_mariadb, uint8_t collation) {
    const std::string id = std::to_string(collation);
    return tracking_statement(is_mariadb) + ", character_set_client=" + id + ", character_set_results=" + id +
           ", collation_connection=" + id;
}

}  // namespace holdfast::mysql
