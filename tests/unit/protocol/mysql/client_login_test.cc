// Logins of clients that are wrong, unusual, or malicious.
#include "tests/unit/protocol/mysql/login_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::testing;

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
