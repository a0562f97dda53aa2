#include "proxy/admin/server_series.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace holdfast::admin {

namespace {

using health::ServerRole;
using health::ServerState;

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

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
double known(uint64_t number) {
    return number == 0 ? unknown : static_cast<double>(number);
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

/// Exactly one of a state set is 1.
template <size_t count, typename Enum>
void show_one(const std::array<prometheus::Gauge*, count>& gauges, Enum value) {
    for (size_t i = 0; i < count; ++i) gauges[i]->Set(i == static_cast<size_t>(value) ? 1 : 0);
}

}  // namespace

ServerSeries::ServerSeries(MetricStore& store, const std::string& cluster, const std::string& server)
    : name_(server),
      series_(store, {{"cluster", cluster}, {"server", server}}),
      up_(series_.gauge(rows::server_up)),
      state_changes_(series_.counter(rows::server_state_changes)),
      readable_(series_.gauge(rows::server_readable)),
      lag_seconds_(series_.gauge(rows::lag_seconds)),
      lag_bytes_(series_.gauge(rows::lag_bytes)),
      timeline_(series_.gauge(rows::server_timeline)),
      position_(series_.gauge(rows::server_position)),
      primary_(series_.gauge(rows::primary_info)),
      weight_(series_.gauge(rows::weight)),
      readers_(series_.gauge(rows::readers)),
      downtime_(series_.counter(rows::downtime)),
      probe_seconds_(series_.counter(rows::health_check_seconds)),
      replication_running_(series_.gauge(rows::replication_running)),
      bytes_received_(series_.counter(rows::server_bytes, {{"direction", "received"}})),
      bytes_sent_(series_.counter(rows::server_bytes, {{"direction", "sent"}})),
      connect_duration(series_.histogram(rows::server_connect)),
      corrections(series_.counter(rows::corrections)) {
    for (size_t i = 0; i < state_.size(); ++i) {
        state_[i] = series_.gauge(rows::server_state,
                                  {{"state", std::string(to_string(static_cast<ServerState>(i)))}});
    }
    for (size_t i = 0; i < role_.size(); ++i) {
        role_[i] =
            series_.gauge(rows::server_role, {{"role", std::string(to_string(static_cast<ServerRole>(i)))}});
    }
    for (size_t i = 0; i < connects.size(); ++i) {
        const auto result = static_cast<engine::ServerConnectResult>(i);
        connects[i] =
            series_.counter(rows::server_connects, {{"result", std::string(engine::to_string(result))}});
    }
    for (size_t i = 0; i < duty_.size(); ++i) {
        duty_[i] = series_.gauge(rows::administrative_state,
                                 {{"state", std::string(to_string(static_cast<health::Duty>(i)))}});
    }
    for (size_t i = 0; i < probes_.size(); ++i) {
        const auto outcome = static_cast<health::Outcome>(i);
        probes_[i] = series_.counter(rows::health_checks, {{"result", std::string(to_string(outcome))}});
    }
    for (size_t i = 0; i < connections_.size(); ++i) {
        const auto state = static_cast<engine::ServerConnectionState>(i);
        connections_[i] =
            series_.gauge(rows::server_connections, {{"state", std::string(engine::to_string(state))}});
    }
    show_one(duty_, health::Duty::serves);
    replication_running_->Set(unknown);
    show_one(state_, ServerState::starting);
    show_one(role_, ServerRole::unknown);
    for (prometheus::Gauge* gauge : {lag_seconds_, lag_bytes_, timeline_, position_}) gauge->Set(unknown);
}

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
    show_one(state_, view.state);
    show_one(role_, view.role);
    readable_->Set(view.readable ? 1 : 0);
    primary_->Set(is_primary ? 1 : 0);
    show_one(duty_, view.duty);
    lag_seconds_->Set(view.lag ? std::chrono::duration<double>(*view.lag).count() : unknown);
    lag_bytes_->Set(view.lag_bytes ? static_cast<double>(*view.lag_bytes) : unknown);
    timeline_->Set(known(view.timeline));
    position_->Set(known(view.position.lsn));
}

void ServerSeries::show_share(uint32_t weight, uint32_t readers) {
    weight_->Set(weight);
    readers_->Set(readers);
}

void ServerSeries::show_downtime(TimePoint now) {
    const Duration present = down_since_ ? std::max(now - *down_since_, Duration::zero()) : Duration::zero();
    const double more = seconds(down_ + present) - downtime_->Value();
    if (more > 0) downtime_->Increment(more);
}

void ServerSeries::count_probe(const health::Observation& observation) {
    probes_[static_cast<size_t>(observation.outcome)]->Increment();
    probe_seconds_->Increment(std::max(seconds(observation.received_at - observation.sent_at), 0.0));
    const std::optional<bool> runs = replicates(observation);
    replication_running_->Set(runs ? (*runs ? 1 : 0) : unknown);
}

void ServerSeries::publish() {
    for (size_t i = 0; i < connections_.size(); ++i) {
        connections_[i]->Set(static_cast<double>(connections[i]));
    }
    publish_count(*bytes_received_, bytes_received);
    publish_count(*bytes_sent_, bytes_sent);
    for (StatementCount* count : used_) publish_count(*count->counter, count->unpublished);
}

void ServerSeries::make_statement_series(StatementCount& count, engine::Target target,
                                         engine::RouteReason route, sql::Reason classified) {
    count.counter = series_.counter(rows::statements, {{"target", std::string(to_string(target))},
                                                       {"route", std::string(to_string(route))},
                                                       {"reason", std::string(sql::to_string(classified))}});
    used_.push_back(&count);
}

}  // namespace holdfast::admin
