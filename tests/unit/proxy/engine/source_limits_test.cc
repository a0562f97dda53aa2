#include "proxy/engine/source_limits.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"

using namespace holdfast;
using namespace holdfast::engine;
using namespace std::chrono_literals;
using Login = SourceLimits::Login;

namespace {

constexpr TimePoint start{1'000s};

struct Lab {
    SourceLimits sources{{}, 1'024};
    config::Limits limits;
    TimePoint now = start;

    bool connect(std::string_view ip) { return sources.may_connect(*parse_ip(ip), limits, now); }
    SourceLimits::Claim claim(std::string_view ip, std::string_view user) const {
        return sources.claim(*parse_ip(ip), "shop", user, limits);
    }
    void fail(std::string_view ip, std::string_view user) {
        sources.login_failed(claim(ip, user), limits, now);
    }
    /// The delay of one that waits is over at once.
    Login log_in(std::string_view ip, std::string_view user) {
        const auto who = claim(ip, user);
        const Login verdict = sources.judge(who, limits, now);
        if (verdict == Login::after_delay) sources.done_waiting(who);
        return verdict;
    }
};

}  // namespace

TEST_CASE("source limits: connections by rate and burst, each address for itself") {
    Lab lab;
    CHECK(lab.connect("10.0.0.1"));  // no limit
    lab.limits.connect_rate = 10;
    lab.limits.connect_burst = 3;
    for (int i = 0; i < 3; ++i) CHECK(lab.connect("10.0.0.1"));
    CHECK_FALSE(lab.connect("10.0.0.1"));
    CHECK(lab.connect("10.0.0.2"));
    lab.now += 99ms;
    CHECK_FALSE(lab.connect("10.0.0.1"));
    lab.now += 2ms;
    CHECK(lab.connect("10.0.0.1"));
    CHECK_FALSE(lab.connect("10.0.0.1"));
    lab.now += 1h;  // no more than the burst is saved up
    for (int i = 0; i < 3; ++i) CHECK(lab.connect("10.0.0.1"));
    CHECK_FALSE(lab.connect("10.0.0.1"));
    lab.limits.connect_rate = 1'000;  // a reload counts at once
    lab.now += 1ms;
    CHECK(lab.connect("10.0.0.1"));
}

TEST_CASE("source limits: an IPv6 network is one source, and a Unix socket none") {
    Lab lab;
    lab.limits.connect_rate = 1;
    lab.limits.connect_burst = 1;
    CHECK(lab.connect("2001:db8::1"));
    CHECK_FALSE(lab.connect("2001:db8::ffff:2"));
    CHECK(lab.connect("2001:db8:0:1::1"));
    for (int i = 0; i < 10; ++i) CHECK(lab.sources.may_connect({}, lab.limits, lab.now));
}

TEST_CASE("source limits: clusters with the same limits share an address's connections") {
    Lab lab;
    lab.limits.connect_rate = 1;
    lab.limits.connect_burst = 2;
    config::Limits own = lab.limits;
    own.connect_burst = 3;
    CHECK(lab.connect("10.0.0.1"));
    CHECK(lab.connect("10.0.0.1"));
    const config::Limits same = lab.limits;
    CHECK_FALSE(lab.sources.may_connect(*parse_ip("10.0.0.1"), same, lab.now));
    for (int i = 0; i < 3; ++i) CHECK(lab.sources.may_connect(*parse_ip("10.0.0.1"), own, lab.now));
    CHECK_FALSE(lab.sources.may_connect(*parse_ip("10.0.0.1"), own, lab.now));
}

TEST_CASE("source limits: failures in all clusters count for the address, but a user is its cluster's") {
    Lab lab;
    lab.limits.login_failures = 1;
    const auto in = [&](std::string_view cluster, std::string_view user) {
        return lab.sources.claim(*parse_ip("10.0.0.1"), cluster, user, lab.limits);
    };
    lab.sources.login_failed(in("shop", "app"), lab.limits, lab.now);
    CHECK(lab.sources.judge(in("blog", "app"), lab.limits, lab.now) == Login::at_once);
    CHECK(lab.sources.judge(in("shopa", "pp"), lab.limits, lab.now) == Login::at_once);
    for (int i = 0; i < 9; ++i) {
        lab.sources.login_failed(in("blog", "user" + std::to_string(i)), lab.limits, lab.now);
    }
    CHECK(lab.sources.judge(in("blog", "app"), lab.limits, lab.now) == Login::after_delay);
}

TEST_CASE("source limits: failures delay that user's logins from there, and nobody else's") {
    Lab lab;
    for (int i = 0; i < 100; ++i) lab.fail("10.0.0.1", "app");  // without a limit nothing is counted
    lab.limits.login_failures = 3;
    for (int i = 0; i < 3; ++i) {
        CHECK(lab.log_in("10.0.0.1", "app") == Login::at_once);
        lab.fail("10.0.0.1", "app");
    }
    CHECK(lab.log_in("10.0.0.1", "app") == Login::after_delay);
    CHECK(lab.log_in("10.0.0.1", "other") == Login::at_once);
    CHECK(lab.log_in("10.0.0.2", "app") == Login::at_once);
    lab.now += 21s;  // a third of a minute
    CHECK(lab.log_in("10.0.0.1", "app") == Login::at_once);
    lab.fail("10.0.0.1", "app");
    CHECK(lab.log_in("10.0.0.1", "app") == Login::after_delay);
}

TEST_CASE("source limits: an address that tries many users is delayed as a whole, for a while") {
    Lab lab;
    lab.limits.login_failures = 3;
    for (int i = 0; i < 30; ++i) lab.fail("10.0.0.1", "user" + std::to_string(i));
    CHECK(lab.log_in("10.0.0.1", "app") == Login::after_delay);
    CHECK(lab.log_in("10.0.0.2", "app") == Login::at_once);
    lab.now += 3s;
    CHECK(lab.log_in("10.0.0.1", "app") == Login::at_once);
}

TEST_CASE("source limits: of those that wait there are few, so that guesses can't be made in parallel") {
    Lab lab;
    lab.limits.login_failures = 1;
    lab.fail("10.0.0.1", "app");
    const auto app = lab.claim("10.0.0.1", "app");
    for (size_t i = 0; i < limits::delayed_logins_of_user_max; ++i)
        CHECK(lab.sources.judge(app, lab.limits, lab.now) == Login::after_delay);
    CHECK(lab.sources.judge(app, lab.limits, lab.now) == Login::refused);
    CHECK(lab.log_in("10.0.0.1", "other") == Login::at_once);
    lab.sources.done_waiting(app);
    CHECK(lab.sources.judge(app, lab.limits, lab.now) == Login::after_delay);

    for (int i = 0; i < 10; ++i) lab.fail("10.0.0.3", "u" + std::to_string(i));
    for (size_t i = 0; i < limits::delayed_logins_of_address_max; ++i) {
        CHECK(lab.sources.judge(lab.claim("10.0.0.3", "v" + std::to_string(i)), lab.limits, lab.now) ==
              Login::after_delay);
    }
    CHECK(lab.log_in("10.0.0.3", "w") == Login::refused);
}

TEST_CASE("token table: stays as it is however many keys there are, and forgets those that lost least") {
    TokenTable table(4);  // one set
    const TokenTable::Rate rate{1, 10};
    for (int i = 0; i < 10; ++i) CHECK(table.take(4, rate, start));
    CHECK(table.is_empty(4, rate, start));
    for (uint64_t key = 5; key < 10'000; ++key) CHECK(table.take(key, rate, start));
    // Thousands that took one token each have not displaced the one that is empty.
    CHECK(table.is_empty(4, rate, start));
    CHECK_FALSE(table.take(4, rate, start));
    CHECK(table.take(4, rate, start + 1s));
}
