#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <libpq-fe.h>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/observation.h"

namespace holdfast::health {

/// One libpq connection to one server, driven by the event loop and never blocking: resolves, connects, logs
/// in and asks one question after the other. It connects by itself when a question comes and there is no
/// connection. No time limits: whoever asks keeps them and destroys the connection.
class PostgresConnection {
public:
    /// Who logs in, and how.
    struct Login {
        std::string user;
        Secret password;
        std::string database;
        config::ServerTls tls;
        config::milliseconds tcp_user_timeout{0};
        config::milliseconds statement_timeout{0};
    };
    /// Why there is no answer.
    struct Failure {
        Outcome outcome = Outcome::protocol;
        std::string sqlstate;  // empty: not the server's error
        std::string text;      // one line, bounded, without control characters
    };
    struct ResultDeleter {
        void operator()(PGresult* result) const { PQclear(result); }
    };
    using Rows = std::unique_ptr<PGresult, ResultDeleter>;
    using Answer = std::variant<Rows, Failure>;

    PostgresConnection(EventLoop& loop, config::Endpoint address, const Login& login);
    ~PostgresConnection();
    PostgresConnection(const PostgresConnection&) = delete;
    PostgresConnection& operator=(const PostgresConnection&) = delete;

    /// Asks one question, with text parameters ($1…); none other may be under way. `on_answer` is called
    /// once, later, and may destroy this connection. After a failure that is not the server's answer to the
    /// question itself the connection is closed; the next question connects again.
    void ask(std::string sql, std::vector<std::string> parameters, std::function<void(Answer)> on_answer);
    /// `on_lost` is called when an idle connection ends or the server says so; it may destroy this
    /// connection.
    void on_lost(std::function<void(Failure)> on_lost) { on_lost_ = std::move(on_lost); }

    bool is_connected() const { return stage_ == Stage::idle || stage_ == Stage::asking; }
    /// When the question under way, or the last one, was handed to the socket.
    TimePoint asked_at() const { return asked_at_; }
    /// What the question under way waits for, as the outcome to report when that takes too long.
    Outcome overdue() const;

private:
    enum class Stage { closed, resolving, connecting, idle, asking };
    struct ConnectionDeleter {
        void operator()(PGconn* connection) const { PQfinish(connection); }
    };

    void resolve();
    void connect(const std::vector<std::string>& addresses);
    void poll_connect();
    void send();
    void flush();
    void read_answer_and_flush();
    void read_answer();
    void take(Rows result);
    void deliver();
    void note(const PGresult* notice);
    void read_idle();
    void watch(Readiness readiness, void (PostgresConnection::*on_ready)());
    void fail(Failure failure);
    void close();
    Failure connect_failure(ConnStatusType status_before) const;
    Failure lost_failure() const;

    EventLoop& loop_;
    config::Endpoint address_;
    Login login_;
    Stage stage_ = Stage::closed;
    std::unique_ptr<PGconn, ConnectionDeleter> connection_;
    std::unique_ptr<Watch> waiting_;  // for a name, a timer or the socket; ended before the socket changes
    std::unique_ptr<Watch> nudge_;
    std::string sql_;
    std::vector<std::string> parameters_;
    std::function<void(Answer)> on_answer_;
    std::function<void(Failure)> on_lost_;
    Rows rows_;
    std::optional<Failure> server_failure_;  // the answer, or what the server said before it went
    TimePoint asked_at_{};
};

}  // namespace holdfast::health
