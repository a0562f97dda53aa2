#include "proxy/app/loop_lag.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace holdfast::app {

namespace {

constexpr Duration interval = std::chrono::milliseconds(100);

}  // namespace

LoopLag::LoopLag(health::EventLoop& loop, std::function<void(Duration)> on_sample)
    : loop_(loop), on_sample_(std::move(on_sample)) {
    wait();
}

void LoopLag::wait() {
    due_ = loop_.now() + interval;
    timer_ = loop_.after(interval, [this] {
        on_sample_(std::max(loop_.now() - due_, Duration::zero()));
        wait();
    });
}

}  // namespace holdfast::app
