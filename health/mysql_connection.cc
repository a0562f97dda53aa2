#include "health/mysql_connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include <openssl/err.h>

#include "health/mysql_errors.h"
#include "health/one_line.h"

namespace holdfast::health {

using namespace std::chrono_literals;

namespace {

/// They are tried one after the other; more would not fit into a probe's time anyway.
constexpr size_t addresses_max = 4;
/// A suspended call of libmariadb that is continued on a socket that was shut down ends with an error after a
/// few steps, one for each thing it still tries.
constexpr int steps_to_the_end_max = 100;
/// Only ways to prove a password that do not hand it out: a false server may ask for any other.
constexpr const char* plugins_allowed =
    "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519,parsec";

bool is_certain(config::ServerTlsMode mode) {
    return mode == config::ServerTlsMode::require || mode == config::ServerTlsMode::verify_ca ||
           mode == config::ServerTlsMode::verify_full;
}

/// OpenSSL keeps a thread's errors until somebody takes them, and libmariadb does not: to its next read, on
/// whichever connection, an error left behind by another one's end looks like its own. To be called before
/// any call that may read or write.
void forget_tls_errors() {
    ERR_clear_error();
}

/// Which of the wanted events have come. A broken socket is ready for all.
int events_of(int descriptor, int wanted) {
    pollfd polled{descriptor, 0, 0};
    if ((wanted & MYSQL_WAIT_READ) != 0) polled.events |= POLLIN;
    if ((wanted & MYSQL_WAIT_WRITE) != 0) polled.events |= POLLOUT;
    if ((wanted & MYSQL_WAIT_EXCEPT) != 0) polled.events |= POLLPRI;
    poll(&polled, 1, 0);
    int events = 0;
    if ((polled.revents & (POLLIN | POLLHUP | POLLERR)) != 0) events |= MYSQL_WAIT_READ;
    if ((polled.revents & (POLLOUT | POLLHUP | POLLERR)) != 0) events |= MYSQL_WAIT_WRITE;
    if ((polled.revents & (POLLPRI | POLLERR)) != 0) events |= MYSQL_WAIT_EXCEPT;
    return events & wanted;
}

}  // namespace

MysqlConnection::MysqlConnection(EventLoop& loop, config::Endpoint address, const Login& login)
    : loop_(loop), address_(std::move(address)), login_(login) {}

MysqlConnection::~MysqlConnection() {
    close();
}

void MysqlConnection::ask(std::string sql, std::function<void(Answer)> on_answer) {
    sql_ = std::move(sql);
    on_answer_ = std::move(on_answer);
    rows_ = {};
    result_bytes_ = 0;
    asked_at_ = loop_.now();
    if (stage_ == Stage::idle) {
        stage_ = Stage::asking;
        send();
    } else {
        resolve();
    }
}

Outcome MysqlConnection::overdue() const {
    switch (stage_) {
        case Stage::resolving: return Outcome::conn_timeout;
        case Stage::connecting: {
            // Connected, but the greeting or what follows it has not come: a frozen server.
            sockaddr_storage peer{};
            socklen_t size = sizeof peer;
            const int descriptor = connection_ ? static_cast<int>(mysql_get_socket(connection_.get())) : -1;
            const bool is_connected =
                descriptor >= 0 && getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
            return is_connected ? Outcome::greeting_timeout : Outcome::conn_timeout;
        }
        case Stage::closed:
        case Stage::idle:
        case Stage::asking: return Outcome::query_timeout;
    }
    return Outcome::query_timeout;
}

std::string MysqlConnection::server_version() const {
    const char* const version =
        connection_ && is_connected() ? mysql_get_server_info(connection_.get()) : nullptr;
    return version != nullptr ? one_line(version) : "";
}

std::string MysqlConnection::quoted(std::string_view text) {
    constexpr const char* digits = "0123456789abcdef";
    const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
    });
    if (is_plain) return "'" + std::string(text) + "'";
    std::string out = "_utf8mb4 X'";
    for (const char c : text) {
        out += digits[static_cast<unsigned char>(c) >> 4];
        out += digits[static_cast<unsigned char>(c) & 15];
    }
    return out + "'";
}

void MysqlConnection::resolve() {
    stage_ = Stage::resolving;
    if (address_.is_unix()) {
        addresses_ = {""};
        waiting_ = loop_.after(0s, [this] { connect_next(); });
        return;
    }
    waiting_ = loop_.resolve(address_.host, [this](Result<std::vector<std::string>> addresses) {
        if (!addresses || addresses->empty()) {
            fail({Outcome::conn_failed, 0, addresses ? "no address" : one_line(addresses.error().message)});
            return;
        }
        addresses_.assign(addresses->begin(), addresses->begin() + static_cast<ptrdiff_t>(std::min(
                                                                       addresses->size(), addresses_max)));
        std::reverse(addresses_.begin(), addresses_.end());
        connect_next();
    });
}

void MysqlConnection::connect_next() {
    waiting_.reset();
    stage_ = Stage::connecting;
    host_ = std::move(addresses_.back());
    addresses_.pop_back();
    connection_.reset(mysql_init(nullptr));
    if (!connection_) {
        fail({Outcome::conn_failed, 0, "out of memory"});
        return;
    }
    set_options();
    call_ = Call::connect;
    connected_ = nullptr;
    forget_tls_errors();
    constexpr unsigned long no_flags = 0;
    // The Secret's text ends in a NUL, being a std::string's.
    wait(mysql_real_connect_start(&connected_, connection_.get(),
                                  address_.is_unix() ? nullptr : host_.c_str(), login_.user.c_str(),
                                  login_.password.empty() ? "" : login_.password.reveal().data(),
                                  login_.database.empty() ? nullptr : login_.database.c_str(), address_.port,
                                  address_.is_unix() ? address_.unix_path.c_str() : nullptr, no_flags));
}

/// libmariadb reads no option files unless it is told to.
void MysqlConnection::set_options() {
    MYSQL* const mysql = connection_.get();
    const my_bool yes = 1;
    const my_bool no = 0;
    const unsigned off = 0;
    mysql_options(mysql, MYSQL_OPT_NONBLOCK, nullptr);
    mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH, plugins_allowed);
    mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "holdfast");
    if (address_.is_unix()) {
        const unsigned protocol = MYSQL_PROTOCOL_SOCKET;
        mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    }
    if (login_.tls.mode == config::ServerTlsMode::disable || address_.is_unix()) return;
    // "Enforced" means that it is used if the server has it; connected() looks whether it was.
    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes);
    if (!login_.tls.ca_file.empty()) mysql_options(mysql, MYSQL_OPT_SSL_CA, login_.tls.ca_file.c_str());
    const bool is_verified = login_.tls.mode == config::ServerTlsMode::verify_ca ||
                             login_.tls.mode == config::ServerTlsMode::verify_full;
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, is_verified ? &yes : &no);
}

/// Continues the call under way; returns what it waits for then, or 0 when it has ended.
int MysqlConnection::resume(int events) {
    forget_tls_errors();
    switch (call_) {
        case Call::none: return 0;
        case Call::connect: return mysql_real_connect_cont(&connected_, connection_.get(), events);
        case Call::query: return mysql_real_query_cont(&query_error_, connection_.get(), events);
        case Call::fetch: return mysql_fetch_row_cont(&row_, result_.get(), events);
    }
    return 0;
}

void MysqlConnection::go_on(int events) {
    waiting_.reset();  // libmariadb may close the socket inside the call
    wait(resume(events));
}

/// Waits for what the call under way needs, or goes on when it has ended. Answers come from the loop, never
/// from inside ask().
void MysqlConnection::wait(int wanted) {
    waiting_.reset();
    wanted_ = wanted;
    if (wanted == 0) {
        waiting_ = loop_.after(0s, [this] { finished(); });
        return;
    }
    const bool is_reading = (wanted & MYSQL_WAIT_READ) != 0;
    const bool is_writing = (wanted & (MYSQL_WAIT_WRITE | MYSQL_WAIT_EXCEPT)) != 0;
    const Readiness readiness = is_reading && is_writing ? Readiness::readable_or_writable
                                : is_writing             ? Readiness::writable
                                                         : Readiness::readable;
    const int descriptor = static_cast<int>(mysql_get_socket(connection_.get()));
    waiting_ = loop_.watch(descriptor, readiness, [this, descriptor] {
        const int events = events_of(descriptor, wanted_);
        if (events != 0) go_on(events);
    });
}

void MysqlConnection::finished() {
    switch (std::exchange(call_, Call::none)) {
        case Call::none: return;
        case Call::connect: connected(); return;
        case Call::query: start_rows(); return;
        case Call::fetch: take_row(); return;
    }
}

void MysqlConnection::connected() {
    if (connected_ == nullptr) {
        const Failure why = failure();
        const bool is_unreachable =
            why.outcome == Outcome::conn_refused || why.outcome == Outcome::conn_failed;
        if (is_unreachable && !addresses_.empty()) {
            connect_next();
        } else {
            fail(why);
        }
        return;
    }
    if (is_certain(login_.tls.mode) && !address_.is_unix() &&
        mysql_get_ssl_cipher(connection_.get()) == nullptr) {
        fail({Outcome::tls, 0, "the server does not offer TLS"});
        return;
    }
    stage_ = Stage::asking;
    send();
}

void MysqlConnection::send() {
    asked_at_ = loop_.now();
    call_ = Call::query;
    query_error_ = 0;
    forget_tls_errors();
    wait(mysql_real_query_start(&query_error_, connection_.get(), sql_.data(), sql_.size()));
}

void MysqlConnection::start_rows() {
    if (query_error_ != 0) {
        const Failure why = failure();
        const bool is_answer = !is_mysql_library_error(why.code) && why.outcome != Outcome::starting_up &&
                               why.outcome != Outcome::conn_lost;
        if (is_answer) {
            deliver(why);
        } else {
            fail(why);
        }
        return;
    }
    result_.reset(mysql_use_result(connection_.get()));
    if (!result_) {
        if (mysql_errno(connection_.get()) != 0) {
            fail(failure());
        } else {
            deliver(std::move(rows_));
        }
        return;
    }
    const MYSQL_FIELD* const fields = mysql_fetch_fields(result_.get());
    for (unsigned i = 0; i < mysql_num_fields(result_.get()); ++i) rows_.columns.emplace_back(fields[i].name);
    fetch();
}

void MysqlConnection::fetch() {
    // Rows that are there already are taken without a turn of the loop for each.
    for (;;) {
        call_ = Call::fetch;
        row_ = nullptr;
        forget_tls_errors();
        const int wanted = mysql_fetch_row_start(&row_, result_.get());
        if (wanted != 0 || row_ == nullptr || result_bytes_ > result_bytes_max) {
            wait(wanted);
            return;
        }
        call_ = Call::none;
        keep_row();
    }
}

/// After a wait: the row that it brought, or the end.
void MysqlConnection::take_row() {
    if (result_bytes_ > result_bytes_max) {
        fail({Outcome::protocol, 0, "the answer is too long"});
        return;
    }
    if (row_ == nullptr) {
        if (mysql_errno(connection_.get()) != 0) {
            fail(failure());
            return;
        }
        result_.reset();
        deliver(std::move(rows_));
        return;
    }
    keep_row();
    fetch();
}

void MysqlConnection::keep_row() {
    const unsigned long* const lengths = mysql_fetch_lengths(result_.get());
    std::vector<Rows::Cell>& cells = rows_.rows.emplace_back();
    for (size_t i = 0; i < rows_.columns.size(); ++i) {
        Rows::Cell& cell = cells.emplace_back();
        if (row_[i] != nullptr) cell.emplace(row_[i], lengths[i]);
        result_bytes_ += lengths[i] + sizeof(Rows::Cell);
    }
}

void MysqlConnection::deliver(Answer answer) {
    stage_ = Stage::idle;
    waiting_ = loop_.watch(static_cast<int>(mysql_get_socket(connection_.get())), Readiness::readable,
                           [this] { read_idle(); });
    const auto on_answer = std::exchange(on_answer_, nullptr);
    on_answer(std::move(answer));
}

/// Nothing was asked: whatever comes is the end of the connection, possibly with an error packet that says
/// why (a length, a sequence number, 0xff, the error's number).
void MysqlConnection::read_idle() {
    unsigned char head[7] = {};
    const ssize_t got = recv(static_cast<int>(mysql_get_socket(connection_.get())), head, sizeof head,
                             MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    Failure why{Outcome::conn_lost, 0, "the connection broke"};
    const bool is_error = got == sizeof head && head[4] == 0xff;
    if (is_error) why.code = head[5] + 256U * head[6];
    if (why.code == mysql_error_shutdown) why.text = "the server is shutting down";
    fail(std::move(why));
}

/// Closes, and tells whoever asked, or whoever wants to know. The last thing that the caller does.
void MysqlConnection::fail(Failure failure) {
    close();
    if (const auto on_answer = std::exchange(on_answer_, nullptr)) {
        on_answer(std::move(failure));
    } else if (const auto on_lost = on_lost_) {
        on_lost(std::move(failure));
    }
}

/// Never waits for the server: an idle connection is told goodbye if its socket takes that, any other call is
/// ended by shutting the socket down under it.
void MysqlConnection::close() {
    waiting_.reset();
    const bool is_idle = stage_ == Stage::idle;
    stage_ = Stage::closed;
    addresses_.clear();
    if (!connection_) return;
    const int descriptor = static_cast<int>(mysql_get_socket(connection_.get()));
    if (is_idle) {
        MYSQL* const mysql = connection_.release();
        forget_tls_errors();
        int wanted = mysql_close_start(mysql);
        if (wanted != 0) shutdown(descriptor, SHUT_RDWR);
        for (int i = 0; wanted != 0 && i < steps_to_the_end_max; ++i)
            wanted = mysql_close_cont(mysql, wanted);
        return;
    }
    if (descriptor >= 0) shutdown(descriptor, SHUT_RDWR);
    for (int i = 0; call_ != Call::none && wanted_ != 0 && i < steps_to_the_end_max; ++i) {
        wanted_ = resume(wanted_);
    }
    call_ = Call::none;
    result_.reset();
    connection_.reset();
    forget_tls_errors();  // nobody else's business either
}

MysqlConnection::Failure MysqlConnection::failure() const {
    Failure failure;
    failure.code = mysql_errno(connection_.get());
    failure.text = one_line(mysql_error(connection_.get()));
    failure.outcome = outcome_of_mysql_error(failure.code, failure.text);
    if (failure.text.empty()) failure.text = "the connection broke";
    if (failure.code == 1129) failure.text += " (as a superuser: FLUSH HOSTS)";
    return failure;
}

}  // namespace holdfast::health
