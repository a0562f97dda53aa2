#include <doctest/doctest.h>

#include "login_fixtures.h"
#include "protocol/base/limits.h"
#include "protocol/postgres/scram.h"

using namespace holdfast;
using namespace holdfast::postgres;
using namespace holdfast::postgres::test;

namespace {

using Kind = ServerLoginFailure::Kind;
using Tls = ServerLoginOptions::Tls;

/// A login that has sent its startup message over a plain connection.
struct Started {
    ServerLogin login;
    ByteBuffer sent;

    explicit Started(ServerLoginOptions options) : login(std::move(options)) {
        REQUIRE(login.start(sent) == ServerLoginStep::need_bytes);
    }
    ServerLoginStep on(Bytes bytes) {
        sent.clear();
        return login.on_bytes(bytes, sent).step;
    }
    Kind failed_with(Bytes bytes) {
        CHECK(on(bytes) == ServerLoginStep::failed);
        CHECK_FALSE(login.failure().message.empty());
        return login.failure().kind;
    }
};

ByteBuffer authentication_request(uint32_t code, std::string_view data = {}) {
    ByteBuffer message;
    append_authentication(message, code, as_bytes(data));
    return message;
}
ByteBuffer sasl_request(std::string_view names) {
    return authentication_request(authentication::sasl, names);
}

const std::string_view scram_only("SCRAM-SHA-256\0\0", 15);
const std::string_view scram_and_plus("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", 34);

/// What a server says after the proof.
ByteBuffer welcome() {
    ByteBuffer bytes;
    append_authentication_ok(bytes);
    append_parameter_status(bytes, "server_version", "15.4");
    append_notice(bytes, "NOTICE", "00000", "hello");
    append_parameter_status(bytes, "in_hot_standby", "off");
    append_backend_key_data(bytes, as_bytes("12345678"));
    append_ready_for_query(bytes, 'I');
    return bytes;
}

/// The SCRAM message in what was sent: the text behind `skip` bytes of the body.
std::string scram_message(Bytes sent, size_t skip) {
    const auto message = take_message(sent, 100'000);
    REQUIRE(message);
    REQUIRE(message->has_value());
    return text_of((*message)->body).substr(skip);
}
std::string initial_response(Bytes sent, std::string_view mechanism) {
    CHECK(scram_message(sent, 0).substr(0, mechanism.size()) == mechanism);
    return scram_message(sent, mechanism.size() + 1 + 4);
}

}  // namespace

TEST_CASE("server login: trust, at every cut of the server's bytes") {
    const ByteBuffer bytes = welcome();
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
        CAPTURE(cut);
        Started started(server_options());
        CHECK(started.sent == raw("\0\0\0\x22\0\x03\0\0user\0alice\0database\0shop\0\0"));
        const auto first = started.login.on_bytes(Bytes(bytes).first(cut), started.sent);
        const auto second = started.login.on_bytes(Bytes(bytes).subspan(first.consumed), started.sent);
        CHECK((cut == bytes.size() ? first : second).step == ServerLoginStep::done);
        CHECK(started.login.parameters() ==
              Parameters{{"server_version", "15.4"}, {"in_hot_standby", "off"}});
        CHECK(as_text(started.login.cancel_key()) == "12345678");
        CHECK(started.login.protocol_minor() == 0);
    }
}

TEST_CASE("server login: bytes behind ReadyForQuery are left alone") {
    ByteBuffer bytes = welcome();
    const size_t size = bytes.size();
    append(bytes, "more");
    Started started(server_options());
    const auto outcome = started.login.on_bytes(bytes, started.sent);
    CHECK(outcome.consumed == size);
    CHECK(outcome.step == ServerLoginStep::done);
}

TEST_CASE("server login: asks for TLS as the settings say") {
    const auto started_with = [](Tls tls) {
        ServerLoginOptions options = server_options();
        options.tls = tls;
        return Started(options);
    };
    for (const Tls tls : {Tls::if_offered, Tls::required}) {
        Started started = started_with(tls);
        CHECK(started.sent == raw("\0\0\0\x08\x04\xd2\x16\x2f"));
        CHECK(started.on(as_bytes("S")) == ServerLoginStep::start_tls);
        CHECK(started.sent.empty());
        CHECK(started.login.on_secured({}, started.sent) == ServerLoginStep::need_bytes);
        CHECK(started.sent.size() == 34);
        CHECK(started.on(welcome()) == ServerLoginStep::done);
    }
    Started refused = started_with(Tls::if_offered);
    CHECK(refused.on(as_bytes("N")) == ServerLoginStep::need_bytes);
    CHECK(refused.sent.size() == 34);
    CHECK(started_with(Tls::required).failed_with(as_bytes("N")) == Kind::tls);
    for (const std::string_view bad : {"SR", "NR", "X", "R"}) {
        CAPTURE(bad);
        CHECK(started_with(Tls::if_offered).failed_with(as_bytes(bad)) == Kind::protocol);
    }
}

TEST_CASE("server login: direct TLS begins with nothing sent") {
    ServerLoginOptions options = server_options();
    options.tls = Tls::required;
    options.tls_direct = true;
    ServerLogin login(options);
    ByteBuffer out;
    CHECK(login.start(out) == ServerLoginStep::start_tls);
    CHECK(out.empty());
    CHECK(login.on_secured({}, out) == ServerLoginStep::need_bytes);
    CHECK(out.size() == 34);
}

TEST_CASE("server login: an error in place of the answer about TLS") {
    ByteBuffer error;
    append_error(error, "FATAL", "53300", "too many clients");
    ServerLoginOptions options = server_options();
    options.tls = Tls::if_offered;
    Started started(options);
    CHECK(started.on(Bytes(error).first(9)) == ServerLoginStep::need_bytes);
    CHECK(started.failed_with(error) == Kind::refused);
    CHECK(started.login.failure().sqlstate == "53300");
    CHECK(started.login.failure().error_response == error);
    CHECK(Started(options).failed_with(as_bytes("Ecould not fork new process\n")) == Kind::refused);

    options.tls = Tls::required;  // not yet the server's word
    Started required(options);
    CHECK(required.failed_with(error) == Kind::refused);
    CHECK(required.login.failure().sqlstate.empty());
    CHECK(required.login.failure().error_response.empty());
}

TEST_CASE("server login: an error at any stage is passed on whole") {
    ByteBuffer error;
    append_error(error, "FATAL", "57P03", "the database system is starting up");
    Started at_once(server_options());
    CHECK(at_once.failed_with(error) == Kind::refused);
    CHECK(at_once.login.failure().message == "the database system is starting up");
    CHECK(at_once.login.failure().sqlstate == "57P03");
    CHECK(at_once.login.failure().error_response == error);

    Started late(server_options());
    ByteBuffer bytes = authentication_request(0);
    append(bytes, error);
    CHECK(late.failed_with(bytes) == Kind::refused);

    Started nameless(server_options());
    CHECK(nameless.failed_with(raw("E\0\0\0\x0aMgone\0\0"
                                   "x")) == Kind::protocol);  // its length is one short
    Started bare(server_options());
    CHECK(bare.failed_with(raw("E\0\0\0\x0bMgone\0\0")) == Kind::refused);
    CHECK(bare.login.failure().sqlstate.empty());
}

TEST_CASE("server login: a password, and not in the open") {
    ServerLoginOptions options = server_options(password("pencil"));
    CHECK(Started(options).failed_with(authentication_request(3)) == Kind::credential);
    options.refuse_plain_password_without_tls = false;
    Started allowed(options);
    CHECK(allowed.on(authentication_request(3)) == ServerLoginStep::need_bytes);
    CHECK(allowed.sent == raw("p\0\0\0\x0bpencil\0"));
    CHECK(allowed.on(welcome()) == ServerLoginStep::done);

    ServerLoginOptions secured = server_options(password("pencil"));
    secured.tls = Tls::required;
    Started over_tls(secured);
    REQUIRE(over_tls.on(as_bytes("S")) == ServerLoginStep::start_tls);
    REQUIRE(over_tls.login.on_secured({}, over_tls.sent) == ServerLoginStep::need_bytes);
    CHECK(over_tls.on(authentication_request(3)) == ServerLoginStep::need_bytes);
    CHECK(over_tls.sent == raw("p\0\0\0\x0bpencil\0"));
}

TEST_CASE("server login: md5 by password or by hash") {
    Credential by_hash;
    by_hash.md5_hash = Secret("md5ee69efad287c7423caf0b3229d71f567");
    for (const Credential& credential : {password("pencil"), by_hash}) {
        Started started(server_options(credential));
        CHECK(started.on(authentication_request(5, std::string_view("\0\x01\x02\x03", 4))) ==
              ServerLoginStep::need_bytes);
        CHECK(started.sent == raw("p\0\0\0\x28md5da1cb9c9e3985bd9b5669a0dc521dc95\0"));
        CHECK(started.on(welcome()) == ServerLoginStep::done);
    }
    CHECK(Started(server_options(by_hash)).failed_with(authentication_request(5, "123")) == Kind::protocol);
    CHECK(Started(server_options(by_hash)).failed_with(authentication_request(5, "12345")) == Kind::protocol);
}

TEST_CASE("server login: a proof that can't be given says what to configure") {
    Credential keys_only;
    keys_only.scram = ScramKeys{};
    Credential hash_only;
    hash_only.md5_hash = Secret("md5ee69efad287c7423caf0b3229d71f567");
    for (const auto& [credential, request] :
         {std::pair{keys_only, authentication_request(5, "salt")},
          {hash_only, sasl_request(scram_only)},
          {Credential{}, sasl_request(scram_only)},
          {password("pencil"), sasl_request(std::string_view("OAUTHBEARER\0\0", 13))},
          {password("pencil"), sasl_request(std::string_view("SCRAM-SHA-256-PLUS\0\0", 20))},
          {password("pencil"), authentication_request(2)},
          {password("pencil"), authentication_request(7)},
          {password("pencil"), authentication_request(9)},
          {password("pencil"), authentication_request(4711)}}) {
        Started started(server_options(credential));
        CHECK(started.failed_with(request) == Kind::credential);
        CHECK(started.login.failure().message.find("configure") != std::string::npos);
        CHECK(started.login.failure().message.find("pencil") == std::string::npos);
        CHECK(started.sent.empty());
    }
    ServerLoginOptions options = server_options(keys_only);
    options.refuse_plain_password_without_tls = false;
    CHECK(Started(options).failed_with(authentication_request(3)) == Kind::credential);
}

TEST_CASE("server login: SCRAM with a password has its keys derived, with keys it has not") {
    const auto verifier = parse_scram_verifier(pencil_verifier);
    REQUIRE(verifier);
    const ScramKeys keys = derive_scram_keys("pencil", verifier->salt, verifier->iterations);
    Credential by_keys;
    by_keys.scram = keys;
    for (const Credential& credential : {password("pencil"), by_keys}) {
        Started started(server_options(credential));
        ScramServer server(*verifier, "servernonce", {});
        REQUIRE(started.on(sasl_request(scram_only)) == ServerLoginStep::need_bytes);
        const std::string first = initial_response(started.sent, scram_mechanism);
        CHECK(first.starts_with("n,,n=,r="));
        const auto challenge = server.on_client_first(scram_mechanism, first);
        REQUIRE(challenge);
        ServerLoginStep step = started.on(authentication_request(11, *challenge));
        if (credential.scram) {
            CHECK(step == ServerLoginStep::need_bytes);
        } else {
            CHECK(step == ServerLoginStep::derive_keys);
            CHECK(started.sent.empty());
            CHECK(started.login.iterations() == 4096);
            CHECK(text_of(started.login.salt()) == text_of(verifier->salt));
            step = started.login.on_keys(keys, started.sent);
        }
        CHECK(step == ServerLoginStep::need_bytes);
        const auto verdict = server.on_client_final(scram_message(started.sent, 0));
        REQUIRE(verdict);
        REQUIRE(verdict->is_proven);
        ByteBuffer rest = authentication_request(12, verdict->server_final);
        append(rest, welcome());
        CHECK(started.on(rest) == ServerLoginStep::done);
    }
}

TEST_CASE("server login: says of channel binding what is so") {
    struct Case {
        bool is_secured;
        std::string_view end_point;
        std::string_view offered;
        std::string_view mechanism;
        std::string_view header;
    };
    for (const Case& c :
         {Case{false, "", scram_only, scram_mechanism, "n,,"},
          Case{false, "", scram_and_plus, scram_mechanism, "n,,"},
          Case{true, "", scram_and_plus, scram_mechanism, "n,,"},
          Case{true, "cert", scram_only, scram_mechanism, "y,,"},
          Case{true, "cert", scram_and_plus, scram_plus_mechanism, "p=tls-server-end-point,,"}}) {
        ServerLoginOptions options = server_options(password("pencil"));
        if (c.is_secured) options.tls = Tls::required;
        Started started(options);
        if (c.is_secured) {
            REQUIRE(started.on(as_bytes("S")) == ServerLoginStep::start_tls);
            REQUIRE(started.login.on_secured(as_bytes(c.end_point), started.sent) ==
                    ServerLoginStep::need_bytes);
        }
        REQUIRE(started.on(sasl_request(c.offered)) == ServerLoginStep::need_bytes);
        CHECK(initial_response(started.sent, c.mechanism).starts_with(c.header));
    }
}

TEST_CASE("server login: a server that lies in its SCRAM exchange gets no further") {
    const auto at_challenge = [] {
        Started started(server_options(password("pencil")));
        REQUIRE(started.on(sasl_request(scram_only)) == ServerLoginStep::need_bytes);
        return started;
    };
    const auto nonce = [](const Started& started) {
        const std::string first = initial_response(started.sent, scram_mechanism);
        return first.substr(first.find("r=") + 2);
    };
    {
        Started started = at_challenge();  // lets us in without any proof of its own
        CHECK(started.failed_with(authentication_request(0)) == Kind::protocol);
    }
    {
        Started started = at_challenge();  // and now the password, please
        CHECK(started.failed_with(authentication_request(3)) == Kind::protocol);
    }
    {
        Started started = at_challenge();  // a signature before a challenge
        CHECK(started.failed_with(authentication_request(12, "v=AAAA")) == Kind::protocol);
    }
    {
        Started started = at_challenge();
        CHECK(started.failed_with(authentication_request(11, "r=another,s=QQ==,i=4096")) == Kind::protocol);
    }
    {
        Started started = at_challenge();
        const std::string own = nonce(started);
        CHECK(started.failed_with(authentication_request(11, "r=" + own + ",s=QQ==,i=4096")) ==
              Kind::protocol);
    }
    {
        Started started = at_challenge();
        const std::string own = nonce(started);
        const auto longest =
            authentication_request(11, "r=" + own + std::string(60'000, 'x') + ",s=QQ==,i=4096");
        CHECK(started.failed_with(longest) == Kind::protocol);
    }
    {
        Started started = at_challenge();
        const std::string own = nonce(started);
        CHECK(started.failed_with(authentication_request(11, "r=" + own + "x,s=QQ==,i=2000000000")) ==
              Kind::protocol);
    }
    for (const auto& last :
         {authentication_request(0), authentication_request(12, "v=" + std::string(43, 'A') + "="),
          authentication_request(12), authentication_request(11, "r=x,s=QQ==,i=1")}) {
        Started started = at_challenge();
        const std::string own = nonce(started);
        REQUIRE(started.on(authentication_request(11, "r=" + own + "x,s=QQ==,i=1")) ==
                ServerLoginStep::derive_keys);
        REQUIRE(started.login.on_keys(ScramKeys{}, started.sent) == ServerLoginStep::need_bytes);
        CHECK(started.failed_with(last) == Kind::protocol);
    }
}

TEST_CASE("server login: messages that make no sense") {
    for (const auto& bad :
         {raw("R\0\0\0\x03"), raw("R\0\0\0\x04"), raw("R\0\0\0\x07\0\0\0"), raw("R\x7f\xff\xff\xff"),
          raw("R\0\x01\0\x05"), raw("D\0\0\0\x04"),
          raw("S\0\0\0\x08"
              "a\0b\0"),
          raw("HTTP/1.1 400"), authentication_request(11, "r=a"), authentication_request(12, "v=a"),
          raw("R\0\0\0\x0b\0\0\0\x0a"
              "abc")}) {
        CHECK(Started(server_options(password("pencil"))).failed_with(bad) == Kind::protocol);
    }
    for (const auto& bad :
         {raw("Z\0\0\0\x05T"), raw("Z\0\0\0\x04"),
          raw("K\0\0\0\x0b"
              "1234567"),
          raw("S\0\0\0\x07"
              "a\0b"),
          raw("R\0\0\0\x08\0\0\0\0"), raw("T\0\0\0\x04"), raw("v\0\0\0\x0c\0\x03\0\0\0\0\0\0")}) {
        ByteBuffer bytes = authentication_request(0);
        append(bytes, bad);
        CHECK(Started(server_options()).failed_with(bytes) == Kind::protocol);
    }
    ByteBuffer long_key = authentication_request(0);
    append_message(long_key, 'K', ByteBuffer(261));
    CHECK(Started(server_options()).failed_with(long_key) == Kind::protocol);
}

TEST_CASE("server login: parameters are bounded, and the last value of a name counts") {
    ByteBuffer bytes = authentication_request(0);
    append_parameter_status(bytes, "a", "1");
    append_parameter_status(bytes, "b", "2");
    append_parameter_status(bytes, "a", "3");
    append_ready_for_query(bytes, 'I');
    Started started(server_options());
    CHECK(started.on(bytes) == ServerLoginStep::done);
    CHECK(started.login.parameters() == Parameters{{"a", "3"}, {"b", "2"}});
    CHECK(started.login.cancel_key().empty());

    Started flooded(server_options());
    REQUIRE(flooded.on(authentication_request(0)) == ServerLoginStep::need_bytes);
    ByteBuffer parameter;
    append_parameter_status(parameter, "a", std::string(60'000, 'x'));
    ServerLoginStep step = ServerLoginStep::need_bytes;
    int accepted = 0;
    while (step == ServerLoginStep::need_bytes && accepted < 10) {
        step = flooded.on(parameter);
        ++accepted;
    }
    CHECK(step == ServerLoginStep::failed);
    CHECK(accepted == 3);
}

TEST_CASE("server login: protocol 3.2, granted or not") {
    ServerLoginOptions options = server_options();
    options.protocol_minor = 2;
    const ByteBuffer long_key(260, std::byte{'k'});
    ByteBuffer granted = authentication_request(0);
    append_backend_key_data(granted, long_key);
    append_ready_for_query(granted, 'I');
    Started newest(options);
    CHECK(text_of(newest.sent).substr(4, 4) == std::string("\0\x03\0\x02", 4));
    CHECK(newest.on(granted) == ServerLoginStep::done);
    CHECK(newest.login.protocol_minor() == 2);
    CHECK(newest.login.cancel_key().size() == 260);

    for (const auto& answer : {raw("v\0\0\0\x0c\0\x03\0\0\0\0\0\0"), raw("v\0\0\0\x0c\0\0\0\0\0\0\0\0")}) {
        Started older(options);
        ByteBuffer bytes = answer;
        append(bytes, welcome());
        CHECK(older.on(bytes) == ServerLoginStep::done);
        CHECK(older.login.protocol_minor() == 0);
        ByteBuffer twice = answer;
        append(twice, answer);
        CHECK(Started(options).failed_with(twice) == Kind::protocol);
    }
    CHECK(Started(options).failed_with(raw("v\0\0\0\x0c\0\x03\0\x03\0\0\0\0")) == Kind::protocol);
    CHECK(Started(options).failed_with(raw("v\0\0\0\x0c\0\x02\0\0\0\0\0\0")) == Kind::protocol);
    CHECK(Started(options).failed_with(raw("v\0\0\0\x06\0\x03")) == Kind::protocol);
}

TEST_CASE("both sides: every method lets the right one in, with the wire cut into pieces of any size") {
    struct Case {
        AuthMethod method;
        RoleSecret secret;
        std::string_view end_point;  // not empty: over TLS
        int derivations;
    };
    const RoleSecret md5 = role_with_md5("md5ee69efad287c7423caf0b3229d71f567");
    const Case cases[] = {{AuthMethod::trust, {}, "", 0},
                          {AuthMethod::automatic, role_with_verifier(pencil_verifier), "", 1},
                          {AuthMethod::automatic, role_with_verifier(pencil_verifier), "certificate", 1},
                          {AuthMethod::scram, role_with_password("pencil"), "", 1},
                          {AuthMethod::automatic, md5, "", 0},
                          {AuthMethod::md5, role_with_password("pencil"), "certificate", 0},
                          {AuthMethod::password, role_with_verifier(pencil_verifier), "certificate", 0}};
    for (const Case& c : cases) {
        for (const size_t piece : {size_t{1}, size_t{7}, size_t{100'000}}) {
            CAPTURE(static_cast<int>(c.method));
            CAPTURE(piece);
            ServerLoginOptions options = server_options(password("pencil"));
            if (!c.end_point.empty()) options.tls = Tls::required;
            LoginPair pair(client_options(c.method), options, c.secret);
            pair.piece = piece;
            append(pair.end_point, c.end_point);
            pair.run();
            CHECK(pair.accepted == LoginStep::done);
            CHECK(pair.connected == ServerLoginStep::done);
            CHECK(pair.derivations == c.derivations);
            CHECK(pair.was_secured == !c.end_point.empty());
            CHECK(as_text(pair.connecting.cancel_key()) == "12345678");
        }
    }
}

TEST_CASE("both sides: what a client's login taught logs in at a server") {
    for (const RoleSecret& secret :
         {role_with_verifier(pencil_verifier), role_with_md5("md5ee69efad287c7423caf0b3229d71f567"),
          role_with_password("pencil")}) {
        for (const std::string_view end_point : {"", "certificate of the server"}) {
            LoginPair at_proxy(client_options(), server_options(password("pencil")), secret);
            at_proxy.run();
            REQUIRE(at_proxy.accepted == LoginStep::done);
            ServerLoginOptions options = server_options(at_proxy.accepting.take_credential());
            if (!end_point.empty()) options.tls = Tls::if_offered;
            // The server's role: the plain password was only the proxy's.
            LoginPair at_server(client_options(), options,
                                secret.password.empty() ? secret : role_with_verifier(pencil_verifier));
            append(at_server.end_point, end_point);
            at_server.run();
            CHECK(at_server.connected == ServerLoginStep::done);
            CHECK(at_server.derivations == (secret.password.empty() ? 0 : 1));
        }
    }
}

TEST_CASE("both sides: the wrong one stays out, and the server's words come through") {
    for (const AuthMethod method : {AuthMethod::automatic, AuthMethod::md5}) {
        RoleSecret secret = role_with_password("not pencil");
        LoginPair pair(client_options(method), server_options(password("pencil")), secret);
        pair.run();
        CHECK(pair.accepted == LoginStep::failed);
        CHECK(pair.connected == ServerLoginStep::failed);
        CHECK(pair.connecting.failure().kind == Kind::refused);
        CHECK(pair.connecting.failure().sqlstate == "28P01");
        CHECK(pair.connecting.failure().message == "password authentication failed for user \"alice\"");
    }
}
