#include <cstddef>
#include <utility>

#include "config/parts.h"

namespace holdfast::config {
namespace {

/// Every statement is held against each of them.
constexpr size_t rules_max = 128;

Rule read_rule(const Section& section) {
    Rule rule;
    rule.line = section.at().line;
    section.require("match", "match = { user = \"cron\" }");
    const Section match = section.table("match");
    match.pattern("user", rule.user);
    match.pattern("database", rule.database);
    match.pattern("application_name", rule.application_name);
    match.pattern("sql", rule.sql);
    match.pattern("comment", rule.comment);
    const bool is_conditional = match.has("user") || match.has("database") || match.has("application_name") ||
                                match.has("sql") || match.has("comment");
    if (match.is_present() && !is_conditional) {
        section.error("match",
                      "a rule without a condition; give user, database, application_name, sql or comment");
    }
    section.require("to", "to = \"primary\" or to = \"replica\"");
    section.choice("to", rule.to);
    return rule;
}

}  // namespace

void read_routing(const Section& section, Routing& routing) {
    section.choice("consistency", routing.consistency);
    section.lag("max_lag", routing.max_lag_time, routing.max_lag_bytes);
    section.choice("balance", routing.balance);
    section.choice("primary_reads", routing.primary_reads);
    section.duration("slow_start", routing.slow_start);
    if (!section.has("rules")) return;
    routing.rules.clear();
    for (const Section& rule : section.tables("rules")) {
        if (routing.rules.size() >= rules_max) {
            section.context().error(rule.at(),
                                    section.path_of("rules") + ": more than 128 rules; join them with '|'");
            break;
        }
        routing.rules.push_back(read_rule(rule));
    }
}

}  // namespace holdfast::config
