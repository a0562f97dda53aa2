#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

#include "config/address.h"
#include "config/parts.h"
#include "config/text.h"

namespace holdfast::config {
namespace {

constexpr unsigned readable_by_group_or_others = 0044;

/// Said at the later of the two in the file, naming the earlier.
void check_addresses(Context& context) {
    std::vector<Context::Bound> bound = context.bound();
    std::stable_sort(bound.begin(), bound.end(), [](const Context::Bound& a, const Context::Bound& b) {
        return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
    });
    for (size_t i = 0; i < bound.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
            if (!collide(bound[i].endpoint, bound[j].endpoint)) continue;
            const std::string line =
                bound[j].at.line > 0 ? " in line " + std::to_string(bound[j].at.line) : std::string{};
            context.error(bound[i].at, bound[i].owner + " in line " + std::to_string(bound[i].at.line) +
                                           " can't listen on " + to_text(bound[i].endpoint) + ": " +
                                           bound[j].owner + line + " listens on " +
                                           to_text(bound[j].endpoint) + "; choose another port or address");
            break;
        }
    }
}

/// Whether anyone can get in without the passwords that a service account would look up.
bool has_way_in(const Cluster& cluster, const std::vector<User>& users) {
    const bool has_user = std::any_of(users.begin(), users.end(), [&](const User& user) {
        return user.cluster.empty() || user.cluster == cluster.name;
    });
    const auto needs_no_secret = [](const Listener& listener) {
        return listener.role == ListenerRole::tcp || listener.auth == ClientAuth::trust ||
               listener.auth == ClientAuth::cert;
    };
    return has_user || std::any_of(cluster.listeners.begin(), cluster.listeners.end(), needs_no_secret);
}

/// What makes a service account, behind "On the primary run: ".
const char* service_statements(Protocol protocol) {
    switch (protocol) {
        case Protocol::postgres:
            return "CREATE ROLE holdfast LOGIN PASSWORD '...'; GRANT pg_monitor TO holdfast; "
                   "GRANT SELECT ON pg_catalog.pg_authid TO holdfast";
        case Protocol::mysql:
            return "CREATE USER holdfast@'%' IDENTIFIED BY '...'; MariaDB: GRANT SLAVE MONITOR ON *.* TO "
                   "holdfast@'%'; GRANT SELECT ON mysql.global_priv TO holdfast@'%'; GRANT SELECT ON "
                   "mysql.proc "
                   "TO holdfast@'%'; MySQL: GRANT REPLICATION CLIENT, SHOW_ROUTINE ON *.* TO holdfast@'%'; "
                   "GRANT "
                   "SELECT ON mysql.user TO holdfast@'%'";
    }
    return "";
}

void check_service(Context& context, const Cluster& cluster, const std::vector<User>& users) {
    if (cluster.service) return;
    std::string message =
        "cluster." + printable(cluster.name) +
        " has no service account: servers are checked only as far as their login, and only users "
        "from [[user]] can log in";
    if (!has_way_in(cluster, users)) message += " (there are none: nobody can)";
    message += std::string(". On the primary run: ") + service_statements(cluster.protocol) +
               "; then add service = { user = \"holdfast\", password = { file = \"...\" } }";
    context.warning({cluster.line, 1}, message);
}

/// What needs to know of logins or statements does not hold where nobody reads them.
void check_relays(Context& context, const Cluster& cluster) {
    const Limits& limits = cluster.limits;
    const Timeouts& timeouts = cluster.timeouts;
    const bool has_unheld = limits.user_connections > 0 || limits.database_connections > 0 ||
                            !limits.exceptions.empty() || limits.login_failures > 0 ||
                            timeouts.idle_in_transaction.count() > 0 || timeouts.transaction.count() > 0 ||
                            timeouts.query.count() > 0;
    const bool has_unread = std::any_of(cluster.access.begin(), cluster.access.end(), [](const auto& rule) {
        return rule.user || rule.database || rule.tls;
    });
    for (const Listener& listener : cluster.listeners) {
        if (listener.role != ListenerRole::tcp) continue;
        const std::string where =
            "cluster." + printable(cluster.name) + ".listener: role \"tcp\" passes bytes on unread: ";
        if (has_unheld) {
            context.warning({listener.line, 1},
                            where +
                                "limits of users and databases, login_failures, and timeouts other than idle "
                                "do not hold there; restrict it with allow = [\"10.0.0.0/8\"]");
        }
        if (has_unread) {
            context.warning(
                {listener.line, 1},
                where +
                    "an access rule with user, database or tls lets nobody in there, and one that "
                    "denies keeps out all at its addresses; put rules of addresses alone first");
        }
    }
}

void check_inline_secrets(Context& context) {
    const Position at = context.first_inline_secret();
    if (at.line == 0) return;
    const auto permissions = context.environment().permissions(context.file());
    if (!permissions || (*permissions & readable_by_group_or_others) == 0) return;
    char mode[16];
    std::snprintf(mode, sizeof mode, "%04o", *permissions);
    context.warning(at, "a secret stands in this file, which other accounts can read (mode " +
                            std::string(mode) + "); run: chmod 600 " + context.file() +
                            ", or write { file = \"...\" }");
}

}  // namespace

void check_across(Context& context, const Settings& settings) {
    check_addresses(context);
    for (const Cluster& cluster : settings.clusters) {
        check_service(context, cluster, settings.users);
        check_relays(context, cluster);
    }
    check_inline_secrets(context);
}

}  // namespace holdfast::config
