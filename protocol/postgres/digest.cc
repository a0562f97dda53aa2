#include "protocol/postgres/digest.h"

#include <cassert>
#include <climits>
#include <cstdlib>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace holdfast::postgres {

namespace {

const unsigned char* as_octets(Bytes bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

constexpr std::string_view base64_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The six bits that a character stands for; negative: none.
int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

}  // namespace

Sha256 sha256(Bytes data) {
    Sha256 digest;
    unsigned size = 0;
    if (EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                   EVP_sha256(), nullptr) != 1 ||
        size != digest.size()) {
        std::abort();
    }
    return digest;
}

Sha256 hmac_sha256(Bytes key, Bytes data) {
    assert(key.size() <= INT_MAX);
    // libcrypto takes a null key for "the key of before".
    static constexpr unsigned char no_key = 0;
    Sha256 digest;
    unsigned size = 0;
    if (HMAC(EVP_sha256(), key.empty() ? &no_key : as_octets(key), static_cast<int>(key.size()),
             as_octets(data), data.size(), reinterpret_cast<unsigned char*>(digest.data()),
             &size) == nullptr ||
        size != digest.size()) {
        std::abort();
    }
    return digest;
}

Sha256 pbkdf2_sha256(std::string_view password, Bytes salt, uint32_t iterations) {
    assert(password.size() <= INT_MAX && salt.size() <= INT_MAX && iterations > 0 && iterations <= INT_MAX);
    Sha256 key;
    if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), as_octets(salt),
                          static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                          static_cast<int>(key.size()), reinterpret_cast<unsigned char*>(key.data())) != 1) {
        std::abort();
    }
    return key;
}

std::optional<std::string> md5_hex(Bytes data) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    if (EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_md5(), nullptr) != 1 || size != 16) {
        return std::nullopt;
    }
    constexpr std::string_view digits = "0123456789abcdef";
    std::string hex;
    hex.reserve(32);
    for (size_t i = 0; i < 16; ++i) {
        hex += digits[digest[i] >> 4];
        hex += digits[digest[i] & 15];
    }
    return hex;
}

bool equal_in_constant_time(Bytes a, Bytes b) {
    return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string base64_encode(Bytes data) {
    std::string text;
    text.reserve((data.size() + 2) / 3 * 4);
    for (size_t i = 0; i < data.size(); i += 3) {
        const size_t present = std::min<size_t>(3, data.size() - i);
        uint32_t group = 0;
        for (size_t j = 0; j < 3; ++j) {
            group = group << 8 | (j < present ? std::to_integer<uint32_t>(data[i + j]) : 0);
        }
        for (size_t j = 0; j < 4; ++j) {
            text += j <= present ? base64_alphabet[group >> (18 - 6 * j) & 63] : '=';
        }
    }
    return text;
}

std::optional<ByteBuffer> base64_decode(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
    ByteBuffer data;
    data.reserve(text.size() / 4 * 3);
    uint32_t bits = 0;
    int bits_held = 0;
    for (const char c : text.substr(0, text.size() - padding)) {
        const int value = base64_value(c);
        if (value < 0) return std::nullopt;
        bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xffff;
        bits_held += 6;
        if (bits_held >= 8) {
            bits_held -= 8;
            data.push_back(static_cast<std::byte>(bits >> bits_held));
        }
    }
    // One text for each value: what padding leaves over must be zero.
    if ((bits & ((1u << bits_held) - 1)) != 0) return std::nullopt;
    return data;
}

}  // namespace holdfast::postgres
