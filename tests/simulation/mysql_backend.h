#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/mysql/client_login.h"
#include "tests/simulation/backend.h"
#include "tests/simulation/sql.h"

namespace holdfast::simulation {

/// A session of MariaDB's: its protocol, and its ways with transactions. Each statement outside of one is a
/// transaction of its own; an error ends no transaction.
class MysqlBackend final : public Backend {
public:
    using Backend::Backend;

    void begin() override;
    void on_change() override;
    void notify(const Notification&) override {}
    void say_goodbye(Farewell why) override;

private:
    struct Outcome {
        uint16_t number = 0;  // 0: success
        std::string text;
    };
    /// A success has been answered by then; an error has not.
    using Done = std::function<void(const Outcome&)>;
    struct Prepared {
        std::string text;
        bool has_types = false;
    };
    enum class Rows { text, binary };

    // Messages: mysql_backend.cc
    void process();
    bool take_login();
    void handle(Bytes payload);
    void run_texts(const std::vector<std::string>& statements, size_t next);
    void run_prepared(Bytes body);
    void prepare(std::string text);
    void answer_ok(uint64_t affected_rows = 0, bool more = false, Bytes session_state = {});
    void answer_error(uint16_t number, std::string_view text);
    void begin_rows(size_t columns);
    void send_row(Rows rows, const std::vector<std::string>& values);
    void end_rows(bool more);
    void finish_command();
    void flush() { send(out_, ready_); }
    uint16_t status(bool more) const;

    // Statements: mysql_backend_sql.cc
    void run(std::string text, Rows rows, bool more, const Done& done);
    void execute(const Sql& sql, Rows rows, bool more, const Done& done);
    void execute_write(const Sql& sql, Rows rows, bool more, const Done& done);
    void commit_work(const Done& done);
    void end_transaction();
    bool return_to(const std::string& name, bool undoes);
    void reset();
    std::string tenant() const;
    /// 0: a write may begin.
    uint16_t refusal_of_writes() const;

    ByteBuffer in_;
    ByteBuffer out_;
    size_t ready_ = 0;  // of out_: may be sent
    std::unique_ptr<mysql::ClientLogin> login_;
    bool logged_in_ = false;
    bool is_leaving_ = false;
    uint8_t sequence_ = 0;  // of the next packet
    bool in_transaction_ = false;
    bool is_read_only_ = false;  // the transaction
    bool session_is_read_only_ = false;
    std::vector<Change> changes_;
    struct Savepoint {
        std::string name;
        size_t changes;
    };
    std::vector<Savepoint> savepoints_;  // the oldest first
    std::map<std::string, std::string> variables_;
    std::map<uint32_t, Prepared> prepared_;
    uint32_t last_prepared_ = 0;
};

}  // namespace holdfast::simulation
