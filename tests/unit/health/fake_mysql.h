#pragma once

#include <arpa/inet.h>
#include <functional>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "health/event_loop.h"
#include "health/mysql_rows.h"

namespace holdfast::health::testing {

inline std::string little_endian(uint64_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
    return out;
}
inline std::string packet(int sequence, const std::string& body) {
    return little_endian(body.size(), 3) + static_cast<char>(sequence) + body;
}
inline std::string counted(const std::string& text) {  // short ones only
    return static_cast<char>(text.size()) + text;
}
/// The first word of a server, with protocol 4.1 and plugins, without TLS.
inline std::string greeting(const std::string& version) {
    const std::string nul(1, '\0');
    const uint32_t capabilities = 0x1 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000;
    return packet(0, "\x0a" + version + nul + little_endian(7, 4) + "12345678" + nul +
                         little_endian(capabilities & 0xffff, 2) + "\x2d" + little_endian(2, 2) +
                         little_endian(capabilities >> 16, 2) + "\x15" + std::string(10, '\0') +
                         "123456789012" + nul + "mysql_native_password" + nul);
}
inline std::string ok_packet(int sequence) {
    return packet(sequence, std::string("\0\0\0\x02\0\0\0", 7));
}
inline std::string error_packet(int sequence, int code, const std::string& text) {
    return packet(sequence, "\xff" + little_endian(static_cast<uint64_t>(code), 2) + "#HY000" + text);
}
/// The answer to a query: text columns and rows.
inline std::string result_set(const MysqlRows& result) {
    int sequence = 1;
    const std::string eof("\xfe\0\0\x02\0", 5);
    std::string out = packet(sequence++, little_endian(result.columns.size(), 1));
    for (const std::string& name : result.columns) {
        out +=
            packet(sequence++, counted("def") + std::string(3, '\0') + counted(name) + std::string(1, '\0') +
                                   "\x0c" + little_endian(45, 2) + little_endian(1024, 4) + "\xfd" +
                                   little_endian(0, 2) + std::string(3, '\0'));
    }
    out += packet(sequence++, eof);
    for (const auto& row : result.rows) {
        std::string body;
        for (const MysqlRows::Cell& cell : row) body += cell ? counted(*cell) : std::string("\xfb");
        out += packet(sequence++, body);
    }
    return out + packet(sequence, eof);
}

/// A server on loopback that greets, answers the login by `login`, and each command with what `answer` makes
/// of its text; nothing: it leaves the client waiting.
class FakeMysql {
public:
    struct Script {
        std::string first = greeting("5.5.5-10.11.19-MariaDB");  // empty: a frozen server
        std::string login = ok_packet(2);
        std::function<std::optional<std::string>(const std::string& sql)> answer;
    };

    FakeMysql(EventLoop& loop, Script script) : loop_(loop), script_(std::move(script)) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        // Below the range of outgoing connections, on a port that is free.
        for (uint16_t port = 21'900; port < 22'100; ++port) {
            address.sin_port = htons(port);
            if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
                port_ = port;
                break;
            }
        }
        listen(listener_, 16);
        accepting_ = loop_.watch(listener_, Readiness::readable, [this] { accept_one(); });
    }
    ~FakeMysql() {
        drop_clients();
        stop_listening();
    }
    FakeMysql(const FakeMysql&) = delete;
    FakeMysql& operator=(const FakeMysql&) = delete;

    uint16_t port() const { return port_; }
    size_t connections() const { return connections_; }
    const std::vector<std::string>& commands() const { return commands_; }
    size_t goodbyes() const { return goodbyes_; }
    void say_to_all(const std::string& bytes) {
        for (const auto& client : clients_) send_to(*client, bytes);
    }
    void drop_clients() {
        for (const auto& client : clients_) end(*client);
        clients_.clear();
    }
    void stop_listening() {
        accepting_.reset();
        if (listener_ >= 0) close(std::exchange(listener_, -1));
    }

private:
    struct Client {
        int descriptor = -1;
        std::string received;
        bool logged_in = false;
        std::unique_ptr<Watch> reading;
    };

    void accept_one() {
        const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) return;
        ++connections_;
        clients_.push_back(std::make_unique<Client>());
        Client* const client = clients_.back().get();
        client->descriptor = descriptor;
        client->reading =
            loop_.watch(descriptor, Readiness::readable, [this, client] { read_from(*client); });
        send_to(*client, script_.first);
    }
    void read_from(Client& client) {
        char chunk[8192];
        const ssize_t size = recv(client.descriptor, chunk, sizeof chunk, 0);
        if (size <= 0) {
            end(client);
            return;
        }
        client.received.append(chunk, static_cast<size_t>(size));
        while (client.descriptor >= 0 && client.received.size() >= 4) {
            const auto byte = [&](size_t i) {
                return static_cast<size_t>(static_cast<unsigned char>(client.received[i]));
            };
            const size_t length = byte(0) | byte(1) << 8 | byte(2) << 16;
            if (client.received.size() < 4 + length) return;
            const std::string body = client.received.substr(4, length);
            client.received.erase(0, 4 + length);
            take(client, body);
        }
    }
    void take(Client& client, const std::string& body) {
        if (!client.logged_in) {
            client.logged_in = true;
            send_to(client, script_.login);
            return;
        }
        if (!body.empty() && body[0] == '\x01') {
            ++goodbyes_;
            return;
        }
        commands_.push_back(body.empty() ? body : body.substr(1));
        const auto answer = script_.answer ? script_.answer(commands_.back()) : std::nullopt;
        if (answer) send_to(client, *answer);
    }
    static void send_to(Client& client, const std::string& bytes) {
        if (client.descriptor >= 0) send(client.descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    static void end(Client& client) {
        client.reading.reset();
        if (client.descriptor >= 0) close(std::exchange(client.descriptor, -1));
    }

    EventLoop& loop_;
    Script script_;
    int listener_ = -1;
    uint16_t port_ = 0;
    size_t connections_ = 0;
    size_t goodbyes_ = 0;
    std::vector<std::string> commands_;
    std::unique_ptr<Watch> accepting_;
    std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace holdfast::health::testing
