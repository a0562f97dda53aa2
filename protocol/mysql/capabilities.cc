#include "protocol/mysql/capabilities.h"

#include "protocol/mysql/server_version.h"

namespace holdfast::mysql {

uint64_t offered_capabilities(std::string_view version, bool offers_compression) {
    using namespace capability;
    uint64_t offered = found_rows | long_flag | connect_with_db | no_schema | odbc | local_files |
                       ignore_space | protocol_41 | interactive | ignore_sigpipe | transactions |
                       secure_connection | multi_statements | multi_results | ps_multi_results | plugin_auth |
                       connect_attrs | plugin_auth_lenenc | can_handle_expired_passwords | session_track |
                       deprecate_eof;
    if (offers_compression) offered |= compress;
    const uint32_t number = version_number(version);
    if (is_mariadb(version)) {
        offered |= progress | stmt_bulk_operations;
        if (number >= 100'500) offered |= extended_metadata;
        if (number >= 100'600) offered |= cache_metadata;
        if (number >= 110'500) offered |= bulk_unit_results;
        return offered;
    }
    offered |= client_mysql;
    if (number >= 80'023) offered |= query_attributes;
    if (number >= 80'000) {
        offered |= optional_resultset_metadata;
        if (offers_compression) offered |= zstd_compression;
    }
    return offered;
}

}  // namespace holdfast::mysql
