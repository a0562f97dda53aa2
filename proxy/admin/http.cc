#include "proxy/admin/http.h"

#include <unistd.h>
#include <utility>

#include "config/address.h"
#include "proxy/admin/http_daemon.h"
#include "proxy/admin/listen_socket.h"

namespace holdfast::admin {

HttpServer::HttpServer(Log& log, AdminSources sources) : log_(log), sources_(std::move(sources)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(health::EventLoop& loop, Log& log,
                                                      const config::Admin& admin, AdminSources sources) {
    std::unique_ptr<HttpServer> self(new HttpServer(log, std::move(sources)));
    if (admin.listen) {
        if (Status added = self->add(loop, *admin.listen); !added) return added.error();
    }
    if (!admin.socket.empty()) {
        if (Status added = self->add(loop, {.host = {}, .port = 0, .unix_path = admin.socket}); !added) {
            return added.error();
        }
    }
    return self;
}

HttpServer::~HttpServer() {
    daemons_.clear();
    for (const std::string& path : socket_paths_) ::unlink(path.c_str());
}

Status HttpServer::add(health::EventLoop& loop, const config::Endpoint& endpoint) {
    auto sockets = listen_at(endpoint);
    if (!sockets) return sockets.error();
    const uint16_t port = port_of_socket(sockets->front().get());
    if (endpoint.is_unix()) {
        socket_paths_.push_back(endpoint.unix_path);
    } else {
        port_ = port;
    }
    for (loop::Descriptor& socket : *sockets) {
        auto daemon = HttpDaemon::start(
            loop, std::move(socket),
            [this](const Request& request, const Reply& reply) { answer(request, sources_, reply); });
        if (!daemon) {
            return Error{daemon.error().code, config::to_text(endpoint) + ": " + daemon.error().message};
        }
        daemons_.push_back(*std::move(daemon));
    }
    log_.info("admin_listening", {{"address", config::to_text(endpoint)}, {"port", port}});
    return {};
}

}  // namespace holdfast::admin
