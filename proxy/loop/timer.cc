#include "proxy/loop/timer.h"

#include <algorithm>
#include <chrono>

namespace holdfast::loop {

TimerHandle start_timer(Loop& loop, Duration delay, std::function<void()> on_due) {
    TimerHandle timer{new TimerState};
    uv_timer_init(loop.uv(), timer.get());
    timer->data = timer.get();
    timer->on_due = std::move(on_due);
    // libuv counts whole milliseconds from a time that it took at the start of the turn. The due time is
    // rounded up on libuv's own scale, so that a timer is never early, however long this turn has lasted.
    constexpr uint64_t per_ms = 1'000'000;
    const uint64_t now = uv_hrtime();
    const uint64_t wait = delay.count() > 0 ? static_cast<uint64_t>(delay.count()) : 0;
    const uint64_t due = (now + wait + per_ms - 1) / per_ms;
    const uint64_t base = uv_now(loop.uv());
    const uint64_t in_ms = wait == 0 || due <= base ? 0 : due - base;
    uv_timer_start(
        timer.get(),
        [](uv_timer_t* handle) {
            Loop::of(handle->loop).tick();
            // Once only; what the callback stands on lives until the close callback, even when it destroys
            // the timer.
            static_cast<TimerState*>(handle)->on_due();
        },
        in_ms, 0);
    return timer;
}

}  // namespace holdfast::loop
