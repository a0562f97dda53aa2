#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/scram.h"

namespace holdfast::postgres {

namespace {

using Kind = ServerLoginFailure::Kind;

/// The names of a list that ends with an empty one.
std::optional<std::vector<std::string_view>> read_names(Bytes list) {
    std::vector<std::string_view> names;
    Reader reader(list);
    for (std::string_view name = reader.text(); !name.empty(); name = reader.text()) names.push_back(name);
    if (reader.failed() || !reader.at_end()) return std::nullopt;
    return names;
}

/// A type byte for an error message, whatever it is.
std::string quoted(char type) {
    if (type >= 0x20 && type <= 0x7e) return std::string("'") + type + "'";
    return "byte " + std::to_string(static_cast<unsigned char>(type));
}

}  // namespace

struct ServerLogin::State {
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

    ServerLoginStep send_startup(ByteBuffer& out);
    Outcome on_tls_answer(Bytes in, ByteBuffer& out);
    Outcome on_early_error(Bytes in);
    Outcome on_messages(Bytes in, ByteBuffer& out);
    ServerLoginStep on_message(const Message& message, ByteBuffer& out);
    ServerLoginStep on_error(const Message& message);
    ServerLoginStep on_negotiation(Bytes body);
    ServerLoginStep on_authentication(Bytes body, ByteBuffer& out);
    ServerLoginStep on_authenticated_message(const Message& message);
    ServerLoginStep on_ok();
    ServerLoginStep on_password_asked(ByteBuffer& out);
    ServerLoginStep on_md5_asked(Bytes salt, ByteBuffer& out);
    ServerLoginStep on_sasl_asked(Bytes mechanisms, ByteBuffer& out);
    ServerLoginStep on_scram_first(Bytes data, ByteBuffer& out);
    ServerLoginStep on_scram_final(Bytes data);
    ServerLoginStep prove(const ScramKeys& keys, ByteBuffer& out);
    ServerLoginStep on_parameter(Bytes body);
    ServerLoginStep on_cancel_key(Bytes body);
    ServerLoginStep on_ready(Bytes body);
};

// ---- TLS and the startup message -----------------------------------------------------------------------

ServerLoginStep ServerLogin::State::send_startup(ByteBuffer& out) {
    append_startup(out, options.protocol_minor, options.user, options.database, options.parameters);
    protocol_minor = options.protocol_minor;
    phase = Phase::authenticating;
    return ServerLoginStep::need_bytes;
}

/// The one byte that answers an SSLRequest. Nothing may come with it: it would count as if it had come
/// through TLS (CVE-2021-23222).
ServerLogin::Outcome ServerLogin::State::on_tls_answer(Bytes in, ByteBuffer& out) {
    if (in.empty()) return {0, ServerLoginStep::need_bytes};
    const char answer = std::to_integer<char>(in[0]);
    if (answer == backend::error_response) return on_early_error(in);
    if (answer != 'S' && answer != 'N') {
        return {0, violated("the server answers an SSLRequest with " + quoted(answer))};
    }
    if (in.size() > 1)
        return {0, violated("the server sends unencrypted data after its answer to an SSLRequest")};
    if (answer == 'S') {
        phase = Phase::securing;
        return {1, ServerLoginStep::start_tls};
    }
    if (options.tls == ServerLoginOptions::Tls::required) {
        return {1, fail(Kind::tls,
                        "the server does not offer TLS, and the settings require it: set ssl = on at "
                        "the server, or relax the cluster's TLS setting")};
    }
    return {1, send_startup(out)};
}

/// An ErrorResponse before TLS: whole when it has this protocol's shape. Where TLS is required its text is
/// anybody's (CVE-2024-10977), so it is not handed on.
ServerLogin::Outcome ServerLogin::State::on_early_error(Bytes in) {
    const auto message = take_message(in, limits::postgres_server_message_collected_bytes_max);
    if (message && !*message) return {0, ServerLoginStep::need_bytes};
    if (message && options.tls == ServerLoginOptions::Tls::if_offered) {
        return {(*message)->total_bytes(), on_error(**message)};
    }
    return {in.size(), fail(Kind::refused, "the server answers an SSLRequest with an error")};
}

// ---- Messages ------------------------------------------------------------------------------------------

ServerLogin::Outcome ServerLogin::State::on_messages(Bytes in, ByteBuffer& out) {
    const auto message = take_message(in, limits::postgres_server_message_collected_bytes_max);
    if (!message)
        return {0, violated("the server's login messages make no sense: " + message.error().message)};
    if (!*message) return {0, ServerLoginStep::need_bytes};
    return {(*message)->total_bytes(), on_message(**message, out)};
}

ServerLoginStep ServerLogin::State::on_message(const Message& message, ByteBuffer& out) {
    if (message.type == backend::error_response) return on_error(message);
    if (message.type == backend::notice_response) return ServerLoginStep::need_bytes;
    if (phase == Phase::authenticated) return on_authenticated_message(message);
    if (message.type == backend::authentication) return on_authentication(message.body, out);
    if (message.type == backend::negotiate_protocol_version) return on_negotiation(message.body);
    return violated("unexpected message " + quoted(message.type) + " before authentication");
}

ServerLoginStep ServerLogin::State::on_error(const Message& message) {
    const auto fields = parse_error_fields(message.body);
    if (!fields) return violated("the server's ErrorResponse makes no sense: " + fields.error().message);
    append_message(failure.error_response, message.type, message.body);
    failure.sqlstate = fields->sqlstate;
    return fail(Kind::refused,
                fields->message.empty() ? "the server refuses without saying why" : fields->message);
}

ServerLoginStep ServerLogin::State::on_negotiation(Bytes body) {
    Reader reader(body);
    const uint32_t version = reader.u32();
    reader.u32();  // how many of the options that we asked for it does not know: we ask for none that matter
    const uint32_t major = version >> 16;
    const uint32_t minor = version & 0xffff;
    if (reader.failed() || has_negotiated || phase != Phase::authenticating) {
        return violated("an unexpected NegotiateProtocolVersion");
    }
    // By the letter of the documentation the minor version stands alone; servers send both halves.
    if ((major != 3 && major != 0) || minor > options.protocol_minor) {
        return violated("the server wants protocol " + std::to_string(major) + "." + std::to_string(minor) +
                        ", which was not asked for");
    }
    has_negotiated = true;
    protocol_minor = minor >= newest_protocol_minor ? newest_protocol_minor : 0;
    return ServerLoginStep::need_bytes;
}

ServerLoginStep ServerLogin::State::on_authentication(Bytes body, ByteBuffer& out) {
    Reader reader(body);
    const uint32_t code = reader.u32();
    if (reader.failed()) return violated("an Authentication message without a code");
    if (code == authentication::ok) return on_ok();
    if (code == authentication::sasl_continue) return on_scram_first(reader.rest(), out);
    if (code == authentication::sasl_final) return on_scram_final(reader.rest());
    // One proof only: a server that has a second wish, after SCRAM say for the plain password, is not ours.
    if (phase != Phase::authenticating) return violated("the server asks for a second proof");
    switch (code) {
        case authentication::cleartext_password: return on_password_asked(out);
        case authentication::md5_password: return on_md5_asked(reader.rest(), out);
        case authentication::sasl: return on_sasl_asked(reader.rest(), out);
        case 2: return lack("Kerberos V5 authentication", "only password methods are supported");
        case 6: return lack("SCM credentials", "only password methods are supported");
        case 7: return lack("GSSAPI authentication", "only password methods are supported");
        case 9: return lack("SSPI authentication", "only password methods are supported");
        default:
            return lack("authentication of kind " + std::to_string(code),
                        "only password methods are supported");
    }
}

ServerLoginStep ServerLogin::State::on_ok() {
    switch (phase) {
        case Phase::authenticating:  // it trusts us
        case Phase::answered:
        case Phase::scram_verified: phase = Phase::authenticated; return ServerLoginStep::need_bytes;
        case Phase::scram_first:
        case Phase::scram_final:
            return violated("the server accepts a SCRAM login without proving that it knows the password");
        case Phase::idle:
        case Phase::asking_tls:
        case Phase::securing:
        case Phase::deriving:
        case Phase::authenticated:
        case Phase::over: break;
    }
    std::abort();
}

// ---- Proofs --------------------------------------------------------------------------------------------

ServerLoginStep ServerLogin::State::on_password_asked(ByteBuffer& out) {
    if (options.refuse_plain_password_without_tls && !is_secured) {
        return fail(Kind::credential,
                    "the server asks for the plain password of user \"" + options.user +
                        "\" over an unencrypted connection: enable TLS to this server, or set "
                        "scram-sha-256 for this user in its pg_hba.conf");
    }
    if (options.credential.password.empty()) return lack("the plain password", "it is not known");
    append_password(out, options.credential.password.reveal());
    phase = Phase::answered;
    return ServerLoginStep::need_bytes;
}

ServerLoginStep ServerLogin::State::on_md5_asked(Bytes salt, ByteBuffer& out) {
    if (salt.size() != md5_salt_bytes)
        return violated("an MD5 salt of " + std::to_string(salt.size()) + " bytes");
    const Credential& credential = options.credential;
    if (credential.password.empty() && credential.md5_hash.empty()) {
        return lack("an MD5 proof", "neither the password nor its MD5 hash is known");
    }
    const auto hash = credential.password.empty() ? Result<Secret>(credential.md5_hash)
                                                  : md5_hash(credential.password.reveal(), options.user);
    const auto response = hash ? md5_response(hash->reveal(), salt) : hash;
    if (!response) return lack("an MD5 proof", response.error().message);
    append_password(out, response->reveal());
    phase = Phase::answered;
    return ServerLoginStep::need_bytes;
}

ServerLoginStep ServerLogin::State::on_sasl_asked(Bytes mechanisms, ByteBuffer& out) {
    const auto names = read_names(mechanisms);
    if (!names) return violated("a broken list of SASL mechanisms");
    const auto offers = [&names](std::string_view name) {
        return std::find(names->begin(), names->end(), name) != names->end();
    };
    const bool can_bind = is_secured && !end_point.empty();
    const bool is_bound = can_bind && offers(scram_plus_mechanism);
    if (!is_bound && !offers(scram_mechanism)) {
        return lack("a SASL mechanism that is not supported",
                    "only SCRAM-SHA-256 and SCRAM-SHA-256-PLUS are");
    }
    if (options.credential.password.empty() && !options.credential.scram) {
        return lack("a SCRAM proof", options.credential.md5_hash.empty()
                                         ? "neither password nor keys are known"
                                         : "only an MD5 hash is known");
    }
    std::array<std::byte, scram_nonce_random_bytes> random;
    options.random(random.data(), random.size());
    const ScramBinding binding = is_bound   ? ScramBinding::end_point
                                 : can_bind ? ScramBinding::not_offered
                                            : ScramBinding::unsupported;
    scram.emplace(scram_nonce(random), binding, end_point);
    append_sasl_initial_response(out, is_bound ? scram_plus_mechanism : scram_mechanism,
                                 scram->client_first());
    phase = Phase::scram_first;
    return ServerLoginStep::need_bytes;
}

ServerLoginStep ServerLogin::State::on_scram_first(Bytes data, ByteBuffer& out) {
    if (phase != Phase::scram_first) return violated("a SCRAM challenge out of turn");
    const Status read = scram->on_server_first(as_text(data));
    if (!read) return violated(read.error().message);
    // The password, when it is known, is right whatever salt this server has stored; keys fit one salt.
    if (!options.credential.password.empty()) {
        phase = Phase::deriving;
        return ServerLoginStep::derive_keys;
    }
    return prove(*options.credential.scram, out);
}

ServerLoginStep ServerLogin::State::prove(const ScramKeys& keys, ByteBuffer& out) {
    append_sasl_response(out, scram->client_final(keys));
    phase = Phase::scram_final;
    return ServerLoginStep::need_bytes;
}

ServerLoginStep ServerLogin::State::on_scram_final(Bytes data) {
    if (phase != Phase::scram_final) return violated("a SCRAM signature out of turn");
    const Status verified = scram->on_server_final(as_text(data));
    if (!verified) {
        const bool is_refusal = verified.error().code == ErrorCode::refused;
        return fail(is_refusal ? Kind::refused : Kind::protocol, verified.error().message);
    }
    phase = Phase::scram_verified;
    return ServerLoginStep::need_bytes;
}

// ---- After AuthenticationOk ----------------------------------------------------------------------------

ServerLoginStep ServerLogin::State::on_authenticated_message(const Message& message) {
    switch (message.type) {
        case backend::parameter_status: return on_parameter(message.body);
        case backend::backend_key_data: return on_cancel_key(message.body);
        case backend::ready_for_query: return on_ready(message.body);
        default: return violated("unexpected message " + quoted(message.type) + " before ReadyForQuery");
    }
}

ServerLoginStep ServerLogin::State::on_parameter(Bytes body) {
    auto parameter = parse_parameter_status(body);
    if (!parameter) return violated(parameter.error().message);
    parameters_bytes += body.size();
    if (parameters_bytes > limits::login_buffered_bytes_max)
        return violated("the server has too many parameters");
    const auto known = std::find_if(parameters.begin(), parameters.end(),
                                    [&](const auto& other) { return other.first == parameter->first; });
    if (known != parameters.end()) {
        known->second = std::move(parameter->second);
    } else {
        parameters.push_back(std::move(*parameter));
    }
    return ServerLoginStep::need_bytes;
}

ServerLoginStep ServerLogin::State::on_cancel_key(Bytes body) {
    if (body.size() < cancel_key_bytes_min || body.size() > cancel_key_bytes_max) {
        return violated("a cancel key of " + std::to_string(body.size()) + " bytes");
    }
    cancel_key.assign(body.begin(), body.end());
    return ServerLoginStep::need_bytes;
}

ServerLoginStep ServerLogin::State::on_ready(Bytes body) {
    if (body.size() != 1 || std::to_integer<char>(body[0]) != 'I') {
        return violated("the server is ready, but not outside a transaction");
    }
    return end(ServerLoginStep::done);
}

// ---- The interface -------------------------------------------------------------------------------------

ServerLogin::ServerLogin(ServerLoginOptions options) : state_(std::make_unique<State>()) {
    assert(options.random);
    state_->options = std::move(options);
}
ServerLogin::~ServerLogin() = default;
ServerLogin::ServerLogin(ServerLogin&&) noexcept = default;
ServerLogin& ServerLogin::operator=(ServerLogin&&) noexcept = default;

ServerLoginStep ServerLogin::start(ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::idle);
    if (state.options.tls == ServerLoginOptions::Tls::never) return state.send_startup(out);
    if (state.options.tls_direct) {
        state.phase = State::Phase::securing;
        return ServerLoginStep::start_tls;
    }
    append_ssl_request(out);
    state.phase = State::Phase::asking_tls;
    return ServerLoginStep::need_bytes;
}

ServerLogin::Outcome ServerLogin::on_bytes(Bytes in, ByteBuffer& out) {
    State& state = *state_;
    Outcome total{0, ServerLoginStep::need_bytes};
    for (;;) {
        const Bytes rest = in.subspan(total.consumed);
        Outcome one{0, ServerLoginStep::need_bytes};
        switch (state.phase) {
            case State::Phase::asking_tls: one = state.on_tls_answer(rest, out); break;
            case State::Phase::authenticating:
            case State::Phase::answered:
            case State::Phase::scram_first:
            case State::Phase::scram_final:
            case State::Phase::scram_verified:
            case State::Phase::authenticated: one = state.on_messages(rest, out); break;
            case State::Phase::idle:
            case State::Phase::securing:
            case State::Phase::deriving: break;  // what comes now waits
            case State::Phase::over: one.step = state.last_step; break;
        }
        total.consumed += one.consumed;
        total.step = one.step;
        if (one.consumed == 0 || one.step != ServerLoginStep::need_bytes) return total;
    }
}

ServerLoginStep ServerLogin::on_secured(Bytes end_point, ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::securing);
    state.is_secured = true;
    state.end_point.assign(end_point.begin(), end_point.end());
    return state.send_startup(out);
}

Bytes ServerLogin::salt() const {
    return state_->scram ? state_->scram->salt() : Bytes{};
}
uint32_t ServerLogin::iterations() const {
    return state_->scram ? state_->scram->iterations() : 0;
}

ServerLoginStep ServerLogin::on_keys(const ScramKeys& keys, ByteBuffer& out) {
    assert(state_->phase == State::Phase::deriving);
    return state_->prove(keys, out);
}

const std::vector<std::pair<std::string, std::string>>& ServerLogin::parameters() const {
    return state_->parameters;
}
Bytes ServerLogin::cancel_key() const {
    return state_->cancel_key;
}
uint32_t ServerLogin::protocol_minor() const {
    return state_->protocol_minor;
}
const ServerLoginFailure& ServerLogin::failure() const {
    return state_->failure;
}

}  // namespace holdfast::postgres
