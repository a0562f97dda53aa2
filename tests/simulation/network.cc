#include "tests/simulation/network.h"

#include <algorithm>
#include <utility>

namespace holdfast::simulation {

using namespace std::chrono_literals;

size_t Endpoint::send(Bytes bytes) {
    if (shut_ || reset_) return bytes.size();  // into the void, as after an EPIPE that nobody looks at
    const size_t room = window_ > on_the_way_ ? window_ - on_the_way_ : 0;
    const size_t size = std::min(room, bytes.size());
    on_the_way_ += size;
    // In pieces: mostly one, now and then several, some of a single byte.
    Random& random = network_->random();
    size_t sent = 0;
    int cuts = random.chance(20) ? static_cast<int>(random.between(1, 3)) : 0;
    while (sent < size) {
        size_t piece = std::min(size - sent, piece_max_);
        if (cuts > 0 && piece > 1) {
            --cuts;
            piece = random.chance(30) ? 1 : random.between(1, piece - 1);
        }
        Piece made;
        const Bytes part = bytes.subspan(sent, piece);
        made.bytes.assign(part.begin(), part.end());
        sent += piece;
        ship(std::move(made));
    }
    return size;
}

void Endpoint::shut() {
    if (shut_ || reset_) return;
    shut_ = true;
    Piece piece;
    piece.ends = true;
    ship(std::move(piece));
}

void Endpoint::abort() {
    if (reset_) return;
    reset_ = true;
    shut_ = true;
    Piece piece;
    piece.resets = true;
    ship(std::move(piece));
}

void Endpoint::ship(Piece piece) {
    if (piece.sent_at == TimePoint{}) piece.sent_at = network_->events().now();
    if (host_ && !host_->reachable) {
        stalled_.push_back(std::move(piece));
        return;
    }
    const TimePoint earliest =
        network_->events().now() + network_->random().between(latency_min_, latency_max_);
    last_arrival_ = std::max(earliest, last_arrival_ + 1ns);
    auto shared = std::make_shared<Piece>(std::move(piece));
    network_->events().at(last_arrival_, [peer = peer_, from = weak_from_this(), shared] {
        if (const auto to = peer.lock()) {
            to->arrive(std::move(*shared));
        } else if (const auto sender = from.lock(); sender && !shared->ends && !shared->resets) {
            // Nobody is there any more.
            Piece answer;
            answer.resets = true;
            sender->arrive(std::move(answer));
        }
    });
}

void Endpoint::arrive(Piece piece) {
    if (reset_) return;
    if (piece.resets) {
        reset_ = true;
    } else if (piece.ends) {
        ended_ = true;
    } else {
        available_ += piece.bytes.size();
        arrived_.push_back(std::move(piece));
    }
    changed();
}

void Endpoint::changed() {
    if (on_change) {
        const auto call = on_change;
        call();
    }
}

void Endpoint::take(size_t max, ByteBuffer& out) {
    size_t taken = 0;
    while (taken < max && !arrived_.empty()) {
        Piece& first = arrived_.front();
        const size_t size = std::min(max - taken, first.bytes.size() - first_used_);
        append(out, Bytes(first.bytes).subspan(first_used_, size));
        taken += size;
        first_used_ += size;
        taken_sent_at_ = first.sent_at;
        if (first_used_ == first.bytes.size()) {
            arrived_.pop_front();
            first_used_ = 0;
        }
    }
    available_ -= taken;
    if (taken == 0) return;
    const Duration back = network_->random().between(latency_min_, latency_max_);
    network_->events().after(back, [peer = peer_, taken] {
        const auto sender = peer.lock();
        if (!sender) return;
        const bool was_full = sender->on_the_way_ >= sender->window_;
        sender->on_the_way_ -= std::min(sender->on_the_way_, taken);
        if (was_full && !sender->reset_) sender->changed();
    });
}

Connection Network::connect(std::shared_ptr<Host> host) {
    Connection made{std::make_shared<Endpoint>(), std::make_shared<Endpoint>()};
    const Duration least = random_.between(Duration(20us), Duration(200us));
    const Duration most =
        least + random_.between(Duration(10us), random_.chance(20) ? Duration(5ms) : Duration(500us));
    const size_t window = random_.chance(25) ? random_.between(200, 4'000) : random_.between(16'000, 300'000);
    for (auto* end : {made.near.get(), made.far.get()}) {
        end->network_ = this;
        end->host_ = host;
        end->latency_min_ = least;
        end->latency_max_ = most;
        end->window_ = window;
        end->piece_max_ = random_.between(1'000, 40'000);
    }
    made.near->peer_ = made.far;
    made.far->peer_ = made.near;
    if (host) {
        std::erase_if(known_, [](const Known& each) { return each.near.expired() && each.far.expired(); });
        known_.push_back({made.near, made.far, host});
    }
    return made;
}

Duration Network::latency() {
    return random_.between(Duration(30us), Duration(700us));
}

void Network::cut_off(const std::shared_ptr<Host>& host, Duration give_up) {
    if (!host->reachable) return;
    host->reachable = false;
    host->unreachable_since = events_.now();
    const TimePoint since = events_.now();
    events_.after(give_up, [this, host, since] {
        if (host->reachable || host->unreachable_since != since) return;
        for (const Known& each : known_) {
            const auto near = each.near.lock();
            if (!near || each.host.lock() != host || near->stalled_.empty()) continue;
            near->reset_ = true;
            near->changed();
        }
    });
}

void Network::join(const std::shared_ptr<Host>& host) {
    if (host->reachable) return;
    host->reachable = true;
    for (const Known& each : known_) {
        if (each.host.lock() != host) continue;
        for (const auto& end : {each.near.lock(), each.far.lock()}) {
            if (!end) continue;
            for (auto& piece : std::exchange(end->stalled_, {})) end->ship(std::move(piece));
        }
    }
}

void Network::forget_connections(const std::shared_ptr<Host>& host) {
    for (const Known& each : known_) {
        if (each.host.lock() != host) continue;
        if (const auto near = each.near.lock(); near && !near->reset_) {
            near->stalled_.clear();
            Endpoint::Piece reset;
            reset.resets = true;
            events_.after(latency(), [end = std::weak_ptr<Endpoint>(near), reset]() mutable {
                if (const auto alive = end.lock()) alive->arrive(std::move(reset));
            });
        }
    }
}

}  // namespace holdfast::simulation
