#include "protocol/postgres/client_proof.h"

#include <cstdlib>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/sqlstate.h"

namespace holdfast::postgres {

namespace {

/// The length of "no initial response" in a SASLInitialResponse.
constexpr uint32_t no_initial_response = 0xffffffff;

enum class Challenge { scram, md5, password };

Challenge challenge_for(AuthMethod method, const RoleSecret& secret) {
    const bool has_md5 = !secret.md5_hash.empty();
    const bool has_scram = !secret.scram_verifier.empty();
    const bool has_password = !secret.password.empty();
    switch (method) {
        case AuthMethod::password: return Challenge::password;
        case AuthMethod::md5:
            // As in pg_hba.conf: "md5" is satisfied by the better method when that is what is stored.
            return has_scram && !has_md5 && !has_password ? Challenge::scram : Challenge::md5;
        case AuthMethod::automatic:
            return has_md5 && !has_scram && !has_password ? Challenge::md5 : Challenge::scram;
        case AuthMethod::scram:
        case AuthMethod::cert:
        case AuthMethod::trust: return Challenge::scram;
    }
    std::abort();
}

std::string_view sqlstate_of(ErrorCode scram_error) {
    if (scram_error == ErrorCode::unsupported) return sqlstate::feature_not_supported;
    if (scram_error == ErrorCode::denied) return sqlstate::invalid_authorization;
    return sqlstate::protocol_violation;
}

bool are_equal(std::string_view a, std::string_view b) {
    // Digests, so that not even the length shows in the time taken.
    return equal_in_constant_time(sha256(as_bytes(a)), sha256(as_bytes(b)));
}

/// The text of a PasswordMessage; nullopt: not exactly one.
std::optional<std::string_view> read_password(Bytes body) {
    Reader reader(body);
    const std::string_view text = reader.text();
    if (reader.failed() || !reader.at_end()) return std::nullopt;
    return text;
}

}  // namespace

ClientProof::ClientProof(Terms terms) : terms_(std::move(terms)) {
    if (!terms_.secret) {
        doom_ = "no such role";
        return;
    }
    secret_ = std::move(*terms_.secret);
    terms_.secret.reset();
    if (secret_.valid_until && terms_.now_unix_seconds > *secret_.valid_until)
        doom_ = "the password has expired";
}

ClientProof::Step ClientProof::challenge(ByteBuffer& out) {
    switch (challenge_for(terms_.method, secret_)) {
        case Challenge::scram: return challenge_scram(out);
        case Challenge::md5: return challenge_md5(out);
        case Challenge::password:
            append_authentication(out, authentication::cleartext_password);
            awaiting_ = Awaiting::password;
            return Step::need_bytes;
    }
    std::abort();
}

uint32_t ClientProof::answer_bytes_max() const {
    switch (awaiting_) {
        case Awaiting::sasl_initial:
        case Awaiting::sasl_first:
        case Awaiting::sasl_final: return limits::postgres_sasl_message_bytes_max;
        case Awaiting::md5:
        case Awaiting::password:
        case Awaiting::nothing: return limits::postgres_auth_message_bytes_max;
    }
    std::abort();
}

ClientProof::Step ClientProof::on_answer(Bytes body, ByteBuffer& out) {
    switch (std::exchange(awaiting_, Awaiting::nothing)) {
        case Awaiting::sasl_initial: return on_sasl_initial(body, out);
        case Awaiting::sasl_first: return on_scram_first(as_text(body), out);
        case Awaiting::sasl_final: return on_scram_final(as_text(body), out);
        case Awaiting::md5: return on_md5(body);
        case Awaiting::password: return on_password(body);
        case Awaiting::nothing: break;
    }
    return fail(sqlstate::protocol_violation, "a password message that nobody asked for");
}

Credential ClientProof::take_credential() {
    return std::exchange(learned_, {});
}

// ---- SCRAM ---------------------------------------------------------------------------------------------

ByteBuffer ClientProof::mock_salt() const {
    const Sha256 digest = hmac_sha256(terms_.mock_key, as_bytes(terms_.user));
    return {digest.begin(), digest.begin() + scram_default_salt_bytes};
}

/// The stored verifier, or one made of the plain password, or one that no proof satisfies.
ScramVerifier ClientProof::scram_verifier() {
    if (!secret_.scram_verifier.empty()) {
        auto stored = parse_scram_verifier(secret_.scram_verifier.reveal());
        if (stored) return std::move(*stored);
        doom_ = stored.error().message;
    } else if (!secret_.password.empty()) {
        // The salt of an unknown user's mock challenge: by it, a configured user can't be told from one.
        const ByteBuffer salt = mock_salt();
        return make_scram_verifier(
            derive_scram_keys(secret_.password.reveal(), salt, scram_default_iterations), salt,
            scram_default_iterations);
    } else if (doom_.empty()) {
        doom_ = "no SCRAM verifier is stored";
    }
    ScramVerifier mock;
    mock.salt = mock_salt();
    return mock;
}

ClientProof::Step ClientProof::challenge_scram(ByteBuffer& out) {
    std::array<std::byte, scram_nonce_random_bytes> random;
    terms_.random(random.data(), random.size());
    scram_.emplace(scram_verifier(), scram_nonce(random), terms_.end_point);
    MessageWriter message(out, backend::authentication);
    message.u32(authentication::sasl);
    if (!terms_.end_point.empty()) message.text(scram_plus_mechanism);
    message.text(scram_mechanism).u8(0);
    awaiting_ = Awaiting::sasl_initial;
    return Step::need_bytes;
}

ClientProof::Step ClientProof::on_sasl_initial(Bytes body, ByteBuffer& out) {
    Reader reader(body);
    mechanism_ = reader.text();
    const uint32_t length = reader.u32();
    const bool says_more = length != no_initial_response;
    if (reader.failed() || reader.rest().size() != (says_more ? length : 0)) {
        return fail(sqlstate::protocol_violation, "malformed SASLInitialResponse");
    }
    if (says_more) return on_scram_first(as_text(reader.rest()), out);
    append_authentication(out, authentication::sasl_continue);
    awaiting_ = Awaiting::sasl_first;
    return Step::need_bytes;
}

ClientProof::Step ClientProof::on_scram_first(std::string_view message, ByteBuffer& out) {
    const auto answer = scram_->on_client_first(mechanism_, message);
    if (!answer) return fail(sqlstate_of(answer.error().code), answer.error().message);
    append_authentication(out, authentication::sasl_continue, as_bytes(*answer));
    awaiting_ = Awaiting::sasl_final;
    return Step::need_bytes;
}

ClientProof::Step ClientProof::on_scram_final(std::string_view message, ByteBuffer& out) {
    const auto verdict = scram_->on_client_final(message);
    if (!verdict) return fail(sqlstate_of(verdict.error().code), verdict.error().message);
    if (!verdict->is_proven) return refuse("wrong password");
    // Keys of a verifier that was made here fit no server's salt: there, only the password is worth
    // something.
    if (!secret_.scram_verifier.empty()) learned_.scram = verdict->keys;
    learned_.password = secret_.password;
    const Step step = on_right_password();
    if (step == Step::proven) {
        append_authentication(out, authentication::sasl_final, as_bytes(verdict->server_final));
    }
    return step;
}

// ---- MD5 and plain passwords ---------------------------------------------------------------------------

ClientProof::Step ClientProof::challenge_md5(ByteBuffer& out) {
    if (secret_.md5_hash.empty() && !secret_.password.empty()) {
        auto hash = md5_hash(secret_.password.reveal(), terms_.user);
        if (!hash) return fail(sqlstate::feature_not_supported, hash.error().message);
        secret_.md5_hash = std::move(*hash);
    }
    if (!is_md5_hash(secret_.md5_hash.reveal()) && doom_.empty()) doom_ = "no MD5 password is stored";
    terms_.random(md5_salt_.data(), md5_salt_.size());
    append_authentication(out, authentication::md5_password, md5_salt_);
    awaiting_ = Awaiting::md5;
    return Step::need_bytes;
}

ClientProof::Step ClientProof::on_md5(Bytes body) {
    const auto given = read_password(body);
    if (!given) return fail(sqlstate::protocol_violation, "invalid password packet size");
    const auto expected = md5_response(secret_.md5_hash.reveal(), md5_salt_);
    if (!expected) return refuse(expected.error().message);
    if (!are_equal(*given, expected->reveal())) return refuse("wrong password");
    learned_.md5_hash = secret_.md5_hash;
    learned_.password = secret_.password;
    return on_right_password();
}

ClientProof::Step ClientProof::on_password(Bytes body) {
    const auto given = read_password(body);
    if (!given) return fail(sqlstate::protocol_violation, "invalid password packet size");
    if (!is_right_password(*given)) return refuse("wrong password");
    learned_.password = Secret(std::string(*given));
    return on_right_password();
}

bool ClientProof::is_right_password(std::string_view given) {
    if (given.empty()) return false;  // no role has it, whatever is stored
    if (!secret_.password.empty()) return are_equal(given, secret_.password.reveal());
    if (!secret_.scram_verifier.empty() || secret_.md5_hash.empty()) {
        // An unknown user costs as much time as a known one.
        const ScramVerifier verifier = scram_verifier();
        const ScramKeys keys = derive_scram_keys(given, verifier.salt, verifier.iterations);
        if (!matches(verifier, keys)) return false;
        learned_.scram = keys;
        return true;
    }
    const auto hash = md5_hash(given, terms_.user);
    return hash && are_equal(hash->reveal(), secret_.md5_hash.reveal());
}

// ---- Endings -------------------------------------------------------------------------------------------

ClientProof::Step ClientProof::on_right_password() {
    if (!doom_.empty()) return refuse(doom_);
    if (!secret_.can_login) {
        const Step step =
            fail(sqlstate::invalid_authorization, "role \"" + terms_.user + "\" is not permitted to log in");
        failure_.is_password_failure = true;
        return step;
    }
    return Step::proven;
}

/// One answer for every way to be wrong: the client must not learn which; the log may.
ClientProof::Step ClientProof::refuse(std::string_view reason) {
    fail(sqlstate::invalid_password, "password authentication failed for user \"" + terms_.user + "\"");
    failure_.reason = doom_.empty() ? reason : doom_;
    failure_.is_password_failure = true;
    return Step::failed;
}

ClientProof::Step ClientProof::fail(std::string_view sqlstate, std::string message) {
    learned_ = {};
    failure_ = {sqlstate, std::move(message), {}, false};
    return Step::failed;
}

}  // namespace holdfast::postgres
