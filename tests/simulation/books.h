#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "health/view.h"
#include "tests/simulation/events.h"
#include "tests/simulation/trace.h"

namespace holdfast::simulation {

class Server;

/// What clients were told, what servers did, and where the two disagree. Every statement that writes has a
/// tag that no other statement of the run has.
class Books {
public:
    /// What the client was told of a write.
    enum class Fate { open, acknowledged, unknown, failed };

    Books(const Events& events, Trace& trace) : events_(events), trace_(trace) {}

    uint64_t next_tag() { return ++tags_; }
    void problem(const std::string& text);
    const std::vector<std::string>& problems() const { return problems_; }

    void settle(uint64_t tag, Fate fate) { fates_[tag] = fate; }
    /// A server runs a write (its transaction may still be rolled back).
    void executed(uint64_t tag, const Server& server, TimePoint sent_at);
    void view(const health::View& view);
    /// Who is really the primary: the one promoted last.
    void set_truth(const Server* server) { truth_ = server; }
    const Server* truth() const { return truth_; }
    /// Whether the surviving history has the write.
    bool survives(uint64_t tag) const;

    /// From now on faults may be the reason of errors, until some time after the last of them is over.
    void fault_begins();
    void fault_ends();
    bool is_disturbed(TimePoint from, TimePoint to) const;

    /// The end of the run. `lossless`: every acknowledged write must have survived.
    void check_history(bool lossless);

    // For the summary and for checks that something was tested at all.
    uint64_t statements = 0;
    uint64_t writes_acknowledged = 0;
    uint64_t errors = 0;
    uint64_t unknown_outcomes = 0;

private:
    struct Execution {
        int times = 0;
        std::string where;
    };
    const Events& events_;
    Trace& trace_;
    std::vector<std::string> problems_;
    std::unordered_map<uint64_t, Fate> fates_;
    std::unordered_map<uint64_t, Execution> executions_;
    std::vector<std::pair<TimePoint, std::optional<ServerId>>> primaries_;
    std::vector<std::pair<TimePoint, std::optional<TimePoint>>> disturbances_;
    int faults_ = 0;
    const Server* truth_ = nullptr;
    uint64_t tags_ = 1000;
};

}  // namespace holdfast::simulation
