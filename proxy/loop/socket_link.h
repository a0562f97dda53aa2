#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include <uv.h>

#include "proxy/engine/world.h"
#include "proxy/loop/byte_queue.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/socket_options.h"

namespace holdfast::loop {

class TlsStream;

/// A Link over a non-blocking stream socket. libuv only tells when the socket is ready; reading and writing
/// are direct system calls: one recv for what arrived, one send for what is written.
///
/// One allocation holds the libuv handle and, right behind it, the link (see operator new): the link's
/// destructor closes the handle, whose close callback frees both at the end of the turn. So a function that
/// has called the owner can ask the handle whether the link still lives.
class SocketLink final : public engine::Link {
public:
    /// Takes the socket over and reads from it at the loop's next turn. `server_tls`: for
    /// start_tls_as_server; may be null.
    /// errors  internal: the system can't watch the descriptor
    static Result<std::unique_ptr<SocketLink>> open(
        Loop& loop, Descriptor socket, std::shared_ptr<const engine::ServerTlsContext> server_tls = nullptr);
    ~SocketLink() override;

    /// Who hears of the link; to be called before the turn in which it was opened ends.
    void adopt(engine::LinkOwner& owner) { owner_ = &owner; }
    /// Gives the connection up when the peer leaves what was sent to it unacknowledged for this long.
    void watch_silence(std::chrono::milliseconds timeout);

    void write(Bytes bytes) override { write(bytes, {}); }
    void write(Bytes first, Bytes second) override;
    size_t queued() const override;
    void pause(engine::Pause reason) override;
    void resume(engine::Pause reason) override;
    bool paused() const override { return pauses_ != 0; }
    void start_tls_as_server(Bytes received) override;
    void start_tls_as_client(const config::ServerTls& settings, const std::string& host) override;
    bool is_secured() const override;
    const engine::TlsFacts* tls() const override;

    /// Whether the link behind this handle has not been destroyed; good until the end of the turn.
    static bool lives(const uv_poll_t* handle) {
        return uv_is_closing(reinterpret_cast<const uv_handle_t*>(handle)) == 0;
    }
    uv_poll_t* handle() const;

    // Called by the loop, at the end of a turn for which the link asked.
    void on_wake();
    void set_wake_slot(uint32_t slot) { wake_slot_ = slot; }

    static void* operator new(size_t size, uv_poll_t* handle);
    static void operator delete(void* link, uv_poll_t* handle);
    static void operator delete(void* link);

protected:
    void finish() override;

private:
    explicit SocketLink(std::shared_ptr<const engine::ServerTlsContext> server_tls);

    Loop& loop() const { return Loop::of(handle()->loop); }
    int descriptor() const;

    // Reading (socket_link_read.cc). Functions that call the owner return whether the link can go on; when
    // they say no, it may be gone.
    void on_events(int status, int events);
    void read(bool departed);
    bool read_plain();
    bool read_sealed();
    bool step_handshake();
    bool drain_tls();
    bool give(size_t added);
    std::span<std::byte> read_space();
    void while_paused(bool departed);
    void end(engine::LinkEnd end, std::string_view detail);
    void end_of_stream();
    void end_with_error(int error);

    // Writing.
    void send_or_queue(Bytes first, Bytes second);
    void send_sealed();
    bool flush();
    void fail_later(int error);

    void watch_events();
    void wake();
    void begin_tls(Result<std::unique_ptr<TlsStream>> stream, Bytes received);
    void go_on_finishing();
    void check_silence(std::chrono::milliseconds timeout, std::optional<TimePoint> since);

    // Ordered by size: a link that is idle should cost little.
    engine::LinkOwner* owner_ = nullptr;
    ByteQueue remainder_;  // what the owner has not consumed
    ByteQueue queue_;      // what the socket has not taken; encrypted, when TLS is on
    std::unique_ptr<TlsStream> tls_;
    std::shared_ptr<const engine::ServerTlsContext> server_tls_;
    std::unique_ptr<engine::Timer> timer_;  // of watch_silence, then of finish
    uint32_t wake_slot_ = Loop::not_woken;
    int write_error_ = 0;        // a send failed, and the owner has not been told
    uint8_t pauses_ = 0;         // set of engine::Pause
    uint8_t watched_ = 0;        // what libuv watches for
    bool reads_ : 1 = true;      // watch for bytes; dropped when some arrive while paused
    bool departure_ : 1 = true;  // watch for the peer's end; dropped once it is known and can't be told yet
    bool broken_ : 1 = false;    // the socket is in error, which recv will tell
    bool over_high_ : 1 = false;
    bool give_again_ : 1 = false;  // the remainder is due to the owner
    bool ended_ : 1 = false;       // the owner knows, or there is none any more
    bool finishing_ : 1 = false;
    bool shut_ : 1 = false;  // finishing: the peer has been told
};

/// Links are counted in ten thousands: an idle one without TLS should stay below 320 bytes, all told.
static_assert(sizeof(SocketLink) + sizeof(uv_poll_t) <= 256);

}  // namespace holdfast::loop
