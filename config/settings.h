#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/secret.h"

/// The configuration as plain values: everything resolved (defaults inherited, secrets read, addresses
/// split), nothing left to interpret. Made by config/load.h; immutable once made; shared by pointer.
namespace holdfast::config {

using std::chrono::milliseconds;

enum class Protocol { postgres, mysql };
enum class LogFormat { logfmt, json };
enum class LogThreshold { debug, info, warn, error };

/// Where to listen or connect: a host and port, or the path of a Unix socket (then host is empty).
struct Endpoint {
    std::string host;  // a name, an IPv4 or IPv6 address without brackets
    uint16_t port = 0;
    std::string unix_path;

    bool is_unix() const { return !unix_path.empty(); }
    bool operator==(const Endpoint&) const = default;
};

struct Keepalive {
    milliseconds idle{30'000};
    milliseconds interval{5'000};
    int count = 3;
};

struct Health {
    milliseconds interval{1'000};
    milliseconds fast{100};  // while anything is in doubt
    milliseconds timeout{1'000};
    int fall = 2;
    int rise = 2;
};

/// TLS towards clients. Without cert and key a self-signed pair is made at start.
enum class ClientTlsMode { disable, prefer, require };
struct ClientTls {
    ClientTlsMode mode = ClientTlsMode::prefer;
    std::string cert_file;
    std::string key_file;
    std::string client_ca_file;  // set: client certificates are asked for and checked against it
};

/// TLS towards servers, in libpq's words.
enum class ServerTlsMode { disable, allow, prefer, require, verify_ca, verify_full };
struct ServerTls {
    ServerTlsMode mode = ServerTlsMode::prefer;
    std::string ca_file;
    std::string server_name;  // SNI and the name to verify; empty: the server's host
    bool direct = false;      // sslnegotiation=direct: TLS from the first byte (PostgreSQL 17+)
};

/// PROXY protocol headers from load balancers: they tell whom they speak for.
struct ProxyProtocol {
    std::vector<std::string> from;  // CIDR blocks that are trusted to tell; empty: nobody
    bool required = true;           // false: a trusted peer may come without one (PostgreSQL only)
};

enum class ListenerRole { automatic, primary, replica, tcp };
enum class ClientAuth { automatic, scram, md5, password, cert, trust };  // automatic: what the secret allows

struct Listener {
    std::vector<Endpoint> listen;
    ListenerRole role = ListenerRole::automatic;
    ClientTls tls;
    std::vector<std::string> allow;  // CIDR blocks; empty: everyone
    ProxyProtocol proxy_protocol;
    ClientAuth auth = ClientAuth::automatic;
    int line = 0;
};

enum class Promotable { yes, never };
struct Server {
    std::string name;
    Endpoint address;
    uint32_t weight = 100;
    Promotable promote = Promotable::yes;
    int line = 0;
    /// A reload took it away: its place is kept while connections still refer to it (places.h).
    bool is_removed = false;
    bool operator==(const Server& o) const { return name == o.name && address == o.address; }
};

/// The account that health checks, password look-ups and catalog reads use.
struct Service {
    std::string user;
    Secret password;
    std::string database = "postgres";  // PostgreSQL only
};

enum class PoolMode { session, transaction };
struct Pool {
    PoolMode mode = PoolMode::session;
    uint32_t max_connections = 10'000;  // to each server, for each user and database
    milliseconds idle_timeout{60'000};  // an unused server connection is closed after this
};

enum class Consistency { eventual, session, primary };
enum class Balance { least_outstanding, round_robin, random };
enum class PrimaryReads { never, fallback, always };
enum class RuleTarget { primary, replica };

/// All given conditions must hold; each is a regular expression that must match the whole value
/// (for `sql` and `comment`: a part of it; case does not count in `sql`).
struct Rule {
    std::optional<std::string> user;
    std::optional<std::string> database;
    std::optional<std::string> application_name;
    std::optional<std::string> sql;
    std::optional<std::string> comment;
    RuleTarget to = RuleTarget::primary;
    int line = 0;
};

struct Routing {
    Consistency consistency = Consistency::session;
    milliseconds max_lag_time{5'000};
    uint64_t max_lag_bytes = 64ULL * 1024 * 1024;
    Balance balance = Balance::least_outstanding;
    PrimaryReads primary_reads = PrimaryReads::fallback;
    milliseconds slow_start{10'000};  // from a replica's return to its full share of the reads
    std::vector<Rule> rules;
};

enum class AccessAction { allow, deny };
/// Who may log in: the first rule whose conditions all hold decides. Patterns must match the whole name.
struct AccessRule {
    std::optional<std::string> user;
    std::optional<std::string> database;
    std::vector<std::string> address;  // CIDR blocks, or "local" for Unix sockets; empty: any
    std::optional<bool> tls;
    AccessAction action = AccessAction::deny;
    int line = 0;
};

/// A limit on connections for one user or one database (the other is empty), in place of the general one.
struct LimitException {
    std::string user;
    std::string database;
    uint32_t connections = 0;  // 0: no limit
};

/// What clients may take of the proxy. 0: no limit.
struct Limits {
    uint32_t user_connections = 0;
    uint32_t database_connections = 0;
    std::vector<LimitException> exceptions;
    uint32_t connect_rate = 0;        // new connections per second, from one address
    uint32_t connect_burst = 100;     // … and so many at once after a pause
    uint32_t login_failures = 0;      // per minute, of one user from one address
    milliseconds login_delay{2'000};  // what a login waits for beyond that
};

/// After which clients are cut off, or statements cancelled. 0: never.
struct Timeouts {
    milliseconds idle{0};  // outside transactions
    milliseconds idle_in_transaction{0};
    milliseconds transaction{0};
    milliseconds query{0};
};

/// The PROXY protocol header that servers are sent.
enum class SendProxyProtocol { no, v1, v2 };

enum class FailoverMode { follow, manual, promote };
enum class NoPrimary { read_only, reject };
struct Failover {
    FailoverMode mode = FailoverMode::follow;
    milliseconds wait{30'000};
    NoPrimary no_primary = NoPrimary::read_only;
    bool replay = false;  // not available yet
};

struct Cluster {
    std::string name;
    Protocol protocol = Protocol::postgres;
    std::vector<Server> servers;
    std::vector<Listener> listeners;
    std::optional<Service> service;
    ServerTls server_tls;
    Pool pool;
    Routing routing;
    Failover failover;
    Health health;
    milliseconds connect_timeout{2'000};
    milliseconds login_timeout{60'000};  // a client's, from accept to its first ReadyForQuery; 0: none
    milliseconds tcp_user_timeout{15'000};
    Keepalive keepalive;
    std::vector<AccessRule> access;  // empty: everyone
    Limits limits;
    Timeouts timeouts;
    SendProxyProtocol send_proxy_protocol = SendProxyProtocol::no;
    int line = 0;
};

/// An account that the servers' own tables can't provide. Exactly one secret is set.
struct User {
    std::string name;
    std::string cluster;    // empty: every cluster
    Secret password;        // plain text
    Secret scram_verifier;  // SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
    Secret md5_hash;        // md5<32 hex digits>
    int line = 0;
};

struct Proxy {
    LogThreshold log_level = LogThreshold::info;
    LogFormat log_format = LogFormat::logfmt;
    uint32_t max_clients = 10'000;
    milliseconds drain_timeout{60'000};
    std::string state_file;  // empty: as the service manager says, or none
};

/// How a changed configuration is taken into use.
struct Reloading {
    bool watch = false;  // reload when the file changes, or one that it names
};

struct Admin {
    std::optional<Endpoint> listen;  // HTTP: /healthz, /metrics
    std::string socket;              // the same on a Unix socket; empty: none
    Secret token;
};

/// A file as it was when the configuration was read.
struct SourceFile {
    std::string path;
    uint64_t digest = 0;   // of the content (sources.h); 0: it could not be read
    size_t bytes_max = 0;  // more is not read
    bool operator==(const SourceFile&) const = default;
};

struct Settings {
    std::string file;  // where it was read
    /// That file and those it names (secrets, certificates, keys), in the order in which they were read.
    std::vector<SourceFile> sources;
    Proxy proxy;
    Reloading reload;
    Admin admin;
    std::vector<Cluster> clusters;
    std::vector<User> users;
};

}  // namespace holdfast::config
