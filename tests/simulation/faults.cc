#include "tests/simulation/faults.h"

#include <algorithm>
#include <utility>

namespace holdfast::simulation {

using namespace std::chrono_literals;
using Process = Server::Process;
using Death = Server::Death;

Faults::Faults(Site& site, std::vector<Server*> servers) : site_(site), servers_(std::move(servers)) {}

void Faults::after(Duration delay, std::function<void()> run) {
    site_.network.events().after(delay, std::move(run));
}

Duration Faults::between(Duration low, Duration high) {
    return random().between(low, high);
}

void Faults::begin(const char* name) {
    ++under_way_;
    ++struck_;
    site_.books.fault_begins();
    site_.trace.line("FAULT", name);
}

void Faults::end() {
    --under_way_;
    site_.books.fault_ends();
}

void Faults::bring_up() {
    primary_ = servers_[0];
    site_.books.set_truth(primary_);
    primary_->start(false, 1ms);
    for (size_t i = 1; i < servers_.size(); ++i) {
        servers_[i]->follow(primary_);
        servers_[i]->start(true, 1ms);
    }
    if (site_.synchronous && servers_.size() > 1) primary_->set_sync(servers_[1]);
    after(200ms, [this] { tend(); });
}

/// A cluster manager's round: the primary gets a standby that confirms its commits, and standbys that went
/// astray are made anew.
void Faults::tend() {
    after(200ms, [this] { tend(); });
    if (!primary_->running()) return;
    for (Server* server : servers_) {
        const bool astray = server != primary_ && server->running() && server->is_standby() &&
                            (server->upstream() != primary_ || server->has_diverged_from(*primary_));
        if (astray) rejoin(*server);
    }
    if (site_.synchronous && (!primary_->sync() || !primary_->sync()->is_streaming() ||
                              primary_->sync()->upstream() != primary_)) {
        for (Server* server : servers_) {
            if (server != primary_ && server->upstream() == primary_ && server->is_streaming()) {
                primary_->set_sync(server);
                break;
            }
        }
    }
}

void Faults::strike() {
    // One at a time mostly; a second one beside the first now and then.
    if (mending_ || under_way_ > 1 || (under_way_ == 1 && !random().chance(25))) return;
    Server& any = *servers_[random().below(servers_.size())];
    switch (random().below(13)) {
        case 0:
        case 1: return crash_primary();
        case 2:
        case 3: return stop_primary();
        case 4: return switch_over();
        case 5: return quick_restart();
        case 6: return end_sessions();
        case 7:
        case 8: return trouble_standby();
        case 9: return slow_standby();
        case 10: return cut_off(any);
        case 11: return site_.speaks_mysql ? hand_over() : promote_behind_its_back();
        default: return lose_everything();
    }
}

/// A standby that can take over without losing anything (of commits that wait for one: anything confirmed).
Server* Faults::choose_successor() const {
    Server* best = nullptr;
    for (Server* server : servers_) {
        if (server == primary_ || !server->running() || !server->is_standby()) continue;
        if (!server->host()->reachable) continue;
        if (site_.synchronous && !server->has_all_acknowledged_by(*primary_)) continue;
        if (!site_.synchronous && server->upstream() != primary_) continue;
        if (!best || server->written_lsn() > best->written_lsn()) best = server;
    }
    return best;
}

bool Faults::fail_over() {
    Server* successor = choose_successor();
    if (!successor) return false;
    successor->promote(++timeline_);
    // The old primary, if it lives, waits for the very standby that has left it: it confirms nothing any
    // more.
    primary_->set_sync(successor);
    primary_ = successor;
    site_.books.set_truth(successor);
    successor->set_sync(nullptr);
    for (Server* server : servers_) {
        if (server == successor || !server->is_standby()) continue;
        after(between(5ms, 1500ms), [this, server, successor] {
            if (primary_ == successor && server != primary_ && server->is_standby() && server->running()) {
                if (server->has_diverged_from(*primary_)) {
                    rejoin(*server);
                } else {
                    server->follow(primary_);
                }
            }
        });
    }
    return true;
}

/// Makes a server that lives or not a standby of the primary.
void Faults::rejoin(Server& server) {
    if (&server == primary_) return;
    server.continue_process();
    if (server.running()) {
        server.shut_down();
    } else {
        server.kill(Death::resets);
    }
    server.rewind_to(*primary_);
    server.follow(primary_);
    server.start(true, between(30ms, 800ms));
}

/// An old primary returns: as a standby, or for a while as if nothing had happened.
void Faults::bring_back(Server& old) {
    if (&old == primary_) {
        old.continue_process();
        old.start(false, between(20ms, 500ms));
        return end();
    }
    const bool as_primary = !old.is_standby() && random().chance(50);
    if (!as_primary) {
        rejoin(old);
        return end();
    }
    site_.trace.line("FAULT", "the old primary returns as one");
    old.continue_process();
    old.start(false, between(20ms, 500ms));
    after(between(500ms, 4s), [this, &old] {
        if (&old != primary_) rejoin(old);
        end();
    });
}

void Faults::crash_primary() {
    if (!primary_->running()) return;
    begin("the primary crashes");
    Server& old = *primary_;
    const uint64_t dice = random().below(10);
    old.kill(dice < 5 ? Death::resets : dice < 8 ? Death::ends : Death::vanishes);
    after(between(50ms, 3s), [this, &old] {
        if (random().chance(80)) (void)fail_over();
        after(between(100ms, 5s), [this, &old] { bring_back(old); });
    });
}

void Faults::stop_primary() {
    if (!primary_->running()) return;
    begin("the primary hangs");
    Server& old = *primary_;
    old.stop_process();
    after(between(50ms, 5s), [this, &old] {
        if (random().chance(70)) (void)fail_over();
        after(between(10ms, 4s), [this, &old] { bring_back(old); });
    });
}

void Faults::switch_over() {
    if (!primary_->running()) return;
    begin("a planned switchover");
    Server& old = *primary_;
    old.shut_down();
    after(between(5ms, 500ms), [this, &old] {
        if (!fail_over()) return bring_back(old);
        after(between(5ms, 2s), [this, &old] {
            rejoin(old);
            end();
        });
    });
}

/// A switchover in which nobody is restarted: the old primary takes no more writes, and when the successor
/// has all, it does.
void Faults::hand_over() {
    if (!primary_->running() || primary_->is_read_only()) return;
    begin("the primary hands over");
    Server& old = *primary_;
    old.set_read_only(true);
    hand_over_when_ready(old, site_.network.events().now() + 3s);
}

void Faults::hand_over_when_ready(Server& old, TimePoint limit) {
    after(between(1ms, 200ms), [this, &old, limit] {
        if (!old.running() || !old.is_read_only() || &old != primary_) return end();
        Server* successor = choose_successor();
        const bool is_ready =
            successor && !old.has_commits_under_way() && successor->log().size() == old.log().size();
        if (!is_ready && site_.network.events().now() < limit) return hand_over_when_ready(old, limit);
        if (!is_ready) {
            old.set_read_only(false);
            return end();
        }
        (void)fail_over();
        after(between(1ms, 300ms), [this, &old] {
            if (&old != primary_ && old.running() && !old.is_standby()) old.follow(primary_);
            end();
        });
    });
}

void Faults::quick_restart() {
    Server& server = random().chance(70) ? *primary_ : *servers_[random().below(servers_.size())];
    if (!server.running()) return;
    begin("a restart in place");
    if (random().chance(50)) {
        server.crash_restart();
        return after(1s, [this] { end(); });
    }
    const bool as_standby = server.is_standby();
    server.shut_down();
    after(between(20ms, 1s), [this, &server, as_standby] {
        server.start(as_standby && &server != primary_, between(10ms, 300ms));
        after(500ms, [this] { end(); });
    });
}

void Faults::end_sessions() {
    begin("sessions are ended");
    for (uint64_t n = random().between(1, 6); n > 0; --n) {
        after(between(0ms, 800ms),
              [this] { servers_[random().below(servers_.size())]->end_one_session(random().chance(50)); });
    }
    after(1s, [this] { end(); });
}

void Faults::trouble_standby() {
    Server& server = *servers_[random().below(servers_.size())];
    if (&server == primary_ || !server.running() || !server.is_standby()) return;
    begin("a standby fails");
    const uint64_t dice = random().below(10);
    if (dice < 5) {
        server.stop_process();
        return after(between(20ms, 5s), [this, &server] {
            server.continue_process();
            end();
        });
    }
    server.kill(dice < 7 ? Death::resets : dice < 9 ? Death::ends : Death::vanishes);
    after(between(50ms, 4s), [this, &server] {
        if (&server != primary_) server.start(true, between(20ms, 500ms));
        end();
    });
}

void Faults::slow_standby() {
    Server& server = *servers_[random().below(servers_.size())];
    begin("a standby replays slowly");
    server.set_replay_delay(between(200ms, 8s));
    after(between(500ms, 6s), [this, &server] {
        server.set_replay_delay(5ms);
        end();
    });
}

void Faults::cut_off(Server& server) {
    if (!server.host()->reachable) return;
    begin("a server is cut off from the proxy");
    site_.network.cut_off(server.host(), 15s);
    after(between(20ms, 5s), [this, &server] {
        // Nobody promotes another one meanwhile: the primary serves, only not through this way.
        if (server.process() != Process::down) site_.network.join(server.host());
        end();
    });
}

/// The old primary does not know.
void Faults::promote_behind_its_back() {
    if (!primary_->running()) return;
    Server& old = *primary_;
    begin("a promotion beside a primary that lives");
    if (!fail_over()) return end();
    after(between(100ms, 4s), [this, &old] {
        if (&old != primary_) rejoin(old);
        end();
    });
}

void Faults::lose_everything() {
    begin("all servers crash");
    for (Server* server : servers_) {
        server->continue_process();
        server->kill(random().chance(50) ? Death::resets : Death::ends);
    }
    auto left = std::make_shared<size_t>(servers_.size());
    for (Server* server : servers_) {
        after(between(100ms, 5s), [this, server, left] {
            const bool is_stale = !server->is_standby() && server != primary_;
            if (is_stale) {
                rejoin(*server);
            } else {
                server->start(server != primary_, between(20ms, 500ms));
            }
            if (--*left == 0) after(500ms, [this] { end(); });
        });
    }
}

void Faults::mend_all() {
    mending_ = true;
    for (Server* server : servers_) {
        server->set_replay_delay(5ms);
        if (server->process() == Process::down) {
            if (server != primary_ && !server->is_standby()) {
                rejoin(*server);
            } else {
                server->start(server != primary_, 20ms);
            }
        }
        server->continue_process();
        site_.network.join(server->host());
        if (server != primary_ && !server->is_standby()) rejoin(*server);
    }
}

}  // namespace holdfast::simulation
