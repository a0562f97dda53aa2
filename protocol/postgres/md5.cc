#include "protocol/postgres/md5.h"

#include <algorithm>

#include "protocol/postgres/digest.h"

namespace holdfast::postgres {

namespace {

constexpr std::string_view prefix = "md5";
constexpr size_t hex_digits = 32;

/// "md5" and the digest of both parts, the way both steps of the method need it.
Result<Secret> digest_of(std::string_view first, Bytes second) {
    ByteBuffer data;
    data.reserve(first.size() + second.size());
    append(data, first);
    append(data, second);
    const auto hex = md5_hex(data);
    OPENSSL_cleanse(data.data(), data.size());
    if (!hex) return Error{ErrorCode::unsupported, "the crypto library of this system forbids MD5"};
    return Secret(std::string(prefix) + *hex);
}

}  // namespace

Result<Secret> md5_hash(std::string_view password, std::string_view user) {
    return digest_of(password, as_bytes(user));
}

bool is_md5_hash(std::string_view text) {
    return text.size() == prefix.size() + hex_digits && text.starts_with(prefix) &&
           std::all_of(text.begin() + prefix.size(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Secret> md5_response(std::string_view hash, Bytes salt) {
    if (!is_md5_hash(hash)) return Error{ErrorCode::bad_value, "not an MD5 password hash"};
    return digest_of(hash.substr(prefix.size()), salt);
}

}  // namespace holdfast::postgres
