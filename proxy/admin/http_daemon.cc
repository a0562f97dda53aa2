#include "proxy/admin/http_daemon.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <microhttpd.h>

#include "proxy/admin/gzip.h"

namespace holdfast::admin {

namespace {

using std::chrono::milliseconds;

/// Rounds of libmicrohttpd that one turn of the event loop may take while it says that more is to do, and how
/// long it must wait after those. It says so without end of a request whose head does not fit into the
/// connection's memory, until that connection's timeout.
constexpr int rounds_max = 8;
constexpr milliseconds pause_after_rounds{10};

struct DestroyResponse {
    void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};
using Response = std::unique_ptr<MHD_Response, DestroyResponse>;

MHD_Result send(MHD_Connection* connection, const Page& page) {
    // MUST_COPY takes a pointer to mutable bytes and only reads them.
    const Response response(MHD_create_response_from_buffer(
        page.body.size(), const_cast<char*>(page.body.data()), MHD_RESPMEM_MUST_COPY));
    if (!response) return MHD_NO;
    MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONTENT_TYPE,
                            std::string(page.content_type).c_str());
    MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response.get(), "X-Content-Type-Options", "nosniff");
    // No connection outlives its answer, so that a lifetime can be put on connections.
    MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONNECTION, "close");
    if (page.is_gzip) MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
    if (!page.allow.empty()) {
        MHD_add_response_header(response.get(), MHD_HTTP_HEADER_ALLOW, std::string(page.allow).c_str());
    }
    if (page.content_type.starts_with("text/html")) {
        // The page brings everything with it and talks to its own origin only.
        MHD_add_response_header(response.get(), "Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                                "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                                "frame-ancestors 'none'");
    }
    return MHD_queue_response(connection, page.status, response.get());
}

std::string header_of(MHD_Connection* connection, const char* name) {
    const char* value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value == nullptr ? std::string() : std::string(value);
}

MHD_Result take_argument(void* request, MHD_ValueKind, const char* name, const char* value) noexcept try {
    static_cast<Request*>(request)->query[name] = value == nullptr ? "" : value;
    return MHD_YES;
} catch (...) {
    return MHD_NO;
}

std::string peer_of(MHD_Connection* connection, bool& is_local) {
    const MHD_ConnectionInfo* address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    is_local = false;
    if (address == nullptr || address->client_addr == nullptr) return "unknown";
    if (address->client_addr->sa_family == AF_UNIX) {
        is_local = true;
        const MHD_ConnectionInfo* info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        ucred who{};
        socklen_t size = sizeof who;
        if (info == nullptr || ::getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
            return "unix socket";
        return "unix socket, user " + std::to_string(who.uid);
    }
    char host[INET6_ADDRSTRLEN] = "";
    if (address->client_addr->sa_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, address->client_addr, sizeof in);
        ::inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
    } else {
        sockaddr_in6 in{};
        std::memcpy(&in, address->client_addr, sizeof in);
        ::inet_ntop(AF_INET6, &in.sin6_addr, host, sizeof host);
    }
    return host;
}

using ExchangeRef = std::shared_ptr<HttpDaemon::Exchange>;

void set_awaits_reply(MHD_Connection* connection, bool awaits_reply) {
    const MHD_ConnectionInfo* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info == nullptr || info->socket_context == nullptr) return;
    static_cast<HttpDaemon::OpenConnection*>(info->socket_context)->awaits_reply = awaits_reply;
}

/// Called once with the head of a request, again for each piece of its body, and once more at its end.
/// No exception may pass through the C code above.
MHD_Result on_request(void* daemon, MHD_Connection* connection, const char* path, const char* method,
                      const char* /*version*/, const char* body, size_t* body_bytes, void** seen) noexcept
    try {
    if (*seen == nullptr) *seen = new ExchangeRef(std::make_shared<HttpDaemon::Exchange>());
    const ExchangeRef& exchange = *static_cast<ExchangeRef*>(*seen);
    Request& request = exchange->request;
    if (!exchange->is_head_taken) {
        exchange->is_head_taken = true;
        request.method = method;
        request.path = path;
        request.authorization = header_of(connection, MHD_HTTP_HEADER_AUTHORIZATION);
        request.origin = header_of(connection, MHD_HTTP_HEADER_ORIGIN);
        request.host = header_of(connection, MHD_HTTP_HEADER_HOST);
        request.takes_gzip = accepts_gzip(header_of(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING));
        request.peer = peer_of(connection, request.is_local);
        MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, &take_argument, &request);
        // A method that will be refused is refused before its body comes.
        const bool may_have_body = request.path.starts_with("/api/");
        const bool is_read = request.method == MHD_HTTP_METHOD_GET || request.method == MHD_HTTP_METHOD_HEAD;
        if (is_read || may_have_body) return MHD_YES;
        return static_cast<MHD_Result>(static_cast<HttpDaemon*>(daemon)->go_on(exchange, connection));
    }
    if (*body_bytes > 0) {
        if (request.body.size() + *body_bytes > http_body_bytes_max) {
            exchange->is_too_long = true;
        } else {
            request.body.append(body, *body_bytes);
        }
        *body_bytes = 0;
        return MHD_YES;
    }
    if (exchange->is_too_long) {
        return send(connection, {.status = 413, .body = "the body of the request is too long\n"});
    }
    return static_cast<MHD_Result>(static_cast<HttpDaemon*>(daemon)->go_on(exchange, connection));
} catch (...) {
    return MHD_NO;
}

void on_completed(void*, MHD_Connection*, void** seen, MHD_RequestTerminationCode) noexcept {
    delete static_cast<ExchangeRef*>(*seen);
    *seen = nullptr;
}

void on_connection(void* daemon, MHD_Connection* connection, void** context,
                   MHD_ConnectionNotificationCode code) noexcept try {
    auto& self = *static_cast<HttpDaemon*>(daemon);
    switch (code) {
        case MHD_CONNECTION_NOTIFY_STARTED: {
            const MHD_ConnectionInfo* info =
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
            if (info != nullptr) *context = self.connection_opened(info->connect_fd);
            return;
        }
        case MHD_CONNECTION_NOTIFY_CLOSED:
            self.connection_closed(static_cast<const HttpDaemon::OpenConnection*>(*context));
            *context = nullptr;
            return;
    }
} catch (...) {
    // Without memory for its record the connection has no lifetime limit, only the idle timeout.
}

}  // namespace

Result<std::unique_ptr<HttpDaemon>> HttpDaemon::start(health::EventLoop& loop, loop::Descriptor socket,
                                                      Answer answer) {
    std::unique_ptr<HttpDaemon> self(new HttpDaemon(loop, std::move(answer)));
    self->daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr, &on_request, self.get(),  //
        MHD_OPTION_LISTEN_SOCKET, socket.get(),                                                  //
        MHD_OPTION_CONNECTION_LIMIT, http_connections_max,                                       //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, http_connection_bytes_max,                           //
        MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(http_idle_timeout.count()),         //
        MHD_OPTION_NOTIFY_COMPLETED, &on_completed, nullptr,                                     //
        MHD_OPTION_NOTIFY_CONNECTION, &on_connection, static_cast<void*>(self.get()),            //
        MHD_OPTION_END);
    if (self->daemon_ == nullptr) return Error{ErrorCode::internal, "libmicrohttpd does not start"};
    socket.release();  // MHD_stop_daemon closes it
    const MHD_DaemonInfo* info = MHD_get_daemon_info(self->daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == nullptr) return Error{ErrorCode::internal, "libmicrohttpd has no epoll descriptor"};
    self->readiness_ =
        loop.watch(info->epoll_fd, health::Readiness::readable, [daemon = self.get()] { daemon->run(); });
    self->arm_timer();
    return self;
}

HttpDaemon::HttpDaemon(health::EventLoop& loop, Answer answer)
    : loop_(loop), answer_(std::move(answer)), self_(std::make_shared<HttpDaemon*>(this)) {}

int HttpDaemon::go_on(const ExchangeRef& exchange, MHD_Connection* connection) {
    if (!exchange->is_asked) {
        exchange->is_asked = true;
        answer_(exchange->request, [self = self_, exchange, connection](Page page) {
            if (exchange->page) return;
            exchange->page = std::make_unique<Page>(std::move(page));
            if (!exchange->is_suspended || *self == nullptr) return;
            exchange->is_suspended = false;
            set_awaits_reply(connection, false);
            (*self)->suspended_.remove(connection);
            MHD_resume_connection(connection);
            (*self)->run_soon();
        });
        if (!exchange->page) {
            exchange->is_suspended = true;
            suspended_.push_back(connection);
            set_awaits_reply(connection, true);
            MHD_suspend_connection(connection);
            return MHD_YES;
        }
    }
    return exchange->page ? send(connection, *exchange->page) : MHD_YES;
}

HttpDaemon::~HttpDaemon() {
    *self_ = nullptr;
    // The watch ends before the descriptor that it watches is closed.
    readiness_.reset();
    timer_.reset();
    // libmicrohttpd does not stop with suspended connections.
    for (MHD_Connection* connection : suspended_) MHD_resume_connection(connection);
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

HttpDaemon::OpenConnection* HttpDaemon::connection_opened(int descriptor) {
    return &open_.emplace_back(OpenConnection{loop_.now(), descriptor});
}

void HttpDaemon::connection_closed(const OpenConnection* connection) {
    open_.remove_if([&](const OpenConnection& open) { return &open == connection; });
    connection_was_closed_ = true;
}

/// At the next turn of the loop: whoever replies may be anywhere.
void HttpDaemon::run_soon() {
    timer_ = loop_.after(Duration::zero(), [this] { run(); });
}

void HttpDaemon::run() {
    cut_off_old_connections();
    MHD_UNSIGNED_LONG_LONG next = 0;
    for (int round = 0; round < rounds_max; ++round) {
        connection_was_closed_ = false;
        MHD_run(daemon_);
        // At its limit of connections libmicrohttpd stops listening, and only a later round, for which it
        // does not ask, takes up listening again.
        if (connection_was_closed_) continue;
        if (MHD_get_timeout(daemon_, &next) == MHD_NO || next > 0) break;
    }
    arm_timer();
}

/// The next time that something is due without a byte from outside: libmicrohttpd's own timeouts, or the end
/// of the oldest connection's lifetime.
void HttpDaemon::arm_timer() {
    std::optional<Duration> due;
    MHD_UNSIGNED_LONG_LONG next = 0;
    if (MHD_get_timeout(daemon_, &next) == MHD_YES) {
        due = std::max(milliseconds(std::min<MHD_UNSIGNED_LONG_LONG>(next, 60'000)), pause_after_rounds);
    }
    if (connection_was_closed_) due = pause_after_rounds;
    for (const OpenConnection& open : open_) {
        if (open.is_cut_off) continue;
        const Duration left = open.since + lifetime_of(open) - loop_.now();
        due = std::min(due.value_or(left), std::max<Duration>(left, pause_after_rounds));
        if (!open.awaits_reply) break;  // later ones have as much time, or more
    }
    if (due) {
        timer_ = loop_.after(*due, [this] { run(); });
    } else {
        timer_.reset();
    }
}

/// How long it may be open. The proxy's own delay is not the peer's.
Duration HttpDaemon::lifetime_of(const OpenConnection& connection) const {
    const bool is_crowded = open_.size() > http_connections_calm_max;
    if (is_crowded && !connection.awaits_reply) return http_crowded_lifetime_max;
    return http_connection_lifetime_max;
}

void HttpDaemon::cut_off_old_connections() {
    const TimePoint now = loop_.now();
    for (OpenConnection& open : open_) {
        if (now - open.since < http_crowded_lifetime_max) break;
        if (open.is_cut_off || now - open.since < lifetime_of(open)) continue;
        // libmicrohttpd owns the descriptor and sees the end of the stream.
        ::shutdown(open.descriptor, SHUT_RDWR);
        open.is_cut_off = true;
    }
}

}  // namespace holdfast::admin
