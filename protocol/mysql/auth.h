#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/base/secret.h"
#include "protocol/dialect/dialect.h"

/// The authentication plugins' computations, without any packets.
/// spec    MySQL Internals, "Authentication Method"; MariaDB Knowledge Base, "Authentication Plugins"
namespace holdfast::mysql {

namespace plugin {
inline constexpr std::string_view native = "mysql_native_password";
inline constexpr std::string_view caching_sha2 = "caching_sha2_password";
inline constexpr std::string_view clear = "mysql_clear_password";
inline constexpr std::string_view ed25519 = "client_ed25519";  // on the wire
inline constexpr std::string_view ed25519_stored = "ed25519";  // in mysql.global_priv
}  // namespace plugin

inline constexpr size_t salt_bytes = 20;

using Sha1 = std::array<std::byte, 20>;
using Sha256 = std::array<std::byte, 32>;
/// Abort when libcrypto fails: going on without would let anybody in.
Sha1 sha1(Bytes data);
Sha256 sha256(Bytes data);
bool equal_in_constant_time(Bytes a, Bytes b);

/// What proves an identity to servers: from the client's own login, or of a configured password.
class Credential final : public dialect::Credential {
public:
    Secret password;               // plain text, when it is known
    Secret native_key;             // SHA1(password): what mysql_native_password needs
    Secret sha2_key;               // SHA256(password): what the fast path of caching_sha2_password needs
    bool has_no_password = false;  // the account has none, and that is known
    /// Everything that follows from a password.
    static Credential of_password(const Secret& password);
};

/// 20 printable bytes: some clients take them for text.
std::array<std::byte, salt_bytes> make_salt(const std::function<void(std::byte*, size_t)>& random);

// ---- mysql_native_password
// ---------------------------------------------------------------------------------

/// SHA1(SHA1(password)) of "*" and 40 hexadecimal digits; nullopt: it is something else.
std::optional<Sha1> parse_native_stored(std::string_view stored);
Sha1 native_proof(Bytes key, Bytes salt);
/// The key, SHA1(password), which a right proof reveals; nullopt: the proof is wrong.
std::optional<Secret> check_native(Bytes proof, Bytes salt, const Sha1& stored);

// ---- caching_sha2_password
// ---------------------------------------------------------------------------------

/// SHA256(SHA256(password)): what the fast path is checked against.
Sha256 sha2_fast_digest(std::string_view password);
Sha256 sha2_proof(Bytes key, Bytes salt);
std::optional<Secret> check_sha2_fast(Bytes proof, Bytes salt, Bytes fast_digest);
/// Whether `stored` ("$A$", three hexadecimal digits of thousands of rounds, "$", 20 bytes of salt and 43 of
/// digest) is of this password. Slow (milliseconds): run it off the loop. False for anything malformed.
bool check_sha2_stored(std::string_view password, std::string_view stored);
/// SHA256-crypt's digest, 43 letters. `salt` may be of any length up to 20.
std::string sha256_crypt(std::string_view password, std::string_view salt, uint32_t rounds);

/// Passwords that have been proven once, by what the server stores of them (a changed password has another
/// stored text). The passwords themselves: a server that was restarted, or is promoted and has not seen the
/// account yet, takes nothing less. Bounded. Lives on the loop's thread.
class Sha2Cache {
public:
    /// nullptr: not proven yet. Lives until the next remember().
    const Secret* find(const Secret& stored) const;
    void remember(const Secret& stored, const Secret& password);

private:
    std::unordered_map<std::string, Secret> passwords_;  // by the stored text's own SHA-256
};

/// The proxy's key pair for passwords that come over unencrypted connections. Making one takes a fraction of
/// a second: once, at start. Immutable: any thread may use it.
class RsaKey {
public:
    /// nullptr: libcrypto can't.
    static std::shared_ptr<const RsaKey> make();
    ~RsaKey();
    RsaKey(const RsaKey&) = delete;
    RsaKey& operator=(const RsaKey&) = delete;
    const std::string& public_pem() const { return public_pem_; }
    /// nullopt: not something that our public key encrypted.
    std::optional<Secret> decrypt(Bytes encrypted) const;

private:
    RsaKey() = default;
    void* key_ = nullptr;  // EVP_PKEY
    std::string public_pem_;
};
/// OAEP with SHA-1, as the protocol wants it.
Result<ByteBuffer> rsa_encrypt(std::string_view public_pem, Bytes plain);
/// The password with its NUL, each byte XOR the salt's, over and over.
Secret xor_with_salt(std::string_view bytes, Bytes salt);

}  // namespace holdfast::mysql
