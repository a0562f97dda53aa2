#include "proxy/engine/login_queue.h"

#include "protocol/base/limits.h"
#include "proxy/engine/server_connection.h"

namespace holdfast::engine {

void LoginQueue::enter(ServerConnection& connection, uint64_t& turn) {
    turn = ++last_turn_;
    if (waiting_.empty() && under_way_ < limits::logins_at_first + ended_) {
        ++under_way_;
        connection.begin();
    } else {
        waiting_.emplace(turn, &connection);
    }
}

void LoginQueue::leave(uint64_t turn) {
    if (waiting_.erase(turn) > 0) return;
    --under_way_;
    // Whatever came of it: a server that answers nobody must not be tried a few at a time for ever.
    ++ended_;
    if (under_way_ == 0 && waiting_.empty()) ended_ = 0;
    if (waiting_.empty() || *is_woken_) return;
    *is_woken_ = true;
    // Not in the middle of what the one that has ended is doing.
    world_.defer([this, alive = std::weak_ptr(is_woken_)] {
        if (!alive.expired()) begin_more();
    });
}

void LoginQueue::begin_more() {
    *is_woken_ = false;
    while (!waiting_.empty() && under_way_ < limits::logins_at_first + ended_) {
        ServerConnection& next = *waiting_.begin()->second;
        waiting_.erase(waiting_.begin());
        ++under_way_;
        next.begin();
    }
}

}  // namespace holdfast::engine
