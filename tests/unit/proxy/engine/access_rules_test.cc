#include "proxy/engine/access_rules.h"

#include <doctest/doctest.h>

#include "protocol/base/ip_address.h"

using namespace holdfast;
using namespace holdfast::engine;

namespace {

config::AccessRule rule(config::AccessAction action, int line) {
    config::AccessRule made;
    made.action = action;
    made.line = line;
    return made;
}
constexpr auto allow = config::AccessAction::allow;
constexpr auto deny = config::AccessAction::deny;

/// The line of the rule that decided, negative when it denied; 0: none, and denied.
int judged(const AccessRules& rules, std::string_view user, std::string_view database, std::string_view ip,
           bool tls = false) {
    const IpAddress address = ip.empty() ? IpAddress{} : *parse_ip(ip);
    const auto verdict = rules.judge({user, database, address.ip(), tls});
    return verdict.is_allowed ? verdict.line : -verdict.line;
}

}  // namespace

TEST_CASE("access: without rules everyone may come in") {
    CHECK(AccessRules({}).judge({"app", "shop", {}, false}).is_allowed);
}

TEST_CASE("access: the first rule whose conditions all hold decides, and none is no") {
    config::AccessRule first = rule(deny, 1);
    first.user = "app";
    first.tls = false;
    first.address = {"10.0.0.0/8", "fd00::/8"};
    config::AccessRule second = rule(allow, 2);
    second.user = "app|report_.*";
    second.database = "shop";
    const AccessRules rules({first, second});
    CHECK(judged(rules, "app", "shop", "10.1.2.3") == -1);
    CHECK(judged(rules, "app", "shop", "fd00::1") == -1);
    CHECK(judged(rules, "app", "shop", "10.1.2.3", true) == 2);
    CHECK(judged(rules, "app", "shop", "11.1.2.3") == 2);
    CHECK(judged(rules, "app", "shop", "") == 2);
    CHECK(judged(rules, "report_7", "shop", "10.1.2.3") == 2);
    CHECK_FALSE(rules.judge({"report_7", "shop2", {}, true}).is_allowed);  // whole names only
    CHECK_FALSE(rules.judge({"an_app", "shop", {}, true}).is_allowed);
    CHECK(judged(rules, "other", "shop", "11.1.2.3") == 0);
}

TEST_CASE("access: a Unix socket is no address, unless a rule says local") {
    config::AccessRule everywhere = rule(allow, 1);
    everywhere.address = {"0.0.0.0/0", "::/0"};
    const AccessRules networks({everywhere});
    CHECK(judged(networks, "app", "shop", "10.0.0.1") == 1);
    CHECK_FALSE(networks.judge({"app", "shop", {}, false}).is_allowed);
    everywhere.address = {"local"};
    const AccessRules local({everywhere});
    CHECK(judged(local, "app", "shop", "") == 1);
    CHECK(judged(local, "app", "shop", "10.0.0.1") == 0);
}

TEST_CASE("access: a name too long to be matched is refused") {
    config::AccessRule any = rule(allow, 1);
    any.user = ".*";
    const AccessRules rules({any});
    CHECK(judged(rules, std::string(2'000, 'u'), "", "") == 1);
    CHECK_FALSE(rules.judge({std::string(2'001, 'u'), "", {}, false}).is_allowed);
}

TEST_CASE("access: bytes that pass unread come in only where that is right whoever sends them") {
    config::AccessRule own = rule(allow, 1);  // by address alone
    own.address = {"10.0.0.0/8"};
    config::AccessRule admin = rule(deny, 2);
    admin.user = "admin";
    admin.address = {"192.168.0.0/16"};
    config::AccessRule app = rule(allow, 3);
    app.database = "shop";
    config::AccessRule local = rule(allow, 4);
    local.address = {"local", "192.168.0.0/16", "172.16.0.0/12"};
    config::AccessRule plain = rule(deny, 5);
    plain.tls = false;
    config::AccessRule rest = rule(allow, 6);
    const AccessRules rules({own, admin, app, local, plain, rest});
    const auto judged_unread = [&](std::string_view ip) {
        const IpAddress address = ip.empty() ? IpAddress{} : *parse_ip(ip);
        const auto verdict = rules.judge_unread(address.ip());
        return verdict.is_allowed ? verdict.line : -verdict.line;
    };
    CHECK(judged_unread("10.1.1.1") == 1);
    CHECK(judged_unread("192.168.1.1") == -2);  // it may be the admin
    CHECK(judged_unread("172.16.1.1") == 4);    // it may not be for that database
    CHECK(judged_unread("") == 4);
    CHECK(judged_unread("1.1.1.1") == -5);  // it may come without TLS
    CHECK(AccessRules({}).judge_unread({}).is_allowed);
    CHECK_FALSE(AccessRules({app}).judge_unread({}).is_allowed);
}
