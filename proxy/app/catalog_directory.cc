#include "proxy/app/catalog_directory.h"

#include <algorithm>
#include <utility>

namespace holdfast::app {

struct CatalogDirectory::Functions final : sql::FunctionCatalog {
    std::string database;
    std::shared_ptr<const health::FunctionList> list;
    dialect::ClassifierSources sources;
    std::unique_ptr<health::Watch> timer;
    bool is_mysql = false;

    Verdict find(std::string_view schema, std::string_view name) const override {
        if (!list) return Verdict::unknown;
        std::string key(name);
        if (is_mysql) {
            // A function belongs to one database, and its name has no case.
            if (!schema.empty() && schema != database) return Verdict::unknown;
            std::transform(key.begin(), key.end(), key.begin(), [](char c) {
                return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            });
        }
        const auto found = list->reads_only.find(key);
        if (found == list->reads_only.end()) return Verdict::unknown;
        return found->second ? Verdict::reads_only : Verdict::may_write;
    }
};

CatalogDirectory::CatalogDirectory(const config::Cluster& cluster, const std::vector<config::User>& users,
                                   health::EventLoop& loop, Log& log,
                                   std::function<const health::View&()> view)
    : loop_(loop), has_service_(cluster.service.has_value()) {
    switch (cluster.protocol) {
        case config::Protocol::postgres:
            postgres_ = std::make_unique<health::PostgresDirectory>(cluster, loop, log, std::move(view));
            break;
        case config::Protocol::mysql:
            mysql_ = std::make_unique<health::MysqlDirectory>(cluster, loop, log, std::move(view));
            break;
    }
    set_users(cluster.name, users);
}

CatalogDirectory::~CatalogDirectory() = default;

void CatalogDirectory::set_users(const std::string& cluster, const std::vector<config::User>& users) {
    users_.clear();
    for (const auto& user : users) {
        if (user.cluster.empty() || user.cluster == cluster) users_.push_back(user);
    }
}

void CatalogDirectory::reconfigure(const config::Cluster& cluster, const std::vector<config::User>& users) {
    set_users(cluster.name, users);
    const bool had_service = std::exchange(has_service_, cluster.service.has_value());
    if (postgres_) postgres_->reconfigure(cluster);
    if (mysql_) mysql_->reconfigure(cluster);
    for (auto& [database, functions] : functions_) {
        if (!has_service_) functions->timer.reset();
        if (has_service_ && !had_service && !database.empty()) refresh(*functions);
    }
}

void CatalogDirectory::find_role(const std::string& user, OnRole on_done) {
    for (const auto& each : users_) {
        if (each.name != user) continue;
        dialect::StoredRole role;
        role.password = each.password;
        role.stored = each.scram_verifier.empty() ? each.md5_hash : each.scram_verifier;
        return on_done(std::optional(std::move(role)));
    }
    if (!has_service_) return on_done(std::optional<dialect::StoredRole>{});
    if (mysql_) {
        mysql_->find_role(user, [on_done = std::move(on_done)](health::MysqlDirectory::RoleAnswer answer) {
            if (!answer) return on_done(answer.error());
            if (!*answer) return on_done(std::optional<dialect::StoredRole>{});
            dialect::StoredRole role;
            for (const health::AccountRecord& each : **answer) {
                role.accounts.push_back(
                    {each.host, each.plugin, each.stored, each.is_locked, each.is_expired, each.needs_tls});
            }
            on_done(std::optional(std::move(role)));
        });
        return;
    }
    postgres_->find_role(user, [on_done = std::move(on_done)](health::PostgresDirectory::RoleAnswer answer) {
        if (!answer) return on_done(answer.error());
        if (!*answer) return on_done(std::optional<dialect::StoredRole>{});
        dialect::StoredRole role;
        role.stored = (*answer)->password_hash;
        role.valid_until = (*answer)->valid_until;
        role.can_login = (*answer)->can_login;
        on_done(std::optional(std::move(role)));
    });
}

void CatalogDirectory::forget_role(const std::string& user) {
    if (postgres_) postgres_->forget(user);
    if (mysql_) mysql_->forget(user);
}

const dialect::ClassifierSources& CatalogDirectory::sources(const std::string& database) {
    // A name that no database has costs an entry: beyond the bound all share one that knows no function.
    const bool is_full =
        functions_.size() >= health::PostgresDirectory::databases_max && !functions_.contains(database);
    auto& entry = functions_[is_full ? std::string() : database];
    if (!entry) {
        entry = std::make_unique<Functions>();
        entry->database = database;
        entry->is_mysql = mysql_ != nullptr;
        entry->sources.functions = entry.get();
        if (has_service_ && !is_full) refresh(*entry);
    }
    return entry->sources;
}

void CatalogDirectory::refresh(Functions& functions) {
    const auto on_done = [this,
                          &functions](const Result<std::shared_ptr<const health::FunctionList>>& answer) {
        // Counted from the answer: a little earlier it would still be fresh, and be given again.
        functions.timer = loop_.after(health::PostgresDirectory::functions_fresh,
                                      [this, &functions] { refresh(functions); });
        if (!answer || functions.list == *answer) return;
        functions.list = *answer;
        ++functions.sources.functions_version;
    };
    if (postgres_) postgres_->find_functions(functions.database, on_done);
    if (mysql_) mysql_->find_functions(functions.database, on_done);
}

}  // namespace holdfast::app
