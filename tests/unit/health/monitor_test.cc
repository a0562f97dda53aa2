#include "health/monitor.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "cluster_lab.h"

using namespace holdfast;
using namespace holdfast::health;
using namespace holdfast::health::testing;

namespace {

/// Time that moves only when told to.
class FakeLoop final : public EventLoop {
public:
    TimePoint now() const override { return now_; }
    std::unique_ptr<Watch> after(Duration delay, std::function<void()> on_due) override {
        const Key key{now_ + delay, ++last_};
        timers_[key] = std::move(on_due);
        return std::make_unique<Entry>([this, key] { timers_.erase(key); });
    }
    std::unique_ptr<Watch> watch(int, Readiness, std::function<void()>) override { return nullptr; }
    std::unique_ptr<Watch> resolve(const std::string&,
                                   std::function<void(Result<std::vector<std::string>>)>) override {
        return nullptr;
    }
    void run_for(Duration time) {
        const TimePoint end = now_ + time;
        while (!timers_.empty() && timers_.begin()->first.first <= end) {
            const auto first = timers_.begin();
            now_ = std::max(now_, first->first.first);
            const auto on_due = std::move(first->second);
            timers_.erase(first);
            on_due();
        }
        now_ = end;
    }

private:
    using Key = std::pair<TimePoint, uint64_t>;
    struct Entry final : Watch {
        explicit Entry(std::function<void()> remove) : remove_(std::move(remove)) {}
        ~Entry() override { remove_(); }
        std::function<void()> remove_;
    };
    TimePoint now_{1s};
    uint64_t last_ = 0;
    std::map<Key, std::function<void()>> timers_;
};

/// Keeps the probes until the test answers them.
class FakeProber final : public Prober {
public:
    explicit FakeProber(FakeLoop& loop) : loop_(loop) {}
    void probe(const config::Server& server, ServerId id, std::function<void(Observation)> done) override {
        CHECK(server.name == "pg" + std::to_string(id.value));
        CHECK_FALSE(pending.contains(id.value));
        pending[id.value] = {loop_.now(), std::move(done)};
        started.emplace_back(id.value, loop_.now());
    }
    Outcome cancel(ServerId id) override {
        pending.erase(id.value);
        cancelled.push_back(id.value);
        return Outcome::query_timeout;
    }
    void notify(std::function<void(ServerId, Hint)> on_news) override { news = std::move(on_news); }

    void answer(uint64_t n, Observation o) {
        REQUIRE(pending.contains(n));
        const auto probe = std::exchange(pending[n], {});
        pending.erase(n);
        o.sent_at = probe.first;
        o.received_at = loop_.now();
        probe.second(o);
    }
    size_t count(uint64_t n) const {
        size_t found = 0;
        for (const auto& [server, time] : started) found += server == n ? 1 : 0;
        return found;
    }

    std::map<uint64_t, std::pair<TimePoint, std::function<void(Observation)>>> pending;
    std::vector<std::pair<uint64_t, TimePoint>> started;
    std::vector<uint64_t> cancelled;
    std::function<void(ServerId, Hint)> news;

private:
    FakeLoop& loop_;
};

class EventLog final : public Log {
public:
    bool enabled(LogLevel) const override { return true; }
    void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) override {
        std::string line(event);
        if (level == LogLevel::error) line = "error " + line;
        for (const LogField& field : fields) {
            if (const auto* text = std::get_if<std::string_view>(&field.value)) {
                line += " " + std::string(field.name) + "=" + std::string(*text);
            }
        }
        lines.push_back(line);
    }
    bool has(const std::string& line) const {
        for (const std::string& known : lines) {
            if (known == line) return true;
        }
        return false;
    }
    std::vector<std::string> lines;
};

struct Fixture {
    explicit Fixture(size_t servers) {
        auto owned = std::make_unique<FakeProber>(loop);
        prober = owned.get();
        monitor = std::make_unique<Monitor>(make_cluster(servers), loop, std::move(owned), log,
                                            [this](const View& view) { views.push_back(view); });
    }
    void primary(uint64_t n, uint32_t timeline) { prober->answer(n, shapes.as_primary(n, timeline)); }
    void standby(uint64_t n, uint32_t timeline) { prober->answer(n, shapes.as_standby(n, timeline)); }
    void refuse(uint64_t n) { prober->answer(n, shapes.as_failure(n, Outcome::conn_refused)); }
    /// pg1 primary, the others standbys, no probe under way, and all at the slow pace. Those that answered
    /// before everything was known are asked once more at the fast one.
    void settle(uint64_t servers) {
        monitor->start();
        for (uint64_t n = 1; n <= servers; ++n) n == 1 ? primary(n, 1) : standby(n, 1);
        loop.run_for(120ms);
        for (uint64_t n = 1; n <= servers; ++n) {
            if (prober->pending.contains(n)) n == 1 ? primary(n, 1) : standby(n, 1);
        }
        CHECK(prober->pending.empty());
        settled_at = loop.now();
        prober->started.clear();
    }

    FakeLoop loop;
    EventLog log;
    Lab shapes{5};
    TimePoint settled_at{};
    std::vector<View> views;
    FakeProber* prober = nullptr;
    std::unique_ptr<Monitor> monitor;
};

}  // namespace

TEST_CASE("monitor: probes all servers at once and publishes what comes of it") {
    Fixture f(2);
    CHECK(f.prober->started.empty());
    f.monitor->start();
    CHECK(f.prober->pending.size() == 2);
    CHECK_FALSE(f.monitor->first_round_done());
    f.primary(1, 1);
    f.standby(2, 1);
    CHECK(f.monitor->first_round_done());
    REQUIRE_FALSE(f.views.empty());
    CHECK(f.views.back() == f.monitor->view());
    CHECK(f.views.back().primary == ServerId{1});
    CHECK(f.log.has("primary_changed cluster=shop from=none to=pg1"));
}

TEST_CASE("monitor: probes at the interval while all is well, give or take a tenth") {
    Fixture f(2);
    f.settle(2);
    f.loop.run_for(750ms);  // they began 120 ms ago at most
    CHECK(f.prober->started.empty());
    f.loop.run_for(355ms);
    CHECK(f.prober->count(1) == 1);
    CHECK(f.prober->count(2) == 1);
}

TEST_CASE("monitor: probes everybody at the fast interval while there is no primary") {
    Fixture f(2);
    f.settle(2);
    f.loop.run_for(1105ms);
    f.standby(2, 1);
    const size_t before = f.prober->count(2);
    f.refuse(1);
    f.loop.run_for(2ms);
    CHECK(f.prober->count(2) == before + 1);  // at once, though its next probe was a second away
    f.standby(2, 1);
    f.loop.run_for(112ms);
    CHECK(f.prober->count(2) == before + 2);
    CHECK(f.log.has("primary_lost cluster=shop server=pg1 reason=failed: conn_refused"));
}

TEST_CASE("monitor: a probe that gets no answer is cancelled and counts as failed") {
    Fixture f(2);
    f.settle(2);
    f.loop.run_for(1105ms);
    f.standby(2, 1);
    f.loop.run_for(1000ms);
    REQUIRE_FALSE(f.prober->cancelled.empty());
    CHECK(f.prober->cancelled.front() == 1);
    CHECK(f.monitor->view().find(ServerId{1})->state == ServerState::suspect);
    CHECK(f.monitor->view().find(ServerId{1})->reason == "the probe got no answer within 1 s");
    CHECK(f.monitor->view().primary == ServerId{1});
}

TEST_CASE("monitor: while the primary's probe is overdue the others are probed at the fast interval") {
    Fixture f(2);
    f.settle(2);
    while (!f.prober->pending.contains(1)) {
        f.loop.run_for(1ms);
        if (f.prober->pending.contains(2)) f.standby(2, 1);
    }
    const TimePoint asked_at = f.loop.now();
    f.prober->started.clear();
    while (f.loop.now() < asked_at + 500ms) {
        if (f.prober->pending.contains(2)) f.standby(2, 1);
        f.loop.run_for(1ms);
    }
    CHECK(f.prober->count(2) >= 4);  // one at once when it became late, then each 100 ms
    CHECK(f.prober->count(2) <= 6);
    CHECK(f.prober->count(1) == 0);
    CHECK(f.monitor->view().primary == ServerId{1});
    CHECK(f.monitor->view().find(ServerId{1})->state == ServerState::up);
    if (f.prober->pending.contains(2)) f.standby(2, 1);
    f.primary(1, 1);
    f.loop.run_for(112ms);  // the one that was due at the fast interval
    if (f.prober->pending.contains(2)) f.standby(2, 1);
    f.prober->started.clear();
    f.loop.run_for(250ms);
    CHECK(f.prober->started.empty());
}

TEST_CASE(
    "monitor: a standby promoted while the primary's probe is overdue is noticed at the fast interval") {
    Fixture f(2);
    f.settle(2);
    while (!f.prober->pending.contains(1)) {
        f.loop.run_for(1ms);
        if (f.prober->pending.contains(2)) f.standby(2, 1);
    }
    f.loop.run_for(102ms);
    REQUIRE(f.prober->pending.contains(2));
    f.primary(2, 2);
    CHECK(f.monitor->view().primary == ServerId{2});
}

TEST_CASE("monitor: a hint probes all servers at once") {
    Fixture f(3);
    f.settle(3);
    f.loop.run_for(500ms);
    f.views.clear();
    f.monitor->hint(ServerId{1}, Hint::connection_lost);
    CHECK(f.prober->pending.size() == 3);
    REQUIRE(f.views.size() == 1);
    CHECK_FALSE(f.views.back().primary);
    f.primary(1, 1);
    CHECK(f.monitor->view().primary == ServerId{1});
    CHECK(f.log.has("primary_returned cluster=shop from=pg1 to=pg1"));
}

TEST_CASE("monitor: a probe under way when the hint came is followed by another at once") {
    Fixture f(2);
    f.settle(2);
    f.loop.run_for(1105ms);
    const size_t before = f.prober->count(1);
    CHECK(f.prober->pending.contains(1));
    f.monitor->hint(ServerId{1}, Hint::connection_lost);
    CHECK(f.prober->count(1) == before);
    f.primary(1, 1);  // sent before the hint
    CHECK_FALSE(f.monitor->view().primary);
    CHECK(f.prober->count(1) == before + 1);
    f.loop.run_for(1ms);
    f.primary(1, 1);
    CHECK(f.monitor->view().primary == ServerId{1});
}

TEST_CASE("monitor: a storm of hints does not become a storm of probes") {
    Fixture f(2);
    f.settle(2);
    f.loop.run_for(500ms);
    const size_t before = f.prober->started.size();
    for (int i = 0; i < 1000; ++i) {
        f.monitor->hint(ServerId{1}, Hint::connection_lost);
        if (f.prober->pending.contains(1)) f.primary(1, 1);
        if (f.prober->pending.contains(2)) f.standby(2, 1);
        f.loop.run_for(10us);
    }
    CHECK(f.prober->started.size() - before <= 2 * (10ms / 2ms + 1));
}

TEST_CASE("monitor: news between probes are hints") {
    Fixture f(2);
    f.settle(2);
    f.loop.run_for(500ms);
    f.prober->news(ServerId{1}, Hint::shutting_down);
    CHECK_FALSE(f.monitor->view().primary);
    CHECK(f.prober->pending.contains(1));
    f.monitor->hint(ServerId{77}, Hint::connection_lost);
}

TEST_CASE("monitor: raises the alarm when two servers are writable") {
    Fixture f(2);
    f.monitor->start();
    f.primary(1, 1);
    f.primary(2, 2);
    CHECK(f.log.has("error split_brain cluster=shop primary=pg2"));
    f.loop.run_for(200ms);
    f.prober->answer(1, f.shapes.as_standby(1, 2));
    CHECK(f.log.has("split_brain_over cluster=shop primary=pg2"));
}

TEST_CASE("monitor: may be destroyed with probes under way and timers running") {
    Fixture f(2);
    f.monitor->start();
    f.primary(1, 1);
    f.monitor.reset();
    f.loop.run_for(10s);
    CHECK(f.views.size() == 1);
}

TEST_CASE("monitor: whoever is told of a view may hint") {
    FakeLoop loop;
    NullLog log;
    auto owned = std::make_unique<FakeProber>(loop);
    FakeProber* const prober = owned.get();
    Lab shapes{2};
    Monitor* self = nullptr;
    int calls = 0;
    Monitor monitor(make_cluster(2), loop, std::move(owned), log, [&](const View& view) {
        if (view.primary && ++calls == 1) {
            self->hint(ServerId{1}, Hint::refused_write);
            CHECK(view.primary == ServerId{1});  // ours is the one of the call
        }
    });
    self = &monitor;
    monitor.start();
    prober->answer(1, shapes.as_primary(1, 1));
    prober->answer(2, shapes.as_standby(2, 1));
    CHECK(calls == 1);
    CHECK_FALSE(monitor.view().primary);
    loop.run_for(5ms);
    prober->answer(1, shapes.as_primary(1, 1));
    CHECK(monitor.view().primary == ServerId{1});
}
