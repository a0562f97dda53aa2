#include "config/keys.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace holdfast::config {
namespace {

constexpr Key inherited(std::string_view path, Type type, std::string_view fallback, std::string_view allowed,
                        std::string_view meaning) {
    return {path, type, fallback, allowed, meaning, "0.1", Reload::hot, Inherit::yes};
}

constexpr std::array rows{
    Key{"proxy", Type::table, "", "", "The process as a whole."},
    Key{"proxy.log_level", Type::choice, "info", "debug|info|warn|error",
        "The least important line that is logged."},
    Key{"proxy.log_format", Type::choice, "logfmt", "logfmt|json", "The shape of a log line."},
    Key{"proxy.max_clients", Type::integer, "10000", "1..1000000",
        "Client connections at once; more are refused with a clear error."},
    Key{"proxy.drain_timeout", Type::duration, "60s", "0s..24h",
        "How long work goes on at a shutdown, or on a server that is taken away, before it is cut off."},
    Key{"proxy.state_file", Type::text, "", "absolute path",
        "Where administrative states (drain, maintenance) are kept over a restart. Empty: "
        "$STATE_DIRECTORY/state.json when the service manager gives one, else nowhere.",
        "0.1", Reload::restart},

    Key{"reload", Type::table, "", "",
        "How a changed configuration is taken into use. SIGHUP always does it."},
    Key{"reload.watch", Type::boolean, "false", "",
        "Reload when this file changes, or a file that it names: certificates, keys, secrets. Files may be "
        "written in place, renamed over, or swapped by a symbolic link as Kubernetes does."},

    Key{"admin", Type::table, "", "", "Status, metrics and the interface of the command line."},
    Key{"admin.listen", Type::text, "127.0.0.1:9600", "host:port",
        "Where HTTP is served: /healthz, /readyz, /metrics. Empty: nowhere."},
    Key{"admin.socket", Type::text, "", "absolute path",
        "The same on a Unix socket, for the command line on this machine.", "0.1"},
    Key{"admin.token", Type::secret, "", "", "What a request over TCP that changes something must present."},

    Key{"defaults", Type::table, "", "",
        "What every cluster inherits unless it says otherwise: the settings marked *inherited* below, for "
        "example "
        "`[defaults.health]`."},

    Key{"cluster", Type::named_tables, "", "", "The clusters, each with a name of its own."},
    Key{"cluster.*", Type::table, "", "", "A primary and its replicas."},
    Key{"cluster.*.protocol", Type::choice, "", "postgres|mysql",
        "What the servers speak; required. `mysql` is MariaDB's, too.", "0.1", Reload::refused},
    Key{"cluster.*.listen", Type::texts, "", "host:port, [IPv6]:port or socket path",
        "Where clients connect: short for one listener with all defaults."},
    Key{"cluster.*.listener", Type::tables, "", "", "Listeners that say more than where."},
    Key{"cluster.*.servers", Type::servers, "", "host, host:port, [IPv6]:port or path",
        "The servers; required. Which one is the primary is found out. The port is 5432 (mysql: 3306) unless "
        "given; a path is that of the Unix socket or, for PostgreSQL, of its directory."},
    inherited(
        "cluster.*.service", Type::table, "", "",
        "The account of health checks, password look-ups and catalog reads. A cluster's own replaces an "
        "inherited one whole."),
    inherited("cluster.*.server_tls", Type::table, "", "", "TLS towards the servers."),
    inherited("cluster.*.connect_timeout", Type::duration, "2s", "10ms..5m",
              "How long a connection to a server may take, login included."),
    inherited("cluster.*.login_timeout", Type::duration, "60s", "0s..1h",
              "How long a client may take from its connection to the end of its login. 0s: forever."),
    inherited(
        "cluster.*.tcp_user_timeout", Type::duration, "15s", "0s..1h",
        "How long sent bytes may stay unacknowledged before the connection counts as broken. 0s: as the "
        "system has it."),
    inherited("cluster.*.keepalive", Type::table, "", "", "TCP keep-alive, towards clients and servers."),
    inherited(
        "cluster.*.access", Type::tables, "", "",
        "Who may log in; the first rule whose conditions all hold decides, and who matches none is "
        "refused. Without rules: everyone. On a listener with role tcp, where only the address is known, a "
        "rule with `user`, `database` or `tls` lets nobody in, and keeps out all at its addresses if it "
        "denies."),
    inherited("cluster.*.limits", Type::table, "", "", "What clients may take of the proxy."),
    inherited("cluster.*.timeouts", Type::table, "", "",
              "After which clients are cut off, or statements cancelled."),
    inherited(
        "cluster.*.send_proxy_protocol", Type::choice, "no", "no|v1|v2",
        "Tells servers, by a PROXY protocol header before anything else, for which client a connection was "
        "opened. They must take connections without one from the proxy's address, too: health checks send "
        "none."),
    inherited("cluster.*.health", Type::table, "", "", "How servers are watched."),
    inherited("cluster.*.pool", Type::table, "", "", "Connections to the servers."),
    inherited("cluster.*.routing", Type::table, "", "", "Which statement goes where."),
    inherited("cluster.*.failover", Type::table, "", "", "What happens when the primary is gone."),

    Key{"cluster.*.listener[].listen", Type::texts, "", "host:port, [IPv6]:port or socket path",
        "Where clients connect; required."},
    Key{"cluster.*.listener[].role", Type::choice, "auto", "auto|primary|replica|tcp",
        "auto: reads and writes are split; primary, replica: everything goes there; tcp: bytes are passed on "
        "to the primary unread. What needs no login holds there too: `allow`, rules of addresses, "
        "`proxy.max_clients`, `limits.connect_rate`, `timeouts.idle`."},
    Key{"cluster.*.listener[].tls", Type::table, "", "", "TLS towards clients."},
    Key{"cluster.*.listener[].tls.mode", Type::choice, "prefer", "disable|prefer|require",
        "prefer: for clients that ask for it; require: clients without it are refused."},
    Key{"cluster.*.listener[].tls.cert", Type::file, "", "",
        "The certificate, and those between it and its authority (PEM). Without it one is made at start."},
    Key{"cluster.*.listener[].tls.key", Type::file, "", "", "The private key of `cert` (PEM)."},
    Key{"cluster.*.listener[].tls.client_ca", Type::file, "", "",
        "Authorities of client certificates (PEM): clients are asked for one, and it must verify."},
    Key{"cluster.*.listener[].allow", Type::texts, "", "networks such as 10.0.0.0/8",
        "Who may connect over TCP. Empty: everyone."},
    Key{"cluster.*.listener[].auth", Type::choice, "auto", "auto|scram|md5|password|cert|trust",
        "How clients prove who they are. auto: by the strongest method that the account's stored secret "
        "allows; "
        "password: in clear text, for directories that need it; trust: not at all."},

    Key{"cluster.*.listener[].proxy_protocol", Type::table, "", "",
        "PROXY protocol headers (v1, v2) from load balancers: the address that they tell counts everywhere."},
    Key{"cluster.*.listener[].proxy_protocol.from", Type::texts, "", "networks such as 10.0.0.0/8",
        "Who is trusted to tell; required. Everyone else's connection is taken as it comes."},
    Key{"cluster.*.listener[].proxy_protocol.required", Type::boolean, "true", "",
        "Whether those networks must send a header. `false` needs a protocol whose clients speak first, "
        "PostgreSQL's."},

    inherited("cluster.*.access[].user", Type::pattern, "", "", "Must match the whole user name."),
    inherited("cluster.*.access[].database", Type::pattern, "", "",
              "Must match the whole name of the database asked for at login."),
    inherited("cluster.*.access[].address", Type::texts, "", "networks such as 10.0.0.0/8, or \"local\"",
              "The client's address must be in one of them; `local` is a Unix socket."),
    inherited("cluster.*.access[].tls", Type::boolean, "", "",
              "true: holds for connections with TLS; false: for those without."),
    inherited("cluster.*.access[].action", Type::choice, "", "allow|deny",
              "What becomes of a client that the rule holds for; required."),

    inherited("cluster.*.limits.user_connections", Type::integer, "0", "0..1000000",
              "Connections of one user at once. 0: no limit."),
    inherited("cluster.*.limits.database_connections", Type::integer, "0", "0..1000000",
              "Connections to one database at once. 0: no limit."),
    inherited(
        "cluster.*.limits.exceptions", Type::tables, "", "",
        "Other limits for users or databases by name, such as `{ user = \"batch\", connections = 5 }`."),
    inherited("cluster.*.limits.exceptions[].user", Type::text, "", "", "The user, by its whole name."),
    inherited("cluster.*.limits.exceptions[].database", Type::text, "", "",
              "The database, by its whole name; one of the two is needed."),
    inherited("cluster.*.limits.exceptions[].connections", Type::integer, "0", "0..1000000",
              "Its connections at once; required. 0: no limit."),
    inherited(
        "cluster.*.limits.connect_rate", Type::integer, "0", "0..1000000",
        "New connections per second from one address (IPv6: one /64 network); more are closed at once. "
        "0: no limit. Unix sockets have none. Clusters with the same rate and burst share what an address "
        "may do."),
    inherited("cluster.*.limits.connect_burst", Type::integer, "100", "1..1000000",
              "How many may come at once after a pause."),
    inherited(
        "cluster.*.limits.login_failures", Type::integer, "0", "0..1000000",
        "Failed logins per minute of one user from one address (and ten times as many of all its users), "
        "beyond which logins are delayed. 0: no limit."),
    inherited(
        "cluster.*.limits.login_delay", Type::duration, "2s", "1ms..1m",
        "How long such a login waits before its proof is looked at; of those that wait, 5 for each user "
        "and address, further ones are refused."),

    inherited(
        "cluster.*.timeouts.idle", Type::duration, "0s", "0s..24h",
        "A client that asks for nothing for so long, outside a transaction, is disconnected. 0s: never. On a "
        "listener with role tcp: one whose connection has carried nothing for so long since its server sent "
        "something, in a transaction or not."),
    inherited("cluster.*.timeouts.idle_in_transaction", Type::duration, "0s", "0s..24h",
              "The same inside a transaction, which is rolled back. 0s: never."),
    inherited("cluster.*.timeouts.transaction", Type::duration, "0s", "0s..24h",
              "A transaction that lasts longer is rolled back and its client disconnected; a statement that "
              "runs is cancelled first. 0s: never."),
    inherited(
        "cluster.*.timeouts.query", Type::duration, "0s", "0s..24h",
        "A statement that runs longer is cancelled at its server. 0s: never. What comes in one request "
        "counts as one: several statements in one text, or PostgreSQL's batches and pipelines up to their "
        "Sync, of which a server tells only at the end that a part has ended. The servers' own "
        "`statement_timeout` and `max_statement_time` see each by itself."),

    Key{"cluster.*.servers[].name", Type::text, "", "",
        "The name in logs and metrics. Default: the address."},
    Key{"cluster.*.servers[].address", Type::text, "", "host, host:port, [IPv6]:port or path",
        "Where the server is; required."},
    Key{"cluster.*.servers[].weight", Type::integer, "100", "0..10000",
        "Its share of the reads, compared with the others. 0: no reads while it is a replica."},
    Key{"cluster.*.servers[].promote", Type::choice, "yes", "yes|never",
        "never: it is no candidate for the next primary."},

    inherited("cluster.*.service.user", Type::text, "", "", "The account's name; required."),
    inherited("cluster.*.service.password", Type::secret, "", "", "Its password."),
    inherited("cluster.*.service.database", Type::text, "postgres", "",
              "The database it connects to. MySQL needs none."),

    inherited("cluster.*.server_tls.mode", Type::choice, "prefer",
              "disable|allow|prefer|require|verify-ca|verify-full",
              "As libpq's `sslmode`. Only verify-ca and verify-full check whom they talk to."),
    inherited("cluster.*.server_tls.ca", Type::file, "", "",
              "Authorities of the servers' certificates (PEM). Without it those of the system."),
    inherited("cluster.*.server_tls.server_name", Type::text, "", "",
              "The name to ask for and to verify, instead of the server's host."),
    inherited("cluster.*.server_tls.direct", Type::boolean, "false", "",
              "TLS from the first byte, without PostgreSQL's request for it (PostgreSQL 17 and later)."),

    inherited("cluster.*.keepalive.idle", Type::duration, "30s", "1s..9h", "Silence before the first probe."),
    inherited("cluster.*.keepalive.interval", Type::duration, "5s", "1s..1h", "Between probes."),
    inherited("cluster.*.keepalive.count", Type::integer, "3", "1..100",
              "Unanswered probes after which the connection counts as broken."),

    inherited("cluster.*.health.interval", Type::duration, "1s", "10ms..1h", "Between checks of a server."),
    inherited("cluster.*.health.fast", Type::duration, "100ms", "10ms..1h",
              "Between checks while anything is in doubt; at most `interval`."),
    inherited("cluster.*.health.timeout", Type::duration, "1s", "10ms..1m", "How long a check may take."),
    inherited("cluster.*.health.fall", Type::integer, "2", "1..100",
              "Failed checks in a row that make a server down."),
    inherited("cluster.*.health.rise", Type::integer, "2", "1..100",
              "Good checks in a row that make it up again."),

    inherited("cluster.*.pool.mode", Type::choice, "session", "session|transaction",
              "session: a client keeps its server connections until it leaves. `transaction` is not "
              "supported yet."),
    inherited("cluster.*.pool.max_connections", Type::integer, "10000", "1..100000",
              "Connections to each server, for each user and database."),
    inherited("cluster.*.pool.idle_timeout", Type::duration, "1m", "0s..24h",
              "An unused connection to a server is closed after this."),

    inherited(
        "cluster.*.routing.consistency", Type::choice, "session", "eventual|session|primary",
        "What a read may miss. session: nothing that its own session wrote; eventual: whatever replicas do "
        "not have yet; primary: nothing, all reads go to the primary."),
    inherited("cluster.*.routing.max_lag", Type::lag, "", "",
              "How far behind a replica may be to get reads: a duration, or `{ time = …, bytes = … }`."),
    inherited("cluster.*.routing.max_lag.time", Type::duration, "5s", "1ms..24h",
              "The age of the newest change that the replica has."),
    inherited("cluster.*.routing.max_lag.bytes", Type::size, "64MiB", "1B..1024TiB",
              "How much of the primary's log the replica lacks."),
    inherited("cluster.*.routing.balance", Type::choice, "least_outstanding",
              "least_outstanding|round_robin|random",
              "How one of several replicas is chosen; weights count in each."),
    inherited("cluster.*.routing.primary_reads", Type::choice, "fallback", "never|fallback|always",
              "Whether reads may go to the primary: never, when no replica will do (fallback), or as to any "
              "replica."),
    inherited("cluster.*.routing.slow_start", Type::duration, "10s", "0s..1h",
              "After a replica has come up again its share of the reads grows to the full weight within this "
              "time."),
    inherited("cluster.*.routing.rules", Type::tables, "", "",
              "Exceptions; the first whose conditions all hold decides."),
    inherited("cluster.*.routing.rules[].match", Type::table, "", "",
              "The conditions, regular expressions (ECMAScript); at least one."),
    inherited("cluster.*.routing.rules[].match.user", Type::pattern, "", "",
              "Must match the whole user name."),
    inherited("cluster.*.routing.rules[].match.database", Type::pattern, "", "",
              "Must match the whole database name."),
    inherited("cluster.*.routing.rules[].match.application_name", Type::pattern, "", "",
              "Must match the whole application_name that the client gave."),
    inherited("cluster.*.routing.rules[].match.sql", Type::pattern, "", "",
              "Must match a part of the statement; case does not count."),
    inherited("cluster.*.routing.rules[].match.comment", Type::pattern, "", "",
              "Must match a part of a comment in the statement, such as sqlcommenter's `route='/admin'`."),
    inherited("cluster.*.routing.rules[].to", Type::choice, "", "primary|replica",
              "Where statements go that match; required. A write goes to the primary all the same."),

    inherited(
        "cluster.*.failover.mode", Type::choice, "follow", "follow|manual|promote",
        "follow: whoever is promoted, by whatever means, is the primary. `manual` and `promote` are not "
        "supported yet."),
    inherited("cluster.*.failover.wait", Type::duration, "30s", "0s..1h",
              "How long clients are held while there is no primary, before they get an error."),
    inherited("cluster.*.failover.no_primary", Type::choice, "read-only", "read-only|reject",
              "After that: reads go on, or everything gets an error."),
    inherited(
        "cluster.*.failover.replay", Type::boolean, "false", "",
        "Run an interrupted transaction again on the new primary. Not available yet: such a transaction "
        "gets the error 40001."),

    Key{"user", Type::tables, "", "", "Accounts that the servers' own tables can't provide."},
    Key{"user[].name", Type::text, "", "", "The account's name; required."},
    Key{"user[].cluster", Type::text, "", "", "The cluster it belongs to. Default: every one."},
    Key{"user[].password", Type::secret, "", "", "Its password. Exactly one of the three secrets is needed."},
    Key{"user[].scram_verifier", Type::secret, "", "",
        "`SCRAM-SHA-256$…`, as pg_authid stores it. Clients can log in with it; so can the proxy at the "
        "servers, "
        "with what a client's login proves."},
    Key{"user[].md5", Type::secret, "", "", "`md5` and 32 hexadecimal digits, as pg_authid stores it."},
};

}  // namespace

std::string_view Key::table() const {
    const size_t dot = path.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
}

std::string_view Key::name() const {
    const size_t dot = path.rfind('.');
    return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::span<const Key> all_keys() {
    return rows;
}

const Key* find_key(std::string_view table, std::string_view name) {
    const auto found = std::find_if(rows.begin(), rows.end(),
                                    [&](const Key& k) { return k.table() == table && k.name() == name; });
    return found == rows.end() ? nullptr : &*found;
}

const Key* find_key(std::string_view path) {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const Key& k) { return k.path == path; });
    return found == rows.end() ? nullptr : &*found;
}

}  // namespace holdfast::config
