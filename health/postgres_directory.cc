#include "health/postgres_directory.h"

#include <charconv>
#include <string_view>
#include <utility>
#include <variant>

namespace holdfast::health {

using namespace std::chrono_literals;

namespace {

constexpr Duration question_timeout = 5s;
/// Connections for questions are rarely needed; unused ones close after this.
constexpr Duration idle_timeout = 60s;
constexpr int attempts_max = 3;
constexpr Duration log_spacing = 10s;
/// PostgreSQL's names end here (NAMEDATALEN); longer ones exist nowhere and are not worth a question.
constexpr size_t name_bytes_max = 63;

constexpr const char* role_sql =
    "SELECT rolcanlogin, rolpassword, CASE WHEN pg_catalog.isfinite(rolvaliduntil) "
    "THEN pg_catalog.floor(pg_catalog.date_part('epoch', rolvaliduntil))::bigint::text "
    "ELSE rolvaliduntil::text END "
    "FROM pg_catalog.pg_authid WHERE rolname = $1";

// Procedures are called, not read from. A function counts as its worst overload. Extensions and
// information_schema are included: their functions are found through the search path like any other.
constexpr const char* functions_sql =
    "SELECT p.proname, pg_catalog.bool_and(p.provolatile <> 'v') "
    "FROM pg_catalog.pg_proc p WHERE p.prokind IN ('f', 'w', 'a') "
    "AND p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace "
    "GROUP BY p.proname ORDER BY p.proname LIMIT 100001";
static_assert(PostgresDirectory::functions_max == 100'000, "the LIMIT above is one more");

std::string_view cell(const PGresult* rows, int row, int column) {
    return {PQgetvalue(rows, row, column), static_cast<size_t>(PQgetlength(rows, row, column))};
}

Error bad_answer(const char* what) {
    return {ErrorCode::bad_value, std::string("the server's answer about ") + what + " makes no sense"};
}

Result<std::optional<RoleRecord>> read_role(const PGresult* rows) {
    if (PQnfields(rows) != 3 || PQntuples(rows) > 1) return bad_answer("a role");
    if (PQntuples(rows) == 0) return std::optional<RoleRecord>();
    RoleRecord role;
    role.can_login = cell(rows, 0, 0) == "t";
    if (PQgetisnull(rows, 0, 1) == 0) role.password_hash = Secret(std::string(cell(rows, 0, 1)));
    if (PQgetisnull(rows, 0, 2) == 0) {
        const std::string_view text = cell(rows, 0, 2);
        int64_t seconds = 0;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
        const bool is_number = error == std::errc() && stop == text.data() + text.size();
        if (text == "-infinity") {
            role.valid_until = INT64_MIN;
        } else if (is_number) {
            role.valid_until = seconds;
        } else if (text != "infinity") {
            return bad_answer("rolvaliduntil");
        }
    }
    return std::optional<RoleRecord>(std::move(role));
}

Result<std::shared_ptr<const FunctionList>> read_functions(const PGresult* rows) {
    if (PQnfields(rows) != 2) return bad_answer("functions");
    auto list = std::make_shared<FunctionList>();
    const int count = PQntuples(rows);
    for (int row = 0; row < count; ++row) {
        if (list->reads_only.size() >= PostgresDirectory::functions_max) {
            list->complete = false;
            break;
        }
        list->reads_only.emplace(cell(rows, row, 0), cell(rows, row, 1) == "t");
    }
    return std::shared_ptr<const FunctionList>(std::move(list));
}

ErrorCode code_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::auth: return ErrorCode::denied;
        case Outcome::conn_timeout:
        case Outcome::greeting_timeout:
        case Outcome::query_timeout: return ErrorCode::timed_out;
        case Outcome::protocol: return ErrorCode::bad_value;
        case Outcome::ok:
        case Outcome::alive:
        case Outcome::too_many:
        case Outcome::starting_up:
        case Outcome::conn_refused:
        case Outcome::conn_lost:
        case Outcome::conn_failed:
        case Outcome::tls: return ErrorCode::unreachable;
    }
    return ErrorCode::unreachable;
}

/// Whether another server may well answer what this one did not. Every server of a cluster has the same roles
/// and rights, so a refusal is final.
bool is_worth_another_try(Outcome outcome) {
    return outcome != Outcome::auth && outcome != Outcome::protocol;
}

}  // namespace

PostgresDirectory::PostgresDirectory(const config::Cluster& cluster, EventLoop& loop, Log& log,
                                     std::function<const View&()> view)
    : cluster_(cluster), loop_(loop), log_(log), view_(std::move(view)) {}

PostgresDirectory::~PostgresDirectory() = default;

void PostgresDirectory::find_role(const std::string& user, OnRole on_done) {
    if (!cluster_.service) {
        on_done(Error{ErrorCode::unsupported, "there is no service account to look roles up with"});
        return;
    }
    if (user.empty() || user.size() > name_bytes_max) {
        on_done(std::optional<RoleRecord>());
        return;
    }
    const auto known = roles_.find(user);
    if (known != roles_.end() && known->second.known && !known->second.forgotten &&
        loop_.now() - known->second.fetched_at < role_fresh) {
        known->second.used_at = loop_.now();
        const std::optional<RoleRecord> role = known->second.role;
        on_done(role);
        return;
    }
    if (waiting_ >= lookups_waiting_max) {
        on_done(Error{ErrorCode::limit_exceeded, "too many role look-ups are waiting"});
        return;
    }
    if (known == roles_.end()) make_room_for_role();
    RoleEntry& entry = roles_[user];
    entry.used_at = loop_.now();
    entry.waiting.push_back(std::move(on_done));
    ++waiting_;
    if (std::exchange(entry.in_queue, true)) return;
    ask({cluster_.service->database, user});
}

void PostgresDirectory::forget(const std::string& user) {
    const auto known = roles_.find(user);
    if (known != roles_.end()) known->second.forgotten = true;
}

void PostgresDirectory::find_functions(const std::string& database, OnFunctions on_done) {
    if (!cluster_.service) {
        on_done(Error{ErrorCode::unsupported, "there is no service account to read functions with"});
        return;
    }
    if (database.empty() || database.size() > name_bytes_max) {
        on_done(Error{ErrorCode::not_found, "no database can have this name"});
        return;
    }
    const auto known = databases_.find(database);
    if (known != databases_.end() && known->second.functions &&
        loop_.now() - known->second.fetched_at < functions_fresh) {
        const auto functions = known->second.functions;
        on_done(functions);
        return;
    }
    if (waiting_ >= lookups_waiting_max ||
        (known == databases_.end() && databases_.size() >= databases_max)) {
        on_done(Error{ErrorCode::limit_exceeded, "too many catalog look-ups are waiting"});
        return;
    }
    Database& entry = databases_[database];
    entry.waiting.push_back(std::move(on_done));
    ++waiting_;
    if (std::exchange(entry.in_queue, true)) return;
    ask({database, {}});
}

/// Unused entries go, the longest unused first; those that somebody waits for stay (their number is bounded
/// by lookups_waiting_max).
void PostgresDirectory::make_room_for_role() {
    if (roles_.size() < roles_cached_max) return;
    auto oldest = roles_.end();
    for (auto entry = roles_.begin(); entry != roles_.end(); ++entry) {
        if (!entry->second.waiting.empty()) continue;
        if (oldest == roles_.end() || entry->second.used_at < oldest->second.used_at) oldest = entry;
    }
    if (oldest != roles_.end()) roles_.erase(oldest);
}

void PostgresDirectory::ask(Question question) {
    Channel& channel = channels_[question.database];
    channel.questions.push_back(question);
    if (channel.questions.size() == 1) {
        channel.attempts = 0;
        // From the loop: the caller is not told before it has returned.
        start_soon(question.database);
    }
}

void PostgresDirectory::start_soon(const std::string& database) {
    Channel& channel = channels_[database];
    channel.timer = loop_.after(0s, [this, database] { pump(database); });
}

/// Asks the front question of a database.
void PostgresDirectory::pump(std::string database) {
    Channel& channel = channels_[database];
    const std::optional<ServerId> server = choose_server(channel);
    if (!server) {
        failed(database, {ErrorCode::unreachable, "no server of " + cluster_.name + " can be asked now"},
               Retry::no);
        return;
    }
    ++channel.attempts;
    if (!channel.connection || channel.server != *server) {
        connect(channel, *server, database);
    }
    channel.timer = loop_.after(question_timeout, [this, database] { give_up(database); });
    const std::string user = channel.questions.front().user;
    std::vector<std::string> parameters;
    if (!user.empty()) parameters.push_back(user);
    channel.connection->ask(
        user.empty() ? functions_sql : role_sql, std::move(parameters),
        [this, database](PostgresConnection::Answer answer) { answered(database, std::move(answer)); });
}

void PostgresDirectory::give_up(std::string database) {
    channels_[database].connection.reset();
    failed(database, {ErrorCode::timed_out, "a catalog look-up got no answer in time"}, Retry::elsewhere);
}

void PostgresDirectory::drop(std::string database) {
    channels_.erase(database);
}

void PostgresDirectory::connect(Channel& channel, ServerId server, const std::string& database) {
    PostgresConnection::Login login;
    login.user = cluster_.service->user;
    login.password = cluster_.service->password;
    login.database = database;
    login.tls = cluster_.server_tls;
    login.tcp_user_timeout = cluster_.tcp_user_timeout;
    login.statement_timeout = std::chrono::duration_cast<config::milliseconds>(question_timeout);
    channel.server = server;
    channel.connection =
        std::make_unique<PostgresConnection>(loop_, cluster_.servers[server.value - 1].address, login);
}

/// The primary, else a readable replica, else any that answers; the one that just failed only when there is
/// no other.
std::optional<ServerId> PostgresDirectory::choose_server(const Channel& channel) const {
    const View& view = view_();
    std::optional<ServerId> best;
    int best_rank = 0;
    for (const ServerView& server : view.servers) {
        if (server.id.value == 0 || server.id.value > cluster_.servers.size()) continue;
        int rank = 0;
        if (view.primary == server.id) {
            rank = 8;
        } else if (server.readable) {
            rank = 6;
        } else if (server.state == ServerState::up || server.state == ServerState::lagging ||
                   server.state == ServerState::suspect) {
            rank = 4;
        }
        if (rank == 0) continue;
        if (channel.avoid == server.id) rank = 1;
        if (rank > best_rank) {
            best = server.id;
            best_rank = rank;
        }
    }
    return best;
}

void PostgresDirectory::answered(const std::string& database, PostgresConnection::Answer answer) {
    Channel& channel = channels_[database];
    channel.timer.reset();
    const Question question = channel.questions.front();
    if (const auto* const failure = std::get_if<PostgresConnection::Failure>(&answer)) {
        Error error{code_of(failure->outcome), failure->text};
        if (failure->sqlstate == "42501" && !question.user.empty()) {
            error.message = "the service account may not read passwords (" + failure->text +
                            "); as a superuser, in database \"" + cluster_.service->database +
                            "\": GRANT SELECT ON pg_catalog.pg_authid TO \"" + cluster_.service->user + "\"";
        }
        failed(database, std::move(error),
               is_worth_another_try(failure->outcome) ? Retry::elsewhere : Retry::no);
        return;
    }
    const PGresult* const rows = std::get<PostgresConnection::Rows>(answer).get();
    if (question.user.empty()) {
        next_question(database);
        settle_functions(database, read_functions(rows));
    } else {
        next_question(database);
        settle_role(question.user, read_role(rows));
    }
}

void PostgresDirectory::failed(const std::string& database, Error error, Retry retry) {
    Channel& channel = channels_[database];
    if (retry == Retry::elsewhere && channel.attempts < attempts_max) {
        channel.avoid = channel.server;
        channel.connection.reset();
        start_soon(database);
        return;
    }
    const Question question = channel.questions.front();
    log_failure(question, error);
    next_question(database);
    if (question.user.empty()) {
        settle_functions(database, std::move(error));
    } else {
        settle_role(question.user, std::move(error));
    }
}

/// Anyone who tries to log in can cause look-ups, so the same failure is told once in a while only.
void PostgresDirectory::log_failure(const Question& question, const Error& error) {
    const bool is_repeated = error.message == last_failure_ && loop_.now() - last_failure_at_ < log_spacing;
    if (is_repeated) return;
    last_failure_ = error.message;
    last_failure_at_ = loop_.now();
    log_.warn("directory_failed", {{"cluster", cluster_.name},
                                   {"question", question.user.empty() ? "functions" : "role"},
                                   {"reason", error.message}});
}

/// Takes the front question off; the next one is asked from the loop. Without one the connection waits a
/// while for more and closes.
void PostgresDirectory::next_question(const std::string& database) {
    Channel& channel = channels_[database];
    channel.questions.pop_front();
    channel.attempts = 0;
    channel.avoid = {};
    if (!channel.questions.empty()) {
        start_soon(database);
    } else {
        channel.timer = loop_.after(idle_timeout, [this, database] { drop(database); });
    }
}

/// Answers everyone who waits for a role. They may ask again at once, so nothing is touched after them.
void PostgresDirectory::settle_role(const std::string& user, RoleAnswer answer) {
    RoleEntry& entry = roles_[user];
    entry.in_queue = false;
    if (answer) {
        entry.role = *answer;
        entry.known = true;
        entry.forgotten = false;
        entry.fetched_at = loop_.now();
    } else if (entry.known && is_outage(answer.error().code)) {
        answer = RoleAnswer(entry.role);  // old, but better than turning everyone away in an outage
    }
    const std::vector<OnRole> waiting = std::exchange(entry.waiting, {});
    if (!entry.known) roles_.erase(user);
    waiting_ -= waiting.size();
    for (const OnRole& on_done : waiting) on_done(answer);
}

void PostgresDirectory::settle_functions(const std::string& database, FunctionAnswer answer) {
    Database& entry = databases_[database];
    entry.in_queue = false;
    if (answer) {
        entry.functions = *answer;
        entry.fetched_at = loop_.now();
    } else if (entry.functions && is_outage(answer.error().code)) {
        answer = FunctionAnswer(entry.functions);
    }
    const std::vector<OnFunctions> waiting = std::exchange(entry.waiting, {});
    if (!entry.functions) databases_.erase(database);
    waiting_ -= waiting.size();
    for (const OnFunctions& on_done : waiting) on_done(answer);
}

bool PostgresDirectory::is_outage(ErrorCode code) {
    return code == ErrorCode::unreachable || code == ErrorCode::timed_out;
}

}  // namespace holdfast::health
