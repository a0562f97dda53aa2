#include "proxy/app/report.h"

#include <array>
#include <chrono>
#include <optional>

#include "config/address.h"
#include "proxy/engine/session.h"
#include "proxy/engine/tcp_relay.h"

namespace holdfast::app {

namespace {

using nlohmann::json;

double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

template <typename Value>
json or_null(const std::optional<Value>& value) {
    return value ? json(*value) : json();
}

json or_null(const std::optional<Duration>& duration) {
    return duration ? json(seconds(*duration)) : json();
}

std::string_view tls_word(config::ClientTlsMode mode) {
    switch (mode) {
        case config::ClientTlsMode::disable: return "disable";
        case config::ClientTlsMode::prefer: return "prefer";
        case config::ClientTlsMode::require: return "require";
    }
    return "unknown";
}

json position(const Position& position) {
    return position ? json(position.lsn) : json();
}

json describe_server(const health::ServerView& server, const config::Server& settings,
                     const engine::Cluster& cluster, uint32_t weight, uint32_t readers, const Duties& duties,
                     TimePoint now) {
    json out;
    out["name"] = server.name;
    out["address"] = config::to_text(settings.address);
    out["role"] = to_string(server.role);
    out["health"] = to_string(server.state);
    out["reason"] = server.reason;
    out["since_s"] = seconds(now - server.since);
    out["state"] = to_string(server.duty);
    if (const Duties::Record* said = duties.find(cluster.settings().name, server.name)) {
        out["state_reason"] = said->reason;
        out["state_by"] = said->by;
        out["state_since_unix"] = said->since_unix_s;
    }
    out["is_primary"] = cluster.view().primary == server.id;
    out["takes_reads"] = server.readable;
    out["follows"] = server.follows;
    out["lag_s"] = or_null(server.lag);
    out["lag_bytes"] = or_null(server.lag_bytes);
    out["timeline"] = server.timeline;
    out["position"] = position(server.position);
    out["version"] = server.version_text;
    if (server.version_text.empty() && server.server_version > 0) {
        out["version"] = std::to_string(server.server_version / 10'000) + "." +
                         std::to_string(server.server_version % 10'000);
    }
    out["weight"] = settings.weight;
    out["weight_now"] = weight;
    out["promotable"] = settings.promote != config::Promotable::never;
    const uint32_t open = cluster.connections(server.id);
    const uint32_t idle = cluster.idle_connections(server.id);
    out["connections"] = open;
    out["connections_idle"] = idle;
    out["sessions_reading"] = readers;
    return out;
}

json describe_listener(const config::Listener& listener) {
    json out;
    for (const auto& endpoint : listener.listen) out["addresses"].push_back(config::to_text(endpoint));
    out["role"] = word(listener.role);
    out["tls"] = tls_word(listener.tls.mode);
    return out;
}

json count_sessions(const engine::Cluster& cluster) {
    std::array<uint64_t, engine::client_state_count> by_state{};
    uint64_t pinned = 0;
    uint64_t working = 0;
    cluster.for_each_session([&](const engine::Session& session) {
        ++by_state[static_cast<size_t>(session.client_state())];
        if (session.is_pinned()) ++pinned;
        if (session.is_working()) ++working;
    });
    uint64_t relayed = 0;
    cluster.for_each_relay([&](const engine::TcpRelay& relay) {
        ++by_state[static_cast<size_t>(relay.client_state())];
        ++relayed;
    });
    json out;
    for (size_t i = 0; i < by_state.size(); ++i) {
        out[std::string(to_string(static_cast<engine::ClientState>(i)))] = by_state[i];
    }
    out["total"] = cluster.sessions();
    out["pinned"] = pinned;
    out["working"] = working;
    out["relayed"] = relayed;
    return out;
}

}  // namespace

std::string_view word(config::ListenerRole role) {
    switch (role) {
        case config::ListenerRole::automatic: return "auto";
        case config::ListenerRole::primary: return "primary";
        case config::ListenerRole::replica: return "replica";
        case config::ListenerRole::tcp: return "tcp";
    }
    return "unknown";
}

json describe(const engine::Cluster& cluster, const config::Cluster& settings, bool probed,
              const Duties& duties, TimePoint now) {
    const health::View& view = cluster.view();
    json out;
    out["name"] = settings.name;
    out["protocol"] = settings.protocol == config::Protocol::postgres ? "postgres" : "mysql";
    out["probed"] = probed;
    out["paused"] = cluster.is_paused();
    out["ending"] = cluster.is_ending();
    out["epoch"] = view.epoch.value;
    out["split_brain"] = view.split_brain;
    out["primary"] = view.primary ? json(view.find(*view.primary)->name) : json();
    out["primary_since_s"] = view.primary ? json(seconds(now - view.primary_since)) : json();
    out["without_primary_s"] = view.primary_lost_at ? json(seconds(now - *view.primary_lost_at)) : json();
    out["candidate"] = view.candidate ? json(view.find(*view.candidate)->name) : json();
    out["servers"] = json::array();
    const auto weights = cluster.weights();
    for (size_t i = 0; i < view.servers.size() && i < settings.servers.size(); ++i) {
        const health::ServerView& server = view.servers[i];
        const bool is_gone = server.duty == health::Duty::removed && cluster.connections(server.id) == 0;
        if (is_gone) continue;
        out["servers"].push_back(describe_server(server, settings.servers[i], cluster, weights[i],
                                                 cluster.loads()[i], duties, now));
    }
    out["listeners"] = json::array();
    for (const auto& listener : settings.listeners) out["listeners"].push_back(describe_listener(listener));
    out["sessions"] = count_sessions(cluster);
    return out;
}

}  // namespace holdfast::app
