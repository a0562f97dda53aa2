#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/postgres/digest.h"
#include "protocol/postgres/login.h"

/// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides, without sockets and without the messages around them.
/// Passwords are used as their bytes: SASLprep leaves printable ASCII alone, and for other text PostgreSQL
/// normalises (NFKC) where we do not, so a non-ASCII password that is not already in its normal form proves
/// itself only with keys that its own client made.
/// spec    RFC 5802, RFC 7677, RFC 5929 section 4; PostgreSQL documentation, "SASL Authentication"
namespace holdfast::postgres {

inline constexpr std::string_view scram_mechanism = "SCRAM-SHA-256";
inline constexpr std::string_view scram_plus_mechanism = "SCRAM-SHA-256-PLUS";
inline constexpr uint32_t scram_default_iterations = 4096;
inline constexpr size_t scram_default_salt_bytes = 16;
inline constexpr size_t scram_nonce_random_bytes = 18;

/// What a server stores of a password.
struct ScramVerifier {
    uint32_t iterations = scram_default_iterations;
    ByteBuffer salt;
    Sha256 stored_key{};  // SHA-256 of the client key
    Sha256 server_key{};
};

/// Reads a verifier as pg_authid stores it.
/// in      SCRAM-SHA-256$<iterations>:<base64 salt>$<base64 StoredKey>:<base64 ServerKey>
/// errors  bad_value: another shape; limit_exceeded: salt or iterations above limits.h
Result<ScramVerifier> parse_scram_verifier(std::string_view text);
/// The text that parse_scram_verifier reads.
std::string format_scram_verifier(const ScramVerifier& verifier);
/// The verifier of a password whose keys were derived with this salt and these iterations.
ScramVerifier make_scram_verifier(const ScramKeys& keys, Bytes salt, uint32_t iterations);
/// Whether a client with these keys would get in.
bool matches(const ScramVerifier& verifier, const ScramKeys& keys);

/// The text that makes a nonce of `random`: printable, without a comma.
inline std::string scram_nonce(Bytes random) {
    return base64_encode(random);
}

/// The server's side of one exchange. Calls: on_client_first, on_client_final, each once.
class ScramServer {
public:
    /// `nonce` is the server's part (scram_nonce of fresh random bytes). `end_point` is the
    /// tls-server-end-point hash of our certificate; empty: PLUS was not offered.
    ScramServer(ScramVerifier verifier, std::string nonce, Bytes end_point);

    /// The client's first message, sent under `mechanism`; returns the server's first message.
    /// errors  bad_value: malformed; unsupported: an authorization identity, a mandatory extension, another
    ///         kind of channel binding; denied: the client thinks that PLUS was not offered (a downgrade)
    Result<std::string> on_client_first(std::string_view mechanism, std::string_view message);

    struct Verdict {
        bool is_proven = false;
        std::string server_final;  // sent when it is proven
        ScramKeys keys;            // the client's, when it is proven
    };
    /// The client's final message. A wrong proof is a verdict, not an error.
    /// errors  bad_value: malformed, or another nonce; denied: the channel binding is not ours
    Result<Verdict> on_client_final(std::string_view message) const;

private:
    ScramVerifier verifier_;
    std::string nonce_;  // the server's part, then both
    ByteBuffer end_point_;
    bool is_bound_ = false;
    std::string gs2_header_;
    std::string client_first_bare_;
    std::string server_first_;
};

/// What a client says about channel binding.
enum class ScramBinding {
    unsupported,  // n: it can't
    not_offered,  // y: it could, but the server did not offer PLUS
    end_point,    // p=tls-server-end-point
};

/// The client's side of one exchange. Calls: client_first, on_server_first, client_final, on_server_final.
/// The server is not trusted: it must extend our nonce, stay within limits.h, and prove that it knows the
/// verifier.
class ScramClient {
public:
    /// `nonce` is ours (scram_nonce of fresh random bytes); `end_point` counts for ScramBinding::end_point.
    /// PostgreSQL takes the user from the startup message and ignores `user`, which libpq leaves empty.
    ScramClient(std::string nonce, ScramBinding binding, Bytes end_point, std::string_view user = {});

    std::string client_first() const;
    /// The server's first message; afterwards salt() and iterations() say how to derive the keys.
    /// errors  bad_value: malformed, or the nonce is not an extension of ours; limit_exceeded: nonce, salt or
    ///         iterations above limits.h; unsupported: a mandatory extension
    Status on_server_first(std::string_view message);
    Bytes salt() const { return salt_; }
    uint32_t iterations() const { return iterations_; }
    std::string client_final(const ScramKeys& keys);
    /// errors  bad_value: malformed; refused: the server says e=…; denied: the signature is wrong, so this is
    ///         not the server that knows the password
    Status on_server_final(std::string_view message) const;

private:
    std::string nonce_;  // ours, then both
    std::string gs2_header_;
    ByteBuffer binding_data_;
    std::string client_first_bare_;
    std::string server_first_;
    ByteBuffer salt_;
    uint32_t iterations_ = 0;
    Sha256 server_signature_{};  // what the server must send
};

}  // namespace holdfast::postgres
