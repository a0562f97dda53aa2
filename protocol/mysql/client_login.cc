#include "protocol/mysql/client_login.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/mysql/ed25519.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/login_request.h"
#include "protocol/mysql/tracking.h"

namespace holdfast::mysql {

using dialect::Progress;
using dialect::Step;

namespace {

constexpr uint8_t default_collation = 45;  // utf8mb4_general_ci
constexpr uint8_t sha2_fast_ok = 3;
constexpr uint8_t sha2_full_login = 4;
constexpr uint8_t sha2_public_key_request = 2;

/// config::ClientAuth, whose order the dialects share. The others mean "what the account says".
enum class Method { automatic = 0, clear = 3, certificate = 4, trust = 5 };

/// Attributes of one process rather than of a kind of client: they would keep identities from being shared.
bool is_volatile(std::string_view attribute) {
    return attribute == "_pid" || attribute == "_thread" || attribute == "_server_host" ||
           attribute == "_client_ip" || attribute == "_client_port";
}

/// Major and minor version as one number: 10.11 is 10'011. Of "5.5.5-10.11.6-MariaDB" the part that counts.
unsigned version_number(std::string_view version) {
    if (is_mariadb(version) && version.starts_with("5.5.5-")) version.remove_prefix(6);
    unsigned major = 0, minor = 0;
    const char* end = version.data() + version.size();
    const auto [at, failure] = std::from_chars(version.data(), end, major);
    if (failure == std::errc() && at != end && *at == '.') std::from_chars(at + 1, end, minor);
    return std::min(major, 1'000u) * 1'000 + std::min(minor, 999u);
}

}  // namespace

uint64_t offered_capabilities(std::string_view version, bool offers_compression) {
    using namespace capability;
    uint64_t offered = found_rows | long_flag | connect_with_db | no_schema | odbc | local_files |
                       ignore_space | protocol_41 | interactive | ignore_sigpipe | transactions |
                       secure_connection | multi_statements | multi_results | ps_multi_results | plugin_auth |
                       connect_attrs | plugin_auth_lenenc | can_handle_expired_passwords | session_track |
                       deprecate_eof;
    if (offers_compression) offered |= compress;
    const unsigned number = version_number(version);
    if (is_mariadb(version)) {
        offered |= progress | stmt_bulk_operations;
        if (number >= 10'005) offered |= extended_metadata;
        if (number >= 10'006) offered |= cache_metadata;
        if (number >= 11'005) offered |= bulk_unit_results;
        return offered;
    }
    offered |= client_mysql;
    if (number >= 8'000) {
        offered |= optional_resultset_metadata | query_attributes;
        if (offers_compression) offered |= zstd_compression;
    }
    return offered;
}

struct ClientLogin::State {
    enum class Phase {
        opening,      // before the login request
        securing,     // until on_secured
        looking_up,   // until on_secret
        answering,    // the plugin's answer to a switch
        full_login,   // caching_sha2: the password, or a wish for the public key
        full_by_rsa,  // … the password, encrypted
        deriving,     // until on_derived
        over,
    };

    ClientLoginOptions options;
    Phase phase = Phase::opening;
    Step last_step = Step::need_bytes;  // what `over` ended with
    uint64_t offered = 0;
    uint8_t sequence = 0;  // of the next packet, whoever sends it
    bool is_secured = false;
    bool is_change_user = false;
    std::string client_common_name;

    std::array<std::byte, salt_bytes> greeting_salt{};
    LoginRequest request;
    std::string malformed;  // a COM_CHANGE_USER that could not be read

    // What the client has to prove.
    dialect::StoredAccount account;
    bool is_known = false;
    Secret known_password;  // configured: any plugin will do
    bool is_configured = false;
    std::string plugin;
    ByteBuffer salt;  // that the next answer is for
    bool has_used_password = true;

    // For derive().
    Secret candidate;  // the password in plain text, or encrypted while `is_encrypted`
    bool is_encrypted = false;
    bool is_right = false;

    Credential learned;
    std::string error;
    bool is_password_failure = false;

    Method method() const { return static_cast<Method>(options.handshake.auth); }
    ClientHost host() const { return {options.handshake.client_address}; }
    /// What the greeting offers: the servers' own default.
    std::string_view default_plugin() const {
        if (!options.handshake.auth_plugin.empty()) return options.handshake.auth_plugin;
        const std::string_view version = options.handshake.server_version;
        const bool is_sha2 = !is_mariadb(version) && version_number(version) >= 8'000;
        return is_sha2 ? plugin::caching_sha2 : plugin::native;
    }
    bool is_private() const { return is_secured || options.handshake.is_local; }

    Step end(Step step) {
        phase = Phase::over;
        last_step = step;
        return step;
    }
    Step fail(ByteBuffer& out, ErrorNumber number, std::string message) {
        sequence = append_err(out, sequence, number.number, number.sqlstate, message);
        error = std::move(message);
        return end(Step::failed);
    }
    Step violate(ByteBuffer& out, std::string message) {
        return fail(out, {error::bad_handshake, "08S01"}, std::move(message));
    }
    /// `reason` is for the log only: unknown users and wrong passwords look the same.
    Step deny(ByteBuffer& out, std::string_view reason) {
        fail(out, {error::access_denied, "28000"},
             "Access denied for user '" + request.user + "'@'" + std::string(host().name()) +
                 "' (using password: " + (has_used_password ? "YES" : "NO") + ")");
        error.append(": ").append(reason);
        is_password_failure = true;
        return Step::failed;
    }

    void greet(ByteBuffer& out);
    Progress on_packet(Bytes in, ByteBuffer& out);
    Step on_opening(Bytes payload, ByteBuffer& out);
    Step on_request(ByteBuffer& out);
    void adopt(std::optional<dialect::StoredRole> role);
    std::string wire_plugin() const;
    Step switch_plugin(ByteBuffer& out);
    Step on_answer(Bytes answer, ByteBuffer& out);
    bool is_proof_for_earlier_salt();
    Step check_native_answer(Bytes answer, ByteBuffer& out);
    Step check_sha2_answer(Bytes answer, ByteBuffer& out);
    Step check_ed25519_answer(Bytes answer, ByteBuffer& out);
    Step on_full_login(Bytes payload, ByteBuffer& out);
    Step on_password(std::string_view password);
    Step proven(ByteBuffer& out);
};

// ---- Before the login request ----------------------------------------------------------------------------

/// spec    MySQL Internals, "Protocol::HandshakeV10"
void ClientLogin::State::greet(ByteBuffer& out) {
    greeting_salt = make_salt(options.random);
    salt.assign(greeting_salt.begin(), greeting_salt.end());
    const std::string_view version = options.handshake.server_version;
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

// ---- What has to be proven -------------------------------------------------------------------------------

/// Unknown users get an account that nobody can log in to, and go through the same steps.
void ClientLogin::State::adopt(std::optional<dialect::StoredRole> role) {
    if (role && role->can_login && role->accounts.empty() && !role->password.empty()) {
        is_known = is_configured = true;
        known_password = std::move(role->password);
        const bool is_usable = request.plugin == plugin::caching_sha2 || request.plugin == plugin::ed25519;
        plugin = is_usable ? request.plugin : std::string(plugin::native);
    } else if (const dialect::StoredAccount* found =
                   role && role->can_login ? choose_account(role->accounts, host()) : nullptr) {
        is_known = true;
        account = *found;
        plugin = account.plugin.empty() ? std::string(plugin::native) : account.plugin;
        if (plugin == plugin::ed25519_stored) plugin = plugin::ed25519;
    } else {
        plugin = default_plugin();
    }
    if (method() == Method::clear) plugin = plugin::clear;
}

/// The plugin whose answer is waited for. One that the proxy can't check goes on like the default one, and
/// fails at the end. A signature teaches nothing that servers could be given: the client of an ed25519 account
/// whose password is not configured is asked for the password itself, in caching_sha2_password's safe ways.
std::string ClientLogin::State::wire_plugin() const {
    if (plugin == plugin::ed25519) return std::string(is_configured ? plugin::ed25519 : plugin::caching_sha2);
    if (plugin == plugin::caching_sha2 || plugin == plugin::clear) return plugin;
    return std::string(plugin::native);
}

Step ClientLogin::State::switch_plugin(ByteBuffer& out) {
    if ((request.capabilities & capability::plugin_auth) == 0) {
        return fail(out, {error::auth_protocol_too_old, "08004"},
                    "Client does not support authentication protocol requested by server; consider upgrading "
                    "MySQL client");
    }
    const std::string wanted = wire_plugin();
    PacketWriter writer(out, sequence);
    writer.u8(reply::eof).text(wanted);
    if (wanted == plugin::ed25519) {
        salt.resize(ed25519_nonce_bytes);
        options.random(salt.data(), salt.size());
        writer.bytes(salt);
    } else if (wanted != plugin::clear) {
        const auto fresh = make_salt(options.random);
        salt.assign(fresh.begin(), fresh.end());
        writer.bytes(salt).u8(0);
    }
    sequence = writer.finish();
    phase = Phase::answering;
    return Step::need_bytes;
}

// ---- Proof -----------------------------------------------------------------------------------------------

Step ClientLogin::State::on_answer(Bytes answer, ByteBuffer& out) {
    const std::string wanted = wire_plugin();
    if (wanted == plugin::caching_sha2) return check_sha2_answer(answer, out);
    if (wanted == plugin::ed25519) return check_ed25519_answer(answer, out);
    if (wanted == plugin::clear) {
        std::string_view password = as_text(answer);
        password = password.substr(0, password.find('\0'));
        has_used_password = !password.empty();
        return on_password(password);
    }
    return check_native_answer(answer, out);
}

/// Which of the connection's salts the proof of a COM_CHANGE_USER is for becomes `salt`.
bool ClientLogin::State::is_proof_for_earlier_salt() {
    const auto stored = is_configured ? std::optional(sha1(sha1(as_bytes(known_password.reveal()))))
                                      : parse_native_stored(account.stored.reveal());
    const Bytes proof = as_bytes(request.proof.reveal());
    if (!stored || proof.empty()) return proof.empty() && is_known && account.stored.empty() && !is_configured;
    if (check_native(proof, salt, *stored)) return true;
    if (!check_native(proof, greeting_salt, *stored)) return false;
    salt.assign(greeting_salt.begin(), greeting_salt.end());
    return true;
}

Step ClientLogin::State::check_native_answer(Bytes answer, ByteBuffer& out) {
    has_used_password = !answer.empty();
    const bool checks_stored = is_known && !is_configured && plugin == plugin::native;
    std::optional<Sha1> stored;
    if (is_configured) {
        stored = sha1(sha1(as_bytes(known_password.reveal())));
    } else if (checks_stored) {
        if (account.stored.empty()) {
            if (!answer.empty()) return deny(out, "a password for an account without one");
            learned.has_no_password = true;
            return proven(out);
        }
        stored = parse_native_stored(account.stored.reveal());
    }
    // The same work whether there is something to compare with or not.
    const auto key = check_native(answer, salt, stored.value_or(Sha1{}));
    if (!is_known) return deny(out, "no such account");
    if (!stored) {
        return deny(out, plugin == plugin::native ? "its stored password is malformed"
                                                  : "its plugin \"" + plugin + "\" is not supported");
    }
    if (!key) return deny(out, "the password is wrong");
    if (is_configured) {
        learned = Credential::of_password(known_password);
    } else {
        learned.native_key = *key;
    }
    return proven(out);
}

Step ClientLogin::State::check_sha2_answer(Bytes answer, ByteBuffer& out) {
    const bool is_empty = answer.empty() || (answer.size() == 1 && answer[0] == std::byte{0});
    has_used_password = !is_empty;
    if (is_empty) {
        if (!is_known || is_configured || !account.stored.empty()) return deny(out, "no password was given");
        learned.has_no_password = true;
        return proven(out);
    }
    if (is_known && !is_configured && account.stored.empty()) {
        return deny(out, "a password for an account without one");
    }
    std::optional<Sha256> fast;
    if (is_configured) {
        fast = sha2_fast_digest(known_password.reveal());
    } else if (is_known && options.sha2_cache != nullptr) {
        if (const Secret* cached = options.sha2_cache->find(account.stored)) {
            fast.emplace();
            std::copy_n(as_bytes(cached->reveal()).begin(), fast->size(), fast->begin());
        }
    }
    if (const auto key = check_sha2_fast(answer, salt, fast.value_or(Sha256{})); fast && key) {
        if (is_configured) {
            learned = Credential::of_password(known_password);
        } else {
            learned.sha2_key = *key;
        }
        sequence = PacketWriter(out, sequence).u8(reply::auth_more_data).u8(sha2_fast_ok).finish();
        return proven(out);
    }
    if (is_configured) return deny(out, "the password is wrong");
    sequence = PacketWriter(out, sequence).u8(reply::auth_more_data).u8(sha2_full_login).finish();
    phase = Phase::full_login;
    return Step::need_bytes;
}

Step ClientLogin::State::check_ed25519_answer(Bytes answer, ByteBuffer& out) {
    if (!check_ed25519(answer, salt, ed25519_stored_of(known_password.reveal()))) {
        return deny(out, "the password is wrong");
    }
    learned = Credential::of_password(known_password);
    return proven(out);
}

/// caching_sha2: the password itself, encrypted by TLS or by our public key.
Step ClientLogin::State::on_full_login(Bytes payload, ByteBuffer& out) {
    if (is_private()) {
        const std::string_view text = as_text(payload);
        return on_password(text.substr(0, text.find('\0')));
    }
    if (options.rsa == nullptr) {
        return deny(out, "caching_sha2_password without TLS needs an RSA key, and there is none");
    }
    if (phase == Phase::full_login && payload.size() == 1 &&
        payload[0] == std::byte{sha2_public_key_request}) {
        sequence = PacketWriter(out, sequence)
                       .u8(reply::auth_more_data)
                       .bare_text(options.rsa->public_pem())
                       .finish();
        phase = Phase::full_by_rsa;
        return Step::need_bytes;
    }
    is_encrypted = true;
    return on_password(as_text(payload));
}

Step ClientLogin::State::on_password(std::string_view password) {
    candidate = Secret(std::string(password));
    phase = Phase::deriving;
    return Step::derive_keys;
}

/// The password is right; the account may still have its reasons.
Step ClientLogin::State::proven(ByteBuffer& out) {
    if (is_configured) return end(Step::done);
    if (account.needs_tls && !is_private()) {
        learned = {};
        return deny(out, "the account requires TLS");
    }
    const bool mariadb = is_mariadb(options.handshake.server_version);
    if (account.is_locked) {
        learned = {};
        if (mariadb) {
            return fail(out, {error::account_locked_mariadb, "HY000"},
                        "Access denied, this account is locked");
        }
        return fail(out, {error::account_locked_mysql, "HY000"},
                    "Access denied for user '" + request.user + "'@'" + std::string(host().name()) +
                        "'. Account is locked.");
    }
    if (account.is_expired && (request.capabilities & capability::can_handle_expired_passwords) == 0) {
        learned = {};
        return fail(out, {error::must_change_password_login, "HY000"},
                    "Your password has expired. To log in you must change it using a client that supports "
                    "expired passwords.");
    }
    return end(Step::done);
}

// ---- The interface ---------------------------------------------------------------------------------------

ClientLogin::ClientLogin(ClientLoginOptions options) : state_(std::make_unique<State>()) {
    assert(options.random);
    state_->options = std::move(options);
    const auto& handshake = state_->options.handshake;
    state_->offered = offered_capabilities(handshake.server_version, state_->options.offers_compression);
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
    State& state = *state_;
    assert(state.phase == State::Phase::looking_up);
    state.adopt(std::move(role));
    const std::string wanted = state.wire_plugin();
    const std::string_view used =
        state.request.plugin.empty() ? plugin::native : std::string_view(state.request.plugin);
    const bool can_switch = (state.request.capabilities & capability::plugin_auth) != 0;
    // A COM_CHANGE_USER comes with a proof for an earlier salt. Which one depends on the client, and some know no
    // other one even when they are given it.
    const bool is_proven = state.is_change_user && wanted == plugin::native && state.is_proof_for_earlier_salt();
    if (used != wanted || wanted == plugin::ed25519 || wanted == plugin::clear ||
        (state.is_change_user && can_switch && !is_proven)) {
        return state.switch_plugin(out);
    }
    const Secret proof = std::move(state.request.proof);
    return state.on_answer(as_bytes(proof.reveal()), out);
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
    State& state = *state_;
    assert(state.phase == State::Phase::deriving);
    state.is_right = false;
    if (state.is_encrypted) {
        const auto mixed = state.options.rsa->decrypt(as_bytes(state.candidate.reveal()));
        const Secret plain = mixed ? xor_with_salt(mixed->reveal(), state.salt) : Secret{};
        const std::string_view text = plain.reveal();
        state.candidate = Secret(std::string(text.substr(0, text.find('\0'))));
    }
    const std::string_view password = state.candidate.reveal();
    const std::string_view stored = state.account.stored.reveal();
    if (state.plugin == plugin::ed25519 && !state.is_configured) {
        state.is_right = state.is_known && ed25519_stored_of(password) == stored;
    } else if (state.is_configured) {
        state.is_right = state.candidate == state.known_password;
    } else if (const auto native = parse_native_stored(stored)) {
        state.is_right = equal_in_constant_time(sha1(sha1(as_bytes(password))), *native);
    } else if (state.is_known && stored.empty()) {
        state.is_right = password.empty();
    } else if (stored.starts_with("$A$")) {
        state.is_right = !password.empty() && check_sha2_stored(password, stored);
    } else {
        // An unknown user takes as long as a known one.
        sha256_crypt(password.substr(0, limits::mysql_password_bytes_max), "01234567890123456789", 5'000);
    }
}

Step ClientLogin::on_derived(ByteBuffer& out) {
    State& state = *state_;
    assert(state.phase == State::Phase::deriving);
    if (!state.is_right || !state.is_known) {
        state.candidate = {};
        return state.deny(out, state.is_known ? "the password is wrong" : "no such account");
    }
    if (!state.is_configured && state.options.sha2_cache != nullptr &&
        state.account.stored.reveal().starts_with("$A$")) {
        state.options.sha2_cache->remember(state.account.stored, state.candidate.reveal());
    }
    state.learned = Credential::of_password(state.candidate);
    state.candidate = {};
    return state.proven(out);
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
