#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "tests/simulation/backend.h"
#include "tests/simulation/sql.h"

namespace holdfast::simulation {

/// A session of PostgreSQL's: its protocol, and its ways with transactions.
class PostgresBackend final : public Backend {
public:
    using Backend::Backend;

    void on_change() override;
    void notify(const Notification& notification) override;
    void report_role() override { role_changed_ = true; }
    void say_goodbye(Farewell why) override;

private:
    enum class Transaction { idle, implicit, open, failed };
    struct Outcome {
        std::string code;  // empty: success
        std::string text;
        std::string tag;
    };
    using Done = std::function<void(Outcome)>;

    // Messages: postgres_backend.cc
    void process();
    bool take_startup();
    void log_in();
    void handle(char type, Bytes body);
    void on_parse(Bytes body);
    void on_bind(Bytes body);
    void on_describe(Bytes body);
    void on_execute(Bytes body);
    void on_sync();
    void run_query(std::vector<std::string> statements, size_t next);
    void fail(const Outcome& outcome);
    void ready();
    void flush() { send(out_, flushed_); }
    void finish_work();
    void end_with(std::string_view severity, std::string_view code, std::string_view message);
    void answer_cancel_request(Bytes request);

    // Statements: postgres_backend_sql.cc
    void run(std::string text, bool describe, Done done);
    void execute(const Sql& sql, bool describe, const Done& done);
    void execute_write(const Sql& sql, bool describe, const Done& done);
    void commit_work(const std::string& tag, const Done& done);
    void end_transaction(bool commits);
    void mark(const std::string& name);
    bool return_to(const std::string& name, bool undoes);
    bool is_read_only() const;
    void describe_rows(const Sql& sql);
    void send_row(const std::vector<std::string>& values);
    std::string tenant() const;

    uint32_t secret_ = 0;
    ByteBuffer in_;
    ByteBuffer out_;
    size_t flushed_ = 0;  // of out_: may be sent
    bool logged_in_ = false;
    bool skipping_ = false;  // an error in the extended protocol: up to the Sync
    bool role_changed_ = false;
    bool read_only_ = false;  // of the transaction
    Transaction transaction_ = Transaction::idle;
    std::vector<Change> changes_;
    std::vector<Notification> notifications_;
    std::vector<Notification> undelivered_;
    std::map<std::string, std::string> settings_;
    std::map<std::string, std::string> settings_before_;  // the transaction
    std::set<std::string> channels_;
    std::set<std::string> channels_before_;
    struct Savepoint {
        std::string name;
        size_t changes;
        size_t notifications;
        std::map<std::string, std::string> settings;
        std::set<std::string> channels;
    };
    std::vector<Savepoint> savepoints_;  // the oldest first
    std::map<std::string, std::string> prepared_;
    std::map<std::string, std::string> portals_;
};

}  // namespace holdfast::simulation
