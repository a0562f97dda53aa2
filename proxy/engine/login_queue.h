#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "proxy/engine/world.h"

namespace holdfast::engine {

class ServerConnection;

/// Has logins at one server begin by turns: a few at first, and with each that has ended two more. When all
/// sessions come at once, as behind a failover, the first of them are through at once, instead of all of them
/// at the end; and a server that is far away gets more at a time soon. Owned by the cluster.
class LoginQueue {
public:
    explicit LoginQueue(World& world) : world_(world) {}
    LoginQueue(const LoginQueue&) = delete;
    LoginQueue& operator=(const LoginQueue&) = delete;

    /// Calls connection.begin(), now or when its turn has come. `turn` is set before, for leave().
    void enter(ServerConnection& connection, uint64_t& turn);
    /// The login has ended in some way, or is given up, perhaps before its turn.
    void leave(uint64_t turn);

private:
    void begin_more();

    World& world_;
    std::map<uint64_t, ServerConnection*> waiting_;  // by turn
    uint64_t last_turn_ = 0;
    size_t under_way_ = 0;
    size_t ended_ = 0;  // since none was under way
    std::shared_ptr<bool> is_woken_ =
        std::make_shared<bool>(false);  // whoever wakes us looks whether we live
};

}  // namespace holdfast::engine
