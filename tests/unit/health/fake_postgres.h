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
#include "protocol/base/bytes.h"

namespace holdfast::health::testing {

/// A message of the server: type, length, body.
inline std::string message(char type, const std::string& body) {
    ByteBuffer out;
    Writer writer(out);
    writer.u8(static_cast<uint8_t>(type)).u32(static_cast<uint32_t>(body.size() + 4));
    append(out, body);
    return std::string(as_text(out));
}
inline std::string big_endian(uint32_t value, int bytes) {
    std::string out;
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>((value >> (8 * i)) & 0xff);
    return out;
}
inline std::string error_message(const std::string& severity, const std::string& sqlstate,
                                 const std::string& text) {
    const std::string nul(1, '\0');
    return message('E', "S" + severity + nul + "V" + severity + nul + "C" + sqlstate + nul + "M" + text +
                            nul + "Ffake.c" + nul + "L1" + nul + "Rfake" + nul + nul);
}
inline const std::string ready = message('Z', "I");
/// The end of a login without a password.
inline std::string welcome() {
    return message('R', big_endian(0, 4)) + message('S', std::string("client_encoding\0UTF8\0", 21)) +
           message('K', big_endian(1, 4) + big_endian(2, 4)) + ready;
}
using Cell = std::optional<std::string>;
/// The answer to one extended query with rows of so many text columns.
inline std::string rows_answer(size_t columns, const std::vector<std::vector<Cell>>& rows) {
    const std::string count = big_endian(static_cast<uint32_t>(columns), 2);
    std::string description = count;
    for (size_t i = 0; i < columns; ++i) {
        description += std::string("c\0", 2) + big_endian(0, 4) + big_endian(0, 2) + big_endian(25, 4) +
                       big_endian(0xffff, 2) + big_endian(0xffffffff, 4) + big_endian(0, 2);
    }
    std::string answer = message('1', "") + message('2', "") + message('T', description);
    for (const std::vector<Cell>& cells : rows) {
        std::string row = count;
        for (const Cell& cell : cells) {
            row +=
                cell ? big_endian(static_cast<uint32_t>(cell->size()), 4) + *cell : big_endian(0xffffffff, 4);
        }
        answer += message('D', row);
    }
    return answer + message('C', std::string("SELECT 1\0", 9)) + ready;
}
inline std::string row_answer(const std::vector<Cell>& cells) {
    return rows_answer(cells.size(), {cells});
}

/// A server on loopback that answers by script: the first answer goes to the startup packet, each further one
/// to the next request (up to its Sync). An answer that is not there leaves the client waiting.
class FakePostgres {
public:
    struct Script {
        std::vector<std::string> answers;
        bool closes_after_last = false;
        bool accepts = true;  // false: the connection is taken, and nothing is ever read
    };

    FakePostgres(EventLoop& loop, Script script) : loop_(loop), script_(std::move(script)) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        // Below the range of outgoing connections, on a port that is free.
        for (uint16_t port = 21'700; port < 21'900; ++port) {
            address.sin_port = htons(port);
            if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
                port_ = port;
                break;
            }
        }
        listen(listener_, 16);
        if (script_.accepts) {
            accepting_ = loop_.watch(listener_, Readiness::readable, [this] { accept_one(); });
        }
    }
    ~FakePostgres() {
        drop_clients();
        stop_listening();
    }
    FakePostgres(const FakePostgres&) = delete;
    FakePostgres& operator=(const FakePostgres&) = delete;

    uint16_t port() const { return port_; }
    size_t connections() const { return connections_; }
    size_t requests() const { return requests_; }
    void set_script(Script script) { script_ = std::move(script); }
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
        size_t answered = 0;
        bool has_started = false;
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
    }
    void read_from(Client& client) {
        char chunk[8192];
        const ssize_t size = recv(client.descriptor, chunk, sizeof chunk, 0);
        if (size <= 0) {
            end(client);
            return;
        }
        client.received.append(chunk, static_cast<size_t>(size));
        while (client.descriptor >= 0 && take_request(client)) answer(client);
    }
    /// Takes one request off the front: the startup packet, or messages up to a Sync.
    bool take_request(Client& client) {
        size_t at = 0;
        while (true) {
            const size_t head = client.has_started ? 1 : 0;
            if (client.received.size() < at + head + 4) return false;
            const char type = client.has_started ? client.received[at] : 'S';
            const uint32_t length = load_u32(as_bytes(client.received).data() + at + head);
            if (client.received.size() < at + head + length) return false;
            at += head + length;
            if (type == 'X') return false;
            if (type != 'S') continue;
            client.received.erase(0, at);
            ++requests_;
            client.has_started = true;
            return true;
        }
    }
    void answer(Client& client) {
        if (client.answered >= script_.answers.size()) {
            if (script_.closes_after_last) end(client);
            return;
        }
        send_to(client, script_.answers[client.answered++]);
        if (script_.closes_after_last && client.answered == script_.answers.size()) end(client);
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
    size_t requests_ = 0;
    std::unique_ptr<Watch> accepting_;
    std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace holdfast::health::testing
