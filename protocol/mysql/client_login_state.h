#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/mysql/capabilities.h"
#include "protocol/mysql/client_login.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/login_request.h"

namespace holdfast::mysql {

/// What a login under way knows. Seen by its own files only.
struct ClientLogin::State {
    /// config::ClientAuth, whose order the dialects share. The others mean "what the account says".
    enum class Method { automatic = 0, clear = 3, certificate = 4, trust = 5 };
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
    dialect::Step last_step = dialect::Step::need_bytes;  // what `over` ended with
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
    Secret other_stored;  // a second password of the same plugin that does as well; empty: none
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
    bool is_other = false;  // it is the account's second password

    Credential learned;
    std::string error;
    bool is_password_failure = false;

    Method method() const { return static_cast<Method>(options.handshake.auth); }
    ClientHost host() const { return {options.handshake.client_address}; }
    /// What the greeting offers: the servers' own default.
    std::string_view default_plugin() const {
        if (!options.handshake.auth_plugin.empty()) return options.handshake.auth_plugin;
        const bool is_mysql_8 = (offered_capabilities(options.handshake.server_version, false) &
                                 capability::optional_resultset_metadata) != 0;
        return is_mysql_8 ? plugin::caching_sha2 : plugin::native;
    }
    bool is_private() const { return is_secured || options.handshake.is_local; }

    dialect::Step end(dialect::Step step) {
        phase = Phase::over;
        last_step = step;
        return step;
    }
    dialect::Step fail(ByteBuffer& out, ErrorNumber number, std::string message) {
        sequence = append_err(out, sequence, number.number, number.sqlstate, message);
        error = std::move(message);
        return end(dialect::Step::failed);
    }
    dialect::Step violate(ByteBuffer& out, std::string message) {
        return fail(out, {error::bad_handshake, "08S01"}, std::move(message));
    }
    /// `reason` is for the log only: unknown users and wrong passwords look the same.
    dialect::Step deny(ByteBuffer& out, std::string_view reason) {
        fail(out, {error::access_denied, "28000"},
             "Access denied for user '" + request.user + "'@'" + std::string(host().name()) +
                 "' (using password: " + (has_used_password ? "YES" : "NO") + ")");
        error.append(": ").append(reason);
        is_password_failure = true;
        return dialect::Step::failed;
    }

    // client_login.cc
    void greet(ByteBuffer& out);
    dialect::Progress on_packet(Bytes in, ByteBuffer& out);
    dialect::Step on_opening(Bytes payload, ByteBuffer& out);
    dialect::Step on_request(ByteBuffer& out);

    // client_login_proof.cc
    dialect::Step on_secret(std::optional<dialect::StoredRole> role, ByteBuffer& out);
    void adopt(std::optional<dialect::StoredRole> role);
    std::string wire_plugin() const;
    dialect::Step switch_plugin(ByteBuffer& out);
    dialect::Step on_answer(Bytes answer, ByteBuffer& out);
    bool is_proof_for_earlier_salt();
    dialect::Step check_native_answer(Bytes answer, ByteBuffer& out);
    dialect::Step check_sha2_answer(Bytes answer, ByteBuffer& out);
    const Secret* find_sha2_password(Bytes answer) const;
    dialect::Step check_ed25519_answer(Bytes answer, ByteBuffer& out);
    dialect::Step on_full_login(Bytes payload, ByteBuffer& out);
    dialect::Step on_password(std::string_view password);
    void derive();
    dialect::Step on_derived(ByteBuffer& out);
    dialect::Step proven(ByteBuffer& out);
};

}  // namespace holdfast::mysql
