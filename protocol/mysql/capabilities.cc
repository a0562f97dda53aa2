#include "protocol/mysql/capabilities.h"

#include <algorithm>
#include <charconv>

#include "protocol/mysql/tracking.h"

namespace holdfast::mysql {
namespace {

/// Major and minor version as one number: 10.11 is 10'011. Of "5.5.5-10.11.6-MariaDB" the part that counts.
unsigned version_number(std::string_view version) {
    if (is_mariadb(version) && version.starts_with("5.5.5-")) version.remove_prefix(6);
    unsigned major = 0, minor = 0;
    const char* end = version.data() + version.size();
    const auto [at, failure] = std::from_chars(version.data(), end, major);
    if (failure == std::errc() && at != end && *at == '.') std::from_chars(at + 1, end, minor);
    return std::min(major, 1'000u) * 1'000 + std::min(minor, 999u);
}

}  // namespace

uint64_t offered_capabilities(std::string_view version, bool offers_compression) {
    using namespace capability;
    uint64_t offered = found_rows | long_flag | connect_with_db | no_schema | odbc | local_files |
                       ignore_space | protocol_41 | interactive | ignore_sigpipe | transactions |
                       secure_connection | multi_statements | multi_results | ps_multi_results | plugin_auth |
                       connect_attrs | plugin_auth_lenenc | can_handle_expired_passwords | session_track |
                       deprecate_eof;
    if (offers_compression) offered |= compress;
    const unsigned number = version_number(version);
    if (is_mariadb(version)) {
        offered |= progress | stmt_bulk_operations;
        if (number >= 10'005) offered |= extended_metadata;
        if (number >= 10'006) offered |= cache_metadata;
        if (number >= 11'005) offered |= bulk_unit_results;
        return offered;
    }
    offered |= client_mysql;
    if (number >= 8'000) {
        offered |= optional_resultset_metadata | query_attributes;
        if (offers_compression) offered |= zstd_compression;
    }
    return offered;
}

}  // namespace holdfast::mysql
