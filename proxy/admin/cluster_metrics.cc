#include "proxy/admin/cluster_metrics.h"

#include <algorithm>
#include <chrono>

#include "proxy/admin/sqlstate_class.h"

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
      disconnects_(series_, rows::client_disconnects, "reason", words_of<CloseReason>(),
                   static_cast<size_t>(close_reason_count)),
      server_connect_(series_.histogram(rows::server_connect)),
      corrections_(series_.counter(rows::corrections)),
      decisions_(series_),
      bytes_received_(series_.counter(rows::client_bytes, {{"direction", "received"}})),
      bytes_sent_(series_.counter(rows::client_bytes, {{"direction", "sent"}})),
      pinned_(series_, rows::pinned, "reason", words_of<PinReason>(), static_cast<size_t>(pin_reason_count)),
      paused_(series_.gauge(rows::paused)),
      waiting_(series_.histogram(rows::statement_waiting), rows::statement_waiting.buckets),
      errors_(
          series_, rows::statement_errors, "class", [](size_t i) { return sqlstate_classes[i]; },
          sqlstate_classes.size()),
      held_(series_.gauge(rows::held_statements)),
      hold_duration_(series_, rows::hold_duration),
      pool_limit_(series_.gauge(rows::pool_limit)),
      pool_waiting_(series_.gauge(rows::pool_waiting)),
      pool_wait_(series_, rows::pool_wait),
      replays_done_(series_.counter(rows::state_replays, {{"result", "done"}})),
      replays_failed_(series_.counter(rows::state_replays, {{"result", "failed"}})),
      cancels_found_(series_.counter(rows::cancel_requests, {{"result", "found"}})),
      cancels_not_found_(series_.counter(rows::cancel_requests, {{"result", "not_found"}})),
      query_timeouts_(series_.counter(rows::query_timeouts)),
      stale_reads_avoided_(series_.counter(rows::stale_reads_avoided)),
      failovers_(series_.counter(rows::failovers)),
      failover_duration_(series_.histogram(rows::failover_duration)),
      primary_present_(series_.gauge(rows::primary_present)),
      primary_epoch_(series_.gauge(rows::primary_epoch)),
      primary_changes_(series_.counter(rows::primary_changes)),
      split_brain_(series_.gauge(rows::split_brain)),
      lag_limit_(series_.gauge(rows::lag_limit)),
      write_unavailable_(series_.counter(rows::write_unavailable)) {
    make_counters<HoldOutcome>(series_, rows::held_statements_total, "outcome", hold_outcomes_);
    make_counters<LossOutcome>(series_, rows::losses, "outcome", losses_);
    for (size_t i = 0; i < clients_.size(); ++i) {
        const auto state = static_cast<ClientState>(i);
        clients_[i] = series_.gauge(rows::client_connections, {{"state", std::string(to_string(state))}});
    }
    for (const Target target : {Target::primary, Target::replica}) {
        const auto make = [&](const MetricRow& row) {
            return FastHistogram(series_.histogram(row, {{"target", std::string(to_string(target))}}),
                                 row.buckets);
        };
        times_.push_back({make(rows::statement_duration), make(rows::statement_server)});
    }
    servers_.reserve(servers.size());
    for (const std::string& server : servers) {
        servers_.push_back(std::make_unique<ServerSeries>(store, cluster, server));
    }
}

void PrometheusClusterMetrics::publish() {
    for (size_t i = 0; i < clients_.size(); ++i) clients_[i]->Set(static_cast<double>(clients_in_[i]));
    publish_count(*bytes_received_, received_unpublished_);
    publish_count(*bytes_sent_, sent_unpublished_);
    for (StatementTimes& times : times_) {
        times.total.publish();
        times.server.publish();
    }
    waiting_.publish();
    decisions_.publish();
    for (const auto& server : servers_) {
        if (server) server->publish();
    }
}

void PrometheusClusterMetrics::show(const ClusterSample& sample) {
    paused_->Set(sample.is_paused ? 1 : 0);
    lag_limit_->Set(seconds(sample.lag_limit));
    pool_limit_->Set(sample.pool_limit);
    show_outage(sample.now);
    for (size_t i = 0; i < servers_.size(); ++i) {
        if (!servers_[i]) continue;
        servers_[i]->show_share(i < sample.weights.size() ? sample.weights[i] : 0,
                                i < sample.readers.size() ? sample.readers[i] : 0);
        servers_[i]->show_downtime(sample.now);
    }
}

void PrometheusClusterMetrics::probed(const health::Observation& observation) {
    if (ServerSeries* series = find(observation.server)) series->count_probe(observation);
}

void PrometheusClusterMetrics::client_accepted() {
    accepts_->Increment();
}

void PrometheusClusterMetrics::client_logged_in(Duration login) {
    login_->Observe(seconds(login));
}

void PrometheusClusterMetrics::client_closed(CloseReason reason) {
    disconnects_.increment(reason);
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
    received_unpublished_ += received;
    sent_unpublished_ += sent;
}

void PrometheusClusterMetrics::session_pins(PinSet before, PinSet now) {
    for (size_t i = 0; i < pinned_now_.size(); ++i) {
        const bool had = (unsigned{before} >> i & 1U) != 0;
        const bool has = (unsigned{now} >> i & 1U) != 0;
        if (has != had) pinned_.set(i, static_cast<double>(pinned_now_[i] += has ? 1 : -1));
    }
}

void PrometheusClusterMetrics::server_connect(ServerId server, ServerConnectResult result, Duration took) {
    ServerSeries* series = find(server);
    if (series == nullptr) return;
    series->connects.increment(result);
    server_connect_->Observe(seconds(took));
}

void PrometheusClusterMetrics::server_connection_entered(ServerId server, ServerConnectionState state) {
    if (ServerSeries* series = find(server)) ++series->connections[index(state)];
}

void PrometheusClusterMetrics::server_connection_state(ServerId server, ServerConnectionState from,
                                                       ServerConnectionState to) {
    ServerSeries* series = find(server);
    if (series == nullptr) return;
    --series->connections[index(from)];
    ++series->connections[index(to)];
}

void PrometheusClusterMetrics::server_connection_left(ServerId server, ServerConnectionState state) {
    if (ServerSeries* series = find(server)) --series->connections[index(state)];
}

void PrometheusClusterMetrics::server_bytes(ServerId server, size_t received, size_t sent) {
    ServerSeries* series = find(server);
    if (series == nullptr) return;
    series->bytes_received += received;
    series->bytes_sent += sent;
}

void PrometheusClusterMetrics::statement(ServerId server, Target target, RouteReason route,
                                         sql::Reason classified) {
    decisions_.count(target, route, classified);
    if (ServerSeries* series = find(server)) series->count_statement(target);
}

void PrometheusClusterMetrics::statement_done(Target target, Duration waited, Duration served) {
    if (index(target) >= times_.size()) return;
    StatementTimes& times = times_[index(target)];
    const double server_seconds = seconds(served);
    const size_t bucket = FastHistogram::bucket_of(server_seconds, rows::statement_server.buckets);
    times.server.observe(server_seconds, bucket);
    if (waited == Duration::zero()) {
        times.total.observe(server_seconds, bucket);
        waiting_.observe(0, 0);
        return;
    }
    times.total.observe(seconds(waited) + server_seconds);
    waiting_.observe(seconds(waited));
}

void PrometheusClusterMetrics::statement_error(std::string_view sqlstate) {
    errors_.increment(sqlstate_class_index(sqlstate));
}

void PrometheusClusterMetrics::corrected(ServerId) {
    corrections_->Increment();
}

void PrometheusClusterMetrics::hold_began() {
    held_->Increment();
}

void PrometheusClusterMetrics::hold_ended(HoldOutcome outcome, Duration held) {
    held_->Decrement();
    hold_outcomes_[index(outcome)]->Increment();
    hold_duration_.observe(seconds(held));
}

void PrometheusClusterMetrics::pool_wait_began() {
    pool_waiting_->Increment();
}

void PrometheusClusterMetrics::pool_wait_ended(Duration waited) {
    pool_waiting_->Decrement();
    pool_wait_.observe(seconds(waited));
}

void PrometheusClusterMetrics::state_replayed(bool succeeded) {
    (succeeded ? replays_done_ : replays_failed_)->Increment();
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
        if (servers_[i]) servers_[i]->show(view.servers[i], view.primary == view.servers[i].id);
    }
    show_primary(view);
}

void PrometheusClusterMetrics::show_primary(const health::View& view) {
    const health::ServerView* primary = view.primary ? view.find(*view.primary) : nullptr;
    primary_present_->Set(primary != nullptr ? 1 : 0);
    primary_epoch_->Set(static_cast<double>(view.epoch.value));
    split_brain_->Set(view.split_brain ? 1 : 0);
    if (primary != nullptr && outage_began_) {
        outages_ += std::max(view.primary_since - *outage_began_, Duration::zero());
        outage_began_.reset();
    } else if (primary == nullptr && !outage_began_) {
        outage_began_ = view.primary_lost_at;
    }
    // The same server back after an absence is not another primary.
    if (primary != nullptr && primary->name != last_primary_) {
        if (!last_primary_.empty()) primary_changes_->Increment();
        last_primary_ = primary->name;
    }
}

void PrometheusClusterMetrics::show_outage(TimePoint now) {
    const Duration present =
        outage_began_ ? std::max(now - *outage_began_, Duration::zero()) : Duration::zero();
    const double more = seconds(outages_ + present) - write_unavailable_->Value();
    if (more > 0) write_unavailable_->Increment(more);
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

}  // namespace holdfast::admin
