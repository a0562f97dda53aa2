#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "health/event_loop.h"
#include "proxy/engine/world.h"
#include "tests/simulation/network.h"

namespace holdfast::simulation {

/// A timer of either interface: destroying it ends it, also from within its own callback.
class SimTimer final : public engine::Timer, public health::Watch {
public:
    explicit SimTimer(std::shared_ptr<Events::Task> task) : task_(std::move(task)) {}
    ~SimTimer() override { task_->run = {}; }

private:
    std::shared_ptr<Events::Task> task_;
};

/// Who can be connected to: a scripted server's front door.
class Door {
public:
    virtual ~Door() = default;
    virtual const std::shared_ptr<Host>& host() const = 0;
    /// Whether anybody listens there (a stopped process does: the kernel accepts for it).
    virtual bool listens() const = 0;
    virtual void accept(std::shared_ptr<Endpoint> endpoint) = 0;
};

/// The engine's world in virtual time.
class SimWorld final : public engine::World {
public:
    explicit SimWorld(Network& network) : network_(network) {}

    /// Servers are addressed by port: door number `port - 1`.
    void add_door(Door& door) { doors_.push_back(&door); }

    TimePoint now() const override { return network_.events().now(); }
    std::unique_ptr<engine::Timer> connect(
        const config::Endpoint& address, const config::Cluster& cluster, engine::LinkOwner& owner,
        std::function<void(Result<std::unique_ptr<engine::Link>>)> on_done) override;
    std::unique_ptr<engine::Timer> after(Duration delay, std::function<void()> on_due) override;
    void defer(std::function<void()> task) override { network_.events().defer(std::move(task)); }
    void offload(std::function<void()> work, std::function<void()> done) override;
    void random(std::byte* out, size_t size) override;
    int64_t unix_seconds() const override;

private:
    Network& network_;
    std::vector<Door*> doors_;
};

/// The little that health needs, on the same events.
class SimHealthLoop final : public health::EventLoop {
public:
    explicit SimHealthLoop(Events& events) : events_(events) {}
    TimePoint now() const override { return events_.now(); }
    std::unique_ptr<health::Watch> after(Duration delay, std::function<void()> on_due) override {
        return std::make_unique<SimTimer>(events_.after(delay, std::move(on_due)));
    }
    // Only probers over real sockets use these; the simulation brings its own.
    std::unique_ptr<health::Watch> watch(int, health::Readiness, std::function<void()>) override;
    std::unique_ptr<health::Watch> resolve(const std::string&,
                                           std::function<void(Result<std::vector<std::string>>)>) override;

private:
    Events& events_;
};

}  // namespace holdfast::simulation
