#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/postgres/login.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/scram.h"

namespace holdfast::postgres {

/// What a login under way knows. Seen by its own files only.
struct ServerLogin::State {
    using Kind = ServerLoginFailure::Kind;
    enum class Phase {
        idle,            // before start()
        asking_tls,      // SSLRequest is out
        securing,        // until on_secured
        authenticating,  // StartupMessage is out; nothing asked yet
        answered,        // the proof is out: MD5 or plain
        scram_first,     // the client's first SCRAM message is out
        deriving,        // until on_keys
        scram_final,     // the SCRAM proof is out
        scram_verified,  // the server has proved itself too
        authenticated,   // AuthenticationOk came; until ReadyForQuery
        over,
    };

    ServerLoginOptions options;
    Phase phase = Phase::idle;
    ServerLoginStep last_step = ServerLoginStep::need_bytes;  // what `over` ended with
    bool is_secured = false;
    ByteBuffer end_point;
    uint32_t protocol_minor = 0;
    bool has_negotiated = false;
    std::optional<ScramClient> scram;
    Parameters parameters;
    size_t parameters_bytes = 0;
    ByteBuffer cancel_key;
    ServerLoginFailure failure;

    // ---- Endings ----
    ServerLoginStep end(ServerLoginStep step) {
        phase = Phase::over;
        last_step = step;
        options.credential = {};
        return step;
    }
    ServerLoginStep fail(Kind kind, std::string message) {
        failure.kind = kind;
        failure.message = std::move(message);
        return end(ServerLoginStep::failed);
    }
    ServerLoginStep violated(std::string message) { return fail(Kind::protocol, std::move(message)); }
    /// The server asks for a proof that what we know of the user does not give.
    ServerLoginStep lack(std::string_view asked, std::string_view known) {
        std::string message = "the server asks for ";
        message += asked;
        message += " of user \"" + options.user + "\", and ";
        message += known;
        message +=
            ": configure the user's password, or set scram-sha-256 for this user in the server's pg_hba.conf";
        return fail(Kind::credential, std::move(message));
    }

    // server_login.cc
    ServerLoginStep send_startup(ByteBuffer& out);
    Outcome on_tls_answer(Bytes in, ByteBuffer& out);
    Outcome on_early_error(Bytes in);
    Outcome on_messages(Bytes in, ByteBuffer& out);
    ServerLoginStep on_message(const Message& message, ByteBuffer& out);
    ServerLoginStep on_error(const Message& message);
    ServerLoginStep on_negotiation(Bytes body);
    ServerLoginStep on_authenticated_message(const Message& message);
    ServerLoginStep on_parameter(Bytes body);
    ServerLoginStep on_cancel_key(Bytes body);
    ServerLoginStep on_ready(Bytes body);

    // server_login_proof.cc
    ServerLoginStep on_authentication(Bytes body, ByteBuffer& out);
    ServerLoginStep on_password_asked(ByteBuffer& out);
    ServerLoginStep on_md5_asked(Bytes salt, ByteBuffer& out);
    ServerLoginStep on_sasl_asked(Bytes mechanisms, ByteBuffer& out);
    ServerLoginStep on_scram_first(Bytes data, ByteBuffer& out);
    ServerLoginStep prove(const ScramKeys& keys, ByteBuffer& out);
    ServerLoginStep on_scram_final(Bytes data);
    ServerLoginStep on_ok();
};

}  // namespace holdfast::postgres
