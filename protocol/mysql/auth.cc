#include "protocol/mysql/auth.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "protocol/base/limits.h"

namespace holdfast::mysql {
namespace {

const unsigned char* uchars(Bytes bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}
template <size_t n>
std::array<std::byte, n> digest(const EVP_MD* method, std::initializer_list<Bytes> parts) {
    std::array<std::byte, n> result;
    unsigned int size = 0;
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    bool ok = context != nullptr && EVP_DigestInit_ex(context, method, nullptr) == 1;
    for (const Bytes part : parts) ok = ok && EVP_DigestUpdate(context, part.data(), part.size()) == 1;
    ok = ok && EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(result.data()), &size) == 1;
    EVP_MD_CTX_free(context);
    if (!ok || size != n) std::abort();
    return result;
}
template <size_t n>
std::array<std::byte, n> exclusive_or(Bytes a, const std::array<std::byte, n>& b) {
    std::array<std::byte, n> result;
    for (size_t i = 0; i < n; ++i) result[i] = a[i] ^ b[i];
    return result;
}
template <size_t n>
Secret to_secret(std::array<std::byte, n>& bytes) {
    Secret secret{std::string(as_text(bytes))};
    OPENSSL_cleanse(bytes.data(), n);
    return secret;
}
int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

Sha1 sha1(Bytes data) {
    return digest<20>(EVP_sha1(), {data});
}
Sha256 sha256(Bytes data) {
    return digest<32>(EVP_sha256(), {data});
}
bool equal_in_constant_time(Bytes a, Bytes b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Credential Credential::of_password(const Secret& password) {
    Credential credential;
    credential.password = password;
    credential.has_no_password = password.empty();
    if (password.empty()) return credential;
    Sha1 native = sha1(as_bytes(password.reveal()));
    Sha256 sha2 = sha256(as_bytes(password.reveal()));
    credential.native_key = to_secret(native);
    credential.sha2_key = to_secret(sha2);
    return credential;
}

std::array<std::byte, salt_bytes> make_salt(const std::function<void(std::byte*, size_t)>& random) {
    std::array<std::byte, salt_bytes> salt;
    random(salt.data(), salt.size());
    // One of 64 letters each, '0' to 'o': as likely as the others.
    for (std::byte& each : salt)
        each = std::byte{static_cast<uint8_t>('0' + std::to_integer<int>(each) % 64)};
    return salt;
}

// ---- mysql_native_password
// ---------------------------------------------------------------------------------

std::optional<Sha1> parse_native_stored(std::string_view stored) {
    Sha1 parsed;
    if (stored.size() != 1 + 2 * parsed.size() || stored[0] != '*') return std::nullopt;
    for (size_t i = 0; i < parsed.size(); ++i) {
        const int high = hex_digit(stored[1 + 2 * i]);
        const int low = hex_digit(stored[2 + 2 * i]);
        if (high < 0 || low < 0) return std::nullopt;
        parsed[i] = std::byte{static_cast<uint8_t>(high << 4 | low)};
    }
    return parsed;
}

Sha1 native_proof(Bytes key, Bytes salt) {
    const Sha1 stored = sha1(key);
    return exclusive_or(key, digest<20>(EVP_sha1(), {salt, stored}));
}

std::optional<Secret> check_native(Bytes proof, Bytes salt, const Sha1& stored) {
    if (proof.size() != stored.size()) return std::nullopt;
    Sha1 key = exclusive_or(proof, digest<20>(EVP_sha1(), {salt, stored}));
    if (!equal_in_constant_time(sha1(key), stored)) return std::nullopt;
    return to_secret(key);
}

// ---- caching_sha2_password
// ---------------------------------------------------------------------------------

Sha256 sha2_fast_digest(std::string_view password) {
    return sha256(sha256(as_bytes(password)));
}

Sha256 sha2_proof(Bytes key, Bytes salt) {
    const Sha256 fast = sha256(key);
    return exclusive_or(key, digest<32>(EVP_sha256(), {fast, salt}));
}

std::optional<Secret> check_sha2_fast(Bytes proof, Bytes salt, Bytes fast_digest) {
    if (proof.size() != sizeof(Sha256) || fast_digest.size() != sizeof(Sha256)) return std::nullopt;
    Sha256 key = exclusive_or(proof, digest<32>(EVP_sha256(), {fast_digest, salt}));
    if (!equal_in_constant_time(sha256(key), fast_digest)) return std::nullopt;
    return to_secret(key);
}

std::string sha256_crypt(std::string_view password, std::string_view salt, uint32_t rounds) {
    const Bytes key = as_bytes(password);
    const Bytes seasoning = as_bytes(salt);
    const Sha256 b = digest<32>(EVP_sha256(), {key, seasoning, key});
    ByteBuffer buffer;
    append(buffer, key);
    append(buffer, seasoning);
    for (size_t left = key.size(); left > 0; left -= std::min<size_t>(left, 32)) {
        append(buffer, Bytes(b).first(std::min<size_t>(left, 32)));
    }
    for (size_t bits = key.size(); bits > 0; bits >>= 1) {
        append(buffer, (bits & 1) != 0 ? Bytes(b) : key);
    }
    Sha256 a = sha256(buffer);

    const auto spread = [](const Sha256& from, size_t size) {
        ByteBuffer whole;
        while (whole.size() < size)
            append(whole, Bytes(from).first(std::min<size_t>(32, size - whole.size())));
        return whole;
    };
    buffer.clear();
    for (size_t i = 0; i < key.size(); ++i) append(buffer, key);
    ByteBuffer p = spread(sha256(buffer), key.size());
    buffer.clear();
    for (size_t i = 0; i < 16 + std::to_integer<size_t>(a[0]); ++i) append(buffer, seasoning);
    const ByteBuffer s = spread(sha256(buffer), seasoning.size());

    for (uint32_t round = 0; round < rounds; ++round) {
        buffer.clear();
        append(buffer, (round & 1) != 0 ? Bytes(p) : Bytes(a));
        if (round % 3 != 0) append(buffer, s);
        if (round % 7 != 0) append(buffer, p);
        append(buffer, (round & 1) != 0 ? Bytes(a) : Bytes(p));
        a = sha256(buffer);
    }
    OPENSSL_cleanse(buffer.data(), buffer.size());
    OPENSSL_cleanse(p.data(), p.size());

    constexpr std::string_view letters = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    std::string text;
    const auto put = [&](unsigned high, unsigned middle, unsigned low, int count) {
        unsigned value = high << 16 | middle << 8 | low;
        for (; count > 0; --count, value >>= 6) text.push_back(letters[value & 63]);
    };
    const auto at = [&a](size_t i) { return std::to_integer<unsigned>(a[i]); };
    // The specification's order: each triple is the one before it, turned round and moved on by one.
    size_t x = 0, y = 10, z = 20;
    for (int i = 0; i < 10; ++i) {
        put(at(x), at(y), at(z), 4);
        const size_t first = x;
        x = (z + 1) % 30;
        z = (y + 1) % 30;
        y = (first + 1) % 30;
    }
    put(0, at(31), at(30), 3);
    return text;
}

bool check_sha2_stored(std::string_view password, std::string_view stored) {
    constexpr size_t head = 7, digest_bytes = 43;
    if (stored.size() != head + salt_bytes + digest_bytes) return false;
    if (!stored.starts_with("$A$") || stored[6] != '$') return false;
    uint32_t thousands = 0;
    for (const char c : stored.substr(3, 3)) {
        const int value = hex_digit(c);
        if (value < 0) return false;
        thousands = thousands * 16 + static_cast<uint32_t>(value);
    }
    if (thousands == 0 || password.size() > limits::mysql_password_bytes_max) return false;
    const std::string computed = sha256_crypt(password, stored.substr(head, salt_bytes), thousands * 1000);
    return equal_in_constant_time(as_bytes(computed), as_bytes(stored.substr(head + salt_bytes)));
}

const Secret* Sha2Cache::find(const Secret& stored) const {
    const auto found = passwords_.find(std::string(as_text(sha256(as_bytes(stored.reveal())))));
    return found == passwords_.end() ? nullptr : &found->second;
}

void Sha2Cache::remember(const Secret& stored, const Secret& password) {
    // Forgetting all is rare and costs each user one slow login.
    if (passwords_.size() >= limits::sha2_passwords_kept_max) passwords_.clear();
    passwords_[std::string(as_text(sha256(as_bytes(stored.reveal()))))] = password;
}

// ---- RSA
// -----------------------------------------------------------------------------------------------------

namespace {

EVP_PKEY_CTX* oaep_context(EVP_PKEY* key, bool encrypts) {
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(key, nullptr);
    if (context == nullptr) return nullptr;
    const bool ok = (encrypts ? EVP_PKEY_encrypt_init(context) : EVP_PKEY_decrypt_init(context)) == 1 &&
                    EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1;
    if (ok) return context;
    EVP_PKEY_CTX_free(context);
    return nullptr;
}

}  // namespace

std::shared_ptr<const RsaKey> RsaKey::make() {
    EVP_PKEY* key = EVP_RSA_gen(2048u);
    OSSL_ENCODER_CTX* encoder = nullptr;
    if (key != nullptr) {
        encoder =
            OSSL_ENCODER_CTX_new_for_pkey(key, EVP_PKEY_PUBLIC_KEY, "PEM", "SubjectPublicKeyInfo", nullptr);
    }
    unsigned char* text = nullptr;
    size_t size = 0;
    std::shared_ptr<RsaKey> made;
    if (encoder != nullptr && OSSL_ENCODER_to_data(encoder, &text, &size) == 1) {
        made.reset(new RsaKey);
        made->public_pem_.assign(reinterpret_cast<const char*>(text), size);
        made->key_ = std::exchange(key, nullptr);
    }
    OPENSSL_free(text);
    OSSL_ENCODER_CTX_free(encoder);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return made;
}

RsaKey::~RsaKey() {
    EVP_PKEY_free(static_cast<EVP_PKEY*>(key_));
}

std::optional<Secret> RsaKey::decrypt(Bytes encrypted) const {
    EVP_PKEY_CTX* context = oaep_context(static_cast<EVP_PKEY*>(key_), false);
    std::string plain(512, '\0');
    size_t size = plain.size();
    const bool ok = context != nullptr && encrypted.size() <= plain.size() &&
                    EVP_PKEY_decrypt(context, reinterpret_cast<unsigned char*>(plain.data()), &size,
                                     uchars(encrypted), encrypted.size()) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    Secret whole(std::move(plain));  // wipes what is beyond the password, too
    if (!ok) return std::nullopt;
    return Secret(std::string(whole.reveal().substr(0, size)));
}

Result<ByteBuffer> rsa_encrypt(std::string_view public_pem, Bytes plain) {
    EVP_PKEY* key = nullptr;
    OSSL_DECODER_CTX* decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", "SubjectPublicKeyInfo", "RSA",
                                                              EVP_PKEY_PUBLIC_KEY, nullptr, nullptr);
    const auto* text = reinterpret_cast<const unsigned char*>(public_pem.data());
    size_t left = public_pem.size();
    if (decoder != nullptr) OSSL_DECODER_from_data(decoder, &text, &left);
    OSSL_DECODER_CTX_free(decoder);
    const bool is_rsa = key != nullptr && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
                        EVP_PKEY_get_bits(key) >= 1024 && EVP_PKEY_get_bits(key) <= 16'384;
    EVP_PKEY_CTX* context = is_rsa ? oaep_context(key, true) : nullptr;
    ByteBuffer encrypted(is_rsa ? static_cast<size_t>(EVP_PKEY_get_size(key)) : 0);
    size_t size = encrypted.size();
    const bool ok =
        context != nullptr && EVP_PKEY_encrypt(context, reinterpret_cast<unsigned char*>(encrypted.data()),
                                               &size, uchars(plain), plain.size()) == 1;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (!ok) return Error{ErrorCode::bad_value, "the server's public key can't be used"};
    encrypted.resize(size);
    return encrypted;
}

Secret xor_with_salt(std::string_view bytes, Bytes salt) {
    std::string mixed(bytes);
    for (size_t i = 0; i < mixed.size() && !salt.empty(); ++i) {
        mixed[i] = static_cast<char>(mixed[i] ^ std::to_integer<char>(salt[i % salt.size()]));
    }
    return Secret(std::move(mixed));
}

}  // namespace holdfast::mysql
