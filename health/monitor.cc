#include "health/monitor.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace holdfast::health {

using namespace std::chrono_literals;

namespace {

/// While there is no primary, servers are asked this many times in the fast interval.
constexpr int awaited_share = 4;
/// Hints may come by the thousand; each causes probes at once, but not more often than this.
constexpr Duration probe_spacing_min = 2ms;
/// Probes of several proxies and clusters drift apart instead of meeting at the same instant.
constexpr uint64_t jitter_percent = 10;

uint64_t seed_of(const std::string& text) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash | 1;
}

std::string timeout_text(Outcome outcome, config::milliseconds timeout) {
    char seconds[48];
    std::snprintf(seconds, sizeof seconds, "%.3g s", static_cast<double>(timeout.count()) / 1000.0);
    switch (outcome) {
        case Outcome::conn_timeout: return std::string("no connection within ") + seconds;
        case Outcome::greeting_timeout:
            return std::string("connected, but the login was not finished within ") + seconds;
        default: return std::string("the probe got no answer within ") + seconds;
    }
}

std::string_view name_of(const View& view, std::optional<ServerId> id) {
    const ServerView* const server = id ? view.find(*id) : nullptr;
    return server != nullptr ? std::string_view(server->name) : std::string_view("none");
}

bool needs_attention(ServerState state) {
    return state == ServerState::down || state == ServerState::broken || state == ServerState::quarantined;
}

int64_t milliseconds_between(TimePoint from, TimePoint to) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count();
}

}  // namespace

Monitor::Monitor(const config::Cluster& cluster, EventLoop& loop, std::unique_ptr<Prober> prober, Log& log,
                 std::function<void(const View&)> on_view)
    : cluster_name_(cluster.name),
      settings_(cluster.health),
      loop_(loop),
      log_(log),
      on_view_(std::move(on_view)),
      topology_(cluster, loop.now()),
      published_(topology_.view()),
      jitter_state_(seed_of(cluster.name)) {
    for (const config::Server& server : cluster.servers) {
        Target& target = targets_.emplace_back();
        target.server = server;
        target.id = ServerId{targets_.size()};
    }
    set_prober(std::move(prober));
}

Monitor::~Monitor() = default;

void Monitor::set_prober(std::unique_ptr<Prober> prober) {
    prober_ = std::move(prober);
    prober_->notify([this](ServerId server, Hint what) { hint(server, what); });
}

void Monitor::start() {
    is_started_ = true;
    for (Target& target : targets_) {
        if (!target.in_flight && !target.next && !target.server.is_removed) probe(target);
    }
}

void Monitor::reconfigure(const config::Cluster& cluster, std::unique_ptr<Prober> prober) {
    settings_ = cluster.health;
    for (size_t i = 0; i < cluster.servers.size(); ++i) {
        if (i == targets_.size()) targets_.emplace_back().id = ServerId{i + 1};
        Target& target = targets_[i];
        const config::Server& server = cluster.servers[i];
        const bool is_another = !(target.server == server) || target.server.is_removed != server.is_removed;
        if (is_another || prober) stop(target);
        target.server = server;
    }
    if (prober) set_prober(std::move(prober));
    const bool changed = topology_.reconfigure(cluster, loop_.now());
    if (is_started_) start();
    publish(changed);
}

/// Nothing of it is under way any more, and its connection is closed.
void Monitor::stop(Target& target) {
    prober_->cancel(target.id);
    target.in_flight = target.again = false;
    target.timeout.reset();
    target.late.reset();
    target.next.reset();
}

void Monitor::set_duty(ServerId server, Duty duty) {
    const bool changed = topology_.set_duty(server, duty, loop_.now());
    publish(changed);
}

void Monitor::hint(ServerId server, Hint what) {
    if (topology_.view().find(server) == nullptr) return;
    const bool changed = topology_.hint(server, what, loop_.now());
    probe_all_soon();
    publish(changed);
}

void Monitor::probe(Target& target) {
    target.in_flight = true;
    target.again = false;
    target.next.reset();
    target.started_at = loop_.now();
    target.timeout = loop_.after(settings_.timeout, [this, &target] { give_up(target); });
    if (topology_.view().primary == target.id) {
        target.late = loop_.after(lateness(), [this, &target] { on_primary_late(target); });
    }
    prober_->probe(target.server, target.id,
                   [this, &target](Observation observation) { finish(target, observation); });
}

/// Probes at once, or as soon as the spacing allows; when one is under way, right after it, for what it says
/// may be older than what made us ask.
void Monitor::probe_soon(Target& target) {
    if (target.in_flight) {
        target.again = true;
        return;
    }
    const Duration since = loop_.now() - target.started_at;
    if (since >= probe_spacing_min) {
        probe(target);
    } else {
        target.next = loop_.after(probe_spacing_min - since, [this, &target] { probe(target); });
    }
}

void Monitor::probe_all_soon() {
    for (Target& target : targets_) {
        if (target.in_flight || target.next) probe_soon(target);  // neither: not started yet
    }
}

/// A healthy answer takes a few milliseconds; long before the time limit is over it is worth asking the
/// others whether one of them has been promoted.
Duration Monitor::lateness() const {
    return std::min(Duration(settings_.fast), Duration(settings_.interval) / 2);
}

bool Monitor::is_primary_late() const {
    return std::any_of(targets_.begin(), targets_.end(), [&](const Target& target) {
        return topology_.view().primary == target.id && target.in_flight &&
               loop_.now() - target.started_at >= lateness();
    });
}

/// Its probe is overdue: until that is answered or given up, the others are probed at the fast interval.
void Monitor::on_primary_late(Target& primary) {
    primary.late.reset();
    const bool changed = topology_.late(primary.id, loop_.now());
    for (Target& other : targets_) {
        if (&other != &primary && !other.in_flight && other.next) probe_soon(other);
    }
    publish(changed);
}

void Monitor::give_up(Target& target) {
    Observation observation;
    observation.server = target.id;
    observation.sent_at = target.started_at;
    observation.received_at = loop_.now();
    observation.outcome = prober_->cancel(target.id);
    observation.text = timeout_text(observation.outcome, settings_.timeout);
    finish(target, observation);
}

void Monitor::finish(Target& target, const Observation& observation) {
    target.in_flight = false;
    target.timeout.reset();
    target.late.reset();
    if (on_probed_) on_probed_(observation);
    const bool was_in_doubt = topology_.in_doubt();
    const std::optional<ServerId> primary_before = topology_.view().primary;
    bool changed = topology_.tick(loop_.now());
    changed |= topology_.observe(observation, loop_.now());
    if (target.again) {
        probe_soon(target);
    } else {
        schedule(target);
    }
    // New doubt concerns everybody: who else is there, and is it writable?
    const bool is_lost = primary_before && !topology_.view().primary;
    if (is_lost || (!was_in_doubt && topology_.in_doubt())) {
        for (Target& other : targets_) {
            if (&other != &target && (other.in_flight || other.next)) probe_soon(other);
        }
    }
    publish(changed);
}

void Monitor::schedule(Target& target) {
    const bool is_urgent = topology_.in_doubt() || is_primary_late();
    Duration interval = is_urgent ? settings_.fast : settings_.interval;
    // Clients are waiting, and the promoted server will not say so by itself.
    const bool is_awaited = !topology_.view().primary && topology_.first_round_done();
    if (is_awaited) interval = std::min(interval, Duration(settings_.fast) / awaited_share);
    interval = jittered(interval);
    const Duration since = loop_.now() - target.started_at;
    target.next =
        loop_.after(std::max(interval - since, probe_spacing_min), [this, &target] { probe(target); });
}

/// The interval, give or take jitter_percent. The generator is seeded by the cluster's name, so that a
/// simulation repeats itself.
Duration Monitor::jittered(Duration interval) {
    jitter_state_ ^= jitter_state_ << 13;  // xorshift64
    jitter_state_ ^= jitter_state_ >> 7;
    jitter_state_ ^= jitter_state_ << 17;
    const auto percent = static_cast<int64_t>(jitter_state_ % (2 * jitter_percent + 1)) + 100 -
                         static_cast<int64_t>(jitter_percent);
    return interval / 100 * percent;
}

void Monitor::publish(bool changed) {
    if (!changed) return;
    const View before = std::exchange(published_, topology_.view());
    const View now = published_;  // whoever is called may hint, and so change ours
    log_changes(before, now);
    on_view_(now);
}

void Monitor::log_changes(const View& before, const View& after) {
    for (const ServerView& is : after.servers) {
        const ServerView* const known = before.find(is.id);
        const ServerView was = known != nullptr && known->name == is.name ? *known : ServerView{};
        if (was.state == is.state && was.role == is.role) continue;
        const bool is_expected = is.duty != Duty::serves;  // an operator works at it
        const LogLevel level = needs_attention(is.state) && !is_expected ? LogLevel::warn : LogLevel::info;
        if (!log_.enabled(level)) continue;
        log_.write(level, "server_state_changed",
                   {{"cluster", cluster_name_},
                    {"server", is.name},
                    {"from", to_string(was.state)},
                    {"to", to_string(is.state)},
                    {"role", to_string(is.role)},
                    {"timeline", is.timeline},
                    {"reason", is.reason}});
    }
    if (before.split_brain != after.split_brain) {
        if (after.split_brain) {
            log_.error("split_brain",
                       {{"cluster", cluster_name_}, {"primary", name_of(after, after.primary)}});
        } else {
            log_.info("split_brain_over",
                      {{"cluster", cluster_name_}, {"primary", name_of(after, after.primary)}});
        }
    }
    if (before.primary == after.primary) return;
    if (!after.primary) {
        const ServerView* const lost = after.find(*before.primary);
        log_.warn("primary_lost", {{"cluster", cluster_name_},
                                   {"server", lost->name},
                                   {"epoch", after.epoch},
                                   {"reason", lost->reason}});
        return;
    }
    const ServerView* const primary = after.find(*after.primary);
    const int64_t without_ms =
        before.primary_lost_at ? milliseconds_between(*before.primary_lost_at, after.primary_since) : 0;
    log_.info(last_primary_ == after.primary ? "primary_returned" : "primary_changed",
              {{"cluster", cluster_name_},
               {"from", name_of(before, last_primary_)},
               {"to", primary->name},
               {"epoch", after.epoch},
               {"timeline", primary->timeline},
               {"without_primary_ms", without_ms}});
    last_primary_ = after.primary;
}

}  // namespace holdfast::health
