#include "config/compare.h"

#include <algorithm>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "config/sources.h"
#include "tests/unit/config/fake_environment.h"

namespace holdfast::config {
namespace {

/// Every key, each with a value that differs from its default.
constexpr std::string_view everything = R"(
user = [
    { name = "legacy", cluster = "shop", password = "first" },
    { name = "old", scram_verifier = "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" },
    { name = "older", md5 = "md500000000000000000000000000000000" },
]
[proxy]
log_level = "debug"
log_format = "json"
max_clients = 7
drain_timeout = "7s"
state_file = "/var/lib/holdfast/a.json"
[reload]
watch = true
[admin]
listen = "127.0.0.1:9601"
socket = "/run/holdfast/admin.sock"
token = "token-a"
[cluster.shop]
protocol = "postgres"
servers = [{ name = "pg1", address = "10.0.1.11", weight = 7, promote = "never" }, "10.0.1.12"]
service = { user = "holdfast", password = "hunter2", database = "app" }
server_tls = { mode = "require", ca = "/pki/a.pem", server_name = "a.example", direct = true }
connect_timeout = "7s"
login_timeout = "7s"
tcp_user_timeout = "7s"
keepalive = { idle = "7s", interval = "7s", count = 7 }
health = { interval = "7s", fast = "70ms", timeout = "7s", fall = 7, rise = 7 }
pool = { mode = "session", max_connections = 7, idle_timeout = "7s" }
failover = { mode = "follow", wait = "70s", no_primary = "reject", replay = true }
send_proxy_protocol = "v1"
access = [{ user = "a", database = "a", address = ["10.0.0.0/8"], tls = true, action = "allow" }]
timeouts = { idle = "7s", idle_in_transaction = "7s", transaction = "7s", query = "7s" }
[cluster.shop.limits]
user_connections = 7
database_connections = 7
connect_rate = 7
connect_burst = 7
login_failures = 7
login_delay = "7s"
exceptions = [{ user = "a", connections = 7 }, { database = "a", connections = 7 }]
[[cluster.shop.listener]]
listen = ["0.0.0.0:6432", "/run/holdfast/pg"]
role = "primary"
tls = { mode = "require", cert = "/pki/a.pem", key = "/pki/a.key", client_ca = "/pki/a.pem" }
allow = ["10.0.0.0/8"]
proxy_protocol = { from = ["10.0.0.0/8"], required = false }
auth = "scram"
[cluster.shop.routing]
consistency = "eventual"
max_lag = { time = "7s", bytes = "7MiB" }
balance = "random"
primary_reads = "never"
slow_start = "7s"
rules = [{ match = { user = "a", database = "a", application_name = "a", sql = "a", comment = "a" }, to = "primary" }]
)";

Settings settings_of(std::string_view text, const std::string& certificate = "A") {
    FakeEnvironment environment;
    for (const char* path : {"/pki/a.pem", "/pki/b.pem"}) environment.files[path] = {certificate};
    for (const char* path : {"/pki/a.key", "/pki/b.key"}) environment.files[path] = {"key"};
    const Loaded loaded = load(text, environment);
    REQUIRE_MESSAGE(loaded.settings, listed(loaded));
    return *loaded.settings;
}

std::string replaced(std::string_view text, std::string_view what, std::string_view with) {
    std::string out{text};
    const size_t at = out.find(what);
    REQUIRE_MESSAGE(at != std::string::npos, what);
    return out.replace(at, what.size(), with);
}

/// "path: before -> after", one a line; '+' and '-' before what came or went.
std::string told(const std::vector<Change>& changes) {
    std::string out;
    for (const Change& change : changes) {
        if (change.kind == Change::Kind::added) out += "+";
        if (change.kind == Change::Kind::removed) out += "-";
        out += change.path + ": " + change.before + " -> " + change.after + "\n";
    }
    return out;
}

bool is_leaf(const Key& key) {
    switch (key.type) {
        case Type::table:
        case Type::named_tables:
        case Type::tables:
        case Type::lag: return false;
        // Short for a listener, which is there.
        default: return key.path != "cluster.*.listen";
    }
}

TEST_CASE("flatten: has every key of the table, with its value") {
    std::map<std::string_view, std::string> values;
    for (const Effective& each : flatten(settings_of(everything))) {
        CAPTURE(each.path);
        REQUIRE(each.key != nullptr);
        // What several elements have is compared with the first that sets it.
        if (values[each.key->path].empty()) values[each.key->path] = each.value;
    }
    for (const Key& key : all_keys()) {
        if (!is_leaf(key)) continue;
        CAPTURE(key.path);
        REQUIRE(values.contains(key.path));
        CHECK_FALSE(values[key.path].empty());
        // The text sets everything to something else than the default, where there is another value.
        const bool has_other = key.path != "cluster.*.pool.mode" && key.path != "cluster.*.failover.mode";
        if (has_other) CHECK(values[key.path] != key.fallback);
    }
    CHECK(values["cluster.*.protocol"] == "postgres");
    CHECK(values["cluster.*.servers"] == "pg1, 10.0.1.12");
    CHECK(values["cluster.*.servers[].address"] == "10.0.1.11:5432");
    CHECK(values["cluster.*.listener[].listen"] == "0.0.0.0:6432, /run/holdfast/pg");
    CHECK(values["cluster.*.listener[].auth"] == "scram");
    CHECK(values["cluster.*.routing.max_lag.bytes"] == "7MiB");
    CHECK(values["cluster.*.failover.wait"] == "70s");
    CHECK(values["cluster.*.failover.no_primary"] == "reject");
}

TEST_CASE("compare: notices a change of any key") {
    // The same with every value changed, save the names by which things are known.
    std::string other{everything};
    const auto change = [&](std::string_view what, std::string_view with) {
        other = replaced(other, what, with);
    };
    change("\"first\"", "\"second\"");
    change("=:AAAA", "=:BBBB");
    change("md50", "md51");
    change("\"debug\"", "\"warn\"");
    change("\"json\"", "\"logfmt\"");
    change("watch = true", "watch = false");
    change("9601", "9602");
    change("admin.sock", "other.sock");
    change("token-a", "token-b");
    change("a.json", "b.json");
    change("10.0.1.11", "10.0.1.13");
    change("promote = \"never\"", "promote = \"yes\"");
    change("user = \"holdfast\", password = \"hunter2\", database = \"app\"",
           "user = \"other\", password = \"hunter3\", database = \"other\"");
    change("mode = \"require\", ca = \"/pki/a.pem\", server_name = \"a.example\", direct = true",
           "mode = \"verify-ca\", ca = \"/pki/b.pem\", server_name = \"b.example\", direct = false");
    change("\"reject\", replay = true", "\"read-only\", replay = false");
    change("\"/run/holdfast/pg\"", "\"/run/holdfast/pq\"");
    change("role = \"primary\"", "role = \"replica\"");
    change("mode = \"require\", cert = \"/pki/a.pem\", key = \"/pki/a.key\", client_ca = \"/pki/a.pem\"",
           "mode = \"prefer\", cert = \"/pki/b.pem\", key = \"/pki/b.key\", client_ca = \"/pki/b.pem\"");
    change("\"v1\"", "\"v2\"");
    change(R"(user = "a", database = "a", address = ["10.0.0.0/8"], tls = true, action = "allow")",
           R"(user = "b", database = "b", address = ["10.2.0.0/16"], tls = false, action = "deny")");
    change("exceptions = [{ user = \"a\"", "exceptions = [{ user = \"b\"");
    change("{ database = \"a\", connections", "{ database = \"b\", connections");
    change("10.0.0.0/8", "192.168.0.0/16");
    change("from = [\"10.0.0.0/8\"], required = false", "from = [\"10.2.0.0/16\"], required = true");
    change("\"scram\"", "\"password\"");
    change("eventual", "primary");
    change("\"random\"", "\"round_robin\"");
    change("primary_reads = \"never\"", "primary_reads = \"always\"");
    change(
        R"(user = "a", database = "a", application_name = "a", sql = "a", comment = "a" }, to = "primary")",
        R"(user = "b", database = "b", application_name = "b", sql = "b", comment = "b" }, to = "replica")");
    for (size_t at = other.find('7'); at != std::string::npos; at = other.find('7')) other[at] = '8';

    std::set<std::string_view> changed;
    for (const Change& each : compare(settings_of(everything), settings_of(other))) {
        CAPTURE(each.path);
        CHECK(each.kind == Change::Kind::changed);
        changed.insert(each.key->path);
    }
    for (const Key& key : all_keys()) {
        // What has one supported value, and what names the element.
        const std::set<std::string_view> fixed{
            "cluster.*.protocol",       "cluster.*.pool.mode", "cluster.*.failover.mode", "cluster.*.servers",
            "cluster.*.servers[].name", "user[].name",         "user[].cluster"};
        if (!is_leaf(key) || fixed.contains(key.path)) continue;
        CAPTURE(key.path);
        CHECK(changed.contains(key.path));
    }
}

TEST_CASE("compare: the same is no change, however it is written") {
    const Settings settings = settings_of(small_cluster);
    CHECK(compare(settings, settings).empty());
    const std::string longer = replaced(replaced(small_cluster, "listen = \"0.0.0.0:6432\"\n", ""), "service",
                                        "listener = [{ listen = [\"0.0.0.0:6432\"], role = \"auto\" "
                                        "}]\nconnect_timeout = \"2000ms\"\nservice");
    CHECK(told(compare(settings, settings_of(longer))) == "");
}

TEST_CASE("compare: says the place, and the values before and after") {
    const Settings before = settings_of(everything);
    const auto against = [&](std::string_view what, std::string_view with) {
        return told(compare(before, settings_of(replaced(everything, what, with))));
    };
    CHECK(against("weight = 7", "weight = 50") == "cluster.shop.servers[pg1].weight: 7 -> 50\n");
    CHECK(against("role = \"primary\"", "role = \"tcp\"") ==
          "cluster.shop.listener[0.0.0.0:6432].role: primary -> tcp\n");
    CHECK(against("sql = \"a\"", "sql = \"b\"") == "cluster.shop.routing.rules[1].match.sql: a -> b\n");
    CHECK(against("sql = \"a\", ", "") == "-cluster.shop.routing.rules[1].match.sql: a -> \n");
    CHECK(against("max_clients = 7\n", "") == "proxy.max_clients: 7 -> 10000\n");
}

TEST_CASE("compare: secrets count, and are never shown") {
    const Settings before = settings_of(everything);
    const Settings after =
        settings_of(replaced(replaced(everything, "\"first\"", "\"second\""), "hunter2", "hunter3"));
    CHECK(told(compare(before, after)) ==
          "cluster.shop.service.password: (secret) -> (secret)\n"
          "user[legacy@shop].password: (secret) -> (secret)\n");
    std::string all;
    for (const Effective& each : flatten(before)) all += each.path + " = " + each.value + "\n";
    for (const char* secret : {"first", "hunter2", "token-a", "SCRAM-SHA-256$", "md50"}) {
        CAPTURE(secret);
        CHECK(all.find(secret) == std::string::npos);
    }
    CHECK(all.find("admin.token = (secret)\n") != std::string::npos);
    CHECK(all.find("user[old].password = \n") != std::string::npos);
}

TEST_CASE("compare: a certificate that was renewed in its file is a change") {
    const auto changes = compare(settings_of(everything, "A"), settings_of(everything, "B"));
    CHECK(told(changes) ==
          "cluster.shop.listener[0.0.0.0:6432].tls.cert: /pki/a.pem -> /pki/a.pem (new content)\n"
          "cluster.shop.listener[0.0.0.0:6432].tls.client_ca: /pki/a.pem -> /pki/a.pem (new content)\n"
          "cluster.shop.server_tls.ca: /pki/a.pem -> /pki/a.pem (new content)\n");
}

TEST_CASE("compare: what comes or goes as a whole names itself") {
    const Settings before = settings_of(small_cluster);
    const Settings after = settings_of(replaced(small_cluster, "\"10.0.1.12\"", "\"10.0.1.13\"") +
                                       "[cluster.blog]\nprotocol = \"mysql\"\nlisten = \"0.0.0.0:3307\"\n"
                                       "servers = [\"10.0.2.1\"]\n");
    std::set<std::string> with;
    for (const Change& change : compare(before, after)) {
        CAPTURE(change.path);
        CHECK_FALSE(change.with.empty());
        CHECK(change.path.starts_with(change.with + "."));
        CHECK(change.reload == Reload::hot);
        with.insert(change.with);
    }
    CHECK(with == std::set<std::string>{"cluster.blog", "cluster.shop.servers[10.0.1.12]",
                                        "cluster.shop.servers[10.0.1.13]"});
    CHECK(summarise(compare(before, after), 200) ==
          "+cluster.shop.servers[10.0.1.13], +cluster.blog, -cluster.shop.servers[10.0.1.12]");
}

TEST_CASE("compare: tells what a reload can't apply") {
    const Settings before = settings_of(everything);
    const auto reload_of = [&](std::string_view what, std::string_view with) {
        const auto changes = compare(before, settings_of(replaced(everything, what, with)));
        REQUIRE(changes.size() == 1);
        return changes[0].reload;
    };
    CHECK(reload_of("weight = 7", "weight = 50") == Reload::hot);
    CHECK(reload_of("a.json", "b.json") == Reload::restart);
    // The order of servers is that of their places, which they keep.
    CHECK(
        reload_of(R"({ name = "pg1", address = "10.0.1.11", weight = 7, promote = "never" }, "10.0.1.12")",
                  R"("10.0.1.12", { name = "pg1", address = "10.0.1.11", weight = 7, promote = "never" })") ==
        Reload::restart);
    const auto protocol = compare(settings_of(small_cluster),
                                  settings_of(replaced(small_cluster, "\"postgres\"", "\"mysql\"")));
    CHECK(std::any_of(protocol.begin(), protocol.end(), [](const Change& change) {
        return change.path == "cluster.shop.protocol" && change.reload == Reload::refused;
    }));
}

TEST_CASE("compare: a summary has a bound, and counts what is left out") {
    const auto changes =
        compare(settings_of(small_cluster),
                settings_of(small_cluster +
                            "[proxy]\nlog_level = \"debug\"\nmax_clients = 5\ndrain_timeout = \"1s\"\n"));
    CHECK(summarise(changes, 200) == "proxy.log_level, proxy.max_clients, proxy.drain_timeout");
    CHECK(summarise(changes, 40) == "proxy.log_level, proxy.max_clients, 1 more");
    CHECK(summarise(changes, 5) == "3 more");
    CHECK(summarise({}, 5) == "");
}

TEST_CASE("sources: every file that was read, once, and also one that is missing") {
    FakeEnvironment environment;
    environment.files["/pki/a.pem"] = {"A"};
    const std::string text = small_cluster + "server_tls = { mode = \"verify-ca\", ca = \"/pki/a.pem\" }\n" +
                             "[admin]\ntoken = { file = \"/gone\" }\n";
    const Loaded loaded = load(text, environment);
    CHECK_FALSE(loaded.settings);
    const auto read = [](const std::vector<SourceFile>& sources) {
        std::vector<std::pair<std::string, uint64_t>> out;
        for (const SourceFile& source : sources) out.emplace_back(source.path, source.digest);
        return out;
    };
    using Read = std::vector<std::pair<std::string, uint64_t>>;
    CHECK(read(loaded.sources) ==
          Read{{"holdfast.toml", digest_of(text)}, {"/gone", 0}, {"/pki/a.pem", digest_of("A")}});
    environment.files["holdfast.toml"] = {text};
    CHECK(look_again(loaded.sources, environment) == loaded.sources);
    environment.files["/pki/a.pem"] = {"B"};
    environment.files["/gone"] = {"token"};
    CHECK(read(look_again(loaded.sources, environment)) == Read{{"holdfast.toml", digest_of(text)},
                                                                {"/gone", digest_of("token")},
                                                                {"/pki/a.pem", digest_of("B")}});
    // What is too large for the loader can't be told from what is missing: it is no change while it stays so.
    environment.files["/gone"] = {std::string(100'000, 'x')};
    CHECK(look_again(loaded.sources, environment)[1].digest == 0);
}

}  // namespace
}  // namespace holdfast::config
