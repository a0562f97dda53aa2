// A bare epoll byte copier: what any proxy on this machine costs at the least. It knows no protocol; each
// direction of a small transaction takes epoll_wait, read and write and nothing else, so six system calls.
//
//     relay LISTEN_PORT UPSTREAM_PORT     both on 127.0.0.1

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr size_t buffer_bytes = 65'536;
constexpr int events_max = 64;

/// One socket of a pair. Owned by its Pair; epoll holds a plain pointer to it.
struct Side {
    struct Pair* pair = nullptr;
    Side* peer = nullptr;
    int fd = -1;
    uint32_t watched = 0;       // the events that epoll was asked for
    bool ended = false;         // end of file was read: the peer closes once its queue is out
    std::vector<char> refused;  // what this socket did not take; while not empty the peer is not read
};

/// A client and its upstream connection. Lives on the heap until both are closed and the batch of events
/// that may still name it has been worked through.
struct Pair {
    std::array<Side, 2> sides;
    bool closed = false;
};

int poller = -1;
std::vector<std::unique_ptr<Pair>> graves;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "relay: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

std::optional<uint16_t> parse_port(std::string_view text) {
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
    return port;
}

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

const sockaddr* generic(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

void send_at_once(int fd) {
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("TCP_NODELAY");
}

void close_pair(Pair& pair) {
    if (pair.closed) return;
    pair.closed = true;
    for (const auto& side : pair.sides) close(side.fd);
    graves.emplace_back(&pair);
}

/// Asks epoll for what this side needs now; silent when that has not changed.
void watch(Side& side) {
    uint32_t wanted = 0;
    if (side.peer->refused.empty() && !side.ended) wanted |= EPOLLIN;
    if (!side.refused.empty()) wanted |= EPOLLOUT;
    if (wanted == side.watched) return;
    epoll_event event{};
    event.events = wanted;
    event.data.ptr = &side;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, side.fd, &event) != 0) fail("epoll_ctl");
    side.watched = wanted;
}

void on_readable(Side& from) {
    static std::array<char, buffer_bytes> buffer;
    Side& to = *from.peer;
    const ssize_t got = read(from.fd, buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        if (got < 0 || to.refused.empty()) return close_pair(*from.pair);
        from.ended = true;
        return watch(from);
    }
    const ssize_t put = write(to.fd, buffer.data(), static_cast<size_t>(got));
    if (put == got) return;
    if (put < 0 && errno != EAGAIN && errno != EINTR) return close_pair(*from.pair);
    to.refused.assign(buffer.data() + (put > 0 ? put : 0), buffer.data() + got);
    watch(to);
    watch(from);
}

void on_writable(Side& to) {
    const ssize_t put = write(to.fd, to.refused.data(), to.refused.size());
    if (put < 0) {
        if (errno != EAGAIN && errno != EINTR) close_pair(*to.pair);
        return;
    }
    to.refused.erase(to.refused.begin(), to.refused.begin() + put);
    if (!to.refused.empty()) return;
    if (to.peer->ended) return close_pair(*to.pair);
    watch(to);
    watch(*to.peer);
}

void add(Side& side) {
    side.watched = EPOLLIN;
    epoll_event event{};
    event.events = side.watched;
    event.data.ptr = &side;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, side.fd, &event) != 0) fail("epoll_ctl");
}

/// Takes one client and connects it. The connect blocks: on loopback it lasts microseconds, and the
/// connections a second of a byte copier are not improved by waiting for it in the loop.
void on_client(int listener, const sockaddr_in& upstream) {
    const int client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) return;
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0) fail("socket");
    if (connect(server, generic(upstream), sizeof upstream) != 0) {
        close(client);
        close(server);
        return;
    }
    if (fcntl(server, F_SETFL, O_NONBLOCK) != 0) fail("O_NONBLOCK");
    send_at_once(client);
    send_at_once(server);
    auto pair = std::make_unique<Pair>();
    pair->sides[0].fd = client;
    pair->sides[1].fd = server;
    for (size_t i = 0; i < 2; ++i) {
        pair->sides[i].pair = pair.get();
        pair->sides[i].peer = &pair->sides[1 - i];
        add(pair->sides[i]);
    }
    static_cast<void>(pair.release());  // epoll's pointers own it now; close_pair takes it back
}

}  // namespace

int main(int argc, char** argv) {
    const auto listen_port = argc == 3 ? parse_port(argv[1]) : std::nullopt;
    const auto upstream_port = argc == 3 ? parse_port(argv[2]) : std::nullopt;
    if (!listen_port || !upstream_port) {
        std::fputs("usage: relay LISTEN_PORT UPSTREAM_PORT\n", stderr);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0) fail("epoll_create1");

    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0) fail("socket");
    const int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) fail("SO_REUSEADDR");
    const auto address = loopback(*listen_port);
    if (bind(listener, generic(address), sizeof address) != 0) fail("bind");
    if (listen(listener, SOMAXCONN) != 0) fail("listen");
    epoll_event accepting{};
    accepting.events = EPOLLIN;
    accepting.data.ptr = nullptr;  // the only one without a Side
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &accepting) != 0) fail("epoll_ctl");

    const auto upstream = loopback(*upstream_port);
    std::array<epoll_event, events_max> events{};
    for (;;) {
        const int count = epoll_wait(poller, events.data(), events_max, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<size_t>(i)];
            if (event.data.ptr == nullptr) {
                on_client(listener, upstream);
                continue;
            }
            Side& side = *static_cast<Side*>(event.data.ptr);
            if (side.pair->closed) continue;
            // A reset arrives whether asked for or not; a side that is not being read would spin on it.
            if ((event.events & (EPOLLERR | EPOLLHUP)) != 0 && (side.watched & EPOLLIN) == 0) {
                close_pair(*side.pair);
                continue;
            }
            if ((event.events & EPOLLOUT) != 0) on_writable(side);
            if (side.pair->closed) continue;
            if ((event.events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && (side.watched & EPOLLIN) != 0)
                on_readable(side);
        }
        graves.clear();
    }
}
