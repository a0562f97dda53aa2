#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/position.h"

namespace holdfast::health {

/// Whether a server answers, and how well.
enum class ServerState {
    starting,  // not probed successfully since start, or rising again (fewer than `rise` good probes)
    up,
    suspect,      // a probe or the data path just failed, fewer than `fall` times: no new work if others can
    down,         // `fall` probes in a row failed
    catching_up,  // a replica that came back, is behind max_lag (or its lag unknown) and gets nearer
    lagging,      // a replica behind max_lag, or with unknown lag, that was fine or gets no nearer
    broken,       // answers, but can't serve: replication from elsewhere or stopped, wrong cluster
    quarantined,  // writable, or on an old timeline, and not the primary: nothing goes there
};
enum class ServerRole { unknown, primary, replica };
/// Whether a server is given work, whatever its state: what operators say of it.
enum class Duty {
    serves,       // "ready" in the operators' words
    draining,     // what runs there may end, and nothing new begins; a drained server that is promoted serves
    maintenance,  // the same, and nothing that it says counts: it can't become the primary
    removed,      // not configured any more: what runs there may end, and nothing new begins
};

/// What is known of one server. Values only; part of a View.
struct ServerView {
    ServerId id;
    std::string name;
    ServerState state = ServerState::starting;
    ServerRole role = ServerRole::unknown;
    std::string reason;  // why it is in this state, in words
    TimePoint since{};   // when the state or role last changed
    /// The newest replay position (a replica's) or written position (the primary's) reported, and when
    /// the probe that reported it was sent.
    Position position;
    TimePoint position_sampled_at{};
    std::optional<Duration> lag;        // nullopt: unknown
    std::optional<uint64_t> lag_bytes;  // nullopt: unknown
    uint32_t timeline = 0;              // 0: unknown
    std::string follows;       // whom it replicates from: a server's name, else an address; empty: unknown
    int server_version = 0;    // as in PostgreSQL's server_version_num; 0: unknown
    std::string version_text;  // MySQL, MariaDB: VERSION(), for greetings; empty: unknown

    /// May take reads now: a replica that is up, follows this cluster's primary and is within max_lag.
    bool readable = false;
    Duty duty = Duty::serves;
    /// When it last began to serve again, after it was down or taken off duty; zero: it never was.
    TimePoint recovered_at{};

    bool operator==(const ServerView&) const = default;
};

/// One cluster as the topology believes it to be. Immutable; a new one is published at every change that
/// routing could care about (also positions).
struct View {
    Epoch epoch;  // grows when the primary changes, is lost or comes back
    /// Who takes writes; nullopt while nobody is known to.
    std::optional<ServerId> primary;
    TimePoint primary_since{};
    /// Set while there is no primary: since when.
    std::optional<TimePoint> primary_lost_at;
    /// The replica that would most probably be promoted (the most advanced); for spare connections.
    std::optional<ServerId> candidate;
    /// The newest primary position, and when the probe that saw it was sent.
    Position primary_position;
    TimePoint primary_position_sampled_at{};
    bool split_brain = false;         // two servers of this cluster are writable
    std::vector<ServerView> servers;  // in the configuration's order; servers[i].id.value == i + 1

    const ServerView* find(ServerId id) const {
        return id.value >= 1 && id.value <= servers.size() ? &servers[id.value - 1] : nullptr;
    }
    bool operator==(const View&) const = default;
};

/// What the data path saw of a server before any probe could: each triggers immediate probes.
enum class Hint {
    connection_lost,  // an established connection broke
    connect_failed,   // a new one could not be made
    shutting_down,    // 57P01..57P03, 1053
    refused_write,    // a write got "read-only" from the supposed primary
    role_changed,     // the server reported another in_hot_standby than the view has
    not_answering,    // a statement is overdue
};

/// A replica that gets no reads for its lag alone.
inline bool is_behind(ServerState state) {
    return state == ServerState::catching_up || state == ServerState::lagging;
}

/// The words used in logs and metrics.
std::string_view to_string(ServerState state);
std::string_view to_string(ServerRole role);
std::string_view to_string(Duty duty);
std::string_view to_string(Hint hint);

}  // namespace holdfast::health
