#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>

#include "protocol/base/bytes.h"
#include "tests/simulation/events.h"
#include "tests/simulation/random.h"

namespace holdfast::simulation {

/// How one machine is reached by everyone else.
struct Host {
    bool reachable =
        true;  // false: what is sent to it or by it waits, as TCP repeats it until it gets through
    TimePoint unreachable_since{};
};

class Network;

/// One end of a byte stream: what a socket and its kernel do. Bytes arrive late, in random pieces; a sender
/// gets only as much on its way as the window has room for until the receiver takes it.
/// Owned by whoever uses it; destroying it ends the stream for the other end.
class Endpoint : public std::enable_shared_from_this<Endpoint> {
public:
    /// Called in a turn of its own after anything has changed: bytes, room, the end.
    std::function<void()> on_change;

    /// Sends what the window has room for; returns how much that is.
    size_t send(Bytes bytes);
    /// Ends this side's stream, behind what was sent.
    void shut();
    /// Breaks the stream: the other end sees a reset behind what was sent.
    void abort();

    size_t available() const { return available_; }
    /// Appends up to `max` bytes that have arrived to `out`.
    void take(size_t max, ByteBuffer& out);
    /// When the last byte taken was sent.
    TimePoint taken_sent_at() const { return taken_sent_at_; }
    /// The other side has ended its stream, and all of it was taken.
    bool at_end() const { return ended_ && available_ == 0; }
    bool is_reset() const { return reset_ && available_ == 0; }

private:
    friend class Network;
    struct Piece {
        ByteBuffer bytes;
        TimePoint sent_at{};
        bool ends = false;
        bool resets = false;
    };
    void ship(Piece piece);
    void arrive(Piece piece);
    void changed();

    Network* network_ = nullptr;
    std::weak_ptr<Endpoint> peer_;
    std::shared_ptr<Host> host_;  // the machine on the way, if any can be cut off
    std::deque<Piece> arrived_;
    std::deque<Piece> stalled_;  // on their way to the peer when the host was cut off
    size_t first_used_ = 0;
    size_t available_ = 0;
    size_t window_ = 65'536;
    size_t on_the_way_ = 0;  // sent by this end and not taken by the other
    size_t piece_max_ = 65'536;
    TimePoint last_arrival_{};
    TimePoint taken_sent_at_{};
    Duration latency_min_{};
    Duration latency_max_{};
    bool ended_ = false;
    bool reset_ = false;
    bool shut_ = false;
};

struct Connection {
    std::shared_ptr<Endpoint> near;
    std::shared_ptr<Endpoint> far;
};

class Network {
public:
    Network(Events& events, Random& random) : events_(events), random_(random) {}

    Events& events() { return events_; }
    Random& random() { return random_; }
    /// Two ends that are connected; `host` is the machine at one of them that may be cut off.
    Connection connect(std::shared_ptr<Host> host);
    /// The time that one packet takes now.
    Duration latency();

    /// Cuts a machine off; connections that have something on the way break at the near end after `give_up`.
    void cut_off(const std::shared_ptr<Host>& host, Duration give_up);
    /// What waited gets through.
    void join(const std::shared_ptr<Host>& host);
    /// The host comes back without its memory: whoever still talks to its old connections gets a reset.
    void forget_connections(const std::shared_ptr<Host>& host);

private:
    struct Known {
        std::weak_ptr<Endpoint> near;
        std::weak_ptr<Endpoint> far;
        std::weak_ptr<Host> host;
    };
    Events& events_;
    Random& random_;
    std::list<Known> known_;
};

}  // namespace holdfast::simulation
