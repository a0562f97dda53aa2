#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/base/secret.h"

/// Both sides of a PostgreSQL login, as state machines without sockets: bytes in, bytes and a step out.
/// spec    PostgreSQL documentation, "Message Flow: Start-up", "SASL Authentication", "SSL Session
/// Encryption"
namespace holdfast::postgres {

/// What proves a role to a server. Learned from the client's own login, or made from a configured password.
struct ScramKeys {
    std::array<std::byte, 32> client_key{};
    std::array<std::byte, 32> server_key{};
};
struct Credential {
    Secret password;                 // plain text, when it is known
    std::optional<ScramKeys> scram;  // what a SCRAM login needs when the password is not known
    Secret md5_hash;                 // "md5" + 32 hex digits, as pg_authid stores it
    bool empty() const { return password.empty() && !scram && md5_hash.empty(); }
};

/// What is stored of a role: how the client must prove itself.
struct RoleSecret {
    Secret password;                     // plain text (from the configuration)
    Secret scram_verifier;               // SCRAM-SHA-256$…
    Secret md5_hash;                     // md5…
    std::optional<int64_t> valid_until;  // seconds since 1970; a login after it fails like a wrong password
    bool can_login = true;
};

/// The startup message as the client sent it.
struct Startup {
    uint32_t protocol_minor = 0;  // negotiated: 0 or 2
    std::string user;
    std::string database;  // the user's name when the client gave none
    /// Every other parameter in the client's order, `options` and `replication` included, `_pq_.*` not.
    std::vector<std::pair<std::string, std::string>> parameters;
    enum class Replication { none, physical, logical } replication = Replication::none;

    std::string_view parameter(std::string_view name) const;  // empty: not given
};

enum class AuthMethod { automatic, scram, md5, password, cert, trust };

struct ClientLoginOptions {
    bool tls_offered = true;
    bool tls_required = false;
    AuthMethod method = AuthMethod::automatic;
    /// Fills with strong random bytes.
    std::function<void(std::byte*, size_t)> random;
    std::function<int64_t()> unix_seconds;
    /// Keys the mock challenge that an unknown user gets, so that it is the same at every try. Per process.
    std::array<std::byte, 32> mock_key{};
    /// The transport is a Unix socket: counts as private for AuthMethod::password.
    bool is_local = false;
};

/// What the driver does after a call. Bytes in `out` are sent first, in every case.
enum class LoginStep {
    need_bytes,     // give more input when there is some
    start_tls,      // send `out`, then begin TLS as a server; then on_secured()
    start_tls_now,  // the client began TLS directly: hand *all* unconsumed bytes to the TLS engine; then
                    // on_secured()
    need_secret,    // look up startup().user; then on_secret()
    cancel,         // a CancelRequest: cancel_key(); close without an answer
    done,    // authenticated; nothing of AuthenticationOk has been sent yet (the engine sends it together
             // with the ParameterStatuses)
    failed,  // send `out` (an ErrorResponse), close; error() says why, for the log
};

/// The proxy's side of a client's login. One per connection; dies when the session is ready.
class ClientLogin {
public:
    explicit ClientLogin(ClientLoginOptions options);
    ~ClientLogin();
    ClientLogin(ClientLogin&&) noexcept;
    ClientLogin& operator=(ClientLogin&&) noexcept;

    struct Outcome {
        size_t consumed;
        LoginStep step;
    };
    /// Takes what it can of `in` (from the front). Unconsumed bytes come again with the next ones.
    /// Bytes behind an SSLRequest or GSSENCRequest in the same read are refused (CVE-2021-23214's class).
    Outcome on_bytes(Bytes in, ByteBuffer& out);
    /// TLS is up. `alpn` is empty when none was negotiated (direct TLS requires "postgresql");
    /// `end_point` is the tls-server-end-point hash of our own certificate; `client_common_name` that of the
    /// verified client certificate.
    LoginStep on_secured(std::string_view alpn, Bytes end_point, std::string_view client_common_name,
                         ByteBuffer& out);
    /// The result of the look-up; nullopt: no such role (goes on with a mock challenge, as PostgreSQL does).
    LoginStep on_secret(std::optional<RoleSecret> secret, ByteBuffer& out);
    /// The look-up itself failed: an ErrorResponse that says so, not "wrong password".
    LoginStep on_secret_unavailable(std::string_view why, ByteBuffer& out);

    const Startup& startup() const;
    Bytes cancel_key() const;          // after LoginStep::cancel: process id and secret, as sent
    Credential take_credential();      // after LoginStep::done: what the login taught (empty for trust, cert)
    const std::string& error() const;  // after LoginStep::failed: for the log; no secrets
    bool is_password_failure() const;  // the failure is a wrong password or user, not a broken protocol

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// PBKDF2 and the keys behind it: slow (milliseconds); run off the loop.
ScramKeys derive_scram_keys(std::string_view password, Bytes salt, uint32_t iterations);

struct ServerLoginOptions {
    std::string user;
    std::string database;
    std::vector<std::pair<std::string, std::string>> parameters;  // sent as they are
    Credential credential;
    enum class Tls { never, if_offered, required } tls = Tls::if_offered;
    bool tls_direct = false;  // TLS has to be started before anything is sent
    bool refuse_plain_password_without_tls = true;
    uint32_t protocol_minor = 0;  // 2: ask for protocol 3.2 (long cancel keys)
    std::function<void(std::byte*, size_t)> random;
};

enum class ServerLoginStep {
    need_bytes,
    start_tls,    // send `out` first; then begin TLS as a client; then on_secured()
    derive_keys,  // run derive_scram_keys(password, salt(), iterations()) off the loop; then on_keys()
    done,         // ready for queries
    failed,       // failure() says why; close
};

/// Why a server did not let us in.
struct ServerLoginFailure {
    enum class Kind {
        refused,     // the server sent an ErrorResponse
        protocol,    // what it sent makes no sense
        tls,         // it does not offer what we require
        credential,  // it asked for a proof that we can't give
    } kind = Kind::protocol;
    std::string message;   // with what to do
    std::string sqlstate;  // of the ErrorResponse, when there was one
    ByteBuffer
        error_response;  // the whole message (with its header), to pass on to a client that is logging in
};

/// The proxy's login at a server: every password method of PostgreSQL 13-18 (trust, password, md5,
/// SCRAM-SHA-256, SCRAM-SHA-256-PLUS when TLS gave an end point). Servers are not trusted: nonces, salts
/// and iteration counts are bounded, the server's signature is checked.
class ServerLogin {
public:
    explicit ServerLogin(ServerLoginOptions options);
    ~ServerLogin();
    ServerLogin(ServerLogin&&) noexcept;
    ServerLogin& operator=(ServerLogin&&) noexcept;

    /// What to send when the connection is up.
    ServerLoginStep start(ByteBuffer& out);
    struct Outcome {
        size_t consumed;
        ServerLoginStep step;
    };
    Outcome on_bytes(Bytes in, ByteBuffer& out);
    /// `end_point`: the tls-server-end-point hash of the server's certificate; empty: not available.
    ServerLoginStep on_secured(Bytes end_point, ByteBuffer& out);
    Bytes salt() const;
    uint32_t iterations() const;
    ServerLoginStep on_keys(const ScramKeys& keys, ByteBuffer& out);

    /// After done. The values of ParameterStatus in the server's order; the cancel key (process id and
    /// secret).
    const std::vector<std::pair<std::string, std::string>>& parameters() const;
    Bytes cancel_key() const;
    uint32_t protocol_minor() const;
    const ServerLoginFailure& failure() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::postgres
