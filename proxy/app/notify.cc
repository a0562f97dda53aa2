#include "proxy/app/notify.h"

#include <chrono>
#include <cstdint>
#include <utility>

#include <systemd/sd-daemon.h>

namespace holdfast::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration readiness_interval = 20ms;

}  // namespace

ServiceManager::ServiceManager(health::EventLoop& loop) : loop_(loop) {
    uint64_t limit_us = 0;
    if (sd_watchdog_enabled(/*unset_environment=*/0, &limit_us) > 0) {
        // Half of the limit, as sd_watchdog_enabled(3) recommends.
        watchdog_interval_ = std::chrono::microseconds(limit_us / 2);
        feed_watchdog();
    }
}

void ServiceManager::announce_ready(std::function<bool()> is_ready, std::function<void()> on_ready) {
    is_ready_ = std::move(is_ready);
    on_ready_ = std::move(on_ready);
    ask_again();
}

void ServiceManager::announce_stopping() {
    readiness_timer_.reset();
    sd_notify(/*unset_environment=*/0, "STOPPING=1\nSTATUS=waiting for clients to finish");
}

void ServiceManager::ask_again() {
    if (!is_ready_()) {
        readiness_timer_ = loop_.after(readiness_interval, [this] { ask_again(); });
        return;
    }
    sd_notify(/*unset_environment=*/0, "READY=1\nSTATUS=serving");
    on_ready_();
}

void ServiceManager::feed_watchdog() {
    sd_notify(/*unset_environment=*/0, "WATCHDOG=1");
    watchdog_timer_ = loop_.after(watchdog_interval_, [this] { feed_watchdog(); });
}

}  // namespace holdfast::app
