#include "config/load.h"

#include <doctest/doctest.h>

#include "tests/unit/config/fake_environment.h"

namespace holdfast::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("load: the smallest file gets every default, those of settings.h") {
    FakeEnvironment environment;
    environment.files["/etc/holdfast/shop.pw"] = {"hunter2\n"};
    const Loaded loaded = load(R"([cluster.shop]
protocol = "postgres"
listen   = "0.0.0.0:6432"
servers  = ["10.0.1.11", "10.0.1.12"]
service  = { user = "holdfast", password = { file = "/etc/holdfast/shop.pw" } }
)",
                               environment);
    CHECK(listed(loaded) == "");
    REQUIRE(loaded.settings);
    const Settings& settings = *loaded.settings;
    CHECK(settings.file == "holdfast.toml");
    CHECK(settings.proxy.log_level == LogThreshold::info);
    CHECK(settings.proxy.log_format == LogFormat::logfmt);
    CHECK(settings.proxy.max_clients == Proxy{}.max_clients);
    CHECK(settings.proxy.drain_timeout == Proxy{}.drain_timeout);
    CHECK(settings.admin.listen == Endpoint{"127.0.0.1", 9600, {}});
    CHECK(settings.admin.socket == "");
    CHECK(settings.admin.token.empty());
    CHECK(settings.users.empty());

    REQUIRE(settings.clusters.size() == 1);
    const Cluster& shop = settings.clusters[0];
    const Cluster fresh;
    CHECK(shop.name == "shop");
    CHECK(shop.line == 1);
    CHECK(shop.protocol == Protocol::postgres);
    REQUIRE(shop.listeners.size() == 1);
    CHECK(shop.listeners[0].listen == std::vector<Endpoint>{{"0.0.0.0", 6432, {}}});
    CHECK(shop.listeners[0].role == ListenerRole::automatic);
    CHECK(shop.listeners[0].auth == ClientAuth::automatic);
    CHECK(shop.listeners[0].tls.mode == ClientTlsMode::prefer);
    CHECK(shop.listeners[0].line == 3);
    REQUIRE(shop.servers.size() == 2);
    CHECK(shop.servers[0].name == "10.0.1.11");
    CHECK(shop.servers[0].address == Endpoint{"10.0.1.11", 5432, {}});
    CHECK(shop.servers[1].name == "10.0.1.12");
    CHECK(shop.servers[1].weight == 100);
    CHECK(shop.servers[1].line == 4);
    REQUIRE(shop.service);
    CHECK(shop.service->user == "holdfast");
    CHECK(shop.service->password.reveal() == "hunter2");
    CHECK(shop.service->database == "postgres");
    CHECK(shop.server_tls.mode == ServerTlsMode::prefer);
    CHECK_FALSE(shop.server_tls.direct);
    CHECK(shop.pool.mode == PoolMode::session);
    CHECK(shop.pool.max_connections == fresh.pool.max_connections);
    CHECK(shop.pool.idle_timeout == fresh.pool.idle_timeout);
    CHECK(shop.routing.consistency == Consistency::session);
    CHECK(shop.routing.max_lag_time == fresh.routing.max_lag_time);
    CHECK(shop.routing.max_lag_bytes == fresh.routing.max_lag_bytes);
    CHECK(shop.routing.balance == Balance::least_outstanding);
    CHECK(shop.routing.primary_reads == PrimaryReads::fallback);
    CHECK(shop.failover.mode == FailoverMode::follow);
    CHECK(shop.failover.wait == fresh.failover.wait);
    CHECK(shop.failover.no_primary == NoPrimary::read_only);
    CHECK(shop.health.interval == fresh.health.interval);
    CHECK(shop.health.fast == fresh.health.fast);
    CHECK(shop.health.timeout == fresh.health.timeout);
    CHECK(shop.health.fall == fresh.health.fall);
    CHECK(shop.health.rise == fresh.health.rise);
    CHECK(shop.connect_timeout == fresh.connect_timeout);
    CHECK(shop.login_timeout == fresh.login_timeout);
    CHECK(shop.tcp_user_timeout == fresh.tcp_user_timeout);
    CHECK(shop.keepalive.idle == fresh.keepalive.idle);
    CHECK(shop.keepalive.interval == fresh.keepalive.interval);
    CHECK(shop.keepalive.count == fresh.keepalive.count);
}

// The keys that operators were promised; values are those that this release supports.
constexpr std::string_view promised = R"(
[proxy]
log_level     = "warn"
log_format    = "json"
max_clients   = 500
drain_timeout = "90s"

[admin]
listen = "127.0.0.1:9601"
socket = "/run/holdfast/admin.sock"
token  = { file = "/etc/holdfast/token" }

[defaults]
connect_timeout  = "3s"
tcp_user_timeout = "16s"
keepalive        = { idle = "31s", interval = "6s", count = 4 }

[defaults.health]
interval = "2s"
fast     = "200ms"
timeout  = "1500ms"
fall     = 3
rise     = 4

[cluster.shop]
protocol = "postgres"
service  = { user = "holdfast", password = { env = "HOLDFAST_SHOP_PASSWORD" }, database = "admin" }
servers  = [
  { name = "pg1", address = "10.0.1.11:5432", weight = 100 },
  { name = "pg2", address = "10.0.1.12:5433", weight = 0 },
  { name = "pg3", address = "10.0.1.13:5432", weight = 50, promote = "never" },
]

[[cluster.shop.listener]]
listen = ["0.0.0.0:6432", "/run/holdfast/.s.PGSQL.6432"]
role   = "auto"
tls    = { mode = "require", cert = "/etc/holdfast/tls.crt", key = "/etc/holdfast/tls.key" }
allow  = ["10.0.0.0/8"]

[[cluster.shop.listener]]
listen = "0.0.0.0:6433"
role   = "replica"

[cluster.shop.pool]
mode            = "session"
max_connections = 50

[cluster.shop.routing]
consistency  = "eventual"
max_lag      = { time = "6s", bytes = "32MiB" }
balance      = "round_robin"
primary_reads = "never"
rules = [
  { match = { user = "cron" },                      to = "primary" },
  { match = { application_name = "report-.*" },     to = "replica" },
  { match = { sql = "^select nextval" },            to = "primary" },
  { match = { comment = "route='/admin/.*'", database = "shop" }, to = "primary" },
]

[cluster.shop.failover]
mode       = "follow"
wait       = "20s"
no_primary = "reject"
replay     = true

[cluster.blog]
protocol = "postgres"
listen   = "0.0.0.0:6434"
service  = { user = "holdfast", password = { file = "/etc/holdfast/blog.pw" } }
servers  = ["10.0.2.11", "10.0.2.12"]

[[user]]
name     = "legacy"
cluster  = "blog"
password = { file = "/etc/holdfast/legacy.pw" }
)";

TEST_CASE("load: every key that operators were promised arrives in the settings") {
    FakeEnvironment environment;
    environment.variables["HOLDFAST_SHOP_PASSWORD"] = "shop secret";
    for (const char* name : {"token", "tls.crt", "tls.key", "blog.pw", "legacy.pw"}) {
        environment.files["/etc/holdfast/" + std::string(name)] = {std::string(name) + "\n"};
    }
    const Loaded loaded = load(promised, environment);
    CHECK(listed(loaded) ==
          "64:14: warning: cluster.shop.failover.replay: transaction replay is not available yet; open "
          "transactions get 40001\n");
    REQUIRE(loaded.settings);
    const Settings& settings = *loaded.settings;
    CHECK(settings.proxy.log_level == LogThreshold::warn);
    CHECK(settings.proxy.log_format == LogFormat::json);
    CHECK(settings.proxy.max_clients == 500);
    CHECK(settings.proxy.drain_timeout == 90s);
    CHECK(settings.admin.listen == Endpoint{"127.0.0.1", 9601, {}});
    CHECK(settings.admin.socket == "/run/holdfast/admin.sock");
    CHECK(settings.admin.token.reveal() == "token");

    REQUIRE(settings.clusters.size() == 2);
    const Cluster& shop = settings.clusters[0];
    CHECK(shop.name == "shop");
    CHECK(shop.connect_timeout == 3s);
    CHECK(shop.tcp_user_timeout == 16s);
    CHECK(shop.keepalive.idle == 31s);
    CHECK(shop.keepalive.interval == 6s);
    CHECK(shop.keepalive.count == 4);
    CHECK(shop.health.interval == 2s);
    CHECK(shop.health.fast == 200ms);
    CHECK(shop.health.timeout == 1500ms);
    CHECK(shop.health.fall == 3);
    CHECK(shop.health.rise == 4);
    CHECK(shop.service->password.reveal() == "shop secret");
    CHECK(shop.service->database == "admin");
    REQUIRE(shop.servers.size() == 3);
    CHECK(shop.servers[1].name == "pg2");
    CHECK(shop.servers[1].address.port == 5433);
    CHECK(shop.servers[1].weight == 0);
    CHECK(shop.servers[1].promote == Promotable::yes);
    CHECK(shop.servers[2].weight == 50);
    CHECK(shop.servers[2].promote == Promotable::never);
    REQUIRE(shop.listeners.size() == 2);
    CHECK(shop.listeners[0].listen ==
          std::vector<Endpoint>{{"0.0.0.0", 6432, {}}, {{}, 0, "/run/holdfast/.s.PGSQL.6432"}});
    CHECK(shop.listeners[0].tls.mode == ClientTlsMode::require);
    CHECK(shop.listeners[0].tls.cert_file == "/etc/holdfast/tls.crt");
    CHECK(shop.listeners[0].tls.key_file == "/etc/holdfast/tls.key");
    CHECK(shop.listeners[0].allow == std::vector<std::string>{"10.0.0.0/8"});
    CHECK(shop.listeners[1].role == ListenerRole::replica);
    CHECK(shop.listeners[1].tls.mode == ClientTlsMode::prefer);
    CHECK(shop.listeners[1].allow.empty());
    CHECK(shop.pool.max_connections == 50);
    CHECK(shop.routing.consistency == Consistency::eventual);
    CHECK(shop.routing.max_lag_time == 6s);
    CHECK(shop.routing.max_lag_bytes == 32ULL * 1024 * 1024);
    CHECK(shop.routing.balance == Balance::round_robin);
    CHECK(shop.routing.primary_reads == PrimaryReads::never);
    REQUIRE(shop.routing.rules.size() == 4);
    CHECK(shop.routing.rules[0].user == "cron");
    CHECK(shop.routing.rules[0].to == RuleTarget::primary);
    CHECK(shop.routing.rules[1].application_name == "report-.*");
    CHECK(shop.routing.rules[1].to == RuleTarget::replica);
    CHECK(shop.routing.rules[2].sql == "^select nextval");
    CHECK_FALSE(shop.routing.rules[2].user);
    CHECK(shop.routing.rules[3].comment == "route='/admin/.*'");
    CHECK(shop.routing.rules[3].database == "shop");
    CHECK(shop.failover.wait == 20s);
    CHECK(shop.failover.no_primary == NoPrimary::reject);

    const Cluster& blog = settings.clusters[1];
    CHECK(blog.name == "blog");
    CHECK(blog.health.fall == 3);
    CHECK(blog.connect_timeout == 3s);
    CHECK(blog.pool.max_connections == 10000);
    CHECK(blog.failover.wait == 30s);
    REQUIRE(settings.users.size() == 1);
    CHECK(settings.users[0].name == "legacy");
    CHECK(settings.users[0].cluster == "blog");
    CHECK(settings.users[0].password.reveal() == "legacy.pw");
}

TEST_CASE("load: every error is found at once, in the order of the file") {
    const Loaded loaded = load(R"([cluster.shop]
protocol = "postgress"
listen = ":6432"
servers = ["10.0.1.11", 5]
service = { user = "holdfast", password = "x" }
[cluster.shop.routing]
    max_lagg = "5s"
balance = 3
[cluster.shop.health]
interval = 5
fall = 0
[proxi]
)");
    CHECK_FALSE(loaded.settings);
    CHECK(
        listed(loaded) ==
        "2:12: error: cluster.shop.protocol: expected one of \"postgres\", \"mysql\", found 'postgress'; did "
        "you "
        "mean 'postgres'?\n"
        "3:10: error: cluster.shop.listen: no host in ':6432'; write \"0.0.0.0:6432\" to listen on every "
        "IPv4 "
        "address, or \"[::]:6432\"\n"
        "4:25: error: cluster.shop.servers: expected an address in quotes or { name = ..., address = ... }, "
        "found "
        "an integer\n"
        "7:5: error: unknown key 'max_lagg' in cluster.shop.routing; did you mean 'max_lag'?\n"
        "8:11: error: cluster.shop.routing.balance: expected one of \"least_outstanding\", \"round_robin\", "
        "\"random\", found an integer\n"
        "10:12: error: cluster.shop.health.interval: a duration needs a unit and quotes; write \"5s\" for "
        "seconds "
        "or \"5ms\" for milliseconds\n"
        "11:8: error: cluster.shop.health.fall: 0 is out of range; allowed is 1 to 100\n"
        "12:2: error: unknown key 'proxi' at the top of the file; did you mean 'proxy'?\n");
}

TEST_CASE("load: behind an error of syntax nothing is checked") {
    const Loaded loaded = load("[cluster.shop]\nbad key = 1\nworse =\n");
    CHECK_FALSE(loaded.settings);
    REQUIRE(loaded.diagnostics.size() == 1);
    CHECK(loaded.diagnostics[0].line == 2);
    CHECK(loaded.diagnostics[0].column == 5);
}

TEST_CASE("load: warnings leave the settings") {
    const Loaded loaded =
        load("[cluster.shop]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:6432\"\nservers = [\"a\"]\n");
    REQUIRE(loaded.diagnostics.size() == 1);
    CHECK(loaded.diagnostics[0].severity == Diagnostic::Severity::warning);
    CHECK(loaded.settings);
}

TEST_CASE("load: an empty file has no cluster") {
    CHECK(says(load(""), "there is no cluster; add one: [cluster.NAME]"));
    CHECK_FALSE(load("").settings);
}

TEST_CASE("load: a key in the wrong table is told where it belongs") {
    CHECK(says(load(small_cluster + "max_lag = \"5s\"\n"),
               "unknown key 'max_lag' in cluster.shop; it belongs in cluster.shop.routing"));
    CHECK(
        says(load(small_cluster + "tls = { mode = \"require\" }\n"), "it belongs in cluster.shop.listener"));
    CHECK(says(load("[defaults]\nmax_lag = \"5s\"\n"), "it belongs in defaults.routing"));
    CHECK(says(load("[defaults]\nservers = []\n"), "1:1") == false);
    CHECK(says(load("[defaults]\nservers = []\n"),
               "2:1: error: 'servers' can't be inherited; set it in each [cluster.NAME]"));
}

TEST_CASE("load: a cluster overrides what it inherits, key by key") {
    const Loaded loaded = load(
        "[defaults]\nconnect_timeout = \"9s\"\n[defaults.health]\nfall = 5\nrise = 6\n"
        "[defaults.routing]\nmax_lag = \"7s\"\nrules = [{match = {user = \"a\"}, to = \"replica\"}]\n"
        "[defaults.failover]\nwait = \"12s\"\n[defaults.pool]\nmax_connections = 7\n"
        "[defaults.service]\nuser = \"probe\"\npassword = \"x\"\ndatabase = \"d\"\n" +
        small_cluster +
        "[cluster.shop.health]\nfall = 3\n[cluster.shop.routing]\nmax_lag.bytes = \"1kB\"\n"
        "rules = []\n[cluster.blog]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:1\"\n"
        "servers = [\"b\"]\n");
    CHECK(listed(loaded) == "");
    REQUIRE(loaded.settings);
    const Cluster& shop = loaded.settings->clusters[0];
    CHECK(shop.connect_timeout == 9s);
    CHECK(shop.health.fall == 3);
    CHECK(shop.health.rise == 6);
    CHECK(shop.routing.max_lag_time == 7s);
    CHECK(shop.routing.max_lag_bytes == 1'000);
    CHECK(shop.routing.rules.empty());
    CHECK(shop.failover.wait == 12s);
    CHECK(shop.pool.max_connections == 7);
    // An account is inherited or replaced whole: never one's name with another's password or database.
    CHECK(shop.service->user == "holdfast");
    CHECK(shop.service->database == "postgres");
    const Cluster& blog = loaded.settings->clusters[1];
    CHECK(blog.health.fall == 5);
    CHECK(blog.routing.max_lag_bytes == 64ULL * 1024 * 1024);
    CHECK(blog.routing.rules.size() == 1);
    CHECK(blog.service->user == "probe");
    CHECK(blog.service->database == "d");
}

TEST_CASE("load: an error in [defaults] is said once") {
    const Loaded loaded =
        load("[defaults.health]\ninterval = \"50ms\"\n" + small_cluster +
             "[cluster.blog]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:1\"\nservers = [\"b\"]\n"
             "service.user = \"x\"\n");
    CHECK(listed(loaded) ==
          "2:12: error: defaults.health.interval: fast (100ms) is above interval (50ms): checks would slow "
          "down when "
          "in doubt; set both\n");
}

TEST_CASE("load: names of clusters fit into metrics, and never reach a terminal raw") {
    const Loaded loaded = load("[cluster.\"a\\u001b[31m\"]\nprotocol = 5\n[cluster.\"\"]\n");
    CHECK(says(loaded, "1:1: error: the name of cluster 'a?[31m'"));
    CHECK(says(loaded, "the name of cluster ''"));
    CHECK(listed(loaded).find('\x1b') == std::string::npos);
}

TEST_CASE("load: more errors than anyone reads are counted, not kept") {
    std::string text;
    for (int i = 0; i < 5'000; ++i) text += "key" + std::to_string(i) + " = 1\n";
    const Loaded loaded = load(text);
    CHECK(loaded.diagnostics.size() == 1'001);
    CHECK(says(loaded, "more are not shown"));
}

TEST_CASE("load: clusters and rules are bounded") {
    std::string clusters;
    for (int i = 0; i < 300; ++i) clusters += "[cluster.c" + std::to_string(i) + "]\n";
    CHECK(says(load(clusters), "257:1: error: more than 256 clusters"));
    std::string rules;
    for (int i = 0; i < 129; ++i) rules += "{ match = { user = \"a\" }, to = \"replica\" },\n";
    CHECK(says(load(small_cluster + "routing.rules = [\n" + rules + "]\n"),
               "135:1: error: cluster.shop.routing.rules: more than 128 rules"));
}

TEST_CASE("admin: may be switched off, and is warned about when it is open") {
    CHECK_FALSE(load(small_cluster + "[admin]\nlisten = \"\"\n").settings->admin.listen);
    const Loaded open = load(small_cluster + "[admin]\nlisten = \"0.0.0.0:9600\"\n");
    CHECK(open.settings);
    CHECK(says(open, "7:10: warning: admin.listen: whoever reaches 0.0.0.0:9600"));
    CHECK(load(small_cluster + "[admin]\nlisten = \"0.0.0.0:9600\"\ntoken = \"t\"\n").diagnostics.empty());
    CHECK(says(load(small_cluster + "[admin]\nlisten = \"/run/a.sock\"\n"), "belongs in admin.socket"));
    CHECK(says(load(small_cluster + "[admin]\nsocket = \"a.sock\"\n"), "expected the absolute path"));
}

TEST_CASE("users: exactly one well-formed secret, for a cluster that exists") {
    const auto user = [](const std::string& keys) { return load(small_cluster + "[[user]]\n" + keys); };
    CHECK(user("name = \"a\"\npassword = \"x\"\n").settings->users[0].cluster == "");
    CHECK(user("name = \"a\"\nmd5 = \"md53175bce1d3201d16594cebf9d7eb3f9d\"\n").settings);
    CHECK(
        says(user("name = \"a\"\n"), "6:1: error: user[1]: exactly one of password, scram_verifier and md5"));
    CHECK(says(user("name = \"a\"\npassword = \"x\"\nmd5 = \"md53175bce1d3201d16594cebf9d7eb3f9d\"\n"),
               "found 2"));
    CHECK(says(user("password = \"x\"\n"), "user[1]: 'name' is missing"));
    CHECK(says(user("name = \"\"\npassword = \"x\"\n"), "user[1].name: the name is empty"));
    CHECK(says(user("name = \"a\"\npassword = \"x\"\ncluster = \"shpo\"\n"),
               "9:11: error: user[1].cluster: there is no cluster 'shpo'; did you mean 'shop'?"));
    const Loaded bad_md5 = user("name = \"a\"\nmd5 = \"md5hunter2\"\n");
    CHECK(says(bad_md5, "user[1].md5: expected \"md5\" and 32 hexadecimal digits"));
    CHECK_FALSE(says(bad_md5, "hunter2"));
    const Loaded bad_scram = user("name = \"a\"\nscram_verifier = \"SCRAM-SHA-256$hunter2\"\n");
    CHECK(says(bad_scram, "user[1].scram_verifier: expected SCRAM-SHA-256$"));
    CHECK_FALSE(says(bad_scram, "hunter2"));
}

TEST_CASE("users: one account a name and cluster") {
    const auto users = [](const std::string& first, const std::string& second) {
        return load(small_cluster +
                    "[cluster.blog]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:1\"\n"
                    "servers = [\"b\"]\nservice.user = \"x\"\n"
                    "[[user]]\nname = \"a\"\npassword = \"x\"\n" +
                    first + "[[user]]\nname = \"a\"\npassword = \"x\"\n" + second);
    };
    CHECK(users("cluster = \"shop\"\n", "cluster = \"blog\"\n").settings);
    CHECK(says(users("cluster = \"shop\"\n", "cluster = \"shop\"\n"),
               "16:8: error: user[2].name: the account 'a' is given already for cluster 'shop' (line 11)"));
    CHECK_FALSE(users("", "").settings);
    CHECK_FALSE(users("", "cluster = \"shop\"\n").settings);
    CHECK_FALSE(users("cluster = \"shop\"\n", "").settings);
}

TEST_CASE("addresses: two listeners on one are refused, naming both lines") {
    const Loaded loaded = load(small_cluster +
                               "[cluster.blog]\nprotocol = \"postgres\"\nlisten = [\"10.0.0.5:6432\", "
                               "\"127.0.0.1:9600\"]\nservers = [\"b\"]\nservice.user = \"x\"\n");
    CHECK(listed(loaded) ==
          "8:11: error: cluster.blog in line 8 can't listen on 10.0.0.5:6432: cluster.shop in line 3 listens "
          "on "
          "0.0.0.0:6432; choose another port or address\n"
          "8:28: error: cluster.blog in line 8 can't listen on 127.0.0.1:9600: admin.listen (by default) "
          "listens on "
          "127.0.0.1:9600; choose another port or address\n");
    CHECK(says(load(small_cluster + "[[cluster.shop.listener]]\nlisten = \"/a\"\n[admin]\nsocket = \"/a\"\n"),
               "9:10: error: admin.socket in line 9 can't listen on /a: cluster.shop.listener[1] in line 7"));
}

TEST_CASE("service: without one the settings stand, and the warning says what to grant") {
    const std::string bare =
        "[cluster.shop]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:6432\"\nservers = [\"a\"]\n";
    const Loaded loaded = load(bare);
    REQUIRE(loaded.settings);
    CHECK_FALSE(loaded.settings->clusters[0].service);
    CHECK(says(loaded, "1:1: warning: cluster.shop has no service account"));
    CHECK(says(loaded, "only users from [[user]] can log in (there are none: nobody can)"));
    CHECK(says(loaded,
               "CREATE ROLE holdfast LOGIN PASSWORD '...'; GRANT pg_monitor TO holdfast; GRANT SELECT ON "
               "pg_catalog.pg_authid TO holdfast;"));
    const Loaded mysql =
        load("[cluster.blog]\nprotocol = \"mysql\"\nlisten = \"0.0.0.0:3306\"\nservers = [\"a\"]\n");
    CHECK(says(mysql, "1:1: warning: cluster.blog has no service account"));
    CHECK(says(mysql, "GRANT SELECT ON mysql.global_priv TO holdfast@'%'"));
    CHECK_FALSE(says(load(bare + "[[user]]\nname = \"a\"\npassword = \"x\"\n"), "nobody can"));
    CHECK(says(load(bare + "service = { password = \"x\" }\n"), "cluster.shop.service: 'user' is missing"));
}

}  // namespace
}  // namespace holdfast::config
