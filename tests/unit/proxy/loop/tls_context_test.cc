#include "proxy/loop/tls_context.h"

#include "certificates.h"
#include "harness.h"

namespace holdfast::loop::test {

TEST_CASE("tls context: errors name the files; no passphrase is ever asked for") {
    Files files;
    const auto one = make_certificate("one", nullptr, nullptr);
    const auto two = make_certificate("two", nullptr, nullptr);
    const auto error_of = [](config::ClientTls tls) {
        const auto made = make_server_tls(tls);
        REQUIRE_FALSE(made);
        return made.error().message;
    };
    const std::string certificate = files.certificate(one);
    const std::string other_key = files.key(two);
    const std::string locked = files.key(one, "secret");
    const std::string nonsense = files.text("not a certificate");
    using Mode = config::ClientTlsMode;
    const std::string mismatch = error_of({Mode::prefer, certificate, other_key, ""});
    CHECK(mismatch.find(certificate) != std::string::npos);
    CHECK(mismatch.find(other_key) != std::string::npos);
    CHECK(mismatch.find("key values mismatch") != std::string::npos);
    CHECK(error_of({Mode::prefer, certificate, locked, ""}).find(locked) != std::string::npos);
    CHECK(
        error_of({Mode::prefer, "/nonexistent.pem", other_key, ""}).find("/nonexistent.pem: No such file") !=
        std::string::npos);
    CHECK(error_of({Mode::prefer, nonsense, other_key, ""}).find(nonsense) != std::string::npos);
    CHECK(error_of({Mode::prefer, "", other_key, ""}).find(other_key) != std::string::npos);
    CHECK(error_of({Mode::prefer, "", "", nonsense}).find(nonsense) != std::string::npos);
    const auto disabled = make_server_tls({Mode::disable, "", "", ""});
    REQUIRE(disabled);
    CHECK(*disabled == nullptr);
}

TEST_CASE("tls context: a replaced file of authorities is read again") {
    Files files;
    const auto authority = make_certificate("authority", nullptr, nullptr);
    const std::string path = files.certificate(authority);
    ClientTlsContexts contexts;
    config::ServerTls settings;
    settings.mode = config::ServerTlsMode::verify_ca;
    settings.ca_file = path;
    const auto first = contexts.get(settings);
    const auto again = contexts.get(settings);
    REQUIRE(first);
    REQUIRE(again);
    CHECK(first->get() == again->get());
    FILE* file = std::fopen(path.c_str(), "a");
    PEM_write_X509(file, make_certificate("another", nullptr, nullptr).certificate.get());
    std::fclose(file);
    const auto replaced = contexts.get(settings);
    REQUIRE(replaced);
    CHECK(replaced->get() != first->get());
}

TEST_CASE("end point: the hash of the signature, but never a weak one") {
    // RFC 5929: MD5 and SHA-1 become SHA-256.
    CHECK(end_point_of(make_certificate("a", nullptr, nullptr, EVP_sha1()).certificate.get()).size() == 32);
    CHECK(end_point_of(make_certificate("a", nullptr, nullptr, EVP_sha256()).certificate.get()).size() == 32);
    const auto strong = make_certificate("a", nullptr, nullptr, EVP_sha384());
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    X509_digest(strong.certificate.get(), EVP_sha384(), hash, &size);
    CHECK(as_text(end_point_of(strong.certificate.get())) ==
          std::string_view(reinterpret_cast<const char*>(hash), 48));
}

TEST_CASE("self-signed: one certificate a process, for a year, for localhost") {
    const auto made = make_self_signed();
    REQUIRE(made);
    CHECK(X509_check_host(made->certificate.get(), "localhost", 0, 0, nullptr) == 1);
    CHECK(X509_cmp_current_time(X509_get0_notBefore(made->certificate.get())) < 0);
    int days = 0;
    int seconds = 0;
    REQUIRE(ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(made->certificate.get())) == 1);
    CHECK(days >= 363);
    CHECK(days <= 365);
    const auto one = make_server_tls({});
    const auto two = make_server_tls({});
    REQUIRE(one);
    REQUIRE(two);
    CHECK(SSL_CTX_get0_certificate((*one)->get()) == SSL_CTX_get0_certificate((*two)->get()));
}

}  // namespace holdfast::loop::test
