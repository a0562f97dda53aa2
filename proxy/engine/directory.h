#pragma once

#include <functional>
#include <optional>
#include <string>

#include "protocol/base/result.h"
#include "protocol/dialect/dialect.h"

namespace holdfast::engine {

/// Where a cluster's sessions look up roles, and what functions do. Production asks the configuration and the
/// servers' catalogs (proxy/app), the simulation makes it up.
class Directory {
public:
    virtual ~Directory() = default;
    using OnRole = std::function<void(Result<std::optional<dialect::StoredRole>>)>;
    /// `on_done` may be called before this returns. nullopt: there is no such role.
    virtual void find_role(const std::string& user, OnRole on_done) = 0;
    /// A login with what find_role() gave has failed: the next look-up must be fresh.
    virtual void forget_role(const std::string& user) = 0;
    /// What classification needs to know of a database. Lives as long as the directory; kept fresh by it.
    virtual const dialect::ClassifierSources& sources(const std::string& database) = 0;
};

}  // namespace holdfast::engine
