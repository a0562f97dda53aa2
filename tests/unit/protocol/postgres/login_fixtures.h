#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/messages.h"

/// What the tests of both sides of a login share: bytes from text, known secrets, and the two sides driven
/// over a wire that cuts the stream where the test wants.
namespace holdfast::postgres::test {

/// Bytes of a literal that may hold NULs.
template <size_t N>
ByteBuffer raw(const char (&literal)[N]) {
    const Bytes bytes = as_bytes(std::string_view(literal, N - 1));
    return {bytes.begin(), bytes.end()};
}

inline std::string text_of(Bytes bytes) {
    return std::string(as_text(bytes));
}

/// A verifier that PostgreSQL 15 made of the password "pencil".
inline constexpr std::string_view pencil_verifier =
    "SCRAM-SHA-256$4096:CTlynfzBIXpflkmNHHP1Pg==$oywtWR+BZpEfFmTrJcbIBrDwj6WJhiP31rATiFKrPz8=:"
    "8GdYN7xBnoAAz43p20AgkmNX934IWojTUzA99YmUTno=";
/// What PostgreSQL 15 stored for `create role u_md5 password 'pencil'` under password_encryption = md5.
inline constexpr std::string_view pencil_md5_of_u_md5 = "md56520b9e6d1360465923cccaa4a18e5f0";

/// Counts up: the same at every run, never the same twice in one.
inline std::function<void(std::byte*, size_t)> counting_random(unsigned start = 0) {
    return [next = start](std::byte* out, size_t size) mutable {
        for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(next++);
    };
}

inline ClientLoginOptions client_options(AuthMethod method = AuthMethod::automatic) {
    ClientLoginOptions options;
    options.method = method;
    options.random = counting_random();
    options.unix_seconds = [] { return int64_t{1'700'000'000}; };
    options.mock_key.fill(std::byte{7});
    return options;
}

inline ServerLoginOptions server_options(Credential credential = {}) {
    ServerLoginOptions options;
    options.user = "alice";
    options.database = "shop";
    options.credential = std::move(credential);
    options.tls = ServerLoginOptions::Tls::never;
    options.random = counting_random(100);
    return options;
}

inline Credential password(std::string_view text) {
    Credential credential;
    credential.password = Secret(std::string(text));
    return credential;
}

inline RoleSecret role_with_password(std::string_view text) {
    RoleSecret secret;
    secret.password = Secret(std::string(text));
    return secret;
}
inline RoleSecret role_with_verifier(std::string_view text) {
    RoleSecret secret;
    secret.scram_verifier = Secret(std::string(text));
    return secret;
}
inline RoleSecret role_with_md5(std::string_view text) {
    RoleSecret secret;
    secret.md5_hash = Secret(std::string(text));
    return secret;
}

/// A whole login of a ServerLogin (which plays the client) at a ClientLogin (which plays the server), as an
/// application logs in to the proxy. `piece` bytes cross the wire at a time.
struct LoginPair {
    ClientLogin accepting;
    ServerLogin connecting;
    std::optional<RoleSecret> secret;
    size_t piece = 1'000'000;
    ByteBuffer end_point;  // of the certificate, when TLS gets used

    LoginStep accepted = LoginStep::need_bytes;
    ServerLoginStep connected = ServerLoginStep::need_bytes;
    int derivations = 0;
    bool was_secured = false;

    LoginPair(ClientLoginOptions client, ServerLoginOptions server, std::optional<RoleSecret> role)
        : accepting(std::move(client)), connecting(std::move(server)), secret(std::move(role)) {}

    void run() {
        connecting_did(connecting.start(to_accepting_));
        for (bool moved = true; moved;) {
            moved = deliver(to_accepting_, at_accepting_, [this] { feed_accepting(); });
            moved = deliver(to_connecting_, at_connecting_, [this] { feed_connecting(); }) || moved;
        }
    }

private:
    template <typename Feed>
    bool deliver(ByteBuffer& wire, ByteBuffer& arrived, const Feed& feed) {
        if (wire.empty()) return false;
        const size_t size = std::min(piece, wire.size());
        arrived.insert(arrived.end(), wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(size));
        wire.erase(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(size));
        feed();
        return true;
    }
    void feed_accepting() {
        const auto outcome = accepting.on_bytes(at_accepting_, to_connecting_);
        drop(at_accepting_, outcome.consumed);
        accepting_did(outcome.step);
    }
    void accepting_did(LoginStep step) {
        accepted = step;
        if (step == LoginStep::need_secret) {
            accepting_did(accepting.on_secret(secret, to_connecting_));
        } else if (step == LoginStep::start_tls || step == LoginStep::start_tls_now) {
            was_secured = true;
        } else if (step == LoginStep::done && !has_welcomed_) {
            has_welcomed_ = true;
            append_authentication_ok(to_connecting_);
            append_parameter_status(to_connecting_, "server_version", "15.4");
            append_backend_key_data(to_connecting_, as_bytes("12345678"));
            append_ready_for_query(to_connecting_, 'I');
        }
    }
    void feed_connecting() {
        const auto outcome = connecting.on_bytes(at_connecting_, to_accepting_);
        drop(at_connecting_, outcome.consumed);
        connecting_did(outcome.step);
    }
    void connecting_did(ServerLoginStep step) {
        connected = step;
        if (step == ServerLoginStep::derive_keys) {
            ++derivations;
            connecting_did(connecting.on_keys(
                derive_scram_keys("pencil", connecting.salt(), connecting.iterations()), to_accepting_));
        } else if (step == ServerLoginStep::start_tls) {
            accepting_did(accepting.on_secured("", end_point, "", to_connecting_));
            connecting_did(connecting.on_secured(end_point, to_accepting_));
        }
    }
    static void drop(ByteBuffer& buffer, size_t size) {
        buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
    }

    ByteBuffer to_accepting_, at_accepting_;  // on the wire; arrived and not consumed
    ByteBuffer to_connecting_, at_connecting_;
    bool has_welcomed_ = false;
};

}  // namespace holdfast::postgres::test
