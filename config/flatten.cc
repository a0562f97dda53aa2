#include "config/flatten.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string_view>
#include <utility>

#include "config/address.h"
#include "config/compare.h"
#include "config/text.h"
#include "config/units.h"

namespace holdfast::config {
namespace {

constexpr std::string_view hidden = "(secret)";

std::string join(const std::string& table, std::string_view name) {
    return table.empty() ? std::string(name) : table + "." + std::string(name);
}

/// Collects items. A table of the file is a Table here: its pattern in keys.cc, and its path.
class Collector {
public:
    struct Table {
        std::string pattern;
        std::string path;
        std::vector<std::string> elements;
    };

    explicit Collector(const Settings& settings) : settings_(settings) {}

    static Table in(const Table& table, std::string_view name) {
        return {join(table.pattern, name), join(table.path, name), table.elements};
    }
    Table named(const Table& table, std::string_view name, const std::string& id) {
        return element(join(join(table.pattern, name), "*"), join(join(table.path, name), id), table);
    }
    Table item(const Table& table, std::string_view name, const std::string& id) {
        return element(join(table.pattern, name) + "[]", join(table.path, name) + "[" + id + "]", table);
    }

    void text(const Table& table, std::string_view name, const std::string& value) {
        add(table, name, without_controls(value));
    }
    void integer(const Table& table, std::string_view name, int64_t value) {
        add(table, name, std::to_string(value));
    }
    void boolean(const Table& table, std::string_view name, bool value) {
        add(table, name, value ? "true" : "false");
    }
    void duration(const Table& table, std::string_view name, milliseconds value) {
        add(table, name, to_text(value));
    }
    void size(const Table& table, std::string_view name, uint64_t bytes) {
        add(table, name, size_text(bytes));
    }
    template <typename Enum>
    void choice(const Table& table, std::string_view name, Enum value) {
        Item& item = add(table, name, {});
        item.value = split(item.key->allowed, '|').at(static_cast<size_t>(value));
    }
    void pattern(const Table& table, std::string_view name, const std::optional<std::string>& value) {
        if (value) text(table, name, *value);
    }
    void texts(const Table& table, std::string_view name, const std::vector<std::string>& values) {
        std::string all;
        for (const std::string& value : values) all += (all.empty() ? "" : ", ") + value;
        text(table, name, all);
    }
    void file(const Table& table, std::string_view name, const std::string& path) {
        Item& item = add(table, name, without_controls(path));
        for (const SourceFile& source : settings_.sources) {
            if (!path.empty() && source.path == path) item.digest = source.digest;
        }
    }
    void secret(const Table& table, std::string_view name, const Secret& value) {
        add(table, name, std::string(value.empty() ? "" : hidden)).secret = &value;
    }

    std::vector<Item> take() { return std::move(items_); }

private:
    /// Two elements may be called alike only by ill luck (an account with an '@' in its name).
    Table element(std::string pattern, std::string path, const Table& parent) {
        path = without_controls(path);
        std::string unique = path;
        for (int i = 2; !taken_.insert(unique).second; ++i) unique = path + "#" + std::to_string(i);
        Table out{std::move(pattern), unique, parent.elements};
        out.elements.push_back(std::move(unique));
        return out;
    }
    Item& add(const Table& table, std::string_view name, std::string value) {
        Item item;
        item.path = join(table.path, name);
        item.value = std::move(value);
        item.key = find_key(table.pattern, name);
        if (item.key == nullptr) std::abort();
        item.elements = table.elements;
        return items_.emplace_back(std::move(item));
    }

    const Settings& settings_;
    std::vector<Item> items_;
    std::set<std::string> taken_;
};

using Table = Collector::Table;

std::vector<std::string> address_texts(const std::vector<Endpoint>& endpoints) {
    std::vector<std::string> out;
    for (const Endpoint& endpoint : endpoints) out.push_back(to_text(endpoint));
    return out;
}

void add_listener(Collector& out, const Table& cluster, const Listener& listener) {
    const std::string id = listener.listen.empty() ? "" : to_text(listener.listen.front());
    const Table at = out.item(cluster, "listener", id);
    out.texts(at, "listen", address_texts(listener.listen));
    out.choice(at, "role", listener.role);
    const Table tls = Collector::in(at, "tls");
    out.choice(tls, "mode", listener.tls.mode);
    out.file(tls, "cert", listener.tls.cert_file);
    out.file(tls, "key", listener.tls.key_file);
    out.file(tls, "client_ca", listener.tls.client_ca_file);
    out.texts(at, "allow", listener.allow);
    const Table header = Collector::in(at, "proxy_protocol");
    out.texts(header, "from", listener.proxy_protocol.from);
    out.boolean(header, "required", listener.proxy_protocol.required);
    out.choice(at, "auth", listener.auth);
}

void add_servers(Collector& out, const Table& cluster, const std::vector<Server>& servers) {
    std::vector<std::string> names;
    for (const Server& server : servers) {
        if (!server.is_removed) names.push_back(server.name);
    }
    out.texts(cluster, "servers", names);
    for (const Server& server : servers) {
        if (server.is_removed) continue;
        const Table at = out.item(cluster, "servers", server.name);
        out.text(at, "name", server.name);
        out.text(at, "address", to_text(server.address));
        out.integer(at, "weight", server.weight);
        out.choice(at, "promote", server.promote);
    }
}

void add_connections(Collector& out, const Table& at, const Cluster& cluster) {
    out.duration(at, "connect_timeout", cluster.connect_timeout);
    out.duration(at, "login_timeout", cluster.login_timeout);
    out.duration(at, "tcp_user_timeout", cluster.tcp_user_timeout);
    if (cluster.service) {
        // Not an element: an account for a cluster that had none is a change of the cluster.
        const Table service = Collector::in(at, "service");
        out.text(service, "user", cluster.service->user);
        out.secret(service, "password", cluster.service->password);
        out.text(service, "database", cluster.service->database);
    }
    const Table tls = Collector::in(at, "server_tls");
    out.choice(tls, "mode", cluster.server_tls.mode);
    out.file(tls, "ca", cluster.server_tls.ca_file);
    out.text(tls, "server_name", cluster.server_tls.server_name);
    out.boolean(tls, "direct", cluster.server_tls.direct);
    const Table keepalive = Collector::in(at, "keepalive");
    out.duration(keepalive, "idle", cluster.keepalive.idle);
    out.duration(keepalive, "interval", cluster.keepalive.interval);
    out.integer(keepalive, "count", cluster.keepalive.count);
    const Table health = Collector::in(at, "health");
    out.duration(health, "interval", cluster.health.interval);
    out.duration(health, "fast", cluster.health.fast);
    out.duration(health, "timeout", cluster.health.timeout);
    out.integer(health, "fall", cluster.health.fall);
    out.integer(health, "rise", cluster.health.rise);
    const Table pool = Collector::in(at, "pool");
    out.choice(pool, "mode", cluster.pool.mode);
    out.integer(pool, "max_connections", cluster.pool.max_connections);
    out.duration(pool, "idle_timeout", cluster.pool.idle_timeout);
}

void add_routing(Collector& out, const Table& at, const Routing& routing) {
    out.choice(at, "consistency", routing.consistency);
    const Table lag = Collector::in(at, "max_lag");
    out.duration(lag, "time", routing.max_lag_time);
    out.size(lag, "bytes", routing.max_lag_bytes);
    out.choice(at, "balance", routing.balance);
    out.choice(at, "primary_reads", routing.primary_reads);
    out.duration(at, "slow_start", routing.slow_start);
    for (size_t i = 0; i < routing.rules.size(); ++i) {
        const Rule& rule = routing.rules[i];
        const Table one = out.item(at, "rules", std::to_string(i + 1));
        const Table match = Collector::in(one, "match");
        out.pattern(match, "user", rule.user);
        out.pattern(match, "database", rule.database);
        out.pattern(match, "application_name", rule.application_name);
        out.pattern(match, "sql", rule.sql);
        out.pattern(match, "comment", rule.comment);
        out.choice(one, "to", rule.to);
    }
}

void add_protection(Collector& out, const Table& at, const Cluster& cluster) {
    for (size_t i = 0; i < cluster.access.size(); ++i) {
        const AccessRule& rule = cluster.access[i];
        const Table one = out.item(at, "access", std::to_string(i + 1));
        out.pattern(one, "user", rule.user);
        out.pattern(one, "database", rule.database);
        out.texts(one, "address", rule.address);
        if (rule.tls) out.boolean(one, "tls", *rule.tls);
        out.choice(one, "action", rule.action);
    }
    const Limits& set = cluster.limits;
    const Table limits = Collector::in(at, "limits");
    out.integer(limits, "user_connections", set.user_connections);
    out.integer(limits, "database_connections", set.database_connections);
    for (size_t i = 0; i < set.exceptions.size(); ++i) {
        const Table one = out.item(limits, "exceptions", std::to_string(i + 1));
        out.text(one, "user", set.exceptions[i].user);
        out.text(one, "database", set.exceptions[i].database);
        out.integer(one, "connections", set.exceptions[i].connections);
    }
    out.integer(limits, "connect_rate", set.connect_rate);
    out.integer(limits, "connect_burst", set.connect_burst);
    out.integer(limits, "login_failures", set.login_failures);
    out.duration(limits, "login_delay", set.login_delay);
    const Table timeouts = Collector::in(at, "timeouts");
    out.duration(timeouts, "idle", cluster.timeouts.idle);
    out.duration(timeouts, "idle_in_transaction", cluster.timeouts.idle_in_transaction);
    out.duration(timeouts, "transaction", cluster.timeouts.transaction);
    out.duration(timeouts, "query", cluster.timeouts.query);
    out.choice(at, "send_proxy_protocol", cluster.send_proxy_protocol);
}

void add_cluster(Collector& out, const Cluster& cluster) {
    const Table at = out.named({}, "cluster", cluster.name);
    out.choice(at, "protocol", cluster.protocol);
    for (const Listener& listener : cluster.listeners) add_listener(out, at, listener);
    add_servers(out, at, cluster.servers);
    add_connections(out, at, cluster);
    add_routing(out, Collector::in(at, "routing"), cluster.routing);
    const Table failover = Collector::in(at, "failover");
    out.choice(failover, "mode", cluster.failover.mode);
    out.duration(failover, "wait", cluster.failover.wait);
    out.choice(failover, "no_primary", cluster.failover.no_primary);
    out.boolean(failover, "replay", cluster.failover.replay);
    add_protection(out, at, cluster);
}

void add_user(Collector& out, const User& user) {
    const Table at = out.item({}, "user", user.cluster.empty() ? user.name : user.name + "@" + user.cluster);
    out.text(at, "name", user.name);
    out.text(at, "cluster", user.cluster);
    out.secret(at, "password", user.password);
    out.secret(at, "scram_verifier", user.scram_verifier);
    out.secret(at, "md5", user.md5_hash);
}

}  // namespace

std::vector<Item> items_of(const Settings& settings) {
    Collector out{settings};
    const Table proxy = Collector::in({}, "proxy");
    out.choice(proxy, "log_level", settings.proxy.log_level);
    out.choice(proxy, "log_format", settings.proxy.log_format);
    out.integer(proxy, "max_clients", settings.proxy.max_clients);
    out.duration(proxy, "drain_timeout", settings.proxy.drain_timeout);
    out.text(proxy, "state_file", settings.proxy.state_file);
    out.boolean(Collector::in({}, "reload"), "watch", settings.reload.watch);
    const Table admin = Collector::in({}, "admin");
    out.text(admin, "listen", settings.admin.listen ? to_text(*settings.admin.listen) : "");
    out.text(admin, "socket", settings.admin.socket);
    out.secret(admin, "token", settings.admin.token);
    for (const Cluster& cluster : settings.clusters) add_cluster(out, cluster);
    for (const User& user : settings.users) add_user(out, user);
    return out.take();
}

std::vector<Effective> flatten(const Settings& settings) {
    std::vector<Effective> out;
    for (Item& item : items_of(settings)) {
        out.push_back({std::move(item.path), std::move(item.value), item.key});
    }
    return out;
}

}  // namespace holdfast::config
