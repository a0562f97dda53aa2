#pragma once

#include <memory>
#include <span>
#include <string>

#include <openssl/ssl.h>

#include "protocol/base/result.h"
#include "proxy/engine/world.h"
#include "proxy/loop/byte_queue.h"
#include "proxy/loop/tls_context.h"

namespace holdfast::loop {

/// What became of TLS handshakes, the process's all together. For the event loop's thread.
struct TlsCounts {
    struct Side {
        uint64_t tls12 = 0;
        uint64_t tls13 = 0;
        uint64_t failed = 0;  // a peer that just goes is not among them
    };
    Side with_clients;
    Side with_servers;
};
const TlsCounts& tls_counts();

/// One side of a TLS connection, without a socket: encrypted bytes go in, what is to be sent is added to the
/// `output` that it was made with (the caller sends and empties it after each call). So one recv takes many
/// records, one send carries many, and SSL_write never has to be repeated.
class TlsStream {
public:
    enum class Step {
        done,
        needs_input,
        closed,  // the peer said goodbye
        failed,  // failure() says why; a record that tells the peer may be in the output
    };

    /// `output` outlives the stream.
    static Result<std::unique_ptr<TlsStream>> as_server(const engine::ServerTlsContext& context,
                                                        ByteBuffer& output);
    /// `host`: for SNI and verification unless the settings name another.
    /// errors  bad_value: the authorities can't be used, or verify-full has no name to verify
    static Result<std::unique_ptr<TlsStream>> as_client(ClientTlsContexts& contexts,
                                                        const config::ServerTls& settings,
                                                        const std::string& host, ByteBuffer& output);
    /// One that could not be made; its handshake says so.
    static std::unique_ptr<TlsStream> failed(std::string why);
    ~TlsStream();
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    /// Encrypted bytes that arrived; they must stay valid until keep_rest().
    void take_input(Bytes bytes) { input_ = bytes; }
    /// Copies what was not used of the input.
    void keep_rest();
    /// The same for bytes that nothing is done with yet.
    void keep(Bytes bytes) { kept_.append(bytes); }
    /// Whether something is there to read without more from the socket.
    bool has_input() const;

    Step shake_hands();
    bool is_established() const { return established_; }
    const engine::TlsFacts& facts() const { return facts_; }
    const std::string& failure() const { return failure_; }

    /// Decrypts up to space.size() > 0 bytes; done: `got` of them are there.
    Step read(std::span<std::byte> space, size_t& got);
    /// Like read(), without taking anything.
    Step peek();
    /// Encrypts. Before the handshake is done the bytes wait for it.
    void write(Bytes first, Bytes second);
    size_t waiting_to_be_sealed() const { return waiting_.size(); }
    /// Encrypts what waited for the handshake.
    void seal_waiting();
    /// Says goodbye to the peer.
    void shut_down();

private:
    struct SslFree {
        void operator()(SSL* ssl) const { SSL_free(ssl); }
    };
    enum class Side { server, client };

    TlsStream(SSL_CTX* context, Side side, ByteBuffer* output);
    static const BIO_METHOD* bio_method();
    size_t take(std::span<std::byte> space);
    void seal(Bytes bytes);
    Step after(int result);
    Step fail(std::string why);
    Step finish_handshake();

    Side side_;
    bool established_ = false;
    bool needs_protocol_ = false;  // direct TLS: both sides must have agreed on the application protocol
    bool closed_ = false;          // goodbye said, or no more to be said
    std::unique_ptr<SSL, SslFree> ssl_;
    ByteBuffer* output_;
    Bytes input_;
    ByteQueue kept_;     // comes before input_
    ByteQueue waiting_;  // plain
    engine::TlsFacts facts_;
    std::string failure_;
};

}  // namespace holdfast::loop
