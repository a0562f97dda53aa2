#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "health/event_loop.h"

/// What the service account may not do, and the statement that lets it: for `holdfast check --connect`.
namespace holdfast::health {

struct MissingPrivilege {
    enum class Weight {
        needed,  // servers are not watched, or nobody can log in
        useful,  // some reads go to the primary that needn't
    };
    Weight weight = Weight::needed;
    std::string purpose;  // what does not work
    std::string grant;    // one statement, without a semicolon, for a superuser on the primary
    /// The database to run it in; empty: any.
    std::string database;
};

/// What one server says to the service account.
struct AccountFacts {
    std::string failure;  // why there is no answer, in words; empty: the rest is known
    std::vector<MissingPrivilege> missing;
    uint64_t connections_max = 0;  // the server's max_connections; 0: not known
};

/// The questions to one server, while they are asked. Destroying it gives up.
class AccountCheck {
public:
    virtual ~AccountCheck() = default;
};

/// Logs in with the cluster's service account, which it must have, and asks. `on_done` is called once, later;
/// it may destroy the check. There is no time limit: whoever asks keeps one.
std::unique_ptr<AccountCheck> check_account(const config::Cluster& cluster, const config::Server& server,
                                            EventLoop& loop, std::function<void(AccountFacts)> on_done);

}  // namespace holdfast::health
