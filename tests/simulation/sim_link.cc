#include "tests/simulation/sim_link.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "protocol/base/limits.h"

namespace holdfast::simulation {

using engine::LinkEnd;

namespace {
constexpr auto finish_time_max = std::chrono::seconds(5);
}

SimLink::SimLink(Network& network, std::shared_ptr<Endpoint> endpoint)
    : network_(network), endpoint_(std::move(endpoint)) {
    endpoint_->on_change = [this] { on_change(); };
}

SimLink::~SimLink() {
    *alive_ = false;
    if (finish_limit_) finish_limit_->run = {};
    endpoint_->on_change = {};
    if (queued() > 0) (void)endpoint_->send(Bytes(queue_).subspan(queue_used_));
    // Closing a socket that holds unread bytes sends a reset.
    if (endpoint_->available() > 0) {
        endpoint_->abort();
    } else {
        endpoint_->shut();
    }
}

void SimLink::adopt(engine::LinkOwner& owner) {
    owner_ = &owner;
    wake();
}

/// Calls on_change() in a turn of its own.
void SimLink::wake() {
    network_.events().after(Duration{0}, [this, alive = alive_] {
        if (*alive) on_change();
    });
}

void SimLink::write(Bytes first, Bytes second) {
    if (ended_ || finishing_) return;
    for (Bytes part : {first, second}) {
        if (queued() == 0) part = part.subspan(endpoint_->send(part));
        append(queue_, part);
    }
    if (queued() > limits::write_queue_high_bytes) over_high_ = true;
}

void SimLink::pause(engine::Pause reason) {
    pauses_ |= static_cast<unsigned>(reason);
}

void SimLink::resume(engine::Pause reason) {
    if (pauses_ == 0) return;
    pauses_ &= ~static_cast<unsigned>(reason);
    if (pauses_ != 0 || ended_ || finishing_) return;
    give_again_ = true;
    wake();
}

// The runs are without TLS: whoever asks for it has gone wrong.
void SimLink::start_tls_as_server(Bytes) {
    std::abort();
}
void SimLink::start_tls_as_client(const config::ServerTls&, const std::string&) {
    std::abort();
}

void SimLink::finish() {
    if (ended_) {
        delete this;
        return;
    }
    finishing_ = true;
    owner_ = nullptr;
    remainder_.clear();
    finish_limit_ = network_.events().after(finish_time_max, [this] { delete this; });
    wake();
}

void SimLink::on_change() {
    if (!flush()) return;
    if (finishing_) return go_on_finishing();
    read();
}

/// False: the link is gone, or its owner has no more use for it.
bool SimLink::flush() {
    if (queued() == 0 || ended_) return true;
    queue_used_ += endpoint_->send(Bytes(queue_).subspan(queue_used_));
    if (queued() == 0) {
        queue_.clear();
        queue_used_ = 0;
    }
    if (!over_high_ || queued() >= limits::write_queue_low_bytes) return true;
    over_high_ = false;
    if (!owner_) return true;
    const auto alive = alive_;
    owner_->on_writable();
    return *alive && !ended_;
}

void SimLink::read() {
    if (ended_ || !owner_) return;
    if (!paused()) {
        if (give_again_ && !remainder_.empty() && !give({})) return;
        if (endpoint_->available() > 0 && !paused()) {
            size_t size = std::min(endpoint_->available(), limits::read_chunk_bytes);
            if (size > 1 && network_.random().chance(10)) size = network_.random().between(1, size);
            ByteBuffer added;
            endpoint_->take(size, added);
            const bool more = endpoint_->available() > 0 || endpoint_->at_end() || endpoint_->is_reset();
            if (!give(std::move(added))) return;
            if (more) wake();
            return;
        }
    }
    if (endpoint_->is_reset()) return end(LinkEnd::reset, "connection reset");
    if (endpoint_->at_end()) return end(LinkEnd::closed_by_peer, "closed by the peer");
}

/// Gives the owner what it left and the new bytes. False: the link is gone or has ended.
bool SimLink::give(ByteBuffer added) {
    ByteBuffer bytes = std::exchange(remainder_, {});
    append(bytes, added);
    bytes.shrink_to_fit();
    give_again_ = false;
    const auto alive = alive_;
    const size_t consumed = std::min(owner_->on_bytes(bytes), bytes.size());
    if (!*alive || finishing_) return false;
    remainder_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(consumed), bytes.end());
    // Paused and resumed in the same call: only after progress, or it would go round for ever.
    give_again_ = give_again_ && consumed > 0 && !remainder_.empty();
    if (give_again_ && !paused()) wake();
    return !ended_;
}

void SimLink::end(LinkEnd how, std::string_view detail) {
    ended_ = true;
    remainder_.clear();
    queue_.clear();
    queue_used_ = 0;
    owner_->on_ended(how, detail);
}

void SimLink::go_on_finishing() {
    if (queued() == 0) endpoint_->shut();
    ByteBuffer dropped;
    endpoint_->take(endpoint_->available(), dropped);
    if (endpoint_->is_reset() || (endpoint_->at_end() && queued() == 0)) delete this;
}

}  // namespace holdfast::simulation
