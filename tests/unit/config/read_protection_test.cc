#include <doctest/doctest.h>

#include "tests/unit/config/fake_environment.h"

namespace holdfast::config {
namespace {

using namespace std::chrono_literals;

std::string said(const std::string& added) {
    return listed(load(small_cluster + added));
}
std::string said_of_listener(const std::string& keys, const std::string& protocol = "postgres") {
    return listed(load("[cluster.shop]\nprotocol = \"" + protocol +
                       "\"\nservers = [\"a\"]\nservice.user = \"x\"\n"
                       "[[cluster.shop.listener]]\nlisten = \"0.0.0.0:1\"\n" +
                       keys + "\n"));
}

}  // namespace

TEST_CASE("protection: access rules") {
    const Loaded loaded = load(small_cluster +
                               "access = [\n"
                               "{ user = \"app|web\", database = \"shop\", address = [\"10.0.0.0/8\", "
                               "\"local\"], tls = true, action = \"allow\" },\n"
                               "{ action = \"deny\" } ]\n");
    CHECK(listed(loaded) == "");
    REQUIRE(loaded.settings);
    const auto& access = loaded.settings->clusters[0].access;
    REQUIRE(access.size() == 2);
    CHECK(access[0].user == "app|web");
    CHECK(access[0].address == std::vector<std::string>{"10.0.0.0/8", "local"});
    CHECK(access[0].tls == true);
    CHECK(access[0].action == AccessAction::allow);
    CHECK(access[0].line == 7);
    CHECK_FALSE(access[1].tls);
    CHECK(access[1].action == AccessAction::deny);
}

TEST_CASE("protection: access rules that can't be meant") {
    CHECK(said("access = [{ user = \"a\" }]\n").find("'action' is missing") != std::string::npos);
    CHECK(said("access = [{ action = \"permit\" }]\n").find("expected one of \"allow\", \"deny\"") !=
          std::string::npos);
    CHECK(said("access = [{ user = \"(\", action = \"allow\" }]\n").find("the regular expression") !=
          std::string::npos);
    CHECK(said("access = [{ address = [\"10.0.0.1/8\"], action = \"allow\" }]\n").find("access") !=
          std::string::npos);
    CHECK(said("access = [{ address = [], action = \"allow\" }]\n").find("no address") != std::string::npos);
    CHECK(said("access = [{ action = \"deny\" }]\n").find("warning: cluster.shop.access: no rule allows") !=
          std::string::npos);
    CHECK(said("access = []\n") == "");
}

TEST_CASE("protection: limits, timeouts and what is inherited of them") {
    const Loaded loaded = load(
        "[defaults]\nlimits.user_connections = 7\ntimeouts = { idle = \"1h\", query = \"1m\" }\n"
        "access = [{ action = \"allow\" }]\nsend_proxy_protocol = \"v2\"\n" +
        small_cluster +
        "limits = { connect_rate = 5, login_failures = 10, exceptions = [{ user = \"batch\", connections = 1 "
        "}, "
        "{ database = \"x\", connections = 0 }] }\ntimeouts.query = \"0s\"\n");
    CHECK(listed(loaded) == "");
    REQUIRE(loaded.settings);
    const Cluster& shop = loaded.settings->clusters[0];
    CHECK(shop.limits.user_connections == 7);
    CHECK(shop.limits.connect_rate == 5);
    CHECK(shop.limits.connect_burst == 100);
    CHECK(shop.limits.login_delay == 2s);
    REQUIRE(shop.limits.exceptions.size() == 2);
    CHECK(shop.limits.exceptions[0].user == "batch");
    CHECK(shop.limits.exceptions[1].database == "x");
    CHECK(shop.timeouts.idle == 1h);
    CHECK(shop.timeouts.query == 0s);
    CHECK(shop.access.size() == 1);
    CHECK(shop.send_proxy_protocol == SendProxyProtocol::v2);
}

TEST_CASE("protection: an exception is for a user or a database") {
    const std::string advice = "give a user or a database, one of the two";
    CHECK(said("limits.exceptions = [{ connections = 1 }]\n").find(advice) != std::string::npos);
    CHECK(said("limits.exceptions = [{ user = \"a\", database = \"b\", connections = 1 }]\n").find(advice) !=
          std::string::npos);
    CHECK(said("limits.exceptions = [{ user = \"a\" }]\n").find("'connections' is missing") !=
          std::string::npos);
}

TEST_CASE("protection: PROXY protocol of a listener") {
    CHECK(said_of_listener("proxy_protocol = { from = [\"10.0.0.0/8\"] }") == "");
    CHECK(said_of_listener("proxy_protocol = { from = \"10.0.0.1\", required = false }") == "");
    CHECK(said_of_listener("proxy_protocol = {}").find("'from' is missing") != std::string::npos);
    CHECK(said_of_listener("proxy_protocol = { from = [] }").find("no network") != std::string::npos);
    CHECK(said_of_listener("proxy_protocol = { from = [\"local\"] }").find("expected a network") !=
          std::string::npos);
    CHECK(said_of_listener("proxy_protocol = { from = [\"10.0.0.1\"] }", "mysql") == "");
    CHECK(said_of_listener("proxy_protocol = { from = [\"10.0.0.1\"], required = false }", "mysql")
              .find("wait for the server's greeting") != std::string::npos);
}

TEST_CASE("protection: rules that need a login do not hold where bytes pass unread") {
    CHECK(said_of_listener("role = \"tcp\"\n[cluster.shop.limits]\nuser_connections = 1\n")
              .find("limits of users and databases") != std::string::npos);
    CHECK(said_of_listener("role = \"tcp\"\n[cluster.shop.timeouts]\nquery = \"1m\"\n")
              .find("timeouts other than idle") != std::string::npos);
    CHECK(said_of_listener("role = \"tcp\"\n[[cluster.shop.access]]\nuser = \"app\"\naction = \"allow\"\n")
              .find("lets nobody in there") != std::string::npos);
    CHECK(said_of_listener("role = \"tcp\"\n[[cluster.shop.access]]\ntls = false\naction = \"deny\"\n")
              .find("lets nobody in there") != std::string::npos);
}

TEST_CASE("protection: what needs no login holds where bytes pass unread, too") {
    CHECK(said_of_listener("role = \"tcp\"\n[cluster.shop.limits]\nconnect_rate = 1\n"
                           "[cluster.shop.timeouts]\nidle = \"1m\"\n"
                           "[[cluster.shop.access]]\naddress = [\"10.0.0.0/8\"]\naction = \"allow\"\n") ==
          "");
}

}  // namespace holdfast::config
