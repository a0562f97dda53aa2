#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "tests/simulation/server.h"

namespace holdfast::simulation {

/// One session on a scripted server: a protocol, and what the tiny SQL does in it. Reads its messages one by
/// one, also those that arrived before the connection ended, as a server does.
class Backend : public std::enable_shared_from_this<Backend> {
public:
    Backend(Server& server, uint32_t process_id, std::shared_ptr<Endpoint> endpoint)
        : server_(server), endpoint_(std::move(endpoint)), process_id_(process_id) {}
    virtual ~Backend() = default;

    virtual void begin();
    /// Something may have come, or may be sent now.
    virtual void on_change() = 0;
    virtual void notify(const Notification& notification) = 0;
    /// The server is a primary now.
    virtual void report_role() {}
    /// A last message, as far as it goes, and the end.
    virtual void say_goodbye(Farewell why) = 0;
    /// Somebody asks for the end of what runs, and knows the session's secret.
    void cancel() { cancelled_ = is_busy_; }
    void die();
    uint32_t process_id() const { return process_id_; }
    Endpoint& endpoint() { return *endpoint_; }

protected:
    /// Runs only while this session lives.
    std::function<void()> mine(std::function<void()> run);
    /// How long a statement takes.
    Duration service_time();
    /// Sends the first `ready` bytes as far as they go.
    void send(ByteBuffer& out, size_t& ready);

    Server& server_;
    std::shared_ptr<Endpoint> endpoint_;
    uint32_t process_id_;
    bool is_alive_ = true;
    bool is_busy_ = false;  // a statement runs
    bool cancelled_ = false;
};

/// A session that speaks the server's protocol.
std::shared_ptr<Backend> make_backend(Server& server, uint32_t process_id,
                                      std::shared_ptr<Endpoint> endpoint);

}  // namespace holdfast::simulation
