#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tests/simulation/books.h"
#include "tests/simulation/network.h"
#include "tests/simulation/server.h"

namespace holdfast::simulation {

/// Breaks servers and mends them again, one fault after another, and does what a cluster manager would: it
/// promotes a standby that has everything, has the others follow it, and brings the old primary back.
class Faults {
public:
    Faults(Site& site, std::vector<Server*> servers);

    /// The cluster as it begins: number 1 is the primary.
    void bring_up();
    /// A random fault; ends by itself. Nothing happens while a fault of the same kind of place is under way.
    void strike();
    bool is_calm() const { return under_way_ == 0; }
    int struck() const { return struck_; }
    /// Everything that is down or stopped comes back; the others follow the primary.
    void mend_all();

private:
    void after(Duration delay, std::function<void()> run);
    Duration between(Duration low, Duration high);
    Random& random() { return site_.network.random(); }
    void begin(const char* name);
    void end();
    void tend();

    void crash_primary();
    void stop_primary();
    void switch_over();
    void quick_restart();
    void end_sessions();
    void trouble_standby();
    void slow_standby();
    void cut_off(Server& server);
    void promote_behind_its_back();
    void hand_over();
    void hand_over_when_ready(Server& old, TimePoint limit);
    void lose_everything();

    Server* choose_successor() const;
    bool fail_over();
    void bring_back(Server& old);
    void rejoin(Server& server);

    Site& site_;
    std::vector<Server*> servers_;
    Server* primary_ = nullptr;
    uint32_t timeline_ = 1;
    int under_way_ = 0;
    int struck_ = 0;
    bool mending_ = false;
};

}  // namespace holdfast::simulation
