#pragma once

#include "proxy/loop/loop.h"

namespace holdfast::loop {

/// Loop, as the interface that health declares. A class of its own because both interfaces have an `after`.
class Loop::Events final : public health::EventLoop {
public:
    explicit Events(Loop& loop) : loop_(loop) {}

    TimePoint now() const override { return loop_.now(); }
    std::unique_ptr<health::Watch> after(Duration delay, std::function<void()> on_due) override;
    std::unique_ptr<health::Watch> watch(int descriptor, health::Readiness readiness,
                                         std::function<void()> on_ready) override;
    std::unique_ptr<health::Watch> resolve(
        const std::string& host, std::function<void(Result<std::vector<std::string>>)> on_done) override;

private:
    Loop& loop_;
};

}  // namespace holdfast::loop
