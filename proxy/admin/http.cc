#include "proxy/admin/http.h"

#include <algorithm>
#include <chrono>
#include <unistd.h>
#include <utility>

#include "config/address.h"
#include "proxy/admin/http_daemon.h"
#include "proxy/admin/listen_socket.h"

namespace holdfast::admin {

namespace {

/// For the answer to the very request that closes its address.
constexpr std::chrono::seconds leave_time{2};

std::vector<config::Endpoint> endpoints_of(const config::Admin& admin) {
    std::vector<config::Endpoint> all;
    if (admin.listen) all.push_back(*admin.listen);
    if (!admin.socket.empty()) all.push_back({.host = {}, .port = 0, .unix_path = admin.socket});
    return all;
}

}  // namespace

HttpServer::HttpServer(health::EventLoop& loop, Log& log, AdminSources sources)
    : loop_(loop), log_(log), sources_(std::move(sources)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(health::EventLoop& loop, Log& log,
                                                      const config::Admin& admin, AdminSources sources) {
    std::unique_ptr<HttpServer> self(new HttpServer(loop, log, std::move(sources)));
    if (Status opened = self->open(admin); !opened) return opened.error();
    self->keep(admin);
    return self;
}

HttpServer::~HttpServer() {
    for (auto* gates : {&gates_, &opened_, &leaving_}) {
        for (Gate& gate : *gates) close(gate);
    }
}

void HttpServer::close(Gate& gate) {
    gate.daemons.clear();
    if (gate.endpoint.is_unix()) ::unlink(gate.endpoint.unix_path.c_str());
}

uint16_t HttpServer::port() const {
    for (const Gate& gate : gates_) {
        if (gate.port != 0) return gate.port;
    }
    return 0;
}

Result<HttpServer::Gate> HttpServer::open_gate(const config::Endpoint& endpoint) {
    auto sockets = listen_at(endpoint);
    if (!sockets) return sockets.error();
    Gate gate;
    gate.endpoint = endpoint;
    gate.port = port_of_socket(sockets->front().get());
    for (loop::Descriptor& socket : *sockets) {
        auto daemon = HttpDaemon::start(
            loop_, std::move(socket),
            [this](const Request& request, const Reply& reply) { answer(request, sources_, reply); });
        if (!daemon) {
            close(gate);
            return Error{daemon.error().code, config::to_text(endpoint) + ": " + daemon.error().message};
        }
        gate.daemons.push_back(*std::move(daemon));
    }
    return gate;
}

Status HttpServer::open(const config::Admin& admin) {
    // An address that was left a moment ago may be wanted again.
    for (Gate& gate : leaving_) close(gate);
    leaving_.clear();
    for (const config::Endpoint& endpoint : endpoints_of(admin)) {
        const bool is_open = std::any_of(gates_.begin(), gates_.end(),
                                         [&](const Gate& gate) { return gate.endpoint == endpoint; });
        if (is_open) continue;
        auto gate = open_gate(endpoint);
        if (!gate) {
            forget_opened();
            return gate.error();
        }
        opened_.push_back(*std::move(gate));
    }
    return {};
}

void HttpServer::forget_opened() {
    for (Gate& gate : opened_) close(gate);
    opened_.clear();
}

void HttpServer::keep(const config::Admin& admin) {
    const auto wanted = endpoints_of(admin);
    for (Gate& gate : std::exchange(gates_, {})) {
        const bool is_wanted = std::find(wanted.begin(), wanted.end(), gate.endpoint) != wanted.end();
        if (!is_wanted) {
            log_.info("admin_listening_no_more", {{"address", config::to_text(gate.endpoint)}});
        }
        (is_wanted ? gates_ : leaving_).push_back(std::move(gate));
    }
    for (Gate& gate : std::exchange(opened_, {})) {
        log_.info("admin_listening", {{"address", config::to_text(gate.endpoint)}, {"port", gate.port}});
        gates_.push_back(std::move(gate));
    }
    if (leaving_.empty()) return;
    leave_timer_ = loop_.after(leave_time, [this] {
        for (Gate& gate : std::exchange(leaving_, {})) close(gate);
    });
}

}  // namespace holdfast::admin
