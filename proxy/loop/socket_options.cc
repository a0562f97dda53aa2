#include "proxy/loop/socket_options.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::loop {
namespace {

// A kernel that refuses one of these options still carries the connection: nothing to report.
void set(int descriptor, int level, int name, int value) {
    (void)::setsockopt(descriptor, level, name, &value, sizeof value);
}

/// The kernel counts keepalive in whole seconds, at least one and at most 32767.
int whole_seconds(std::chrono::milliseconds time) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(time).count();
    return static_cast<int>(std::clamp<int64_t>(seconds, 1, 32'767));
}

}  // namespace

void Descriptor::reset() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
}

Descriptor open_stream_socket(int family) {
    return Descriptor{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
}

void set_tcp_options(int descriptor, const config::Keepalive& keepalive) {
    set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, whole_seconds(keepalive.idle));
    set(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, whole_seconds(keepalive.interval));
    set(descriptor, IPPROTO_TCP, TCP_KEEPCNT, std::clamp(keepalive.count, 1, 127));
}

int take_socket_error(int descriptor) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

}  // namespace holdfast::loop
