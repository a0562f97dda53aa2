#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <string_view>
#include <utility>

#include "health/event_loop.h"
#include "protocol/base/result.h"
#include "proxy/admin/pages.h"
#include "proxy/loop/socket_options.h"

struct MHD_Daemon;
struct MHD_Connection;

namespace holdfast::admin {

/// Bounds of one daemon. A slow or hostile peer can hold some connections for some seconds, and no more.
inline constexpr unsigned http_connections_max = 64;
inline constexpr size_t http_connection_bytes_max = 32'768;  // request head and answer head
inline constexpr size_t http_body_bytes_max = 65'536;
inline constexpr std::chrono::seconds http_idle_timeout{10};
inline constexpr std::chrono::seconds http_connection_lifetime_max{30};  // however busy the peer looks
/// With more connections than this, each has less time to send its request and take the answer: peers that do
/// nothing must not keep out those that ask whether the proxy lives.
inline constexpr size_t http_connections_calm_max = 32;
inline constexpr std::chrono::milliseconds http_crowded_lifetime_max{500};
static_assert(http_connections_calm_max < http_connections_max);

/// One libmicrohttpd daemon in its external-loop mode: it has an epoll descriptor of its own, which the
/// event loop watches. Owned by HttpServer.
class HttpDaemon {
public:
    using Answer = std::function<void(const Request& request, Reply reply)>;

    /// Takes the listening socket. `answer` is called with each request and replies at once or later; a reply
    /// to a connection that is gone meanwhile is dropped.
    /// errors  internal: libmicrohttpd refused
    static Result<std::unique_ptr<HttpDaemon>> start(health::EventLoop& loop, loop::Descriptor socket,
                                                     Answer answer);
    ~HttpDaemon();
    HttpDaemon(const HttpDaemon&) = delete;
    HttpDaemon& operator=(const HttpDaemon&) = delete;

    /// For libmicrohttpd's callbacks.
    struct OpenConnection {
        TimePoint since;
        int descriptor;
        bool is_cut_off = false;
        bool awaits_reply = false;  // its request is complete, and is being seen to
    };
    /// A request that is being received or answered. Belongs to its connection.
    struct Exchange {
        Request request;
        bool is_head_taken = false;
        bool is_too_long = false;
        bool is_suspended = false;
        bool is_asked = false;
        std::unique_ptr<Page> page;
    };
    /// Takes the next step of a request whose body is complete: asks, suspends, or sends the answer.
    int go_on(const std::shared_ptr<Exchange>& exchange, MHD_Connection* connection);
    /// The result is valid until connection_closed with it.
    OpenConnection* connection_opened(int descriptor);
    void connection_closed(const OpenConnection* connection);

private:
    HttpDaemon(health::EventLoop& loop, Answer answer);
    void run();
    void run_soon();
    void arm_timer();
    Duration lifetime_of(const OpenConnection& connection) const;
    void cut_off_old_connections();

    health::EventLoop& loop_;
    Answer answer_;
    std::list<OpenConnection> open_;      // oldest first; a list, because libmicrohttpd keeps their addresses
    bool connection_was_closed_ = false;  // since the last round
    std::shared_ptr<HttpDaemon*> self_;   // emptied at the end: replies that come later find nobody
    std::list<MHD_Connection*> suspended_;
    MHD_Daemon* daemon_ = nullptr;
    std::unique_ptr<health::Watch> readiness_;
    std::unique_ptr<health::Watch> timer_;
};

}  // namespace holdfast::admin
