#include "proxy/loop/connector.h"

#include <cerrno>
#include <deque>
#include <optional>
#include <sys/socket.h>

#include "proxy/loop/address.h"
#include "proxy/loop/socket_link.h"
#include "proxy/loop/socket_options.h"
#include "proxy/loop/timer.h"
#include "proxy/loop/uv_ptr.h"

namespace holdfast::loop {
namespace {

/// The kernel tells nobody when a Unix socket's queue of connections has room again.
constexpr auto unix_retry = std::chrono::milliseconds(10);

struct ConnectState : uv_poll_t {};
using ConnectHandle = UvPtr<ConnectState, uv_poll_t>;

class Attempt final : public engine::Timer {
public:
    using Done = std::function<void(Result<std::unique_ptr<engine::Link>>)>;

    Attempt(Loop& loop, const config::Endpoint& endpoint, const config::Cluster& cluster,
            engine::LinkOwner& owner, Done on_done)
        : loop_(loop),
          endpoint_(endpoint),
          keepalive_(cluster.keepalive),
          silence_(cluster.tcp_user_timeout),
          deadline_(loop.now() + cluster.connect_timeout),
          timeout_(cluster.connect_timeout),
          owner_(owner),
          on_done_(std::move(on_done)) {}

    void start();

private:
    void try_next();
    void try_address(const SocketAddress& address);
    void on_ready();
    void give_up(ErrorCode code, const std::string& why);
    void connected();
    void finish(Result<std::unique_ptr<engine::Link>> result);

    Loop& loop_;
    const config::Endpoint endpoint_;
    const config::Keepalive keepalive_;
    const std::chrono::milliseconds silence_;
    const TimePoint deadline_;
    const std::chrono::milliseconds timeout_;
    engine::LinkOwner& owner_;
    Done on_done_;
    std::unique_ptr<health::Watch> look_up_;
    std::deque<SocketAddress> addresses_;  // not tried yet
    std::string trying_;                   // for messages
    Descriptor socket_;
    ConnectHandle poll_;
    TimerHandle timer_;
    std::optional<Error> error_;  // of the addresses tried so far
};

void Attempt::start() {
    if (endpoint_.is_unix()) {
        if (auto address = unix_address(endpoint_.unix_path)) {
            addresses_.push_back(*address);
        } else {
            error_ = address.error();
        }
        timer_ = start_timer(loop_, Duration::zero(), [this] { try_next(); });
        return;
    }
    timer_ = start_timer(loop_, timeout_, [this] {
        finish(Error{ErrorCode::timed_out, "can't connect to " + to_text(endpoint_) +
                                               ": resolving the name took longer than " +
                                               std::to_string(timeout_.count()) + "ms"});
    });
    look_up_ = loop_.events().resolve(endpoint_.host, [this](Result<std::vector<std::string>> hosts) {
        look_up_.reset();
        if (!hosts) {
            finish(hosts.error());
            return;
        }
        for (const std::string& host : *hosts) {
            if (auto address = numeric_address(host, endpoint_.port)) addresses_.push_back(*address);
        }
        try_next();
    });
}

void Attempt::try_next() {
    timer_.reset();
    poll_.reset();
    socket_.reset();
    if (addresses_.empty()) {
        finish(error_
                   ? *error_
                   : Error{ErrorCode::not_found, "can't connect to " + to_text(endpoint_) + ": no address"});
        return;
    }
    const SocketAddress address = addresses_.front();
    addresses_.pop_front();
    try_address(address);
}

void Attempt::try_address(const SocketAddress& address) {
    trying_ = endpoint_.is_unix() ? endpoint_.unix_path
                                  : to_text(host_text(address.get(), address.size), port_of(address));
    socket_ = open_stream_socket(address.family());
    if (!socket_) {
        const bool full = errno == EMFILE || errno == ENFILE;
        give_up(full ? ErrorCode::limit_exceeded : ErrorCode::unreachable, error_text(errno));
        return;
    }
    if (socket_.get() >= loop_.descriptor_ceiling()) {
        socket_.reset();
        give_up(ErrorCode::limit_exceeded, "the descriptors left are kept for the admin address");
        return;
    }
    if (!endpoint_.is_unix()) set_tcp_options(socket_.get(), keepalive_);
    const int result = ::connect(socket_.get(), address.get(), address.size);
    if (result == 0) {
        connected();
        return;
    }
    const auto left = deadline_ - loop_.now();
    if (errno == EAGAIN && endpoint_.is_unix()) {
        if (left <= Duration::zero()) {
            give_up(ErrorCode::timed_out, "its queue of connections stayed full");
            return;
        }
        timer_ = start_timer(loop_, unix_retry, [this, address] { try_address(address); });
        return;
    }
    if (errno != EINPROGRESS) {
        give_up(ErrorCode::unreachable, error_text(errno));
        return;
    }
    auto state = std::make_unique<ConnectState>();
    if (const int error = uv_poll_init(loop_.uv(), state.get(), socket_.get()); error != 0) {
        give_up(ErrorCode::internal, uv_strerror(error));
        return;
    }
    poll_ = ConnectHandle{state.release()};
    poll_->data = this;
    uv_poll_start(poll_.get(), UV_WRITABLE, [](uv_poll_t* handle, int, int) {
        Loop::of(handle->loop).tick();
        if (handle->data != nullptr) static_cast<Attempt*>(handle->data)->on_ready();
    });
    // An address that swallows packets must not use up the time of those after it.
    const auto share = left / static_cast<int64_t>(addresses_.size() + 1);
    timer_ = start_timer(loop_, share, [this] {
        give_up(ErrorCode::timed_out,
                "no answer within the connect timeout of " + std::to_string(timeout_.count()) + "ms");
    });
}

void Attempt::on_ready() {
    if (const int error = take_socket_error(socket_.get()); error != 0) {
        give_up(error == ETIMEDOUT ? ErrorCode::timed_out : ErrorCode::unreachable, error_text(error));
        return;
    }
    connected();
}

/// With this address; the others have their turn.
void Attempt::give_up(ErrorCode code, const std::string& why) {
    if (!error_) {
        error_ = Error{code, "can't connect to " + trying_ + ": " + why};
    } else {
        error_->message += "; to " + trying_ + ": " + why;
    }
    try_next();
}

void Attempt::connected() {
    timer_.reset();
    poll_.reset();  // before the link watches the same descriptor
    auto link = SocketLink::open(loop_, std::move(socket_));
    if (!link) {
        finish(link.error());
        return;
    }
    (*link)->adopt(owner_);
    if (!endpoint_.is_unix()) (*link)->watch_silence(silence_);
    finish(Result<std::unique_ptr<engine::Link>>{std::move(*link)});
}

void Attempt::finish(Result<std::unique_ptr<engine::Link>> result) {
    timer_.reset();
    poll_.reset();
    socket_.reset();
    look_up_.reset();
    const Done done = std::move(on_done_);  // it may destroy this attempt
    done(std::move(result));
}

}  // namespace

std::unique_ptr<engine::Timer> start_connecting(
    Loop& loop, const config::Endpoint& address, const config::Cluster& cluster, engine::LinkOwner& owner,
    std::function<void(Result<std::unique_ptr<engine::Link>>)> on_done) {
    auto attempt = std::make_unique<Attempt>(loop, address, cluster, owner, std::move(on_done));
    attempt->start();
    return attempt;
}

}  // namespace holdfast::loop
