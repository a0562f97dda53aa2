#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/settings.h"
#include "health/event_loop.h"
#include "health/observation.h"
#include "health/view.h"
#include "protocol/base/log.h"
#include "protocol/base/result.h"

namespace holdfast::health {

/// The functions that users made in one database, by name without schema, in lower case only if created so.
/// Several functions of one name count as the worst of them.
struct FunctionList {
    std::unordered_map<std::string, bool> reads_only;  // false: may write
    bool complete = true;  // false: there were more than functions_max, and the rest is unknown
};

/// One question for the servers; empty user: the functions of `database`.
struct CatalogQuestion {
    std::string database;
    std::string user;
};

/// What the service account reads in a cluster's catalogs: roles and their password hashes, and what
/// functions do. Answers come from a short-lived cache where possible. Owned by the engine's part for the
/// cluster; must not outlive the loop and the log. Destroying it drops unanswered questions without a call.
///
/// `Catalog` knows what to ask and how to read it: postgres_directory.h, mysql_directory.h.
template <typename Catalog>
class Directory {
public:
    static constexpr Duration role_fresh = std::chrono::seconds(10);
    static constexpr Duration functions_fresh = std::chrono::seconds(30);
    static constexpr size_t roles_cached_max = 10'000;
    static constexpr size_t lookups_waiting_max = 1'000;
    static constexpr size_t databases_max = 64;
    static constexpr size_t functions_max = 100'000;

    using Connection = typename Catalog::Connection;
    using Role = typename Catalog::Role;
    using RoleAnswer = Result<std::optional<Role>>;
    using OnRole = std::function<void(RoleAnswer)>;
    using FunctionAnswer = Result<std::shared_ptr<const FunctionList>>;
    using OnFunctions = std::function<void(FunctionAnswer)>;

    /// `view` tells where the servers stand when one has to be asked; it is called now and then.
    Directory(const config::Cluster& cluster, EventLoop& loop, Log& log, std::function<const View&()> view);
    ~Directory();
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    /// Goes on with a changed configuration, whose servers are in the places of those before
    /// (config/places.h). What is known of roles is asked for anew.
    void reconfigure(const config::Cluster& cluster);

    /// Looks up a role by its exact name. `on_done` gets nullopt when there is none; it is called at once
    /// when the answer is known and fresh, else later. When no server can be asked, the last known answer
    /// is given, however old.
    /// errors  denied: the service account may not read passwords (the text has the GRANT)
    ///         unsupported: no service account; unreachable, timed_out: no server, and nothing known;
    ///         limit_exceeded: too many look-ups are waiting
    void find_role(const std::string& user, OnRole on_done);
    /// Makes the next look-up of this role ask a server: after a failed login, for the password may be new.
    void forget(const std::string& user);
    /// The functions of a database; at most functions_fresh old, unless no server can be asked.
    /// errors  as above
    void find_functions(const std::string& database, OnFunctions on_done);

private:
    struct RoleEntry {
        std::optional<Role> role;
        TimePoint fetched_at{};
        TimePoint used_at{};
        bool forgotten = false;
        bool known = false;
        std::vector<OnRole> waiting;
        bool in_queue = false;
    };
    struct Database {
        std::shared_ptr<const FunctionList> functions;
        TimePoint fetched_at{};
        std::vector<OnFunctions> waiting;
        bool in_queue = false;
    };
    using Question = CatalogQuestion;
    /// A connection for questions, and those that wait for it.
    struct Channel {
        ServerId server;
        std::unique_ptr<Connection> connection;
        std::deque<Question> questions;  // the front one is being asked
        std::unique_ptr<Watch> timer;    // until the next step: start, time limit, or close when unused
        int attempts = 0;                // at the front question
        ServerId avoid;                  // the server that just failed to answer it
    };
    enum class Retry { no, elsewhere };

    void ask(Question question);
    void start_soon(const std::string& key);
    // By value: the caller is a timer's callback, which these replace.
    void pump(std::string key);
    void give_up(std::string key);
    void drop(std::string key);
    void answered(const std::string& key, typename Connection::Answer answer);
    void failed(const std::string& key, Error error, Retry retry);
    void log_failure(const Question& question, const Error& error);
    void next_question(const std::string& key);
    void settle_role(const std::string& user, RoleAnswer answer);
    void settle_functions(const std::string& database, FunctionAnswer answer);
    std::optional<ServerId> choose_server(const Channel& channel) const;
    void make_room_for_role();
    static bool is_outage(ErrorCode code);

    config::Cluster cluster_;
    EventLoop& loop_;
    Log& log_;
    std::function<const View&()> view_;
    std::unordered_map<std::string, RoleEntry> roles_;
    std::unordered_map<std::string, Database> databases_;
    std::unordered_map<std::string, Channel>
        channels_;  // by the database connected to: Catalog::database_of()
    size_t waiting_ = 0;
    std::string last_failure_;  // for the log
    TimePoint last_failure_at_{};
};

}  // namespace holdfast::health
