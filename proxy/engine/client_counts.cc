#include "proxy/engine/client_counts.h"

#include <algorithm>

namespace holdfast::engine {
namespace {

uint32_t limit_of(const config::Limits& limits, std::string config::LimitException::*kind,
                  const std::string& name, uint32_t otherwise) {
    const auto found = std::find_if(limits.exceptions.begin(), limits.exceptions.end(),
                                    [&](const auto& each) { return each.*kind == name; });
    return found == limits.exceptions.end() ? otherwise : found->connections;
}

}  // namespace

ClientCounts::Full ClientCounts::take(const std::string& user, const std::string& database,
                                      const config::Limits& limits) {
    const uint32_t of_user = limit_of(limits, &config::LimitException::user, user, limits.user_connections);
    if (of_user > 0 && of(users_, user) >= of_user) return Full::user;
    if (!database.empty()) {
        const uint32_t of_database =
            limit_of(limits, &config::LimitException::database, database, limits.database_connections);
        if (of_database > 0 && of(databases_, database) >= of_database) return Full::database;
        ++databases_[database];
    }
    ++users_[user];
    return Full::no;
}

void ClientCounts::give_back(const std::string& user, const std::string& database) {
    leave(users_, user);
    if (!database.empty()) leave(databases_, database);
}

uint32_t ClientCounts::of(const Counts& counts, const std::string& name) {
    const auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
}

void ClientCounts::leave(Counts& counts, const std::string& name) {
    const auto found = counts.find(name);
    if (found != counts.end() && --found->second == 0) counts.erase(found);
}

}  // namespace holdfast::engine
