#include "proxy/loop/socket_link.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <new>
#include <sys/socket.h>
#include <sys/uio.h>

#include "proxy/loop/address.h"
#include "proxy/loop/tls_stream.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define HOLDFAST_POISON(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define HOLDFAST_UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define HOLDFAST_POISON(at, size) static_cast<void>(0)
#define HOLDFAST_UNPOISON(at, size) static_cast<void>(0)
#endif

namespace holdfast::loop {
namespace {

/// How long a link without an owner may take to send its queue and to see the peer close.
constexpr auto finish_time_max = std::chrono::seconds(5);

/// So many repetitions of data, or probes, without an answer make a peer suspect.
constexpr unsigned unanswered_min = 3;

static_assert(alignof(SocketLink) <= alignof(std::max_align_t) &&
              sizeof(uv_poll_t) % alignof(SocketLink) == 0);

/// One sendmsg of up to two runs. Returns the bytes taken, 0 when the socket is full, or -1 and errno.
ssize_t send_now(int descriptor, Bytes first, Bytes second) {
    iovec runs[2];
    size_t count = 0;
    for (const Bytes run : {first, second}) {
        if (run.empty()) continue;
        runs[count].iov_base = const_cast<std::byte*>(run.data());
        runs[count].iov_len = run.size();
        ++count;
    }
    if (count == 0) return 0;
    ssize_t sent;
    do {
        if (count == 1) {
            sent = ::send(descriptor, runs[0].iov_base, runs[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            msghdr message{};
            message.msg_iov = runs;
            message.msg_iovlen = count;
            sent = ::sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) return 0;
    return sent;
}

}  // namespace

void* SocketLink::operator new(size_t, uv_poll_t* handle) {
    return handle + 1;
}

// Only a constructor that throws would call this one.
void SocketLink::operator delete(void*, uv_poll_t*) {}

// The close callback of the handle frees the memory. Until then the sanitizer guards it.
void SocketLink::operator delete([[maybe_unused]] void* link) {
    HOLDFAST_POISON(link, sizeof(SocketLink));
}

uv_poll_t* SocketLink::handle() const {
    return reinterpret_cast<uv_poll_t*>(const_cast<SocketLink*>(this)) - 1;
}

Result<std::unique_ptr<SocketLink>> SocketLink::open(
    Loop& loop, Descriptor socket, std::shared_ptr<const engine::ServerTlsContext> server_tls) {
    auto* handle = static_cast<uv_poll_t*>(std::malloc(sizeof(uv_poll_t) + sizeof(SocketLink)));
    if (handle == nullptr) std::abort();
    if (const int error = uv_poll_init(loop.uv(), handle, socket.get()); error != 0) {
        std::free(handle);
        return Error{ErrorCode::internal, std::string("can't watch a socket: ") + uv_strerror(error)};
    }
    (void)socket.release();  // the destructor closes it, by the handle's number
    std::unique_ptr<SocketLink> link{new (handle) SocketLink(std::move(server_tls))};
    handle->data = link.get();
    link->watch_events();
    return link;
}

SocketLink::SocketLink(std::shared_ptr<const engine::ServerTlsContext> server_tls)
    : server_tls_(std::move(server_tls)) {}

SocketLink::~SocketLink() {
    if (!ended_ && write_error_ == 0) {
        if (tls_ && !shut_) {
            tls_->shut_down();
            queue_.append(loop().sealed_output());
            loop().sealed_output().clear();
        }
        if (!queue_.empty()) (void)send_now(descriptor(), queue_.bytes(), {});
    }
    if (wake_slot_ != Loop::not_woken) loop().forget_wake(wake_slot_);
    if (finishing_) loop().forget_finishing(*this);
    uv_poll_t* watched = handle();
    const int number = descriptor();
    watched->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(watched), [](uv_handle_t* closed) {
        HOLDFAST_UNPOISON(reinterpret_cast<uv_poll_t*>(closed) + 1, sizeof(SocketLink));
        std::free(closed);
    });
    Descriptor{number}.reset();  // libuv no longer watches it
}

int SocketLink::descriptor() const {
    int number = -1;
    uv_fileno(reinterpret_cast<const uv_handle_t*>(handle()), &number);
    return number;
}

void SocketLink::write(Bytes first, Bytes second) {
    if (ended_ || finishing_ || write_error_ != 0) return;  // nobody would read it
    if (!tls_) {
        send_or_queue(first, second);
        return;
    }
    tls_->write(first, second);
    send_sealed();
}

void SocketLink::send_sealed() {
    ByteBuffer& sealed = loop().sealed_output();
    send_or_queue(sealed, {});
    sealed.clear();
}

void SocketLink::send_or_queue(Bytes first, Bytes second) {
    if (write_error_ != 0) return;
    size_t sent = 0;
    if (queue_.empty()) {
        const ssize_t taken = send_now(descriptor(), first, second);
        if (taken < 0) {
            fail_later(errno);
            return;
        }
        sent = static_cast<size_t>(taken);
        if (sent == first.size() + second.size()) return;
    }
    const size_t of_first = std::min(sent, first.size());
    queue_.append(first.subspan(of_first));
    queue_.append(second.subspan(sent - of_first));
    if (queue_.size() > limits::write_queue_high_bytes) over_high_ = true;
    watch_events();
}

/// Sends what the socket takes of the queue. False: the owner was told that it may write, and the link may be
/// gone.
bool SocketLink::flush() {
    if (write_error_ != 0 || queue_.empty()) return true;
    const ssize_t taken = send_now(descriptor(), queue_.bytes(), {});
    if (taken < 0) {
        fail_later(errno);
        return true;
    }
    queue_.consume(static_cast<size_t>(taken));
    if (queue_.empty()) watch_events();
    if (over_high_ && queue_.size() < limits::write_queue_low_bytes) {
        over_high_ = false;
        if (owner_ != nullptr && !ended_) {
            const uv_poll_t* at = handle();
            owner_->on_writable();
            return lives(at) && !ended_ && !finishing_;
        }
    }
    return true;
}

/// The owner learns of it at the end of the turn, after it has had what the peer sent before.
void SocketLink::fail_later(int error) {
    write_error_ = error;
    queue_.clear();
    watch_events();
    wake();
}

size_t SocketLink::queued() const {
    return queue_.size() + (tls_ ? tls_->waiting_to_be_sealed() : 0);
}

void SocketLink::pause(engine::Pause reason) {
    // libuv goes on watching: taking the descriptor off and on again costs two system calls, and most pauses
    // end before the peer sends anything.
    pauses_ = static_cast<uint8_t>(pauses_ | static_cast<uint8_t>(reason));
}

void SocketLink::resume(engine::Pause reason) {
    if (pauses_ == 0) return;
    pauses_ = static_cast<uint8_t>(pauses_ & ~static_cast<unsigned>(reason));
    if (pauses_ != 0 || ended_ || finishing_) return;
    reads_ = true;
    departure_ = true;
    give_again_ = true;
    if (!remainder_.empty() || broken_ || write_error_ != 0 || (tls_ && tls_->has_input())) wake();
    watch_events();
}

void SocketLink::watch_events() {
    unsigned events = 0;
    if (!ended_ && !broken_) {
        if (reads_) events |= UV_READABLE;
        if (departure_) events |= UV_DISCONNECT;
        if (!queue_.empty() && write_error_ == 0) events |= UV_WRITABLE;
    }
    if (events == watched_) return;
    watched_ = static_cast<uint8_t>(events);
    uv_poll_start(handle(), static_cast<int>(events), [](uv_poll_t* ready, int status, int what) {
        Loop::of(ready->loop).tick();
        if (ready->data != nullptr) static_cast<SocketLink*>(ready->data)->on_events(status, what);
    });
}

void SocketLink::wake() {
    if (wake_slot_ == Loop::not_woken) wake_slot_ = loop().wake(*this);
}

void SocketLink::start_tls_as_server(Bytes received) {
    if (!server_tls_) {
        begin_tls(Error{ErrorCode::unsupported, "TLS is not configured here"}, {});
        return;
    }
    begin_tls(TlsStream::as_server(*server_tls_, loop().sealed_output()), received);
}

void SocketLink::start_tls_as_client(const config::ServerTls& settings, const std::string& host) {
    begin_tls(TlsStream::as_client(loop().client_tls(), settings, host, loop().sealed_output()), {});
}

void SocketLink::begin_tls(Result<std::unique_ptr<TlsStream>> stream, Bytes received) {
    assert(!tls_);
    if (ended_ || tls_) return;
    tls_ = stream ? std::move(*stream) : TlsStream::failed(stream.error().message);
    tls_->keep(received);
    wake();  // the handshake begins at the end of the turn: this is a call from the owner
}

bool SocketLink::is_secured() const {
    return tls_ && tls_->is_established();
}

const engine::TlsFacts* SocketLink::tls() const {
    return is_secured() ? &tls_->facts() : nullptr;
}

void SocketLink::watch_silence(std::chrono::milliseconds timeout) {
    if (timeout.count() > 0) check_silence(timeout, std::nullopt);
}

// The kernel's own TCP_USER_TIMEOUT also ends connections whose peer answers, but has not read for a while: a
// server that makes a COPY wait for a lock closes its receive window, and that is no failure. So this looks
// for acknowledgements: the peer is silent when something it must answer (data, a probe) is outstanding at
// every look and no packet of it has come since the first of them.
void SocketLink::check_silence(std::chrono::milliseconds timeout, std::optional<TimePoint> since) {
    const auto interval = std::max(timeout / 8, std::chrono::milliseconds(1));
    tcp_info info{};
    socklen_t size = sizeof info;
    const bool known = ::getsockopt(descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
    // Data without room at the peer is repeated and probed for at growing intervals, up to minutes, and the
    // peer may leave out an answer, or the network lose it: only several in a row that got none are a sign.
    const bool resent = info.tcpi_unacked > 0 && info.tcpi_retransmits >= unanswered_min &&
                        info.tcpi_last_data_sent < info.tcpi_last_ack_recv;
    const bool outstanding = known && (resent || info.tcpi_probes >= unanswered_min);
    const TimePoint last_answer = loop().now() - std::chrono::milliseconds(info.tcpi_last_ack_recv);
    if (!outstanding) {
        since.reset();
    } else if (!since || last_answer > *since) {
        since = loop().now();
    } else if (loop().now() - *since + 2 * interval >= timeout) {
        // It began before it was first seen: by up to one interval, and the time of the repetitions.
        fail_later(ETIMEDOUT);
        return;
    }
    timer_ = loop().after(interval, [this, timeout, since] { check_silence(timeout, since); });
}

void SocketLink::finish() {
    if (ended_ || write_error_ != 0) {
        delete this;
        return;
    }
    finishing_ = true;
    owner_ = nullptr;
    remainder_.clear();
    if (tls_) {
        tls_->shut_down();
        send_sealed();
    }
    loop().keep_finishing(*this);
    timer_ = loop().after(finish_time_max, [this] { delete this; });
    reads_ = true;
    departure_ = true;
    pauses_ = 0;
    watch_events();
    wake();
}

/// Closing a socket with unread bytes sends a reset, which can overtake the last message: so the link ends
/// its own side when the queue is out, and reads and drops what still comes until the peer ends its side.
void SocketLink::go_on_finishing() {
    if (write_error_ != 0 || broken_) {
        delete this;
        return;
    }
    if (queue_.empty() && !shut_) {
        shut_ = true;
        ::shutdown(descriptor(), SHUT_WR);
    }
    const auto dropped = loop().scratch();
    for (int i = 0; i < 4; ++i) {
        const ssize_t got = ::recv(descriptor(), dropped.data(), dropped.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (got < 0) {
            delete this;
            return;
        }
        if (got == 0) {
            // The peer may have ended only its sending side, and still read.
            if (queue_.empty()) {
                delete this;
                return;
            }
            reads_ = false;
            departure_ = false;
            watch_events();
            return;
        }
    }
}

}  // namespace holdfast::loop
