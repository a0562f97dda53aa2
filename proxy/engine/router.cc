#include "proxy/engine/router.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/sql/classify.h"

namespace holdfast::engine {
namespace {

using dialect::Transaction;
using sql::Destination;

/// What a server gets of its weight at the beginning of its slow start.
constexpr double slow_start_share_min = 0.1;

Route to_primary(const health::View& view, RouteReason reason) {
    return {Target::primary, reason, false, !view.primary};
}

/// Reads that any fresh enough replica may take; what else when none can.
Route route_read(const RouteState& state, const health::View& view, const config::Routing& policy) {
    if (policy.consistency == config::Consistency::primary) return to_primary(view, RouteReason::consistency);
    if (state.learned) return to_primary(view, RouteReason::learned);
    const bool session_consistency = policy.consistency == config::Consistency::session;
    if (session_consistency && state.waits_for_own_write)
        return to_primary(view, RouteReason::read_your_writes);

    if (policy.primary_reads == config::PrimaryReads::always && state.reads_on_primary && view.primary)
        return to_primary(view, RouteReason::consistency);

    const Position required = session_consistency ? state.required : Position{};
    const auto readable = [&](const health::ServerView& s) { return may_read_from(s, required); };
    if (std::any_of(view.servers.begin(), view.servers.end(), readable))
        return {Target::replica, RouteReason::classified};

    const bool some_readable =
        std::any_of(view.servers.begin(), view.servers.end(), [](const auto& s) { return s.readable; });
    const bool some_lag = std::any_of(view.servers.begin(), view.servers.end(),
                                      [](const auto& s) { return health::is_behind(s.state); });
    const RouteReason reason = some_readable ? RouteReason::read_your_writes
                               : some_lag    ? RouteReason::lag
                                             : RouteReason::no_replica;
    // What consistency demands may always be read on the primary; only a lack of replicas is policy.
    if (policy.primary_reads == config::PrimaryReads::never && !some_readable) {
        return {Target::replica, reason, false, true};
    }
    return to_primary(view, reason);
}

bool matches_all(const std::regex& pattern, std::string_view text) {
    text = text.substr(0, limits::rule_text_bytes_max);
    return std::regex_match(text.begin(), text.end(), pattern);
}
/// std::regex goes deeper with every character it matches: only so much of a text is looked at.
std::string_view matched_part(std::string_view text) {
    return text.substr(0, limits::rule_text_bytes_max);
}
bool matches_part(const std::regex& pattern, std::string_view text) {
    return std::regex_search(text.begin(), text.end(), pattern);
}

}  // namespace

Route route(const dialect::UnitFacts& facts, const RouteState& state, const health::View& view,
            const config::Routing& policy) {
    if (state.transaction != Transaction::idle) {
        return {state.transaction_on_replica ? Target::replica : Target::primary, RouteReason::in_transaction,
                true};
    }
    switch (state.listener) {
        case config::ListenerRole::primary:
        case config::ListenerRole::tcp: return to_primary(view, RouteReason::listener_role);
        case config::ListenerRole::replica: {
            const bool some = std::any_of(view.servers.begin(), view.servers.end(),
                                          [&](const auto& s) { return may_read_from(s, {}); });
            if (!some && policy.primary_reads != config::PrimaryReads::never &&
                facts.destination != Destination::primary) {
                return to_primary(view, RouteReason::no_replica);
            }
            return {Target::replica, RouteReason::listener_role, false, !some};
        }
        case config::ListenerRole::automatic: break;
    }
    if (state.pinned) return to_primary(view, RouteReason::pinned);
    // A rule may send reads anywhere and writes nowhere but to the primary: the classifier's doubt is the
    // operator's to resolve, and a replica refuses what does write.
    if (state.rule == config::RuleTarget::primary) return to_primary(view, RouteReason::rule);
    if (facts.too_long) return to_primary(view, RouteReason::oversize);
    if (state.rule == config::RuleTarget::replica && facts.reason != sql::Reason::write &&
        facts.reason != sql::Reason::ddl && facts.reason != sql::Reason::begin) {
        RouteState ruled = state;
        ruled.reads_on_primary = false;  // the rule says otherwise
        Route read = route_read(ruled, view, policy);
        if (read.target == Target::replica) read.reason = RouteReason::rule;
        return read;
    }
    switch (facts.destination) {
        case Destination::primary: return to_primary(view, RouteReason::classified);
        case Destination::replica: return route_read(state, view, policy);
        case Destination::transaction: break;
    }
    if (state.has_primary_connection || view.primary) return to_primary(view, RouteReason::classified);
    return route_read(state, view, policy);
}

bool may_read_from(const health::ServerView& server, const Position& required) {
    return server.readable && server.position.covers(required);
}

std::vector<uint32_t> effective_weights(const health::View& view, const std::vector<config::Server>& servers,
                                        Duration slow_start, TimePoint now) {
    std::vector<uint32_t> weights;
    for (size_t i = 0; i < servers.size() && i < view.servers.size(); ++i) {
        const uint32_t full = servers[i].weight;
        const TimePoint since = view.servers[i].recovered_at;
        const bool is_starting = full > 0 && since != TimePoint{} && now - since < slow_start;
        if (!is_starting) {
            weights.push_back(full);
            continue;
        }
        const double share =
            std::chrono::duration<double>(now - since) / std::chrono::duration<double>(slow_start);
        weights.push_back(std::max(1U, static_cast<uint32_t>(full * std::max(share, slow_start_share_min))));
    }
    return weights;
}

std::optional<ServerId> choose_reader(const health::View& view, const std::vector<uint32_t>& weights,
                                      const std::vector<uint32_t>& loads, const Position& required,
                                      config::Balance balance, uint64_t turn, std::optional<ServerId> also) {
    const auto may_read = [&](const health::ServerView& server) {
        return server.id == also || may_read_from(server, required);
    };
    std::vector<size_t> able;
    for (size_t i = 0; i < view.servers.size() && i < weights.size(); ++i) {
        if (may_read(view.servers[i]) && weights[i] > 0) able.push_back(i);
    }
    if (able.empty()) {  // weight 0 means "not if there is another"
        for (size_t i = 0; i < view.servers.size() && i < weights.size(); ++i) {
            if (may_read(view.servers[i])) able.push_back(i);
        }
    }
    if (able.empty()) return std::nullopt;
    if (balance != config::Balance::least_outstanding) {
        // By turn: each server once for each unit of its weight.
        uint64_t total = 0;
        for (const size_t i : able) total += std::max(weights[i], 1U);
        uint64_t at = turn % total;
        for (const size_t i : able) {
            const uint64_t weight = std::max(weights[i], 1U);
            if (at < weight) return view.servers[i].id;
            at -= weight;
        }
    }
    size_t best = able[turn % able.size()];
    for (const size_t i : able) {
        // loads[i] / weight[i] < loads[best] / weight[best], without dividing
        const uint64_t mine = uint64_t{loads[i]} * std::max(weights[best], 1U);
        const uint64_t theirs = uint64_t{loads[best]} * std::max(weights[i], 1U);
        if (mine < theirs) best = i;
    }
    return view.servers[best].id;
}

RuleSet::RuleSet(const std::vector<config::Rule>& rules) {
    const auto compile = [](const std::optional<std::string>& text, bool fold) -> std::optional<std::regex> {
        if (!text) return std::nullopt;
        auto flags = std::regex::ECMAScript | std::regex::optimize;
        if (fold) flags |= std::regex::icase;
        return std::regex(*text, flags);  // the configuration loader has compiled it once: it does not throw
    };
    for (const auto& rule : rules) {
        rules_.push_back({compile(rule.user, false), compile(rule.database, false),
                          compile(rule.application_name, false), compile(rule.sql, true),
                          compile(rule.comment, false), rule.to});
    }
}

std::optional<config::RuleTarget> RuleSet::match(sql::Dialect dialect, const dialect::Identity& identity,
                                                 std::string_view sql) const {
    std::optional<std::string> normalised;
    std::optional<std::string> comments;
    for (const auto& rule : rules_) {
        if (rule.user && !matches_all(*rule.user, identity.user)) continue;
        if (rule.database && !matches_all(*rule.database, identity.database)) continue;
        if (rule.application_name && !matches_all(*rule.application_name, identity.application_name))
            continue;
        if (rule.sql) {
            if (!normalised) normalised = sql::normalise(dialect, sql);
            if (!matches_part(*rule.sql, matched_part(*normalised))) continue;
        }
        if (rule.comment) {
            if (!comments) comments = sql::comments(dialect, sql);
            if (!matches_part(*rule.comment, matched_part(*comments))) continue;
        }
        return rule.to;
    }
    return std::nullopt;
}

}  // namespace holdfast::engine
