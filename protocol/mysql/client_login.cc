#include "protocol/mysql/client_login.h"

#include <cassert>
#include <cstdlib>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/mysql/capabilities.h"
#include "protocol/mysql/client_login_state.h"
#include "protocol/mysql/server_version.h"

namespace holdfast::mysql {

using dialect::Progress;
using dialect::Step;

namespace {

constexpr uint8_t default_collation = 45;  // utf8mb4_general_ci

/// Attributes of one process rather than of a kind of client: they would keep identities from being shared.
bool is_volatile(std::string_view attribute) {
    return attribute == "_pid" || attribute == "_thread" || attribute == "_server_host" ||
           attribute == "_client_ip" || attribute == "_client_port";
}

}  // namespace

/// spec    MySQL Internals, "Protocol::HandshakeV10"
void ClientLogin::State::greet(ByteBuffer& out) {
    greeting_salt = make_salt(options.random);
    salt.assign(greeting_salt.begin(), greeting_salt.end());
    const std::string version = greeted_version(options.handshake.server_version);
    PacketWriter writer(out, sequence);
    writer.u8(10).text(version).u32(options.handshake.process_id);
    writer.bytes(Bytes(salt).first(8)).u8(0);
    writer.u16(static_cast<uint16_t>(offered)).u8(default_collation).u16(status::autocommit);
    writer.u16(static_cast<uint16_t>(offered >> 16)).u8(salt_bytes + 1).zeros(6);
    writer.u32(static_cast<uint32_t>(offered >> 32));  // zeros where the server is MySQL
    writer.bytes(Bytes(salt).subspan(8)).u8(0);
    writer.text(default_plugin());
    sequence = writer.finish();
}

Progress ClientLogin::State::on_packet(Bytes in, ByteBuffer& out) {
    const auto packet = take_packet(in, limits::mysql_login_packet_bytes_max);
    if (!packet) return {0, violate(out, packet.error().message)};
    if (in.size() >= packet_header_bytes && std::to_integer<uint8_t>(in[3]) != sequence) {
        return {0, fail(out, {error::packets_out_of_order, "08S01"}, "Got packets out of order")};
    }
    if (!*packet) return {0, Step::need_bytes};
    ++sequence;
    const size_t consumed = (*packet)->total_bytes();
    const Bytes payload = (*packet)->payload;
    switch (phase) {
        case Phase::opening: return {consumed, on_opening(payload, out)};
        case Phase::answering: return {consumed, on_answer(payload, out)};
        case Phase::full_login:
        case Phase::full_by_rsa: return {consumed, on_full_login(payload, out)};
        case Phase::securing:
        case Phase::looking_up:
        case Phase::deriving:
        case Phase::over: break;
    }
    std::abort();
}

Step ClientLogin::State::on_opening(Bytes payload, ByteBuffer& out) {
    if (is_ssl_request(payload)) {
        if ((offered & capability::ssl) == 0 || is_secured) {
            return violate(out, "Bad handshake: TLS is not offered here");
        }
        // Nobody answers the wish: the handshake may be right behind it, and nothing else can be.
        phase = Phase::securing;
        return Step::start_tls_now;
    }
    auto parsed = parse_login_request(payload, offered);
    if (!parsed && parsed.error().code == ErrorCode::unsupported) {
        return fail(out, {error::auth_protocol_too_old, "08004"},
                    "Client does not support authentication protocol requested by server; consider upgrading "
                    "MySQL client");
    }
    if (!parsed) return violate(out, "Bad handshake: " + parsed.error().message);
    request = *std::move(parsed);
    if ((request.capabilities & capability::ssl) != 0 && !is_secured) {
        return violate(out, "Bad handshake: a login in plain text that says it is encrypted");
    }
    return on_request(out);
}

Step ClientLogin::State::on_request(ByteBuffer& out) {
    has_used_password = !request.proof.empty();
    if (options.handshake.tls_required && !is_secured) {
        return fail(out, {error::secure_transport_required, "HY000"},
                    "Connections using insecure transport are prohibited while "
                    "--require_secure_transport=ON.");
    }
    switch (method()) {
        case Method::trust: return end(Step::done);
        case Method::certificate:
            if (!is_secured || client_common_name.empty() || client_common_name != request.user) {
                return deny(out, "no client certificate of this name");
            }
            return end(Step::done);
        case Method::clear:
            if (!is_private()) {
                return fail(out, {error::secure_transport_required, "HY000"},
                            "Passwords in plain text need a connection with TLS");
            }
            break;
        case Method::automatic: break;
    }
    phase = Phase::looking_up;
    return Step::need_secret;
}

ClientLogin::ClientLogin(ClientLoginOptions options) : state_(std::make_unique<State>()) {
    assert(options.random);
    state_->options = std::move(options);
    const auto& handshake = state_->options.handshake;
    state_->offered = offered_capabilities(handshake.server_version, state_->options.offers_compression);
    for (const std::string& version : handshake.server_versions) {
        state_->offered &=
            ~layout_capabilities | offered_capabilities(version, state_->options.offers_compression);
    }
    if (handshake.tls_offered) state_->offered |= capability::ssl;
}

ClientLogin::ClientLogin(ClientLoginOptions options, const ClientTraits& connection, Bytes payload,
                         uint8_t sequence)
    : state_(std::make_unique<State>()) {
    assert(options.random);
    State& state = *state_;
    state.options = std::move(options);
    state.is_change_user = true;
    state.is_secured = connection.is_secured;
    state.sequence = static_cast<uint8_t>(sequence + 1);
    state.greeting_salt = connection.greeting_salt;
    state.salt.assign(connection.last_salt.begin(), connection.last_salt.end());
    state.phase = State::Phase::looking_up;
    auto parsed = parse_change_user(payload, connection.capabilities, connection.collation);
    if (parsed) {
        state.request = *std::move(parsed);
    } else {
        state.request.capabilities = connection.capabilities;
        state.malformed = parsed.error().message;
    }
}

ClientLogin::~ClientLogin() = default;

Step ClientLogin::start(ByteBuffer& out) {
    State& state = *state_;
    if (!state.is_change_user) {
        state.greet(out);
        return Step::need_bytes;
    }
    if (!state.malformed.empty()) {
        return state.fail(out, {error::malformed_packet, "HY000"},
                          "Malformed communication packet: " + state.malformed);
    }
    return state.on_request(out);
}

Progress ClientLogin::on_bytes(Bytes in, ByteBuffer& out) {
    State& state = *state_;
    Progress total{0, Step::need_bytes};
    for (;;) {
        Progress one{0, Step::need_bytes};
        switch (state.phase) {
            case State::Phase::opening:
            case State::Phase::answering:
            case State::Phase::full_login:
            case State::Phase::full_by_rsa: one = state.on_packet(in.subspan(total.consumed), out); break;
            case State::Phase::securing:
            case State::Phase::looking_up:
            case State::Phase::deriving: break;  // what comes now waits
            case State::Phase::over: one.step = state.last_step; break;
        }
        total.consumed += one.consumed;
        total.step = one.step;
        if (one.consumed == 0 || one.step != Step::need_bytes) return total;
    }
}

Step ClientLogin::on_secured(std::string_view, Bytes, std::string_view client_common_name, ByteBuffer&) {
    State& state = *state_;
    assert(state.phase == State::Phase::securing);
    state.is_secured = true;
    state.client_common_name = client_common_name;
    state.phase = State::Phase::opening;
    return Step::need_bytes;
}

Step ClientLogin::on_secret(std::optional<dialect::StoredRole> role, ByteBuffer& out) {
    return state_->on_secret(std::move(role), out);
}

Step ClientLogin::on_secret_unavailable(std::string_view why, ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::looking_up);
    state.fail(out, error_of("57P03"),
               "The password of user '" + state.request.user + "' can't be checked now");
    state.error.append(": ").append(why);
    return Step::failed;
}

void ClientLogin::derive() {
    state_->derive();
}

Step ClientLogin::on_derived(ByteBuffer& out) {
    return state_->on_derived(out);
}

const std::string& ClientLogin::user() const {
    return state_->request.user;
}

dialect::Identity ClientLogin::identity() const {
    const LoginRequest& request = state_->request;
    dialect::Identity identity;
    identity.user = request.user;
    identity.database = request.database;
    identity.parameters.emplace_back("collation", std::to_string(request.collation));
    identity.parameters.emplace_back("capabilities",
                                     std::to_string(request.capabilities & identity_capabilities));
    // Accounts of one name have rights of their own: their server connections are not each other's.
    if (!state_->account.host.empty()) identity.parameters.emplace_back("account", state_->account.host);
    for (const auto& [name, value] : request.attributes) {
        if (name == "program_name") identity.application_name = value;
        if (!is_volatile(name)) identity.parameters.emplace_back("attr:" + name, value);
    }
    return identity;
}

std::shared_ptr<const dialect::Credential> ClientLogin::take_credential() {
    return std::make_shared<Credential>(std::exchange(state_->learned, {}));
}

std::shared_ptr<const dialect::ClientTraits> ClientLogin::traits() const {
    const State& state = *state_;
    auto traits = std::make_shared<ClientTraits>();
    traits->capabilities = state.request.capabilities;
    traits->collation = state.request.collation;
    if ((state.request.capabilities & capability::compress) != 0) {
        traits->compression = Compression::zlib;
    } else if ((state.request.capabilities & capability::zstd_compression) != 0) {
        traits->compression = Compression::zstd;
        traits->compression_level = state.request.compression_level;
    }
    traits->is_secured = state.is_private();
    traits->greeting_salt = traits->last_salt = state.greeting_salt;
    if (state.salt.size() == salt_bytes) {
        std::copy(state.salt.begin(), state.salt.end(), traits->last_salt.begin());
    }
    traits->server_version = state.options.handshake.server_version;
    return traits;
}

const std::string& ClientLogin::error() const {
    return state_->error;
}
bool ClientLogin::is_password_failure() const {
    return state_->is_password_failure;
}

void ClientLogin::append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const {
    const ErrorNumber number = error_of(code);
    append_err(out, state_->sequence, number.number, number.sqlstate, message);
}

void ClientLogin::append_refusal(Bytes wire, ByteBuffer& out) const {
    append_packet(out, state_->sequence, wire);
}

void ClientLogin::welcome(const dialect::Parameters&, uint32_t, Bytes, ByteBuffer& out) const {
    OkPacket ok;
    ok.status = status::autocommit;
    append_ok(out, state_->sequence, ok, state_->request.capabilities);
}

}  // namespace holdfast::mysql