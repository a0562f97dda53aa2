#include "protocol/postgres/scram.h"

#include <doctest/doctest.h>

#include "login_fixtures.h"
#include "protocol/base/limits.h"

using namespace holdfast;
using namespace holdfast::postgres;

namespace {

// The exchange of RFC 7677, section 3.
constexpr std::string_view client_nonce = "rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view client_first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view client_final =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+"
    "Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

ScramKeys rfc_keys() {
    return derive_scram_keys("pencil", *base64_decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
}

ScramServer rfc_server(Bytes end_point = {}) {
    return ScramServer(make_scram_verifier(rfc_keys(), *base64_decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096),
                       std::string(server_nonce), end_point);
}

ErrorCode first_error(std::string_view mechanism, std::string_view message, Bytes end_point = {}) {
    const auto answer = rfc_server(end_point).on_client_first(mechanism, message);
    return answer ? ErrorCode::internal : answer.error().code;
}

ErrorCode final_error(std::string_view message) {
    ScramServer server = rfc_server();
    REQUIRE(server.on_client_first(scram_mechanism, client_first));
    const auto verdict = server.on_client_final(message);
    return verdict ? ErrorCode::internal : verdict.error().code;
}

ErrorCode challenge_error(std::string_view message) {
    ScramClient client(std::string(client_nonce), ScramBinding::unsupported, {}, "user");
    const auto status = client.on_server_first(message);
    return status ? ErrorCode::internal : status.error().code;
}

}  // namespace

TEST_CASE("scram server: the exchange of RFC 7677") {
    ScramServer server = rfc_server();
    const auto challenge = server.on_client_first(scram_mechanism, client_first);
    REQUIRE(challenge);
    CHECK(*challenge == server_first);
    const auto verdict = server.on_client_final(client_final);
    REQUIRE(verdict);
    CHECK(verdict->is_proven);
    CHECK(verdict->server_final == server_final);
    CHECK(verdict->keys.client_key == rfc_keys().client_key);
    CHECK(verdict->keys.server_key == rfc_keys().server_key);
}

TEST_CASE("scram client: the exchange of RFC 7677") {
    ScramClient client(std::string(client_nonce), ScramBinding::unsupported, {}, "user");
    CHECK(client.client_first() == client_first);
    REQUIRE(client.on_server_first(server_first));
    CHECK(base64_encode(client.salt()) == "W22ZaJ0SNY7soEsUEjb6gQ==");
    CHECK(client.iterations() == 4096);
    CHECK(client.client_final(rfc_keys()) == client_final);
    CHECK(client.on_server_final(server_final));
    CHECK(client.on_server_final("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").error().code ==
          ErrorCode::denied);
    CHECK(client.on_server_final("e=other-error").error().code == ErrorCode::refused);
    for (const std::string_view bad :
         {"", "v=", "v=AAAA", "x=1", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="}) {
        CAPTURE(bad);
        CHECK(client.on_server_final(bad).error().code == ErrorCode::bad_value);
    }
}

TEST_CASE("scram client: escapes the user name") {
    CHECK(ScramClient("N", ScramBinding::not_offered, {}, "a=b,c").client_first() == "y,,n=a=3Db=2Cc,r=N");
}

TEST_CASE("scram verifier: one that PostgreSQL made is satisfied by its password only") {
    const auto verifier = parse_scram_verifier(test::pencil_verifier);
    REQUIRE(verifier);
    CHECK(verifier->iterations == 4096);
    CHECK(base64_encode(verifier->salt) == "CTlynfzBIXpflkmNHHP1Pg==");
    CHECK(matches(*verifier, derive_scram_keys("pencil", verifier->salt, verifier->iterations)));
    CHECK_FALSE(matches(*verifier, derive_scram_keys("Pencil", verifier->salt, verifier->iterations)));
    CHECK_FALSE(matches(*verifier, derive_scram_keys("pencil", verifier->salt, 4095)));
    CHECK(format_scram_verifier(*verifier) == test::pencil_verifier);
}

TEST_CASE("scram verifier: refuses other shapes, and says nothing of what it read") {
    const std::string good(test::pencil_verifier);
    const auto with = [&good](std::string_view from, std::string_view to) {
        std::string text = good;
        text.replace(text.find(from), from.size(), to);
        return text;
    };
    for (const std::string& bad :
         {std::string(), std::string("pencil"), std::string("SCRAM-SHA-256"), with("256", "1"),
          with("4096", "0"), with("4096", "-1"), with("4096", "4096x"), with("4096", "99999999999"),
          with("CTlynfzBIXpflkmNHHP1Pg==", ""), with("CTlyn", "CTly"), with("$oywt", ":oywt"),
          with("oywtWR", "AAAAoywtWR"), good + "=", good + "AAAA", good.substr(0, good.size() - 4)}) {
        CAPTURE(bad);
        const auto verifier = parse_scram_verifier(bad);
        REQUIRE_FALSE(verifier);
        CHECK(verifier.error().code == ErrorCode::bad_value);
        CHECK(verifier.error().message.find("oywt") == std::string::npos);
    }
    CHECK(parse_scram_verifier(with("4096", "1000001")).error().code == ErrorCode::limit_exceeded);
}

TEST_CASE("scram server: a wrong proof is a verdict") {
    ScramServer server = rfc_server();
    REQUIRE(server.on_client_first(scram_mechanism, client_first));
    std::string wrong(client_final);
    wrong[wrong.find("p=") + 2] = 'e';
    const auto verdict = server.on_client_final(wrong);
    REQUIRE(verdict);
    CHECK_FALSE(verdict->is_proven);
    CHECK(verdict->server_final.empty());
    CHECK(verdict->keys.client_key == std::array<std::byte, 32>{});
}

TEST_CASE("scram server: first messages that it refuses") {
    for (const std::string_view bad : {"", "n", "n,", "n,,", "x,,n=,r=a", "n,b,n=,r=a", "n,,r=a",
                                       "n,,n=", "n,,n=,", "n,,n=,r=", "n,,n=,r=a b", "n,,n=,r=a\x7f",
                                       "n,,n=,r=a,", "n,,n=,r=a,b", "n,,n=,s=a", "p,,n=,r=a", "nn,,n=,r=a"}) {
        CAPTURE(bad);
        CHECK(first_error(scram_mechanism, bad) == ErrorCode::bad_value);
    }
    CHECK(first_error(scram_mechanism, std::string("n,,n=,r=") + std::string(1025, 'a')) ==
          ErrorCode::bad_value);
    CHECK(first_error(scram_mechanism, std::string_view("n,,n=,r=a\0b", 11)) == ErrorCode::bad_value);
    CHECK(first_error(scram_mechanism, "n,a=bob,n=,r=a") == ErrorCode::unsupported);
    CHECK(first_error(scram_mechanism, "n,,m=x,n=,r=a") == ErrorCode::unsupported);
    CHECK(first_error("SCRAM-SHA-1", client_first) == ErrorCode::bad_value);
    CHECK(first_error("", client_first) == ErrorCode::bad_value);
    CHECK(rfc_server().on_client_first(scram_mechanism, "y,,n=,r=a,z=1").ok());
}

TEST_CASE("scram server: channel binding cannot be argued away") {
    const Bytes end_point = as_bytes("hash of the certificate");
    CHECK(first_error(scram_mechanism, "p=tls-server-end-point,,n=,r=a", end_point) == ErrorCode::bad_value);
    CHECK(first_error(scram_plus_mechanism, "n,,n=,r=a", end_point) == ErrorCode::bad_value);
    CHECK(first_error(scram_plus_mechanism, "y,,n=,r=a", end_point) == ErrorCode::bad_value);
    CHECK(first_error(scram_plus_mechanism, "p=tls-unique,,n=,r=a", end_point) == ErrorCode::unsupported);
    CHECK(first_error(scram_plus_mechanism, "p=tls-server-end-point,,n=,r=a") ==
          ErrorCode::bad_value);  // not offered
    CHECK(first_error(scram_mechanism, "y,,n=,r=a", end_point) ==
          ErrorCode::denied);  // the list was tampered with
    CHECK(rfc_server(end_point).on_client_first(scram_mechanism, "n,,n=,r=a").ok());
}

TEST_CASE("scram: both sides agree over a bound channel, and only over the same one") {
    const Bytes ours = as_bytes("hash of the certificate");
    for (const Bytes theirs : {ours, as_bytes("hash of another certificate"), Bytes{}}) {
        CAPTURE(as_text(theirs));
        ScramServer server = rfc_server(ours);
        ScramClient client("clientnonce", ScramBinding::end_point, theirs);
        const auto challenge = server.on_client_first(scram_plus_mechanism, client.client_first());
        REQUIRE(challenge);
        REQUIRE(client.on_server_first(*challenge));
        const auto verdict = server.on_client_final(client.client_final(rfc_keys()));
        if (theirs.data() == ours.data()) {
            REQUIRE(verdict);
            CHECK(verdict->is_proven);
            CHECK(client.on_server_final(verdict->server_final));
        } else {
            CHECK(verdict.error().code == ErrorCode::denied);
        }
    }
}

TEST_CASE("scram server: final messages that it refuses") {
    const std::string good(client_final);
    const auto with = [&good](std::string_view from, std::string_view to) {
        std::string text = good;
        text.replace(text.find(from), from.size(), to);
        return text;
    };
    for (const std::string& bad :
         {std::string(), std::string("p="), std::string(",p="), std::string("c=biws"), good + "x",
          good + ",x=1", with("c=biws,", ""), with("%hv", "%hw"), with(",r=", ",x="), with(",p=", ",q="),
          with(",p=", ",p=AAAA"), with(",p=", ",bad,p=")}) {
        CAPTURE(bad);
        CHECK(final_error(bad) == ErrorCode::bad_value);
    }
    CHECK(final_error(with("biws", "eSws")) == ErrorCode::denied);  // "y,," where "n,," was said before
    CHECK(final_error(with("biws", "")) == ErrorCode::denied);
    CHECK(final_error(client_final) == ErrorCode::internal);  // no error
}

TEST_CASE("scram client: challenges that it refuses") {
    for (const std::string_view bad :
         {"", "r=", "r=rOprNGfwEbeRWgbNEkqO,s=QQ==,i=1", "r=another,s=QQ==,i=1", "s=QQ==,i=1",
          "r=rOprNGfwEbeRWgbNEkqOx", "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==", "r=rOprNGfwEbeRWgbNEkqOx,s=,i=1",
          "r=rOprNGfwEbeRWgbNEkqOx,s=Q,i=1", "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=0",
          "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=", "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=-5",
          "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=1x", "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=99999999999",
          "r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=1,", "r=rOprNGfwEbeRWgbNEkqO x,s=QQ==,i=1"}) {
        CAPTURE(bad);
        CHECK(challenge_error(bad) == ErrorCode::bad_value);
    }
    CHECK(challenge_error("m=x,r=rOprNGfwEbeRWgbNEkqOx,s=QQ==,i=1") == ErrorCode::unsupported);
    const std::string nonce = "r=" + std::string(client_nonce);
    CHECK(challenge_error(nonce + std::string(limits::scram_nonce_bytes_max, 'x') + ",s=QQ==,i=1") ==
          ErrorCode::limit_exceeded);
    CHECK(challenge_error(nonce + "x,s=" + base64_encode(ByteBuffer(2000)) + ",i=1") ==
          ErrorCode::limit_exceeded);
    CHECK(challenge_error(nonce + "x,s=QQ==,i=1000001") == ErrorCode::limit_exceeded);
    CHECK(challenge_error(nonce + "x,s=QQ==,i=1000000,z=extension") == ErrorCode::internal);  // no error
}
