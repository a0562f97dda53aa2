#include <algorithm>
#include <cerrno>
#include <sys/socket.h>

#include "proxy/loop/address.h"
#include "proxy/loop/socket_link.h"
#include "proxy/loop/tls_stream.h"

namespace holdfast::loop {
namespace {

/// A socket that fills the buffer is read again, but not for ever: others wait.
constexpr int reads_in_a_row_max = 4;
/// Room for new bytes behind an unconsumed remainder; it doubles as the remainder grows.
constexpr size_t remainder_read_min = 8'192;

/// Returns the bytes read, 0 at the end of the stream, or -1 and errno.
ssize_t receive(int descriptor, std::span<std::byte> space, int flags) {
    ssize_t got;
    do {
        got = ::recv(descriptor, space.data(), space.size(), flags | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    return got;
}

bool nothing_there(int error) {
    return error == EAGAIN || error == EWOULDBLOCK;
}

}  // namespace

void SocketLink::on_events(int status, int events) {
    if (status < 0) {
        // The socket is in error, and libuv has stopped watching it. What arrived before can still be read.
        broken_ = true;
        watched_ = 0;
    }
    if ((events & UV_WRITABLE) != 0 && !flush()) return;
    if (finishing_) {
        go_on_finishing();
        return;
    }
    if (status < 0 || (events & (UV_READABLE | UV_DISCONNECT)) != 0) {
        read(status < 0 || (events & UV_DISCONNECT) != 0);
    }
}

void SocketLink::on_wake() {
    wake_slot_ = Loop::not_woken;
    if (finishing_) {
        go_on_finishing();
        return;
    }
    if (ended_ || owner_ == nullptr) return;
    if (tls_ && !tls_->is_established()) {
        // The first step of a handshake; later ones come with the peer's bytes.
        if (!step_handshake()) return;
    } else if (!paused()) {
        if (give_again_ && !remainder_.empty() && !give(0)) return;
        if (tls_ && !paused() && !drain_tls()) return;
    }
    if (broken_ || write_error_ != 0) read(broken_);
}

/// Reads what has arrived and gives it to the owner. `departed`: the peer has ended its side.
void SocketLink::read(bool departed) {
    if (ended_ || owner_ == nullptr) return;
    for (int i = 0; i < reads_in_a_row_max; ++i) {
        // A handshake gives the owner nothing, and goes on in a pause.
        if (paused() && (!tls_ || tls_->is_established())) {
            while_paused(departed);
            return;
        }
        if (!(tls_ ? read_sealed() : read_plain())) return;
    }
    // More is there. libuv tells again, unless it has stopped watching.
    if (broken_ || write_error_ != 0) wake();
}

/// One read. True: the buffer was filled, and more may be there.
bool SocketLink::read_plain() {
    const auto space = read_space();
    const ssize_t got = receive(descriptor(), space, 0);
    if (got > 0) {
        const auto size = static_cast<size_t>(got);
        const bool full = size == space.size();
        if (!give(size)) return false;
        return full || broken_ || write_error_ != 0;
    }
    if (got == 0) {
        end_of_stream();
    } else if (!nothing_there(errno)) {
        end_with_error(errno);
    } else if (write_error_ != 0) {
        end_with_error(write_error_);
    } else if (broken_) {
        end_with_error(take_socket_error(descriptor()));
    }
    return false;
}

/// The same for encrypted bytes.
bool SocketLink::read_sealed() {
    const auto space = loop().sealed_scratch();
    const ssize_t got = receive(descriptor(), space, 0);
    if (got > 0) {
        const auto size = static_cast<size_t>(got);
        tls_->take_input(Bytes{space.data(), size});
        const uv_poll_t* at = handle();
        const bool goes_on = tls_->is_established() ? drain_tls() : step_handshake();
        if (!lives(at)) return false;
        tls_->keep_rest();
        return goes_on && (size == space.size() || broken_ || write_error_ != 0);
    }
    if (got < 0 && nothing_there(errno)) {
        if (write_error_ != 0) {
            end_with_error(write_error_);
        } else if (broken_) {
            end_with_error(take_socket_error(descriptor()));
        }
    } else if (got < 0) {
        end_with_error(errno);
    } else if (!tls_->is_established()) {
        end(engine::LinkEnd::tls_failed, "the peer closed the connection during the TLS handshake");
    } else {
        end_of_stream();
    }
    return false;
}

bool SocketLink::step_handshake() {
    if (!remainder_.empty()) {
        // Bytes sent in the clear must not be taken for what comes encrypted.
        end(engine::LinkEnd::tls_failed, "unencrypted bytes before the TLS handshake");
        return false;
    }
    const auto step = tls_->shake_hands();
    send_sealed();
    switch (step) {
        case TlsStream::Step::needs_input: return true;
        case TlsStream::Step::failed: end(engine::LinkEnd::tls_failed, tls_->failure()); return false;
        case TlsStream::Step::closed:
            end(engine::LinkEnd::tls_failed, "the peer closed the connection during the TLS handshake");
            return false;
        case TlsStream::Step::done: break;
    }
    tls_->seal_waiting();
    send_sealed();
    const uv_poll_t* at = handle();
    owner_->on_secured();
    if (!lives(at) || ended_ || finishing_) return false;
    return paused() || drain_tls();
}

/// Decrypts what is there and gives it to the owner.
bool SocketLink::drain_tls() {
    while (!paused()) {
        const auto space = read_space();
        size_t filled = 0;
        auto step = TlsStream::Step::done;
        while (filled < space.size()) {
            size_t got = 0;
            step = tls_->read(space.subspan(filled), got);
            if (step != TlsStream::Step::done) break;
            filled += got;
        }
        // Reading may answer: a key update, an alert.
        send_sealed();
        if (filled > 0 && !give(filled)) return false;
        if (step == TlsStream::Step::needs_input) return true;
        if (step == TlsStream::Step::closed) {
            end_of_stream();
            return false;
        }
        if (step == TlsStream::Step::failed) {
            end(engine::LinkEnd::tls_failed, tls_->failure());
            return false;
        }
    }
    return true;
}

/// Where the next bytes go: behind the remainder, so that the owner sees one run, or in the loop's buffer.
std::span<std::byte> SocketLink::read_space() {
    if (remainder_.empty()) return loop().scratch();
    const size_t wanted = std::clamp(remainder_.size(), remainder_read_min, limits::read_chunk_bytes);
    const auto space = remainder_.space(wanted);
    return space.first(std::min(space.size(), limits::read_chunk_bytes));
}

/// Gives the owner what it left and the `added` bytes that were written to read_space(). False: the link is
/// gone, or has ended, or speaks TLS now.
bool SocketLink::give(size_t added) {
    const bool from_scratch = remainder_.empty();
    if (!from_scratch) remainder_.commit(added);
    const Bytes bytes = from_scratch ? Bytes{loop().scratch().data(), added} : remainder_.bytes();
    give_again_ = false;
    const bool had_tls = tls_ != nullptr;
    const uv_poll_t* at = handle();
    const size_t consumed = std::min(owner_->on_bytes(bytes), bytes.size());
    if (!lives(at) || finishing_) return false;
    if (from_scratch) {
        remainder_.append(bytes.subspan(consumed));
    } else {
        remainder_.consume(consumed);
    }
    // Paused and resumed in the same call: what was kept back is due. Only after progress, or an owner that
    // waits for the rest of a message would be called for ever.
    give_again_ = give_again_ && consumed > 0 && !remainder_.empty();
    if (give_again_ && !paused()) wake();
    return !ended_ && had_tls == (tls_ != nullptr);
}

/// Something happened to a link that must not read. Bytes stay in the kernel, and libuv stops telling of
/// them; a peer that went away is told at once when nothing of it waits to be read, and after the pause
/// otherwise.
void SocketLink::while_paused(bool departed) {
    reads_ = false;
    if (tls_ && departed && !tls_->has_input()) {
        // A TLS peer says goodbye in a message of its own: only decrypting tells it from data.
        const auto space = loop().sealed_scratch();
        const ssize_t got = receive(descriptor(), space, 0);
        if (got > 0) tls_->keep(Bytes{space.data(), static_cast<size_t>(got)});
        if (tls_->peek() == TlsStream::Step::closed) {
            end_of_stream();
            return;
        }
    }
    std::byte one{};
    const ssize_t got = receive(descriptor(), {&one, 1}, MSG_PEEK);
    const bool all_read = !tls_ || !tls_->has_input();
    if (got == 0 && all_read) {
        end_of_stream();
    } else if (got < 0 && !nothing_there(errno) && all_read) {
        end_with_error(errno);
    } else if (got < 0 && write_error_ != 0 && all_read) {
        end_with_error(write_error_);
    } else if (broken_ && !queue_.empty()) {
        // A reset, with bytes owed that it will never take: what it sent before asks for nothing any more.
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(descriptor(), SOL_SOCKET, SO_ERROR, &error, &size);
        end_with_error(error != 0 ? error : ECONNRESET);
    } else {
        if (departed) departure_ = false;
        watch_events();
    }
}

void SocketLink::end_of_stream() {
    if (write_error_ != 0) {
        end_with_error(write_error_);
    } else {
        end(engine::LinkEnd::closed_by_peer, "closed by the peer");
    }
}

void SocketLink::end_with_error(int error) {
    const std::string detail = error == 0 ? "connection broken" : error_text(error);
    end(engine::LinkEnd::reset, detail);
}

/// The last call to the owner.
void SocketLink::end(engine::LinkEnd how, std::string_view detail) {
    const std::string text{detail};  // the owner may destroy what the view is of
    ended_ = true;
    remainder_.clear();
    queue_.clear();
    timer_.reset();
    watch_events();
    owner_->on_ended(how, text);
}

}  // namespace holdfast::loop
