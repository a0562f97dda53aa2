#include <algorithm>

#include "health/topology.h"

/// What the view says of MySQL and MariaDB servers, in words.
namespace holdfast::health {

namespace {

std::string text_of(const ReplicationSource& source) {
    std::string text =
        source.host.empty() ? "an unnamed source" : source.host + ":" + std::to_string(source.port);
    if (!source.channel.empty()) text += " (channel " + source.channel + ")";
    return text;
}

std::string galera_trouble(const GaleraState& galera) {
    if (!galera.in_primary_component) return "its part of the Galera cluster has no quorum";
    switch (galera.local_state) {
        case 1: return "it is joining the Galera cluster";
        case 2: return "it is a donor in the Galera cluster, or desynced";
        case 3: return "it has joined the Galera cluster and is catching up";
        case 4: break;
        default: return "it is in no usable state in the Galera cluster";
    }
    return galera.ready ? "" : "wsrep_ready is off: it takes no queries";
}

std::string group_trouble(const GroupState& group) {
    if (!group.hidden.empty()) return "";
    if (group.member_state != "ONLINE") return "its state in the replication group is " + group.member_state;
    return group.has_quorum ? "" : "its part of the replication group has no quorum";
}

}  // namespace

/// Why a writable server that isn't the primary is quarantined.
std::string Topology::describe_claim(const Member& member) const {
    if (!holder_) {
        if (is_left_behind(index_of(member))) {
            return "writable, but replicas follow a server that can't be reached";
        }
        return "writable, and so is another server";
    }
    const std::string& holder = members_[*holder_].name;
    if (!member.fenced) return "writable as well as " + holder;
    return "writable while " + holder +
           " has taken its place, or has it: make it a replica, or read-only, before it can serve";
}

/// Why a replica can't serve; empty: nothing speaks against it.
std::string Topology::mysql_trouble(const Member& member) const {
    if (!member.facts || !member.facts->mysql) return {};
    const MysqlState& state = *member.facts->mysql;
    if (state.galera) {
        const Member* const holder = holder_ ? &members_[*holder_] : nullptr;
        const bool is_foreign = holder != nullptr && holder->facts && holder->facts->mysql &&
                                holder->facts->mysql->galera &&
                                holder->facts->mysql->galera->cluster_uuid != state.galera->cluster_uuid;
        return is_foreign ? "belongs to another Galera cluster" : galera_trouble(*state.galera);
    }
    if (state.group) return group_trouble(*state.group);
    if (!state.sources_hidden.empty()) return {};
    return source_trouble(member);
}

std::string Topology::source_trouble(const Member& member) const {
    const MysqlState& state = *member.facts->mysql;
    const size_t index = index_of(member);
    if (state.sources.empty()) return "read-only, and it replicates from nobody";
    const ReplicationSource* ours = nullptr;
    std::optional<size_t> followed;
    for (const ReplicationSource& source : state.sources) {
        const auto found = resolve(source, index);
        if (!found || (followed && !source.is_active())) continue;
        ours = &source;
        followed = found;
    }
    if (ours == nullptr) {
        // A source that was never reached has no id, and its name may be another spelling of one of ours.
        const bool all_known = std::all_of(members_.begin(), members_.end(), [](const Member& m) {
            return m.facts && m.facts->mysql && m.facts->mysql->server_id != 0;
        });
        ours = &state.sources.front();
        if (all_known && ours->server_id != 0) return "it replicates from elsewhere: " + text_of(*ours);
    }
    const std::string error = ours->error.empty() ? "" : ": " + ours->error;
    if (!ours->sql_running) return "its SQL thread is stopped" + error;
    if (ours->io == ReplicationThread::stopped) return "its IO thread is stopped" + error;
    if (!followed || !holder_ || ours->io != ReplicationThread::running) return {};
    // Up the chain: what comes from another writable server is another history.
    size_t root = *followed;
    for (size_t steps = 0; steps < members_.size() && root != *holder_; ++steps) {
        const auto next = source_of(root);
        if (!next) break;
        root = *next;
    }
    const bool is_led_astray = root != *holder_ && says_writable(members_[root]);
    return is_led_astray ? "it follows " + members_[root].name + ", which is not the primary" : "";
}

/// What else should be known of a replica that is judged by its lag.
std::string Topology::mysql_note(const Member& member) const {
    if (!member.facts || !member.facts->mysql) return {};
    const MysqlState& state = *member.facts->mysql;
    if (state.group && !state.group->hidden.empty()) return state.group->hidden;
    if (!state.sources_hidden.empty()) return state.sources_hidden;
    if (state.galera || state.group) return {};
    for (const ReplicationSource& source : state.sources) {
        if (source.io == ReplicationThread::connecting) return "it has no connection to " + text_of(source);
    }
    return {};
}

}  // namespace holdfast::health
