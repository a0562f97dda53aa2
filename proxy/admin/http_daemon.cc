#include "proxy/admin/http_daemon.h"

#include <algorithm>
#include <optional>
#include <sys/socket.h>

#include <microhttpd.h>

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
    if (page.allows_reading_only) MHD_add_response_header(response.get(), MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    return MHD_queue_response(connection, page.status, response.get());
}

bool is_read(std::string_view method) {
    return method == MHD_HTTP_METHOD_GET || method == MHD_HTTP_METHOD_HEAD;
}

/// Called once with the head of a request, again for each piece of its body, and once more at its end.
/// No exception may pass through the C code above.
MHD_Result on_request(void* daemon, MHD_Connection* connection, const char* path, const char* method,
                      const char* /*version*/, const char* /*body*/, size_t* body_bytes, void** seen) noexcept
    try {
    static char head_was_seen;
    const bool is_head = *seen == nullptr;
    *seen = &head_was_seen;
    // A method that will be refused is refused before its body comes.
    if (is_head && is_read(method)) return MHD_YES;
    if (*body_bytes > 0) {
        *body_bytes = 0;  // taken, and of no interest
        return MHD_YES;
    }
    return send(connection, static_cast<const HttpDaemon*>(daemon)->answer(method, path));
} catch (...) {
    return MHD_NO;
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
    self->daemon_ =
        MHD_start_daemon(MHD_USE_EPOLL, 0, nullptr, nullptr, &on_request, self.get(),                      //
                         MHD_OPTION_LISTEN_SOCKET, socket.get(),                                           //
                         MHD_OPTION_CONNECTION_LIMIT, http_connections_max,                                //
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, http_connection_bytes_max,                    //
                         MHD_OPTION_CONNECTION_TIMEOUT, static_cast<unsigned>(http_idle_timeout.count()),  //
                         MHD_OPTION_NOTIFY_CONNECTION, &on_connection, static_cast<void*>(self.get()),     //
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

HttpDaemon::~HttpDaemon() {
    // The watch ends before the descriptor that it watches is closed.
    readiness_.reset();
    timer_.reset();
    if (daemon_ != nullptr) MHD_stop_daemon(daemon_);
}

HttpDaemon::OpenConnection* HttpDaemon::connection_opened(int descriptor) {
    return &open_.emplace_back(OpenConnection{loop_.now(), descriptor});
}

void HttpDaemon::connection_closed(const OpenConnection* connection) {
    open_.remove_if([&](const OpenConnection& open) { return &open == connection; });
    connection_was_closed_ = true;
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
        const Duration left = open.since + http_connection_lifetime_max - loop_.now();
        due = std::min(due.value_or(left), std::max<Duration>(left, pause_after_rounds));
        break;
    }
    if (due) {
        timer_ = loop_.after(*due, [this] { run(); });
    } else {
        timer_.reset();
    }
}

void HttpDaemon::cut_off_old_connections() {
    const TimePoint oldest = loop_.now() - http_connection_lifetime_max;
    for (OpenConnection& open : open_) {
        if (open.since > oldest) break;
        // libmicrohttpd owns the descriptor and sees the end of the stream.
        if (!open.is_cut_off) ::shutdown(open.descriptor, SHUT_RDWR);
        open.is_cut_off = true;
    }
}

}  // namespace holdfast::admin
