#include <cstdlib>

#include "protocol/base/limits.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/scram.h"

/// A client that sends anything. The first byte chooses how the login is set up, the second how many bytes
/// arrive at a time, the rest is what the client sends.
using namespace holdfast;
using namespace holdfast::postgres;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

enum class Role { unknown, scram, md5, password, expired, barred, malformed, nothing_stored };

std::optional<RoleSecret> secret_of(Role role) {
    // One round: what is fuzzed is not PBKDF2.
    static const std::string verifier = format_scram_verifier(
        make_scram_verifier(derive_scram_keys("pencil", as_bytes("salt"), 1), as_bytes("salt"), 1));
    RoleSecret secret;
    switch (role) {
        case Role::unknown: return std::nullopt;
        case Role::scram: secret.scram_verifier = Secret(verifier); break;
        case Role::md5: secret.md5_hash = Secret("md5ee69efad287c7423caf0b3229d71f567"); break;
        case Role::password:
            secret.password = Secret("pencil");
            secret.scram_verifier = Secret(verifier);
            break;
        case Role::expired:
            secret.scram_verifier = Secret(verifier);
            secret.valid_until = 999;
            break;
        case Role::barred:
            secret.scram_verifier = Secret(verifier);
            secret.can_login = false;
            break;
        case Role::malformed: secret.scram_verifier = Secret("SCRAM-SHA-256$1:c2FsdA==$"); break;
        case Role::nothing_stored: break;
    }
    return secret;
}

bool may_get_in(Role role, AuthMethod method) {
    if (method == AuthMethod::trust || method == AuthMethod::cert) return true;
    return role == Role::scram || role == Role::md5 || role == Role::password;
}

/// What was sent is single letters about TLS, then whole messages.
void check_sent(Bytes out) {
    while (!out.empty() && (as_text(out)[0] == 'S' || as_text(out)[0] == 'N')) out = out.subspan(1);
    while (!out.empty()) {
        const auto message = take_message(out, 100'000);
        require(message.ok() && message->has_value());
        out = out.subspan((*message)->total_bytes());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const auto role = static_cast<Role>(data[0] >> 5);
    ClientLoginOptions options;
    options.method = static_cast<AuthMethod>((data[0] & 7) % 6);
    options.tls_offered = (data[0] & 8) != 0;
    options.tls_required = (data[0] & 16) != 0;
    options.is_local = true;
    const AuthMethod method = options.method;
    options.random = [](std::byte* out, size_t count) { std::fill_n(out, count, std::byte{0}); };
    options.unix_seconds = [] { return int64_t{1'000}; };
    const size_t piece = data[1] == 0 ? size : data[1];
    const Bytes sent(reinterpret_cast<const std::byte*>(data + 2), size - 2);

    ClientLogin login(std::move(options));
    ByteBuffer out;
    bool is_over = false;
    size_t arrived = 0, consumed = 0;
    while (!is_over) {
        const auto outcome = login.on_bytes(sent.subspan(consumed, arrived - consumed), out);
        require(outcome.consumed <= arrived - consumed);
        consumed += outcome.consumed;
        LoginStep step = outcome.step;
        const bool is_driven = step != LoginStep::need_bytes;
        if (step == LoginStep::start_tls || step == LoginStep::start_tls_now) {
            // The bytes that a direct handshake would eat.
            if (step == LoginStep::start_tls_now) consumed = std::min(arrived, consumed + 1);
            step = login.on_secured("postgresql", as_bytes("end point"), "alice", out);
        }
        if (step == LoginStep::need_secret) step = login.on_secret(secret_of(role), out);
        is_over = step == LoginStep::done || step == LoginStep::failed || step == LoginStep::cancel;
        if (step == LoginStep::done) {
            require(may_get_in(role, method) && !login.startup().user.empty());
            require(method != AuthMethod::cert || login.startup().user == "alice");
        }
        if (step == LoginStep::failed) {
            require(!login.error().empty() && login.take_credential().empty());
        }
        if (step == LoginStep::cancel) {
            require(login.cancel_key().size() >= cancel_key_bytes_min);
            require(login.cancel_key().size() <= cancel_key_bytes_max);
        }
        require(arrived - consumed <= limits::login_buffered_bytes_max || arrived - consumed <= piece);
        if (!is_driven) {
            if (arrived == sent.size()) break;
            arrived = std::min(sent.size(), arrived + piece);
        }
    }
    check_sent(out);
    return 0;
}
