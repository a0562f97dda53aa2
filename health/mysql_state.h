#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "health/gtid.h"
#include "protocol/base/position.h"

namespace holdfast::health {

enum class ReplicationThread { stopped, connecting, running };

/// One source that a server is configured to replicate from.
struct ReplicationSource {
    std::string channel;  // empty: the default one
    std::string host;
    int port = 0;
    uint32_t server_id = 0;   // the source's; 0: it was never reached
    std::string server_uuid;  // the source's; empty: not known (MariaDB has none)
    ReplicationThread io = ReplicationThread::stopped;
    bool sql_running = false;
    std::string error;  // of either thread, with its number; one line, bounded; empty: none
    /// It stopped by itself for an error that trying again does not cure, and not because it was told to.
    bool failed = false;
    std::optional<int64_t> seconds_behind;

    /// Its threads run, or would if they had not failed.
    bool is_active() const { return io != ReplicationThread::stopped || sql_running || failed; }
    bool operator==(const ReplicationSource&) const = default;
};

/// A node's place in a Galera cluster.
struct GaleraState {
    bool in_primary_component = false;
    bool ready = false;
    int local_state = 0;  // 1 joining, 2 donor or desynced, 3 joined, 4 synced
    std::string cluster_uuid;
    bool operator==(const GaleraState&) const = default;
};

/// A member's place in a replication group.
struct GroupState {
    std::string member_state;  // ONLINE, RECOVERING, OFFLINE, ERROR, UNREACHABLE
    bool is_primary = false;
    bool single_primary = true;
    bool has_quorum = true;  // it sees more than half of its group
    /// Why the group's members can't be seen, with the GRANT that helps; empty: they can.
    std::string hidden = {};
    bool operator==(const GroupState&) const = default;
};

/// What MySQL and MariaDB servers say of themselves, beyond what all databases have in common.
struct MysqlState {
    bool read_only = false;  // read_only or super_read_only
    uint32_t server_id = 0;
    std::string server_uuid;
    /// As a replica: what it has applied of others' transactions. As the primary: all that is in its binary
    /// log, or was there before. With MySQL they are the same; MariaDB's positions can't tell a transaction
    /// of the primary from one that was written here by mistake, so a replica's own do not count.
    GtidSet applied;
    GtidSet written;
    /// What it has applied, or received to be applied.
    GtidSet received;
    /// It numbers its transactions, and we could read how far it is.
    bool has_gtids = false;
    std::vector<ReplicationSource> sources;
    /// Why the sources can't be seen, with the GRANT that helps; empty: they can.
    std::string sources_hidden;
    std::optional<GaleraState> galera;
    std::optional<GroupState> group;
};

}  // namespace holdfast::health
