#pragma once

#include <memory>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "protocol/base/result.h"

namespace holdfast::loop {

struct X509Free {
    void operator()(X509* certificate) const { X509_free(certificate); }
};
struct KeyFree {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

struct CertificateAndKey {
    std::unique_ptr<X509, X509Free> certificate;
    std::unique_ptr<EVP_PKEY, KeyFree> key;
};

/// Makes a P-256 key and a certificate for it, signed by itself, valid for a year: encryption for those who
/// configured no certificate. It proves nothing about who we are.
/// errors  internal: OpenSSL refused
Result<CertificateAndKey> make_self_signed();

}  // namespace holdfast::loop
