#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <openssl/ssl.h>

#include "config/settings.h"
#include "protocol/base/result.h"
#include "proxy/engine/world.h"

namespace holdfast::loop {

struct SslContextFree {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, SslContextFree>;

}  // namespace holdfast::loop

namespace holdfast::engine {

/// TLS towards clients: certificate, key, and whom to ask for a certificate. Immutable; listeners share it.
class ServerTlsContext {
public:
    explicit ServerTlsContext(loop::SslContext context) : context_(std::move(context)) {}
    SSL_CTX* get() const { return context_.get(); }

private:
    loop::SslContext context_;
};

/// TLS towards servers: the authorities that are trusted.
class ClientTlsContext {
public:
    explicit ClientTlsContext(loop::SslContext context) : context_(std::move(context)) {}
    SSL_CTX* get() const { return context_.get(); }

private:
    loop::SslContext context_;
};

}  // namespace holdfast::engine

namespace holdfast::loop {

/// Makes the TLS context of a listener: reads the files anew each time, so that a reload takes new ones.
/// Without files it has the process's self-signed certificate. With mode "disable" the pointer is null.
/// errors  bad_value: a file that can't be read, is no certificate or key, or a pair that does not match;
///         names the files
Result<std::shared_ptr<const engine::ServerTlsContext>> make_server_tls(const config::ClientTls& settings);

/// When the certificate that clients are shown ends, in seconds since 1970; nullopt: it does not say.
std::optional<int64_t> certificate_end(const engine::ServerTlsContext& context);

/// Whether servers must prove who they are: verify-ca and verify-full, and as with libpq also require when
/// an authority is configured.
bool verifies_server(const config::ServerTls& settings);

/// The contexts for connections to servers, made when first needed and kept by settings. A file of
/// authorities that was replaced is read again.
class ClientTlsContexts {
public:
    /// errors  bad_value: the file of authorities can't be used; names it
    Result<std::shared_ptr<const engine::ClientTlsContext>> get(const config::ServerTls& settings);

private:
    struct Entry {
        std::string stamp;
        std::shared_ptr<const engine::ClientTlsContext> context;
    };
    std::map<std::string, Entry> entries_;
};

/// What OpenSSL's error queue says, oldest first, in one line; empties the queue.
std::string take_tls_errors();

/// The tls-server-end-point channel binding of a certificate; empty where none is defined for its signature.
/// spec    RFC 5929, "The 'tls-server-end-point' Channel Binding Type"
ByteBuffer end_point_of(const X509* certificate);

}  // namespace holdfast::loop
