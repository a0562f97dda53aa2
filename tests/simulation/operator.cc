#include "tests/simulation/operator.h"

#include <string>

namespace holdfast::simulation {

using namespace std::chrono_literals;

Operator::Operator(Network& network, Books& books, Trace& trace, health::Monitor& monitor,
                   engine::Cluster& cluster, Duration drain_timeout)
    : network_(network),
      books_(books),
      trace_(trace),
      monitor_(monitor),
      cluster_(cluster),
      drain_timeout_(drain_timeout) {}

void Operator::work_now_and_then() {
    network_.events().after(random().between(Duration(300ms), Duration(5s)), [this] {
        if (over_) return;
        if (random().chance(70)) {
            take_off_duty();
        } else {
            pause();
        }
        work_now_and_then();
    });
}

void Operator::take_off_duty() {
    const auto& servers = cluster_.view().servers;
    const health::ServerView& server = servers[random().below(servers.size())];
    if (cluster_.view().primary == server.id || server.duty != health::Duty::serves) return;
    const auto duty = random().chance(70) ? health::Duty::draining : health::Duty::maintenance;
    const ServerId id = server.id;
    const uint64_t order = ++order_;
    orders_[id.value] = order;
    trace_.line("OPERATOR", std::string(to_string(duty)) + " " + server.name);
    monitor_.set_duty(id, duty);
    // What runs there may end within the limit; closing takes a moment more.
    network_.events().after(drain_timeout_ + 500ms, [this, id, order] { check_is_empty(id, order); });
    network_.events().after(random().between(Duration(200ms), Duration(6s)), [this, id, order] {
        if (over_ || orders_[id.value] != order) return;
        trace_.line("OPERATOR", "ready " + std::to_string(id.value));
        ++orders_[id.value];
        monitor_.set_duty(id, health::Duty::serves);
    });
}

void Operator::check_is_empty(ServerId server, uint64_t order) {
    if (over_ || orders_[server.value] != order) return;
    // A drained server that was promoted serves, and one that was the primary until a moment ago is left as
    // any lost primary is.
    if (!cluster_.view().primary || cluster_.view().primary == server) return;
    if (cluster_.view().find(server)->role == health::ServerRole::primary) return;
    if (const uint32_t open = cluster_.connections(server); open != 0) {
        books_.problem(std::to_string(open) +
                       " connections are left on a drained server: " + std::to_string(server.value));
    }
}

void Operator::pause() {
    if (cluster_.is_paused()) return;
    const bool forgets = random().chance(30);
    const Duration length = random().between(Duration(50ms), Duration(2s));
    trace_.line("OPERATOR", "pause");
    cluster_.pause(forgets ? length : Duration(0), [this] { trace_.line("OPERATOR", "the pause is over"); });
    if (forgets) return;
    network_.events().after(length, [this] {
        trace_.line("OPERATOR", "resume");
        if (!over_) cluster_.resume();
    });
}

void Operator::stop() {
    over_ = true;
    cluster_.resume();
    for (const auto& server : cluster_.view().servers) monitor_.set_duty(server.id, health::Duty::serves);
}

}  // namespace holdfast::simulation
