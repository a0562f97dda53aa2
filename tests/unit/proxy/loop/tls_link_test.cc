#include <openssl/err.h>
#include <openssl/ssl.h>

#include "certificates.h"
#include "harness.h"
#include "proxy/loop/tls_stream.h"

namespace holdfast::loop::test {
namespace {

/// The accepted side answers a TLS handshake as soon as bytes come; then on_data is what the test wants.
void secure(Pair& pair, const config::ServerTls& settings = {}, const std::string& host = "localhost") {
    pair.near.on_data = [&](Bytes bytes) {
        pair.near.on_data = nullptr;
        pair.near.link->start_tls_as_server(bytes);
        return bytes.size();
    };
    pair.far.link->start_tls_as_client(settings, host);
}

void secure_and_wait(Pair& pair) {
    secure(pair);
    REQUIRE(run_until(pair.loop, [&] { return pair.near.secured == 1 && pair.far.secured == 1; }));
    pair.near.received.clear();
    pair.near.calls = 0;
}

/// OpenSSL as others use it, at the bare end of a link.
class RawPeer {
public:
    RawPeer(int socket, const SSL_METHOD* method, const std::function<void(SSL_CTX*)>& set_up = nullptr)
        : socket_(socket), context_(SSL_CTX_new(method)) {
        if (set_up) set_up(context_.get());
        ssl_.reset(SSL_new(context_.get()));
        SSL_set_fd(ssl_.get(), socket);
        if (method == TLS_server_method()) {
            SSL_set_accept_state(ssl_.get());
        } else {
            SSL_set_connect_state(ssl_.get());
        }
    }
    /// One step; true when the handshake is done.
    bool shake_hands() {
        if (failed) return false;
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_.get());
        if (result != 1 && SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
            failed = true;
            alert = ERR_GET_REASON(ERR_peek_error());
        }
        return result == 1;
    }
    std::string read() {
        ERR_clear_error();
        char text[4'096];
        const int got = SSL_read(ssl_.get(), text, sizeof text);
        if (got <= 0 && SSL_get_error(ssl_.get(), got) != SSL_ERROR_WANT_READ) {
            failed = true;
            alert = ERR_GET_REASON(ERR_peek_error());
            goodbye = SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN;
        }
        return got > 0 ? std::string(text, static_cast<size_t>(got)) : "";
    }
    void write(std::string_view text) {
        REQUIRE(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) ==
                static_cast<int>(text.size()));
    }
    SSL* ssl() { return ssl_.get(); }

    bool failed = false;
    bool goodbye = false;
    int alert = 0;

private:
    struct Free {
        void operator()(SSL* ssl) const { SSL_free(ssl); }
    };
    int socket_;
    SslContext context_;
    std::unique_ptr<SSL, Free> ssl_;
};

/// A link as a TLS server against a raw client.
struct RawClient : Bare {
    RawClient(Loop& l, const config::ClientTls& settings,
              const std::function<void(SSL_CTX*)>& set_up = nullptr)
        : Bare(l), raw(peer.get(), TLS_client_method(), set_up) {
        auto tls = make_server_tls(settings);
        REQUIRE(tls);
        // Bare's link has no context: another one has it.
        auto opened = SocketLink::open(loop, Descriptor{::dup(descriptor())}, *tls);
        REQUIRE(opened);
        owner.link.reset();
        (*opened)->adopt(owner);
        owner.link = std::move(*opened);
        owner.link->start_tls_as_server({});
    }
    int descriptor() const {
        int number = -1;
        uv_fileno(reinterpret_cast<uv_handle_t*>(static_cast<SocketLink&>(*owner.link).handle()), &number);
        return number;
    }
    /// True: both sides agree that it is done.
    bool shake_hands() {
        bool done = false;
        run_until(loop, [&] {
            done = done || raw.shake_hands();
            return (done && owner.secured == 1) || owner.ended == 1 || raw.failed;
        });
        return done && owner.secured == 1;
    }
    RawPeer raw;
};

}  // namespace

TEST_CASE("tls: both sides agree, know what they agreed on, and bind to the same certificate") {
    const auto loop = make_loop();
    Pair pair{*loop};
    CHECK_FALSE(pair.near.link->is_secured());
    CHECK(pair.near.link->tls() == nullptr);
    secure_and_wait(pair);
    const auto* server = pair.near.link->tls();
    const auto* client = pair.far.link->tls();
    REQUIRE(server != nullptr);
    REQUIRE(client != nullptr);
    CHECK(server->version == "TLSv1.3");
    CHECK(client->version == "TLSv1.3");
    CHECK(server->cipher == client->cipher);
    CHECK(server->alpn == "postgresql");
    CHECK(client->alpn == "postgresql");
    CHECK(server->local_end_point.size() == 32);
    CHECK(server->local_end_point == client->peer_end_point);
    CHECK(server->peer_end_point.empty());
    CHECK(client->local_end_point.empty());
    CHECK(server->peer_common_name.empty());
    // Two runs arrive as one.
    pair.far.link->write(as_bytes("head"), as_bytes("body"));
    CHECK(run_until(*loop, [&] { return pair.near.received == "headbody"; }));
    CHECK(pair.near.calls == 1);
}

TEST_CASE("tls: what is written before the handshake is done is sent after it, in order") {
    const auto loop = make_loop();
    Pair pair{*loop};
    secure(pair);
    pair.far.link->write(as_bytes("early "));
    CHECK(pair.far.link->queued() == 6);
    pair.far.when_secured = [&] { pair.far.link->write(as_bytes("late")); };
    CHECK(run_until(*loop, [&] { return pair.near.received.ends_with("early late"); }));
    CHECK(pair.far.link->queued() == 0);
}

TEST_CASE("tls: ten megabytes each way at once, with back-pressure") {
    const auto loop = make_loop();
    Pair pair{*loop};
    secure_and_wait(pair);
    const std::string text = pattern(10'000'000);
    // As sessions do: write a piece, stop over the high mark, go on when told.
    struct Sender {
        Recorder& from;
        const std::string& text;
        size_t sent = 0;
        size_t most_queued = 0;
        void go_on() {
            while (sent < text.size() && from.link->queued() <= limits::write_queue_high_bytes) {
                const size_t size = std::min<size_t>(100'000, text.size() - sent);
                from.link->write(as_bytes(std::string_view(text).substr(sent, size)));
                sent += size;
                most_queued = std::max(most_queued, from.link->queued());
            }
        }
    };
    Sender there{pair.near, text};
    Sender back{pair.far, text};
    pair.near.when_writable = [&] { there.go_on(); };
    pair.far.when_writable = [&] { back.go_on(); };
    pair.near.link->pause(engine::Pause::peer_is_slow);
    pair.far.link->pause(engine::Pause::peer_is_slow);
    there.go_on();
    back.go_on();
    settle(*loop, 5ms);
    CHECK(there.sent < text.size());
    pair.near.link->resume(engine::Pause::peer_is_slow);
    pair.far.link->resume(engine::Pause::peer_is_slow);
    CHECK(run_until(*loop, [&] {
        // A paused sender that never filled its queue is not told; nothing of it is left out either.
        return pair.near.received.size() == text.size() && pair.far.received.size() == text.size();
    }));
    CHECK(pair.near.received == text);
    CHECK(pair.far.received == text);
    CHECK(there.most_queued < 2 * limits::write_queue_high_bytes);
}

TEST_CASE("tls: a pause in the middle of much keeps the rest, also what is decrypted already") {
    const auto loop = make_loop();
    Pair pair{*loop};
    secure_and_wait(pair);
    const std::string text = pattern(1'000'000);
    pair.near.on_data = [&](Bytes bytes) {
        pair.near.link->pause(engine::Pause::in_turn);
        return std::min<size_t>(bytes.size(), 50'001);
    };
    pair.far.link->write(as_bytes(text));
    int resumed = 0;
    CHECK(run_until(*loop, [&] {
        if (pair.near.link->paused()) {
            ++resumed;
            pair.near.link->resume(engine::Pause::in_turn);
        }
        return pair.near.received.size() == text.size();
    }));
    CHECK(resumed >= 20);
    CHECK(pair.near.received == text);
}

TEST_CASE("tls: a handshake cut into single bytes, some of them read before TLS began") {
    const auto loop = make_loop();
    Bare bare{*loop};
    auto tls = make_server_tls({});
    REQUIRE(tls);
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    const Descriptor peer{ends[1]};
    Recorder server;
    auto opened = SocketLink::open(*loop, Descriptor{ends[0]}, *tls);
    REQUIRE(opened);
    (*opened)->adopt(server);
    server.link = std::move(*opened);
    server.on_data = [&](Bytes bytes) -> size_t {
        if (server.link->is_secured()) return bytes.size();
        if (bytes.size() < 5) return 0;  // a session needs the start of a packet to see that it is TLS
        server.link->start_tls_as_server(bytes);
        return bytes.size();
    };
    ByteBuffer output;
    ClientTlsContexts contexts;
    auto client = TlsStream::as_client(contexts, {}, "localhost", output);
    REQUIRE(client);
    bool spoke = false;
    size_t sent = 0;
    std::vector<std::byte> arrived(65'536);
    CHECK(run_until(*loop, [&] {
        if (sent == output.size()) {
            const ssize_t got = ::recv(peer.get(), arrived.data(), arrived.size(), MSG_DONTWAIT);
            if (got > 0) (*client)->keep(Bytes{arrived.data(), static_cast<size_t>(got)});
            if (!(*client)->is_established()) (void)(*client)->shake_hands();
            if ((*client)->is_established() && !spoke) {
                spoke = true;
                (*client)->write(as_bytes("byte by byte"), {});
            }
        }
        if (sent < output.size())
            sent += static_cast<size_t>(::send(peer.get(), output.data() + sent, 1, 0) == 1);
        bool turned = false;
        loop->defer([&] { turned = true; });
        while (!turned) loop->turn();
        loop->defer([] {});
        return server.received.ends_with("byte by byte");
    }));
    CHECK(server.secured == 1);
}

TEST_CASE("tls: a peer that breaks the handshake off, or speaks something else, costs only itself") {
    const auto loop = make_loop();
    RawClient client{*loop, {}};
    SUBCASE("garbage") {
        REQUIRE(::send(client.peer.get(), "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
        CHECK(run_until(*loop, [&] { return client.owner.ended == 1; }));
        CHECK(client.owner.end == engine::LinkEnd::tls_failed);
        CHECK(client.owner.detail == "http request");
    }
    SUBCASE("closed at once") {
        client.peer.reset();
        CHECK(run_until(*loop, [&] { return client.owner.ended == 1; }));
        CHECK(client.owner.end == engine::LinkEnd::tls_failed);
        CHECK(client.owner.detail.find("during the TLS handshake") != std::string::npos);
    }
    SUBCASE("closed half way, and the owner destroys the link then") {
        client.owner.when_ended = [&] { client.owner.link.reset(); };
        CHECK_FALSE(client.raw.shake_hands());  // the first message
        settle(*loop, 5ms);
        CHECK_FALSE(client.receive().empty());  // unread bytes would make the end a reset
        client.peer.reset();
        CHECK(run_until(*loop, [&] { return client.owner.ended == 1; }));
        CHECK(client.owner.end == engine::LinkEnd::tls_failed);
    }
    CHECK(client.owner.secured == 0);
    CHECK(client.owner.calls == 0);
}

TEST_CASE("tls: bytes sent in the clear are never taken for encrypted ones") {
    const auto loop = make_loop();
    Pair pair{*loop};
    pair.near.on_data = [&](Bytes) {
        // Leaves what a client sent behind its request for TLS.
        pair.near.link->start_tls_as_server({});
        return size_t{8};
    };
    pair.far.link->write(as_bytes("SSLRequest and a forged query"));
    CHECK(run_until(*loop, [&] { return pair.near.ended == 1; }));
    CHECK(pair.near.end == engine::LinkEnd::tls_failed);
    CHECK(pair.near.detail == "unencrypted bytes before the TLS handshake");
    CHECK(pair.near.calls == 1);
}

TEST_CASE("tls: old versions and foreign application protocols are refused") {
    const auto loop = make_loop();
    SUBCASE("TLS 1.1") {
        RawClient client{*loop, {}, [](SSL_CTX* context) {
                             SSL_CTX_set_security_level(context, 0);
                             SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
                         }};
        CHECK_FALSE(client.shake_hands());
    }
    SUBCASE("TLS 1.2") {
        RawClient client{
            *loop, {}, [](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); }};
        CHECK(client.shake_hands());
        CHECK(client.owner.link->tls()->version == "TLSv1.2");
        CHECK(client.owner.link->tls()->alpn.empty());
        // Renegotiation is refused, and the connection goes on.
        CHECK(SSL_renegotiate(client.raw.ssl()) == 1);
        (void)client.raw.shake_hands();
        settle(*loop, 5ms);
        CHECK(client.owner.secured == 1);
    }
    SUBCASE("another application protocol") {
        RawClient client{*loop, {}, [](SSL_CTX* context) {
                             SSL_CTX_set_alpn_protos(context,
                                                     reinterpret_cast<const unsigned char*>("\x02h2"), 3);
                         }};
        CHECK_FALSE(client.shake_hands());
        run_until(*loop, [&] { return client.raw.failed || client.raw.shake_hands(); });
        CHECK(client.raw.alert == SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
        CHECK(client.owner.end == engine::LinkEnd::tls_failed);
    }
    SUBCASE("ours among others") {
        RawClient client{*loop, {}, [](SSL_CTX* context) {
                             SSL_CTX_set_alpn_protos(
                                 context, reinterpret_cast<const unsigned char*>("\x02h2\x0apostgresql"), 14);
                         }};
        CHECK(client.shake_hands());
        CHECK(client.owner.link->tls()->alpn == "postgresql");
    }
}

TEST_CASE("tls: direct connections need the server's word on the protocol") {
    const auto loop = make_loop();
    const auto authority = make_certificate("authority", nullptr, nullptr);
    for (const bool direct : {false, true}) {
        CAPTURE(direct);
        Bare bare{*loop};
        RawPeer server{bare.peer.get(), TLS_server_method(), [&](SSL_CTX* context) {
                           SSL_CTX_use_certificate(context, authority.certificate.get());
                           SSL_CTX_use_PrivateKey(context, authority.key.get());
                       }};
        config::ServerTls settings;
        settings.direct = direct;
        bare.owner.link->start_tls_as_client(settings, "localhost");
        run_until(*loop, [&] {
            (void)server.shake_hands();
            return bare.owner.secured + bare.owner.ended > 0;
        });
        CHECK(bare.owner.secured == (direct ? 0 : 1));
        if (direct) CHECK(bare.owner.end == engine::LinkEnd::tls_failed);
    }
}

TEST_CASE("tls: the end says goodbye, and is an orderly end with or without it") {
    const auto loop = make_loop();
    SUBCASE("destroyed") {
        RawClient client{*loop, {}};
        REQUIRE(client.shake_hands());
        client.owner.link->write(as_bytes("last"));
        client.owner.link.reset();
        CHECK(client.raw.read() == "last");
        CHECK(client.raw.read().empty());
        CHECK(client.raw.goodbye);
    }
    SUBCASE("closed gently") {
        RawClient client{*loop, {}};
        REQUIRE(client.shake_hands());
        const std::string text = pattern(1'500'000);
        client.owner.link->write(as_bytes(text));
        engine::Link::close_gently(std::move(client.owner.link));
        std::string got;
        CHECK(run_until(*loop, [&] {
            got += client.raw.read();
            loop->defer([] {});
            return client.raw.goodbye;
        }));
        CHECK(got == text);
    }
    SUBCASE("the peer says goodbye") {
        RawClient client{*loop, {}};
        REQUIRE(client.shake_hands());
        client.raw.write("bye");
        SSL_shutdown(client.raw.ssl());
        CHECK(run_until(*loop, [&] { return client.owner.ended == 1; }));
        CHECK(client.owner.received == "bye");
        CHECK(client.owner.end == engine::LinkEnd::closed_by_peer);
    }
    SUBCASE("the peer just goes") {
        RawClient client{*loop, {}};
        REQUIRE(client.shake_hands());
        client.raw.write("bye");
        CHECK(client.raw.read().empty());  // takes the ticket: unread, it would make the end a reset
        client.peer.reset();
        CHECK(run_until(*loop, [&] { return client.owner.ended == 1; }));
        CHECK(client.owner.received == "bye");
        CHECK(client.owner.end == engine::LinkEnd::closed_by_peer);
    }
    SUBCASE("a forged record") {
        RawClient client{*loop, {}};
        REQUIRE(client.shake_hands());
        const std::string forged{"\x17\x03\x03\x00\x20", 5};
        client.send(forged + std::string(32, 'x'));
        CHECK(run_until(*loop, [&] { return client.owner.ended == 1; }));
        CHECK(client.owner.end == engine::LinkEnd::tls_failed);
        CHECK(client.owner.received.empty());
    }
}

TEST_CASE("tls: a paused link notices a peer that said goodbye, and keeps what it said before") {
    const auto loop = make_loop();
    int round = 0;
    for (const bool words : {false, true, false, true}) {
        CAPTURE(words);
        RawClient client{*loop, {}};
        REQUIRE(client.shake_hands());
        client.owner.link->pause(engine::Pause::held);
        if (words) client.raw.write("last words");
        // The second time round the peer has taken the ticket that we sent it, so that closing is no reset.
        if (++round > 2) CHECK(client.raw.read().empty());
        SSL_shutdown(client.raw.ssl());
        client.peer.reset();
        settle(*loop, 10ms);
        CHECK(client.owner.ended == (words ? 0 : 1));
        client.owner.link->resume(engine::Pause::held);
        CHECK(run_until(*loop, [&] { return client.owner.ended == 1; }));
        CHECK(client.owner.received == (words ? "last words" : ""));
        CHECK(client.owner.end == engine::LinkEnd::closed_by_peer);
    }
}

TEST_CASE("tls: the owner may destroy the link when it is secured, and when it reads") {
    const auto loop = make_loop();
    SUBCASE("secured") {
        Pair pair{*loop};
        pair.near.when_secured = [&] { pair.near.link.reset(); };
        pair.far.when_secured = [&] { pair.far.link.reset(); };
        secure(pair);
        CHECK(run_until(*loop, [&] { return pair.near.secured + pair.far.secured >= 1; }));
        settle(*loop, 5ms);
    }
    SUBCASE("reading much") {
        Pair pair{*loop};
        secure_and_wait(pair);
        pair.near.on_data = [&](Bytes) {
            pair.near.link.reset();
            return size_t{0};
        };
        pair.far.link->write(as_bytes(pattern(500'000)));
        CHECK(run_until(*loop, [&] { return pair.near.calls == 1; }));
        settle(*loop, 5ms);
        CHECK(pair.near.calls == 1);
    }
    SUBCASE("reading, closed gently") {
        Pair pair{*loop};
        secure_and_wait(pair);
        pair.near.on_data = [&](Bytes) {
            pair.near.link->write(as_bytes("go away"));
            engine::Link::close_gently(std::move(pair.near.link));
            return size_t{0};
        };
        pair.far.link->write(as_bytes(pattern(500'000)));
        CHECK(run_until(*loop, [&] { return pair.far.ended == 1; }));
        CHECK(pair.far.received == "go away");
    }
}

TEST_CASE("tls: without a context the owner is told") {
    const auto loop = make_loop();
    Bare bare{*loop};
    bare.owner.link->start_tls_as_server({});
    CHECK(bare.owner.ended == 0);
    CHECK(run_until(*loop, [&] { return bare.owner.ended == 1; }));
    CHECK(bare.owner.end == engine::LinkEnd::tls_failed);
    CHECK(bare.owner.detail == "TLS is not configured here");
}

TEST_CASE("tls: verification follows libpq's words") {
    const auto loop = make_loop();
    Files files;
    const auto authority = make_certificate("authority", nullptr, nullptr);
    const auto stranger = make_certificate("stranger", nullptr, nullptr);
    const auto server = make_certificate("db.example", "DNS:db.example,IP:127.0.0.1", &authority);
    config::ClientTls tls;
    tls.cert_file = files.certificate(server);
    tls.key_file = files.key(server);
    const std::string known = files.certificate(authority);
    const std::string unknown = files.certificate(stranger);
    using Mode = config::ServerTlsMode;
    struct Case {
        Mode mode;
        std::string ca;
        std::string name;
        std::string host;
        const char* failure;  // nullptr: it works
    };
    const Case cases[] = {
        {Mode::verify_full, known, "", "db.example", nullptr},
        {Mode::verify_full, known, "", "127.0.0.1", nullptr},
        {Mode::verify_full, known, "db.example", "10.0.0.1", nullptr},
        {Mode::verify_full, known, "", "other.example", "certificate verify failed: hostname mismatch"},
        {Mode::verify_full, known, "", "127.0.0.2", "certificate verify failed: IP address mismatch"},
        {Mode::verify_full, known, "", "", "verify-full has no host name to verify: set server_name"},
        {Mode::verify_full, unknown, "", "db.example",
         "certificate verify failed: unable to get local issuer"},
        {Mode::verify_full, "", "", "db.example", "certificate verify failed: unable to get local issuer"},
        {Mode::verify_ca, known, "", "other.example", nullptr},
        {Mode::verify_ca, unknown, "", "db.example", "certificate verify failed: unable to get local issuer"},
        {Mode::verify_ca, "/nonexistent/ca.pem", "", "db.example", "/nonexistent/ca.pem"},
        {Mode::require, "", "", "other.example", nullptr},
        {Mode::require, unknown, "", "db.example", "certificate verify failed: unable to get local issuer"},
        {Mode::prefer, unknown, "", "other.example", nullptr},
    };
    for (const Case& one : cases) {
        CAPTURE(static_cast<int>(one.mode));
        CAPTURE(one.ca);
        CAPTURE(one.host);
        Pair pair{*loop, tls};
        config::ServerTls settings;
        settings.mode = one.mode;
        settings.ca_file = one.ca;
        settings.server_name = one.name;
        secure(pair, settings, one.host);
        CHECK(run_until(*loop, [&] { return pair.far.secured + pair.far.ended == 1; }));
        CHECK(pair.far.secured == (one.failure == nullptr ? 1 : 0));
        if (one.failure != nullptr) {
            CHECK(pair.far.end == engine::LinkEnd::tls_failed);
            CAPTURE(pair.far.detail);
            CHECK(pair.far.detail.find(one.failure) != std::string::npos);
        }
    }
}

TEST_CASE("tls: a client's certificate is asked for, checked, and named") {
    const auto loop = make_loop();
    Files files;
    const auto authority = make_certificate("authority", nullptr, nullptr);
    const auto stranger = make_certificate("stranger", nullptr, nullptr);
    config::ClientTls tls;
    tls.client_ca_file = files.certificate(authority);
    const auto with = [](const CertificateAndKey& pair) {
        return [&pair](SSL_CTX* context) {
            SSL_CTX_use_certificate(context, pair.certificate.get());
            SSL_CTX_use_PrivateKey(context, pair.key.get());
        };
    };
    SUBCASE("known") {
        const auto alice = make_certificate("alice", nullptr, &authority);
        RawClient client{*loop, tls, with(alice)};
        CHECK(client.shake_hands());
        CHECK(client.owner.link->tls()->peer_common_name == "alice");
    }
    SUBCASE("none") {
        RawClient client{*loop, tls};
        CHECK(client.shake_hands());
        CHECK(client.owner.link->tls()->peer_common_name.empty());
    }
    SUBCASE("unknown") {
        const auto mallory = make_certificate("alice", nullptr, &stranger);
        RawClient client{*loop, tls, with(mallory)};
        CHECK_FALSE(client.shake_hands());
        CHECK(client.owner.end == engine::LinkEnd::tls_failed);
    }
    SUBCASE("two names in one") {
        const auto forged = make_certificate(std::string("alice\0.evil", 11), nullptr, &authority);
        RawClient client{*loop, tls, with(forged)};
        CHECK(client.shake_hands());
        CHECK(client.owner.link->tls()->peer_common_name.empty());
    }
}

}  // namespace holdfast::loop::test
