#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "proxy/admin/control.h"
#include "proxy/engine/session.h"

/// The sessions that operators are shown: some of many, in an order, as JSON.
namespace holdfast::app {

/// A session and the names of what its numbers stand for. The views must live as long as it does.
struct ListedSession {
    engine::SessionInfo info;
    std::string_view cluster;
    std::string_view server;      // where its work is; empty: nowhere, or at a server that was taken away
    std::string_view reads_from;  // likewise
};

/// {"sessions", "total", "matching", "complete"}: those of `all` that fit the query's filter, in its order,
/// from its offset on and no more than its limit; described by openapi.json. `total` is the size of `all`.
/// Only what is shown is made JSON of.
nlohmann::json list_sessions(std::vector<ListedSession> all, const admin::SessionQuery& query);

}  // namespace holdfast::app
