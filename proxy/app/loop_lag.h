#pragma once

#include <functional>
#include <memory>

#include "health/event_loop.h"

namespace holdfast::app {

/// Measures how late the event loop runs what is due, ten times a second. Must not outlive the loop.
class LoopLag {
public:
    LoopLag(health::EventLoop& loop, std::function<void(Duration)> on_sample);

private:
    void wait();

    health::EventLoop& loop_;
    std::function<void(Duration)> on_sample_;
    TimePoint due_{};
    std::unique_ptr<health::Watch> timer_;
};

}  // namespace holdfast::app
