#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/mysql_directory.h"
#include "health/postgres_directory.h"
#include "proxy/engine/directory.h"

namespace holdfast::app {

/// A cluster's roles from the configuration's [[user]] entries, and all others (and what functions do) from
/// the servers' catalogs.
class CatalogDirectory final : public engine::Directory {
public:
    CatalogDirectory(const config::Cluster& cluster, const std::vector<config::User>& users,
                     health::EventLoop& loop, Log& log, std::function<const health::View&()> view);
    ~CatalogDirectory() override;

    /// Goes on with a changed configuration, whose servers are in the places of those before.
    void reconfigure(const config::Cluster& cluster, const std::vector<config::User>& users);

    void find_role(const std::string& user, OnRole on_done) override;
    void forget_role(const std::string& user) override;
    const dialect::ClassifierSources& sources(const std::string& database) override;

private:
    /// What is known of one database's functions; asked for again while the proxy runs.
    struct Functions;
    void refresh(Functions& functions);
    void set_users(const std::string& cluster, const std::vector<config::User>& users);

    std::vector<config::User> users_;
    health::EventLoop& loop_;
    bool has_service_;
    std::map<std::string, std::unique_ptr<Functions>> functions_;
    // Last: their answers reach into the rest. One of the two, by the cluster's protocol.
    std::unique_ptr<health::PostgresDirectory> postgres_;
    std::unique_ptr<health::MysqlDirectory> mysql_;
};

}  // namespace holdfast::app
