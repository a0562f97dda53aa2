#include "protocol/mysql/errors.h"

#include <cstdlib>

namespace holdfast::mysql {
namespace {

struct Row {
    std::string_view engine_sqlstate;
    ErrorNumber error;
};
constexpr Row rows[] = {
    {"08P01", {error::malformed_packet, "HY000"}},
    {"08007", {error::outcome_unknown, "HY000"}},
    {"08004", {error::too_many_connections, "08004"}},
    {"0A000", {error::not_supported, "42000"}},
    {"25P03", {error::client_interaction_timeout, "HY000"}},
    {"25P04", {error::client_interaction_timeout, "HY000"}},
    {"25006", {error::read_only, "HY000"}},
    {"28000", {error::access_denied, "28000"}},
    {"28P01", {error::access_denied, "28000"}},
    {"3D000", {error::unknown_database, "42000"}},
    {"40001", {error::deadlock, "40001"}},
    {user_limit_code, {error::too_many_user_connections, "42000"}},
    {"53300", {error::too_many_connections, "08004"}},
    {"53400", {error::host_is_blocked, "HY000"}},
    {"54000", {error::packet_too_large, "08S01"}},
    {"55000", {error::state_lost, "HY000"}},
    {"57014", {error::interrupted, "70100"}},
    {"57P01", {error::server_shutdown, "08S01"}},
    {"57P02", {error::server_shutdown, "08S01"}},
    {"57P03", {error::server_shutdown, "08S01"}},
    {"57P05", {error::client_interaction_timeout, "HY000"}},
};

}  // namespace

ErrorNumber error_of(std::string_view engine_sqlstate) {
    for (const Row& row : rows) {
        if (row.engine_sqlstate == engine_sqlstate) return row.error;
    }
    return {error::unknown, "HY000"};
}

ErrorNumber error_of(dialect::Failure failure) {
    using dialect::Failure;
    switch (failure) {
        case Failure::transaction_lost: return {error::deadlock, "40001"};
        case Failure::outcome_unknown: return {error::outcome_unknown, "HY000"};
        case Failure::result_broken_off: return {error::result_broken_off, "HY000"};
        case Failure::state_lost: return {error::state_lost, "HY000"};
        case Failure::no_primary: return {error::no_primary, "HY000"};
        case Failure::no_server: return {error::no_server, "HY000"};
        case Failure::server_refused: return {error::access_denied, "28000"};
        case Failure::sync_failed: return {error::state_lost, "HY000"};
        case Failure::cancelled: return {error::interrupted, "70100"};
    }
    std::abort();
}

bool announces_end(uint16_t number) {
    switch (number) {
        case error::server_shutdown:
        case error::normal_shutdown:
        case error::shutdown_complete:
        case error::connection_killed:
        case error::session_was_killed:
        case error::client_interaction_timeout: return true;
        default: return false;
    }
}

dialect::ServerRefusal::Kind refusal_kind_of(uint16_t number) {
    using Kind = dialect::ServerRefusal::Kind;
    if (announces_end(number)) return Kind::not_now;
    switch (number) {
        case error::too_many_connections:
        case error::too_many_user_connections:
        case error::user_limit_reached: return Kind::too_many;
        case error::server_offline_mode:
        case error::host_is_blocked: return Kind::not_now;
        case error::bad_handshake:
        case error::packets_out_of_order:
        case error::malformed_packet: return Kind::broken;
        default: return Kind::identity;
    }
}

}  // namespace holdfast::mysql
