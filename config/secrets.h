#pragma once

#include <optional>
#include <string>

#include "config/context.h"
#include "config/document.h"
#include "protocol/base/secret.h"

namespace holdfast::config {

/// The secret that a value is or points to. Reports what is wrong, without ever saying what the secret is;
/// warns of secret files that everyone can read.
/// path  the setting's name, for messages
std::optional<Secret> read_secret(Context& context, const Node& value, const std::string& path);

/// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the keys being 32 bytes in base64.
/// spec  PostgreSQL documentation, "pg_authid", rolpassword
bool is_scram_verifier(std::string_view text);

/// md5 and 32 lower-case hexadecimal digits.
bool is_md5_hash(std::string_view text);

}  // namespace holdfast::config
