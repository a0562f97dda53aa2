#pragma once

#include <functional>
#include <memory>
#include <string>

#include "health/event_loop.h"

namespace holdfast::app {

/// Tells systemd how the process fares, when it was started as a service of Type=notify; else every call does
/// nothing. The watchdog is fed from the event loop: a loop that hangs is a process to restart, whatever the
/// state of the databases. Must not outlive the loop.
class ServiceManager {
public:
    explicit ServiceManager(health::EventLoop& loop);

    /// Ready to serve, once `is_ready` says so; it is asked every so often until then. `on_ready` is called
    /// then, systemd or not.
    void announce_ready(std::function<bool()> is_ready, std::function<void()> on_ready);
    /// The end has begun.
    void announce_stopping();

private:
    void ask_again();
    void feed_watchdog();

    health::EventLoop& loop_;
    Duration watchdog_interval_{};  // zero: none wanted
    std::function<bool()> is_ready_;
    std::function<void()> on_ready_;
    std::unique_ptr<health::Watch> readiness_timer_;
    std::unique_ptr<health::Watch> watchdog_timer_;
};

}  // namespace holdfast::app
