#include "protocol/mysql/accounts.h"

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::mysql;

namespace {

std::vector<dialect::StoredAccount> accounts_at(std::initializer_list<const char*> hosts) {
    std::vector<dialect::StoredAccount> accounts;
    for (const char* host : hosts) {
        accounts.emplace_back();
        accounts.back().host = host;
    }
    return accounts;
}
std::string chosen(const std::vector<dialect::StoredAccount>& accounts, std::string address) {
    const auto* account = choose_account(accounts, ClientHost{std::move(address)});
    return account == nullptr ? "none" : account->host;
}

}  // namespace

TEST_CASE("accounts: host patterns") {
    const auto matches = [](std::string_view pattern, std::string address) {
        return host_matches(pattern, ClientHost{std::move(address)});
    };
    CHECK(matches("%", "10.0.0.1"));
    CHECK(matches("", "10.0.0.1"));
    CHECK(matches("%", ""));
    CHECK(matches("10.0.%", "10.0.3.4"));
    CHECK_FALSE(matches("10.0.%", "10.1.3.4"));
    CHECK(matches("10.0.0._", "10.0.0.7"));
    CHECK_FALSE(matches("10.0.0._", "10.0.0.17"));
    CHECK(matches("10.%.%.1", "10.1.1.1"));
    CHECK_FALSE(matches("10.%.%.1", "10.1.1.2"));
    CHECK(matches("%1%1%1", "10.1.1.1"));
    CHECK_FALSE(matches("10.0.0\\_1", "10.0.001"));
    CHECK(matches("192.168.0.0/255.255.0.0", "192.168.7.9"));
    CHECK_FALSE(matches("192.168.0.0/255.255.0.0", "192.169.7.9"));
    CHECK(matches("192.168.0.0/16", "::ffff:192.168.7.9"));
    CHECK_FALSE(matches("192.168.0.0/255.0.255.0", "192.168.0.0"));
    CHECK_FALSE(matches("192.168.0.0/33", "192.168.0.0"));
    CHECK(matches("2001:db8::/32", "2001:db8:1::2"));
    CHECK_FALSE(matches("2001:db8::/32", "2001:db9::1"));
    CHECK(matches("2001:db8::1", "2001:0db8:0:0::1"));
    CHECK(matches("::1:2", "0:0:0:0:0:0:1:2"));
    CHECK(matches("1::", "1:0:0:0:0:0:0:0"));
    CHECK(matches("::ffff:10.0.0.1", "10.0.0.1"));
    CHECK_FALSE(matches("1:2:3:4:5:6:7:8:9/16", "1:2:3:4:5:6:7:8"));
    CHECK_FALSE(matches("1::2::3/16", "1::2"));
    CHECK_FALSE(matches("10.0.0.256/8", "10.0.0.1"));
    CHECK_FALSE(matches("10.0.0/8", "10.0.0.1"));
    CHECK(matches("localhost", ""));
    CHECK(matches("localhost", "127.0.0.1"));
    CHECK(matches("LOCALHOST", "::1"));
    CHECK_FALSE(matches("localhost", "10.0.0.1"));
    CHECK(matches("127.0.0.1", "127.0.0.1"));
    CHECK_FALSE(matches("127.0.0.1", ""));
    CHECK(matches("10.0.0.%", "::ffff:10.0.0.9"));
}

TEST_CASE("accounts: the most specific one is chosen, whatever their order") {
    const auto accounts =
        accounts_at({"%", "10.0.%", "10.0.0.0/255.255.255.0", "10.0.0.5", "", "10.%", "localhost"});
    CHECK(chosen(accounts, "10.0.0.5") == "10.0.0.5");
    CHECK(chosen(accounts, "10.0.0.6") == "10.0.0.0/255.255.255.0");
    CHECK(chosen(accounts, "10.0.1.6") == "10.0.%");
    CHECK(chosen(accounts, "10.1.1.6") == "10.%");
    CHECK(chosen(accounts, "11.1.1.6") == "%");
    CHECK(chosen(accounts, "") == "localhost");
    CHECK(chosen(accounts_at({"10.0.0.1", "10.1.%"}), "10.0.0.2") == "none");
    CHECK(chosen({}, "10.0.0.2") == "none");
}
