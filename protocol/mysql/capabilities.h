#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/mysql/packets.h"

/// Which of the protocol's capabilities the proxy passes on.
namespace holdfast::mysql {

/// Those that change how requests and answers are laid out: a server without one of them can't serve a client
/// that has it. Offered when all servers that are known have them.
inline constexpr uint64_t layout_capabilities = capability::optional_resultset_metadata |
                                                capability::extended_metadata | capability::cache_metadata |
                                                capability::query_attributes;
/// Those capabilities that are part of an identity: they change what statements mean or return.
inline constexpr uint64_t identity_capabilities =
    capability::found_rows | capability::no_schema | capability::ignore_space | capability::local_files |
    capability::interactive | capability::multi_statements | capability::multi_results |
    capability::ps_multi_results | capability::can_handle_expired_passwords | capability::progress |
    capability::stmt_bulk_operations | capability::bulk_unit_results | layout_capabilities;
/// What a server that calls itself by this text is able to, as far as the proxy passes it on.
uint64_t offered_capabilities(std::string_view version, bool offers_compression);

}  // namespace holdfast::mysql
