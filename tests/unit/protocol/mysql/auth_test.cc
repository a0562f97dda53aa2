#include "protocol/mysql/auth.h"

#include <string>

#include <doctest/doctest.h>

#include "protocol/mysql/ed25519.h"

using namespace holdfast;
using namespace holdfast::mysql;

namespace {

std::string unhex(std::string_view hex) {
    std::string text;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        text.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    }
    return text;
}
const std::string_view salt = "ABCDEFGHIJKLMNOPQRST";

}  // namespace

// The expected values were computed with Python's hashlib and crypt.

TEST_CASE("native password: the proof, and the key that it reveals") {
    const auto stored = parse_native_stored("*7614BE58636C810A9D8970A50B3B2A78450413E4");
    REQUIRE(stored);
    const Sha1 key = sha1(as_bytes("pencil"));
    CHECK(sha1(key) == *stored);
    const Sha1 proof = native_proof(key, as_bytes(salt));
    CHECK(as_text(proof) == unhex("cdbfed26f05b0066ea4ad5040d3b5fca7b62d7b8"));
    const auto revealed = check_native(proof, as_bytes(salt), *stored);
    REQUIRE(revealed);
    CHECK(revealed->reveal() == as_text(key));
    CHECK_FALSE(check_native(proof, as_bytes("ABCDEFGHIJKLMNOPQRSX"), *stored));
    CHECK_FALSE(check_native(Bytes(proof).first(19), as_bytes(salt), *stored));
    CHECK_FALSE(check_native({}, as_bytes(salt), *stored));
    CHECK_FALSE(parse_native_stored("*7614BE58636C810A9D8970A50B3B2A78450413E"));
    CHECK_FALSE(parse_native_stored("*7614BE58636C810A9D8970A50B3B2A78450413EG"));
    CHECK_FALSE(parse_native_stored(""));
}

TEST_CASE("caching_sha2: the fast path's proof, and the key that it reveals") {
    const Sha256 fast = sha2_fast_digest("pencil");
    CHECK(as_text(fast) == unhex("9b870f7660a035112545081fd2e27003118dab2884ee38b86e18f7cbba88a8c1"));
    const Sha256 key = sha256(as_bytes("pencil"));
    const Sha256 proof = sha2_proof(key, as_bytes(salt));
    CHECK(as_text(proof) == unhex("51bdd87eb3627ab8342e2f347881ee9d158119e5a75fb2da1aa23cce88ba2356"));
    const auto revealed = check_sha2_fast(proof, as_bytes(salt), fast);
    REQUIRE(revealed);
    CHECK(revealed->reveal() == as_text(key));
    CHECK_FALSE(check_sha2_fast(proof, as_bytes("x"), fast));
    CHECK_FALSE(check_sha2_fast(Bytes(proof).first(20), as_bytes(salt), fast));
    CHECK_FALSE(check_sha2_fast(proof, as_bytes(salt), {}));
}

TEST_CASE("caching_sha2: stored hashes") {
    CHECK(sha256_crypt("pencil", "saltstringsaltst", 5'000) == "7upHvCpxboKNzytygPe8Aoa3PXFGWJTHGiCq4S0znj3");
    CHECK(sha256_crypt("a much longer password than any thirty-two bytes, with more", "0123456789abcdefghij",
                       5'000) == "Sdoa4aVIdOkPGtAOTQLmjEtgUVAEq7HyW3TDEyXlHoC");
    const std::string stored = "$A$005$0123456789abcdefghijZHS5X.X49DUb8YRsZNlCNLabEBF/M9o0fkMGXp2KGM0";
    CHECK(check_sha2_stored("pencil", stored));
    CHECK_FALSE(check_sha2_stored("Pencil", stored));
    CHECK_FALSE(check_sha2_stored("pencil", stored.substr(1)));
    CHECK_FALSE(check_sha2_stored("pencil", stored + "0"));
    CHECK_FALSE(check_sha2_stored("pencil", ""));
    CHECK_FALSE(check_sha2_stored(std::string(257, 'x'), stored));
    // hashcat's published example of its mode 7401
    CHECK(check_sha2_stored("hashcat", "$A$005$" + unhex("F9CC98CE08892924F50A213B6BC571A2C11778C5") +
                                           "bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/"));
}

TEST_CASE("caching_sha2: the cache knows what was proven, by what is stored") {
    Sha2Cache cache;
    CHECK(cache.find(Secret("$A$one")) == nullptr);
    cache.remember(Secret("$A$one"), Secret("pencil"));
    const Secret* found = cache.find(Secret("$A$one"));
    REQUIRE(found != nullptr);
    CHECK(found->reveal() == "pencil");
    CHECK(cache.find(Secret("$A$two")) == nullptr);
}

TEST_CASE("RSA: what the public key encrypts the private key decrypts, and nothing else") {
    const auto key = RsaKey::make();
    REQUIRE(key != nullptr);
    CHECK(key->public_pem().starts_with("-----BEGIN PUBLIC KEY-----"));
    const Secret mixed = xor_with_salt(std::string("pencil\0", 7), as_bytes(salt));
    CHECK(mixed.reveal() != std::string_view("pencil\0", 7));
    const auto encrypted = rsa_encrypt(key->public_pem(), as_bytes(mixed.reveal()));
    REQUIRE(encrypted);
    CHECK(encrypted->size() == 256);
    const auto decrypted = key->decrypt(*encrypted);
    REQUIRE(decrypted);
    CHECK(xor_with_salt(decrypted->reveal(), as_bytes(salt)).reveal() == std::string_view("pencil\0", 7));
    ByteBuffer changed = *encrypted;
    changed[100] ^= std::byte{1};
    CHECK_FALSE(key->decrypt(changed));
    CHECK_FALSE(key->decrypt({}));
    CHECK_FALSE(rsa_encrypt("-----BEGIN PUBLIC KEY-----\nnonsense", as_bytes("x")));
    CHECK_FALSE(rsa_encrypt(key->public_pem(), ByteBuffer(250)));
}

TEST_CASE("ed25519: a signature over the nonce") {
    const std::string stored = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    const std::string signature = unhex(
        "a0ee26a894a83f8c085b48be8ca54586c374a40809390408514104dba484023257f2c8cc5e94b8b2ed8432c80702c79fd7a6"
        "a30c2477c8642110c64cf4f7df02");
    const std::string nonce(32, '?');
    CHECK(check_ed25519(as_bytes(signature), as_bytes(nonce), stored));
    CHECK_FALSE(check_ed25519(as_bytes(signature), as_bytes(std::string(32, '!')), stored));
    CHECK_FALSE(check_ed25519(as_bytes(signature).first(63), as_bytes(nonce), stored));
    CHECK_FALSE(check_ed25519(as_bytes(signature), as_bytes(nonce), ""));
    CHECK_FALSE(check_ed25519(as_bytes(signature), as_bytes(nonce), std::string(43, '!')));
}

TEST_CASE("ed25519: keys and signatures of passwords") {
    // As MariaDB's documentation of ed25519_password() has it.
    CHECK(ed25519_stored_of("secret") == "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY");
    const std::string nonce = "0123456789abcdef0123456789abcdef";
    for (const std::string& password : {std::string(), std::string("secret"), std::string(500, 'x')}) {
        const Ed25519Signature signature = sign_ed25519(password, as_bytes(nonce));
        CHECK(check_ed25519(signature, as_bytes(nonce), ed25519_stored_of(password)));
        CHECK_FALSE(check_ed25519(signature, as_bytes(nonce), ed25519_stored_of(password + "!")));
    }
}

TEST_CASE("salts are printable, without NUL and '$'") {
    int next = 0;
    for (int round = 0; round < 20; ++round) {
        const auto made = make_salt([&next](std::byte* out, size_t size) {
            for (size_t i = 0; i < size; ++i) out[i] = std::byte{static_cast<uint8_t>(next++)};
        });
        for (const std::byte each : made) {
            CHECK(std::to_integer<int>(each) >= '0');
            CHECK(std::to_integer<int>(each) <= 'o');
        }
    }
}
