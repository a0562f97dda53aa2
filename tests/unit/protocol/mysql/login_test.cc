// Both sides of a login: against each other for each plugin, with and without TLS, at every cut of the
// streams; and against peers that lie.
#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"
#include "protocol/mysql/client_login.h"
#include "protocol/mysql/dialect.h"
#include "protocol/mysql/ed25519.h"
#include "protocol/mysql/greeting.h"
#include "protocol/mysql/server_login.h"
#include "protocol/mysql/server_version.h"
#include "protocol/mysql/tracking.h"

using namespace holdfast;
using namespace holdfast::mysql;
using dialect::Step;

namespace {

const std::string native_stored = "*7614BE58636C810A9D8970A50B3B2A78450413E4";  // of "pencil"
const std::string sha2_stored = "$A$005$0123456789abcdefghijZHS5X.X49DUb8YRsZNlCNLabEBF/M9o0fkMGXp2KGM0";
const std::string mariadb_version = "5.5.5-10.11.6-MariaDB";
const std::string mysql_version = "8.0.36";

std::shared_ptr<const RsaKey> rsa_key() {
    static const auto key = RsaKey::make();
    return key;
}

struct Setup {
    std::string version = mariadb_version;
    std::string plugin;   // of the account
    std::string stored;   // of the account
    std::string offered;  // in the greeting
    std::string password = "pencil";
    int tls = 0;  // of the side that logs in
    bool tls_offered = true;
    Sha2Cache* cache = nullptr;
};

ClientLoginOptions client_options(const Setup& setup) {
    ClientLoginOptions options;
    options.handshake.process_id = 77;
    options.handshake.client_address = "10.0.0.1";
    options.handshake.server_version = setup.version;
    options.handshake.auth_plugin = setup.offered;
    options.handshake.tls_offered = setup.tls_offered;
    options.random = [next = 0](std::byte* out, size_t size) mutable {
        for (size_t i = 0; i < size; ++i) out[i] = std::byte{static_cast<uint8_t>(next++ * 7)};
    };
    options.rsa = rsa_key();
    options.sha2_cache = setup.cache;
    return options;
}

dialect::StoredRole role_of(const Setup& setup) {
    dialect::StoredRole role;
    dialect::StoredAccount account;
    account.host = "%";
    account.plugin = setup.plugin;
    account.stored = Secret(setup.stored);
    role.accounts.push_back(account);
    return role;
}

dialect::Identity identity_of() {
    dialect::Identity identity;
    identity.user = "alice";
    identity.database = "shop";
    identity.parameters = {{"collation", "33"},
                           {"capabilities", std::to_string(capability::found_rows | capability::progress |
                                                           capability::bulk_unit_results)},
                           {"attr:program_name", "till"}};
    return identity;
}

/// A server that is our own client side: after the login it answers the tracking statement.
struct Pair {
    Setup setup;
    ClientLogin proxy;
    std::shared_ptr<const Credential> proof;
    ServerLogin login;
    ByteBuffer to_login, to_proxy;  // on their way
    Step proxy_step = Step::need_bytes, login_step = Step::need_bytes;
    size_t piece;
    bool tls_was_used = false;
    bool password_seen = false;  // in plain text, outside TLS
    bool is_welcomed = false;

    static dialect::ServerHandshakeOptions server_options(const Setup& setup,
                                                          const std::shared_ptr<const Credential>& proof) {
        dialect::ServerHandshakeOptions options;
        options.credential = proof;
        options.tls = setup.tls;
        return options;
    }
    explicit Pair(Setup s, size_t piece_bytes = 100'000, std::shared_ptr<const Credential> with = nullptr)
        : setup(std::move(s)),
          proxy(client_options(setup)),
          proof(with ? with : std::make_shared<Credential>(Credential::of_password(Secret(setup.password)))),
          login(identity_of(), server_options(setup, proof)),
          piece(piece_bytes) {
        proxy.start(to_login);
        login_step = login.start(to_proxy);
    }

    static bool is_over(Step step) { return step == Step::done || step == Step::failed; }

    void drive_proxy(std::optional<dialect::StoredRole> role) {
        if (is_over(proxy_step)) return;
        const Bytes some = Bytes(to_proxy).first(std::min(piece, to_proxy.size()));
        size_t offered = some.size();
        for (;;) {
            const auto progress = proxy.on_bytes(Bytes(to_proxy).first(offered), to_login);
            to_proxy.erase(to_proxy.begin(),
                           to_proxy.begin() + static_cast<std::ptrdiff_t>(progress.consumed));
            proxy_step = progress.step;
            if (proxy_step == Step::need_bytes && progress.consumed == 0 && offered < to_proxy.size()) {
                ++offered;  // the next byte arrives
                continue;
            }
            break;
        }
        if (proxy_step == Step::start_tls_now) proxy_step = proxy.on_secured({}, {}, {}, to_login);
        if (proxy_step == Step::need_secret) proxy_step = proxy.on_secret(std::move(role), to_login);
        if (proxy_step == Step::derive_keys) {
            proxy.derive();
            proxy_step = proxy.on_derived(to_login);
        }
        if (proxy_step == Step::done) {
            proxy.welcome({}, 77, {}, to_login);
            is_welcomed = true;
        }
    }
    void drive_login() {
        if (is_over(login_step)) return;
        size_t offered = std::min(piece, to_login.size());
        for (;;) {
            const size_t before = to_proxy.size();
            const auto progress = login.on_bytes(Bytes(to_login).first(offered), to_proxy);
            if (!tls_was_used &&
                as_text(Bytes(to_proxy).subspan(before)).find(setup.password) != std::string_view::npos) {
                password_seen = !setup.password.empty();
            }
            to_login.erase(to_login.begin(),
                           to_login.begin() + static_cast<std::ptrdiff_t>(progress.consumed));
            login_step = progress.step;
            if (login_step == Step::need_bytes && progress.consumed == 0 && offered < to_login.size()) {
                ++offered;
                continue;
            }
            break;
        }
        if (login_step == Step::start_tls) {
            tls_was_used = true;
            drive_proxy(std::nullopt);  // takes the SSLRequest
            login_step = login.on_secured({}, to_proxy);
        }
    }
    void run(std::optional<dialect::StoredRole> role) {
        for (int turn = 0; turn < 100'000 && !is_over(login_step); ++turn) {
            drive_login();
            if (is_welcomed && !to_proxy.empty() && !is_over(login_step)) {
                // The tracking statement.
                const auto packet = take_packet(to_proxy, 10'000);
                REQUIRE(packet);
                REQUIRE(packet->has_value());
                CHECK(as_text((*packet)->payload).find(tracking_statement(is_mariadb(setup.version))) !=
                      std::string_view::npos);
                to_proxy.clear();
                append_ok(to_login, 1, OkPacket{}, capability::session_track);
            } else if (!is_welcomed) {
                drive_proxy(role);
            }
            if (to_login.empty() && to_proxy.empty() && !is_over(login_step)) break;
        }
    }
};

std::string parameter(const dialect::Parameters& parameters, std::string_view name) {
    for (const auto& [each, value] : parameters) {
        if (each == name) return value;
    }
    return "absent";
}

Setup native() {
    Setup setup;
    setup.plugin = plugin::native;
    setup.stored = native_stored;
    return setup;
}
Setup sha2() {
    Setup setup;
    setup.version = mysql_version;
    setup.plugin = plugin::caching_sha2;
    setup.stored = sha2_stored;
    setup.offered = plugin::caching_sha2;
    return setup;
}

}  // namespace

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

TEST_CASE("server login: TLS that is required and not offered is a broken server, not plain text") {
    Setup setup = native();
    setup.tls = 2;
    setup.tls_offered = false;
    Pair pair(setup);
    pair.run(role_of(setup));
    REQUIRE(pair.login_step == Step::failed);
    CHECK(pair.login.refusal().kind == dialect::ServerRefusal::Kind::broken);
    CHECK(pair.to_proxy.empty());
}

TEST_CASE("server login: without a credential it says so") {
    Setup setup = native();
    Pair pair(setup, 100'000, std::make_shared<Credential>());
    pair.run(role_of(setup));
    REQUIRE(pair.login_step == Step::failed);
    CHECK(pair.login.refusal().kind == dialect::ServerRefusal::Kind::credential);
    CHECK(pair.login.refusal().message.find("not known") != std::string::npos);
}

namespace {

/// A server login that has read a greeting of ours.
struct Greeted {
    ServerLogin login;
    ByteBuffer sent;
    explicit Greeted(const std::string& version = mariadb_version, int tls = 0)
        : Greeted(options(tls), version) {}
    explicit Greeted(const dialect::ServerHandshakeOptions& made,
                     const std::string& version = mariadb_version)
        : login(identity_of(), made) {
        Setup setup;
        setup.version = version;
        ClientLogin server(client_options(setup));
        ByteBuffer greeting;
        server.start(greeting);
        login.on_bytes(greeting, sent);
    }
    static dialect::ServerHandshakeOptions options(int tls) {
        dialect::ServerHandshakeOptions made;
        made.tls = tls;
        made.credential = std::make_shared<Credential>(Credential::of_password(Secret("pencil")));
        return made;
    }
    Step on(uint8_t sequence, std::string_view payload) {
        ByteBuffer packet;
        append_packet(packet, sequence, as_bytes(payload));
        sent.clear();
        return login.on_bytes(packet, sent).step;
    }
};
template <size_t n>
std::string raw(const char (&text)[n]) {
    return std::string(text, n - 1);
}
using Kind = dialect::ServerRefusal::Kind;

}  // namespace

TEST_CASE("server login: refusals in place of the greeting") {
    const auto kind_of = [](std::string_view payload) {
        ServerLogin login(identity_of(), Greeted::options(0));
        ByteBuffer packet, out;
        append_packet(packet, 0, as_bytes(payload));
        CHECK(login.on_bytes(packet, out).step == Step::failed);
        CHECK(out.empty());
        return login.refusal().kind;
    };
    CHECK(kind_of(raw("\xff\x10\x04Too many connections")) == Kind::too_many);
    CHECK(kind_of(raw("\xff\x69\x04Host is blocked")) == Kind::not_now);
    CHECK(kind_of(raw("\xff\x1d\x04Server shutdown in progress")) == Kind::not_now);
    CHECK(kind_of(raw("\xff\x6a\x04Host '10.0.0.9' is not allowed to connect")) == Kind::identity);
    CHECK(kind_of(raw("\x09"
                      "3.23\0")) == Kind::broken);
    CHECK(kind_of(raw("\x0a"
                      "8.0.36\0")) == Kind::broken);
}

TEST_CASE("server login: liars and unsupported wishes") {
    const auto kind_after = [](std::string_view payload, uint8_t sequence = 2) {
        Greeted greeted;
        CHECK(greeted.on(sequence, payload) == Step::failed);
        CHECK(as_text(greeted.sent).find("pencil") == std::string_view::npos);
        CHECK_FALSE(greeted.login.refusal().message.empty());
        return greeted.login.refusal().kind;
    };
    CHECK(kind_after("\xfe") == Kind::credential);  // mysql_old_password
    CHECK(kind_after(raw("\xfe"
                         "mysql_clear_password\0")) == Kind::credential);
    CHECK(kind_after(raw("\xfe"
                         "client_ed25519\0") +
                     std::string(31, 'x')) == Kind::broken);
    CHECK(kind_after(raw("\xfe"
                         "dialog\0")) == Kind::credential);
    CHECK(kind_after(raw("\xfe"
                         "mysql_native_password\0short\0")) == Kind::broken);
    CHECK(kind_after(raw("\xfe"
                         "mysql_native_password")) == Kind::broken);
    CHECK(kind_after("") == Kind::broken);
    CHECK(kind_after("\1\4") == Kind::broken);  // nobody spoke of caching_sha2
    CHECK(kind_after("what?") == Kind::broken);
    CHECK(kind_after(raw("\0\0\0\2\0\0\0"), 5) == Kind::broken);
    CHECK(kind_after(raw("\0\0\0\2\0")) == Kind::broken);
    Greeted forever;
    Step step = Step::need_bytes;
    const std::string again = raw("\xfe"
                                  "mysql_native_password\0") +
                              std::string(20, 'x') + raw("\0");
    int rounds = 0;
    for (uint8_t sequence = 2; step == Step::need_bytes && rounds < 100;
         sequence = static_cast<uint8_t>(sequence + 2)) {
        step = forever.on(sequence, again);
        ++rounds;
    }
    CHECK(step == Step::failed);
    CHECK(rounds < 20);
}

TEST_CASE("server login: ed25519 is signed with the password, and with nothing less") {
    const std::string nonce(32, 'x');
    const std::string wish = raw("\xfe"
                                 "client_ed25519\0") +
                             nonce;
    Greeted greeted;
    REQUIRE(greeted.on(2, wish) == Step::need_bytes);
    REQUIRE(greeted.sent.size() == 4 + 64);
    CHECK(check_ed25519(Bytes(greeted.sent).subspan(4), as_bytes(nonce), ed25519_stored_of("pencil")));
    auto key_only = std::make_shared<Credential>(Credential::of_password(Secret("pencil")));
    key_only->password = {};
    dialect::ServerHandshakeOptions options;
    options.credential = key_only;
    Greeted lacking(options);
    // It fails that plugin, for the account may have another one, but not for ever.
    REQUIRE(lacking.on(2, wish) == Step::need_bytes);
    CHECK_FALSE(check_ed25519(Bytes(lacking.sent).subspan(4), as_bytes(nonce), ed25519_stored_of("pencil")));
    CHECK(lacking.on(4, wish) == Step::failed);
    CHECK(lacking.login.refusal().kind == Kind::credential);
    Greeted refused(options);
    REQUIRE(refused.on(2, wish) == Step::need_bytes);
    CHECK(refused.on(4, raw("\xff\x15\x04#28000Access denied")) == Step::failed);
    CHECK(refused.login.refusal().kind == Kind::credential);
}

TEST_CASE("server login: the password in full needs TLS or a public key") {
    const std::string to_sha2 = raw("\xfe"
                                    "caching_sha2_password\0") +
                                std::string(20, 'x') + raw("\0");
    Greeted greeted(mysql_version);
    REQUIRE(greeted.on(2, to_sha2) == Step::need_bytes);
    CHECK(greeted.sent.size() == 4 + 32);
    REQUIRE(greeted.on(4, "\1\4") == Step::need_bytes);
    CHECK(std::string(as_text(greeted.sent)) == raw("\1\0\0\5\2"));
    Greeted liar(mysql_version);
    REQUIRE(liar.on(2, to_sha2) == Step::need_bytes);
    REQUIRE(liar.on(4, "\1\4") == Step::need_bytes);
    CHECK(liar.on(6, "\1not a key") == Step::failed);
    REQUIRE(greeted.on(6, "\1" + rsa_key()->public_pem()) == Step::need_bytes);
    CHECK(greeted.sent.size() == 4 + 256);
    const auto decrypted = rsa_key()->decrypt(Bytes(greeted.sent).subspan(4));
    REQUIRE(decrypted);
    CHECK(xor_with_salt(decrypted->reveal(), as_bytes(std::string(20, 'x'))).reveal() == raw("pencil\0"));
}

TEST_CASE("server login: a server that does not report what changes is refused") {
    Greeted greeted;
    REQUIRE(greeted.on(2, raw("\0\0\0\2\0\0\0")) == Step::need_bytes);
    CHECK(std::string(as_text(greeted.sent).substr(4)) ==
          "\3" + std::string(tracking_statement_mariadb) + std::string(report_of_reading));
    CHECK(greeted.on(1, raw("\xff\xa9\x04#HY000Unknown system variable")) == Step::failed);
    CHECK(greeted.login.refusal().message.find("Unknown system variable") != std::string::npos);
    // Who has to change his password first is let in to do so.
    Greeted expired;
    REQUIRE(expired.on(2, raw("\0\0\0\2\0\0\0")) == Step::need_bytes);
    CHECK(expired.on(1, raw("\xff\x1c\x07#HY000You must SET PASSWORD")) == Step::done);
    CHECK(parameter(expired.login.parameters(), "tracking") == "off");
    Greeted mysql(mysql_version);
    REQUIRE(mysql.on(2, raw("\0\0\0\2\0\0\0")) == Step::need_bytes);
    CHECK(std::string(as_text(mysql.sent).substr(4)) ==
          "\3" + std::string(tracking_statement_mysql) + std::string(report_of_reading));
    ByteBuffer state;
    append_system_variable(state, "sql_mode", "ANSI_QUOTES,STRICT_TRANS_TABLES");
    append_system_variable(state, "character_set_client", "latin1");
    ByteBuffer told;
    OkPacket ok;
    ok.session_state = state;
    append_ok(told, 1, ok, capability::protocol_41 | capability::session_track);
    CHECK(mysql.on(1, as_text(told).substr(4)) == Step::done);
    CHECK(parameter(mysql.login.parameters(), "sql_mode") == "ANSI_QUOTES,STRICT_TRANS_TABLES");
    CHECK(parameter(mysql.login.parameters(), "character_set_client") == "latin1");
}

TEST_CASE("server login: with query attributes, the proxy's own statements have none, and say so") {
    dialect::Identity identity = identity_of();
    identity.parameters[1].second = std::to_string(capability::query_attributes);
    const auto greeted_by = [&](const char* version) {
        auto login = std::make_unique<ServerLogin>(identity, Greeted::options(0));
        Setup setup;
        setup.version = version;
        ClientLogin server(client_options(setup));
        ByteBuffer greeting, sent;
        server.start(greeting);
        login->on_bytes(greeting, sent);
        return login;
    };
    const auto login = greeted_by("8.0.23");
    ByteBuffer ok, sent;
    append_packet(ok, 2, as_bytes(raw("\0\0\0\2\0\0\0")));
    REQUIRE(login->on_bytes(ok, sent).step == Step::need_bytes);
    CHECK(std::string(as_text(sent).substr(4)) ==
          raw("\3\0\1") + std::string(tracking_statement_mysql) + std::string(report_of_reading));
    ByteBuffer cancel;
    MysqlDialect({}).append_cancel(login->cancel_key(), cancel);
    CHECK(std::string(as_text(cancel).substr(4)) == raw("\3\0\1") + "KILL QUERY 77");
    // Where a server has none, the client's requests would make no sense.
    const auto refusal = greeted_by("8.0.22")->refusal();
    CHECK(refusal.kind == Kind::identity);
    CHECK(refusal.message.find("8.0.22") != std::string::npos);
}

namespace {

/// A client's login request by hand.
ByteBuffer request_packet(uint64_t capabilities, std::string_view user, std::string_view behind,
                          uint8_t sequence = 1) {
    ByteBuffer packet;
    PacketWriter writer(packet, sequence);
    writer.u32(static_cast<uint32_t>(capabilities))
        .u32(1 << 24)
        .u8(45)
        .zeros(23)
        .text(user)
        .bare_text(behind)
        .finish();
    return packet;
}
constexpr uint64_t plain_capabilities = capability::protocol_41 | capability::secure_connection;

struct Opened {
    ClientLogin login;
    ByteBuffer sent;
    explicit Opened(ClientLoginOptions options = client_options(Setup{})) : login(std::move(options)) {
        login.start(sent);
        sent.clear();
    }
    uint16_t refused(Bytes bytes) {
        CHECK(login.on_bytes(bytes, sent).step == Step::failed);
        const auto packet = take_packet(sent, 1'000);
        REQUIRE(packet);
        REQUIRE(packet->has_value());
        const auto err = parse_err((*packet)->payload);
        REQUIRE(err);
        CHECK_FALSE(login.error().empty());
        return err->number;
    }
};

}  // namespace

TEST_CASE("client login: the greeting") {
    struct Row {
        const char* version;  // as the server's variable has it
        const char* greeted;
        bool has_attributes = false;
    };
    for (const Row& row :
         {Row{"10.11.6-MariaDB", "5.5.5-10.11.6-MariaDB"}, Row{"11.4.2-MariaDB-log", "11.4.2-MariaDB-log"},
          Row{"8.0.22", "8.0.22"}, Row{"8.0.23", "8.0.23", true}, Row{"8.4.1", "8.4.1", true}}) {
        CAPTURE(row.version);
        const bool mariadb = is_mariadb(row.version);
        Setup setup;
        setup.version = row.version;
        ClientLogin login(client_options(setup));
        ByteBuffer out;
        login.start(out);
        const auto packet = take_packet(out, 1'000);
        REQUIRE(packet);
        CHECK((*packet)->sequence == 0);
        const auto greeting = parse_greeting((*packet)->payload);
        REQUIRE(greeting);
        CHECK(greeting->version == row.greeted);
        CHECK(greeting->connection_id == 77);
        CHECK(greeting->salt.size() == 20);
        CHECK(greeting->collation == 45);
        CHECK(greeting->plugin == (mariadb ? plugin::native : plugin::caching_sha2));
        CHECK(((greeting->capabilities & capability::client_mysql) == 0) == mariadb);
        CHECK(((greeting->capabilities & capability::cache_metadata) != 0) == mariadb);
        CHECK(((greeting->capabilities & capability::optional_resultset_metadata) == 0) == mariadb);
        CHECK(((greeting->capabilities & capability::query_attributes) != 0) == row.has_attributes);
        CHECK((greeting->capabilities & capability::compress) == 0);
        CHECK((greeting->capabilities & capability::bulk_unit_results) == 0);
        for (size_t cut = 0; cut < (*packet)->payload.size() - plugin::native.size() - 1; ++cut) {
            CHECK_FALSE(parse_greeting((*packet)->payload.first(cut)));
        }
    }
}

TEST_CASE("client login: what changes the layout is offered when all servers have it") {
    const auto offered = [](const char* primary, std::vector<std::string> all) {
        Setup setup;
        setup.version = primary;
        ClientLoginOptions options = client_options(setup);
        options.handshake.server_versions = std::move(all);
        ClientLogin login(options);
        ByteBuffer out;
        login.start(out);
        return parse_greeting((*take_packet(out, 1'000))->payload)->capabilities;
    };
    CHECK((offered("8.4.1", {"8.4.1", "8.0.23"}) & capability::query_attributes) != 0);
    CHECK((offered("8.4.1", {"8.4.1", "8.0.22"}) & capability::query_attributes) == 0);
    const uint64_t mixed = offered("10.11.6-MariaDB", {"10.5.9-MariaDB", "10.11.6-MariaDB"});
    CHECK((mixed & capability::cache_metadata) == 0);
    CHECK((mixed & capability::extended_metadata) != 0);
    CHECK((mixed & capability::stmt_bulk_operations) != 0);
    CHECK((offered("10.11.6-MariaDB", {"10.6.9-MariaDB"}) & capability::cache_metadata) != 0);
}

TEST_CASE("client login: what it refuses before any password") {
    ByteBuffer ssl;
    PacketWriter(ssl, 1)
        .u32(static_cast<uint32_t>(plain_capabilities | capability::ssl))
        .u32(0)
        .zeros(24)
        .finish();
    // What is behind the wish belongs to TLS, be it a handshake that did not wait or something smuggled in.
    ByteBuffer followed = ssl;
    append(followed, request_packet(plain_capabilities, "alice", raw("\0"), 2));
    ByteBuffer unsent;
    const auto progress = Opened().login.on_bytes(followed, unsent);
    CHECK(progress.step == Step::start_tls_now);
    CHECK(progress.consumed == ssl.size());
    CHECK(unsent.empty());
    Setup without;
    without.tls_offered = false;
    CHECK(Opened(client_options(without)).refused(ssl) == 1043);

    CHECK(Opened().refused(as_bytes(raw("\5\0\0\1\5\0\0\0\0"))) == 1251);  // 3.20
    CHECK(Opened().refused(request_packet(plain_capabilities, "alice", "\x14short")) == 1043);
    CHECK(Opened().refused(request_packet(plain_capabilities, "alice", raw("\0"), 0)) == 1156);
    CHECK(Opened().refused(as_bytes(raw("\xff\xff\xff\1"))) == 1043);
    auto strict = client_options(Setup{});
    strict.handshake.tls_required = true;
    CHECK(Opened(strict).refused(request_packet(plain_capabilities, "alice", raw("\0"))) == 3159);

    ByteBuffer attributes(limits::mysql_connect_attributes_bytes_max + 1, std::byte{0});
    ByteBuffer behind;
    behind.push_back(std::byte{0});
    append_lenenc(behind, attributes.size());
    append(behind, attributes);
    CHECK(Opened().refused(request_packet(plain_capabilities | capability::connect_attrs, "alice",
                                          as_text(behind))) == 1043);
}

TEST_CASE("client login: attributes of one process stay out of the identity") {
    Opened opened;
    const std::string behind =
        raw("\0\x23\4_pid\3"
            "123\x0c_client_name\7PyMySQL\3_os\1L");
    const size_t block = behind.size() - 2;
    std::string fixed = behind;
    fixed[1] = static_cast<char>(block);
    REQUIRE(opened.login
                .on_bytes(request_packet(plain_capabilities | capability::connect_attrs, "alice", fixed),
                          opened.sent)
                .step == Step::need_secret);
    const dialect::Identity identity = opened.login.identity();
    CHECK(parameter(identity.parameters, "attr:_pid") == "absent");
    CHECK(parameter(identity.parameters, "attr:_client_name") == "PyMySQL");
    CHECK(parameter(identity.parameters, "attr:_os") == "L");
}

TEST_CASE("client login: accounts of one name are different identities") {
    Setup setup = native();
    Pair any(setup);
    any.run(role_of(setup));
    REQUIRE(any.proxy_step == Step::done);
    dialect::StoredRole role = role_of(setup);
    role.accounts[0].host = "10.0.0.1";
    Pair local(setup);
    local.run(role);
    REQUIRE(local.proxy_step == Step::done);
    CHECK_FALSE(any.proxy.identity() == local.proxy.identity());
    Pair again(setup);
    again.run(role);
    CHECK(again.proxy.identity() == local.proxy.identity());
}

TEST_CASE("client login: errors of the engine carry the right number and sequence") {
    Opened opened;
    REQUIRE(opened.login.on_bytes(request_packet(plain_capabilities, "alice", raw("\0")), opened.sent).step ==
            Step::need_secret);
    opened.login.append_fatal("53300", "sorry", opened.sent);
    CHECK(std::string(as_text(opened.sent)) == raw("\x0e\0\0\2\xff\x10\x04#08004sorry"));
    opened.sent.clear();
    CHECK(opened.login.on_secret_unavailable("no server", opened.sent) == Step::failed);
    CHECK_FALSE(opened.login.is_password_failure());
    CHECK(opened.sent[3] == std::byte{2});
}

TEST_CASE("client login: an ed25519 account's client shows its password, by TLS or a public key") {
    for (const int tls : {0, 1}) {
        for (const bool is_right : {true, false}) {
            Setup setup;
            setup.plugin = plugin::ed25519_stored;
            setup.stored = ed25519_stored_of(is_right ? "pencil" : "another");
            setup.tls = tls;
            Pair pair(setup);
            pair.run(role_of(setup));
            CHECK(pair.proxy_step == (is_right ? Step::done : Step::failed));
            CHECK_FALSE(pair.password_seen);
            if (!is_right) continue;
            const auto learned = std::dynamic_pointer_cast<const Credential>(pair.proxy.take_credential());
            REQUIRE(learned);
            CHECK(learned->password.reveal() == "pencil");
        }
    }
}

TEST_CASE("client login: a COM_CHANGE_USER may prove itself for an earlier salt") {
    Setup setup = native();
    Pair first(setup);
    first.run(role_of(setup));
    REQUIRE(first.proxy_step == Step::done);
    auto traits = *std::dynamic_pointer_cast<const ClientTraits>(first.proxy.traits());
    const auto last_step = [&](Bytes salt, std::string_view password) {
        const Sha1 proof = native_proof(sha1(as_bytes(password)), salt);
        const std::string payload = raw("\x11"
                                        "bob\0\x14") +
                                    std::string(as_text(proof)) +
                                    raw("other\0\x21\0mysql_native_password\0\0");
        ClientLogin change(client_options(setup), traits, as_bytes(payload), 0);
        ByteBuffer out;
        REQUIRE(change.start(out) == Step::need_secret);
        return change.on_secret(role_of(setup), out);
    };
    traits.last_salt.fill(std::byte{'l'});
    CHECK(last_step(traits.greeting_salt, "pencil") == Step::done);
    CHECK(last_step(traits.last_salt, "pencil") == Step::done);
    CHECK(last_step(traits.last_salt, "stencil") == Step::need_bytes);  // another salt, another chance
    CHECK(last_step(ByteBuffer(20, std::byte{'x'}), "pencil") == Step::need_bytes);
}

TEST_CASE("client login: COM_CHANGE_USER gets a salt of its own without a proof for an earlier one") {
    Setup setup = native();
    Pair first(setup);
    first.run(role_of(setup));
    REQUIRE(first.proxy_step == Step::done);
    const auto traits = std::dynamic_pointer_cast<const ClientTraits>(first.proxy.traits());
    REQUIRE(traits);
    const std::string payload =
        raw("\x11"
            "bob\0\0other\0\x21\0mysql_native_password\0\0");
    ClientLogin change(client_options(setup), *traits, as_bytes(payload), 0);
    ByteBuffer out;
    REQUIRE(change.start(out) == Step::need_secret);
    CHECK(change.user() == "bob");
    REQUIRE(change.on_secret(role_of(setup), out) == Step::need_bytes);
    const auto packet = take_packet(out, 1'000);
    REQUIRE(packet);
    CHECK((*packet)->sequence == 1);
    CHECK(as_text((*packet)->payload)
              .starts_with(raw("\xfe"
                               "mysql_native_password\0")));
    const Bytes salt = (*packet)->payload.subspan(23, 20);
    const Sha1 proof = native_proof(sha1(as_bytes("pencil")), salt);
    ByteBuffer answer;
    append_packet(answer, 2, proof);
    out.clear();
    REQUIRE(change.on_bytes(answer, out).step == Step::done);
    CHECK(change.identity().database == "other");
    CHECK(parameter(change.identity().parameters, "collation") == "33");
    change.welcome({}, 0, {}, out);
    CHECK(std::string(as_text(out)) == raw("\7\0\0\3\0\0\0\2\0\0\0"));

    ClientLogin broken(client_options(setup), *traits,
                       as_bytes("\x11"
                                "bob"),
                       0);
    CHECK(broken.start(out) == Step::failed);
}
