#include "proxy/app/panel.h"

#include <algorithm>
#include <sstream>
#include <unistd.h>
#include <utility>

#include "config/compare.h"
#include "config/flatten.h"
#include "proxy/app/diff.h"
#include "proxy/app/report.h"
#include "proxy/app/session_list.h"
#include "proxy/engine/session.h"
#include "proxy/engine/tcp_relay.h"

namespace holdfast::app {

using admin::Actor;
using admin::OnOutcome;
using admin::Outcome;
using admin::refusal;
using nlohmann::json;

namespace {

Outcome no_cluster(const std::string& name) {
    return refusal(404, "there is no cluster \"" + name + "\"", "`holdfast status` names them");
}

json to_json(const config::Diagnostic& diagnostic) {
    const bool is_error = diagnostic.severity == config::Diagnostic::Severity::error;
    return {{"severity", is_error ? "error" : "warning"},
            {"file", diagnostic.file},
            {"line", diagnostic.line},
            {"column", diagnostic.column},
            {"message", diagnostic.message}};
}

}  // namespace

Panel::Panel(Parts parts)
    : parts_(std::move(parts)), started_at_(parts_.loop.now()), started_unix_s_(parts_.loop.unix_seconds()) {}

const Service::ClusterRef* Panel::find(const std::vector<Service::ClusterRef>& all,
                                       const std::string& cluster) const {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const auto& each) { return each.settings->name == cluster; });
    return found == all.end() ? nullptr : &*found;
}

json Panel::status() const {
    json out;
    out["version"] = HOLDFAST_VERSION;
    out["pid"] = ::getpid();
    out["started_unix"] = started_unix_s_;
    out["uptime_s"] = std::chrono::duration<double>(parts_.loop.now() - started_at_).count();
    out["ready"] = parts_.service.ready();
    out["shutting_down"] = parts_.service.engine().shutting_down();
    const auto settings = parts_.settings();
    out["config_file"] = settings ? settings->file : "";
    out["clients_max"] = settings ? settings->proxy.max_clients : 0;
    out["clients"] = parts_.service.engine().sessions();
    out["clusters"] = json::array();
    for (const auto& each : parts_.service.clusters()) {
        out["clusters"].push_back(
            describe(*each.cluster, *each.settings, each.is_probed, parts_.duties, parts_.loop.now()));
    }
    return out;
}

json Panel::sessions(const admin::SessionQuery& query) const {
    const auto clusters = parts_.service.clusters();  // outlives the names in the list
    std::vector<ListedSession> list;
    for (const auto& each : clusters) {
        if (!query.cluster.empty() && each.settings->name != query.cluster) continue;
        const health::View& view = each.cluster->view();
        const auto name = [&](const std::optional<ServerId>& id) {
            const health::ServerView* server = id ? view.find(*id) : nullptr;
            return server != nullptr ? std::string_view(server->name) : std::string_view();
        };
        list.reserve(list.size() + each.cluster->sessions());
        const auto add = [&](const auto& session) {
            engine::SessionInfo info = session.info();
            const std::string_view server = name(info.server);
            const std::string_view reads_from = name(info.reads_from);
            list.push_back({std::move(info), each.settings->name, server, reads_from});
        };
        each.cluster->for_each_session(add);
        each.cluster->for_each_relay(add);
    }
    return list_sessions(std::move(list), query);
}

json Panel::events(uint64_t after) const {
    return {{"events", parts_.timeline.since(after)}};
}

json Panel::config() const {
    json list = json::array();
    if (const auto settings = parts_.settings()) {
        for (const auto& each : config::flatten(*settings)) {
            list.push_back({{"path", each.path}, {"value", each.value}});
        }
    }
    return {{"settings", std::move(list)}};
}

/// The changes twice: for scripts, and as a table for people.
Outcome Panel::outcome_of(const Reloader::Report& report) {
    Outcome outcome;
    std::ostringstream table;
    print_changes(report.changes, Form::table, table);
    outcome.body["changes"] = changes_json(report.changes);
    outcome.body["table"] = table.str();
    outcome.body["diagnostics"] = json::array();
    for (const auto& each : report.diagnostics) outcome.body["diagnostics"].push_back(to_json(each));
    if (!report.result) {
        outcome.status = 422;
        outcome.body["error"]["message"] = report.result.error().message;
        outcome.body["error"]["advice"] = "the configuration in use stays; correct the file and try again";
    }
    return outcome;
}

void Panel::diff(OnOutcome on_done) {
    parts_.reloader.examine(
        [on_done = std::move(on_done)](const Reloader::Report& report) { on_done(outcome_of(report)); });
}

void Panel::reload(const Actor& actor, OnOutcome on_done) {
    parts_.log.info("reload_requested", {{"by", actor.who}, {"reason", actor.reason}});
    parts_.reloader.request([on_done = std::move(on_done)](const Reloader::Report& report) {
        Outcome outcome = outcome_of(report);
        outcome.body["result"] = !report.result           ? "rejected"
                                 : report.changes.empty() ? "unchanged"
                                                          : "applied";
        on_done(std::move(outcome));
    });
}

/// Why an operator may not want this; nullopt: nothing speaks against it.
std::optional<Outcome> Panel::objection(const engine::Cluster& cluster, const health::ServerView& server,
                                        health::Duty duty) const {
    const std::string& name = cluster.settings().name;
    if (duty != health::Duty::serves && cluster.view().primary == server.id) {
        return refusal(
            409, "\"" + server.name + "\" is the primary of \"" + name + "\": its writes have nowhere to go",
            "promote another server first, or hold the clients with `holdfast pause " + name + "`");
    }
    const bool would_take_over = duty == health::Duty::serves && server.duty == health::Duty::maintenance &&
                                 server.state == health::ServerState::quarantined && cluster.view().primary;
    if (would_take_over) {
        return refusal(409,
                       "\"" + server.name + "\" is writable, and could be taken for the new primary of \"" +
                           name + "\" (" + server.reason + ")",
                       "make it follow the primary first; --force if it is to take over");
    }
    return std::nullopt;
}

void Panel::set_duty(const std::string& cluster, const std::string& server, health::Duty duty, bool force,
                     const Actor& actor, OnOutcome on_done) {
    const auto all = parts_.service.clusters();
    const Service::ClusterRef* at = find(all, cluster);
    if (at == nullptr) return on_done(no_cluster(cluster));
    const auto& servers = at->cluster->view().servers;
    const auto view = std::find_if(servers.begin(), servers.end(), [&](const auto& each) {
        return each.name == server && each.duty != health::Duty::removed;
    });
    if (view == servers.end()) {
        return on_done(refusal(404, "cluster \"" + cluster + "\" has no server \"" + server + "\"",
                               "`holdfast servers` names them"));
    }
    if (auto against = objection(*at->cluster, *view, duty)) {
        const bool is_overruled = force && duty == health::Duty::serves;
        if (!is_overruled) return on_done(*std::move(against));
    }
    parts_.log.info("server_state_set", {{"cluster", cluster},
                                         {"server", server},
                                         {"from", to_string(view->duty)},
                                         {"to", to_string(duty)},
                                         {"by", actor.who},
                                         {"reason", actor.reason}});
    Outcome outcome;
    outcome.body["cluster"] = cluster;
    outcome.body["server"] = server;
    outcome.body["state"] = to_string(duty);
    Duties::Record record{duty, actor.reason, actor.who, parts_.loop.unix_seconds()};
    parts_.duties.set(cluster, server, std::move(record),
                      [outcome, on_done = std::move(on_done)](const Status& saved) mutable {
                          if (!saved) outcome.body["warning"] = saved.error().message;
                          on_done(std::move(outcome));
                      });
    parts_.service.tell_duties(cluster);
}

Outcome Panel::pause(const std::string& cluster, std::chrono::milliseconds limit, const Actor& actor) {
    const auto all = parts_.service.clusters();
    const Service::ClusterRef* at = find(all, cluster);
    if (at == nullptr) return no_cluster(cluster);
    parts_.log.info(
        "cluster_paused",
        {{"cluster", cluster}, {"limit_ms", limit.count()}, {"by", actor.who}, {"reason", actor.reason}});
    at->cluster->pause(limit, [this, cluster] {
        parts_.log.warn("cluster_resumed", {{"cluster", cluster}, {"by", "the time limit of the pause"}});
    });
    Outcome outcome;
    outcome.body["cluster"] = cluster;
    outcome.body["paused"] = true;
    uint64_t relayed = 0;
    at->cluster->for_each_relay([&](const engine::TcpRelay& relay) {
        if (relay.client_state() == engine::ClientState::active) ++relayed;
    });
    outcome.body["relayed"] = relayed;
    return outcome;
}

Outcome Panel::resume(const std::string& cluster, const Actor& actor) {
    const auto all = parts_.service.clusters();
    const Service::ClusterRef* at = find(all, cluster);
    if (at == nullptr) return no_cluster(cluster);
    const bool was_paused = at->cluster->is_paused();
    if (was_paused) parts_.log.info("cluster_resumed", {{"cluster", cluster}, {"by", actor.who}});
    at->cluster->resume();
    Outcome outcome;
    outcome.body["cluster"] = cluster;
    outcome.body["was_paused"] = was_paused;
    return outcome;
}

Outcome Panel::end_session(uint64_t session, const Actor& actor) {
    if (!parts_.service.engine().end_session(SessionId{session},
                                             "terminating connection due to administrator command")) {
        return refusal(404, "there is no session " + std::to_string(session),
                       "`holdfast sessions` lists them");
    }
    parts_.log.info("session_killed", {{"session", session}, {"by", actor.who}, {"reason", actor.reason}});
    Outcome outcome;
    outcome.body["session"] = session;
    return outcome;
}

}  // namespace holdfast::app
