#pragma once

#include <functional>
#include <memory>

#include "protocol/base/clock.h"
#include "proxy/loop/loop.h"
#include "proxy/loop/uv_ptr.h"

namespace holdfast::loop {

struct TimerState : uv_timer_t {
    std::function<void()> on_due;
};
using TimerHandle = UvPtr<TimerState, uv_timer_t>;

/// Calls `on_due` once, not before `delay` has passed by Loop::now().
TimerHandle start_timer(Loop& loop, Duration delay, std::function<void()> on_due);

/// Something of the loop that ends when it is destroyed, as the interface `Base` wants it.
template <typename Base, typename Handle>
class Held final : public Base {
public:
    explicit Held(Handle handle) : handle_(std::move(handle)) {}

private:
    Handle handle_;
};

}  // namespace holdfast::loop
