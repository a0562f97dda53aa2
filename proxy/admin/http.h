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

    /// The TCP port it listens on (configured, or chosen by the system for port 0); 0: not on TCP.
    uint16_t port() const { return port_; }

private:
    HttpServer(Log& log, AdminSources sources);
    Status add(health::EventLoop& loop, const config::Endpoint& endpoint);

    Log& log_;
    AdminSources sources_;
    std::vector<std::string> socket_paths_;  // removed at the end
    uint16_t port_ = 0;
    std::vector<std::unique_ptr<HttpDaemon>> daemons_;
};

}  // namespace holdfast::admin
