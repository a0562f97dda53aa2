#include "proxy/loop/tls_context.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <string_view>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "proxy/loop/address.h"
#include "proxy/loop/self_signed.h"

namespace holdfast::loop {
namespace {

/// Versions, and what both sides leave out.
bool set_common(SSL_CTX* context) {
    // Renegotiation is a way to make us work, and no client asks for it. Many peers close the socket without
    // a TLS goodbye: the protocols above have their own.
    SSL_CTX_set_options(context,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    // An idle connection gives its record buffers back.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, "HIGH:!aNULL:!MD5:!kRSA:!PSK:!SRP") == 1;
}

/// A client that negotiates an application protocol must mean ours, or it may be tricked into talking to us
/// (RFC 7301; the ALPACA attacks).
int select_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void*) {
    constexpr std::string_view ours = "postgresql";
    for (unsigned int at = 0; at < in_size;) {
        const unsigned int size = in[at];
        if (size > in_size - at - 1) break;
        if (std::string_view{reinterpret_cast<const char*>(in + at + 1), size} == ours) {
            *out = in + at + 1;
            *out_size = static_cast<unsigned char>(size);
            return SSL_TLSEXT_ERR_OK;
        }
        at += size + 1;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/// Made once: all listeners show the same certificate, over reloads too.
const Result<CertificateAndKey>& process_certificate() {
    static const Result<CertificateAndKey> made = make_self_signed();
    return made;
}

Status use_self_signed(SSL_CTX* context) {
    const auto& own = process_certificate();
    if (!own) return own.error();
    if (SSL_CTX_use_certificate(context, own->certificate.get()) != 1 ||
        SSL_CTX_use_PrivateKey(context, own->key.get()) != 1) {
        return Error{ErrorCode::internal, "can't use the self-signed certificate: " + take_tls_errors()};
    }
    return {};
}

Status use_files(SSL_CTX* context, const config::ClientTls& settings) {
    const std::string& key_file = settings.key_file.empty() ? settings.cert_file : settings.key_file;
    if (settings.cert_file.empty()) {
        return Error{ErrorCode::bad_value, "tls: the key " + key_file + " has no certificate beside it"};
    }
    // Without this OpenSSL would ask for a passphrase on the terminal.
    SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return 0; });
    if (SSL_CTX_use_certificate_chain_file(context, settings.cert_file.c_str()) != 1) {
        return Error{ErrorCode::bad_value,
                     "can't use the certificate " + settings.cert_file + ": " + take_tls_errors()};
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return Error{ErrorCode::bad_value, "can't use the key " + key_file + " with the certificate " +
                                               settings.cert_file + ": " + take_tls_errors()};
    }
    return {};
}

Status ask_for_certificates(SSL_CTX* context, const std::string& ca_file) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(ca_file.c_str());
    if (names == nullptr || SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return Error{ErrorCode::bad_value,
                     "can't use the client authorities " + ca_file + ": " + take_tls_errors()};
    }
    SSL_CTX_set_client_CA_list(context, names);
    // Asked for, not demanded: whether a client needs one is decided where it logs in.
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    return {};
}

/// Changes when the file is replaced or rewritten.
std::string stamp_of(const std::string& file) {
    struct stat found {};
    if (file.empty() || ::stat(file.c_str(), &found) != 0) return "";
    return std::to_string(found.st_ino) + "/" + std::to_string(found.st_size) + "/" +
           std::to_string(found.st_mtim.tv_sec) + "." + std::to_string(found.st_mtim.tv_nsec);
}

Result<std::shared_ptr<const engine::ClientTlsContext>> make_client_tls(const config::ServerTls& settings) {
    SslContext context{SSL_CTX_new(TLS_client_method())};
    if (!context || !set_common(context.get())) {
        return Error{ErrorCode::internal, "can't set TLS up: " + take_tls_errors()};
    }
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    if (verifies_server(settings)) {
        const bool loaded = settings.ca_file.empty()
                                ? SSL_CTX_set_default_verify_paths(context.get()) == 1
                                : SSL_CTX_load_verify_file(context.get(), settings.ca_file.c_str()) == 1;
        if (!loaded) {
            const std::string which = settings.ca_file.empty() ? "of the system" : settings.ca_file;
            return Error{ErrorCode::bad_value,
                         "can't use the certificate authorities " + which + ": " + take_tls_errors()};
        }
    }
    return std::make_shared<const engine::ClientTlsContext>(std::move(context));
}

}  // namespace

Result<std::shared_ptr<const engine::ServerTlsContext>> make_server_tls(const config::ClientTls& settings) {
    if (settings.mode == config::ClientTlsMode::disable)
        return std::shared_ptr<const engine::ServerTlsContext>{};
    SslContext context{SSL_CTX_new(TLS_server_method())};
    if (!context || !set_common(context.get())) {
        return Error{ErrorCode::internal, "can't set TLS up: " + take_tls_errors()};
    }
    const bool self_signed = settings.cert_file.empty() && settings.key_file.empty();
    if (auto used = self_signed ? use_self_signed(context.get()) : use_files(context.get(), settings);
        !used) {
        return used.error();
    }
    if (!settings.client_ca_file.empty()) {
        if (auto asks = ask_for_certificates(context.get(), settings.client_ca_file); !asks) {
            return asks.error();
        }
    }
    // Sessions resume by ticket only: no table of ours grows with clients. One ticket a handshake is enough.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
    constexpr std::string_view id = "holdfast";
    SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(id.data()),
                                   static_cast<unsigned int>(id.size()));
    SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_alpn_select_cb(context.get(), select_protocol, nullptr);
    return std::make_shared<const engine::ServerTlsContext>(std::move(context));
}

std::optional<int64_t> certificate_end(const engine::ServerTlsContext& context) {
    const X509* certificate = SSL_CTX_get0_certificate(context.get());
    std::tm end{};
    if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) return {};
    return static_cast<int64_t>(::timegm(&end));
}

bool verifies_server(const config::ServerTls& settings) {
    switch (settings.mode) {
        case config::ServerTlsMode::disable:
        case config::ServerTlsMode::allow:
        case config::ServerTlsMode::prefer: return false;
        case config::ServerTlsMode::require: return !settings.ca_file.empty();
        case config::ServerTlsMode::verify_ca:
        case config::ServerTlsMode::verify_full: return true;
    }
    std::abort();
}

Result<std::shared_ptr<const engine::ClientTlsContext>> ClientTlsContexts::get(
    const config::ServerTls& settings) {
    const bool verifies = verifies_server(settings);
    const std::string key = !verifies ? "" : settings.ca_file.empty() ? "system" : "file:" + settings.ca_file;
    const std::string stamp = verifies ? stamp_of(settings.ca_file) : "";
    if (const auto found = entries_.find(key); found != entries_.end() && found->second.stamp == stamp) {
        return found->second.context;
    }
    auto made = make_client_tls(settings);
    if (made) entries_[key] = Entry{stamp, *made};
    return made;
}

std::string take_tls_errors() {
    std::string text;
    while (const unsigned long code = ERR_get_error()) {
        const char* reason = ERR_reason_error_string(code);
        if (!text.empty()) text += ", ";
        if (ERR_SYSTEM_ERROR(code)) {
            text += error_text(ERR_GET_REASON(code));
        } else if (reason != nullptr) {
            text += reason;
        } else {
            text += "error " + std::to_string(code);
        }
    }
    return text.empty() ? "no reason given" : text;
}

ByteBuffer end_point_of(const X509* certificate) {
    int digest = NID_undef;
    if (X509_get_signature_info(const_cast<X509*>(certificate), &digest, nullptr, nullptr, nullptr) != 1)
        return {};
    // RFC 5929 raises the two weak ones to SHA-256.
    const EVP_MD* method =
        digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
    if (method == nullptr) return {};
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned int size = 0;
    if (X509_digest(certificate, method, hash.data(), &size) != 1) return {};
    ByteBuffer bytes(size);
    std::memcpy(bytes.data(), hash.data(), size);
    return bytes;
}

}  // namespace holdfast::loop
