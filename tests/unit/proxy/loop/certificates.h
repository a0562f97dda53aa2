#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "proxy/loop/self_signed.h"

namespace holdfast::loop::test {

/// A key, and a certificate for it that `issuer` signed (itself, without one).
inline CertificateAndKey make_certificate(const std::string& name, const char* alternative_names,
                                          const CertificateAndKey* issuer,
                                          const EVP_MD* digest = EVP_sha256()) {
    CertificateAndKey made;
    made.key.reset(EVP_EC_gen("P-256"));
    made.certificate.reset(X509_new());
    X509* x = made.certificate.get();
    static long serial = 1;
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3'600);
    X509_set_pubkey(x, made.key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(name.data()),
                               static_cast<int>(name.size()), -1, 0);
    X509* signer = issuer == nullptr ? x : issuer->certificate.get();
    X509_set_issuer_name(x, X509_get_subject_name(signer));
    const auto extend = [&](int nid, const char* value) {
        X509V3_CTX context{};
        X509V3_set_ctx(&context, signer, x, nullptr, nullptr, 0);
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
        REQUIRE(extension != nullptr);
        X509_add_ext(x, extension, -1);
        X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    if (alternative_names != nullptr) extend(NID_subject_alt_name, alternative_names);
    REQUIRE(X509_sign(x, issuer == nullptr ? made.key.get() : issuer->key.get(), digest) > 0);
    return made;
}

/// Files that go with the test.
class Files {
public:
    Files() { REQUIRE(::mkdtemp(directory_.data()) != nullptr); }
    ~Files() {
        for (const auto& path : paths_) ::unlink(path.c_str());
        ::rmdir(directory_.c_str());
    }
    std::string certificate(const CertificateAndKey& pair) {
        return write([&](FILE* file) { PEM_write_X509(file, pair.certificate.get()); });
    }
    std::string key(const CertificateAndKey& pair, const char* passphrase = nullptr) {
        return write([&](FILE* file) {
            PEM_write_PrivateKey(file, pair.key.get(), passphrase == nullptr ? nullptr : EVP_aes_128_cbc(),
                                 nullptr, 0, nullptr, const_cast<char*>(passphrase));
        });
    }
    std::string text(const char* content) {
        return write([&](FILE* file) { std::fputs(content, file); });
    }

private:
    template <typename Fill>
    std::string write(Fill fill) {
        paths_.push_back(directory_ + "/" + std::to_string(paths_.size()) + ".pem");
        FILE* file = std::fopen(paths_.back().c_str(), "w");
        REQUIRE(file != nullptr);
        fill(file);
        std::fclose(file);
        return paths_.back();
    }
    std::string directory_ = "/tmp/holdfast-tls-XXXXXX";
    std::vector<std::string> paths_;
};

}  // namespace holdfast::loop::test
