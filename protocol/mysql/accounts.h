#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/dialect/dialect.h"

/// Which of a name's accounts a client is: 'name'@'host pattern', the most specific pattern first.
/// spec    MySQL Reference Manual, "Specifying Account Names", "Access Control, Stage 1"
namespace holdfast::mysql {

/// Where a client comes from, as accounts see it.
struct ClientHost {
    std::string address;  // an IP address; empty: a Unix socket
    /// What error messages call it.
    std::string_view name() const { return address.empty() ? std::string_view("localhost") : address; }
};

bool host_matches(std::string_view pattern, const ClientHost& host);
/// nullptr: none of them lets this host in. Lives as long as `accounts` is unchanged.
const dialect::StoredAccount* choose_account(const std::vector<dialect::StoredAccount>& accounts,
                                             const ClientHost& host);

}  // namespace holdfast::mysql
