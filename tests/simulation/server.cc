#include "tests/simulation/server.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/backend.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;

Server::Server(Site& site, size_t number)
    : site_(site), name_("pg" + std::to_string(number)), number_(number) {}
Server::~Server() = default;

void Server::say(std::string_view what) {
    site_.trace.line(name_, what);
}

void Server::accept(std::shared_ptr<Endpoint> endpoint) {
    const uint32_t id = ++next_process_id_;
    auto backend = make_backend(*this, id, std::move(endpoint));
    backends_.emplace(id, backend);
    backend->begin();
}

void Server::later(Duration delay, std::function<void()> run) {
    site_.network.events().after(delay, [this, life = life_, run = std::move(run)]() mutable {
        if (life != life_) return;
        if (process_ == Process::stopped) {
            stalled_.push_back(std::move(run));
        } else {
            run();
        }
    });
}

void Server::drop_backends(const std::function<void(Backend&)>& how) {
    for (auto& [id, backend] : std::exchange(backends_, {})) {
        how(*backend);
        backend->die();
    }
    locks_.clear();
    waiters_.clear();
}

void Server::start(bool as_standby, Duration recovery) {
    if (process_ != Process::down) return;
    if (!host_->reachable) {
        site_.network.forget_connections(host_);
        site_.network.join(host_);
    }
    ++life_;
    process_ = Process::starting;
    standby_ = as_standby;
    read_only_ = false;  // as the configuration has it
    say(as_standby ? "starts as a standby" : "starts as a primary");
    rebuild();
    later(recovery, [this] {
        process_ = Process::running;
        say("serves");
        if (standby_) pull();
        offer();
    });
}

void Server::kill(Death death) {
    if (process_ == Process::down) return;
    say("is killed");
    ++life_;
    stalled_.clear();
    process_ = Process::down;
    received_by_.clear();
    if (death == Death::vanishes) site_.network.cut_off(host_, 15s);
    drop_backends([&](Backend& backend) {
        switch (death) {
            case Death::resets: backend.endpoint().abort(); break;
            case Death::ends: backend.endpoint().shut(); break;
            case Death::vanishes: break;  // nobody is told anything
        }
    });
}

void Server::stop_process() {
    if (process_ != Process::running) return;
    say("is stopped");
    process_ = Process::stopped;
}

void Server::continue_process() {
    if (process_ != Process::stopped) return;
    say("continues");
    process_ = Process::running;
    for (auto& run : std::exchange(stalled_, {})) later(1us, std::move(run));
    for (const auto& [id, backend] : backends_) {
        later(2us, [weak = std::weak_ptr<Backend>(backend)] {
            if (const auto alive = weak.lock()) alive->on_change();
        });
    }
    if (standby_) pull();
    offer();
}

void Server::shut_down() {
    if (process_ != Process::running) return;
    say("is shut down");
    // It waits until its standbys have everything.
    offer();
    for (Server* standby : standbys_) {
        if (standby->running()) standby->pull();
    }
    ++life_;
    process_ = Process::down;
    drop_backends([](Backend& backend) { backend.say_goodbye(Farewell::shutdown); });
}

void Server::crash_restart() {
    if (process_ != Process::running) return;
    say("one of its processes crashed");
    ++life_;
    process_ = Process::starting;
    drop_backends([](Backend& backend) { backend.say_goodbye(Farewell::crash); });
    rebuild();
    received_by_.clear();
    later(site_.network.random().between(Duration(30ms), Duration(150ms)), [this] {
        process_ = Process::running;
        say("serves again");
        if (standby_) pull();
        offer();
    });
}

void Server::end_one_session(bool politely) {
    if (backends_.empty() || process_ != Process::running) return;
    auto chosen = backends_.begin();
    std::advance(chosen, static_cast<std::ptrdiff_t>(site_.network.random().below(backends_.size())));
    const auto backend = chosen->second;
    say("ends session " + std::to_string(chosen->first));
    backends_.erase(chosen);
    if (politely) {
        backend->say_goodbye(Farewell::terminated);
    } else {
        backend->endpoint().abort();
    }
    unlock_all(*backend);
    backend->die();
}

void Server::promote(uint32_t timeline) {
    say("is promoted to timeline " + std::to_string(timeline));
    if (upstream_) upstream_->standbys_.erase(this);
    upstream_ = nullptr;
    apply_up_to(log_.size());
    timeline_ = timeline;
    standby_ = false;
    read_only_ = false;
    received_by_.clear();
    acknowledged_ = log_.size();
    auto record = std::make_shared<Record>();
    record->end_lsn = written_lsn() + 100;
    record->timeline = timeline_;
    log_.push_back(record);
    apply_up_to(log_.size());
    for (const auto& [id, backend] : backends_) backend->report_role();
}

void Server::set_read_only(bool is_read_only) {
    say(is_read_only ? "takes no more writes" : "takes writes again");
    read_only_ = is_read_only;
}

void Server::follow(Server* upstream) {
    if (upstream_) upstream_->standbys_.erase(this);
    upstream_ = upstream;
    standby_ = true;
    if (!upstream) return;
    read_only_ = false;  // that of a replica goes without saying
    say("follows " + upstream->name_);
    upstream->standbys_.insert(this);
    pull();
}

bool Server::has_diverged_from(const Server& upstream) const {
    if (log_.empty()) return false;
    return log_.size() > upstream.log_.size() || upstream.log_[log_.size() - 1] != log_.back();
}

void Server::rewind_to(const Server& upstream) {
    size_t common = std::min(log_.size(), upstream.log_.size());
    while (common > 0 && log_[common - 1] != upstream.log_[common - 1]) --common;
    say("is rewound by " + std::to_string(log_.size() - common) + " records");
    log_.resize(common);
    timeline_ = log_.empty() ? 1 : log_.back()->timeline;
    rebuild();
}

void Server::set_sync(Server* standby) {
    sync_ = standby;
    if (standby) {
        const auto known = received_by_.find(standby);
        if (known != received_by_.end()) acknowledged_by(*standby, known->second);
    }
}

bool Server::has_all_acknowledged_by(const Server& primary) const {
    const size_t needed = primary.acknowledged_;
    if (needed == 0) return true;
    return log_.size() >= needed && log_[needed - 1] == primary.log_[needed - 1];
}

bool Server::is_streaming() const {
    return upstream_ && running() && upstream_->running() && !has_diverged_from(*upstream_);
}

/// Everything in the log is visible after a restart.
void Server::rebuild() {
    rows_.clear();
    applied_ = 0;
    apply_up_to(log_.size());
}

void Server::apply_up_to(size_t index) {
    for (; applied_ < std::min(index, log_.size()); ++applied_) {
        for (const Change& change : log_[applied_]->changes) {
            if (change.key == 0) continue;
            int64_t& row = rows_[change.key];
            row = change.adds ? row + 1 : std::max(row, change.value);
        }
    }
    if (standby_ && !log_.empty()) timeline_ = log_.back()->timeline;
}

int64_t Server::value_of(int64_t key) const {
    const auto found = rows_.find(key);
    return found == rows_.end() ? 0 : found->second;
}

/// Tells the standbys that there is more.
void Server::offer() {
    for (Server* standby : standbys_) {
        if (standby->pulling_) continue;
        standby->pulling_ = true;
        const Duration delay = site_.network.random().between(Duration(100us), Duration(2ms));
        site_.network.events().after(delay, [standby] {
            standby->pulling_ = false;
            standby->pull();
        });
    }
}

/// A standby receives what its upstream has, tells so, and replays it a little later.
void Server::pull() {
    if (!standby_ || !is_streaming()) return;
    log_.insert(log_.end(), upstream_->log_.begin() + static_cast<std::ptrdiff_t>(log_.size()),
                upstream_->log_.end());
    if (!log_.empty()) timeline_ = log_.back()->timeline;
    const size_t size = log_.size();
    Random& random = site_.network.random();
    site_.network.events().after(
        random.between(Duration(50us), Duration(1ms)),
        [this, upstream = upstream_, life = upstream_->life_, size] {
            if (upstream->life_ != life || !upstream->standbys_.contains(this)) return;
            upstream->later(0ns, [upstream, this, size] { upstream->acknowledged_by(*this, size); });
        });
    if (applied_ == size) return;
    last_replay_ = std::max(last_replay_,
                            site_.network.events().now() + random.between(Duration(0ns), replay_delay_max_));
    later(last_replay_ - site_.network.events().now(), [this, size] {
        if (standby_) apply_up_to(size);
    });
}

void Server::acknowledged_by(Server& standby, size_t index) {
    size_t& known = received_by_[&standby];
    known = std::max(known, index);
    if (&standby != sync_) return;
    apply_up_to(known);
    while (!waiters_.empty() && waiters_.front().index <= known) {
        const Waiter first = std::move(waiters_.front());
        waiters_.erase(waiters_.begin());
        acknowledged_ = std::max(acknowledged_, first.index);
        first.run();
    }
}

void Server::commit(std::vector<Change> changes, std::vector<Notification> notifications,
                    std::function<void()> on_durable) {
    auto record = std::make_shared<Record>();
    record->end_lsn = written_lsn() + 60 + 40 * changes.size();
    record->timeline = timeline_;
    record->changes = std::move(changes);
    record->notifications = std::move(notifications);
    log_.push_back(record);
    const auto done = [this, record, on_durable = std::move(on_durable)] {
        for (const Notification& each : record->notifications) {
            for (const auto& [id, backend] : backends_) backend->notify(each);
        }
        on_durable();
    };
    offer();
    if (site_.synchronous) {
        waiters_.push_back({log_.size(), done});
        return;
    }
    apply_up_to(log_.size());
    acknowledged_ = log_.size();
    done();
}

bool Server::lock(int64_t key, Backend& by, std::function<void()> retry) {
    Lock& lock = locks_[key];
    if (!lock.holder || lock.holder == &by) {
        lock.holder = &by;
        return true;
    }
    lock.waiting.emplace_back(&by, std::move(retry));
    return false;
}

void Server::unlock_all(Backend& by) {
    std::vector<std::function<void()>> retries;
    for (auto it = locks_.begin(); it != locks_.end();) {
        Lock& lock = it->second;
        std::erase_if(lock.waiting, [&](const auto& each) { return each.first == &by; });
        if (lock.holder == &by) {
            lock.holder = nullptr;
            for (auto& [who, retry] : std::exchange(lock.waiting, {})) retries.push_back(std::move(retry));
        }
        it = !lock.holder && lock.waiting.empty() ? locks_.erase(it) : std::next(it);
    }
    for (auto& retry : retries) later(10us, std::move(retry));
}

Backend* Server::find_backend(uint32_t process_id) const {
    const auto found = backends_.find(process_id);
    return found == backends_.end() ? nullptr : found->second.get();
}

void Server::remove(Backend& backend) {
    say("session " + std::to_string(backend.process_id()) + " is over");
    unlock_all(backend);
    backend.die();
    backends_.erase(backend.process_id());
}

}  // namespace holdfast::simulation
