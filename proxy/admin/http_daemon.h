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
inline constexpr std::chrono::seconds http_idle_timeout{10};
inline constexpr std::chrono::seconds http_connection_lifetime_max{30};  // however busy the peer looks

/// One libmicrohttpd daemon in its external-loop mode: it has an epoll descriptor of its own, which the
/// event loop watches. Owned by HttpServer.
class HttpDaemon {
public:
    using Answer = std::function<Page(std::string_view method, std::string_view path)>;

    /// Takes the listening socket.
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
    };
    Page answer(std::string_view method, std::string_view path) const { return answer_(method, path); }
    /// The result is valid until connection_closed with it.
    OpenConnection* connection_opened(int descriptor);
    void connection_closed(const OpenConnection* connection);

private:
    HttpDaemon(health::EventLoop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {}
    void run();
    void arm_timer();
    void cut_off_old_connections();

    health::EventLoop& loop_;
    Answer answer_;
    std::list<OpenConnection> open_;      // oldest first; a list, because libmicrohttpd keeps their addresses
    bool connection_was_closed_ = false;  // since the last round
    MHD_Daemon* daemon_ = nullptr;
    std::unique_ptr<health::Watch> readiness_;
    std::unique_ptr<health::Watch> timer_;
};

}  // namespace holdfast::admin
