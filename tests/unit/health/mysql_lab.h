#pragma once

#include <string>

#include "cluster_lab.h"

namespace holdfast::health::testing {

inline config::Cluster make_mysql_cluster(size_t servers) {
    config::Cluster cluster = make_cluster(servers);
    cluster.protocol = config::Protocol::mysql;
    for (size_t i = 0; i < servers; ++i) {
        cluster.servers[i].name = "db" + std::to_string(i + 1);
        cluster.servers[i].address.host = "10.0.0." + std::to_string(i + 1);
        cluster.servers[i].address.port = 3306;
    }
    return cluster;
}

/// MariaDB servers, numbered from 1: server n is at 10.0.0.n:3306 and has the server_id n.
class MysqlLab : public Lab {
public:
    explicit MysqlLab(size_t servers) : Lab(make_mysql_cluster(servers)) {}

    Observation as_server(uint64_t n, const std::string& gtids) {
        Observation o = base(n);
        o.system_identifier = 0;
        o.server_version = 101'119;
        o.version_text = "10.11.19-MariaDB";
        o.mysql.emplace();
        o.mysql->server_id = static_cast<uint32_t>(n);
        o.mysql->has_gtids = true;
        o.mysql->applied = *GtidSet::parse_mariadb(gtids);
        o.mysql->written = o.mysql->applied;
        o.mysql->received = o.mysql->applied;
        return o;
    }
    static ReplicationSource source(uint64_t n) {
        ReplicationSource s;
        s.host = "10.0.0." + std::to_string(n);
        s.port = 3306;
        s.server_id = static_cast<uint32_t>(n);
        s.io = ReplicationThread::running;
        s.sql_running = true;
        s.seconds_behind = 0;
        return s;
    }
    Observation as_replica(uint64_t n, uint64_t of, const std::string& gtids = "0-1-100") {
        Observation o = as_server(n, gtids);
        o.mysql->read_only = true;
        o.mysql->sources.push_back(source(of));
        return o;
    }
    bool claims(uint64_t n, const std::string& gtids = "0-1-100") { return take(as_server(n, gtids)); }
    bool replica(uint64_t n, uint64_t of, const std::string& gtids = "0-1-100") {
        return take(as_replica(n, of, gtids));
    }
    /// Its source does not answer: the IO thread tries again and again.
    bool orphan(uint64_t n, uint64_t of, const std::string& gtids = "0-1-100") {
        Observation o = as_replica(n, of, gtids);
        o.mysql->sources[0].io = ReplicationThread::connecting;
        o.mysql->sources[0].seconds_behind.reset();
        o.mysql->sources[0].error = "error 2003: error connecting to master";
        return take(o);
    }
    bool read_only(uint64_t n, const std::string& gtids = "0-1-100") {
        Observation o = as_server(n, gtids);
        o.mysql->read_only = true;
        return take(o);
    }
    /// Writable, and replicates from another one all the same.
    bool ring(uint64_t n, uint64_t of, const std::string& gtids = "0-1-100") {
        Observation o = as_replica(n, of, gtids);
        o.mysql->read_only = false;
        return take(o);
    }
    /// db1 primary, the others its replicas, everything caught up.
    void settle(size_t servers) {
        claims(1);
        for (uint64_t n = 2; n <= servers; ++n) replica(n, 1);
        for (uint64_t n = 2; n <= servers; ++n) replica(n, 1);
    }
};

}  // namespace holdfast::health::testing
