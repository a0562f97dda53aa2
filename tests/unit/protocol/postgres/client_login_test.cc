#include <algorithm>

#include <doctest/doctest.h>

#include "login_fixtures.h"
#include "protocol/base/limits.h"
#include "protocol/postgres/scram.h"

using namespace holdfast;
using namespace holdfast::postgres;
using namespace holdfast::postgres::test;

namespace {

ByteBuffer startup_message(uint32_t minor = 0, const Parameters& parameters = {}) {
    ByteBuffer message;
    append_startup(message, minor, "alice", "shop", parameters);
    return message;
}
ByteBuffer ssl_request() {
    ByteBuffer message;
    append_ssl_request(message);
    return message;
}
ByteBuffer gssenc_request() {
    return raw("\0\0\0\x08\x04\xd2\x16\x30");
}

/// Gives everything, and whatever stays unconsumed again.
LoginStep feed(ClientLogin& login, Bytes bytes, ByteBuffer& out) {
    return login.on_bytes(bytes, out).step;
}

/// The ErrorResponse that is all of `out` from `at` on.
ErrorFields error_in(Bytes out) {
    const auto message = take_message(out, 100'000);
    REQUIRE(message);
    REQUIRE(message->has_value());
    CHECK((*message)->type == 'E');
    CHECK((*message)->total_bytes() == out.size());
    const auto fields = parse_error_fields((*message)->body);
    REQUIRE(fields);
    CHECK(fields->severity == "FATAL");
    return *fields;
}

/// The refusal of `bytes` as the first of a connection.
ErrorFields refusal_of(Bytes bytes, ClientLoginOptions options = client_options()) {
    ClientLogin login(std::move(options));
    ByteBuffer out;
    CHECK(feed(login, bytes, out) == LoginStep::failed);
    CHECK_FALSE(login.error().empty());
    CHECK_FALSE(login.is_password_failure());
    return error_in(out);
}

/// A login that has got as far as its challenge.
struct Challenged {
    ClientLogin login;
    ByteBuffer out;

    Challenged(ClientLoginOptions options, std::optional<RoleSecret> secret) : login(std::move(options)) {
        REQUIRE(feed(login, startup_message(), out) == LoginStep::need_secret);
        REQUIRE(out.empty());
        REQUIRE(login.on_secret(std::move(secret), out) == LoginStep::need_bytes);
    }
    LoginStep answer(Bytes body) {
        out.clear();
        ByteBuffer message;
        append_message(message, 'p', body);
        const auto outcome = login.on_bytes(message, out);
        CHECK(outcome.consumed == message.size());
        return outcome.step;
    }
    LoginStep answer_text(std::string_view text) {
        ByteBuffer body;
        Writer(body).text(text);
        return answer(body);
    }
    LoginStep answer_initial(std::string_view mechanism, std::string_view data) {
        ByteBuffer body;
        Writer(body).text(mechanism).u32(static_cast<uint32_t>(data.size())).bytes(as_bytes(data));
        return answer(body);
    }
};

/// The body of the Authentication message that is all of `out`.
std::string authentication_body(Bytes out) {
    const auto message = take_message(out, 100'000);
    REQUIRE(message);
    REQUIRE(message->has_value());
    CHECK((*message)->type == 'R');
    CHECK((*message)->total_bytes() == out.size());
    return text_of((*message)->body);
}

/// Plays a SCRAM client with `text` as its password; returns the step that ends it, `out` holds the answer.
LoginStep prove_with(Challenged& challenged, std::string_view text) {
    ScramClient client("clientnonce", ScramBinding::unsupported, {});
    REQUIRE(challenged.answer_initial(scram_mechanism, client.client_first()) == LoginStep::need_bytes);
    const std::string challenge = authentication_body(challenged.out).substr(4);
    REQUIRE(client.on_server_first(challenge));
    const LoginStep step = challenged.answer(
        as_bytes(client.client_final(derive_scram_keys(text, client.salt(), client.iterations()))));
    if (step == LoginStep::done) {
        CHECK(client.on_server_final(authentication_body(challenged.out).substr(4)));
    }
    return step;
}

void check_is_wrong_password(const Challenged& challenged) {
    const ErrorFields fields = error_in(challenged.out);
    CHECK(fields.sqlstate == "28P01");
    CHECK(fields.message == "password authentication failed for user \"alice\"");
    CHECK(fields.detail.empty());
    CHECK(fields.hint.empty());
    CHECK(challenged.login.is_password_failure());
}

}  // namespace

TEST_CASE("client login: asks for the secret when the startup message is whole, at every cut") {
    const ByteBuffer message =
        startup_message(0, {{"application_name", "psql"}, {"replication", "database"}});
    for (size_t cut = 0; cut <= message.size(); ++cut) {
        CAPTURE(cut);
        ClientLogin login(client_options());
        ByteBuffer out;
        const auto first = login.on_bytes(Bytes(message).first(cut), out);
        if (cut < message.size()) {
            CHECK(first.step == LoginStep::need_bytes);
            CHECK(first.consumed == 0);
            CHECK(login.on_bytes(message, out).step == LoginStep::need_secret);
        } else {
            CHECK(first.step == LoginStep::need_secret);
            CHECK(first.consumed == message.size());
        }
        CHECK(out.empty());
        CHECK(login.startup().user == "alice");
        CHECK(login.startup().database == "shop");
        CHECK(login.startup().parameter("application_name") == "psql");
        CHECK(login.startup().replication == Startup::Replication::logical);
    }
}

TEST_CASE("client login: what follows the startup message waits for the look-up") {
    ClientLogin login(client_options(AuthMethod::md5));
    ByteBuffer bytes = startup_message(), out;
    const size_t startup_bytes = bytes.size();
    append_password(bytes, "md5da1cb9c9e3985bd9b5669a0dc521dc95");
    const auto outcome = login.on_bytes(bytes, out);
    CHECK(outcome.consumed == startup_bytes);
    CHECK(outcome.step == LoginStep::need_secret);
    const Bytes rest = Bytes(bytes).subspan(startup_bytes);
    CHECK(login.on_bytes(rest, out).consumed == 0);
    REQUIRE(login.on_secret(role_with_password("pencil"), out) == LoginStep::need_bytes);
    CHECK(login.on_bytes(rest, out).step == LoginStep::done);
}

TEST_CASE("client login: TLS and GSS encryption are asked for once each, in any order") {
    const ByteBuffer ssl = ssl_request(), gss = gssenc_request();
    ClientLoginOptions without_tls = client_options();
    without_tls.tls_offered = false;
    for (const bool ssl_first : {true, false}) {
        ClientLogin login(without_tls);
        ByteBuffer out;
        CHECK(feed(login, ssl_first ? ssl : gss, out) == LoginStep::need_bytes);
        CHECK(text_of(out) == "N");
        CHECK(feed(login, ssl_first ? gss : ssl, out) == LoginStep::need_bytes);
        CHECK(text_of(out) == "NN");
        CHECK(feed(login, startup_message(), out) == LoginStep::need_secret);
    }
    for (const ByteBuffer& request : {ssl, gss}) {
        ClientLogin login(without_tls);
        ByteBuffer out;
        CHECK(feed(login, request, out) == LoginStep::need_bytes);
        out.clear();
        CHECK(feed(login, request, out) == LoginStep::failed);
        CHECK(error_in(out).sqlstate == "0A000");
    }
    ClientLogin login(client_options());
    ByteBuffer out;
    CHECK(feed(login, gss, out) == LoginStep::need_bytes);
    CHECK(feed(login, ssl, out) == LoginStep::start_tls);
    CHECK(text_of(out) == "NS");
    CHECK(login.on_secured("", {}, "", out) == LoginStep::need_bytes);
    CHECK(feed(login, startup_message(), out) == LoginStep::need_secret);
}

TEST_CASE("client login: bytes pushed in behind a request for encryption are refused") {
    for (const ByteBuffer& request : {ssl_request(), gssenc_request()}) {
        for (const bool tls_offered : {true, false}) {
            ByteBuffer bytes = request;
            append(bytes, startup_message());
            ClientLoginOptions options = client_options();
            options.tls_offered = tls_offered;
            const ErrorFields fields = refusal_of(bytes, options);
            CHECK(fields.sqlstate == "08P01");
            CHECK(fields.message.starts_with("received unencrypted data after "));
            bytes.resize(request.size() + 1);
            CHECK(refusal_of(bytes, options).sqlstate == "08P01");
        }
    }
}

TEST_CASE("client login: no second request for encryption inside TLS") {
    for (const ByteBuffer& request : {ssl_request(), gssenc_request()}) {
        ClientLogin login(client_options());
        ByteBuffer out;
        REQUIRE(feed(login, ssl_request(), out) == LoginStep::start_tls);
        REQUIRE(login.on_secured("postgresql", {}, "", out) == LoginStep::need_bytes);
        out.clear();
        CHECK(feed(login, request, out) == LoginStep::failed);
        CHECK(error_in(out).sqlstate == "0A000");
    }
}

TEST_CASE("client login: direct TLS is the very first byte, and wants its ALPN") {
    const ByteBuffer hello = raw("\x16\x03\x01");
    const auto secured_with = [&hello](std::string_view alpn) {
        ClientLogin login(client_options());
        ByteBuffer out;
        const auto outcome = login.on_bytes(hello, out);
        CHECK(outcome.step == LoginStep::start_tls_now);
        CHECK(outcome.consumed == 0);
        CHECK(out.empty());
        return login.on_secured(alpn, {}, "", out);
    };
    CHECK(secured_with("postgresql") == LoginStep::need_bytes);
    CHECK(secured_with("") == LoginStep::failed);
    CHECK(secured_with("http/1.1") == LoginStep::failed);

    ClientLoginOptions without_tls = client_options();
    without_tls.tls_offered = false;
    CHECK(refusal_of(hello, without_tls).message == "TLS is not offered here");

    ClientLogin after_gss(client_options());
    ByteBuffer out;
    REQUIRE(feed(after_gss, gssenc_request(), out) == LoginStep::need_bytes);
    ByteBuffer hello_word = raw("\x16\x03\x01\x00");
    CHECK(feed(after_gss, hello_word, out) == LoginStep::failed);
}

TEST_CASE("client login: negotiated TLS needs no ALPN, but takes no other") {
    for (const auto& [alpn, step] : {std::pair{std::string_view(""), LoginStep::need_bytes},
                                     {std::string_view("postgresql"), LoginStep::need_bytes},
                                     {std::string_view("h2"), LoginStep::failed}}) {
        ClientLogin login(client_options());
        ByteBuffer out;
        REQUIRE(feed(login, ssl_request(), out) == LoginStep::start_tls);
        CHECK(login.on_secured(alpn, {}, "", out) == step);
    }
}

TEST_CASE("client login: a cancel request is read by its length, also inside TLS") {
    for (const size_t key_bytes : {size_t{8}, size_t{36}, size_t{260}}) {
        for (const bool is_secured : {false, true}) {
            ByteBuffer key(key_bytes, std::byte{0xab}), message, out;
            append_cancel_request(message, key);
            ClientLoginOptions options = client_options();
            options.tls_required = !is_secured;  // a cancel is no login
            ClientLogin login(options);
            if (is_secured) {
                REQUIRE(feed(login, ssl_request(), out) == LoginStep::start_tls);
                REQUIRE(login.on_secured("", {}, "", out) == LoginStep::need_bytes);
                out.clear();
            }
            CHECK(feed(login, Bytes(message).first(message.size() - 1), out) == LoginStep::need_bytes);
            CHECK(feed(login, message, out) == LoginStep::cancel);
            CHECK(std::equal(key.begin(), key.end(), login.cancel_key().begin(), login.cancel_key().end()));
            CHECK(out.empty());
        }
    }
    CHECK(refusal_of(raw("\0\0\0\x08\x04\xd2\x16\x2e")).sqlstate == "08P01");
    CHECK(refusal_of(raw("\0\0\0\x0f\x04\xd2\x16\x2e"
                         "1234567"))
              .sqlstate == "08P01");
    ByteBuffer long_one = raw("\0\0\x01\x0d\x04\xd2\x16\x2e");
    long_one.resize(269);
    CHECK(refusal_of(long_one).sqlstate == "08P01");
}

TEST_CASE("client login: lengths of a startup packet") {
    for (const auto& bad : {raw("\0\0\0\0"), raw("\0\0\0\x07"), raw("\xff\xff\xff\xff"), raw("\0\0\x27\x11"),
                            raw("GET "), raw("\x80\0\0\0")}) {
        CHECK(refusal_of(bad).sqlstate == "08P01");
    }
    ByteBuffer longest = raw("\0\0\x27\x10\0\x03\0\0user\0alice\0x\0");
    longest.resize(10'000 - 2, std::byte{'v'});
    longest.resize(10'000);
    ClientLogin login(client_options());
    ByteBuffer out;
    CHECK(feed(login, Bytes(longest).first(9'999), out) == LoginStep::need_bytes);
    CHECK(feed(login, longest, out) == LoginStep::need_secret);
    CHECK(login.startup().parameter("x").size() == 10'000 - 8 - 11 - 2 - 2);
}

TEST_CASE("client login: startup messages that are refused") {
    CHECK(refusal_of(raw("\0\0\0\x09\0\x02\0\0\0")).message.starts_with("unsupported frontend protocol 2.0"));
    CHECK(refusal_of(raw("\0\0\0\x09\0\x03\0\0\0")).sqlstate == "28000");
    CHECK(refusal_of(raw("\0\0\0\x08\0\x03\0\0")).sqlstate == "08P01");
    CHECK(refusal_of(startup_message(0, {{"replication", "perhaps"}})).sqlstate == "22023");
    ClientLoginOptions tls_required = client_options();
    tls_required.tls_required = true;
    const ErrorFields fields = refusal_of(startup_message(), tls_required);
    CHECK(fields.sqlstate == "28000");
    CHECK_FALSE(fields.hint.empty());
}

TEST_CASE("client login: negotiates the protocol version once, then goes on") {
    ClientLogin login(client_options());
    ByteBuffer out;
    CHECK(feed(login, startup_message(9999, {{"_pq_.test_protocol_negotiation", ""}}), out) ==
          LoginStep::need_secret);
    CHECK(out == raw("v\0\0\0\x2b\0\x03\0\x02\0\0\0\x01_pq_.test_protocol_negotiation\0"));
    CHECK(login.startup().protocol_minor == 2);
    out.clear();
    CHECK(login.on_secret(role_with_verifier(pencil_verifier), out) == LoginStep::need_bytes);
    CHECK(authentication_body(out) == std::string("\0\0\0\x0aSCRAM-SHA-256\0\0", 19));

    ClientLogin reserved(client_options());
    out.clear();
    CHECK(feed(reserved, startup_message(1), out) == LoginStep::need_secret);
    CHECK(out == raw("v\0\0\0\x0c\0\x03\0\0\0\0\0\0"));
    CHECK(reserved.startup().protocol_minor == 0);

    ClientLogin newest(client_options());
    out.clear();
    CHECK(feed(newest, startup_message(2), out) == LoginStep::need_secret);
    CHECK(out.empty());
    CHECK(newest.startup().protocol_minor == 2);
}

TEST_CASE("client login: trust and certificates need no secret") {
    ByteBuffer out;
    ClientLogin trusting(client_options(AuthMethod::trust));
    CHECK(feed(trusting, startup_message(), out) == LoginStep::done);
    CHECK(trusting.take_credential().empty());
    CHECK(out.empty());

    for (const auto& [name, step] : {std::pair{std::string_view("alice"), LoginStep::done},
                                     {std::string_view("alicex"), LoginStep::failed},
                                     {std::string_view(""), LoginStep::failed}}) {
        CAPTURE(name);
        ClientLogin login(client_options(AuthMethod::cert));
        out.clear();
        REQUIRE(feed(login, ssl_request(), out) == LoginStep::start_tls);
        REQUIRE(login.on_secured("", {}, name, out) == LoginStep::need_bytes);
        out.clear();
        CHECK(feed(login, startup_message(), out) == step);
        if (step == LoginStep::failed) {
            CHECK(error_in(out).sqlstate == "28000");
            CHECK(error_in(out).message.find("alicex") == std::string::npos);
        }
    }
    CHECK(refusal_of(startup_message(), client_options(AuthMethod::cert)).sqlstate == "28000");
}

TEST_CASE("client login: SCRAM against a stored verifier teaches the keys") {
    Challenged challenged(client_options(), role_with_verifier(pencil_verifier));
    REQUIRE(prove_with(challenged, "pencil") == LoginStep::done);
    const Credential learned = challenged.login.take_credential();
    REQUIRE(learned.scram);
    CHECK(learned.password.empty());
    CHECK(learned.md5_hash.empty());
    CHECK(matches(*parse_scram_verifier(pencil_verifier), *learned.scram));
    CHECK(challenged.login.take_credential().empty());
}

TEST_CASE("client login: SCRAM against a configured password teaches the password") {
    Challenged challenged(client_options(), role_with_password("pencil"));
    REQUIRE(prove_with(challenged, "pencil") == LoginStep::done);
    const Credential learned = challenged.login.take_credential();
    CHECK(learned.password.reveal() == "pencil");
    CHECK_FALSE(learned.scram);  // of our salt: no server has it
}

TEST_CASE("client login: every way to be wrong looks the same") {
    RoleSecret expired = role_with_verifier(pencil_verifier);
    expired.valid_until = 1'699'999'999;
    RoleSecret malformed = role_with_verifier("SCRAM-SHA-256$nonsense");
    const std::tuple<std::optional<RoleSecret>, std::string_view, std::string_view> cases[] = {
        {role_with_verifier(pencil_verifier), "wrong", "wrong password"},
        {role_with_password("pencil"), "wrong", "wrong password"},
        {std::nullopt, "pencil", "no such role"},
        {RoleSecret{}, "pencil", "no SCRAM verifier is stored"},
        {malformed, "pencil", "not a SCRAM-SHA-256 verifier"},
        {expired, "pencil", "the password has expired"},
        {expired, "wrong", "the password has expired"}};
    for (const auto& [secret, text, reason] : cases) {
        CAPTURE(reason);
        Challenged challenged(client_options(), secret);
        CHECK(authentication_body(challenged.out) == std::string("\0\0\0\x0aSCRAM-SHA-256\0\0", 19));
        CHECK(prove_with(challenged, text) == LoginStep::failed);
        check_is_wrong_password(challenged);
        CHECK(challenged.login.error().ends_with(reason));
        CHECK(challenged.login.take_credential().empty());
    }
    RoleSecret valid = role_with_verifier(pencil_verifier);
    valid.valid_until = 1'700'000'000;
    Challenged challenged(client_options(), valid);
    CHECK(prove_with(challenged, "pencil") == LoginStep::done);
}

TEST_CASE(
    "client login: an unknown user's challenge is the same at every try, and another user's is another") {
    const auto salt_of = [](std::string_view user, std::byte key) {
        ClientLoginOptions options = client_options();
        options.mock_key.fill(key);
        ClientLogin login(options);
        ByteBuffer message, out;
        append_startup(message, 0, user, "", {});
        REQUIRE(feed(login, message, out) == LoginStep::need_secret);
        REQUIRE(login.on_secret(std::nullopt, out) == LoginStep::need_bytes);
        message.clear();
        out.clear();
        append_sasl_initial_response(message, scram_mechanism, "n,,n=,r=abc");
        REQUIRE(feed(login, message, out) == LoginStep::need_bytes);
        ScramClient client("abc", ScramBinding::unsupported, {});
        REQUIRE(client.on_server_first(authentication_body(out).substr(4)));
        CHECK(client.iterations() == 4096);
        CHECK(client.salt().size() == 16);
        return text_of(client.salt());
    };
    CHECK(salt_of("mallory", std::byte{1}) == salt_of("mallory", std::byte{1}));
    CHECK(salt_of("mallory", std::byte{1}) != salt_of("trudy", std::byte{1}));
    CHECK(salt_of("mallory", std::byte{1}) != salt_of("mallory", std::byte{2}));
}

TEST_CASE("client login: a role that may not log in learns so only with the right password") {
    RoleSecret secret = role_with_verifier(pencil_verifier);
    secret.can_login = false;
    Challenged right(client_options(), secret);
    CHECK(prove_with(right, "pencil") == LoginStep::failed);
    CHECK(error_in(right.out).sqlstate == "28000");
    CHECK(error_in(right.out).message == "role \"alice\" is not permitted to log in");
    CHECK(right.login.take_credential().empty());
    Challenged wrong(client_options(), secret);
    CHECK(prove_with(wrong, "wrong") == LoginStep::failed);
    check_is_wrong_password(wrong);
}

TEST_CASE("client login: offers SCRAM-SHA-256-PLUS first when TLS has an end point") {
    ClientLogin login(client_options());
    ByteBuffer out;
    REQUIRE(feed(login, ssl_request(), out) == LoginStep::start_tls);
    REQUIRE(login.on_secured("", as_bytes("certificate"), "", out) == LoginStep::need_bytes);
    REQUIRE(feed(login, startup_message(), out) == LoginStep::need_secret);
    out.clear();
    REQUIRE(login.on_secret(role_with_verifier(pencil_verifier), out) == LoginStep::need_bytes);
    CHECK(authentication_body(out) == std::string("\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", 38));
    ByteBuffer downgraded;
    append_sasl_initial_response(downgraded, scram_mechanism, "y,,n=,r=abc");
    out.clear();
    CHECK(feed(login, downgraded, out) == LoginStep::failed);
    CHECK(error_in(out).sqlstate == "28000");
    CHECK_FALSE(login.is_password_failure());
}

TEST_CASE("client login: a SASL client may choose its mechanism first and speak later") {
    Challenged challenged(client_options(), role_with_verifier(pencil_verifier));
    ByteBuffer body = raw("SCRAM-SHA-256\0\xff\xff\xff\xff");
    REQUIRE(challenged.answer(body) == LoginStep::need_bytes);
    CHECK(authentication_body(challenged.out) == std::string("\0\0\0\x0b", 4));
    REQUIRE(challenged.answer(as_bytes("n,,n=,r=abc")) == LoginStep::need_bytes);
    CHECK(authentication_body(challenged.out).substr(4, 5) == "r=abc");
}

TEST_CASE("client login: SASL messages that are refused") {
    for (const auto& bad :
         {raw(""), raw("SCRAM-SHA-256"), raw("SCRAM-SHA-256\0"), raw("SCRAM-SHA-256\0\0\0\0\x0b"),
          raw("SCRAM-SHA-256\0\0\0\0\x0an,,n=,r=abc"), raw("SCRAM-SHA-256\0\x7f\xff\xff\xffn,,n=,r=abc"),
          raw("SCRAM-SHA-256\0\xff\xff\xff\xffn,,n=,r=abc"), raw("PLAIN\0\0\0\0\x01x"),
          raw("SCRAM-SHA-256-PLUS\0\0\0\0\x1ep=tls-server-end-point,,n=,r=a")}) {
        Challenged challenged(client_options(), role_with_verifier(pencil_verifier));
        CHECK(challenged.answer(bad) == LoginStep::failed);
        CHECK(error_in(challenged.out).sqlstate == "08P01");
        CHECK_FALSE(challenged.login.is_password_failure());
    }
}

TEST_CASE("client login: messages out of turn or out of bounds are refused at once") {
    for (const auto& bad : {raw("Q"), raw("X\0\0\0\x04"), raw("p\0\0\0\x03"), raw("p\0\0\x04\x05"),
                            raw("p\xff\xff\xff\xff"), raw("p\0\x01\0\0")}) {
        Challenged challenged(client_options(), role_with_verifier(pencil_verifier));
        challenged.out.clear();
        CHECK(feed(challenged.login, bad, challenged.out) == LoginStep::failed);
        CHECK(error_in(challenged.out).sqlstate == "08P01");
        ByteBuffer more;
        CHECK(feed(challenged.login, bad, more) == LoginStep::failed);  // and it stays so
        CHECK(more.empty());
    }
}

TEST_CASE("client login: md5, by the stored hash or a configured password") {
    // md5("md5"-less hash of pencil and alice, then the salt 00 01 02 03 that the options' random gives)
    constexpr std::string_view proof = "md5da1cb9c9e3985bd9b5669a0dc521dc95";
    const RoleSecret by_hash = role_with_md5("md5ee69efad287c7423caf0b3229d71f567");
    for (const auto& [method, secret] : {std::pair{AuthMethod::automatic, by_hash},
                                         {AuthMethod::md5, by_hash},
                                         {AuthMethod::md5, role_with_password("pencil")}}) {
        Challenged right(client_options(method), secret);
        CHECK(right.out == raw("R\0\0\0\x0c\0\0\0\x05\0\x01\x02\x03"));
        CHECK(right.answer_text(proof) == LoginStep::done);
        CHECK(right.out.empty());
        CHECK(right.login.take_credential().md5_hash.reveal() == "md5ee69efad287c7423caf0b3229d71f567");
        Challenged wrong(client_options(method), secret);
        CHECK(wrong.answer_text("md5da1cb9c9e3985bd9b5669a0dc521dc96") == LoginStep::failed);
        check_is_wrong_password(wrong);
    }
    for (const std::optional<RoleSecret>& secret :
         {std::optional<RoleSecret>{}, std::optional(RoleSecret{})}) {
        Challenged unknown(client_options(AuthMethod::md5), secret);
        CHECK(unknown.out.size() == 13);
        CHECK(unknown.answer_text("") == LoginStep::failed);
        check_is_wrong_password(unknown);
    }
}

TEST_CASE("client login: the method md5 is satisfied by SCRAM where that is what is stored") {
    Challenged challenged(client_options(AuthMethod::md5), role_with_verifier(pencil_verifier));
    CHECK(prove_with(challenged, "pencil") == LoginStep::done);
}

TEST_CASE("client login: the method scram does not fall back to md5") {
    Challenged challenged(client_options(AuthMethod::scram),
                          role_with_md5("md5ee69efad287c7423caf0b3229d71f567"));
    CHECK(prove_with(challenged, "pencil") == LoginStep::failed);
    check_is_wrong_password(challenged);
}

TEST_CASE("client login: a plain password only crosses private ground") {
    CHECK(refusal_of(startup_message(), client_options(AuthMethod::password)).sqlstate == "28000");
    ClientLogin secured(client_options(AuthMethod::password));
    ByteBuffer out;
    REQUIRE(feed(secured, ssl_request(), out) == LoginStep::start_tls);
    REQUIRE(secured.on_secured("", {}, "", out) == LoginStep::need_bytes);
    CHECK(feed(secured, startup_message(), out) == LoginStep::need_secret);
}

TEST_CASE("client login: a plain password is checked against whatever is stored") {
    ClientLoginOptions local = client_options(AuthMethod::password);
    local.is_local = true;
    for (const RoleSecret& secret : {role_with_password("pencil"), role_with_verifier(pencil_verifier),
                                     role_with_md5("md5ee69efad287c7423caf0b3229d71f567")}) {
        Challenged right(local, secret);
        CHECK(right.out == raw("R\0\0\0\x08\0\0\0\x03"));
        CHECK(right.answer_text("pencil") == LoginStep::done);
        const Credential learned = right.login.take_credential();
        CHECK(learned.password.reveal() == "pencil");
        CHECK(learned.scram.has_value() == !secret.scram_verifier.empty());
        for (const std::string_view text : {"pencil ", "penci", "", "md5ee69efad287c7423caf0b3229d71f567"}) {
            Challenged wrong(local, secret);
            CHECK(wrong.answer_text(text) == LoginStep::failed);
            check_is_wrong_password(wrong);
        }
    }
    Challenged unknown(local, std::nullopt);
    CHECK(unknown.answer_text("pencil") == LoginStep::failed);
    check_is_wrong_password(unknown);
    Challenged empty(local, role_with_password(""));
    CHECK(empty.answer_text("") == LoginStep::failed);
    check_is_wrong_password(empty);
    for (const auto& bad : {raw(""), raw("pencil"), raw("pencil\0x\0"), raw("pencil\0\0")}) {
        Challenged malformed(local, role_with_password("pencil"));
        CHECK(malformed.answer(bad) == LoginStep::failed);
        CHECK(error_in(malformed.out).sqlstate == "08P01");
    }
}

TEST_CASE("client login: a password of a cloud's length passes, in pieces") {
    ClientLoginOptions local = client_options(AuthMethod::password);
    local.is_local = true;
    const std::string token(limits::postgres_auth_message_bytes_max - 1, 't');
    Challenged challenged(local, role_with_password(token));
    ByteBuffer message, out;
    append_password(message, token);
    for (size_t size = 0; size < message.size(); size += 1'000) {
        REQUIRE(challenged.login.on_bytes(Bytes(message).first(size), out).consumed == 0);
    }
    CHECK(feed(challenged.login, message, out) == LoginStep::done);
}

TEST_CASE("client login: a look-up that failed is not called a wrong password") {
    ClientLogin login(client_options());
    ByteBuffer out;
    REQUIRE(feed(login, startup_message(), out) == LoginStep::need_secret);
    CHECK(login.on_secret_unavailable("no server can be reached", out) == LoginStep::failed);
    const ErrorFields fields = error_in(out);
    CHECK(fields.sqlstate == "57P03");
    CHECK(fields.detail == "no server can be reached");
    CHECK_FALSE(login.is_password_failure());
}
