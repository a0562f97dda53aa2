#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/postgres/server_login_state.h"

namespace holdfast::postgres {

namespace {

/// A type byte for an error message, whatever it is.
std::string quoted(char type) {
    if (type >= 0x20 && type <= 0x7e) return std::string("'") + type + "'";
    return "byte " + std::to_string(static_cast<unsigned char>(type));
}

}  // namespace

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
