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

    /// From readiness on `status` is asked every second what `systemctl status` should show: one line.
    void show(std::function<std::string()> status);
    /// Ready to serve, once `is_ready` says so; it is asked every so often until then. `on_ready` is called
    /// then, systemd or not.
    void announce_ready(std::function<bool()> is_ready, std::function<void()> on_ready);
    /// The configuration is being read again.
    void announce_reloading();
    /// That is over. When it was rejected, the status says so until one is applied.
    void announce_reloaded(bool is_applied);
    /// The end has begun, and takes up to `limit`.
    void announce_stopping(Duration limit);

private:
    /// What systemd believes; it must not be told that a service is ready before it is, or after its end
    /// began.
    enum class Phase { starting, ready, reloading, stopping };

    void ask_again();
    void feed_watchdog();
    void watch_status();
    std::string status() const;
    void say_ready();

    health::EventLoop& loop_;
    bool is_heard_ = false;         // there is somebody to tell
    Duration watchdog_interval_{};  // zero: none wanted
    Phase phase_ = Phase::starting;
    bool is_rejected_ = false;  // the last reload was
    std::string shown_;         // the status that was sent last
    std::function<std::string()> status_;
    std::function<bool()> is_ready_;
    std::function<void()> on_ready_;
    std::unique_ptr<health::Watch> readiness_timer_;
    std::unique_ptr<health::Watch> watchdog_timer_;
    std::unique_ptr<health::Watch> status_timer_;
};

}  // namespace holdfast::app
