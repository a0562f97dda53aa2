#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/settings.h"
#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"

/// The narrow interface through which sessions, pools and routing see the world. proxy/loop implements it on
/// libuv and OpenSSL, tests/simulation on a seeded virtual-time network.
namespace holdfast::engine {

enum class LinkEnd {
    closed_by_peer,  // orderly end of stream
    reset,           // broken: reset, keepalive or user timeout, unreachable
    tls_failed,
};

/// Why reading from a link is paused. It resumes when no reason is left.
enum class Pause : uint8_t {
    peer_is_slow = 1,  // the other side's write queue is over the high mark
    held = 2,          // the session waits for a server
    in_turn = 4,       // earlier requests must be answered first
    login = 8,         // a password look-up or a server login is under way
};

/// What a link tells its owner. Any of these may be answered by destroying the link.
class LinkOwner {
public:
    virtual ~LinkOwner() = default;
    /// New bytes, after what an earlier call left unconsumed: always one contiguous run. Returns how many
    /// from the front are consumed; the link keeps the rest and gives it again, with more bytes, or alone
    /// when reading resumes after a pause. `bytes` lives until the call returns. When the owner destroys the
    /// link in this call, the return value is ignored.
    virtual size_t on_bytes(Bytes bytes) = 0;
    /// The write queue, once over the high mark, has fallen below the low mark.
    virtual void on_writable() = 0;
    /// TLS is established (asked for with start_tls).
    virtual void on_secured() = 0;
    /// The stream has ended; bytes that arrived before were given first (also those a pause kept back,
    /// unless they were left unconsumed). Called once; nothing follows.
    virtual void on_ended(LinkEnd end, std::string_view detail) = 0;
};

/// What the TLS handshake showed.
struct TlsFacts {
    std::string version;  // "TLSv1.3"
    std::string cipher;
    std::string alpn;              // empty: none negotiated
    ByteBuffer local_end_point;    // tls-server-end-point hash of our certificate (RFC 5929), as a server
    ByteBuffer peer_end_point;     // the same of the server's certificate, as a client
    std::string peer_common_name;  // of a client certificate that verified; empty: none
};

class ServerTlsContext;  // made by the world from settings; opaque here
class ClientTlsContext;

/// One byte stream to a peer. Owned by the session or server connection that it belongs to; destroying it
/// closes the socket at once (what was written and is still queued is sent if the socket takes it now).
class Link {
public:
    virtual ~Link() = default;

    /// Sends, at once as far as the socket takes it; the rest is copied and queued. Never calls back.
    virtual void write(Bytes bytes) = 0;
    /// Two runs as one write.
    virtual void write(Bytes first, Bytes second) = 0;
    /// Bytes queued and not yet taken by the socket.
    virtual size_t queued() const = 0;

    /// Stops on_bytes calls for a reason (they are remembered as a set). A paused link still notices a peer
    /// that went away (on_ended), but reads nothing.
    virtual void pause(Pause reason) = 0;
    /// Takes a reason away. Bytes kept back are given again from the loop, never from inside this call.
    virtual void resume(Pause reason) = 0;
    virtual bool paused() const = 0;

    /// Begins TLS as the side that accepted. `received` are bytes of the handshake that were already read.
    virtual void start_tls_as_server(Bytes received) = 0;
    /// Begins TLS as the side that connected (settings of the cluster's server_tls; `host` for SNI and
    /// verification).
    virtual void start_tls_as_client(const config::ServerTls& settings, const std::string& host) = 0;
    virtual bool is_secured() const = 0;
    virtual const TlsFacts* tls() const = 0;  // nullptr: no TLS

    /// Sends what is queued, then closes; the link lives on by itself for a bounded time. Ends all calls to
    /// the owner.
    static void close_gently(std::unique_ptr<Link> link) { link.release()->finish(); }

protected:
    /// Deletes this when the queue is out, the peer is gone or a few seconds have passed.
    virtual void finish() = 0;
};

/// A running timer; destroying it stops it.
class Timer {
public:
    virtual ~Timer() = default;
};

class World : public Clock {
public:
    /// Connects to `address` (names are resolved off the loop), within `timeout`. The callback comes later,
    /// never from inside the call, with a link that `owner` will hear from, or an error that says why not.
    /// Destroying the returned attempt cancels it.
    virtual std::unique_ptr<Timer> connect(const config::Endpoint& address, const config::Cluster& cluster,
                                           LinkOwner& owner,
                                           std::function<void(Result<std::unique_ptr<Link>>)> on_done) = 0;
    virtual std::unique_ptr<Timer> after(Duration delay, std::function<void()> on_due) = 0;
    /// Runs `task` at the end of this turn of the loop, after all callbacks under way have returned.
    virtual void defer(std::function<void()> task) = 0;
    /// Runs `work` on another thread, then `done` on the loop. For CPU-heavy work (PBKDF2).
    virtual void offload(std::function<void()> work, std::function<void()> done) = 0;
    /// Cryptographically strong in production; seeded in the simulation.
    virtual void random(std::byte* out, size_t size) = 0;
    /// The time of day, for VALID UNTIL and certificates; seconds since 1970.
    virtual int64_t unix_seconds() const = 0;
};

}  // namespace holdfast::engine
