#pragma once

#include <cstdint>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "config/settings.h"
#include "health/view.h"
#include "protocol/base/position.h"
#include "protocol/dialect/dialect.h"
#include "proxy/engine/metrics.h"

namespace holdfast::engine {

/// What the routing of one unit depends on besides the unit itself.
struct RouteState {
    config::ListenerRole listener = config::ListenerRole::automatic;
    dialect::Transaction transaction = dialect::Transaction::idle;
    bool transaction_on_replica = false;
    bool pinned = false;  // reads must stay with the state that can't move
    bool has_primary_connection = false;
    std::optional<config::RuleTarget> rule;
    bool learned = false;
    bool reads_on_primary = false;     // with primary_reads = "always": the session's reads are there for now
    bool waits_for_own_write = false;  // no primary position is known that holds the session's last write
    Position required;                 // a replica must have replayed this
};

struct Route {
    Target target = Target::primary;  // primary or replica
    RouteReason reason = RouteReason::classified;
    bool current = false;  // stays on the connection of its transaction
    bool hold = false;     // nobody can take it now
};

/// Decides where a unit goes. Pure.
Route route(const dialect::UnitFacts& facts, const RouteState& state, const health::View& view,
            const config::Routing& policy);

/// Whether a server may take this session's reads.
bool may_read_from(const health::ServerView& server, const Position& required);

/// The share of the reads that each server is to get now: its configured weight, or less while it came up
/// less than `slow_start` ago.
std::vector<uint32_t> effective_weights(const health::View& view, const std::vector<config::Server>& servers,
                                        Duration slow_start, TimePoint now);

/// Chooses a server for a session's reads: the least of load/weight (ties by `turn`), or by turn or dice.
/// `weights[i]` and `loads[i]` belong to servers[i] of the view. Weight 0 takes reads only if there is no
/// other. also    takes reads besides the replicas; nullopt: nobody
std::optional<ServerId> choose_reader(const health::View& view, const std::vector<uint32_t>& weights,
                                      const std::vector<uint32_t>& loads, const Position& required,
                                      config::Balance balance, uint64_t turn,
                                      std::optional<ServerId> also = std::nullopt);

/// The configured rules, compiled once.
class RuleSet {
public:
    explicit RuleSet(const std::vector<config::Rule>& rules);
    bool empty() const { return rules_.empty(); }
    /// The first rule that matches a statement of this client. `sql` is the statement as it came.
    std::optional<config::RuleTarget> match(sql::Dialect dialect, const dialect::Identity& identity,
                                            std::string_view sql) const;

private:
    struct Compiled {
        std::optional<std::regex> user, database, application_name, sql, comment;
        config::RuleTarget to;
    };
    std::vector<Compiled> rules_;
};

}  // namespace holdfast::engine
