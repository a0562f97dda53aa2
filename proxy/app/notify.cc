#include "proxy/app/notify.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <time.h>
#include <utility>

#include <systemd/sd-daemon.h>

namespace holdfast::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration readiness_interval = 20ms;
constexpr Duration status_interval = 1s;
/// What the end takes besides waiting for clients: closing, flushing the log.
constexpr Duration stop_margin = 10s;

void tell(const std::string& state) {
    sd_notify(/*unset_environment=*/0, state.c_str());
}

int64_t microseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

/// The clock that systemd compares with, read now: the loop's stands still within a callback.
int64_t monotonic_us() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

}  // namespace

ServiceManager::ServiceManager(health::EventLoop& loop)
    : loop_(loop), is_heard_(std::getenv("NOTIFY_SOCKET") != nullptr) {
    uint64_t limit_us = 0;
    if (sd_watchdog_enabled(/*unset_environment=*/0, &limit_us) > 0) {
        // Half of the limit, as sd_watchdog_enabled(3) recommends.
        watchdog_interval_ = std::chrono::microseconds(limit_us / 2);
        feed_watchdog();
    }
}

void ServiceManager::show(std::function<std::string()> status) {
    status_ = std::move(status);
}

void ServiceManager::announce_ready(std::function<bool()> is_ready, std::function<void()> on_ready) {
    is_ready_ = std::move(is_ready);
    on_ready_ = std::move(on_ready);
    ask_again();
}

void ServiceManager::announce_reloading() {
    if (phase_ != Phase::ready) return;
    phase_ = Phase::reloading;
    tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us()) +
         "\nSTATUS=reading the configuration");
}

void ServiceManager::announce_reloaded(bool is_applied) {
    is_rejected_ = !is_applied;
    if (phase_ != Phase::reloading) return;
    phase_ = Phase::ready;
    say_ready();
}

void ServiceManager::announce_stopping(Duration limit) {
    phase_ = Phase::stopping;
    readiness_timer_.reset();
    status_timer_.reset();
    // systemd kills what takes longer than TimeoutStopSec= unless it is asked for more time.
    tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(microseconds(limit + stop_margin)) +
         "\nSTATUS=waiting for clients to finish");
}

void ServiceManager::ask_again() {
    if (!is_ready_()) {
        readiness_timer_ = loop_.after(readiness_interval, [this] { ask_again(); });
        return;
    }
    phase_ = Phase::ready;
    say_ready();
    if (is_heard_ && status_) watch_status();
    on_ready_();
}

void ServiceManager::feed_watchdog() {
    tell("WATCHDOG=1");
    watchdog_timer_ = loop_.after(watchdog_interval_, [this] { feed_watchdog(); });
}

void ServiceManager::watch_status() {
    if (phase_ == Phase::ready) {
        std::string now = status();
        if (now != shown_) {
            shown_ = std::move(now);
            tell("STATUS=" + shown_);
        }
    }
    status_timer_ = loop_.after(status_interval, [this] { watch_status(); });
}

std::string ServiceManager::status() const {
    std::string text = status_ ? status_() : "serving";
    if (is_rejected_)
        text += "; the last reload was rejected (see the log), the configuration before it is in use";
    // A line end would begin another assignment.
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; }, '?');
    return text;
}

void ServiceManager::say_ready() {
    if (!is_heard_) return;
    shown_ = status();
    tell("READY=1\nSTATUS=" + shown_);
}

}  // namespace holdfast::app
