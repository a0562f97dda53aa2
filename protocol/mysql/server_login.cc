#include "protocol/mysql/server_login.h"

#include <cassert>
#include <cstdlib>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/base/numbers.h"
#include "protocol/mysql/attributes.h"
#include "protocol/mysql/capabilities.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/server_login_state.h"
#include "protocol/mysql/server_version.h"
#include "protocol/mysql/tracking.h"

namespace holdfast::mysql {

using dialect::Progress;
using dialect::Step;

namespace {

/// The largest packet that we say we take: the protocol's own bound.
constexpr uint32_t packet_bytes_max = 1u << 30;

/// Without these the proxy can't follow what a session does.
constexpr uint64_t required_capabilities = capability::protocol_41 | capability::secure_connection |
                                           capability::plugin_auth | capability::transactions |
                                           capability::deprecate_eof | capability::session_track;
constexpr uint64_t wanted_capabilities = required_capabilities | capability::long_flag |
                                         capability::plugin_auth_lenenc | capability::connect_attrs;

}  // namespace

// ---- The greeting ----------------------------------------------------------------------------------------

Progress ServerLogin::State::on_packet(Bytes in, ByteBuffer& out) {
    const auto packet = take_packet(in, limits::mysql_login_packet_bytes_max);
    if (!packet) return {0, violated("the server's login packets make no sense: " + packet.error().message)};
    if (!*packet) return {0, Step::need_bytes};
    // A server that refuses before it has read anything may count as it likes.
    const bool is_error = (*packet)->type() == reply::error;
    if ((*packet)->sequence != sequence && !is_error) return {0, violated("a login packet out of order")};
    sequence = static_cast<uint8_t>((*packet)->sequence + 1);
    const size_t consumed = (*packet)->total_bytes();
    const Bytes payload = (*packet)->payload;
    if (payload.empty()) return {consumed, violated("an empty login packet")};
    switch (phase) {
        case Phase::greeting: return {consumed, on_greeting(payload, in.subspan(consumed), out)};
        case Phase::authenticating:
        case Phase::awaiting_key: return {consumed, on_auth(payload, out)};
        case Phase::tracking: return {consumed, on_tracking(payload)};
        case Phase::securing:
        case Phase::over: break;
    }
    std::abort();
}

Step ServerLogin::State::on_greeting(Bytes payload, Bytes behind, ByteBuffer& out) {
    if (payload[0] == std::byte{reply::error}) return on_error(payload);
    auto parsed = parse_greeting(payload);
    if (!parsed) return violated(parsed.error().message);
    greeting = *std::move(parsed);
    if ((greeting.capabilities & required_capabilities) != required_capabilities) {
        return violated("the server (" + greeting.version +
                        ") is too old: it lacks DEPRECATE_EOF, SESSION_TRACK or PLUGIN_AUTH");
    }
    if (greeting.salt.size() != salt_bytes) {
        return violated("a salt of " + std::to_string(greeting.salt.size()) + " bytes");
    }
    cancel_key.resize(4);
    store_le32(cancel_key.data(), greeting.connection_id);
    if (const uint64_t lacks = negotiate(); lacks != 0) {
        return fail(Kind::identity,
                    "the server (" + greeting.version +
                        ") is older than the primary was when the client logged in, and lacks "
                        "what they agreed on (capabilities " +
                        std::to_string(lacks) + "): connect again, or upgrade it");
    }
    const bool offers_tls = (greeting.capabilities & capability::ssl) != 0;
    if (tls == 2 && !offers_tls) {
        return fail(Kind::broken, "the server does not offer TLS, which `server_tls` requires");
    }
    if (tls == 0 || !offers_tls) return send_request(out);
    if (!behind.empty()) return violated("the server goes on behind its greeting");
    capabilities |= capability::ssl;
    PacketWriter writer(out, sequence);
    append_request_head(writer);
    sequence = writer.finish();
    phase = Phase::securing;
    return Step::start_tls;
}

Step ServerLogin::State::on_error(Bytes payload) {
    const auto err = parse_err(payload);
    if (!err) return violated("the server's error makes no sense: " + err.error().message);
    failure.code = err->sqlstate;
    if (failure.code.empty()) failure.code = err->number == error::too_many_connections ? "08004" : "HY000";
    // In plain text where TLS is required, the words are anybody's: they are not handed on.
    if (tls != 2 || is_secured) failure.wire.assign(payload.begin(), payload.end());
    const Kind kind = refusal_kind_of(err->number);
    if (err->number == error::access_denied && !lacking.empty()) {
        return fail(Kind::credential, lacking + ": " + std::string(err->message));
    }
    return fail(kind,
                err->message.empty() ? "the server refuses without saying why" : std::string(err->message));
}

/// Returns what the server lacks and the client can't do without.
uint64_t ServerLogin::State::negotiate() {
    uint64_t wanted = wanted_capabilities;
    for (const auto& [name, value] : identity.parameters) {
        if (name == "capabilities")
            wanted |= parse_number<uint64_t>(value).value_or(0) & identity_capabilities;
    }
    if (!identity.database.empty()) wanted |= capability::connect_with_db;
    // Set, it would tell a MariaDB server that we know none of its extensions.
    wanted |= capability::client_mysql;
    capabilities = wanted & greeting.capabilities;
    return wanted & ~capabilities & layout_capabilities;
}

void ServerLogin::State::append_request_head(PacketWriter& writer) const {
    uint8_t collation = greeting.collation;
    for (const auto& [name, value] : identity.parameters) {
        if (name == "collation") collation = parse_number<uint8_t>(value).value_or(0);
    }
    writer.u32(static_cast<uint32_t>(capabilities)).u32(packet_bytes_max).u8(collation).zeros(19);
    writer.u32(static_cast<uint32_t>(capabilities >> 32));
}

/// spec    MySQL Internals, "Protocol::HandshakeResponse41"
Step ServerLogin::State::send_request(ByteBuffer& out) {
    plugin = greeting.plugin;
    auto proof = proof_for(plugin);
    if (!proof) {
        // The account may want the other one: the server switches then.
        plugin = plugin == plugin::native ? plugin::caching_sha2 : plugin::native;
        proof = proof_for(plugin);
    }
    if (!proof) {
        plugin = plugin::native;
        lacking = "the password of user '" + identity.user + "' is not known";
    }
    const ByteBuffer answer = proof.value_or(ByteBuffer{});
    PacketWriter writer(out, sequence);
    append_request_head(writer);
    writer.text(identity.user);
    if ((capabilities & capability::plugin_auth_lenenc) != 0) {
        writer.lenenc_bytes(answer);
    } else {
        writer.u8(static_cast<uint8_t>(answer.size())).bytes(answer);
    }
    if ((capabilities & capability::connect_with_db) != 0) writer.text(identity.database);
    writer.text(plugin);
    if ((capabilities & capability::connect_attrs) != 0) {
        ByteBuffer block;
        const auto put = [&block](std::string_view text) {
            append_lenenc(block, text.size());
            append(block, text);
        };
        constexpr std::string_view prefix = "attr:";
        for (const auto& [name, value] : identity.parameters) {
            if (!name.starts_with(prefix)) continue;
            put(std::string_view(name).substr(prefix.size()));
            put(value);
        }
        put("_proxy");
        put("holdfast");
        writer.lenenc_bytes(block);
    }
    sequence = writer.finish();
    phase = Phase::authenticating;
    return Step::need_bytes;
}

// ---- After the OK ----------------------------------------------------------------------------------------

Step ServerLogin::State::on_authenticated(Bytes payload, ByteBuffer& out) {
    const auto ok = parse_ok(payload, capabilities);
    if (!ok) return violated(ok.error().message);
    parameters.emplace_back("version", greeting.version);
    parameters.emplace_back("server_capabilities", std::to_string(greeting.capabilities & 0xffffffff));
    parameters.emplace_back("extended_capabilities", std::to_string(greeting.capabilities >> 32));
    parameters.emplace_back("capabilities", std::to_string(capabilities));
    parameters.emplace_back("status", std::to_string(ok->status));
    parameters.emplace_back("collation", std::to_string(greeting.collation));
    const bool has_attributes = (capabilities & capability::query_attributes) != 0;
    if (has_attributes) cancel_key.push_back(std::byte{1});
    PacketWriter writer(out, 0);
    writer.u8(command::query).bare_text(has_attributes ? no_attributes : std::string_view());
    writer.bare_text(tracking_statement(is_mariadb(greeting.version))).bare_text(report_of_reading).finish();
    sequence = 1;
    phase = Phase::tracking;
    return Step::need_bytes;
}

Step ServerLogin::State::on_tracking(Bytes payload) {
    const bool is_ok = payload[0] == std::byte{reply::ok};
    if (!is_ok && payload[0] != std::byte{reply::error}) {
        return violated("the server answers the tracking statement with something else than OK");
    }
    if (!is_ok) {
        const auto err = parse_err(payload);
        if (!err) return violated("the server's error makes no sense: " + err.error().message);
        if (announces_end(err->number)) return fail(Kind::not_now, std::string(err->message));
        // Who has to change his password first may do nothing else.
        if (err->number != error::must_change_password) {
            return fail(Kind::identity, "the server does not report changes of session variables (" +
                                            std::string(err->message) +
                                            "): without that the proxy can't follow a session");
        }
        parameters.emplace_back("tracking", "off");
        return end(Step::done);
    }
    const auto ok = parse_ok(payload, capabilities);
    if (!ok) return violated("the server's answer to the tracking statement makes no sense");
    parameters.emplace_back("tracking", "on");
    SessionStateReader reader(ok->session_state);
    while (const auto entry = reader.next()) {
        if (!entry->is(SessionState::system_variable) || entry->is_null) continue;
        if (entry->name == "sql_mode" && is_sql_mode(entry->value))
            parameters.emplace_back("sql_mode", entry->value);
        if (entry->name == "character_set_client")
            parameters.emplace_back("character_set_client", entry->value);
    }
    return end(Step::done);
}

// ---- The interface ---------------------------------------------------------------------------------------

ServerLogin::ServerLogin(const dialect::Identity& identity, const dialect::ServerHandshakeOptions& options)
    : state_(std::make_unique<State>()) {
    state_->identity = identity;
    state_->tls = options.tls;
    if (const auto* proven = dynamic_cast<const Credential*>(options.credential.get())) {
        state_->credential = *proven;
    }
}
ServerLogin::~ServerLogin() = default;

/// The server speaks first.
Step ServerLogin::start(ByteBuffer&) {
    return Step::need_bytes;
}

Progress ServerLogin::on_bytes(Bytes in, ByteBuffer& out) {
    State& state = *state_;
    Progress total{0, Step::need_bytes};
    for (;;) {
        Progress one{0, Step::need_bytes};
        switch (state.phase) {
            case State::Phase::greeting:
            case State::Phase::authenticating:
            case State::Phase::awaiting_key:
            case State::Phase::tracking: one = state.on_packet(in.subspan(total.consumed), out); break;
            case State::Phase::securing: break;  // what comes now waits
            case State::Phase::over: one.step = state.last_step; break;
        }
        total.consumed += one.consumed;
        total.step = one.step;
        if (one.consumed == 0 || one.step != Step::need_bytes) return total;
    }
}

Step ServerLogin::on_secured(Bytes, ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::securing);
    state.is_secured = true;
    return state.send_request(out);
}

const dialect::Parameters& ServerLogin::parameters() const {
    return state_->parameters;
}
Bytes ServerLogin::cancel_key() const {
    return state_->cancel_key;
}
dialect::ServerRefusal ServerLogin::refusal() const {
    return state_->failure;
}

}  // namespace holdfast::mysql
