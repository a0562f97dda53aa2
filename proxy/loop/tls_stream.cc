#include "proxy/loop/tls_stream.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "proxy/loop/address.h"
#include "proxy/loop/self_signed.h"

namespace holdfast::loop {
namespace {

/// Two runs of up to one record together are encrypted as one.
constexpr size_t record_bytes_max = 16'384;
// The names of protocols, each with its length before it (RFC 7301).
constexpr std::array<unsigned char, 11> our_protocols{10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l'};
constexpr std::string_view our_protocol = "postgresql";

TlsCounts& counts() {
    static TlsCounts all;
    return all;
}

using Certificate = std::unique_ptr<X509, X509Free>;

std::string common_name(X509* certificate) {
    X509_NAME* name = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0) return "";
    unsigned char* utf8 = nullptr;
    const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (size < 0) return "";
    std::string text{reinterpret_cast<const char*>(utf8), static_cast<size_t>(size)};
    OPENSSL_free(utf8);
    // A NUL inside would make two readers see two names (CVE-2009-4034).
    return text.find('\0') == std::string::npos ? text : "";
}

}  // namespace

const TlsCounts& tls_counts() {
    return counts();
}

TlsStream::TlsStream(SSL_CTX* context, Side side, ByteBuffer* output)
    : side_(side), ssl_(context == nullptr ? nullptr : SSL_new(context)), output_(output) {
    if (!ssl_) return;
    BIO* bio = BIO_new(bio_method());
    if (bio == nullptr) std::abort();  // out of memory
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    if (side == Side::server) {
        SSL_set_accept_state(ssl_.get());
    } else {
        SSL_set_connect_state(ssl_.get());
    }
}

TlsStream::~TlsStream() = default;

std::unique_ptr<TlsStream> TlsStream::failed(std::string why) {
    std::unique_ptr<TlsStream> stream{new TlsStream(nullptr, Side::client, nullptr)};
    stream->failure_ = std::move(why);
    return stream;
}

Result<std::unique_ptr<TlsStream>> TlsStream::as_server(const engine::ServerTlsContext& context,
                                                        ByteBuffer& output) {
    std::unique_ptr<TlsStream> stream{new TlsStream(context.get(), Side::server, &output)};
    if (!stream->ssl_) return Error{ErrorCode::internal, "can't begin TLS: " + take_tls_errors()};
    return stream;
}

Result<std::unique_ptr<TlsStream>> TlsStream::as_client(ClientTlsContexts& contexts,
                                                        const config::ServerTls& settings,
                                                        const std::string& host, ByteBuffer& output) {
    const std::string& name = settings.server_name.empty() ? host : settings.server_name;
    if (settings.mode == config::ServerTlsMode::verify_full && name.empty()) {
        return Error{ErrorCode::bad_value, "verify-full has no host name to verify: set server_name"};
    }
    auto context = contexts.get(settings);
    if (!context) return context.error();
    std::unique_ptr<TlsStream> stream{new TlsStream((*context)->get(), Side::client, &output)};
    if (!stream->ssl_) return Error{ErrorCode::internal, "can't begin TLS: " + take_tls_errors()};
    SSL* ssl = stream->ssl_.get();
    stream->needs_protocol_ = settings.direct;
    SSL_set_verify(ssl, verifies_server(settings) ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    const bool numeric = is_numeric_host(name);
    bool set = SSL_set_alpn_protos(ssl, our_protocols.data(), our_protocols.size()) == 0;  // 0: it worked
    // Server name indication is for names only (RFC 6066).
    if (!name.empty() && !numeric) {
        // What SSL_set_tlsext_host_name stands for, without its cast.
        set = set && SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                              const_cast<char*>(name.c_str())) == 1;
    }
    if (settings.mode == config::ServerTlsMode::verify_full) {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        set = set && (numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1
                              : SSL_set1_host(ssl, name.c_str()) == 1);
    }
    if (!set) return Error{ErrorCode::bad_value, "can't begin TLS with " + name + ": " + take_tls_errors()};
    return stream;
}

/// The ends of OpenSSL's pipe: reads come from what arrived, writes go to the output.
const BIO_METHOD* TlsStream::bio_method() {
    static const BIO_METHOD* const method = [] {
        BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast");
        if (made == nullptr) std::abort();
        BIO_meth_set_read_ex(made, [](BIO* bio, char* out, size_t size, size_t* got) {
            auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
            BIO_clear_retry_flags(bio);
            *got = stream->take({reinterpret_cast<std::byte*>(out), size});
            if (*got > 0) return 1;
            BIO_set_retry_read(bio);
            return 0;
        });
        BIO_meth_set_write_ex(made, [](BIO* bio, const char* in, size_t size, size_t* taken) {
            auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
            append(*stream->output_, Bytes{reinterpret_cast<const std::byte*>(in), size});
            *taken = size;
            return 1;
        });
        BIO_meth_set_ctrl(
            made, [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH ? 1 : 0; });
        return made;
    }();
    return method;
}

size_t TlsStream::take(std::span<std::byte> space) {
    const bool from_kept = !kept_.empty();
    const Bytes source = from_kept ? kept_.bytes() : input_;
    const size_t size = std::min(source.size(), space.size());
    if (size == 0) return 0;
    std::memcpy(space.data(), source.data(), size);
    if (from_kept) {
        kept_.consume(size);
    } else {
        input_ = input_.subspan(size);
    }
    return size;
}

void TlsStream::keep_rest() {
    kept_.append(input_);
    input_ = {};
}

bool TlsStream::has_input() const {
    return !kept_.empty() || !input_.empty() || (ssl_ && established_ && SSL_has_pending(ssl_.get()) == 1);
}

TlsStream::Step TlsStream::shake_hands() {
    if (!ssl_) return Step::failed;
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) return finish_handshake();
    return after(result);
}

TlsStream::Step TlsStream::finish_handshake() {
    SSL* ssl = ssl_.get();
    const unsigned char* protocol = nullptr;
    unsigned int protocol_size = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &protocol_size);
    facts_.alpn.assign(reinterpret_cast<const char*>(protocol), protocol_size);
    if (needs_protocol_ && facts_.alpn != our_protocol) {
        return fail("the server did not agree to the protocol \"postgresql\" that direct TLS needs");
    }
    facts_.version = SSL_get_version(ssl);
    facts_.cipher = SSL_get_cipher_name(ssl);
    const Certificate peer{SSL_get1_peer_certificate(ssl)};
    if (side_ == Side::server) {
        if (const X509* own = SSL_get_certificate(ssl)) facts_.local_end_point = end_point_of(own);
        if (peer && SSL_get_verify_result(ssl) == X509_V_OK)
            facts_.peer_common_name = common_name(peer.get());
    } else if (peer) {
        facts_.peer_end_point = end_point_of(peer.get());
    }
    established_ = true;
    TlsCounts::Side& count = side_ == Side::server ? counts().with_clients : counts().with_servers;
    ++(SSL_version(ssl) >= TLS1_3_VERSION ? count.tls13 : count.tls12);
    return Step::done;
}

TlsStream::Step TlsStream::read(std::span<std::byte> space, size_t& got) {
    if (!ssl_) return Step::failed;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), space.data(), space.size(), &got);
    return result == 1 ? Step::done : after(result);
}

TlsStream::Step TlsStream::peek() {
    if (!ssl_) return Step::failed;
    ERR_clear_error();
    char one = 0;
    size_t got = 0;
    const int result = SSL_peek_ex(ssl_.get(), &one, 1, &got);
    return result == 1 ? Step::done : after(result);
}

TlsStream::Step TlsStream::after(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ: return Step::needs_input;
        case SSL_ERROR_ZERO_RETURN: return Step::closed;
        default: break;
    }
    std::string why = take_tls_errors();
    const long verified = SSL_get_verify_result(ssl_.get());
    if (side_ == Side::client && !established_ && verified != X509_V_OK &&
        (SSL_get_verify_mode(ssl_.get()) & SSL_VERIFY_PEER) != 0) {
        why += std::string(": ") + X509_verify_cert_error_string(verified);
    }
    return fail(std::move(why));
}

TlsStream::Step TlsStream::fail(std::string why) {
    failure_ = std::move(why);
    if (!established_) ++(side_ == Side::server ? counts().with_clients : counts().with_servers).failed;
    closed_ = true;
    return Step::failed;
}

void TlsStream::write(Bytes first, Bytes second) {
    if (!established_) {
        waiting_.append(first);
        waiting_.append(second);
        return;
    }
    if (!first.empty() && !second.empty() && first.size() + second.size() <= record_bytes_max) {
        std::array<std::byte, record_bytes_max> joined;
        std::memcpy(joined.data(), first.data(), first.size());
        std::memcpy(joined.data() + first.size(), second.data(), second.size());
        seal({joined.data(), first.size() + second.size()});
        return;
    }
    seal(first);
    seal(second);
}

void TlsStream::seal(Bytes bytes) {
    while (!bytes.empty() && !closed_) {
        size_t taken = 0;
        ERR_clear_error();
        // The output takes everything, so this fails only when the connection already has.
        if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &taken) != 1) {
            closed_ = true;
            return;
        }
        bytes = bytes.subspan(taken);
    }
}

void TlsStream::seal_waiting() {
    seal(waiting_.bytes());
    waiting_.clear();
}

void TlsStream::shut_down() {
    if (!established_ || closed_) return;
    closed_ = true;
    ERR_clear_error();
    (void)SSL_shutdown(ssl_.get());
}

}  // namespace holdfast::loop
