#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/base/secret.h"
#include "protocol/dialect/dialect.h"

namespace holdfast::mysql {

/// What a client asks for at login or with COM_CHANGE_USER.
struct LoginRequest {
    uint64_t capabilities = 0;
    uint8_t collation = 0;
    std::string user;
    Secret proof;  // the plugin's answer to the greeting's salt
    std::string database;
    std::string plugin;  // empty: the client does not say
    dialect::Parameters attributes;
    uint8_t compression_level = 0;
};

/// Whether a packet is an SSLRequest: the head of a login request, and nothing behind it.
bool is_ssl_request(Bytes payload);
/// in      exactly the payload of a HandshakeResponse41
/// errors  unsupported: a client from before MySQL 4.1; bad_length, bad_value: malformed; limit_exceeded:
///         too many connection attributes
/// spec    MySQL Internals, "Protocol::HandshakeResponse"
Result<LoginRequest> parse_login_request(Bytes payload, uint64_t offered);
/// in      exactly the payload of a COM_CHANGE_USER, the command byte included
Result<LoginRequest> parse_change_user(Bytes payload, uint64_t capabilities, uint8_t collation);

}  // namespace holdfast::mysql
