#include "health/privileges.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <variant>

#include "health/mysql_connection.h"
#include "health/mysql_directory.h"
#include "health/mysql_facts.h"
#include "health/one_line.h"
#include "health/postgres_connection.h"
#include "protocol/base/numbers.h"

namespace holdfast::health {
namespace {

using Weight = MissingPrivilege::Weight;

// What the probes (pg_stat_wal_receiver), the look-ups of roles and those of functions need. pg_authid's
// rights are kept in each database by itself, so this is asked in the account's own.
constexpr const char* postgres_sql = R"(
SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolname', 'SELECT') AND
       pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolcanlogin', 'SELECT') AND
       pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT') AND
       pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolvaliduntil', 'SELECT'),
       pg_catalog.current_setting('max_connections'),
       pg_catalog.quote_ident(current_user),
       pg_catalog.current_database(),
       (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(datname), ', ' ORDER BY datname)
          FROM pg_catalog.pg_database
         WHERE datallowconn AND NOT datistemplate AND NOT pg_catalog.has_database_privilege(oid, 'CONNECT'))
)";
constexpr int postgres_columns = 6;

class PostgresAccountCheck final : public AccountCheck {
public:
    PostgresAccountCheck(const config::Cluster& cluster, const config::Server& server, EventLoop& loop,
                         std::function<void(AccountFacts)> on_done)
        : on_done_(std::move(on_done)), connection_(loop, server.address, login_of(cluster)) {
        connection_.ask(postgres_sql, {}, [this](PostgresConnection::Answer answer) {
            AccountFacts facts;
            if (const auto* const failure = std::get_if<PostgresConnection::Failure>(&answer)) {
                facts.failure = failure->text;
            } else {
                read(std::get<PostgresConnection::Rows>(answer).get(), facts);
            }
            const auto tell = std::move(on_done_);
            tell(std::move(facts));
        });
    }

private:
    static PostgresConnection::Login login_of(const config::Cluster& cluster) {
        PostgresConnection::Login login;
        login.user = cluster.service->user;
        login.password = cluster.service->password;
        login.database = cluster.service->database;
        login.tls = cluster.server_tls;
        login.tcp_user_timeout = cluster.tcp_user_timeout;
        login.statement_timeout = cluster.connect_timeout;
        return login;
    }

    static void read(const PGresult* rows, AccountFacts& facts) {
        if (PQntuples(rows) != 1 || PQnfields(rows) != postgres_columns) {
            facts.failure = "the answer about privileges has another shape";
            return;
        }
        const auto cell = [&](int column) {
            return one_line({PQgetvalue(rows, 0, column), static_cast<size_t>(PQgetlength(rows, 0, column))});
        };
        const std::string account = cell(3);
        facts.connections_max = parse_number<uint64_t>(cell(2)).value_or(0);
        if (cell(0) != "t") {
            facts.missing.push_back({Weight::needed, "whom a standby streams from can't be seen",
                                     "GRANT pg_monitor TO " + account, ""});
        }
        if (cell(1) != "t") {
            facts.missing.push_back({Weight::needed, "clients' passwords can't be looked up",
                                     "GRANT SELECT ON pg_catalog.pg_authid TO " + account, cell(4)});
        }
        if (PQgetisnull(rows, 0, 5) == 0) {
            facts.missing.push_back({Weight::useful,
                                     "which functions only read can't be looked up there, so that calls of "
                                     "them go to the primary",
                                     "GRANT CONNECT ON DATABASE " + cell(5) + " TO " + account, ""});
        }
    }

    std::function<void(AccountFacts)> on_done_;
    PostgresConnection connection_;
};

/// 'holdfast'@'10.0.0.%', of CURRENT_USER()'s holdfast@10.0.0.%.
std::string quoted_account(std::string_view current_user) {
    const auto quoted = [](std::string_view text) {
        std::string out = "'";
        for (const char c : text) {
            if (c == '\'' || c == '\\') out += c;
            out += c;
        }
        return out + "'";
    };
    const size_t at = std::min(current_user.rfind('@'), current_user.size());
    return quoted(current_user.substr(0, at)) + "@" +
           quoted(current_user.substr(std::min(at + 1, current_user.size())));
}

/// One question after the other; a refusal of one is what we are here for.
class MysqlAccountCheck final : public AccountCheck {
public:
    MysqlAccountCheck(const config::Cluster& cluster, const config::Server& server, EventLoop& loop,
                      std::function<void(AccountFacts)> on_done)
        : on_done_(std::move(on_done)), connection_(loop, server.address, login_of(cluster)) {
        ask_who_we_are();
    }

private:
    static MysqlConnection::Login login_of(const config::Cluster& cluster) {
        MysqlConnection::Login login;
        login.user = cluster.service->user;
        login.password = cluster.service->password;
        login.tls = cluster.server_tls;
        return login;
    }
    static bool is_denied(const MysqlConnection::Failure& failure) {
        return failure.code == 1142 || failure.code == 1143 || failure.code == 1227 || failure.code == 1044;
    }

    /// `next` goes on with the rows; with null when the account may not ask that.
    void ask(std::string sql, std::function<void(const MysqlRows*)> next) {
        connection_.ask(std::move(sql), [this, next = std::move(next)](MysqlConnection::Answer answer) {
            const auto* const failure = std::get_if<MysqlConnection::Failure>(&answer);
            if (failure != nullptr && !(is_denied(*failure) && connection_.is_connected())) {
                facts_.failure = failure->text;
                done();
            } else {
                next(failure != nullptr ? nullptr : &std::get<MysqlRows>(answer));
            }
        });
    }

    void lacks(Weight weight, std::string purpose, const std::string& privilege) {
        facts_.missing.push_back({weight, std::move(purpose), "GRANT " + privilege + " TO " + account_, ""});
    }

    void ask_who_we_are() {
        ask("SELECT CURRENT_USER() AS account, VERSION() AS version, @@max_connections AS connections",
            [this](const MysqlRows* rows) {
                const auto text = [&](const char* column) {
                    const std::string* const cell = rows != nullptr ? rows->find(0, column) : nullptr;
                    return cell != nullptr ? one_line(*cell) : std::string();
                };
                account_ = quoted_account(text("account"));
                server_.version_text = text("version");
                server_.server_version = mysql_version_number(server_.version_text);
                facts_.connections_max = parse_number<uint64_t>(text("connections")).value_or(0);
                ask_sources();
            });
    }

    void ask_sources() {
        ask(mysql_sources_sql(server_), [this](const MysqlRows* rows) {
            if (rows == nullptr) {
                lacks(Weight::needed, "replication can't be seen",
                      std::string(mysql_sources_privilege(server_)) + " ON *.*");
            }
            ask_accounts();
        });
    }

    void ask_accounts() {
        ask(MysqlCatalog::accounts_sql("holdfast", is_mariadb(), server_.server_version),
            [this](const MysqlRows* rows) {
                if (rows == nullptr) {
                    lacks(Weight::needed, "clients' passwords can't be looked up",
                          std::string("SELECT ON mysql.") + (is_mariadb() ? "global_priv" : "user"));
                }
                ask_functions();
            });
    }

    /// Without the privilege information_schema.ROUTINES is not refused, but empty.
    void ask_functions() {
        constexpr int has_own_privilege = 80'020;
        const bool is_by_table = is_mariadb() || server_.server_version < has_own_privilege;
        const std::string sql = is_by_table
                                    ? "SELECT db FROM mysql.proc LIMIT 0"
                                    : "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE "
                                      "PRIVILEGE_TYPE IN ('SHOW_ROUTINE', 'SELECT') LIMIT 1";
        ask(sql, [this, is_by_table](const MysqlRows* rows) {
            if (rows == nullptr || (!is_by_table && rows->rows.empty())) {
                lacks(Weight::useful,
                      "which functions only read can't be looked up, so that calls of them go to the primary",
                      is_by_table ? "SELECT ON mysql.proc" : "SHOW_ROUTINE ON *.*");
            }
            ask_group_name();
        });
    }

    void ask_group_name() {
        ask("SHOW GLOBAL VARIABLES LIKE 'group_replication_group_name'", [this](const MysqlRows* rows) {
            const bool has_group = rows != nullptr && !rows->rows.empty() && rows->rows[0].size() >= 2 &&
                                   !rows->rows[0][1].value_or("").empty();
            if (has_group) {
                ask_group();
            } else {
                done();
            }
        });
    }

    void ask_group() {
        ask(mysql_group_sql, [this](const MysqlRows* rows) {
            if (rows == nullptr) {
                lacks(Weight::needed, "the replication group can't be seen",
                      "SELECT ON performance_schema.replication_group_members");
            }
            done();
        });
    }

    void done() {
        const auto tell = std::move(on_done_);
        tell(std::move(facts_));
    }

    bool is_mariadb() const { return is_mariadb_version(server_.version_text); }

    std::function<void(AccountFacts)> on_done_;
    AccountFacts facts_;
    Observation server_;
    std::string account_;
    MysqlConnection connection_;
};

}  // namespace

std::unique_ptr<AccountCheck> check_account(const config::Cluster& cluster, const config::Server& server,
                                            EventLoop& loop, std::function<void(AccountFacts)> on_done) {
    switch (cluster.protocol) {
        case config::Protocol::postgres:
            return std::make_unique<PostgresAccountCheck>(cluster, server, loop, std::move(on_done));
        case config::Protocol::mysql:
            return std::make_unique<MysqlAccountCheck>(cluster, server, loop, std::move(on_done));
    }
    std::abort();
}

}  // namespace holdfast::health
