#pragma once

#include <utility>
#include <variant>

#include "health/directory.h"

/// The definitions of directory.h, for the files that instantiate it.
namespace holdfast::health {

namespace directory_detail {

using namespace std::chrono_literals;

constexpr Duration question_timeout = 5s;
/// Connections for questions are rarely needed; unused ones close after this.
constexpr Duration idle_timeout = 60s;
constexpr int attempts_max = 3;
constexpr Duration log_spacing = 10s;

inline ErrorCode code_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::auth: return ErrorCode::denied;
        case Outcome::conn_timeout:
        case Outcome::greeting_timeout:
        case Outcome::query_timeout: return ErrorCode::timed_out;
        case Outcome::protocol: return ErrorCode::bad_value;
        case Outcome::ok:
        case Outcome::alive:
        case Outcome::too_many:
        case Outcome::starting_up:
        case Outcome::conn_refused:
        case Outcome::conn_lost:
        case Outcome::conn_failed:
        case Outcome::tls: return ErrorCode::unreachable;
    }
    return ErrorCode::unreachable;
}

/// Whether another server may well answer what this one did not. Every server of a cluster has the same roles
/// and rights, so a refusal is final.
inline bool is_worth_another_try(Outcome outcome) {
    return outcome != Outcome::auth && outcome != Outcome::protocol;
}

}  // namespace directory_detail

template <typename Catalog>
Directory<Catalog>::Directory(const config::Cluster& cluster, EventLoop& loop, Log& log,
                              std::function<const View&()> view)
    : cluster_(cluster), loop_(loop), log_(log), view_(std::move(view)) {}

template <typename Catalog>
Directory<Catalog>::~Directory() = default;

template <typename Catalog>
void Directory<Catalog>::reconfigure(const config::Cluster& cluster) {
    // Questions under way need an account; their asker sees to it that none are begun without one.
    const std::optional<config::Service> account = cluster.service ? cluster.service : cluster_.service;
    cluster_ = cluster;
    cluster_.service = account;
    for (auto& [user, entry] : roles_) entry.forgotten = true;
    std::erase_if(channels_, [](const auto& each) { return each.second.questions.empty(); });
    for (auto& [key, channel] : channels_) channel.server = {};  // the next question gets a new connection
}

template <typename Catalog>
void Directory<Catalog>::find_role(const std::string& user, OnRole on_done) {
    if (!cluster_.service) {
        on_done(Error{ErrorCode::unsupported, "there is no service account to look roles up with"});
        return;
    }
    if (user.empty() || user.size() > Catalog::name_bytes_max) {
        on_done(std::optional<Role>());
        return;
    }
    const auto known = roles_.find(user);
    if (known != roles_.end() && known->second.known && !known->second.forgotten &&
        loop_.now() - known->second.fetched_at < role_fresh) {
        known->second.used_at = loop_.now();
        const std::optional<Role> role = known->second.role;
        on_done(role);
        return;
    }
    if (waiting_ >= lookups_waiting_max) {
        on_done(Error{ErrorCode::limit_exceeded, "too many role look-ups are waiting"});
        return;
    }
    if (known == roles_.end()) make_room_for_role();
    RoleEntry& entry = roles_[user];
    entry.used_at = loop_.now();
    entry.waiting.push_back(std::move(on_done));
    ++waiting_;
    if (std::exchange(entry.in_queue, true)) return;
    ask({cluster_.service->database, user});
}

template <typename Catalog>
void Directory<Catalog>::forget(const std::string& user) {
    const auto known = roles_.find(user);
    if (known != roles_.end()) known->second.forgotten = true;
}

template <typename Catalog>
void Directory<Catalog>::find_functions(const std::string& database, OnFunctions on_done) {
    if (!cluster_.service) {
        on_done(Error{ErrorCode::unsupported, "there is no service account to read functions with"});
        return;
    }
    if (database.empty() || database.size() > Catalog::name_bytes_max) {
        on_done(Error{ErrorCode::not_found, "no database can have this name"});
        return;
    }
    const auto known = databases_.find(database);
    if (known != databases_.end() && known->second.functions &&
        loop_.now() - known->second.fetched_at < functions_fresh) {
        const auto functions = known->second.functions;
        on_done(functions);
        return;
    }
    if (waiting_ >= lookups_waiting_max ||
        (known == databases_.end() && databases_.size() >= databases_max)) {
        on_done(Error{ErrorCode::limit_exceeded, "too many catalog look-ups are waiting"});
        return;
    }
    Database& entry = databases_[database];
    entry.waiting.push_back(std::move(on_done));
    ++waiting_;
    if (std::exchange(entry.in_queue, true)) return;
    ask({database, {}});
}

/// Unused entries go, the longest unused first; those that somebody waits for stay (their number is bounded
/// by lookups_waiting_max).
template <typename Catalog>
void Directory<Catalog>::make_room_for_role() {
    if (roles_.size() < roles_cached_max) return;
    auto oldest = roles_.end();
    for (auto entry = roles_.begin(); entry != roles_.end(); ++entry) {
        if (!entry->second.waiting.empty()) continue;
        if (oldest == roles_.end() || entry->second.used_at < oldest->second.used_at) oldest = entry;
    }
    if (oldest != roles_.end()) roles_.erase(oldest);
}

template <typename Catalog>
void Directory<Catalog>::ask(Question question) {
    const std::string key = Catalog::database_of(question);
    Channel& channel = channels_[key];
    channel.questions.push_back(std::move(question));
    if (channel.questions.size() == 1) {
        channel.attempts = 0;
        // From the loop: the caller is not told before it has returned.
        start_soon(key);
    }
}

template <typename Catalog>
void Directory<Catalog>::start_soon(const std::string& key) {
    Channel& channel = channels_[key];
    channel.timer = loop_.after(Duration::zero(), [this, key] { pump(key); });
}

/// Asks the front question of a channel.
template <typename Catalog>
void Directory<Catalog>::pump(std::string key) {
    Channel& channel = channels_[key];
    const std::optional<ServerId> server = choose_server(channel);
    if (!server) {
        failed(key, {ErrorCode::unreachable, "no server of " + cluster_.name + " can be asked now"},
               Retry::no);
        return;
    }
    ++channel.attempts;
    if (!channel.connection || channel.server != *server) {
        channel.server = *server;
        channel.connection =
            Catalog::connect(loop_, cluster_, *server, key, directory_detail::question_timeout);
    }
    channel.timer = loop_.after(directory_detail::question_timeout, [this, key] { give_up(key); });
    Catalog::ask(*channel.connection, channel.questions.front(), *view_().find(*server),
                 [this, key](typename Connection::Answer answer) { answered(key, std::move(answer)); });
}

template <typename Catalog>
void Directory<Catalog>::give_up(std::string key) {
    channels_[key].connection.reset();
    failed(key, {ErrorCode::timed_out, "a catalog look-up got no answer in time"}, Retry::elsewhere);
}

template <typename Catalog>
void Directory<Catalog>::drop(std::string key) {
    channels_.erase(key);
}

/// The primary, else a readable replica, else any that answers; the one that just failed only when there is
/// no other.
template <typename Catalog>
std::optional<ServerId> Directory<Catalog>::choose_server(const Channel& channel) const {
    const View& view = view_();
    std::optional<ServerId> best;
    int best_rank = 0;
    for (const ServerView& server : view.servers) {
        if (server.id.value == 0 || server.id.value > cluster_.servers.size()) continue;
        int rank = 0;
        if (view.primary == server.id) {
            rank = 8;
        } else if (server.readable) {
            rank = 6;
        } else if (server.state == ServerState::up || is_behind(server.state) ||
                   server.state == ServerState::suspect) {
            rank = 4;
        }
        if (rank == 0) continue;
        if (channel.avoid == server.id) rank = 1;
        if (rank > best_rank) {
            best = server.id;
            best_rank = rank;
        }
    }
    return best;
}

template <typename Catalog>
void Directory<Catalog>::answered(const std::string& key, typename Connection::Answer answer) {
    Channel& channel = channels_[key];
    channel.timer.reset();
    const Question question = channel.questions.front();
    if (const auto* const failure = std::get_if<typename Connection::Failure>(&answer)) {
        Error error{directory_detail::code_of(failure->outcome),
                    Catalog::explain(*failure, question, cluster_)};
        failed(key, std::move(error),
               directory_detail::is_worth_another_try(failure->outcome) ? Retry::elsewhere : Retry::no);
        return;
    }
    const auto& rows = std::get<typename Connection::Rows>(answer);
    if (question.user.empty()) {
        next_question(key);
        settle_functions(question.database, Catalog::read_functions(rows));
    } else {
        next_question(key);
        settle_role(question.user, Catalog::read_role(rows));
    }
}

template <typename Catalog>
void Directory<Catalog>::failed(const std::string& key, Error error, Retry retry) {
    Channel& channel = channels_[key];
    if (retry == Retry::elsewhere && channel.attempts < directory_detail::attempts_max) {
        channel.avoid = channel.server;
        channel.connection.reset();
        start_soon(key);
        return;
    }
    const Question question = channel.questions.front();
    log_failure(question, error);
    next_question(key);
    if (question.user.empty()) {
        settle_functions(question.database, std::move(error));
    } else {
        settle_role(question.user, std::move(error));
    }
}

/// Anyone who tries to log in can cause look-ups, so the same failure is told once in a while only.
template <typename Catalog>
void Directory<Catalog>::log_failure(const Question& question, const Error& error) {
    const bool is_repeated =
        error.message == last_failure_ && loop_.now() - last_failure_at_ < directory_detail::log_spacing;
    if (is_repeated) return;
    last_failure_ = error.message;
    last_failure_at_ = loop_.now();
    log_.warn("directory_failed", {{"cluster", cluster_.name},
                                   {"question", question.user.empty() ? "functions" : "role"},
                                   {"reason", error.message}});
}

/// Takes the front question off; the next one is asked from the loop. Without one the connection waits a
/// while for more and closes.
template <typename Catalog>
void Directory<Catalog>::next_question(const std::string& key) {
    Channel& channel = channels_[key];
    channel.questions.pop_front();
    channel.attempts = 0;
    channel.avoid = {};
    if (!channel.questions.empty()) {
        start_soon(key);
    } else {
        channel.timer = loop_.after(directory_detail::idle_timeout, [this, key] { drop(key); });
    }
}

/// Answers everyone who waits for a role. They may ask again at once, so nothing is touched after them.
template <typename Catalog>
void Directory<Catalog>::settle_role(const std::string& user, RoleAnswer answer) {
    RoleEntry& entry = roles_[user];
    entry.in_queue = false;
    if (answer) {
        entry.role = *answer;
        entry.known = true;
        entry.forgotten = false;
        entry.fetched_at = loop_.now();
    } else if (entry.known && is_outage(answer.error().code)) {
        answer = RoleAnswer(entry.role);  // old, but better than turning everyone away in an outage
    }
    const std::vector<OnRole> waiting = std::exchange(entry.waiting, {});
    if (!entry.known) roles_.erase(user);
    waiting_ -= waiting.size();
    for (const OnRole& on_done : waiting) on_done(answer);
}

template <typename Catalog>
void Directory<Catalog>::settle_functions(const std::string& database, FunctionAnswer answer) {
    Database& entry = databases_[database];
    entry.in_queue = false;
    if (answer) {
        entry.functions = *answer;
        entry.fetched_at = loop_.now();
    } else if (entry.functions && is_outage(answer.error().code)) {
        answer = FunctionAnswer(entry.functions);
    }
    const std::vector<OnFunctions> waiting = std::exchange(entry.waiting, {});
    if (!entry.functions) databases_.erase(database);
    waiting_ -= waiting.size();
    for (const OnFunctions& on_done : waiting) on_done(answer);
}

template <typename Catalog>
bool Directory<Catalog>::is_outage(ErrorCode code) {
    return code == ErrorCode::unreachable || code == ErrorCode::timed_out;
}

}  // namespace holdfast::health
