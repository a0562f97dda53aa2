// Both sides of a login against each other: for each plugin, with and without TLS, at every cut of the
// streams.
#include "tests/unit/protocol/mysql/login_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::testing;

TEST_CASE("login: native password, both sides, in pieces of every size") {
    for (const int tls : {0, 1, 2}) {
        for (const size_t piece :
             {size_t{1}, size_t{2}, size_t{3}, size_t{5}, size_t{17}, size_t{50}, size_t{100'000}}) {
            CAPTURE(tls);
            CAPTURE(piece);
            Setup setup = native();
            setup.tls = tls;
            Pair pair(setup, piece);
            pair.run(role_of(setup));
            REQUIRE(pair.proxy_step == Step::done);
            REQUIRE(pair.login_step == Step::done);
            CHECK(pair.tls_was_used == (tls != 0));
            CHECK_FALSE(pair.password_seen);
            CHECK(pair.proxy.user() == "alice");
            const auto learned = std::dynamic_pointer_cast<const Credential>(pair.proxy.take_credential());
            REQUIRE(learned);
            CHECK(learned->native_key.reveal() == as_text(sha1(as_bytes("pencil"))));
            CHECK(learned->password.empty());
            CHECK(parameter(pair.login.parameters(), "version") == mariadb_version);
            CHECK(parameter(pair.login.parameters(), "tracking") == "on");
            CHECK(parameter(pair.login.parameters(), "status") == "2");
            CHECK(std::string(as_text(pair.login.cancel_key())) == std::string("M\0\0\0", 4));
            const dialect::Identity identity = pair.proxy.identity();
            CHECK(identity.database == "shop");
            CHECK(parameter(identity.parameters, "collation") == "33");
            CHECK(parameter(identity.parameters, "capabilities") ==
                  std::to_string(capability::found_rows | capability::progress));
            CHECK(parameter(identity.parameters, "attr:program_name") == "till");
        }
    }
}

TEST_CASE("login: what a native login taught is enough for the next server") {
    Setup setup = native();
    Pair first(setup);
    first.run(role_of(setup));
    REQUIRE(first.proxy_step == Step::done);
    Pair second(setup, 100'000, std::dynamic_pointer_cast<const Credential>(first.proxy.take_credential()));
    second.run(role_of(setup));
    CHECK(second.login_step == Step::done);
}

TEST_CASE("login: caching_sha2: the first by full login, with TLS or RSA; the next by the fast path") {
    for (const int tls : {0, 2}) {
        for (const size_t piece : {size_t{1}, size_t{7}, size_t{100'000}}) {
            CAPTURE(tls);
            CAPTURE(piece);
            Sha2Cache cache;
            Setup setup = sha2();
            setup.tls = tls;
            setup.cache = &cache;
            Pair full(setup, piece);
            full.run(role_of(setup));
            REQUIRE(full.proxy_step == Step::done);
            REQUIRE(full.login_step == Step::done);
            CHECK_FALSE(full.password_seen);
            auto learned = std::dynamic_pointer_cast<const Credential>(full.proxy.take_credential());
            REQUIRE(learned);
            CHECK(learned->password.reveal() == "pencil");
            CHECK(cache.find(Secret(sha2_stored)) != nullptr);

            Pair fast(setup, piece);
            fast.run(role_of(setup));
            REQUIRE(fast.login_step == Step::done);
            learned = std::dynamic_pointer_cast<const Credential>(fast.proxy.take_credential());
            REQUIRE(learned);
            CHECK(learned->password.reveal() == "pencil");  // for servers that do not know it yet
            CHECK(learned->sha2_key.reveal() == as_text(sha256(as_bytes("pencil"))));
        }
    }
}

TEST_CASE("login: the account's plugin wins over the one in the greeting") {
    Setup one = native();
    one.offered = plugin::caching_sha2;
    Pair to_native(one, 1);
    to_native.run(role_of(one));
    CHECK(to_native.login_step == Step::done);
    Setup other = sha2();
    other.offered = plugin::native;
    Pair to_sha2(other, 1);
    to_sha2.run(role_of(other));
    CHECK(to_sha2.login_step == Step::done);
}

TEST_CASE("login: configured passwords, with either plugin") {
    for (const std::string_view offered : {plugin::native, plugin::caching_sha2}) {
        Setup setup = native();
        setup.offered = offered;
        dialect::StoredRole role;
        role.password = Secret("pencil");
        Pair pair(setup);
        pair.run(role);
        CHECK(pair.login_step == Step::done);
        const auto learned = std::dynamic_pointer_cast<const Credential>(pair.proxy.take_credential());
        CHECK(learned->password.reveal() == "pencil");
        role.password = Secret("other");
        Pair wrong(setup);
        wrong.run(role);
        CHECK(wrong.login_step == Step::failed);
        CHECK(wrong.proxy.is_password_failure());
    }
}

TEST_CASE("login: accounts without a password") {
    for (Setup setup : {native(), sha2()}) {
        setup.stored = "";
        setup.password = "";
        Pair pair(setup);
        pair.run(role_of(setup));
        CHECK(pair.login_step == Step::done);
        setup.password = "pencil";
        Pair wrong(setup);
        wrong.run(role_of(setup));
        CHECK(wrong.login_step == Step::failed);
    }
}

TEST_CASE("login: a wrong password and an unknown user look the same") {
    for (Setup setup : {native(), sha2()}) {
        setup.password = "pencils";
        Pair wrong(setup);
        wrong.run(role_of(setup));
        Pair unknown(setup);
        unknown.run(std::nullopt);
        for (Pair* pair : {&wrong, &unknown}) {
            CHECK(pair->proxy_step == Step::failed);
            CHECK(pair->proxy.is_password_failure());
            REQUIRE(pair->login_step == Step::failed);
            const auto refusal = pair->login.refusal();
            CHECK(refusal.kind == dialect::ServerRefusal::Kind::identity);
            CHECK(refusal.code == "28000");
            CHECK(refusal.message == "Access denied for user 'alice'@'10.0.0.1' (using password: YES)");
            const auto err = parse_err(refusal.wire);
            REQUIRE(err);
            CHECK(err->number == 1045);
        }
        CHECK(wrong.login.refusal().wire == unknown.login.refusal().wire);
        CHECK(wrong.proxy.error() != unknown.proxy.error());
    }
}

TEST_CASE("login: either of an account's two passwords will do while both are kept") {
    const std::string other_native = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19";  // of "password"
    const std::string other_sha2 = sha2_stored.substr(0, 27) + std::string(43, 'x');
    const auto role_with = [](const Setup& setup, const std::string& newer) {
        dialect::StoredRole role = role_of(setup);
        role.accounts.insert(role.accounts.begin(), role.accounts[0]);
        role.accounts[0].stored = Secret(newer);
        return role;
    };
    {
        Pair pair(native());
        pair.run(role_with(pair.setup, other_native));
        CHECK(pair.login_step == Step::done);
        Setup newer = native();
        newer.password = "password";
        Pair by_newer(newer);
        by_newer.run(role_with(newer, other_native));
        CHECK(by_newer.login_step == Step::done);
        Setup wrong = native();
        wrong.password = "nonsense";
        Pair by_wrong(wrong);
        by_wrong.run(role_with(wrong, other_native));
        CHECK(by_wrong.login_step == Step::failed);
    }
    Sha2Cache cache;
    Setup setup = sha2();
    setup.cache = &cache;
    for (const bool is_known : {false, true}) {
        CAPTURE(is_known);
        Pair pair(setup);
        pair.run(role_with(setup, other_sha2));
        CHECK(pair.login_step == Step::done);
        const auto learned = std::dynamic_pointer_cast<const Credential>(pair.proxy.take_credential());
        REQUIRE(learned);
        CHECK(learned->password.reveal() == "pencil");
        CHECK(cache.find(Secret(sha2_stored)) != nullptr);
        CHECK(cache.find(Secret(other_sha2)) == nullptr);
    }
    // Of another plugin, or another host, it is not the account's.
    for (const bool is_host : {false, true}) {
        dialect::StoredRole role = role_with(setup, other_sha2);
        if (is_host) {
            role.accounts[0].host = "10.0.0.1";
        } else {
            role.accounts[1].plugin = plugin::native;
        }
        Pair pair(setup);
        pair.run(role);
        CHECK(pair.login_step == Step::failed);
    }
}

TEST_CASE("login: locked and expired accounts, and accounts that require TLS") {
    Setup setup = native();
    const auto answer = [&setup](void (*change)(dialect::StoredAccount&)) {
        dialect::StoredRole role = role_of(setup);
        change(role.accounts[0]);
        Pair pair(setup);
        pair.run(role);
        return pair.login_step == Step::done ? "in" : pair.login.refusal().message;
    };
    CHECK(answer([](auto& account) { account.is_locked = true; }) == "Access denied, this account is locked");
    CHECK(answer([](auto& account) { account.is_expired = true; }).starts_with("Your password has expired"));
    CHECK(answer([](auto& account) { account.needs_tls = true; }).starts_with("Access denied for user"));
    setup.tls = 1;
    CHECK(answer([](auto& account) { account.needs_tls = true; }) == "in");
    setup.version = mysql_version;
    CHECK(answer([](auto& account) { account.is_locked = true; }) ==
          "Access denied for user 'alice'@'10.0.0.1'. Account is locked.");
    CHECK(answer([](auto& account) { account.host = "10.0.0.2"; }).starts_with("Access denied"));
}
