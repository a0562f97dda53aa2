// What the tiny SQL does in a session of a scripted server.
#include <algorithm>
#include <utility>

#include "protocol/postgres/messages.h"
#include "tests/simulation/books.h"
#include "tests/simulation/postgres_backend.h"

namespace holdfast::simulation {

using namespace std::chrono_literals;
namespace backend = postgres::backend;
using postgres::MessageWriter;

namespace {

constexpr int series_rows = 9'000;

}  // namespace

void PostgresBackend::run(std::string text, bool describe, Done done) {
    cancelled_ = false;
    server_.later(
        service_time(), mine([this, text = std::move(text), describe, done = std::move(done)] {
            Sql sql = parse_sql(text);
            if (sql.verb == Verb::execute) {
                const auto found = prepared_.find(sql.name);
                if (found == prepared_.end()) {
                    if (transaction_ == Transaction::open) transaction_ = Transaction::failed;
                    return done({"26000", "prepared statement \"" + sql.name + "\" does not exist", {}});
                }
                sql = parse_sql(with_parameters(found->second, sql.arguments));
            }
            execute(sql, describe, [this, done](const Outcome& outcome) {
                if (!outcome.code.empty()) {
                    if (transaction_ == Transaction::open) transaction_ = Transaction::failed;
                    if (transaction_ == Transaction::implicit) end_transaction(false);
                }
                done(outcome);
            });
        }));
}

bool PostgresBackend::is_read_only() const {
    return server_.is_standby() || read_only_;
}

void PostgresBackend::execute(const Sql& sql, bool describe, const Done& done) {
    server_.site().trace.line(server_.name(), "session " + std::to_string(process_id_) + " runs verb " +
                                                  std::to_string(static_cast<int>(sql.verb)) + " tag " +
                                                  std::to_string(sql.tag));
    if (cancelled_) return done({"57014", "canceling statement due to user request", {}});
    if (transaction_ == Transaction::failed && !ends_failure(sql.verb)) {
        return done(
            {"25P02", "current transaction is aborted, commands ignored until end of transaction block", {}});
    }
    if (transaction_ == Transaction::idle) {
        transaction_ = Transaction::implicit;
        read_only_ = server_.is_standby();
        settings_before_ = settings_;
        channels_before_ = channels_;
    }
    const std::string tag_text = std::to_string(sql.tag);
    switch (sql.verb) {
        case Verb::select_value:
            if (sql.for_update) return execute_write(sql, describe, done);
            if (describe) describe_rows(sql);
            send_row({std::to_string(server_.value_of(sql.key)), tag_text, tenant()});
            return done({{}, {}, "SELECT 1"});
        case Verb::select_series:
            if (describe) describe_rows(sql);
            for (int i = 0; i < series_rows; ++i) send_row({std::to_string(i), tag_text, tenant()});
            return done({{}, {}, "SELECT " + std::to_string(series_rows)});
        case Verb::show:
            if (describe) describe_rows(sql);
            send_row({settings_[sql.name]});
            return done({{}, {}, "SHOW"});
        case Verb::select_ticket:
        case Verb::insert:
        case Verb::raise:
        case Verb::bump: return execute_write(sql, describe, done);
        case Verb::begin:
        case Verb::begin_read_only:
            transaction_ = Transaction::open;
            if (sql.verb == Verb::begin_read_only) read_only_ = true;
            return done({{}, {}, "BEGIN"});
        case Verb::commit: {
            const bool failed = transaction_ == Transaction::failed;
            if (failed) {
                end_transaction(false);
                return done({{}, {}, "ROLLBACK"});
            }
            return commit_work("COMMIT", done);
        }
        case Verb::rollback: end_transaction(false); return done({{}, {}, "ROLLBACK"});
        case Verb::savepoint:
            if (transaction_ != Transaction::open)
                return done({"25P01", "SAVEPOINT can only be used in transaction blocks", {}});
            mark(sql.name);
            return done({{}, {}, "SAVEPOINT"});
        case Verb::rollback_to:
            if (!return_to(sql.name, true)) return done({"3B001", "savepoint does not exist", {}});
            transaction_ = Transaction::open;
            return done({{}, {}, "ROLLBACK"});
        case Verb::release:
            if (!return_to(sql.name, false)) return done({"3B001", "savepoint does not exist", {}});
            savepoints_.pop_back();
            return done({{}, {}, "RELEASE"});
        case Verb::divide_by_zero: return done({"22012", "division by zero", {}});
        case Verb::set: settings_[sql.name] = sql.text; return done({{}, {}, "SET"});
        case Verb::listen:
            if (server_.is_standby()) return done({"25006", "cannot execute LISTEN during recovery", {}});
            channels_.insert(sql.name);
            return done({{}, {}, "LISTEN"});
        case Verb::notify:
            if (is_read_only()) return done({"25006", "cannot execute NOTIFY during recovery", {}});
            notifications_.push_back({sql.name, sql.text});
            return done({{}, {}, "NOTIFY"});
        case Verb::prepare:
            if (prepared_.contains(sql.name)) return done({"42P05", "prepared statement already exists", {}});
            prepared_[sql.name] = sql.text;
            return done({{}, {}, "PREPARE"});
        case Verb::deallocate:
            if (prepared_.erase(sql.name) == 0)
                return done({"26000", "prepared statement does not exist", {}});
            return done({{}, {}, "DEALLOCATE"});
        case Verb::discard_all:
            prepared_.clear();
            settings_.clear();
            channels_.clear();
            return done({{}, {}, "DISCARD ALL"});
        case Verb::execute:
        case Verb::kill:
        case Verb::unknown: return done({"42601", "syntax error", {}});
    }
}

void PostgresBackend::execute_write(const Sql& sql, bool describe, const Done& done) {
    if (is_read_only()) {
        return done({"25006", "cannot execute this in a read-only transaction", {}});
    }
    if (sql.key != 0 &&
        !server_.lock(sql.key, *this, mine([this, sql, describe, done] { execute(sql, describe, done); }))) {
        return;
    }
    const std::string tag_text = std::to_string(sql.tag);
    Books& books = server_.site().books;
    if (sql.for_update) {
        if (describe) describe_rows(sql);
        send_row({std::to_string(server_.value_of(sql.key)), tag_text, tenant()});
        return done({{}, {}, "SELECT 1"});
    }
    if (sql.verb == Verb::select_ticket) {
        if (describe) describe_rows(sql);
        send_row({std::to_string(server_.next_ticket()), tag_text, tenant()});
        return done({{}, {}, "SELECT 1"});
    }
    books.executed(sql.tag, server_, endpoint_->taken_sent_at());
    switch (sql.verb) {
        case Verb::insert:
            changes_.push_back({0, 0, false, sql.tag});
            if (sql.returning) {
                if (describe) describe_rows(sql);
                send_row({tag_text, tag_text, tenant()});
            }
            return done({{}, {}, "INSERT 0 1"});
        case Verb::raise:
            changes_.push_back({sql.key, sql.value, false, sql.tag});
            return done({{}, {}, "UPDATE 1"});
        default: changes_.push_back({sql.key, 0, true, sql.tag}); return done({{}, {}, "UPDATE 1"});
    }
}

/// Makes the transaction's changes durable; then it is over, and `done` is told.
void PostgresBackend::commit_work(const std::string& tag, const Done& done) {
    if (changes_.empty() && notifications_.empty()) {
        end_transaction(true);
        return done({{}, {}, tag});
    }
    server_.commit(std::exchange(changes_, {}), std::exchange(notifications_, {}), mine([this, tag, done] {
                       end_transaction(true);
                       done({{}, {}, tag});
                   }));
}

void PostgresBackend::end_transaction(bool commits) {
    changes_.clear();
    notifications_.clear();
    if (!commits) {
        settings_ = settings_before_;
        channels_ = channels_before_;
    }
    transaction_ = Transaction::idle;
    savepoints_.clear();
    read_only_ = false;
    portals_.clear();
    server_.unlock_all(*this);
}

void PostgresBackend::mark(const std::string& name) {
    savepoints_.push_back({name, changes_.size(), notifications_.size(), settings_, channels_});
}

/// Forgets the savepoints behind the newest one of that name, and what was done since; false: there is none.
bool PostgresBackend::return_to(const std::string& name, bool undoes) {
    const auto newest = std::find_if(savepoints_.rbegin(), savepoints_.rend(),
                                     [&](const Savepoint& each) { return each.name == name; });
    if (newest == savepoints_.rend()) return false;
    savepoints_.erase(newest.base(), savepoints_.end());
    if (!undoes) return true;
    const Savepoint& savepoint = savepoints_.back();
    changes_.resize(savepoint.changes);
    notifications_.resize(savepoint.notifications);
    settings_ = savepoint.settings;
    channels_ = savepoint.channels;
    return true;
}

std::string PostgresBackend::tenant() const {
    const auto found = settings_.find("app.tenant");
    return found == settings_.end() ? std::string() : found->second;
}

void PostgresBackend::describe_rows(const Sql& sql) {
    if (!returns_rows(sql.verb) && !sql.returning) {
        postgres::append_message(out_, backend::no_data);
        return;
    }
    const uint16_t columns = sql.verb == Verb::show ? 1 : 3;
    MessageWriter message(out_, backend::row_description);
    message.u16(columns);
    for (uint16_t i = 0; i < columns; ++i) {
        message.text("column").u32(0).u16(0).u32(25).u16(0xffff).u32(0xffffffff).u16(0);
    }
}

void PostgresBackend::send_row(const std::vector<std::string>& values) {
    MessageWriter message(out_, backend::data_row);
    message.u16(static_cast<uint16_t>(values.size()));
    for (const std::string& value : values) {
        message.u32(static_cast<uint32_t>(value.size()));
        message.bytes(as_bytes(value));
    }
}

}  // namespace holdfast::simulation
