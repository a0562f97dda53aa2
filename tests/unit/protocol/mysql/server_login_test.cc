// Logins at servers that refuse, lie, or lack something.
#include "tests/unit/protocol/mysql/login_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::testing;

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
    CHECK(kind_of(raw("\xff\xd8\x0b#HY000The server is currently in offline mode")) == Kind::not_now);
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
    // One that ends in that moment is only to be asked later.
    Greeted ending;
    REQUIRE(ending.on(2, raw("\0\0\0\2\0\0\0")) == Step::need_bytes);
    CHECK(ending.on(1, raw("\xff\x1d\x04#08S01Server shutdown in progress")) == Step::failed);
    CHECK(ending.login.refusal().kind == dialect::ServerRefusal::Kind::not_now);
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
