#include "proxy/admin/server_series.h"

#include <algorithm>
#include <chrono>

namespace holdfast::admin {

namespace {

using health::ServerRole;
using health::ServerState;

static_assert(static_cast<size_t>(ServerState::quarantined) + 1 == server_state_count);
static_assert(static_cast<size_t>(ServerRole::replica) + 1 == server_role_count);
static_assert(static_cast<size_t>(health::Duty::removed) == duty_count);
static_assert(static_cast<size_t>(health::Outcome::protocol) + 1 == probe_outcome_count);

double seconds(Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

bool answers(ServerState state) {
    return state != ServerState::starting && state != ServerState::down;
}

/// Zero stands for "unknown" in a view; as a number it would be taken for a value.
std::optional<double> known(uint64_t number) {
    return number == 0 ? std::nullopt : std::optional(static_cast<double>(number));
}

/// Whether a replica receives and applies what its primary writes; nullopt: it is none, or does not say.
std::optional<bool> replicates(const health::Observation& observation) {
    if (observation.outcome != health::Outcome::ok) return std::nullopt;
    if (observation.mysql) {
        const auto& sources = observation.mysql->sources;
        if (sources.empty()) return std::nullopt;
        return std::all_of(sources.begin(), sources.end(), [](const health::ReplicationSource& source) {
            return source.io == health::ReplicationThread::running && source.sql_running;
        });
    }
    if (!observation.in_recovery || !observation.receiver_known) return std::nullopt;
    return observation.receiver_streaming && !observation.replay_paused;
}

}  // namespace

ServerSeries::ServerSeries(MetricStore& store, const std::string& cluster, const std::string& server)
    : name_(server),
      series_(store, {{"cluster", cluster}, {"server", server}}),
      up_(series_.gauge(rows::server_up)),
      state_(series_, rows::server_state, "state", words_of<ServerState>(), server_state_count),
      role_(series_, rows::server_role, "role", words_of<ServerRole>(), server_role_count),
      duty_(series_, rows::administrative_state, "state", words_of<health::Duty>(), duty_count),
      lag_seconds_(series_, rows::lag_seconds),
      lag_bytes_(series_, rows::lag_bytes),
      timeline_(series_, rows::server_timeline),
      position_(series_, rows::server_position),
      replication_running_(series_, rows::replication_running),
      probes_(series_, rows::health_checks, "result", words_of<health::Outcome>(), probe_outcome_count),
      connections_(series_, rows::server_connections, "state", words_of<engine::ServerConnectionState>(),
                   static_cast<size_t>(engine::server_connection_state_count)),
      statements_(series_),
      state_changes_(series_.counter(rows::server_state_changes)),
      readable_(series_.gauge(rows::server_readable)),
      weight_(series_.gauge(rows::weight)),
      readers_(series_.gauge(rows::readers)),
      probe_seconds_(series_.counter(rows::health_check_seconds)),
      bytes_received_(series_.counter(rows::server_bytes, {{"direction", "received"}})),
      bytes_sent_(series_.counter(rows::server_bytes, {{"direction", "sent"}})),
      connects(series_, rows::server_connects, "result", words_of<engine::ServerConnectResult>(),
               static_cast<size_t>(engine::server_connect_result_count)) {}

void ServerSeries::show(const health::ServerView& view, bool is_primary) {
    if (view.state != shown_state_) {
        state_changes_->Increment();
        const bool is_down = view.state == ServerState::down;
        if (is_down) down_since_ = view.since;
        if (!is_down && down_since_) {
            down_ += std::max(view.since - *down_since_, Duration::zero());
            down_since_.reset();
        }
        shown_state_ = view.state;
    }
    up_->Set(answers(view.state) ? 1 : 0);
    state_.show(view.state);
    if (role_.is_shown() || view.role != ServerRole::unknown) role_.show(view.role);
    readable_->Set(view.readable ? 1 : 0);
    if (is_primary && primary_ == nullptr) primary_ = series_.gauge(rows::primary_info);
    if (primary_ != nullptr) primary_->Set(is_primary ? 1 : 0);
    duty_.show(view.duty);
    lag_seconds_.show(view.lag ? std::optional(seconds(*view.lag)) : std::nullopt);
    lag_bytes_.show(view.lag_bytes ? std::optional(static_cast<double>(*view.lag_bytes)) : std::nullopt);
    timeline_.show(known(view.timeline));
    position_.show(known(view.position.lsn));
}

void ServerSeries::show_share(uint32_t weight, uint32_t readers) {
    weight_->Set(weight);
    readers_->Set(readers);
}

void ServerSeries::show_downtime(TimePoint now) {
    const Duration present = down_since_ ? std::max(now - *down_since_, Duration::zero()) : Duration::zero();
    const double total = seconds(down_ + present);
    if (total <= 0) return;
    if (downtime_ == nullptr) downtime_ = series_.counter(rows::downtime);
    const double more = total - downtime_->Value();
    if (more > 0) downtime_->Increment(more);
}

void ServerSeries::count_probe(const health::Observation& observation) {
    probes_.increment(observation.outcome);
    probe_seconds_->Increment(std::max(seconds(observation.received_at - observation.sent_at), 0.0));
    const std::optional<bool> runs = replicates(observation);
    replication_running_.show(runs ? std::optional(*runs ? 1.0 : 0.0) : std::nullopt);
}

void ServerSeries::publish() {
    for (size_t i = 0; i < connections.size(); ++i) {
        connections_.set(i, static_cast<double>(connections[i]));
    }
    publish_count(*bytes_received_, bytes_received);
    publish_count(*bytes_sent_, bytes_sent);
    statements_.publish();
}

}  // namespace holdfast::admin
