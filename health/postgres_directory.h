#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "health/directory.h"
#include "health/postgres_connection.h"
#include "protocol/base/secret.h"

namespace holdfast::health {

/// A login role as pg_authid has it.
struct RoleRecord {
    bool can_login = false;
    Secret password_hash;                // SCRAM verifier, "md5…" or empty: no password
    std::optional<int64_t> valid_until;  // seconds since 1970; empty: for ever
};

/// What a directory asks PostgreSQL servers. Functions can be seen only from inside their database.
struct PostgresCatalog {
    using Connection = PostgresConnection;
    using Role = RoleRecord;
    /// PostgreSQL's names end here (NAMEDATALEN); longer ones exist nowhere and are not worth a question.
    static constexpr size_t name_bytes_max = 63;

    static std::string database_of(const CatalogQuestion& question) { return question.database; }
    static std::unique_ptr<Connection> connect(EventLoop& loop, const config::Cluster& cluster,
                                               ServerId server, const std::string& database,
                                               Duration time_limit);
    static void ask(Connection& connection, const CatalogQuestion& question, const ServerView& server,
                    std::function<void(Connection::Answer)> on_answer);
    static std::string explain(const Connection::Failure& failure, const CatalogQuestion& question,
                               const config::Cluster& cluster);
    static Result<std::optional<RoleRecord>> read_role(const Connection::Rows& rows);
    static Result<std::shared_ptr<const FunctionList>> read_functions(const Connection::Rows& rows);
};

extern template class Directory<PostgresCatalog>;
using PostgresDirectory = Directory<PostgresCatalog>;

}  // namespace holdfast::health
