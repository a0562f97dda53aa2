#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"

/// MariaDB's client_ed25519: Ed25519 whose private key is the SHA-512 of the password itself, whatever its
/// length, where RFC 8032 has the SHA-512 of a seed of 32 bytes. Checking is the same, signing is not.
/// spec    RFC 8032, section 5.1; MariaDB Knowledge Base, "Authentication Plugin - ed25519"
namespace holdfast::mysql {

inline constexpr size_t ed25519_nonce_bytes = 32;
using Ed25519Signature = std::array<std::byte, 64>;

/// What mysql.global_priv holds of a password: the public key, 43 letters of base64.
std::string ed25519_stored_of(std::string_view password);
Ed25519Signature sign_ed25519(std::string_view password, Bytes nonce);
/// Whether `signature` is one over `nonce` by the key that `stored` names.
bool check_ed25519(Bytes signature, Bytes nonce, std::string_view stored);

}  // namespace holdfast::mysql
