#pragma once

#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/base/secret.h"

/// PostgreSQL's MD5 passwords.
/// spec    PostgreSQL documentation, "Message Flow: Start-up", AuthenticationMD5Password
namespace holdfast::postgres {

inline constexpr size_t md5_salt_bytes = 4;

/// What pg_authid stores of a password: "md5" and the hex MD5 of password and user name.
/// errors  unsupported: the crypto library forbids MD5
Result<Secret> md5_hash(std::string_view password, std::string_view user);

/// Whether `text` looks like a stored MD5 password: "md5" and 32 lower-case hex digits.
bool is_md5_hash(std::string_view text);

/// What a client sends for AuthenticationMD5Password: "md5" and the hex MD5 of the hash's digits and the
/// salt. in      hash: is_md5_hash errors  bad_value: not such a hash; unsupported: the crypto library
/// forbids MD5
Result<Secret> md5_response(std::string_view hash, Bytes salt);

}  // namespace holdfast::postgres
