#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "health/directory.h"
#include "health/mysql_connection.h"
#include "protocol/base/secret.h"

namespace holdfast::health {

/// One way into one account of a name: 'name'@'host pattern' with a plugin. MariaDB's alternatives
/// (IDENTIFIED VIA a OR b) are several of these, in their order; so are MySQL's two passwords of an account
/// (RETAIN CURRENT PASSWORD), the new one first.
struct AccountRecord {
    std::string host;    // pattern: "%", "10.0.%", "192.168.0.0/255.255.0.0", "localhost", …
    std::string plugin;  // mysql_native_password, caching_sha2_password, ed25519, …
    Secret stored;       // authentication_string
    bool is_locked = false;
    bool is_expired = false;
    bool needs_tls = false;
};

/// What a directory asks MySQL and MariaDB servers: the accounts of a user name, and what the stored
/// functions of a database do. A function that is not listed is unknown: it may not be visible to the service
/// account, or be a loadable one. Names of functions are in lower case.
struct MysqlCatalog {
    using Connection = MysqlConnection;
    using Role = std::vector<AccountRecord>;
    /// User names have 32 characters (MariaDB: 80 in tables of old, 128 now), databases 64, of up to 4 bytes.
    static constexpr size_t name_bytes_max = 512;

    static std::string database_of(const CatalogQuestion& /*question*/) { return {}; }
    static std::unique_ptr<Connection> connect(EventLoop& loop, const config::Cluster& cluster,
                                               ServerId server, const std::string& database,
                                               Duration time_limit);
    static void ask(Connection& connection, const CatalogQuestion& question, const ServerView& server,
                    std::function<void(Connection::Answer)> on_answer);
    static std::string explain(const Connection::Failure& failure, const CatalogQuestion& question,
                               const config::Cluster& cluster);
    static Result<std::optional<Role>> read_role(const MysqlRows& rows);
    static Result<std::shared_ptr<const FunctionList>> read_functions(const MysqlRows& rows);
    /// The statement that read_role() understands the answer of.
    /// version    a MySQL server's, as mysql_version_number() has it; 0: unknown
    static std::string accounts_sql(const std::string& user, bool is_mariadb, int version);
};

extern template class Directory<MysqlCatalog>;
using MysqlDirectory = Directory<MysqlCatalog>;

}  // namespace holdfast::health
