#include "tests/simulation/sim_world.h"

#include <cstdlib>
#include <utility>

#include "tests/simulation/sim_link.h"

namespace holdfast::simulation {
namespace {

/// A connection attempt under way; shared by its events, so that it can be called off at any of them.
struct Attempt {
    std::function<void(Result<std::unique_ptr<engine::Link>>)> on_done;  // empty: over, or called off
    engine::LinkOwner* owner = nullptr;
    std::shared_ptr<Endpoint> near;  // until the link has it

    void finish(Result<std::unique_ptr<engine::Link>> result) {
        if (const auto call = std::exchange(on_done, {})) call(std::move(result));
    }
};

class AttemptTimer final : public engine::Timer {
public:
    explicit AttemptTimer(std::shared_ptr<Attempt> attempt) : attempt_(std::move(attempt)) {}
    ~AttemptTimer() override {
        attempt_->on_done = {};
        if (attempt_->near) attempt_->near->shut();
    }

private:
    std::shared_ptr<Attempt> attempt_;
};

}  // namespace

std::unique_ptr<engine::Timer> SimWorld::connect(
    const config::Endpoint& address, const config::Cluster& cluster, engine::LinkOwner& owner,
    std::function<void(Result<std::unique_ptr<engine::Link>>)> on_done) {
    auto attempt = std::make_shared<Attempt>();
    attempt->on_done = std::move(on_done);
    attempt->owner = &owner;
    Door* door = doors_.at(address.port - 1U);
    Events& events = network_.events();
    events.after(cluster.connect_timeout, [attempt] {
        attempt->finish(Error{ErrorCode::timed_out, "no connection within connect_timeout"});
        if (attempt->near) attempt->near->shut();
        attempt->near.reset();
    });
    events.after(network_.latency(), [this, attempt, door] {
        if (!attempt->on_done || !door->host()->reachable) return;  // the packet is lost
        if (!door->listens()) {
            network_.events().after(network_.latency(), [attempt] {
                attempt->finish(Error{ErrorCode::unreachable, "connection refused"});
            });
            return;
        }
        Connection made = network_.connect(door->host());
        attempt->near = made.near;
        door->accept(made.far);
        network_.events().after(network_.latency(), [this, attempt] {
            if (!attempt->on_done) return;
            auto link = std::make_unique<SimLink>(network_, std::exchange(attempt->near, {}));
            link->adopt(*attempt->owner);
            attempt->finish(Result<std::unique_ptr<engine::Link>>(std::move(link)));
        });
    });
    return std::make_unique<AttemptTimer>(attempt);
}

std::unique_ptr<engine::Timer> SimWorld::after(Duration delay, std::function<void()> on_due) {
    return std::make_unique<SimTimer>(network_.events().after(delay, std::move(on_due)));
}

void SimWorld::offload(std::function<void()> work, std::function<void()> done) {
    const Duration delay = network_.random().between(Duration(10'000), Duration(20'000'000));
    network_.events().after(delay, [this, work = std::move(work), done = std::move(done)]() mutable {
        work();
        network_.events().after(Duration{1'000}, std::move(done));
    });
}

void SimWorld::random(std::byte* out, size_t size) {
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(network_.random().next() & 0xff);
}

int64_t SimWorld::unix_seconds() const {
    return 1'800'000'000 + std::chrono::duration_cast<std::chrono::seconds>(now().time_since_epoch()).count();
}

std::unique_ptr<health::Watch> SimHealthLoop::watch(int, health::Readiness, std::function<void()>) {
    std::abort();
}

std::unique_ptr<health::Watch> SimHealthLoop::resolve(const std::string&,
                                                      std::function<void(Result<std::vector<std::string>>)>) {
    std::abort();
}

}  // namespace holdfast::simulation
