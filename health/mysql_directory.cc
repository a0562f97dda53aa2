#include "health/mysql_directory.h"

#include <utility>

#include "health/directory_impl.h"
#include "health/mysql_facts.h"
#include "health/one_line.h"

namespace holdfast::health {

template class Directory<MysqlCatalog>;

namespace {

/// MariaDB keeps an account's alternatives in a list; nobody has more than two or three.
constexpr int alternatives_max = 4;

/// A function that says nothing of what it does ("CONTAINS SQL", the default) may do anything.
std::string functions_sql(const std::string& database) {
    return "SELECT LOWER(ROUTINE_NAME) AS name, "
           "MIN(SQL_DATA_ACCESS IN ('NO SQL', 'READS SQL DATA')) AS reads_only "
           "FROM information_schema.ROUTINES WHERE ROUTINE_TYPE = 'FUNCTION' AND ROUTINE_SCHEMA = " +
           MysqlConnection::quoted(database) + " GROUP BY LOWER(ROUTINE_NAME) LIMIT 100001";
}
static_assert(MysqlDirectory::functions_max == 100'000, "the LIMIT above is one more");

/// Every column of a row of accounts. In `auth_or` an empty object stands for the plugin named outside.
std::string mariadb_accounts_sql(const std::string& user) {
    std::string sql =
        "SELECT Host AS host, JSON_VALUE(Priv, '$.plugin') AS plugin, "
        "JSON_VALUE(Priv, '$.authentication_string') AS stored, "
        "JSON_VALUE(Priv, '$.account_locked') AS locked, "
        "JSON_VALUE(Priv, '$.password_last_changed') = 0 AS expired, "
        "JSON_VALUE(Priv, '$.ssl_type') > 0 AS tls, JSON_LENGTH(Priv, '$.auth_or') AS alternatives";
    for (int i = 0; i < alternatives_max; ++i) {
        const std::string n = std::to_string(i);
        sql += ", JSON_VALUE(Priv, '$.auth_or[" + n + "].plugin') AS plugin" + n +
               ", JSON_VALUE(Priv, '$.auth_or[" + n + "].authentication_string') AS stored" + n;
    }
    return sql +
           " FROM mysql.global_priv WHERE COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') IN ('0', 'false') "
           "AND User = " +
           MysqlConnection::quoted(user);
}

std::string text_of(const std::string* cell) {
    return cell != nullptr ? *cell : std::string();
}

bool is_yes(const std::string* cell) {
    return cell != nullptr && (*cell == "1" || *cell == "true" || *cell == "Y");
}

Error bad_answer(const char* what) {
    return {ErrorCode::bad_value, std::string("the server's answer about ") + what + " makes no sense"};
}

}  // namespace

std::unique_ptr<MysqlConnection> MysqlCatalog::connect(EventLoop& loop, const config::Cluster& cluster,
                                                       ServerId server, const std::string& database,
                                                       Duration /*time_limit*/) {
    Connection::Login login;
    login.user = cluster.service->user;
    login.password = cluster.service->password;
    login.database = database;
    login.tls = cluster.server_tls;
    return std::make_unique<Connection>(loop, cluster.servers[server.value - 1].address, login);
}

void MysqlCatalog::ask(Connection& connection, const CatalogQuestion& question, const ServerView& server,
                       std::function<void(Connection::Answer)> on_answer) {
    connection.ask(
        question.user.empty()
            ? functions_sql(question.database)
            : accounts_sql(question.user, is_mariadb_version(server.version_text), server.server_version),
        std::move(on_answer));
}

std::string MysqlCatalog::accounts_sql(const std::string& user, bool is_mariadb, int version) {
    if (is_mariadb) return mariadb_accounts_sql(user);
    constexpr int has_two_passwords = 80'014;
    const char* const retained =
        version < has_two_passwords
            ? ""
            : ", JSON_UNQUOTE(JSON_EXTRACT(User_attributes, '$.additional_password')) AS retained";
    return std::string("SELECT Host AS host, plugin, authentication_string AS stored, ") +
           "account_locked AS locked, password_expired AS expired, ssl_type <> '' AS tls" + retained +
           " FROM mysql.user WHERE User = " + MysqlConnection::quoted(user);
}

std::string MysqlCatalog::explain(const Connection::Failure& failure, const CatalogQuestion& question,
                                  const config::Cluster& cluster) {
    constexpr unsigned no_right_to_table = 1142;
    constexpr unsigned no_right_to_column = 1143;
    const bool is_denied = failure.code == no_right_to_table || failure.code == no_right_to_column;
    if (!is_denied || question.user.empty()) return failure.text;
    const bool is_mariadb = failure.text.find("global_priv") != std::string::npos;
    return "the service account may not read accounts (" + failure.text + "); GRANT SELECT ON mysql." +
           (is_mariadb ? "global_priv" : "user") + " TO '" + one_line(cluster.service->user) + "'@'%'";
}

Result<std::optional<std::vector<AccountRecord>>> MysqlCatalog::read_role(const MysqlRows& rows) {
    if (rows.columns.size() < 6 || rows.columns[0] != "host") return bad_answer("an account");
    std::vector<AccountRecord> accounts;
    for (size_t row = 0; row < rows.rows.size(); ++row) {
        AccountRecord account;
        account.host = text_of(rows.find(row, "host"));
        account.plugin = text_of(rows.find(row, "plugin"));
        if (account.plugin.empty())
            account.plugin = "mysql_native_password";  // MariaDB's default is not written
        account.stored = Secret(text_of(rows.find(row, "stored")));
        account.is_locked = is_yes(rows.find(row, "locked"));
        account.is_expired = is_yes(rows.find(row, "expired"));
        account.needs_tls = is_yes(rows.find(row, "tls"));
        const std::string* const alternatives = rows.find(row, "alternatives");
        if (alternatives == nullptr || *alternatives == "0") {
            accounts.push_back(account);
            if (const std::string* const retained = rows.find(row, "retained");
                retained && !retained->empty()) {
                account.stored = Secret(*retained);
                accounts.push_back(std::move(account));
            }
            continue;
        }
        for (int i = 0; i < alternatives_max && std::to_string(i) != *alternatives; ++i) {
            AccountRecord alternative = account;
            if (const std::string* const plugin = rows.find(row, "plugin" + std::to_string(i))) {
                alternative.plugin = *plugin;
                alternative.stored = Secret(text_of(rows.find(row, "stored" + std::to_string(i))));
            }
            accounts.push_back(std::move(alternative));
        }
    }
    if (accounts.empty()) return std::optional<Role>();
    return std::optional<Role>(std::move(accounts));
}

Result<std::shared_ptr<const FunctionList>> MysqlCatalog::read_functions(const MysqlRows& rows) {
    if (rows.columns.size() != 2) return bad_answer("functions");
    auto list = std::make_shared<FunctionList>();
    for (size_t row = 0; row < rows.rows.size(); ++row) {
        if (list->reads_only.size() >= MysqlDirectory::functions_max) {
            list->complete = false;
            break;
        }
        list->reads_only.emplace(text_of(rows.find(row, "name")), is_yes(rows.find(row, "reads_only")));
    }
    return std::shared_ptr<const FunctionList>(std::move(list));
}

}  // namespace holdfast::health
