// What the tiny SQL does in a session of a scripted MariaDB.
#include <algorithm>
#include <string_view>
#include <utility>

#include "protocol/mysql/errors.h"
#include "protocol/mysql/packets.h"
#include "tests/simulation/books.h"
#include "tests/simulation/mysql_backend.h"

namespace holdfast::simulation {
namespace {

constexpr int series_rows = 9'000;
constexpr uint16_t read_only_transaction = 1792;
constexpr uint16_t no_such_savepoint = 1305;

/// What a server says when it is asked to report changes of its settings.
ByteBuffer report_of_settings() {
    ByteBuffer report;
    const std::pair<std::string_view, std::string_view> settings[] = {{"sql_mode", "STRICT_TRANS_TABLES"},
                                                                      {"character_set_client", "utf8mb4"}};
    for (const auto& [name, value] : settings) {
        report.push_back(std::byte{static_cast<uint8_t>(mysql::SessionState::system_variable)});
        mysql::append_lenenc(report, name.size() + value.size() + 2);
        for (const std::string_view text : {name, value}) {
            mysql::append_lenenc(report, text.size());
            append(report, text);
        }
    }
    return report;
}

}  // namespace

void MysqlBackend::run(std::string text, Rows rows, bool more, const Done& done) {
    cancelled_ = false;
    server_.later(service_time(), mine([this, text = std::move(text), rows, more, done] {
                      if (!text.starts_with("SET SESSION "))
                          return execute(parse_sql(text), rows, more, done);
                      if (text.find("TRANSACTION READ") != std::string::npos)
                          session_is_read_only_ = text.ends_with("ONLY");
                      const bool asks = text.find("session_track") != std::string::npos;
                      answer_ok(0, more, asks ? report_of_settings() : ByteBuffer());
                      done({});
                  }));
}

/// 0: a write may begin.
uint16_t MysqlBackend::refusal_of_writes() const {
    if (server_.is_read_only()) return mysql::error::read_only;
    const bool reads_only = in_transaction_ ? is_read_only_ : session_is_read_only_;
    return reads_only ? read_only_transaction : 0;
}

void MysqlBackend::execute(const Sql& sql, Rows rows, bool more, const Done& done) {
    server_.site().trace.line(server_.name(), "session " + std::to_string(process_id_) + " runs verb " +
                                                  std::to_string(static_cast<int>(sql.verb)) + " tag " +
                                                  std::to_string(sql.tag));
    if (cancelled_) return done({mysql::error::interrupted, "Query execution was interrupted"});
    const std::string tag_text = std::to_string(sql.tag);
    const auto one_row = [&](const std::vector<std::string>& values) {
        begin_rows(values.size());
        send_row(rows, values);
        end_rows(more);
        done({});
    };
    switch (sql.verb) {
        case Verb::select_value:
            if (sql.for_update) return execute_write(sql, rows, more, done);
            return one_row({std::to_string(server_.value_of(sql.key)), tag_text, tenant()});
        case Verb::select_series:
            begin_rows(3);
            for (int i = 0; i < series_rows; ++i) send_row(rows, {std::to_string(i), tag_text, tenant()});
            end_rows(more);
            return done({});
        case Verb::show: return one_row({tenant()});
        case Verb::select_ticket:
        case Verb::insert:
        case Verb::raise:
        case Verb::bump: return execute_write(sql, rows, more, done);
        case Verb::begin:
        case Verb::begin_read_only:
            // It ends the one before it.
            return commit_work([this, sql, more, done](const Outcome& outcome) {
                if (outcome.number != 0) return done(outcome);
                in_transaction_ = true;
                is_read_only_ = sql.verb == Verb::begin_read_only || session_is_read_only_;
                answer_ok(0, more);
                done({});
            });
        case Verb::commit:
            return commit_work([this, more, done](const Outcome& outcome) {
                if (outcome.number == 0) answer_ok(0, more);
                done(outcome);
            });
        case Verb::rollback:
            end_transaction();
            answer_ok(0, more);
            return done({});
        case Verb::savepoint:
            // Outside of a transaction it stands for nothing.
            if (in_transaction_) savepoints_.push_back({sql.name, changes_.size()});
            answer_ok(0, more);
            return done({});
        case Verb::rollback_to:
        case Verb::release:
            if (!return_to(sql.name, sql.verb == Verb::rollback_to))
                return done({no_such_savepoint, "SAVEPOINT " + sql.name + " does not exist"});
            if (sql.verb == Verb::release) savepoints_.pop_back();
            answer_ok(0, more);
            return done({});
        case Verb::set:
            variables_[sql.name] = sql.text;
            answer_ok(0, more);
            return done({});
        case Verb::kill:
            if (Backend* target = server_.find_backend(static_cast<uint32_t>(sql.key))) target->cancel();
            answer_ok(0, more);
            return done({});
        default: return done({mysql::error::syntax, "You have an error in your SQL syntax"});
    }
}

void MysqlBackend::execute_write(const Sql& sql, Rows rows, bool more, const Done& done) {
    if (const uint16_t number = refusal_of_writes(); number != 0 && !sql.for_update) {
        return done({number, number == read_only_transaction
                                 ? "Cannot execute statement in a READ ONLY transaction"
                                 : "The MariaDB server is running with the --read-only option so it cannot "
                                   "execute this statement"});
    }
    if (sql.key != 0 && !server_.lock(sql.key, *this, mine([this, sql, rows, more, done] {
                                          execute(sql, rows, more, done);
                                      }))) {
        return;
    }
    const std::string tag_text = std::to_string(sql.tag);
    const bool is_alone = !in_transaction_;
    const auto end = [this, is_alone](const Done& then) {
        if (is_alone) return commit_work(then);
        then({});
    };
    if (sql.for_update || sql.verb == Verb::select_ticket) {
        const bool draws = sql.verb == Verb::select_ticket;
        begin_rows(3);
        send_row(rows, {std::to_string(draws ? static_cast<int64_t>(server_.next_ticket())
                                             : server_.value_of(sql.key)),
                        tag_text, tenant()});
        return end([this, more, done](const Outcome&) {
            end_rows(more);
            done({});
        });
    }
    server_.site().books.executed(sql.tag, server_, endpoint_->taken_sent_at());
    switch (sql.verb) {
        case Verb::insert: changes_.push_back({0, 0, false, sql.tag}); break;
        case Verb::raise: changes_.push_back({sql.key, sql.value, false, sql.tag}); break;
        default: changes_.push_back({sql.key, 0, true, sql.tag}); break;
    }
    if (sql.returning) {
        begin_rows(3);
        send_row(rows, {tag_text, tag_text, tenant()});
    }
    end([this, sql, more, done](const Outcome& outcome) {
        if (outcome.number == 0 && sql.returning) end_rows(more);
        if (outcome.number == 0 && !sql.returning) answer_ok(1, more);
        done(outcome);
    });
}

/// Makes the transaction's changes durable, or takes them back when the server takes no writes any more; then
/// it is over, and `done` is told.
void MysqlBackend::commit_work(const Done& done) {
    if (changes_.empty()) {
        end_transaction();
        return done({});
    }
    if (server_.is_read_only()) {
        end_transaction();
        return done({mysql::error::read_only,
                     "The MariaDB server is running with the --read-only option so it cannot execute this "
                     "statement"});
    }
    server_.commit(std::exchange(changes_, {}), {}, mine([this, done] {
                       end_transaction();
                       done({});
                   }));
}

void MysqlBackend::end_transaction() {
    changes_.clear();
    savepoints_.clear();
    in_transaction_ = false;
    is_read_only_ = false;
    server_.unlock_all(*this);
}

/// Forgets the savepoints behind the newest one of that name, and what was done since; false: there is none.
bool MysqlBackend::return_to(const std::string& name, bool undoes) {
    const auto newest = std::find_if(savepoints_.rbegin(), savepoints_.rend(),
                                     [&](const Savepoint& each) { return each.name == name; });
    if (newest == savepoints_.rend()) return false;
    savepoints_.erase(newest.base(), savepoints_.end());
    if (undoes) changes_.resize(savepoints_.back().changes);
    return true;
}

void MysqlBackend::reset() {
    end_transaction();
    variables_.clear();
    prepared_.clear();
    session_is_read_only_ = false;
}

std::string MysqlBackend::tenant() const {
    const auto found = variables_.find("tenant");
    return found == variables_.end() ? std::string() : found->second;
}

}  // namespace holdfast::simulation
