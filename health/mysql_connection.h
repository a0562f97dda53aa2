#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <mysql/mysql.h>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/mysql_rows.h"
#include "health/observation.h"

namespace holdfast::health {

/// One libmariadb connection to one MySQL or MariaDB server, driven by the event loop and never blocking:
/// resolves, connects, logs in and asks one question after the other. It connects by itself when a question
/// comes and there is no connection. Every login is completed where the server lets us: broken-off ones count
/// towards max_connect_errors. No time limits: whoever asks keeps them and destroys the connection.
class MysqlConnection {
public:
    /// Who logs in, and how.
    struct Login {
        std::string user;
        Secret password;
        std::string database;  // empty: none
        config::ServerTls tls;
    };
    /// Why there is no answer.
    struct Failure {
        Outcome outcome = Outcome::protocol;
        unsigned code = 0;  // the server's error number, or libmariadb's (2000 to 2999); 0: neither
        std::string text;   // one line, bounded, without control characters
    };
    using Rows = MysqlRows;
    using Answer = std::variant<Rows, Failure>;

    /// More than any question of ours brings, and less than a lying server needs to fill our memory.
    static constexpr size_t result_bytes_max = 32 * 1024 * 1024;

    MysqlConnection(EventLoop& loop, config::Endpoint address, const Login& login);
    ~MysqlConnection();
    MysqlConnection(const MysqlConnection&) = delete;
    MysqlConnection& operator=(const MysqlConnection&) = delete;

    /// Asks one question; none other may be under way. `on_answer` is called once, later, and may destroy
    /// this connection. After a failure that is not the server's answer to the question itself the connection
    /// is closed; the next question connects again.
    void ask(std::string sql, std::function<void(Answer)> on_answer);
    /// `on_lost` is called when an idle connection ends; it may destroy this connection.
    void on_lost(std::function<void(Failure)> on_lost) { on_lost_ = std::move(on_lost); }

    bool is_connected() const { return stage_ == Stage::idle || stage_ == Stage::asking; }
    /// When the question under way, or the last one, was handed to the socket.
    TimePoint asked_at() const { return asked_at_; }
    /// What the question under way waits for, as the outcome to report when that takes too long.
    Outcome overdue() const;
    /// The version as the server's greeting has it, without the "5.5.5-" of MariaDB; empty before a login.
    std::string server_version() const;
    /// `text` between quotes, for a statement: safe with any sql_mode, for only what needs no escape stays
    /// text.
    static std::string quoted(std::string_view text);

private:
    enum class Stage { closed, resolving, connecting, idle, asking };
    /// The call of libmariadb that is under way: begun with _start, continued with _cont.
    enum class Call { none, connect, query, fetch };
    struct ConnectionDeleter {
        void operator()(MYSQL* connection) const { mysql_close(connection); }
    };
    struct ResultDeleter {
        void operator()(MYSQL_RES* result) const { mysql_free_result(result); }
    };

    void resolve();
    void connect_next();
    void set_options();
    void send();
    int resume(int events);
    void go_on(int events);
    void wait(int wanted);
    void finished();
    void connected();
    void start_rows();
    void fetch();
    void take_row();
    void keep_row();
    void deliver(Answer answer);
    void read_idle();
    void fail(Failure failure);
    void close();
    Failure failure() const;

    EventLoop& loop_;
    config::Endpoint address_;
    Login login_;
    Stage stage_ = Stage::closed;
    Call call_ = Call::none;
    int wanted_ = 0;                      // what libmariadb waits for
    std::vector<std::string> addresses_;  // still to be tried, the last one first
    std::string host_;                    // the one being tried; libmariadb points at it
    std::unique_ptr<MYSQL, ConnectionDeleter> connection_;
    std::unique_ptr<MYSQL_RES, ResultDeleter> result_;  // before the connection it comes from
    MYSQL* connected_ = nullptr;                        // where libmariadb puts its answers
    int query_error_ = 0;
    MYSQL_ROW row_ = nullptr;
    std::unique_ptr<Watch> waiting_;  // for a name, a timer or the socket; ended before the socket closes
    std::string sql_;
    std::function<void(Answer)> on_answer_;
    std::function<void(Failure)> on_lost_;
    Rows rows_;
    size_t result_bytes_ = 0;
    TimePoint asked_at_{};
};

}  // namespace holdfast::health
