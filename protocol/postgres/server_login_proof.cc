// What a server asks for as a proof of who the user is, and the answers to it.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "protocol/postgres/md5.h"
#include "protocol/postgres/server_login_state.h"

namespace holdfast::postgres {
namespace {

/// The names of a list that ends with an empty one.
std::optional<std::vector<std::string_view>> read_names(Bytes list) {
    std::vector<std::string_view> names;
    Reader reader(list);
    for (std::string_view name = reader.text(); !name.empty(); name = reader.text()) names.push_back(name);
    if (reader.failed() || !reader.at_end()) return std::nullopt;
    return names;
}

}  // namespace

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

}  // namespace holdfast::postgres
