#include "proxy/engine/router.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::engine;
using config::Consistency;
using config::ListenerRole;
using config::PrimaryReads;
using config::RuleTarget;
using dialect::Transaction;
using sql::Destination;

namespace {

/// A primary (server 1) and replicas (2, 3, …) at these positions, all up.
health::View view_of(const std::vector<uint64_t>& replica_positions, bool has_primary = true) {
    health::View view;
    if (has_primary) view.primary = ServerId{1};
    view.servers.resize(1 + replica_positions.size());
    for (size_t i = 0; i < view.servers.size(); ++i) {
        auto& server = view.servers[i];
        server.id = ServerId{i + 1};
        server.state = health::ServerState::up;
        server.role = i == 0 ? health::ServerRole::primary : health::ServerRole::replica;
        server.position = Position{i == 0 ? 100 : replica_positions[i - 1]};
        server.readable = i > 0;
    }
    return view;
}

dialect::UnitFacts facts_of(Destination destination, sql::Reason reason) {
    dialect::UnitFacts facts;
    facts.destination = destination;
    facts.reason = reason;
    return facts;
}
const dialect::UnitFacts a_read = facts_of(Destination::replica, sql::Reason::read);
const dialect::UnitFacts a_write = facts_of(Destination::primary, sql::Reason::write);
/// What only concerns the connection or transaction that it meets: SET, COMMIT.
const dialect::UnitFacts neutral = facts_of(Destination::transaction, sql::Reason::empty);

/// "primary classified", "replica rule", with "current" and "hold" behind it.
std::string routed(const dialect::UnitFacts& facts, const RouteState& state, const health::View& view,
                   const config::Routing& policy = {}) {
    const Route chosen = route(facts, state, view, policy);
    return std::string(chosen.target == Target::primary ? "primary " : "replica ") +
           std::string(to_string(chosen.reason)) + (chosen.current ? " current" : "") +
           (chosen.hold ? " hold" : "");
}

config::Routing with(Consistency consistency, PrimaryReads primary_reads = PrimaryReads::fallback) {
    config::Routing policy;
    policy.consistency = consistency;
    policy.primary_reads = primary_reads;
    return policy;
}

RouteState after_write(uint64_t position) {
    RouteState state;
    state.required = Position{position};
    return state;
}

}  // namespace

TEST_CASE("route: reads to a replica, all else to the primary") {
    const health::View view = view_of({100});
    CHECK(routed(a_read, {}, view) == "replica classified");
    CHECK(routed(a_write, {}, view) == "primary classified");
    CHECK(routed(neutral, {}, view) == "primary classified");
}

TEST_CASE("route: without a primary, writes are held and reads go on") {
    const health::View view = view_of({100}, false);
    CHECK(routed(a_read, {}, view) == "replica classified");
    CHECK(routed(a_write, {}, view) == "primary classified hold");
    CHECK(routed(neutral, {}, view) == "replica classified");
    RouteState connected;
    connected.has_primary_connection = true;
    CHECK(routed(neutral, connected, view) == "primary classified hold");
}

TEST_CASE("route: without anybody all is held") {
    const health::View view = view_of({}, false);
    CHECK(routed(a_read, {}, view) == "primary no_replica hold");
    CHECK(routed(a_write, {}, view) == "primary classified hold");
    CHECK(routed(neutral, {}, view) == "primary no_replica hold");
}

TEST_CASE("route: a transaction stays where it is, whatever else holds") {
    RouteState state;
    state.pinned = true;
    state.rule = RuleTarget::primary;
    state.learned = true;
    for (const auto transaction : {Transaction::active, Transaction::failed}) {
        state.transaction = transaction;
        for (const auto listener : {ListenerRole::automatic, ListenerRole::primary, ListenerRole::replica}) {
            state.listener = listener;
            for (const auto& facts : {a_read, a_write, neutral}) {
                state.transaction_on_replica = true;
                CHECK(routed(facts, state, view_of({100})) == "replica in_transaction current");
                state.transaction_on_replica = false;
                CHECK(routed(facts, state, view_of({100}, false)) == "primary in_transaction current");
            }
        }
    }
}

TEST_CASE("route: a listener with a role takes no notice of what a statement is") {
    RouteState state;
    state.pinned = true;
    state.rule = RuleTarget::replica;
    for (const auto role : {ListenerRole::primary, ListenerRole::tcp}) {
        state.listener = role;
        CHECK(routed(a_read, state, view_of({100})) == "primary listener_role");
        CHECK(routed(a_read, state, view_of({100}, false)) == "primary listener_role hold");
    }
    state.listener = ListenerRole::replica;
    for (const auto& facts : {a_read, a_write, neutral}) {
        CHECK(routed(facts, state, view_of({100})) == "replica listener_role");
    }
    // Without replicas, the primary stands in for reads where that is allowed.
    CHECK(routed(a_read, state, view_of({})) == "primary no_replica");
    CHECK(routed(neutral, state, view_of({})) == "primary no_replica");
    CHECK(routed(a_write, state, view_of({})) == "replica listener_role hold");
    CHECK(routed(a_read, state, view_of({}), with(Consistency::session, PrimaryReads::never)) ==
          "replica listener_role hold");
    // How far a replica is does not matter there.
    state.required = Position{1'000};
    CHECK(routed(a_read, state, view_of({100})) == "replica listener_role");
}

TEST_CASE("route: state that can't move keeps reads with it") {
    RouteState state;
    state.pinned = true;
    state.rule = RuleTarget::replica;
    CHECK(routed(a_read, state, view_of({100})) == "primary pinned");
    CHECK(routed(a_read, state, view_of({100}, false)) == "primary pinned hold");
}

TEST_CASE("route: rules") {
    RouteState state;
    state.rule = RuleTarget::primary;
    CHECK(routed(a_read, state, view_of({100})) == "primary rule");
    state.rule = RuleTarget::replica;
    struct Row {
        sql::Reason reason;
        const char* route;
    };
    for (const auto& each : std::vector<Row>{{sql::Reason::write, "primary classified"},
                                             {sql::Reason::ddl, "primary classified"},
                                             {sql::Reason::begin, "primary classified"},
                                             {sql::Reason::unparsed, "replica rule"},
                                             {sql::Reason::opaque, "replica rule"}}) {
        CHECK(routed(facts_of(Destination::primary, each.reason), state, view_of({100})) == each.route);
    }
    CHECK(routed(a_read, state, view_of({100})) == "replica rule");
    CHECK(routed(a_read, state, view_of({})) == "primary no_replica");
    dialect::UnitFacts too_long = a_read;
    too_long.too_long = true;
    CHECK(routed(too_long, state, view_of({100})) == "primary oversize");
    CHECK(routed(too_long, {}, view_of({100})) == "primary oversize");
}

TEST_CASE("route: what a statement learned, and what consistency demands") {
    RouteState state;
    state.learned = true;
    CHECK(routed(a_read, state, view_of({100})) == "primary learned");
    CHECK(routed(a_read, {}, view_of({100}), with(Consistency::primary)) == "primary consistency");
    CHECK(routed(a_read, {}, view_of({100}, false), with(Consistency::primary)) ==
          "primary consistency hold");
}

TEST_CASE("route: a session reads its own writes") {
    struct Row {
        Consistency consistency;
        bool waits;
        uint64_t required;
        const char* route;
    };
    for (const auto& each : std::vector<Row>{
             {Consistency::session, false, 0, "replica classified"},
             {Consistency::session, false, 99, "replica classified"},
             {Consistency::session, false, 100, "replica classified"},
             {Consistency::session, false, 101, "primary read_your_writes"},
             {Consistency::session, true, 0, "primary read_your_writes"},
             {Consistency::eventual, false, 101, "replica classified"},
             {Consistency::eventual, true, 101, "replica classified"},
             {Consistency::primary, false, 0, "primary consistency"},
         }) {
        CAPTURE(each.required);
        CAPTURE(each.waits);
        RouteState state = after_write(each.required);
        state.waits_for_own_write = each.waits;
        CHECK(routed(a_read, state, view_of({50, 100}), with(each.consistency)) == each.route);
    }
    // The primary has what was written there, even where it takes no other reads.
    CHECK(routed(a_read, after_write(101), view_of({100}), with(Consistency::session, PrimaryReads::never)) ==
          "primary read_your_writes");
}

TEST_CASE("route: without a replica that may be read") {
    health::View view = view_of({100});
    view.servers[1].readable = false;
    CHECK(routed(a_read, {}, view) == "primary no_replica");
    CHECK(routed(a_read, {}, view, with(Consistency::session, PrimaryReads::never)) ==
          "replica no_replica hold");
    view.servers[1].state = health::ServerState::lagging;
    CHECK(routed(a_read, {}, view) == "primary lag");
    CHECK(routed(a_read, {}, view, with(Consistency::session, PrimaryReads::never)) == "replica lag hold");
}

TEST_CASE("choose_reader: those that may be read and are far enough") {
    std::vector<uint32_t> weights(4, 100);
    const std::vector<uint32_t> loads(4, 0);
    const auto choose = [&](const health::View& view, uint64_t required) {
        const auto id =
            choose_reader(view, weights, loads, Position{required}, config::Balance::least_outstanding, 0);
        return id ? static_cast<int>(id->value) : 0;
    };
    health::View view = view_of({10, 20, 30});
    CHECK(choose(view, 31) == 0);
    CHECK(choose(view, 30) == 4);
    CHECK(choose(view, 15) != 2);
    view.servers[3].readable = false;
    CHECK(choose(view, 25) == 0);
    CHECK(choose(view_of({}), 0) == 0);
}

TEST_CASE("route: with primary_reads = \"always\" the primary takes its share of the reads") {
    RouteState state;
    state.reads_on_primary = true;
    const config::Routing always = with(Consistency::session, PrimaryReads::always);
    CHECK(routed(a_read, state, view_of({100}), always) == "primary consistency");
    CHECK(routed(a_read, state, view_of({}), always) == "primary consistency");
    CHECK(routed(a_read, state, view_of({100}, false), always) == "replica classified");
    state.required = Position{101};
    CHECK(routed(a_read, state, view_of({100}), always) == "primary consistency");
    // Not when a replica was chosen, nor against a rule, nor under another policy.
    CHECK(routed(a_read, {}, view_of({100}), always) == "replica classified");
    state.required = {};
    state.rule = RuleTarget::replica;
    CHECK(routed(a_read, state, view_of({100}), always) == "replica rule");
    state.rule.reset();
    for (const auto other : {PrimaryReads::fallback, PrimaryReads::never}) {
        CHECK(routed(a_read, state, view_of({100}), with(Consistency::session, other)) ==
              "replica classified");
    }
}

TEST_CASE("choose_reader: one that is no replica takes its turn like any other") {
    std::vector<uint32_t> weights(3, 100);
    weights[0] = 2;
    weights[1] = 1;
    weights[2] = 1;
    std::map<uint64_t, int> times;
    for (uint64_t turn = 0; turn < 400; ++turn) {
        ++times[choose_reader(view_of({100, 100}), weights, {0, 0, 0}, Position{100},
                              config::Balance::round_robin, turn, ServerId{1})
                    ->value];
    }
    CHECK(times == std::map<uint64_t, int>{{1, 200}, {2, 100}, {3, 100}});
    const auto least = [&](const std::vector<uint32_t>& loads, uint64_t required) {
        return choose_reader(view_of({100, 100}), weights, loads, Position{required},
                             config::Balance::least_outstanding, 0, ServerId{1})
            ->value;
    };
    CHECK(least({3, 2, 2}, 100) == 1);  // of twice the weight
    CHECK(least({5, 2, 3}, 100) == 2);
    CHECK(least({5, 0, 0}, 101) == 1);  // whatever a replica lacks, it has
}

TEST_CASE("choose_reader: the least of load to weight, ties by turn") {
    const health::View view = view_of({100, 100, 100});
    std::vector<uint32_t> weights(4, 100);
    const auto choose = [&](const std::vector<uint32_t>& loads, uint64_t turn) {
        return choose_reader(view, weights, loads, {}, config::Balance::least_outstanding, turn)->value;
    };
    CHECK(choose({0, 5, 4, 6}, 0) == 3);
    for (uint64_t turn = 0; turn < 6; ++turn) CHECK(choose({9, 5, 5, 5}, turn) == 2 + turn % 3);
    weights[1] = 200;
    CHECK(choose({0, 7, 4, 4}, 1) == 2);
    CHECK(choose({0, 9, 4, 4}, 1) == 3);
    // No product of load and weight overflows.
    weights[1] = 1'000'000'000;
    weights[2] = 1'000'000'000;
    weights[3] = 1'000'000'000;
    CHECK(choose({0, 4'000'000'000, 3'999'999'999, 4'000'000'000}, 0) == 3);
}

TEST_CASE("effective_weights: what came up again grows to its weight") {
    using namespace std::chrono_literals;
    std::vector<config::Server> servers(4);
    servers[2].weight = 0;
    servers[3].weight = 3;
    health::View view = view_of({100, 100, 100});
    const TimePoint now = TimePoint(100s);
    const auto weights = [&] { return effective_weights(view, servers, 10s, now); };
    CHECK(weights() == std::vector<uint32_t>{100, 100, 0, 3});
    for (auto& server : view.servers) server.recovered_at = now;
    CHECK(weights() == std::vector<uint32_t>{10, 10, 0, 1});
    for (auto& server : view.servers) server.recovered_at = now - 5s;
    CHECK(weights() == std::vector<uint32_t>{50, 50, 0, 1});
    for (auto& server : view.servers) server.recovered_at = now - 10s;
    CHECK(weights() == std::vector<uint32_t>{100, 100, 0, 3});
    CHECK(effective_weights(view, servers, 0s, now) == std::vector<uint32_t>{100, 100, 0, 3});
}

TEST_CASE("choose_reader: weight 0 is for when there is no other") {
    std::vector<uint32_t> weights(4, 100);
    weights[1] = 0;
    const std::vector<uint32_t> loads{0, 0, 9, 9};
    for (const auto balance : {config::Balance::least_outstanding, config::Balance::round_robin}) {
        for (uint64_t turn = 0; turn < 200; ++turn) {
            CHECK(choose_reader(view_of({100, 100, 100}), weights, loads, {}, balance, turn)->value != 2);
            CHECK(choose_reader(view_of({100}), weights, loads, {}, balance, turn)->value == 2);
        }
    }
}

TEST_CASE("choose_reader: by turn, each as often as its weight says") {
    std::vector<uint32_t> weights(4, 100);
    weights[1] = 1;
    weights[2] = 2;
    weights[3] = 3;
    std::map<uint64_t, int> times;
    for (uint64_t turn = 0; turn < 600; ++turn) {
        ++times[choose_reader(view_of({1, 1, 1}), weights, {0, 0, 0, 0}, {}, config::Balance::round_robin,
                              turn)
                    ->value];
    }
    CHECK(times == std::map<uint64_t, int>{{2, 100}, {3, 200}, {4, 300}});
}

TEST_CASE("rules: the first that matches decides") {
    const auto rule = [](RuleTarget to) {
        config::Rule made;
        made.to = to;
        return made;
    };
    dialect::Identity identity;
    identity.user = "report";
    identity.database = "shop";
    identity.application_name = "nightly-7";
    sql::Dialect dialect = sql::Dialect::postgres;
    const auto match = [&](std::vector<config::Rule> rules, const char* sql = "SELECT 1") {
        const auto found = RuleSet(rules).match(dialect, identity, sql);
        return !found ? "none" : *found == RuleTarget::primary ? "primary" : "replica";
    };
    CHECK(RuleSet({}).empty());
    CHECK(std::string(match({})) == "none");
    CHECK(std::string(match({rule(RuleTarget::replica), rule(RuleTarget::primary)})) == "replica");

    SUBCASE("names match as a whole") {
        config::Rule named = rule(RuleTarget::replica);
        for (auto* part : {&named.user, &named.database, &named.application_name}) {
            named.user = "report";
            named.database = "shop";
            named.application_name = "nightly-\\d";
            CHECK(std::string(match({named})) == "replica");
            *part = "hop|repor|nightly";
            CHECK(std::string(match({named})) == "none");
            CHECK(std::string(match({named, rule(RuleTarget::primary)})) == "primary");
        }
    }
    SUBCASE("case counts in names") {
        config::Rule named = rule(RuleTarget::replica);
        named.user = "REPORT";
        CHECK(std::string(match({named})) == "none");
    }
    SUBCASE("SQL matches in part, without comments and literals, whatever its case") {
        config::Rule by_sql = rule(RuleTarget::replica);
        by_sql.sql = "from ORDERS";
        CHECK(std::string(match({by_sql}, "select * FROM /* now */ orders where a = 'x'")) == "replica");
        CHECK(std::string(match({by_sql}, "SELECT 'from orders'")) == "none");
    }
    SUBCASE("comments match in part") {
        config::Rule by_comment = rule(RuleTarget::primary);
        by_comment.comment = "fresh";
        CHECK(std::string(match({by_comment}, "SELECT 1 /* must be fresh */")) == "primary");
        CHECK(std::string(match({by_comment}, "SELECT 'fresh'")) == "none");
    }
    SUBCASE("what is a text or a comment is the dialect's to say") {
        config::Rule by_sql = rule(RuleTarget::replica);
        by_sql.sql = "from orders";
        config::Rule by_comment = rule(RuleTarget::replica);
        by_comment.comment = "fresh";
        CHECK(std::string(match({by_sql}, "SELECT \"from orders\"")) == "replica");
        CHECK(std::string(match({by_comment}, "SELECT a # fresh")) == "none");
        dialect = sql::Dialect::mysql;
        CHECK(std::string(match({by_sql}, "SELECT \"from orders\"")) == "none");
        CHECK(std::string(match({by_comment}, "SELECT a # fresh")) == "replica");
    }
    SUBCASE("all conditions of a rule must hold") {
        config::Rule both = rule(RuleTarget::replica);
        both.user = "report";
        both.sql = "orders";
        CHECK(std::string(match({both}, "SELECT * FROM orders")) == "replica");
        CHECK(std::string(match({both}, "SELECT * FROM t")) == "none");
        identity.user = "other";
        CHECK(std::string(match({both}, "SELECT * FROM orders")) == "none");
    }
    SUBCASE("texts of any length are looked at in their beginning only") {
        config::Rule greedy = rule(RuleTarget::replica);
        greedy.sql = "(a|b|,| )*zz";
        const std::string text = "SELECT " + std::string(1'000'000, 'a') + "zz";
        CHECK(std::string(match({greedy}, text.c_str())) == "none");
        identity.user = std::string(1'000'000, 'u');
        config::Rule named = rule(RuleTarget::replica);
        named.user = "u*";
        CHECK(std::string(match({named})) == "replica");
    }
}
