#include <cstddef>
#include <utility>

#include "config/address.h"
#include "config/parts.h"
#include "config/text.h"
#include "config/units.h"

namespace holdfast::config {
namespace {

/// Every login is held against each of them.
constexpr size_t access_rules_max = 128;
constexpr size_t exceptions_max = 1'000;

AccessRule read_access_rule(const Section& section) {
    AccessRule rule;
    rule.line = section.at().line;
    section.pattern("user", rule.user);
    section.pattern("database", rule.database);
    rule.address = read_networks(section, "address", Local::yes);
    if (section.has("address") && rule.address.empty()) {
        section.error("address", "no address; leave the key out for all of them");
    }
    bool tls = false;
    if (section.boolean("tls", tls)) rule.tls = tls;
    section.require("action", "action = \"allow\" or action = \"deny\"");
    section.choice("action", rule.action);
    return rule;
}

void read_access(const Section& section, std::vector<AccessRule>& access) {
    if (!section.has("access")) return;
    access.clear();
    bool allows = false;
    for (const Section& rule : section.tables("access")) {
        if (access.size() >= access_rules_max) {
            section.context().error(rule.at(),
                                    section.path_of("access") + ": more than 128 rules; join them with '|'");
            break;
        }
        access.push_back(read_access_rule(rule));
        allows = allows || access.back().action == AccessAction::allow;
    }
    if (!access.empty() && !allows) {
        section.warning(
            "access",
            "no rule allows anything: everyone is refused. End with { action = \"allow\" } to let "
            "the others in");
    }
}

LimitException read_exception(const Section& section) {
    LimitException exception;
    section.text("user", exception.user);
    section.text("database", exception.database);
    if (exception.user.empty() == exception.database.empty()) {
        section.context().error(
            section.at(), section.path() + ": give a user or a database, one of the two, by its whole name");
    }
    section.require("connections", "connections = 5");
    section.integer("connections", exception.connections);
    return exception;
}

void read_limits(const Section& section, Limits& limits) {
    section.integer("user_connections", limits.user_connections);
    section.integer("database_connections", limits.database_connections);
    section.integer("connect_rate", limits.connect_rate);
    section.integer("connect_burst", limits.connect_burst);
    section.integer("login_failures", limits.login_failures);
    section.duration("login_delay", limits.login_delay);
    if (!section.has("exceptions")) return;
    limits.exceptions.clear();
    for (const Section& exception : section.tables("exceptions")) {
        if (limits.exceptions.size() >= exceptions_max) {
            section.context().error(exception.at(),
                                    section.path_of("exceptions") + ": more than 1000 exceptions");
            break;
        }
        limits.exceptions.push_back(read_exception(exception));
    }
}

void read_timeouts(const Section& section, Timeouts& timeouts) {
    section.duration("idle", timeouts.idle);
    section.duration("idle_in_transaction", timeouts.idle_in_transaction);
    section.duration("transaction", timeouts.transaction);
    section.duration("query", timeouts.query);
}

}  // namespace

std::vector<std::string> read_networks(const Section& section, std::string_view name, Local local) {
    std::vector<Text> texts;
    std::vector<std::string> out;
    section.texts(name, texts);
    for (const Text& text : texts) {
        if (local == Local::yes && text.text == "local") {
            out.push_back(text.text);
            continue;
        }
        auto network = parse_network(text.text);
        if (network) {
            out.push_back(std::move(*network));
        } else {
            section.context().error(text.at, section.path_of(name) + ": " + network.error().message);
        }
    }
    return out;
}

void read_protection(const Section& section, Cluster& cluster) {
    read_access(section, cluster.access);
    read_limits(section.table("limits"), cluster.limits);
    read_timeouts(section.table("timeouts"), cluster.timeouts);
}

}  // namespace holdfast::config
