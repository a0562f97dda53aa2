#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "health/event_loop.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"
#include "proxy/admin/pages.h"

namespace holdfast::admin {

class HttpDaemon;

/// The admin address: HTTP on the proxy's own event loop, by libmicrohttpd. Connections are bounded in number
/// (per address that it listens on), memory and time, and closed after each answer. Owned by the program;
/// destroying it closes its sockets. Must not outlive the loop or the log.
class HttpServer {
public:
    /// Listens at admin.listen and at admin.socket, whichever are set; none set makes a server that does
    /// nothing.
    /// errors  those of listen_at; internal: libmicrohttpd refused
    static Result<std::unique_ptr<HttpServer>> start(health::EventLoop& loop, Log& log,
                                                     const config::Admin& admin, AdminSources sources);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// The first step to other addresses: opens those that are not open yet, which changes nothing else.
    /// errors  as start(); then nothing stays open
    Status open(const config::Admin& admin);
    /// The second: those that were opened stay, and those that are not wanted any more are closed, once the
    /// answers under way there had a moment to leave.
    void keep(const config::Admin& admin);
    /// Instead of keep(): closes what open() has opened.
    void forget_opened();

    /// The TCP port it listens on (configured, or chosen by the system for port 0); 0: not on TCP.
    uint16_t port() const;

private:
    /// One address that it listens on.
    struct Gate {
        config::Endpoint endpoint;
        uint16_t port = 0;
        std::vector<std::unique_ptr<HttpDaemon>> daemons;
    };
    HttpServer(health::EventLoop& loop, Log& log, AdminSources sources);
    Result<Gate> open_gate(const config::Endpoint& endpoint);
    static void close(Gate& gate);

    health::EventLoop& loop_;
    Log& log_;
    AdminSources sources_;
    std::vector<Gate> gates_;
    std::vector<Gate> opened_;   // by open(), and not kept yet
    std::vector<Gate> leaving_;  // until leave_timer_
    std::unique_ptr<health::Watch> leave_timer_;
};

}  // namespace holdfast::admin
