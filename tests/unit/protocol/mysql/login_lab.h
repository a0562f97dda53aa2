#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "protocol/mysql/client_login.h"
#include "protocol/mysql/dialect.h"
#include "protocol/mysql/ed25519.h"
#include "protocol/mysql/greeting.h"
#include "protocol/mysql/server_login.h"
#include "protocol/mysql/server_version.h"
#include "protocol/mysql/tracking.h"

/// Accounts, and the two sides of a login put together.
namespace holdfast::mysql::testing {

using dialect::Step;

inline const std::string native_stored = "*7614BE58636C810A9D8970A50B3B2A78450413E4";  // of "pencil"
inline const std::string sha2_stored =
    "$A$005$0123456789abcdefghijZHS5X.X49DUb8YRsZNlCNLabEBF/M9o0fkMGXp2KGM0";
inline const std::string mariadb_version = "5.5.5-10.11.6-MariaDB";
inline const std::string mysql_version = "8.0.36";

inline std::shared_ptr<const RsaKey> rsa_key() {
    static const auto key = RsaKey::make();
    return key;
}

struct Setup {
    std::string version = mariadb_version;
    std::string plugin;   // of the account
    std::string stored;   // of the account
    std::string offered;  // in the greeting
    std::string password = "pencil";
    int tls = 0;  // of the side that logs in
    bool tls_offered = true;
    Sha2Cache* cache = nullptr;
};

inline ClientLoginOptions client_options(const Setup& setup) {
    ClientLoginOptions options;
    options.handshake.process_id = 77;
    options.handshake.client_address = "10.0.0.1";
    options.handshake.server_version = setup.version;
    options.handshake.auth_plugin = setup.offered;
    options.handshake.tls_offered = setup.tls_offered;
    options.random = [next = 0](std::byte* out, size_t size) mutable {
        for (size_t i = 0; i < size; ++i) out[i] = std::byte{static_cast<uint8_t>(next++ * 7)};
    };
    options.rsa = rsa_key();
    options.sha2_cache = setup.cache;
    return options;
}

inline dialect::StoredRole role_of(const Setup& setup) {
    dialect::StoredRole role;
    dialect::StoredAccount account;
    account.host = "%";
    account.plugin = setup.plugin;
    account.stored = Secret(setup.stored);
    role.accounts.push_back(account);
    return role;
}

inline dialect::Identity identity_of() {
    dialect::Identity identity;
    identity.user = "alice";
    identity.database = "shop";
    identity.parameters = {{"collation", "33"},
                           {"capabilities", std::to_string(capability::found_rows | capability::progress |
                                                           capability::bulk_unit_results)},
                           {"attr:program_name", "till"}};
    return identity;
}

/// A server that is our own client side: after the login it answers the tracking statement.
struct Pair {
    Setup setup;
    ClientLogin proxy;
    std::shared_ptr<const Credential> proof;
    ServerLogin login;
    ByteBuffer to_login, to_proxy;  // on their way
    Step proxy_step = Step::need_bytes, login_step = Step::need_bytes;
    size_t piece;
    bool tls_was_used = false;
    bool password_seen = false;  // in plain text, outside TLS
    bool is_welcomed = false;

    static dialect::ServerHandshakeOptions server_options(const Setup& setup,
                                                          const std::shared_ptr<const Credential>& proof) {
        dialect::ServerHandshakeOptions options;
        options.credential = proof;
        options.tls = setup.tls;
        return options;
    }
    explicit Pair(Setup s, size_t piece_bytes = 100'000, std::shared_ptr<const Credential> with = nullptr)
        : setup(std::move(s)),
          proxy(client_options(setup)),
          proof(with ? with : std::make_shared<Credential>(Credential::of_password(Secret(setup.password)))),
          login(identity_of(), server_options(setup, proof)),
          piece(piece_bytes) {
        proxy.start(to_login);
        login_step = login.start(to_proxy);
    }

    static bool is_over(Step step) { return step == Step::done || step == Step::failed; }

    void drive_proxy(std::optional<dialect::StoredRole> role) {
        if (is_over(proxy_step)) return;
        const Bytes some = Bytes(to_proxy).first(std::min(piece, to_proxy.size()));
        size_t offered = some.size();
        for (;;) {
            const auto progress = proxy.on_bytes(Bytes(to_proxy).first(offered), to_login);
            to_proxy.erase(to_proxy.begin(),
                           to_proxy.begin() + static_cast<std::ptrdiff_t>(progress.consumed));
            proxy_step = progress.step;
            if (proxy_step == Step::need_bytes && progress.consumed == 0 && offered < to_proxy.size()) {
                ++offered;  // the next byte arrives
                continue;
            }
            break;
        }
        if (proxy_step == Step::start_tls_now) proxy_step = proxy.on_secured({}, {}, {}, to_login);
        if (proxy_step == Step::need_secret) proxy_step = proxy.on_secret(std::move(role), to_login);
        if (proxy_step == Step::derive_keys) {
            proxy.derive();
            proxy_step = proxy.on_derived(to_login);
        }
        if (proxy_step == Step::done) {
            proxy.welcome({}, 77, {}, to_login);
            is_welcomed = true;
        }
    }
    void drive_login() {
        if (is_over(login_step)) return;
        size_t offered = std::min(piece, to_login.size());
        for (;;) {
            const size_t before = to_proxy.size();
            const auto progress = login.on_bytes(Bytes(to_login).first(offered), to_proxy);
            if (!tls_was_used &&
                as_text(Bytes(to_proxy).subspan(before)).find(setup.password) != std::string_view::npos) {
                password_seen = !setup.password.empty();
            }
            to_login.erase(to_login.begin(),
                           to_login.begin() + static_cast<std::ptrdiff_t>(progress.consumed));
            login_step = progress.step;
            if (login_step == Step::need_bytes && progress.consumed == 0 && offered < to_login.size()) {
                ++offered;
                continue;
            }
            break;
        }
        if (login_step == Step::start_tls) {
            tls_was_used = true;
            drive_proxy(std::nullopt);  // takes the SSLRequest
            login_step = login.on_secured({}, to_proxy);
        }
    }
    void run(std::optional<dialect::StoredRole> role) {
        for (int turn = 0; turn < 100'000 && !is_over(login_step); ++turn) {
            drive_login();
            if (is_welcomed && !to_proxy.empty() && !is_over(login_step)) {
                // The tracking statement.
                const auto packet = take_packet(to_proxy, 10'000);
                REQUIRE(packet);
                REQUIRE(packet->has_value());
                CHECK(as_text((*packet)->payload).find(tracking_statement(is_mariadb(setup.version))) !=
                      std::string_view::npos);
                to_proxy.clear();
                append_ok(to_login, 1, OkPacket{}, capability::session_track);
            } else if (!is_welcomed) {
                drive_proxy(role);
            }
            if (to_login.empty() && to_proxy.empty() && !is_over(login_step)) break;
        }
    }
};

inline std::string parameter(const dialect::Parameters& parameters, std::string_view name) {
    for (const auto& [each, value] : parameters) {
        if (each == name) return value;
    }
    return "absent";
}

inline Setup native() {
    Setup setup;
    setup.plugin = plugin::native;
    setup.stored = native_stored;
    return setup;
}
inline Setup sha2() {
    Setup setup;
    setup.version = mysql_version;
    setup.plugin = plugin::caching_sha2;
    setup.stored = sha2_stored;
    setup.offered = plugin::caching_sha2;
    return setup;
}

/// A literal with the zeros that are in it.
template <size_t n>
std::string raw(const char (&text)[n]) {
    return std::string(text, n - 1);
}

}  // namespace holdfast::mysql::testing
