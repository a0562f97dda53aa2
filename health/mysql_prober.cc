#include "health/mysql_prober.h"

#include <utility>
#include <variant>

#include "health/mysql_errors.h"
#include "health/stranger.h"

namespace holdfast::health {

MysqlProber::MysqlProber(const config::Cluster& cluster, EventLoop& loop)
    : has_account_(cluster.service.has_value()), loop_(loop) {
    login_.user = has_account_ ? cluster.service->user : stranger;
    if (has_account_) login_.password = cluster.service->password;
    login_.tls = cluster.server_tls;
}

MysqlProber::~MysqlProber() = default;

void MysqlProber::probe(const config::Server& server, ServerId id, std::function<void(Observation)> done) {
    Target& target = targets_[id];
    target.done = std::move(done);
    target.started_at = loop_.now();
    target.observation = {};
    target.observation.server = id;
    target.more = {};
    if (!target.connection) {
        target.connection = std::make_unique<MysqlConnection>(loop_, server.address, login_);
        target.connection->on_lost([this, id](const MysqlConnection::Failure& failure) {
            if (on_news_) {
                on_news_(id,
                         failure.code == mysql_error_shutdown ? Hint::shutting_down : Hint::connection_lost);
            }
        });
    }
    ask(id, Question::variables);
}

void MysqlProber::ask(ServerId id, Question question) {
    Target& target = targets_[id];
    std::string sql;
    switch (question) {
        case Question::variables: sql = has_account_ ? mysql_variables_sql : "DO 1"; break;
        case Question::gtid_executed: sql = mysql_gtid_executed_sql; break;
        case Question::galera: sql = mysql_galera_sql; break;
        case Question::group: sql = mysql_group_sql; break;
        case Question::sources: sql = mysql_sources_sql(target.observation); break;
    }
    target.connection->ask(std::move(sql), [this, id, question](MysqlConnection::Answer answer) {
        answered(id, question, std::move(answer));
    });
}

Outcome MysqlProber::cancel(ServerId id) {
    Target& target = targets_[id];
    const Outcome stuck_in = target.connection ? target.connection->overdue() : Outcome::conn_timeout;
    // A connection that owes an answer is of no use to the next probe.
    target.connection.reset();
    target.done = nullptr;
    return stuck_in;
}

void MysqlProber::answered(ServerId id, Question question, MysqlConnection::Answer answer) {
    Target& target = targets_[id];
    Observation& observation = target.observation;
    const auto* const failure = std::get_if<MysqlConnection::Failure>(&answer);
    if (question == Question::variables) {
        observation.sent_at = failure != nullptr ? target.started_at : target.connection->asked_at();
    }
    if (failure != nullptr) {
        if (takes_refusal(target, question, *failure)) {
            ask_more(id);
            return;
        }
        observation.sent_at = target.started_at;
        observation.outcome = failure->outcome;
        observation.text = failure->text;
    } else if (has_account_) {
        read(target, question, std::get<MysqlRows>(answer));
    }
    if (has_account_ && observation.outcome == Outcome::ok && question != Question::sources) {
        ask_more(id);
    } else {
        finish(id);
    }
}

void MysqlProber::read(Target& target, Question question, const MysqlRows& rows) {
    Observation& observation = target.observation;
    switch (question) {
        case Question::variables:
            if (const auto more = read_mysql_variables(rows, observation)) {
                target.more = *more;
            } else {
                observation.outcome = Outcome::protocol;
                observation.text = "the answer to the probe: " + more.error().message;
            }
            break;
        case Question::gtid_executed: read_mysql_gtid_executed(rows, observation); break;
        case Question::galera: read_mysql_galera(rows, observation); break;
        case Question::group: read_mysql_group(rows, observation); break;
        case Question::sources: read_mysql_sources(rows, observation); break;
    }
}

/// The server refused one of the later questions, and that is something to live with.
bool MysqlProber::takes_refusal(Target& target, Question question,
                                const MysqlConnection::Failure& failure) const {
    if (failure.outcome != Outcome::auth || !target.connection->is_connected()) return false;
    if (question == Question::variables) return false;
    if (question == Question::sources) note_hidden_sources(failure.text, login_.user, target.observation);
    if (question == Question::group) note_hidden_group(failure.text, login_.user, target.observation);
    return true;
}

void MysqlProber::ask_more(ServerId id) {
    Target& target = targets_[id];
    if (std::exchange(target.more.gtid_executed, false)) {
        ask(id, Question::gtid_executed);
    } else if (std::exchange(target.more.galera, false)) {
        ask(id, Question::galera);
    } else if (std::exchange(target.more.group, false)) {
        ask(id, Question::group);
    } else if (target.observation.mysql->sources_hidden.empty()) {
        ask(id, Question::sources);
    } else {
        finish(id);
    }
}

void MysqlProber::finish(ServerId id) {
    Target& target = targets_[id];
    Observation& observation = target.observation;
    observation.received_at = loop_.now();
    if (!has_account_) settle_for_life(observation);
    const auto done = std::exchange(target.done, nullptr);
    done(std::move(observation));
}

}  // namespace holdfast::health
