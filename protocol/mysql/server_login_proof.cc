// What a server asks for as a proof of who the user is: the exchange that each authentication plugin is.
#include <openssl/crypto.h>

#include "protocol/mysql/ed25519.h"
#include "protocol/mysql/server_login_state.h"

namespace holdfast::mysql {

using dialect::Step;

namespace {

constexpr std::string_view no_signature =
    "an ed25519 signature, which takes the plain password: let the client log in by TLS, or give the "
    "password in a [[user]] of the configuration";

constexpr uint8_t sha2_fast_ok = 3;
constexpr uint8_t sha2_full_login = 4;
constexpr uint8_t sha2_public_key_request = 2;
/// A server that goes on asking is not ours: a switch, a full login, a key.
constexpr int auth_rounds_max = 8;

}  // namespace

/// The answer to the salt; nullopt: what it takes is not known. An empty one: there is no password.
std::optional<ByteBuffer> ServerLogin::State::proof_for(std::string_view name) const {
    const bool is_native = name == plugin::native;
    if (!is_native && name != plugin::caching_sha2) return std::nullopt;
    if (credential.has_no_password) return ByteBuffer{};
    const auto to_buffer = [](Bytes bytes) { return ByteBuffer(bytes.begin(), bytes.end()); };
    if (is_native && credential.native_key.reveal().size() == sizeof(Sha1)) {
        return to_buffer(native_proof(as_bytes(credential.native_key.reveal()), greeting.salt));
    }
    if (!is_native && credential.sha2_key.reveal().size() == sizeof(Sha256)) {
        return to_buffer(sha2_proof(as_bytes(credential.sha2_key.reveal()), greeting.salt));
    }
    return std::nullopt;
}

Step ServerLogin::State::on_auth(Bytes payload, ByteBuffer& out) {
    if (++rounds > auth_rounds_max) return violated("the server goes on asking for proofs");
    const uint8_t type = std::to_integer<uint8_t>(payload[0]);
    if (type == reply::error) return on_error(payload);
    if (phase == Phase::awaiting_key) {
        if (type != reply::auth_more_data) return violated("something else than a public key");
        return on_public_key(payload.subspan(1), out);
    }
    switch (type) {
        case reply::ok: return on_authenticated(payload, out);
        case reply::eof: return on_switch(payload, out);
        case reply::auth_more_data: return on_more_data(payload.subspan(1), out);
        default: return violated("an unexpected packet during the login");
    }
}

Step ServerLogin::State::on_switch(Bytes payload, ByteBuffer& out) {
    if (payload.size() == 1) {
        return fail(Kind::credential, "the server asks for mysql_old_password, which is not supported");
    }
    PacketReader reader(payload.subspan(1));
    const std::string_view name = reader.text();
    Bytes salt = reader.take_rest();
    if (reader.failed()) return violated("the server's wish for another plugin is cut off");
    plugin = name;
    if (plugin == plugin::clear) {
        if (!is_secured) {
            return lack("the plain password over an unencrypted connection: enable TLS to this server");
        }
        if (credential.password.empty() && !credential.has_no_password) {
            return lack("the plain password, which is not known");
        }
        sequence = PacketWriter(out, sequence).text(credential.password.reveal()).finish();
        return Step::need_bytes;
    }
    if (plugin == plugin::ed25519) return sign(salt, out);
    if (plugin != plugin::native && plugin != plugin::caching_sha2) {
        return lack("\"" + plugin + "\", which is not supported");
    }
    if (salt.size() == salt_bytes + 1 && salt.back() == std::byte{0}) salt = salt.first(salt_bytes);
    if (salt.size() != salt_bytes) return violated("a salt of " + std::to_string(salt.size()) + " bytes");
    greeting.salt.assign(salt.begin(), salt.end());
    const auto proof = proof_for(plugin);
    if (!proof) {
        return lack("a proof by " + plugin + ", for which the client's own login taught nothing");
    }
    lacking.clear();
    PacketWriter writer(out, sequence);
    writer.bytes(*proof);
    // An empty password of caching_sha2_password is a single NUL.
    if (proof->empty() && plugin == plugin::caching_sha2) writer.u8(0);
    sequence = writer.finish();
    return Step::need_bytes;
}

/// The proof of an ed25519 account.
Step ServerLogin::State::sign(Bytes nonce, ByteBuffer& out) {
    if (nonce.size() != ed25519_nonce_bytes) {
        return violated("an ed25519 nonce of " + std::to_string(nonce.size()) + " bytes");
    }
    Ed25519Signature signature{};
    if (!credential.password.empty() || credential.has_no_password) {
        signature = sign_ed25519(credential.password.reveal(), nonce);
        lacking.clear();
    } else if (has_failed_ed25519) {
        return lack(no_signature);
    } else {
        // The account may be one of several plugins (IDENTIFIED VIA ed25519 OR …): the server asks for the
        // next one when the first has failed.
        has_failed_ed25519 = true;
        lacking = no_signature;
    }
    sequence = PacketWriter(out, sequence).bytes(signature).finish();
    return Step::need_bytes;
}

Step ServerLogin::State::on_more_data(Bytes data, ByteBuffer& out) {
    if (plugin != plugin::caching_sha2 || data.size() != 1) {
        return violated("unexpected data of the plugin \"" + plugin + "\"");
    }
    const auto kind = std::to_integer<uint8_t>(data[0]);
    if (kind == sha2_fast_ok) return Step::need_bytes;  // OK follows
    if (kind != sha2_full_login) return violated("unexpected data of caching_sha2_password");
    if (credential.password.empty()) {
        return lack(
            "the whole password (caching_sha2_password, not in the server's cache), which is not "
            "known: let the client log in by TLS");
    }
    PacketWriter writer(out, sequence);
    if (is_secured) {
        writer.text(credential.password.reveal());
    } else {
        writer.u8(sha2_public_key_request);
        phase = Phase::awaiting_key;
    }
    sequence = writer.finish();
    return Step::need_bytes;
}

Step ServerLogin::State::on_public_key(Bytes pem, ByteBuffer& out) {
    std::string plain(credential.password.reveal());
    plain.push_back('\0');
    const Secret mixed = xor_with_salt(plain, greeting.salt);
    OPENSSL_cleanse(plain.data(), plain.size());
    const auto encrypted = rsa_encrypt(as_text(pem), as_bytes(mixed.reveal()));
    if (!encrypted) return violated(encrypted.error().message);
    sequence = append_packet(out, sequence, *encrypted);
    phase = Phase::authenticating;
    return Step::need_bytes;
}

}  // namespace holdfast::mysql
