#include <utility>

#include "config/parts.h"
#include "config/text.h"
#include "config/units.h"

namespace holdfast::config {
namespace {

Service read_service(const Section& section) {
    Service service;
    section.require("user", "user = \"holdfast\"");
    if (section.text("user", service.user) && service.user.empty())
        section.error("user", "the name is empty");
    section.secret("password", service.password);
    if (section.text("database", service.database) && service.database.empty()) {
        section.error("database", "the name is empty; leave the key out for \"postgres\"");
    }
    return service;
}

void read_server_tls(const Section& section, ServerTls& tls) {
    section.choice("mode", tls.mode);
    section.file("ca", tls.ca_file);
    section.text("server_name", tls.server_name);
    section.boolean("direct", tls.direct);
    const bool is_certain = tls.mode == ServerTlsMode::require || tls.mode == ServerTlsMode::verify_ca ||
                            tls.mode == ServerTlsMode::verify_full;
    // A server that begins with TLS can't be asked without: there is nothing to fall back to.
    if (tls.direct && !is_certain && (section.has("direct") || section.has("mode"))) {
        section.error(section.has("direct") ? "direct" : "mode",
                      "direct TLS needs mode \"require\", \"verify-ca\" or \"verify-full\"");
    }
}

void read_keepalive(const Section& section, Keepalive& keepalive) {
    const auto read_seconds = [&](std::string_view name, milliseconds& out) {
        if (!section.duration(name, out) || out.count() % 1'000 == 0) return;
        section.error(name, "keep-alive counts in whole seconds, found " + to_text(out));
    };
    read_seconds("idle", keepalive.idle);
    read_seconds("interval", keepalive.interval);
    section.integer("count", keepalive.count);
}

void read_health(const Section& section, Health& health) {
    section.duration("interval", health.interval);
    section.duration("fast", health.fast);
    section.duration("timeout", health.timeout);
    section.integer("fall", health.fall);
    section.integer("rise", health.rise);
    // Said where one of the two is written, so that clusters do not repeat what [defaults] got wrong.
    if (health.fast > health.interval && (section.has("fast") || section.has("interval"))) {
        section.error(section.has("fast") ? "fast" : "interval",
                      "fast (" + to_text(health.fast) + ") is above interval (" + to_text(health.interval) +
                          "): checks would slow down when in doubt; set both");
    }
}

void read_pool(const Section& section, Pool& pool) {
    section.choice("mode", pool.mode);
    section.integer("max_connections", pool.max_connections);
    section.duration("idle_timeout", pool.idle_timeout);
    if (section.has("mode") && pool.mode == PoolMode::transaction) {
        section.error("mode",
                      "\"transaction\" is not supported yet: it arrives with transaction pooling; use "
                      "\"session\"");
    }
}

void read_failover(const Section& section, Failover& failover) {
    section.choice("mode", failover.mode);
    section.duration("wait", failover.wait);
    section.choice("no_primary", failover.no_primary);
    section.boolean("replay", failover.replay);
    if (section.has("replay") && failover.replay) {
        section.warning("replay", "transaction replay is not available yet; open transactions get 40001");
    }
    if (!section.has("mode")) return;
    if (failover.mode == FailoverMode::promote) {
        section.error("mode",
                      "\"promote\" is not supported yet: it needs a lease in etcd that all proxies share; "
                      "use \"follow\" and promote with pg_promote(), Patroni or repmgr");
    } else if (failover.mode == FailoverMode::manual) {
        section.error("mode",
                      "\"manual\" is not supported yet: it needs the switchover command; use \"follow\", "
                      "which accepts a promotion by hand too");
    }
}

/// Clients who give up before a dead primary is even noticed make the wait useless.
void check_wait(const Section& failover, const Cluster& cluster) {
    const milliseconds detection = cluster.health.timeout * cluster.health.fall;
    if (failover.has("wait") && cluster.failover.wait.count() > 0 && cluster.failover.wait < detection) {
        failover.warning("wait", to_text(cluster.failover.wait) +
                                     " is shorter than it takes to notice a frozen " +
                                     "primary (health.timeout x health.fall = " + to_text(detection) + ")");
    }
}

}  // namespace

void read_inheritable(const Section& section, Cluster& cluster) {
    section.duration("connect_timeout", cluster.connect_timeout);
    section.duration("login_timeout", cluster.login_timeout);
    section.duration("tcp_user_timeout", cluster.tcp_user_timeout);
    section.choice("send_proxy_protocol", cluster.send_proxy_protocol);
    read_protection(section, cluster);
    if (section.has("service")) cluster.service = read_service(section.table("service").with_fallbacks());
    read_server_tls(section.table("server_tls"), cluster.server_tls);
    read_keepalive(section.table("keepalive"), cluster.keepalive);
    read_health(section.table("health"), cluster.health);
    read_pool(section.table("pool"), cluster.pool);
    read_routing(section.table("routing"), cluster.routing);
    const Section failover = section.table("failover");
    read_failover(failover, cluster.failover);
    check_wait(failover, cluster);
}

Cluster read_cluster(const Section& section, std::string name, const Cluster& inherited) {
    Cluster cluster = inherited;
    cluster.name = std::move(name);
    cluster.line = section.at().line;
    section.require("protocol", "protocol = \"postgres\"");
    section.choice("protocol", cluster.protocol);
    read_inheritable(section, cluster);
    cluster.listeners = read_listeners(section, cluster.protocol);
    cluster.servers = read_servers(section, cluster.protocol);
    return cluster;
}

}  // namespace holdfast::config
