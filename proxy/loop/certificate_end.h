#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "config/settings.h"
#include "protocol/base/result.h"

/// When certificates run out, in seconds since 1970. For checks by hand: everything here blocks.
namespace holdfast::loop {

/// Of the certificates in a PEM file, a chain, the end of the one that runs out first.
/// errors  not_found: the file can't be opened; bad_value: there is no certificate in it
Result<int64_t> certificate_end_of_file(const std::string& pem_file);

/// Of the certificate that a server shows, whoever signed it; nullopt: it offers no TLS. The connection is
/// given up before a login. `limit` is that of each wait for the server.
/// errors  unreachable: no connection, or it broke off; bad_value: what came is neither TLS nor the protocol
Result<std::optional<int64_t>> certificate_end_of_server(const config::Endpoint& address,
                                                         config::Protocol protocol,
                                                         const config::ServerTls& tls,
                                                         std::chrono::milliseconds limit);

}  // namespace holdfast::loop
