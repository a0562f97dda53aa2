#include "protocol/mysql/ed25519.h"

#include <cstdlib>
#include <sodium.h>

namespace holdfast::mysql {
namespace {

const unsigned char* uchars(Bytes bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

/// The expanded private key, wiped when done with.
struct PrivateKey {
    std::array<unsigned char, crypto_hash_sha512_BYTES> bytes;

    explicit PrivateKey(std::string_view password) {
        if (sodium_init() < 0) std::abort();
        const Bytes text = as_bytes(password);
        crypto_hash_sha512(bytes.data(), uchars(text), text.size());
        bytes[0] &= 248;
        bytes[31] &= 63;
        bytes[31] |= 64;
    }
    ~PrivateKey() { sodium_memzero(bytes.data(), bytes.size()); }
    PrivateKey(const PrivateKey&) = delete;
    PrivateKey& operator=(const PrivateKey&) = delete;

    const unsigned char* scalar() const { return bytes.data(); }
    const unsigned char* prefix() const { return bytes.data() + 32; }
};

using Point = std::array<unsigned char, crypto_core_ed25519_BYTES>;
using Scalar = std::array<unsigned char, crypto_core_ed25519_SCALARBYTES>;

Point times_base(const unsigned char* scalar) {
    Point point;
    if (crypto_scalarmult_ed25519_base_noclamp(point.data(), scalar) != 0) std::abort();  // a scalar of 0
    return point;
}

/// SHA512 of the parts, as a scalar.
template <typename... Parts>
Scalar hash_to_scalar(const Parts&... parts) {
    crypto_hash_sha512_state state;
    crypto_hash_sha512_init(&state);
    (crypto_hash_sha512_update(&state, parts.data(), parts.size()), ...);
    std::array<unsigned char, crypto_hash_sha512_BYTES> hash;
    crypto_hash_sha512_final(&state, hash.data());
    Scalar scalar;
    crypto_core_ed25519_scalar_reduce(scalar.data(), hash.data());
    sodium_memzero(hash.data(), hash.size());
    sodium_memzero(&state, sizeof state);
    return scalar;
}

}  // namespace

std::string ed25519_stored_of(std::string_view password) {
    const PrivateKey key(password);
    const Point point = times_base(key.scalar());
    constexpr int variant = sodium_base64_VARIANT_ORIGINAL_NO_PADDING;
    std::string text(sodium_base64_ENCODED_LEN(point.size(), variant), '\0');
    sodium_bin2base64(text.data(), text.size(), point.data(), point.size(), variant);
    text.resize(text.find('\0'));
    return text;
}

Ed25519Signature sign_ed25519(std::string_view password, Bytes nonce) {
    const PrivateKey key(password);
    const std::basic_string_view<unsigned char> message(uchars(nonce), nonce.size());
    const std::basic_string_view<unsigned char> prefix(key.prefix(), 32);
    const Point public_key = times_base(key.scalar());
    Scalar r = hash_to_scalar(prefix, message);
    const Point commitment = times_base(r.data());
    const Scalar challenge = hash_to_scalar(commitment, public_key, message);
    Scalar s;
    crypto_core_ed25519_scalar_mul(s.data(), challenge.data(), key.scalar());
    crypto_core_ed25519_scalar_add(s.data(), s.data(), r.data());
    sodium_memzero(r.data(), r.size());
    Ed25519Signature signature;
    const auto to_byte = [](unsigned char c) { return std::byte{c}; };
    for (size_t i = 0; i < 32; ++i) {
        signature[i] = to_byte(commitment[i]);
        signature[32 + i] = to_byte(s[i]);
    }
    return signature;
}

bool check_ed25519(Bytes signature, Bytes nonce, std::string_view stored) {
    if (signature.size() != crypto_sign_BYTES || sodium_init() < 0) return false;
    Point public_key;
    size_t size = 0;
    if (sodium_base642bin(public_key.data(), public_key.size(), stored.data(), stored.size(), nullptr, &size,
                          nullptr, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
        size != public_key.size()) {
        return false;
    }
    return crypto_sign_verify_detached(uchars(signature), uchars(nonce), nonce.size(), public_key.data()) ==
           0;
}

}  // namespace holdfast::mysql
