#include <cassert>
#include <utility>

#include "protocol/postgres/client_proof.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/sqlstate.h"
#include "protocol/postgres/startup.h"

namespace holdfast::postgres {

namespace {

/// The first byte of a TLS handshake record. As the first byte of a startup packet's length it would mean
/// hundreds of megabytes, so that there is no doubt.
constexpr std::byte tls_handshake_record{0x16};
constexpr std::string_view postgres_alpn = "postgresql";

std::string_view sqlstate_of(ErrorCode startup_error) {
    if (startup_error == ErrorCode::unsupported) return sqlstate::feature_not_supported;
    if (startup_error == ErrorCode::denied) return sqlstate::invalid_authorization;
    if (startup_error == ErrorCode::bad_value) return sqlstate::invalid_parameter_value;
    return sqlstate::protocol_violation;
}

}  // namespace

struct ClientLogin::State {
    enum class Phase {
        opening,     // before the startup message
        securing,    // until on_secured
        looking_up,  // until on_secret
        proving,     // `proof` says what is awaited
        over,
    };

    ClientLoginOptions options;
    Phase phase = Phase::opening;
    LoginStep last_step = LoginStep::need_bytes;  // what `over` ended with

    bool has_begun = false;  // something was consumed: too late for direct TLS
    bool ssl_was_asked = false;
    bool gssenc_was_asked = false;
    bool tls_is_direct = false;
    bool is_secured = false;
    ByteBuffer end_point;
    std::string client_common_name;

    Startup startup;
    ByteBuffer cancel_key;
    std::optional<ClientProof> proof;  // while proving
    Credential learned;

    std::string error;
    bool is_password_failure = false;

    LoginStep end(LoginStep step) {
        phase = Phase::over;
        last_step = step;
        proof.reset();
        return step;
    }
    LoginStep fail(ByteBuffer& out, std::string_view sqlstate, std::string message,
                   std::string_view detail = {}, std::string_view hint = {}) {
        append_error(out, "FATAL", sqlstate, message, detail, hint);
        error = std::move(message);
        return end(LoginStep::failed);
    }
    LoginStep violate(ByteBuffer& out, std::string message) {
        return fail(out, sqlstate::protocol_violation, std::move(message));
    }

    Outcome on_opening(Bytes in, ByteBuffer& out);
    LoginStep on_encryption_request(const OpeningPacket& packet, Bytes behind, ByteBuffer& out);
    LoginStep on_cancel_request(Bytes key, ByteBuffer& out);
    LoginStep on_startup(const OpeningPacket& packet, ByteBuffer& out);
    LoginStep check_certificate(ByteBuffer& out);
    Outcome on_proving(Bytes in, ByteBuffer& out);
    LoginStep on_proof_step(ClientProof::Step step, ByteBuffer& out);
};

// ---- Before the startup message ------------------------------------------------------------------------

/// One packet of those without a type byte.
ClientLogin::Outcome ClientLogin::State::on_opening(Bytes in, ByteBuffer& out) {
    if (in.empty()) return {0, LoginStep::need_bytes};
    if (!has_begun && in[0] == tls_handshake_record) {
        if (!options.tls_offered) {
            return {0, fail(out, sqlstate::feature_not_supported, "TLS is not offered here", {},
                            "Connect with sslmode=disable, or without sslnegotiation=direct.")};
        }
        tls_is_direct = true;
        phase = Phase::securing;
        return {0, LoginStep::start_tls_now};
    }
    const auto packet = take_opening_packet(in);
    if (!packet) return {0, violate(out, packet.error().message)};
    if (!*packet) return {0, LoginStep::need_bytes};
    has_begun = true;
    const size_t consumed = (*packet)->total_bytes();
    switch ((*packet)->code) {
        case ssl_request_code:
        case gssenc_request_code:
            return {consumed, on_encryption_request(**packet, in.subspan(consumed), out)};
        case cancel_request_code: return {consumed, on_cancel_request((*packet)->rest, out)};
        default: return {consumed, on_startup(**packet, out)};
    }
}

LoginStep ClientLogin::State::on_encryption_request(const OpeningPacket& packet, Bytes behind,
                                                    ByteBuffer& out) {
    const bool is_ssl = packet.code == ssl_request_code;
    bool& was_asked = is_ssl ? ssl_was_asked : gssenc_was_asked;
    // A second request, or one inside TLS, is what PostgreSQL takes it for: a protocol version nobody knows.
    if (was_asked || is_secured) return on_startup(packet, out);
    was_asked = true;
    if (!packet.rest.empty()) return violate(out, "invalid length of startup packet");
    if (!behind.empty()) {
        // Whoever sits between client and proxy could have put them there, and they would count as if they
        // had come through TLS.
        return fail(
            out, sqlstate::protocol_violation,
            is_ssl ? "received unencrypted data after SSL request"
                   : "received unencrypted data after GSSAPI encryption request",
            "This could be either a client-software bug or evidence of an attempted man-in-the-middle "
            "attack.");
    }
    if (is_ssl && options.tls_offered) {
        append(out, "S");
        phase = Phase::securing;
        return LoginStep::start_tls;
    }
    append(out, "N");
    return LoginStep::need_bytes;
}

LoginStep ClientLogin::State::on_cancel_request(Bytes key, ByteBuffer& out) {
    if (key.size() < cancel_key_bytes_min || key.size() > cancel_key_bytes_max) {
        return violate(out, "invalid length of query cancel packet");
    }
    cancel_key.assign(key.begin(), key.end());
    return end(LoginStep::cancel);
}

LoginStep ClientLogin::State::on_startup(const OpeningPacket& packet, ByteBuffer& out) {
    auto request = read_startup(packet.code, packet.rest);
    if (!request) {
        const bool is_about_replication = request.error().code == ErrorCode::bad_value;
        return fail(out, sqlstate_of(request.error().code), request.error().message, {},
                    is_about_replication ? "Valid values are: \"false\", 0, \"true\", 1, \"database\"." : "");
    }
    startup = std::move(request->startup);
    if (request->needs_negotiation) {
        append_negotiate_protocol_version(out, startup.protocol_minor, request->unrecognized_options);
    }
    if (options.tls_required && !is_secured) {
        return fail(out, sqlstate::invalid_authorization,
                    "connections for user \"" + startup.user + "\" must be encrypted with TLS", {},
                    "Connect with sslmode=require or stricter.");
    }
    switch (options.method) {
        case AuthMethod::trust: return end(LoginStep::done);
        case AuthMethod::cert: return check_certificate(out);
        case AuthMethod::password:
            if (!is_secured && !options.is_local) {
                return fail(
                    out, sqlstate::invalid_authorization,
                    "the password of user \"" + startup.user + "\" must not cross the network unencrypted",
                    {}, "Connect with sslmode=require or stricter.");
            }
            break;
        case AuthMethod::automatic:
        case AuthMethod::scram:
        case AuthMethod::md5: break;
    }
    phase = Phase::looking_up;
    return LoginStep::need_secret;
}

LoginStep ClientLogin::State::check_certificate(ByteBuffer& out) {
    if (!is_secured || client_common_name.empty()) {
        return fail(out, sqlstate::invalid_authorization, "connection requires a valid client certificate",
                    {}, "Connect with TLS, and with sslcert and sslkey set.");
    }
    if (client_common_name != startup.user) {
        fail(out, sqlstate::invalid_authorization,
             "certificate authentication failed for user \"" + startup.user + "\"");
        error += ": the certificate is for \"" + client_common_name + "\"";
        is_password_failure = true;
        return LoginStep::failed;
    }
    return end(LoginStep::done);
}

// ---- Proof ---------------------------------------------------------------------------------------------

/// One answer to a challenge.
ClientLogin::Outcome ClientLogin::State::on_proving(Bytes in, ByteBuffer& out) {
    if (in.empty()) return {0, LoginStep::need_bytes};
    // The type is looked at first: a client that speaks out of turn is told so, not kept waiting.
    if (std::to_integer<char>(in[0]) != frontend::password) {
        return {0, violate(out, "expected a password message, got message type " +
                                    std::to_string(std::to_integer<int>(in[0])))};
    }
    const auto message = take_message(in, proof->answer_bytes_max());
    if (!message) return {0, violate(out, message.error().message)};
    if (!*message) return {0, LoginStep::need_bytes};
    return {(*message)->total_bytes(), on_proof_step(proof->on_answer((*message)->body, out), out)};
}

LoginStep ClientLogin::State::on_proof_step(ClientProof::Step step, ByteBuffer& out) {
    switch (step) {
        case ClientProof::Step::need_bytes: return LoginStep::need_bytes;
        case ClientProof::Step::proven: learned = proof->take_credential(); return end(LoginStep::done);
        case ClientProof::Step::failed: {
            const ClientProof::Failure failure = proof->failure();
            is_password_failure = failure.is_password_failure;
            fail(out, failure.sqlstate, failure.message);
            if (!failure.reason.empty()) error += ": " + failure.reason;
            return LoginStep::failed;
        }
    }
    std::abort();
}

// ---- The interface -------------------------------------------------------------------------------------

ClientLogin::ClientLogin(ClientLoginOptions options) : state_(std::make_unique<State>()) {
    assert(options.random && options.unix_seconds);
    state_->options = std::move(options);
}
ClientLogin::~ClientLogin() = default;
ClientLogin::ClientLogin(ClientLogin&&) noexcept = default;
ClientLogin& ClientLogin::operator=(ClientLogin&&) noexcept = default;

ClientLogin::Outcome ClientLogin::on_bytes(Bytes in, ByteBuffer& out) {
    State& state = *state_;
    Outcome total{0, LoginStep::need_bytes};
    for (;;) {
        const Bytes rest = in.subspan(total.consumed);
        Outcome one{0, LoginStep::need_bytes};
        switch (state.phase) {
            case State::Phase::opening: one = state.on_opening(rest, out); break;
            case State::Phase::proving: one = state.on_proving(rest, out); break;
            case State::Phase::securing:
            case State::Phase::looking_up: break;  // what comes now waits
            case State::Phase::over: one.step = state.last_step; break;
        }
        total.consumed += one.consumed;
        total.step = one.step;
        if (one.consumed == 0 || one.step != LoginStep::need_bytes) return total;
    }
}

LoginStep ClientLogin::on_secured(std::string_view alpn, Bytes end_point, std::string_view client_common_name,
                                  ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::securing);
    state.has_begun = true;
    state.is_secured = true;
    state.end_point.assign(end_point.begin(), end_point.end());
    state.client_common_name = client_common_name;
    if (state.tls_is_direct && alpn.empty()) {
        return state.violate(
            out, "received direct SSL connection request without ALPN protocol negotiation extension");
    }
    if (!alpn.empty() && alpn != postgres_alpn) {
        return state.violate(out, "received SSL connection request with unexpected ALPN protocol");
    }
    state.phase = State::Phase::opening;
    return LoginStep::need_bytes;
}

LoginStep ClientLogin::on_secret(std::optional<RoleSecret> secret, ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::looking_up);
    ClientProof::Terms terms;
    terms.method = state.options.method;
    terms.user = state.startup.user;
    terms.secret = std::move(secret);
    terms.end_point = state.end_point;
    terms.now_unix_seconds = state.options.unix_seconds();
    terms.mock_key = state.options.mock_key;
    terms.random = state.options.random;
    state.proof.emplace(std::move(terms));
    state.phase = State::Phase::proving;
    return state.on_proof_step(state.proof->challenge(out), out);
}

LoginStep ClientLogin::on_secret_unavailable(std::string_view why, ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::looking_up);
    return state.fail(out, sqlstate::cannot_connect_now,
                      "the password of user \"" + state.startup.user + "\" can't be checked now", why);
}

const Startup& ClientLogin::startup() const {
    return state_->startup;
}
Bytes ClientLogin::cancel_key() const {
    return state_->cancel_key;
}
Credential ClientLogin::take_credential() {
    return std::exchange(state_->learned, {});
}
const std::string& ClientLogin::error() const {
    return state_->error;
}
bool ClientLogin::is_password_failure() const {
    return state_->is_password_failure;
}

}  // namespace holdfast::postgres
