#include <doctest/doctest.h>

#include "config/parts.h"
#include "tests/unit/config/fake_environment.h"

namespace holdfast::config {
namespace {

using namespace std::chrono_literals;

/// What is said of the small cluster with these keys or tables added.
std::string said(const std::string& added) {
    return listed(load(small_cluster + added));
}

std::string said_of_servers(const std::string& servers) {
    return listed(
        load("[cluster.shop]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:6432\"\n"
             "service.user = \"x\"\nservers = " +
             servers + "\n"));
}

std::string said_of_listener(const std::string& keys, FakeEnvironment environment = {}) {
    return listed(
        load("[cluster.shop]\nprotocol = \"postgres\"\nservers = [\"a\"]\nservice.user = \"x\"\n"
             "[[cluster.shop.listener]]\n" +
                 keys + "\n",
             environment));
}

TEST_CASE("cluster: says what is missing, all of it") {
    CHECK(listed(load("[cluster.shop]\nservice.user = \"x\"\n")) ==
          "1:1: error: cluster.shop: 'protocol' is missing; write protocol = \"postgres\"\n"
          "1:1: error: cluster.shop: there is no listener; write listen = \"0.0.0.0:6432\", or a "
          "[[cluster.shop.listener]]\n"
          "1:1: error: cluster.shop: 'servers' is missing; write servers = [\"10.0.1.11\", \"10.0.1.12\"]\n");
    CHECK(said_of_servers("[]").find("5:11: error: cluster.shop.servers: there are no servers") == 0);
    CHECK(listed(load("cluster = 5\n")).find("1:11: error: cluster: expected tables") == 0);
    CHECK(listed(load("cluster.shop = 5\n")).find("1:9: error: cluster holds only tables") == 0);
}

TEST_CASE("cluster: mysql has another port, and is checked like the others") {
    CHECK(
        listed(load(
            "[cluster.blog]\nprotocol = \"mysql\"\nlisten = \"0.0.0.0:3306\"\nservers = [\"a\", \"a:3306\"]\n"
            "service = { user = \"x\" }\n")) ==
        "4:17: error: cluster.blog.servers: a:3306 is listed already (line 4)\n");
}

TEST_CASE("cluster: what this release can't do is refused, or said") {
    CHECK(said("pool.mode = \"transaction\"\n")
              .find("6:13: error: cluster.shop.pool.mode: \"transaction\" is not "
                    "supported yet: it arrives with transaction pooling") == 0);
    CHECK(said("failover.mode = \"promote\"\n").find("\"promote\" is not supported yet: it needs") !=
          std::string::npos);
    CHECK(said("failover.mode = \"manual\"\n").find("\"manual\" is not supported yet") != std::string::npos);
    CHECK(said("failover.mode = \"follow\"\n") == "");
    CHECK(said("failover.replay = false\n") == "");
    CHECK(
        said("failover.replay = true\n").find("warning: cluster.shop.failover.replay: transaction replay") !=
        std::string::npos);
}

TEST_CASE("cluster: checks of several keys") {
    CHECK(said("health = { interval = \"1s\", fast = \"1s\" }\n") == "");
    CHECK(said("health = { interval = \"1s\", fast = \"2s\" }\n").find("fast (2s) is above interval (1s)") !=
          std::string::npos);
    CHECK(said("health.timeout = \"0s\"\n").find("'0s' is out of range; allowed is 10ms to 1m") !=
          std::string::npos);
    CHECK(said("failover.wait = \"1s\"\n").find("warning: cluster.shop.failover.wait: 1s is shorter") !=
          std::string::npos);
    CHECK(said("failover.wait = \"0s\"\n") == "");
    CHECK(said("keepalive.idle = \"1500ms\"\n").find("whole seconds, found 1500ms") != std::string::npos);
    CHECK(said("server_tls = { direct = true }\n").find("direct TLS needs mode \"require\"") !=
          std::string::npos);
    CHECK(said("server_tls = { direct = true, mode = \"require\" }\n") == "");
    CHECK(said("server_tls.mode = \"verify-full\"\n") == "");
    CHECK(said("server_tls.mode = \"verify_full\"\n").find("did you mean 'verify-full'?") !=
          std::string::npos);
    CHECK(said("server_tls.ca = \"/ca.pem\"\n").find("can't read '/ca.pem': No such file") !=
          std::string::npos);
}

TEST_CASE("servers: mixed forms, names and weights") {
    CHECK(said_of_servers("[\"a\", { address = \"b\" }, { name = \"third\", address = \"/run/pg:5433\" }]") ==
          "");
    CHECK(said_of_servers("\"a\"").find("5:11: error: cluster.shop.servers: expected an array") == 0);
    CHECK(said_of_servers("[{ name = \"x\" }]")
              .find("5:12: error: cluster.shop.servers[1]: 'address' is missing") == 0);
    CHECK(said_of_servers("[{ adress = \"x\" }]")
              .find("5:14: error: unknown key 'adress' in cluster.shop.servers[1]; "
                    "did you mean 'address'?") != std::string::npos);
    CHECK(said_of_servers("[{ name = \"a b\", address = \"x\" }]").find("no blanks") != std::string::npos);
    CHECK(said_of_servers("[{ address = \"a\", weight = -1 }]")
              .find("-1 is out of range; allowed is 0 to 10000") != std::string::npos);
    CHECK(said_of_servers("[{ address = \"a\", weight = 0 }, { address = \"b\", weight = 0 }]")
              .find("every weight is 0") != std::string::npos);
    CHECK(said_of_servers("[{ address = \"a\", weight = 0 }]") == "");
    CHECK(said_of_servers("[\"a\", \"dns+b:5432\"]").find("5:17: error: cluster.shop.servers: \"dns+\"") ==
          0);
}

TEST_CASE("servers: no address and no name twice") {
    CHECK(said_of_servers("[\"a\",\n\"A:5432\"]") ==
          "6:1: error: cluster.shop.servers: A:5432 is listed already (line 5)\n");
    CHECK(said_of_servers("[\"[::1]\", \"[0::1]\"]").find("is listed already") != std::string::npos);
    CHECK(
        said_of_servers("[\"a\", { name = \"a\", address = \"b\" }]").find("the name 'a' is taken already") !=
        std::string::npos);
    CHECK(said_of_servers("[\"a:5432\", \"a:5433\"]") == "");
}

TEST_CASE("listener: files of TLS must be there, in pairs") {
    FakeEnvironment environment;
    environment.files["/c"] = {"x"};
    environment.files["/k"] = {"x", 0600, false};
    const std::string listen = "listen = \"0.0.0.0:6432\"\n";
    CHECK(said_of_listener(listen + "tls = { cert = \"/c\", key = \"/c\" }", environment) == "");
    CHECK(said_of_listener(listen + "tls = { cert = \"/c\" }", environment)
              .find("7:16: error: cluster.shop.listener[1].tls.cert: a certificate needs its private key") ==
          0);
    CHECK(said_of_listener(listen + "tls = { key = \"/c\" }", environment)
              .find("a private key needs its certificate") != std::string::npos);
    CHECK(said_of_listener(listen + "tls = { cert = \"/c\", key = \"/k\" }", environment)
              .find("can't read '/k': Permission denied") != std::string::npos);
    CHECK(said_of_listener(listen + "tls = { client_ca = \"\" }").find("an empty path") != std::string::npos);
}

TEST_CASE("listener: addresses, networks and methods") {
    CHECK(said_of_listener("role = \"auto\"")
              .find("5:1: error: cluster.shop.listener[1]: 'listen' is missing") == 0);
    CHECK(said_of_listener("listen = []").find("no address") != std::string::npos);
    CHECK(said_of_listener("listen = [5]")
              .find("6:11: error: cluster.shop.listener[1].listen: expected a text") == 0);
    const std::string listen = "listen = \"0.0.0.0:6432\"\n";
    CHECK(
        said_of_listener(listen + "allow = [\"10.0.0.0/8\", \"10.0.0.1/8\"]")
            .find(
                "7:24: error: cluster.shop.listener[1].allow: '10.0.0.1/8' has bits set behind its prefix") ==
        0);
    CHECK(said_of_listener(listen + "role = \"replic\"").find("did you mean 'replica'?") !=
          std::string::npos);
    CHECK(said_of_listener(listen + "auth = \"trust\"")
              .find("warning: cluster.shop.listener[1].auth: \"trust\"") != std::string::npos);
    CHECK(said_of_listener(listen + "auth = \"password\"").find("clear text") != std::string::npos);
    CHECK(said_of_listener(listen + "auth = \"password\"\ntls.mode = \"require\"") == "");
    CHECK(said_of_listener(listen + "auth = \"cert\"")
              .find("error: cluster.shop.listener[1].auth: \"cert\" needs") != std::string::npos);
    CHECK(said_of_listener(listen + "auth = \"md5\"") == "");
}

TEST_CASE("listener: a bounded number of addresses") {
    std::string addresses;
    for (int i = 1; i <= 300; ++i) addresses += "\"127.0.0.2:" + std::to_string(i) + "\", ";
    CHECK(said_of_listener("listen = [" + addresses + "]").find("more than 256 addresses") !=
          std::string::npos);
}

TEST_CASE("routing: max_lag is a duration or a table") {
    const Loaded loaded = load(small_cluster + "routing.max_lag = \"7s\"\n");
    REQUIRE(loaded.settings);
    CHECK(loaded.settings->clusters[0].routing.max_lag_time == 7s);
    CHECK(loaded.settings->clusters[0].routing.max_lag_bytes == 64ULL * 1024 * 1024);
    CHECK(said("routing.max_lag = { bytes = \"64 MiB\" }\n")
              .find("6:29: error: cluster.shop.routing.max_lag.bytes: expected a size such as") == 0);
    CHECK(said("routing.max_lag = { bytes = 64 }\n").find("write \"64B\" for bytes") != std::string::npos);
    CHECK(said("routing.max_lag = \"5 s\"\n")
              .find("6:19: error: cluster.shop.routing.max_lag.time: expected a duration "
                    "such as \"500ms\", \"5s\", \"2m\" or \"1h\", found '5 s'") == 0);
    CHECK(said("routing.max_lag = { tme = \"5s\" }\n").find("did you mean 'time'?") != std::string::npos);
    CHECK(said("routing.max_lag = [1]\n").find("found an array") != std::string::npos);
}

TEST_CASE("rules: need a condition that compiles, and a target") {
    const auto said_of_rule = [](const std::string& rule) {
        return said("routing.rules = [" + rule + "]\n");
    };
    CHECK(said_of_rule("{ match = { sql = 'x(a|b)[0-9]+\\s' }, to = \"replica\" }") == "");
    CHECK(said_of_rule("{ match = {}, to = \"replica\" }").find("a rule without a condition") !=
          std::string::npos);
    CHECK(said_of_rule("{ to = \"replica\" }").find("rules[1]: 'match' is missing") != std::string::npos);
    CHECK(said_of_rule("{ match = { user = \"a\" } }").find("rules[1]: 'to' is missing") !=
          std::string::npos);
    CHECK(said_of_rule("{ match = { user = \"a\" }, to = \"pg2\" }")
              .find("expected one of \"primary\", \"replica\"") != std::string::npos);
    CHECK(said_of_rule("{ match = { usr = \"a\" }, to = \"primary\" }").find("did you mean 'user'?") !=
          std::string::npos);
    CHECK(said_of_rule("{ match = { user = \"\" }, to = \"primary\" }").find("an empty expression") !=
          std::string::npos);
    CHECK(
        said_of_rule("{ match = { user = '(a' }, to = \"primary\" }")
            .find("6:37: error: cluster.shop.routing.rules[1].match.user: the regular expression '(a' has a "
                  "parenthesis without its partner") == 0);
    CHECK(said_of_rule("{ match = { user = '[a' }, to = \"primary\" }").find("has a '[' without") !=
          std::string::npos);
    CHECK(said_of_rule("{ match = { user = '*a' }, to = \"primary\" }").find("nothing to repeat") !=
          std::string::npos);
    CHECK(said_of_rule("{ match = { user = '(?i)a' }, to = \"primary\" }").find("a (?...) other than") !=
          std::string::npos);
    CHECK(said_of_rule("{ match = { user = '[[:foo:]]' }, to = \"primary\" }")
              .find("unknown character class") != std::string::npos);
    CHECK(said_of_rule("{ match = { user = '" + std::string(600, '(') + "' }, to = \"primary\" }")
              .find("at most 512 bytes") != std::string::npos);
    CHECK(said_of_rule("{ match = { user = '((a{1000}){1000}){1000}' }, to = \"primary\" }")
              .find("too complex") != std::string::npos);
}

}  // namespace
}  // namespace holdfast::config
