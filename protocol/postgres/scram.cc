#include "protocol/postgres/scram.h"

#include <algorithm>
#include <utility>

#include <openssl/crypto.h>

#include "protocol/base/limits.h"
#include "protocol/base/numbers.h"

namespace holdfast::postgres {

namespace {

constexpr std::string_view end_point_binding = "p=tls-server-end-point";

/// Reads `a=value` attributes, separated by commas, from front to back.
class Attributes {
public:
    explicit Attributes(std::string_view text) : rest_(text) {}

    bool at_end() const { return at_end_; }
    std::string_view rest() const { return rest_; }

    /// The text up to the next comma, which is consumed.
    std::string_view next_field() {
        const size_t comma = rest_.find(',');
        const std::string_view field = rest_.substr(0, comma);
        at_end_ = comma == std::string_view::npos;
        rest_ = at_end_ ? std::string_view{} : rest_.substr(comma + 1);
        return field;
    }
    /// The value of the next attribute; nullopt: it is not `name`.
    std::optional<std::string_view> next(char name) {
        if (at_end_) return std::nullopt;
        const std::string_view field = next_field();
        if (field.size() < 2 || field[0] != name || field[1] != '=') return std::nullopt;
        return field.substr(2);
    }
    /// Whether what is left is nothing, or attributes of optional extensions.
    bool rest_is_extensions() {
        while (!at_end_) {
            const std::string_view field = next_field();
            const bool is_named =
                field.size() >= 2 && field[1] == '=' &&
                ((field[0] >= 'a' && field[0] <= 'z') || (field[0] >= 'A' && field[0] <= 'Z'));
            if (!is_named) return false;
        }
        return true;
    }

private:
    std::string_view rest_;
    bool at_end_ = false;
};

/// RFC 5802's "printable": a nonce that can stand in a message.
bool is_nonce(std::string_view text) {
    return !text.empty() && text.size() <= limits::scram_nonce_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

std::optional<uint32_t> parse_iterations(std::string_view text) {
    const auto value = parse_number<uint32_t>(text);
    return value == 0 ? std::nullopt : value;
}

std::optional<Sha256> parse_key(std::string_view base64) {
    const auto data = base64_decode(base64);
    Sha256 key;
    if (!data || data->size() != key.size()) return std::nullopt;
    std::copy(data->begin(), data->end(), key.begin());
    return key;
}

Sha256 exclusive_or(const Sha256& a, const Sha256& b) {
    Sha256 result;
    for (size_t i = 0; i < result.size(); ++i) result[i] = a[i] ^ b[i];
    return result;
}

/// The value of `c=`: the GS2 header and, when the channel is bound, what it is bound to.
std::string channel_binding(std::string_view gs2_header, Bytes data) {
    ByteBuffer input;
    append(input, gs2_header);
    append(input, data);
    return base64_encode(input);
}

std::string auth_message(std::string_view client_first_bare, std::string_view server_first,
                         std::string_view client_final_without_proof) {
    std::string message(client_first_bare);
    message += ',';
    message += server_first;
    message += ',';
    message += client_final_without_proof;
    return message;
}

/// A user name as SCRAM writes it: "=" and "," have escapes.
std::string escape_user(std::string_view user) {
    std::string escaped;
    for (const char c : user) {
        if (c == '=') {
            escaped += "=3D";
        } else if (c == ',') {
            escaped += "=2C";
        } else {
            escaped += c;
        }
    }
    return escaped;
}

Error malformed(std::string what) {
    return {ErrorCode::bad_value, "malformed SCRAM message: " + std::move(what)};
}

}  // namespace

ScramKeys derive_scram_keys(std::string_view password, Bytes salt, uint32_t iterations) {
    Sha256 salted = pbkdf2_sha256(password, salt, iterations);
    ScramKeys keys{hmac_sha256(salted, as_bytes("Client Key")), hmac_sha256(salted, as_bytes("Server Key"))};
    OPENSSL_cleanse(salted.data(), salted.size());
    return keys;
}

Result<ScramVerifier> parse_scram_verifier(std::string_view text) {
    // The error never quotes the text: it is as good as a password for guessing at leisure.
    const Error bad{ErrorCode::bad_value, "not a SCRAM-SHA-256 verifier"};
    std::string_view rest = text;
    const auto up_to = [&rest](char separator) {
        const size_t at = rest.find(separator);
        const std::string_view part = rest.substr(0, at);
        rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
        return part;
    };
    if (up_to('$') != scram_mechanism) return bad;
    const auto iterations = parse_iterations(up_to(':'));
    const auto salt = base64_decode(up_to('$'));
    const auto stored_key = parse_key(up_to(':'));
    const auto server_key = parse_key(rest);
    if (!iterations || !salt || salt->empty() || !stored_key || !server_key) return bad;
    if (*iterations > limits::scram_iterations_max || salt->size() > limits::scram_salt_bytes_max) {
        return Error{ErrorCode::limit_exceeded,
                     "a SCRAM-SHA-256 verifier's salt or iteration count is too large"};
    }
    return ScramVerifier{*iterations, *salt, *stored_key, *server_key};
}

std::string format_scram_verifier(const ScramVerifier& verifier) {
    std::string text(scram_mechanism);
    text += '$';
    text += std::to_string(verifier.iterations);
    text += ':';
    text += base64_encode(verifier.salt);
    text += '$';
    text += base64_encode(verifier.stored_key);
    text += ':';
    text += base64_encode(verifier.server_key);
    return text;
}

ScramVerifier make_scram_verifier(const ScramKeys& keys, Bytes salt, uint32_t iterations) {
    return {iterations, ByteBuffer(salt.begin(), salt.end()), sha256(keys.client_key), keys.server_key};
}

bool matches(const ScramVerifier& verifier, const ScramKeys& keys) {
    const bool is_client = equal_in_constant_time(verifier.stored_key, sha256(keys.client_key));
    const bool is_server = equal_in_constant_time(verifier.server_key, keys.server_key);
    return is_client && is_server;
}

// ---- Server --------------------------------------------------------------------------------------------

ScramServer::ScramServer(ScramVerifier verifier, std::string nonce, Bytes end_point)
    : verifier_(std::move(verifier)),
      nonce_(std::move(nonce)),
      end_point_(end_point.begin(), end_point.end()) {}

Result<std::string> ScramServer::on_client_first(std::string_view mechanism, std::string_view message) {
    is_bound_ = mechanism == scram_plus_mechanism;
    const bool plus_was_offered = !end_point_.empty();
    if (is_bound_ ? !plus_was_offered : mechanism != scram_mechanism) {
        return Error{ErrorCode::bad_value, "client selected an invalid SASL authentication mechanism"};
    }

    Attributes attributes(message);
    const std::string_view binding = attributes.next_field();
    if (binding.starts_with("p=")) {
        if (!is_bound_) return malformed("it has channel binding data, and the mechanism has none");
        if (binding != end_point_binding) {
            return Error{ErrorCode::unsupported, "unsupported SCRAM channel-binding type"};
        }
    } else if (binding == "n" || binding == "y") {
        if (is_bound_) return malformed("the mechanism needs channel binding data, and there is none");
        if (binding == "y" && plus_was_offered) {
            return Error{ErrorCode::denied, "SCRAM channel binding negotiation error"};
        }
    } else {
        return malformed("unexpected channel-binding flag");
    }

    if (attributes.at_end()) return malformed("it ends after the channel-binding flag");
    const std::string_view authorization_identity = attributes.next_field();
    if (authorization_identity.starts_with("a=")) {
        return Error{ErrorCode::unsupported, "client uses authorization identity, but it is not supported"};
    }
    if (!authorization_identity.empty() || attributes.at_end()) return malformed("no user name");
    gs2_header_ = message.substr(0, message.size() - attributes.rest().size());
    client_first_bare_ = attributes.rest();
    if (client_first_bare_.starts_with("m=")) {
        return Error{ErrorCode::unsupported, "client requires an unsupported SCRAM extension"};
    }

    // The user is the startup message's, whatever stands here: what PostgreSQL does.
    if (!attributes.next('n')) return malformed("no user name");
    const auto client_nonce = attributes.next('r');
    if (!client_nonce || !is_nonce(*client_nonce)) return malformed("no usable nonce");
    if (!attributes.rest_is_extensions()) return malformed("unexpected text after the nonce");

    nonce_.insert(0, *client_nonce);
    server_first_ =
        "r=" + nonce_ + ",s=" + base64_encode(verifier_.salt) + ",i=" + std::to_string(verifier_.iterations);
    return server_first_;
}

Result<ScramServer::Verdict> ScramServer::on_client_final(std::string_view message) const {
    // The proof is the last attribute; the signature covers everything before it.
    const size_t proof_at = message.rfind(",p=");
    if (proof_at == std::string_view::npos) return malformed("no proof");
    const std::string_view without_proof = message.substr(0, proof_at);
    const auto proof = parse_key(message.substr(proof_at + 3));
    if (!proof) return malformed("the proof is not 32 bytes in base64");

    Attributes attributes(without_proof);
    const auto binding = attributes.next('c');
    if (!binding) return malformed("no channel binding");
    const auto nonce = attributes.next('r');
    if (!nonce || *nonce != nonce_) return malformed("the nonce is not the one of this exchange");
    if (!attributes.rest_is_extensions()) return malformed("unexpected text before the proof");
    const std::string expected_binding =
        channel_binding(gs2_header_, is_bound_ ? Bytes(end_point_) : Bytes{});
    if (!equal_in_constant_time(as_bytes(*binding), as_bytes(expected_binding))) {
        return Error{ErrorCode::denied, "SCRAM channel binding check failed"};
    }

    const std::string signed_text = auth_message(client_first_bare_, server_first_, without_proof);
    const Sha256 client_signature = hmac_sha256(verifier_.stored_key, as_bytes(signed_text));
    const Sha256 client_key = exclusive_or(*proof, client_signature);
    Verdict verdict;
    if (!equal_in_constant_time(sha256(client_key), verifier_.stored_key)) return verdict;
    verdict.is_proven = true;
    verdict.server_final = "v=" + base64_encode(hmac_sha256(verifier_.server_key, as_bytes(signed_text)));
    verdict.keys = {client_key, verifier_.server_key};
    return verdict;
}

// ---- Client --------------------------------------------------------------------------------------------

ScramClient::ScramClient(std::string nonce, ScramBinding binding, Bytes end_point, std::string_view user)
    : nonce_(std::move(nonce)) {
    switch (binding) {
        case ScramBinding::unsupported: gs2_header_ = "n,,"; break;
        case ScramBinding::not_offered: gs2_header_ = "y,,"; break;
        case ScramBinding::end_point:
            gs2_header_ = std::string(end_point_binding) + ",,";
            binding_data_.assign(end_point.begin(), end_point.end());
            break;
    }
    client_first_bare_ = "n=" + escape_user(user) + ",r=" + nonce_;
}

std::string ScramClient::client_first() const {
    return gs2_header_ + client_first_bare_;
}

Status ScramClient::on_server_first(std::string_view message) {
    if (message.starts_with("m=")) {
        return Error{ErrorCode::unsupported, "the server requires a SCRAM extension that nobody knows"};
    }
    Attributes attributes(message);
    const auto nonce = attributes.next('r');
    if (!nonce) return malformed("no nonce");
    if (nonce->size() > limits::scram_nonce_bytes_max) {
        return Error{ErrorCode::limit_exceeded, "the server's SCRAM nonce is too long"};
    }
    if (!is_nonce(*nonce) || !nonce->starts_with(nonce_) || nonce->size() == nonce_.size()) {
        return malformed("the server's nonce does not extend ours");
    }
    const auto salt_text = attributes.next('s');
    if (!salt_text) return malformed("no salt");
    if (salt_text->size() > limits::scram_salt_bytes_max / 3 * 4 + 4) {
        return Error{ErrorCode::limit_exceeded, "the server's SCRAM salt is too long"};
    }
    auto salt = base64_decode(*salt_text);
    if (!salt || salt->empty()) return malformed("the salt is not base64");
    const auto iterations_text = attributes.next('i');
    const auto iterations = iterations_text ? parse_iterations(*iterations_text) : std::nullopt;
    if (!iterations) return malformed("no iteration count");
    if (*iterations > limits::scram_iterations_max) {
        return Error{ErrorCode::limit_exceeded, "the server asks for " + std::to_string(*iterations) +
                                                    " SCRAM iterations, more than " +
                                                    std::to_string(limits::scram_iterations_max)};
    }
    if (!attributes.rest_is_extensions()) return malformed("unexpected text after the iteration count");

    nonce_ = *nonce;
    salt_ = std::move(*salt);
    iterations_ = *iterations;
    server_first_ = message;
    return {};
}

std::string ScramClient::client_final(const ScramKeys& keys) {
    std::string message = "c=" + channel_binding(gs2_header_, binding_data_) + ",r=" + nonce_;
    const std::string signed_text = auth_message(client_first_bare_, server_first_, message);
    const Sha256 client_signature = hmac_sha256(sha256(keys.client_key), as_bytes(signed_text));
    server_signature_ = hmac_sha256(keys.server_key, as_bytes(signed_text));
    message += ",p=";
    message += base64_encode(exclusive_or(keys.client_key, client_signature));
    return message;
}

Status ScramClient::on_server_final(std::string_view message) const {
    if (message.starts_with("e=")) {
        return Error{ErrorCode::refused,
                     "the server refused the SCRAM proof: " + std::string(message.substr(2, 100))};
    }
    Attributes attributes(message);
    const auto signature_text = attributes.next('v');
    const auto signature = signature_text ? parse_key(*signature_text) : std::nullopt;
    if (!signature || !attributes.rest_is_extensions()) return malformed("no server signature");
    if (!equal_in_constant_time(*signature, server_signature_)) {
        return Error{ErrorCode::denied,
                     "the server's SCRAM signature is wrong: it does not know this user's password"};
    }
    return {};
}

}  // namespace holdfast::postgres
