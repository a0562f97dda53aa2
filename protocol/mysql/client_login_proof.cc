// What a client has to prove, and how: the exchange that each authentication plugin is.
#include <cassert>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/mysql/client_login_state.h"
#include "protocol/mysql/ed25519.h"
#include "protocol/mysql/server_version.h"

namespace holdfast::mysql {

using dialect::Step;

namespace {

constexpr uint8_t sha2_fast_ok = 3;
constexpr uint8_t sha2_full_login = 4;
constexpr uint8_t sha2_public_key_request = 2;

}  // namespace

Step ClientLogin::State::on_secret(std::optional<dialect::StoredRole> role, ByteBuffer& out) {
    assert(phase == Phase::looking_up);
    adopt(std::move(role));
    const std::string wanted = wire_plugin();
    const std::string_view used = request.plugin.empty() ? plugin::native : std::string_view(request.plugin);
    const bool can_switch = (request.capabilities & capability::plugin_auth) != 0;
    // A COM_CHANGE_USER comes with a proof for an earlier salt. Which one depends on the client, and some
    // know no other one even when they are given it.
    const bool is_proven = is_change_user && wanted == plugin::native && is_proof_for_earlier_salt();
    if (used != wanted || wanted == plugin::ed25519 || wanted == plugin::clear ||
        (is_change_user && can_switch && !is_proven)) {
        return switch_plugin(out);
    }
    const Secret proof = std::move(request.proof);
    return on_answer(as_bytes(proof.reveal()), out);
}

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
        // MySQL's RETAIN CURRENT PASSWORD, or a plugin twice in MariaDB's IDENTIFIED VIA … OR ….
        for (const dialect::StoredAccount& each : role->accounts) {
            const bool is_alternative = &each != found && each.host == found->host &&
                                        each.plugin == found->plugin && !found->stored.empty();
            if (is_alternative && other_stored.empty()) other_stored = each.stored;
        }
        plugin = account.plugin.empty() ? std::string(plugin::native) : account.plugin;
        if (plugin == plugin::ed25519_stored) plugin = plugin::ed25519;
    } else {
        plugin = default_plugin();
    }
    if (method() == Method::clear) plugin = plugin::clear;
}

/// The plugin whose answer is waited for. One that the proxy can't check goes on like the default one, and
/// fails at the end. A signature teaches nothing that servers could be given: the client of an ed25519
/// account whose password is not configured is asked for the password itself, in caching_sha2_password's safe
/// ways.
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
    if (!stored || proof.empty())
        return proof.empty() && is_known && account.stored.empty() && !is_configured;
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
    auto key = check_native(answer, salt, stored.value_or(Sha1{}));
    if (const auto other = parse_native_stored(other_stored.reveal()); checks_stored && !key && other)
        key = check_native(answer, salt, *other);
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
    if (const Secret* const password = find_sha2_password(answer)) {
        learned = Credential::of_password(*password);
        sequence = PacketWriter(out, sequence).u8(reply::auth_more_data).u8(sha2_fast_ok).finish();
        return proven(out);
    }
    if (is_configured) return deny(out, "the password is wrong");
    sequence = PacketWriter(out, sequence).u8(reply::auth_more_data).u8(sha2_full_login).finish();
    phase = Phase::full_login;
    return Step::need_bytes;
}

/// The password that the answer proves, if it is known: configured, or proven before by somebody.
const Secret* ClientLogin::State::find_sha2_password(Bytes answer) const {
    const auto if_proven = [&](const Secret* password) {
        // The same work whether there is something to compare with or not.
        const Sha256 fast = password != nullptr ? sha2_fast_digest(password->reveal()) : Sha256{};
        return check_sha2_fast(answer, salt, fast) ? password : nullptr;
    };
    if (is_configured) return if_proven(&known_password);
    const bool has_cache = is_known && options.sha2_cache != nullptr;
    const Secret* found = if_proven(has_cache ? options.sha2_cache->find(account.stored) : nullptr);
    if (found != nullptr || !has_cache || other_stored.empty()) return found;
    return if_proven(options.sha2_cache->find(other_stored));
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

void ClientLogin::State::derive() {
    assert(phase == Phase::deriving);
    is_right = false;
    if (is_encrypted) {
        const auto mixed = options.rsa->decrypt(as_bytes(candidate.reveal()));
        const Secret plain = mixed ? xor_with_salt(mixed->reveal(), salt) : Secret{};
        const std::string_view text = plain.reveal();
        candidate = Secret(std::string(text.substr(0, text.find('\0'))));
    }
    const std::string_view password = candidate.reveal();
    const std::string_view stored = account.stored.reveal();
    if (plugin == plugin::ed25519 && !is_configured) {
        is_right = is_known && ed25519_stored_of(password) == stored;
    } else if (is_configured) {
        is_right = candidate == known_password;
    } else if (const auto native = parse_native_stored(stored)) {
        const Sha1 given = sha1(sha1(as_bytes(password)));
        const auto other = parse_native_stored(other_stored.reveal());
        is_right = equal_in_constant_time(given, *native) || (other && equal_in_constant_time(given, *other));
    } else if (is_known && stored.empty()) {
        is_right = password.empty();
    } else if (stored.starts_with("$A$")) {
        is_right = !password.empty() && check_sha2_stored(password, stored);
        is_other = !is_right && !password.empty() && check_sha2_stored(password, other_stored.reveal());
        is_right = is_right || is_other;
    } else {
        // An unknown user takes as long as a known one.
        sha256_crypt(password.substr(0, limits::mysql_password_bytes_max), "01234567890123456789", 5'000);
    }
}

Step ClientLogin::State::on_derived(ByteBuffer& out) {
    assert(phase == Phase::deriving);
    if (!is_right || !is_known) {
        candidate = {};
        return deny(out, is_known ? "the password is wrong" : "no such account");
    }
    if (!is_configured && options.sha2_cache != nullptr && account.stored.reveal().starts_with("$A$")) {
        options.sha2_cache->remember(is_other ? other_stored : account.stored, candidate);
    }
    learned = Credential::of_password(candidate);
    candidate = {};
    return proven(out);
}

}  // namespace holdfast::mysql
