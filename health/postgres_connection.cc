#include "health/postgres_connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "health/one_line.h"

namespace holdfast::health {

using namespace std::chrono_literals;

namespace {

/// libpq tries them one after the other; more would not fit into a probe's time anyway.
constexpr size_t addresses_max = 4;
/// With TLS, decrypted bytes can wait inside libpq's TLS layer while the socket shows nothing.
constexpr Duration tls_nudge_interval = 20ms;

const char* sslmode_of(config::ServerTlsMode mode) {
    switch (mode) {
        case config::ServerTlsMode::disable: return "disable";
        case config::ServerTlsMode::allow: return "allow";
        case config::ServerTlsMode::prefer: return "prefer";
        case config::ServerTlsMode::require: return "require";
        case config::ServerTlsMode::verify_ca: return "verify-ca";
        case config::ServerTlsMode::verify_full: return "verify-full";
    }
    return "prefer";
}

bool is_sqlstate(std::string_view text) {
    return text.size() == 5 && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
           });
}

/// Before there is a connection libpq gives no error fields, only a message; with verbose errors it reads
/// "FATAL:  57P03: the database system is starting up".
void split_verbose_message(std::string_view message, std::string& sqlstate, std::string& text) {
    for (size_t at = message.find(":  "); at != std::string_view::npos; at = message.find(":  ", at + 1)) {
        const std::string_view code = message.substr(std::min(at + 3, message.size()), 5);
        if (!is_sqlstate(code) || message.substr(at + 8, 2) != ": ") continue;
        sqlstate = std::string(code);
        text = one_line(message.substr(at + 10));
        return;
    }
    const size_t prefix = message.find(" failed: ");
    text = one_line(prefix == std::string_view::npos ? message : message.substr(prefix + 9));
}

bool mentions(std::string_view message, std::string_view what) {
    return message.find(what) != std::string_view::npos;
}

Outcome outcome_of(std::string_view sqlstate) {
    if (sqlstate == "57P03") return Outcome::starting_up;
    if (sqlstate == "57P01" || sqlstate == "57P02") return Outcome::conn_lost;
    if (sqlstate == "53300") return Outcome::too_many;
    if (sqlstate == "57014") return Outcome::query_timeout;
    // Wrong password or pg_hba, no such database, no right to something: the account's trouble, not the
    // server's.
    if (sqlstate.substr(0, 2) == "28" || sqlstate == "3D000" || sqlstate == "42501") return Outcome::auth;
    return Outcome::protocol;
}

/// libpq wants the directory of a Unix socket and the port in its name.
std::optional<std::pair<std::string, std::string>> split_socket_path(const std::string& path) {
    constexpr std::string_view name = "/.s.PGSQL.";
    const size_t at = path.rfind(name);
    if (at == std::string::npos || at + name.size() == path.size()) return std::nullopt;
    return std::pair{path.substr(0, std::max<size_t>(at, 1)), path.substr(at + name.size())};
}

}  // namespace

PostgresConnection::PostgresConnection(EventLoop& loop, config::Endpoint address, const Login& login)
    : loop_(loop), address_(std::move(address)), login_(login) {}

PostgresConnection::~PostgresConnection() {
    close();
}

void PostgresConnection::ask(std::string sql, std::vector<std::string> parameters,
                             std::function<void(Answer)> on_answer) {
    sql_ = std::move(sql);
    parameters_ = std::move(parameters);
    on_answer_ = std::move(on_answer);
    rows_.reset();
    server_failure_.reset();
    asked_at_ = loop_.now();
    if (stage_ == Stage::idle) {
        // From the loop, not from here: sending may find the connection broken, and answers come later.
        stage_ = Stage::asking;
        send();
    } else {
        resolve();
    }
}

Outcome PostgresConnection::overdue() const {
    switch (stage_) {
        case Stage::resolving: return Outcome::conn_timeout;
        case Stage::connecting:
            return connection_ && PQstatus(connection_.get()) != CONNECTION_STARTED
                       ? Outcome::greeting_timeout
                       : Outcome::conn_timeout;
        case Stage::closed:
        case Stage::idle:
        case Stage::asking: return Outcome::query_timeout;
    }
    return Outcome::query_timeout;
}

void PostgresConnection::resolve() {
    stage_ = Stage::resolving;
    if (address_.is_unix()) {
        waiting_ = loop_.after(0s, [this] { connect({}); });
        return;
    }
    waiting_ = loop_.resolve(address_.host, [this](Result<std::vector<std::string>> addresses) {
        if (addresses) {
            connect(*addresses);
        } else {
            fail({Outcome::conn_failed, {}, one_line(addresses.error().message)});
        }
    });
}

void PostgresConnection::connect(const std::vector<std::string>& addresses) {
    waiting_.reset();
    stage_ = Stage::connecting;
    std::string host = login_.tls.server_name.empty() ? address_.host : login_.tls.server_name;
    std::string hosts = host;
    std::string numeric;
    std::string port = std::to_string(address_.port);
    if (address_.is_unix()) {
        const auto parts = split_socket_path(address_.unix_path);
        if (!parts) {
            fail({Outcome::conn_failed, {}, "not the path of a PostgreSQL socket: " + address_.unix_path});
            return;
        }
        hosts = parts->first;
        port = parts->second;
    } else {
        for (size_t i = 0; i < std::min(addresses.size(), addresses_max); ++i) {
            numeric += (i > 0 ? "," : "") + addresses[i];
            if (i > 0) hosts += "," + host;
        }
    }
    const std::string tcp_user_timeout = std::to_string(login_.tcp_user_timeout.count());
    // A database's owner can set its search_path so that operators of his own stand before PostgreSQL's, and
    // what we ask there would run them with the rights of this account. What is set here overrides it.
    const std::string options =
        "-c search_path=pg_catalog -c statement_timeout=" + std::to_string(login_.statement_timeout.count());

    std::vector<const char*> keys;
    std::vector<const char*> values;
    const auto set = [&](const char* key, const std::string& value) {
        if (value.empty()) return;
        keys.push_back(key);
        values.push_back(value.c_str());
    };
    const std::string sslmode = address_.is_unix() ? "disable" : sslmode_of(login_.tls.mode);
    const std::string disable = "disable";
    const std::string application = "holdfast";
    const std::string encoding = "UTF8";
    const std::string any = "any";
    const std::string no_file = "/dev/null/none";  // can not exist, so that libpq says nothing of it
    set("host", hosts);
    set("hostaddr", numeric);
    set("port", port);
    set("user", login_.user);
    if (!login_.password.empty()) {
        // No copy of ours; the Secret's text ends in a NUL, being a std::string's.
        keys.push_back("password");
        values.push_back(login_.password.reveal().data());
    }
    set("passfile", no_file);  // what is not in our configuration is not used
    set("dbname", login_.database);
    set("sslmode", sslmode);
    set("sslrootcert", login_.tls.ca_file);
    const std::string direct = "direct";
    if (login_.tls.direct && PQlibVersion() >= 170000) set("sslnegotiation", direct);
    set("gssencmode", disable);
    set("target_session_attrs", any);
    set("application_name", application);
    set("client_encoding", encoding);
    set("options", options);
    set("tcp_user_timeout", tcp_user_timeout);
    keys.push_back(nullptr);
    values.push_back(nullptr);

    constexpr int do_not_expand_dbname = 0;
    connection_.reset(PQconnectStartParams(keys.data(), values.data(), do_not_expand_dbname));
    if (!connection_) {
        fail({Outcome::conn_failed, {}, "out of memory"});
        return;
    }
    PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
    // libpq would print notices to the standard error output.
    PQsetNoticeReceiver(
        connection_.get(),
        [](void* self, const PGresult* notice) { static_cast<PostgresConnection*>(self)->note(notice); },
        this);
    if (PQstatus(connection_.get()) == CONNECTION_BAD) {
        fail(connect_failure(CONNECTION_STARTED));
        return;
    }
    watch(Readiness::writable, &PostgresConnection::poll_connect);
}

void PostgresConnection::poll_connect() {
    // libpq may close this socket and open another one inside the call.
    waiting_.reset();
    const ConnStatusType status_before = PQstatus(connection_.get());
    switch (PQconnectPoll(connection_.get())) {
        case PGRES_POLLING_READING: watch(Readiness::readable, &PostgresConnection::poll_connect); return;
        case PGRES_POLLING_WRITING: watch(Readiness::writable, &PostgresConnection::poll_connect); return;
        case PGRES_POLLING_OK: break;
        case PGRES_POLLING_ACTIVE:
        case PGRES_POLLING_FAILED: fail(connect_failure(status_before)); return;
    }
    PQsetnonblocking(connection_.get(), 1);
    stage_ = Stage::asking;
    send();
}

void PostgresConnection::send() {
    asked_at_ = loop_.now();
    std::vector<const char*> values;
    for (const std::string& parameter : parameters_) values.push_back(parameter.c_str());
    constexpr int text_results = 0;
    const int is_sent =
        PQsendQueryParams(connection_.get(), sql_.c_str(), static_cast<int>(values.size()), nullptr,
                          values.empty() ? nullptr : values.data(), nullptr, nullptr, text_results);
    if (is_sent == 0) {
        // Later, never from inside ask().
        waiting_ = loop_.after(0s, [this] { fail(lost_failure()); });
        return;
    }
    flush();
}

void PostgresConnection::flush() {
    switch (PQflush(connection_.get())) {
        case 0: watch(Readiness::readable, &PostgresConnection::read_answer); return;
        case 1: watch(Readiness::readable_or_writable, &PostgresConnection::read_answer_and_flush); return;
        default: waiting_ = loop_.after(0s, [this] { fail(lost_failure()); }); return;
    }
}

void PostgresConnection::read_answer_and_flush() {
    if (PQconsumeInput(connection_.get()) == 0) {
        fail(lost_failure());
        return;
    }
    flush();
}

void PostgresConnection::read_answer() {
    nudge_.reset();
    if (PQconsumeInput(connection_.get()) == 0) {
        fail(lost_failure());
        return;
    }
    while (PQisBusy(connection_.get()) == 0) {
        Rows result{PQgetResult(connection_.get())};
        if (!result) {
            if (PQstatus(connection_.get()) != CONNECTION_OK) {
                fail(lost_failure());
            } else {
                deliver();
            }
            return;
        }
        take(std::move(result));
    }
    if (PQsslInUse(connection_.get()) != 0) {
        nudge_ = loop_.after(tls_nudge_interval, [this] { read_answer(); });
    }
}

void PostgresConnection::take(Rows result) {
    switch (PQresultStatus(result.get())) {
        case PGRES_TUPLES_OK:
        case PGRES_COMMAND_OK: rows_ = std::move(result); return;
        default: break;
    }
    const char* const code = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    const char* const message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
    Failure failure;
    failure.sqlstate = code != nullptr && is_sqlstate(code) ? code : "";
    failure.text = one_line(message != nullptr ? message : PQresultErrorMessage(result.get()));
    failure.outcome = code != nullptr ? outcome_of(failure.sqlstate) : Outcome::conn_lost;
    if (!server_failure_) server_failure_ = std::move(failure);  // the first says why, the next only "lost"
}

void PostgresConnection::deliver() {
    stage_ = Stage::idle;
    watch(Readiness::readable, &PostgresConnection::read_idle);
    const auto on_answer = std::exchange(on_answer_, nullptr);
    Answer answer = Failure{Outcome::protocol, {}, "no result"};
    if (server_failure_) {
        answer = std::move(*std::exchange(server_failure_, std::nullopt));
    } else if (rows_) {
        answer = std::move(rows_);
    }
    on_answer(std::move(answer));
}

/// Nothing was asked: this is the end of the connection, or a notice of it, or a changed parameter.
void PostgresConnection::read_idle() {
    const bool is_alive = PQconsumeInput(connection_.get()) != 0;
    if (is_alive) PQisBusy(connection_.get());  // makes libpq look at what came
    if (!is_alive || PQstatus(connection_.get()) != CONNECTION_OK || server_failure_) fail(lost_failure());
}

/// A notice, or an error that belongs to no question: of interest when the server says that it goes away.
void PostgresConnection::note(const PGresult* notice) {
    const char* const code = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    if (code == nullptr || std::strncmp(code, "57P0", 4) != 0 || server_failure_) return;
    const char* const message = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
    server_failure_ = Failure{Outcome::conn_lost, code, one_line(message != nullptr ? message : code)};
}

void PostgresConnection::watch(Readiness readiness, void (PostgresConnection::*on_ready)()) {
    waiting_ = loop_.watch(PQsocket(connection_.get()), readiness, [this, on_ready] { (this->*on_ready)(); });
}

/// Closes, and tells whoever asked, or whoever wants to know. The last thing that the caller does.
void PostgresConnection::fail(Failure failure) {
    close();
    if (const auto on_answer = std::exchange(on_answer_, nullptr)) {
        on_answer(std::move(failure));
    } else if (const auto on_lost = on_lost_) {
        on_lost(std::move(failure));
    }
}

void PostgresConnection::close() {
    nudge_.reset();
    waiting_.reset();
    connection_.reset();
    rows_.reset();
    server_failure_.reset();
    stage_ = Stage::closed;
}

PostgresConnection::Failure PostgresConnection::connect_failure(ConnStatusType status_before) const {
    const std::string_view message = PQerrorMessage(connection_.get());
    Failure failure;
    split_verbose_message(message, failure.sqlstate, failure.text);
    if (!failure.sqlstate.empty()) {
        failure.outcome = outcome_of(failure.sqlstate);
    } else if (PQconnectionNeedsPassword(connection_.get()) != 0) {
        failure.outcome = Outcome::auth;
    } else if (mentions(message, std::strerror(ECONNREFUSED)) ||
               (address_.is_unix() && mentions(message, std::strerror(ENOENT)))) {
        failure.outcome = Outcome::conn_refused;
    } else if (status_before == CONNECTION_STARTED) {
        failure.outcome = Outcome::conn_failed;
    } else if (status_before == CONNECTION_SSL_STARTUP || mentions(message, "SSL") ||
               mentions(message, "certificate")) {
        failure.outcome = Outcome::tls;
    } else if (mentions(message, "closed the connection") || mentions(message, std::strerror(ECONNRESET)) ||
               mentions(message, std::strerror(EPIPE))) {
        failure.outcome = Outcome::conn_lost;
    } else {
        failure.outcome = Outcome::protocol;
    }
    return failure;
}

PostgresConnection::Failure PostgresConnection::lost_failure() const {
    if (server_failure_) {
        Failure failure = *server_failure_;
        if (failure.outcome != Outcome::starting_up) failure.outcome = Outcome::conn_lost;
        return failure;
    }
    Failure failure;
    failure.outcome = Outcome::conn_lost;
    failure.text = connection_ ? one_line(PQerrorMessage(connection_.get())) : "";
    if (failure.text.empty()) failure.text = "the connection broke";
    return failure;
}

}  // namespace holdfast::health
