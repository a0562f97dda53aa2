#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "tests/simulation/network.h"
#include "tests/simulation/sim_world.h"
#include "tests/simulation/trace.h"

namespace holdfast::simulation {

class Backend;
class Books;

/// Why a server ends a session that did nothing wrong.
enum class Farewell { shutdown, crash, terminated };

/// What one transaction changed: one record of the log that servers share by streaming it.
struct Change {
    int64_t key = 0;    // 0: an insert, which only its tag tells
    int64_t value = 0;  // for raise
    bool adds = false;  // v = v + 1
    uint64_t tag = 0;
};
struct Notification {
    std::string channel;
    std::string payload;
};
struct Record {
    uint64_t end_lsn = 0;
    uint32_t timeline = 0;
    std::vector<Change> changes;
    std::vector<Notification> notifications;
};
using RecordRef = std::shared_ptr<const Record>;

/// What the servers of a run have in common.
struct Site {
    Network& network;
    Books& books;
    Trace& trace;
    bool synchronous = true;  // commits wait for one standby
    bool speaks_mysql = false;
};

/// A scripted server: a process that lives, hangs and dies, a log that it writes or replays, and
/// the sessions on it. Owned by the run.
class Server final : public Door {
public:
    enum class Process { down, starting, running, stopped };
    enum class Death { resets, ends, vanishes };  // how its connections see a kill

    Server(Site& site, size_t number);
    ~Server() override;

    // --- as others see it
    const std::shared_ptr<Host>& host() const override { return host_; }
    /// A PostgreSQL that is starting says so; a MySQL isn't there yet.
    bool listens() const override {
        return process_ != Process::down && !(site_.speaks_mysql && process_ == Process::starting);
    }
    void accept(std::shared_ptr<Endpoint> endpoint) override;
    const std::string& name() const { return name_; }
    size_t number() const { return number_; }
    Process process() const { return process_; }
    bool running() const { return process_ == Process::running; }
    bool is_standby() const { return standby_; }
    /// It takes no writes: a standby, or a primary that is about to be one no longer (MySQL's read_only).
    bool is_read_only() const { return standby_ || read_only_; }
    uint32_t timeline() const { return timeline_; }
    uint64_t written_lsn() const { return log_.empty() ? first_lsn : log_.back()->end_lsn; }
    uint64_t applied_lsn() const { return applied_ == 0 ? first_lsn : log_[applied_ - 1]->end_lsn; }
    bool is_streaming() const;
    Server* upstream() const { return upstream_; }
    const std::vector<RecordRef>& log() const { return log_; }
    size_t applied() const { return applied_; }
    /// Commits that wait for a standby.
    bool has_commits_under_way() const { return !waiters_.empty(); }
    size_t backends() const { return backends_.size(); }

    // --- life
    void start(bool as_standby, Duration recovery);
    void kill(Death death);
    void stop_process();      // SIGSTOP …
    void continue_process();  // … and SIGCONT
    void shut_down();         // fast: everybody is told
    void crash_restart();     // a backend died: everybody is thrown out, and it recovers
    void end_one_session(bool politely);
    void promote(uint32_t timeline);
    void set_read_only(bool is_read_only);
    void follow(Server* upstream);
    /// Makes the log one that `upstream` can go on with: what only this server has is dropped.
    void rewind_to(const Server& upstream);
    bool has_diverged_from(const Server& upstream) const;
    void set_sync(Server* standby);
    Server* sync() const { return sync_; }
    void set_replay_delay(Duration most) { replay_delay_max_ = most; }
    /// Whether this server's log holds everything that `primary` has acknowledged.
    bool has_all_acknowledged_by(const Server& primary) const;

    // --- for its sessions
    Site& site() { return site_; }
    /// Runs `run` after `delay`, but not while the process is stopped and never in another life of it.
    void later(Duration delay, std::function<void()> run);
    int64_t value_of(int64_t key) const;
    /// Appends a record; `on_durable` is called when the commit may be told to the client.
    void commit(std::vector<Change> changes, std::vector<Notification> notifications,
                std::function<void()> on_durable);
    /// True: the lock is held. False: `retry` is called when it may be tried again.
    bool lock(int64_t key, Backend& by, std::function<void()> retry);
    void unlock_all(Backend& by);
    Backend* find_backend(uint32_t process_id) const;
    void remove(Backend& backend);
    uint64_t next_ticket() { return ++tickets_; }

private:
    static constexpr uint64_t first_lsn = 16'777'216;
    struct Waiter {
        size_t index;
        std::function<void()> run;
    };
    struct Lock {
        Backend* holder = nullptr;
        std::vector<std::pair<Backend*, std::function<void()>>> waiting;
    };
    void drop_backends(const std::function<void(Backend&)>& how);
    void apply_up_to(size_t index);
    void rebuild();
    void pull();
    void offer();
    void acknowledged_by(Server& standby, size_t index);
    void say(std::string_view what);

    Site& site_;
    std::string name_;
    size_t number_;
    std::shared_ptr<Host> host_ = std::make_shared<Host>();
    Process process_ = Process::down;
    uint64_t life_ = 0;  // grows with each start and kill
    std::vector<std::function<void()>> stalled_;
    bool standby_ = false;
    bool read_only_ = false;
    bool pulling_ = false;
    uint32_t timeline_ = 1;
    std::vector<RecordRef> log_;
    size_t applied_ = 0;       // how much of the log is visible
    size_t acknowledged_ = 0;  // as a primary: how much was confirmed to clients
    std::map<int64_t, int64_t> rows_;
    std::vector<Waiter> waiters_;
    // Ordered by number, not by address: a run must repeat itself.
    struct ByNumber {
        bool operator()(const Server* a, const Server* b) const { return a->number_ < b->number_; }
    };
    std::map<Server*, size_t, ByNumber> received_by_;
    std::set<Server*, ByNumber> standbys_;
    Server* upstream_ = nullptr;
    Server* sync_ = nullptr;
    Duration replay_delay_max_{std::chrono::milliseconds(5)};
    TimePoint last_replay_{};
    std::map<int64_t, Lock> locks_;
    std::map<uint32_t, std::shared_ptr<Backend>> backends_;
    uint32_t next_process_id_ = 100;
    uint64_t tickets_ = 0;
};

}  // namespace holdfast::simulation
