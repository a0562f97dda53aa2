#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"

/// The few cryptographic primitives that the login methods are made of, over OpenSSL's libcrypto. What can
/// fail in them is only a libcrypto without memory or without the algorithm.
namespace holdfast::postgres {

using Sha256 = std::array<std::byte, 32>;

/// Aborts when libcrypto fails: SHA-256 is in every build of it, and going on without would let anybody in.
Sha256 sha256(Bytes data);
Sha256 hmac_sha256(Bytes key, Bytes data);

/// PBKDF2 with HMAC-SHA-256, one block: RFC 5802's Hi(). `iterations` is at least 1. Takes some milliseconds
/// at PostgreSQL's default of 4,096 iterations. Aborts as sha256 does.
Sha256 pbkdf2_sha256(std::string_view password, Bytes salt, uint32_t iterations);

/// 32 lower-case hex digits; nullopt where libcrypto forbids MD5 (FIPS).
std::optional<std::string> md5_hex(Bytes data);

/// Whether both are the same, in a time that depends on their lengths only.
bool equal_in_constant_time(Bytes a, Bytes b);

/// RFC 4648 base64 with padding.
std::string base64_encode(Bytes data);
/// nullopt: not the base64 of anything (white space, missing padding and stray bits at the end included).
std::optional<ByteBuffer> base64_decode(std::string_view text);

}  // namespace holdfast::postgres
