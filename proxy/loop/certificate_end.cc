#include "proxy/loop/certificate_end.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "protocol/mysql/greeting.h"
#include "protocol/mysql/packets.h"
#include "proxy/loop/address.h"
#include "proxy/loop/socket_options.h"
#include "proxy/loop/tls_context.h"

namespace holdfast::loop {
namespace {

using std::chrono::milliseconds;

/// A greeting has some hundred bytes.
constexpr size_t greeting_bytes_max = 4'096;

struct BioFree {
    void operator()(BIO* bio) const { BIO_free_all(bio); }
};
struct CertificateFree {
    void operator()(X509* certificate) const { X509_free(certificate); }
};
struct SslFree {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Certificate = std::unique_ptr<X509, CertificateFree>;

std::optional<int64_t> end_of(const X509* certificate) {
    std::tm end{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) return std::nullopt;
    return static_cast<int64_t>(::timegm(&end));
}

Error broke(const std::string& what) {
    return {ErrorCode::unreachable, what};
}

/// A blocking socket whose calls end after `limit`.
Result<Descriptor> connect_to(const config::Endpoint& address, milliseconds limit) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int wrong =
        ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
    if (wrong != 0) return broke(address.host + ": " + ::gai_strerror(wrong));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses{found, ::freeaddrinfo};
    int error = EHOSTUNREACH;
    for (const addrinfo* each = addresses.get(); each != nullptr; each = each->ai_next) {
        Descriptor socket = open_stream_socket(each->ai_family);
        if (!socket) continue;
        error = ::connect(socket.get(), each->ai_addr, each->ai_addrlen) == 0 ? 0 : errno;
        if (error == EINPROGRESS) {
            pollfd waiting{socket.get(), POLLOUT, 0};
            const bool is_ready = ::poll(&waiting, 1, static_cast<int>(limit.count())) == 1;
            error = is_ready ? take_socket_error(socket.get()) : ETIMEDOUT;
        }
        if (error != 0) continue;
        const timeval patience{limit.count() / 1'000, limit.count() % 1'000 * 1'000};
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) & ~O_NONBLOCK);
        return socket;
    }
    return broke(to_text(address) + ": " + error_text(error));
}

bool send_all(int descriptor, Bytes bytes) {
    return ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

bool receive_all(int descriptor, std::span<std::byte> out) {
    return ::recv(descriptor, out.data(), out.size(), MSG_WAITALL) == static_cast<ssize_t>(out.size());
}

/// Asks for TLS as PostgreSQL's clients do. false: the server has none.
/// spec    PostgreSQL documentation, "Message Formats", SSLRequest
Result<bool> ask_postgres(int descriptor) {
    constexpr std::array<unsigned char, 8> request{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    std::array<std::byte, 1> answer{};
    if (!send_all(descriptor, std::as_bytes(std::span(request))) || !receive_all(descriptor, answer)) {
        return broke("it does not answer");
    }
    const char letter = std::to_integer<char>(answer[0]);
    if (letter != 'S' && letter != 'N') return Error{ErrorCode::bad_value, "it does not speak PostgreSQL"};
    return letter == 'S';
}

/// The same as MySQL's clients do.
/// spec    MySQL Internals, "Protocol::SSLRequest"
Result<bool> ask_mysql(int descriptor) {
    std::array<std::byte, 4> head{};
    if (!receive_all(descriptor, head)) return broke("it does not greet");
    const size_t size = std::to_integer<size_t>(head[0]) | std::to_integer<size_t>(head[1]) << 8 |
                        std::to_integer<size_t>(head[2]) << 16;
    if (size == 0 || size > greeting_bytes_max) return Error{ErrorCode::bad_value, "it does not speak MySQL"};
    ByteBuffer payload(size);
    if (!receive_all(descriptor, payload)) return broke("its greeting breaks off");
    if (payload[0] == std::byte{0xff}) return broke("it refuses the connection");
    const auto greeting = mysql::parse_greeting(payload);
    if (!greeting) return greeting.error();
    namespace capability = mysql::capability;
    if ((greeting->capabilities & capability::ssl) == 0) return false;
    const uint64_t flags =
        capability::protocol_41 | capability::ssl | capability::secure_connection | capability::plugin_auth;
    std::array<std::byte, 36> request{};  // a head, capabilities, the largest packet, a collation, zeros
    request[0] = std::byte{32};
    request[3] = std::byte{1};  // the second packet
    for (size_t i = 0; i < 4; ++i) request[4 + i] = static_cast<std::byte>(flags >> (8 * i));
    request[11] = std::byte{1};   // 16 MiB
    request[12] = std::byte{45};  // utf8mb4
    if (!send_all(descriptor, request)) return broke("it does not answer");
    return true;
}

Result<std::optional<int64_t>> shake_hands(int descriptor, const config::Endpoint& address,
                                           const config::ServerTls& tls) {
    const SslContext context{SSL_CTX_new(TLS_client_method())};
    const std::unique_ptr<SSL, SslFree> ssl{context ? SSL_new(context.get()) : nullptr};
    if (!ssl || SSL_set_fd(ssl.get(), descriptor) != 1) {
        return Error{ErrorCode::internal, "can't set TLS up: " + take_tls_errors()};
    }
    // Only looked at: whether it is to be trusted, the login tells.
    SSL_set_verify(ssl.get(), SSL_VERIFY_NONE, nullptr);
    const std::string& name = tls.server_name.empty() ? address.host : tls.server_name;
    if (!is_numeric_host(name)) {
        // What SSL_set_tlsext_host_name() is, without its old-style cast.
        std::string sni = name;
        SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, sni.data());
    }
    if (tls.direct) {
        constexpr std::string_view protocol = "\x0apostgresql";
        SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocol.data()),
                            static_cast<unsigned>(protocol.size()));
    }
    const bool is_done = SSL_connect(ssl.get()) == 1;
    // A server that wants a certificate of ours shows its own before it gives up.
    const Certificate certificate{SSL_get1_peer_certificate(ssl.get())};
    if (!certificate) return broke("no TLS: " + (is_done ? "it shows no certificate" : take_tls_errors()));
    ERR_clear_error();
    const auto end = end_of(certificate.get());
    if (!end) return Error{ErrorCode::bad_value, "its certificate has no end that can be read"};
    return std::optional<int64_t>{*end};
}

}  // namespace

Result<int64_t> certificate_end_of_file(const std::string& pem_file) {
    const std::unique_ptr<BIO, BioFree> file{BIO_new_file(pem_file.c_str(), "r")};
    if (!file) {
        ERR_clear_error();
        return Error{ErrorCode::not_found, "can't open " + pem_file};
    }
    std::optional<int64_t> first;
    while (const Certificate certificate{PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr)}) {
        const auto end = end_of(certificate.get());
        if (end) first = std::min(first.value_or(*end), *end);
    }
    ERR_clear_error();  // the end of the file is an error to it
    if (!first) return Error{ErrorCode::bad_value, "there is no certificate in " + pem_file};
    return *first;
}

Result<std::optional<int64_t>> certificate_end_of_server(const config::Endpoint& address,
                                                         config::Protocol protocol,
                                                         const config::ServerTls& tls, milliseconds limit) {
    if (address.is_unix()) return std::optional<int64_t>{};
    auto socket = connect_to(address, limit);
    if (!socket) return socket.error();
    if (!tls.direct) {
        const auto has_tls =
            protocol == config::Protocol::postgres ? ask_postgres(socket->get()) : ask_mysql(socket->get());
        if (!has_tls) return has_tls.error();
        if (!*has_tls) return std::optional<int64_t>{};
    }
    return shake_hands(socket->get(), address, tls);
}

}  // namespace holdfast::loop
