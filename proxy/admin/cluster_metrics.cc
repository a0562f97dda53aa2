#include "proxy/admin/cluster_metrics.h"

#include <chrono>
#include <cstdlib>

namespace holdfast::admin {

namespace {

using namespace engine;

double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

template <typename Enum>
constexpr size_t index(Enum value) {
    return static_cast<size_t>(value);
}

std::string_view word(Target target) {
    switch (target) {
        case Target::primary: return "primary";
        case Target::replica: return "replica";
        case Target::proxy: return "proxy";
    }
    std::abort();
}

/// One counter for each value of an enum whose to_string gives the label.
template <typename Enum, size_t count>
void make_counters(Series& series, const MetricRow& row, const char* label,
                   std::array<prometheus::Counter*, count>& counters) {
    for (size_t i = 0; i < count; ++i) {
        counters[i] = series.counter(row, {{label, std::string(to_string(static_cast<Enum>(i)))}});
    }
}

}  // namespace

PrometheusClusterMetrics::PrometheusClusterMetrics(MetricStore& store, const std::string& cluster,
                                                   const std::vector<std::string>& servers)
    : store_(&store),
      cluster_(cluster),
      series_(store, {{"cluster", cluster}}),
      accepts_(series_.counter(rows::client_accepts)),
      login_(series_.histogram(rows::client_login)),
      bytes_received_(series_.counter(rows::client_bytes, {{"direction", "received"}})),
      bytes_sent_(series_.counter(rows::client_bytes, {{"direction", "sent"}})),
      held_(series_.gauge(rows::held_statements)),
      hold_duration_(series_.histogram(rows::hold_duration)),
      cancels_found_(series_.counter(rows::cancel_requests, {{"result", "found"}})),
      cancels_not_found_(series_.counter(rows::cancel_requests, {{"result", "not_found"}})),
      query_timeouts_(series_.counter(rows::query_timeouts)),
      stale_reads_avoided_(series_.counter(rows::stale_reads_avoided)),
      failovers_(series_.counter(rows::failovers)),
      failover_duration_(series_.histogram(rows::failover_duration)),
      primary_present_(series_.gauge(rows::primary_present)),
      primary_epoch_(series_.gauge(rows::primary_epoch)),
      primary_changes_(series_.counter(rows::primary_changes)),
      split_brain_(series_.gauge(rows::split_brain)) {
    make_counters<CloseReason>(series_, rows::client_disconnects, "reason", disconnects_);
    make_counters<HoldOutcome>(series_, rows::held_statements_total, "outcome", hold_outcomes_);
    make_counters<LossOutcome>(series_, rows::losses, "outcome", losses_);
    for (size_t i = 0; i < clients_.size(); ++i) {
        const auto state = static_cast<ClientState>(i);
        clients_[i] = series_.gauge(rows::client_connections, {{"state", std::string(to_string(state))}});
    }
    for (size_t i = 0; i < statement_duration_.size(); ++i) {
        const auto target = static_cast<Target>(i);
        statement_duration_[i] =
            series_.histogram(rows::statement_duration, {{"target", std::string(word(target))}});
        durations_[i].in_bucket.assign(rows::statement_duration.buckets.size() + 1, 0);
    }
    for (size_t i = 0; i < errors_.size(); ++i) {
        errors_[i] = series_.counter(rows::statement_errors, {{"class", std::string(sqlstate_classes[i])}});
    }
    servers_.reserve(servers.size());
    for (const std::string& server : servers) {
        servers_.push_back(std::make_unique<ServerSeries>(store, cluster, server));
    }
}

void PrometheusClusterMetrics::publish() {
    for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->Set(static_cast<double>(clients_in_[i]));
    for (auto& routes : statements_) {
        for (auto& reasons : routes) {
            for (StatementCount& count : reasons) {
                if (count.unpublished > 0) count.counter->Increment(static_cast<double>(count.unpublished));
                count.unpublished = 0;
            }
        }
    }
    for (auto& server : servers_) {
        if (server) server->publish();
    }
    for (size_t i = 0; i < durations_.size(); ++i) {
        Durations& durations = durations_[i];
        if (durations.is_empty) continue;
        statement_duration_[i]->ObserveMultiple(durations.in_bucket, durations.seconds);
        durations.in_bucket.assign(durations.in_bucket.size(), 0);
        durations.seconds = 0;
        durations.is_empty = true;
    }
}

void PrometheusClusterMetrics::client_accepted() {
    accepts_->Increment();
}

void PrometheusClusterMetrics::client_logged_in(Duration login) {
    login_->Observe(seconds(login));
}

void PrometheusClusterMetrics::client_closed(CloseReason reason) {
    disconnects_[index(reason)]->Increment();
}

void PrometheusClusterMetrics::client_state(ClientState from, ClientState to) {
    --clients_in_[index(from)];
    ++clients_in_[index(to)];
}

void PrometheusClusterMetrics::client_state_entered(ClientState state) {
    ++clients_in_[index(state)];
}

void PrometheusClusterMetrics::client_state_left(ClientState state) {
    --clients_in_[index(state)];
}

void PrometheusClusterMetrics::client_bytes(size_t received, size_t sent) {
    if (received > 0) bytes_received_->Increment(static_cast<double>(received));
    if (sent > 0) bytes_sent_->Increment(static_cast<double>(sent));
}

void PrometheusClusterMetrics::server_connect(ServerId server, ServerConnectResult result, Duration took) {
    ServerSeries* series = find(server);
    if (series == nullptr) return;
    series->connects[index(result)]->Increment();
    series->connect_duration->Observe(seconds(took));
}

void PrometheusClusterMetrics::server_connection_opened(ServerId server) {
    if (ServerSeries* series = find(server)) series->connections->Increment();
}

void PrometheusClusterMetrics::server_connection_closed(ServerId server) {
    if (ServerSeries* series = find(server)) series->connections->Decrement();
}

void PrometheusClusterMetrics::statement(Target target, RouteReason route, sql::Reason classified) {
    StatementCount& count = statements_[index(target)][index(route)][index(classified)];
    if (count.counter == nullptr) count.counter = make_statement_series(target, route, classified);
    ++count.unpublished;
}

void PrometheusClusterMetrics::statement_done(Target target, ServerId server, Duration total) {
    if (ServerSeries* series = find(server)) ++series->statements_unpublished;
    // Most statements are short: their bucket is found from the front.
    const double took = seconds(total);
    size_t bucket = 0;
    for (const double bound : rows::statement_duration.buckets) {
        if (took <= bound) break;
        ++bucket;
    }
    Durations& durations = durations_[index(target)];
    durations.in_bucket[bucket] += 1;
    durations.seconds += took;
    durations.is_empty = false;
}

void PrometheusClusterMetrics::statement_error(std::string_view sqlstate) {
    errors_[sqlstate_class_index(sqlstate)]->Increment();
}

void PrometheusClusterMetrics::corrected(ServerId server) {
    if (ServerSeries* series = find(server)) series->corrections->Increment();
}

void PrometheusClusterMetrics::hold_began() {
    held_->Increment();
}

void PrometheusClusterMetrics::hold_ended(HoldOutcome outcome, Duration held) {
    held_->Decrement();
    hold_outcomes_[index(outcome)]->Increment();
    hold_duration_->Observe(seconds(held));
}

void PrometheusClusterMetrics::loss(LossOutcome outcome) {
    losses_[index(outcome)]->Increment();
}

void PrometheusClusterMetrics::cancel_request(bool found) {
    (found ? cancels_found_ : cancels_not_found_)->Increment();
}

void PrometheusClusterMetrics::stale_read_avoided() {
    stale_reads_avoided_->Increment();
}

void PrometheusClusterMetrics::failover_completed(Duration outage) {
    failovers_->Increment();
    failover_duration_->Observe(seconds(outage));
}

void PrometheusClusterMetrics::view_changed(const health::View& view) {
    match_servers(view);
    for (size_t i = 0; i < view.servers.size(); ++i) {
        if (servers_[i]) servers_[i]->show(view.servers[i]);
    }

    const health::ServerView* primary = view.primary ? view.find(*view.primary) : nullptr;
    primary_present_->Set(primary != nullptr ? 1 : 0);
    primary_epoch_->Set(static_cast<double>(view.epoch.value));
    split_brain_->Set(view.split_brain ? 1 : 0);
    // The same server back after an absence is not another primary.
    if (primary != nullptr && primary->name != last_primary_) {
        if (!last_primary_.empty()) primary_changes_->Increment();
        last_primary_ = primary->name;
    }
}

ServerSeries* PrometheusClusterMetrics::find(ServerId server) {
    return server.value >= 1 && server.value <= servers_.size() ? servers_[server.value - 1].get() : nullptr;
}

/// A reload may have added, removed or moved servers: series follow their server's name.
void PrometheusClusterMetrics::match_servers(const health::View& view) {
    const auto name_in = [&](size_t place) {
        const health::ServerView& server = view.servers[place];
        return server.duty == health::Duty::removed ? std::string_view() : std::string_view(server.name);
    };
    bool same = servers_.size() == view.servers.size();
    for (size_t i = 0; same && i < servers_.size(); ++i) {
        same = (servers_[i] ? std::string_view(servers_[i]->name()) : std::string_view()) == name_in(i);
    }
    if (same) return;

    std::vector<std::unique_ptr<ServerSeries>> matched;
    matched.reserve(view.servers.size());
    for (size_t i = 0; i < view.servers.size(); ++i) {
        const std::string name(name_in(i));
        std::unique_ptr<ServerSeries> kept;
        for (auto& old : servers_) {
            if (old && old->name() == name) kept = std::move(old);
        }
        if (!kept && !name.empty()) kept = std::make_unique<ServerSeries>(*store_, cluster_, name);
        matched.push_back(std::move(kept));  // null: a server that was taken away
    }
    servers_ = std::move(matched);
}

prometheus::Counter* PrometheusClusterMetrics::make_statement_series(Target target, RouteReason route,
                                                                     sql::Reason classified) {
    return series_.counter(rows::statements, {{"target", std::string(word(target))},
                                              {"route", std::string(to_string(route))},
                                              {"reason", std::string(sql::to_string(classified))}});
}

}  // namespace holdfast::admin
