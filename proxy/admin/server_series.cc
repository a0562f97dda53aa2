#include "proxy/admin/server_series.h"

#include <chrono>
#include <limits>

namespace holdfast::admin {

namespace {

using health::ServerRole;
using health::ServerState;

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

static_assert(static_cast<size_t>(ServerState::quarantined) + 1 == server_state_count);
static_assert(static_cast<size_t>(ServerRole::replica) + 1 == server_role_count);

bool answers(ServerState state) {
    return state != ServerState::starting && state != ServerState::down;
}

/// Zero stands for "unknown" in a view; as a number it would be taken for a value.
double known(uint64_t number) {
    return number == 0 ? unknown : static_cast<double>(number);
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
      statements_(series_.counter(rows::server_statements)),
      connections(series_.gauge(rows::server_connections)),
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
    show_one(state_, ServerState::starting);
    show_one(role_, ServerRole::unknown);
    for (prometheus::Gauge* gauge : {lag_seconds_, lag_bytes_, timeline_, position_}) gauge->Set(unknown);
}

void ServerSeries::publish() {
    if (statements_unpublished > 0) statements_->Increment(static_cast<double>(statements_unpublished));
    statements_unpublished = 0;
}

void ServerSeries::show(const health::ServerView& view) {
    if (view.state != shown_state_) {
        state_changes_->Increment();
        shown_state_ = view.state;
    }
    up_->Set(answers(view.state) ? 1 : 0);
    show_one(state_, view.state);
    show_one(role_, view.role);
    readable_->Set(view.readable ? 1 : 0);
    lag_seconds_->Set(view.lag ? std::chrono::duration<double>(*view.lag).count() : unknown);
    lag_bytes_->Set(view.lag_bytes ? static_cast<double>(*view.lag_bytes) : unknown);
    timeline_->Set(known(view.timeline));
    position_->Set(known(view.position.lsn));
}

}  // namespace holdfast::admin
