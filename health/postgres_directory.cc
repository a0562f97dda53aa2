#include "health/postgres_directory.h"

#include <string_view>
#include <utility>
#include <vector>

#include "health/directory_impl.h"
#include "protocol/base/numbers.h"

namespace holdfast::health {

template class Directory<PostgresCatalog>;

namespace {

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

}  // namespace

std::unique_ptr<PostgresConnection> PostgresCatalog::connect(EventLoop& loop, const config::Cluster& cluster,
                                                             ServerId server, const std::string& database,
                                                             Duration time_limit) {
    Connection::Login login;
    login.user = cluster.service->user;
    login.password = cluster.service->password;
    login.database = database;
    login.tls = cluster.server_tls;
    login.tcp_user_timeout = cluster.tcp_user_timeout;
    login.statement_timeout = std::chrono::duration_cast<config::milliseconds>(time_limit);
    return std::make_unique<Connection>(loop, cluster.servers[server.value - 1].address, login);
}

void PostgresCatalog::ask(Connection& connection, const CatalogQuestion& question,
                          const ServerView& /*server*/, std::function<void(Connection::Answer)> on_answer) {
    std::vector<std::string> parameters;
    if (!question.user.empty()) parameters.push_back(question.user);
    connection.ask(question.user.empty() ? functions_sql : role_sql, std::move(parameters),
                   std::move(on_answer));
}

std::string PostgresCatalog::explain(const Connection::Failure& failure, const CatalogQuestion& question,
                                     const config::Cluster& cluster) {
    if (failure.sqlstate != "42501" || question.user.empty()) return failure.text;
    return "the service account may not read passwords (" + failure.text +
           "); as a superuser, in database \"" + cluster.service->database +
           "\": GRANT SELECT ON pg_catalog.pg_authid TO \"" + cluster.service->user + "\"";
}

Result<std::optional<RoleRecord>> PostgresCatalog::read_role(const Connection::Rows& result) {
    const PGresult* const rows = result.get();
    if (PQnfields(rows) != 3 || PQntuples(rows) > 1) return bad_answer("a role");
    if (PQntuples(rows) == 0) return std::optional<RoleRecord>();
    RoleRecord role;
    role.can_login = cell(rows, 0, 0) == "t";
    if (PQgetisnull(rows, 0, 1) == 0) role.password_hash = Secret(std::string(cell(rows, 0, 1)));
    if (PQgetisnull(rows, 0, 2) == 0) {
        const std::string_view text = cell(rows, 0, 2);
        const auto seconds = parse_number<int64_t>(text);
        if (text == "-infinity") {
            role.valid_until = INT64_MIN;
        } else if (seconds) {
            role.valid_until = seconds;
        } else if (text != "infinity") {
            return bad_answer("rolvaliduntil");
        }
    }
    return std::optional<RoleRecord>(std::move(role));
}

Result<std::shared_ptr<const FunctionList>> PostgresCatalog::read_functions(const Connection::Rows& result) {
    const PGresult* const rows = result.get();
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

}  // namespace holdfast::health
