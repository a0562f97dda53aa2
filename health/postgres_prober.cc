#include "health/postgres_prober.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "health/postgres_facts.h"
#include "health/stranger.h"

namespace holdfast::health {

namespace {

/// "recovery is not in progress": the standby was promoted while it answered.
constexpr std::string_view sqlstate_wrong_moment = "55000";

bool is_promoted_meanwhile(const PostgresConnection::Answer& answer) {
    const auto* const failure = std::get_if<PostgresConnection::Failure>(&answer);
    return failure != nullptr && failure->sqlstate == sqlstate_wrong_moment;
}

void read_rows(const PGresult* rows, Observation& out) {
    std::array<std::optional<std::string_view>, postgres_facts_columns> columns;
    if (PQntuples(rows) != 1 || PQnfields(rows) != static_cast<int>(columns.size())) {
        out.outcome = Outcome::protocol;
        out.text = "the answer to the probe has another shape";
        return;
    }
    for (size_t i = 0; i < columns.size(); ++i) {
        const int column = static_cast<int>(i);
        if (PQgetisnull(rows, 0, column) != 0) continue;
        columns[i] =
            std::string_view(PQgetvalue(rows, 0, column), static_cast<size_t>(PQgetlength(rows, 0, column)));
    }
    if (const Status parsed = parse_postgres_facts(columns, out); !parsed) {
        out.outcome = Outcome::protocol;
        out.text = "the answer to the probe: " + parsed.error().message;
    }
}

}  // namespace

PostgresProber::PostgresProber(const config::Cluster& cluster, EventLoop& loop)
    : has_account_(cluster.service.has_value()), loop_(loop) {
    login_.user = has_account_ ? cluster.service->user : stranger;
    login_.database = has_account_ ? cluster.service->database : "postgres";
    if (has_account_) login_.password = cluster.service->password;
    login_.tls = cluster.server_tls;
    login_.tcp_user_timeout = cluster.tcp_user_timeout;
    login_.statement_timeout = cluster.health.timeout;
}

PostgresProber::~PostgresProber() = default;

void PostgresProber::probe(const config::Server& server, ServerId id, std::function<void(Observation)> done) {
    Target& target = targets_[id];
    target.done = std::move(done);
    target.started_at = loop_.now();
    target.asked_again = false;
    if (!target.connection) {
        target.connection = std::make_unique<PostgresConnection>(loop_, server.address, login_);
        target.connection->on_lost([this, id](const PostgresConnection::Failure& failure) {
            const bool is_announced = failure.sqlstate.substr(0, 4) == "57P0";
            if (on_news_) on_news_(id, is_announced ? Hint::shutting_down : Hint::connection_lost);
        });
    }
    ask(id, target);
}

void PostgresProber::ask(ServerId id, Target& target) {
    // A stranger asks nothing that matters: that it got in at all is the answer.
    target.connection->ask(
        has_account_ ? postgres_facts_sql : "SELECT 1", {},
        [this, id](PostgresConnection::Answer answer) { answered(id, std::move(answer)); });
}

Outcome PostgresProber::cancel(ServerId id) {
    Target& target = targets_[id];
    const Outcome stuck_in = target.connection ? target.connection->overdue() : Outcome::conn_timeout;
    // A connection that owes an answer is of no use to the next probe.
    target.connection.reset();
    target.done = nullptr;
    return stuck_in;
}

void PostgresProber::answered(ServerId id, PostgresConnection::Answer answer) {
    Target& target = targets_[id];
    if (is_promoted_meanwhile(answer) && !std::exchange(target.asked_again, true)) {
        ask(id, target);
        return;
    }
    Observation observation;
    observation.server = id;
    observation.received_at = loop_.now();
    if (const auto* const failure = std::get_if<PostgresConnection::Failure>(&answer)) {
        observation.sent_at = target.started_at;
        observation.outcome = failure->outcome;
        observation.text = failure->text;
    } else {
        observation.sent_at = target.connection->asked_at();
        if (has_account_) read_rows(std::get<PostgresConnection::Rows>(answer).get(), observation);
    }
    if (!has_account_) settle_for_life(observation);
    const auto done = std::exchange(target.done, nullptr);
    done(std::move(observation));
}

}  // namespace holdfast::health
