#include <algorithm>
#include <cstdio>

#include "health/topology.h"

/// The view that follows from what the topology knows, with reasons in words.
namespace holdfast::health {

namespace {

/// Spare connections follow the candidate; it stays the same while another one is ahead by less than this
/// (one WAL segment), for positions that were asked for at different times always differ a little.
constexpr uint64_t candidate_lead_bytes = 16 * 1024 * 1024;

constexpr const char* awaiting_others = "waiting for the first answers of all servers";

std::string seconds_text(Duration duration) {
    char text[48];
    std::snprintf(text, sizeof text, "%.3g s", std::chrono::duration<double>(duration).count());
    return text;
}

std::string bytes_text(uint64_t bytes) {
    char text[48];
    if (bytes < 1024 * 1024) {
        std::snprintf(text, sizeof text, "%.0f KiB", static_cast<double>(bytes) / 1024.0);
    } else {
        std::snprintf(text, sizeof text, "%.0f MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
    }
    return text;
}

std::string hint_text(Hint hint) {
    switch (hint) {
        case Hint::connection_lost: return "a connection to it broke";
        case Hint::connect_failed: return "a connection to it could not be made";
        case Hint::shutting_down: return "it announced a shutdown";
        case Hint::refused_write: return "it refused a write as read-only";
        case Hint::role_changed: return "it reported another role";
        case Hint::not_answering: return "a statement is overdue";
    }
    return "in doubt";
}

std::string on_timeline(uint32_t timeline) {
    return "on timeline " + std::to_string(timeline);
}

}  // namespace

View Topology::describe(TimePoint now) const {
    View next = view_;
    next.servers.assign(places_.size(), {});
    next.primary.reset();
    next.split_brain = count_writable() > 1;
    if (holder_) {
        const Member& holder = members_[*holder_];
        if (serves_as_primary(holder)) next.primary = id_of(*holder_);
        if (next.primary && holder.facts->position) {
            next.primary_position = holder.facts->position;
            next.primary_position_sampled_at = holder.facts->sent_at;
        }
    }
    if (next.primary != view_.primary) {
        ++next.epoch.value;
        if (next.primary) {
            next.primary_since = now;
            next.primary_lost_at.reset();
        } else {
            next.primary_lost_at = now;
        }
    }
    for (size_t i = 0; i < places_.size(); ++i) {
        if (!places_[i].is_removed) continue;
        ServerView& server = next.servers[i];
        server.id = ServerId{i + 1};
        server.name = places_[i].name;
        server.state = ServerState::down;
        server.reason = "not configured any more";
        server.duty = Duty::removed;
    }
    for (const Member& member : members_) next.servers[member.id.value - 1] = describe_server(member);
    for (ServerView& server : next.servers) {
        const ServerView* const before = view_.find(server.id);
        const bool is_same = before != nullptr && before->name == server.name &&
                             before->state == server.state && before->role == server.role &&
                             before->duty == server.duty;
        server.since = is_same ? before->since : now;
    }
    next.candidate = choose_candidate(next);
    return next;
}

/// Why a server is in doubt; empty: it is not.
std::string Topology::doubt_of(const Member& member) const {
    if (member.stale) return "nothing was heard of it for too long";
    if (!member.failure.empty() && (member.must_prove || member.life == Life::suspect || member.unreadable)) {
        return member.failure;
    }
    if (member.hinted_at) return hint_text(member.hinted);
    return {};
}

ServerRole Topology::role_of(const Member& member) const {
    if (!member.facts || !is_ours(member)) return ServerRole::unknown;
    if (member.facts->in_recovery) return ServerRole::replica;
    if (!counts(member)) return ServerRole::unknown;
    return is_holder(member) && !is_on_old_timeline(member) ? ServerRole::primary : ServerRole::unknown;
}

/// Whom a replica gets its changes from.
std::string Topology::source_text(const Member& member) const {
    const Observation& facts = *member.facts;
    if (facts.mysql) {
        if (const auto source = source_of(index_of(member))) return members_[*source].name;
        if (facts.mysql->sources.empty()) return {};
        const ReplicationSource& first = facts.mysql->sources.front();
        return first.host + ":" + std::to_string(first.port);
    }
    if (facts.sender_host.empty()) return {};
    for (const Member& other : members_) {
        // Over a Unix socket the primary is on the replica's own machine: its port tells it.
        const bool is_local = facts.sender_host.starts_with('/') && !other.address.is_unix();
        if (is_local && &other != &member && other.address.port == facts.sender_port) return other.name;
        if (other.address.is_unix()) {
            const bool is_its_folder = other.address.unix_path.starts_with(facts.sender_host + "/");
            if (is_its_folder && other.address.unix_path.ends_with("." + std::to_string(facts.sender_port)))
                return other.name;
        } else if (other.address.host == facts.sender_host && other.address.port == facts.sender_port) {
            return other.name;
        }
    }
    return facts.sender_host + ":" + std::to_string(facts.sender_port);
}

ServerView Topology::describe_server(const Member& member) const {
    ServerView out;
    out.id = member.id;
    out.name = member.name;
    out.role = role_of(member);
    out.duty = member.duty;
    out.recovered_at = member.recovered_at;
    if (member.facts) {
        out.position = member.facts->position;
        out.position_sampled_at = member.facts->sent_at;
        out.timeline = member.facts->timeline;
        out.server_version = member.facts->server_version;
        out.version_text = member.facts->version_text;
        if (member.facts->in_recovery) out.follows = source_text(member);
    }
    if (out.role == ServerRole::replica) {
        out.lag = member.lag;
        out.lag_bytes = member.lag_bytes;
    }
    if (member.life == Life::down) {
        out.state = ServerState::down;
        out.reason = member.failure;
    } else if (member.life == Life::unseen && !member.unreadable) {
        out.state = ServerState::starting;
        out.reason = member.failure.empty() ? "not probed yet" : member.failure;
    } else if (!member.facts) {
        out.state = member.unreadable ? ServerState::broken
                                      : (member.failure.empty() ? ServerState::up : ServerState::starting);
        out.reason = member.failure.empty() ? "its role is unknown: there is no service account to ask with"
                                            : member.failure;
    } else if (!is_ours(member)) {
        out.state = ServerState::broken;
        out.reason = "belongs to another cluster: its system identifier is " +
                     std::to_string(member.facts->system_identifier) + ", not " +
                     std::to_string(system_identifier_);
    } else if (member.facts->in_recovery) {
        describe_replica(member, out);
    } else {
        describe_writable(member, out);
    }
    if (out.duty != Duty::serves) out.readable = false;
    return out;
}

void Topology::describe_writable(const Member& member, ServerView& out) const {
    const std::string doubt = doubt_of(member);
    if (is_holder(member) && !is_on_old_timeline(member)) {
        out.state = doubt.empty() ? ServerState::up : ServerState::suspect;
        out.reason = doubt;
        return;
    }
    const std::string writable = is_mysql() ? "writable" : "writable " + on_timeline(member.facts->timeline);
    out.state = ServerState::quarantined;
    if (!counts(member)) {
        out.reason = writable + ", but in maintenance: make it ready, and it may be the primary";
    } else if (!first_round_done()) {
        out.state = ServerState::starting;
        out.reason = awaiting_others;
    } else if (is_mysql()) {
        out.reason = describe_claim(member);
    } else if (!holder_) {
        out.reason = writable + ", and so is another server or a newer timeline is known";
    } else if (is_on_old_timeline(member)) {
        out.reason = writable + " while the primary is on " + std::to_string(timeline_);
    } else {
        out.reason = writable + " as well as " + members_[*holder_].name;
    }
}

void Topology::describe_replica(const Member& member, ServerView& out) const {
    const Observation& facts = *member.facts;
    const std::string doubt = doubt_of(member);
    const bool is_catching_up =
        !member.has_caught_up && member.catch_up.is_approaching() && !facts.replay_paused;
    const ServerState behind = is_catching_up ? ServerState::catching_up : ServerState::lagging;
    if (member.unreadable && member.bad_in_a_row >= health_.fall) {
        out.state = ServerState::broken;
        out.reason = member.failure;
    } else if (!doubt.empty()) {
        out.state = ServerState::suspect;
        out.reason = doubt;
    } else if (!first_round_done()) {
        out.state = ServerState::starting;
        out.reason = awaiting_others;
    } else if (member.life == Life::rising) {
        out.state = ServerState::starting;
        out.reason = "answers again: " + std::to_string(member.good_in_a_row) + " of " +
                     std::to_string(health_.rise) + " good probes";
    } else if (timeline_ != 0 && facts.timeline < timeline_) {
        out.state = ServerState::quarantined;
        out.reason = facts.timeline == 0 ? "its timeline can't be read"
                                         : on_timeline(facts.timeline) + " while the primary is on " +
                                               std::to_string(timeline_);
    } else if (timeline_ != 0 && facts.timeline > timeline_) {
        out.state = ServerState::broken;
        out.reason = "follows timeline " + std::to_string(facts.timeline) + " while the primary is on " +
                     std::to_string(timeline_);
    } else if (const std::string mysql = mysql_trouble(member); !mysql.empty()) {
        out.state = ServerState::broken;
        out.reason = mysql;
    } else if (!member.lag) {
        out.state = behind;
        out.reason = holder_ ? "its lag is unknown: it is behind every known position of the primary"
                             : "its lag is unknown: no primary was seen yet";
    } else if (*member.lag > max_lag_time_) {
        out.state = behind;
        out.reason = seconds_text(*member.lag) + " behind (max_lag is " + seconds_text(max_lag_time_) + ")";
    } else if (member.lag_bytes && *member.lag_bytes > max_lag_bytes_) {
        out.state = behind;
        out.reason =
            bytes_text(*member.lag_bytes) + " behind (max_lag is " + bytes_text(max_lag_bytes_) + ")";
    } else {
        out.state = ServerState::up;
        out.readable = true;
    }
    const bool is_judged = out.state == ServerState::up || is_behind(out.state);
    if (!is_judged) return;
    if (out.state == ServerState::catching_up) out.reason += "; it came back and gets nearer";
    if (const std::string note = mysql_note(member); !note.empty()) {
        out.reason += (out.reason.empty() ? "" : "; ") + note;
    }
    const char* const trouble = facts.replay_paused ? "replay is paused"
                                : facts.receiver_known && !facts.receiver_streaming
                                    ? "its WAL receiver is not streaming"
                                    : nullptr;
    if (trouble != nullptr) out.reason += (out.reason.empty() ? "" : "; ") + std::string(trouble);
}

std::optional<ServerId> Topology::choose_candidate(const View& next) const {
    const auto reach = [&](size_t index) {
        return std::max(members_[index].facts->position, members_[index].facts->received).lsn;
    };
    std::optional<size_t> best;
    std::optional<size_t> current;
    for (size_t i = 0; i < members_.size(); ++i) {
        const ServerView& server = *next.find(id_of(i));
        const bool is_usable = server.state == ServerState::up || is_behind(server.state) ||
                               server.state == ServerState::suspect;
        if (!members_[i].promotable || server.duty != Duty::serves || server.role != ServerRole::replica ||
            !is_usable)
            continue;
        if (!best || reach(i) > reach(*best)) best = i;
        if (view_.candidate == server.id) current = i;
    }
    if (!best) return std::nullopt;
    const bool stays = current && next.primary && reach(*best) - reach(*current) < candidate_lead_bytes;
    return id_of(stays ? *current : *best);
}

}  // namespace holdfast::health
