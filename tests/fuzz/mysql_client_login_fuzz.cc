#include <algorithm>
#include <cstdlib>

#include "protocol/base/limits.h"
#include "protocol/mysql/client_login.h"

/// A MySQL client that sends anything. The first byte chooses how the login is set up, the second how many
/// bytes arrive at a time, the rest is what the client sends.
using namespace holdfast;
using namespace holdfast::mysql;
using dialect::Step;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

dialect::StoredRole role_of(uint8_t choice) {
    dialect::StoredRole role;
    dialect::StoredAccount account;
    account.host = "%";
    switch (choice & 3) {
        case 0:
            account.plugin = "mysql_native_password";
            account.stored = Secret("*7614BE58636C810A9D8970A50B3B2A78450413E4");
            break;
        case 1:
            // One thousand rounds: what is fuzzed is not SHA-256.
            account.plugin = "caching_sha2_password";
            account.stored = Secret("$A$001$0123456789abcdefghij0123456789012345678901234567890123456789012");
            break;
        case 2:
            account.plugin = "ed25519";
            account.stored = Secret("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
            break;
        default: role.password = Secret("pencil"); return role;
    }
    role.accounts.push_back(account);
    return role;
}

/// What was sent is whole packets.
void check_sent(Bytes out) {
    while (!out.empty()) {
        const auto packet = take_packet(out, 100'000);
        require(packet.ok() && packet->has_value());
        out = out.subspan((*packet)->total_bytes());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    static const auto rsa = RsaKey::make();
    ClientLoginOptions options;
    options.handshake.tls_offered = (data[0] & 4) != 0;
    options.handshake.tls_required = (data[0] & 8) != 0;
    options.handshake.auth = (data[0] & 16) != 0 ? 3 : 0;
    options.handshake.server_version = (data[0] & 32) != 0 ? "8.0.36" : "10.11.6-MariaDB";
    options.handshake.client_address = "10.0.0.1";
    options.random = [](std::byte* out, size_t count) { std::fill_n(out, count, std::byte{0}); };
    options.rsa = rsa;
    const bool is_known = (data[0] & 64) != 0;
    const size_t piece = data[1] == 0 ? size : data[1];
    const Bytes sent(reinterpret_cast<const std::byte*>(data + 2), size - 2);

    ClientLogin login(std::move(options));
    ByteBuffer out;
    login.start(out);
    bool is_over = false;
    size_t arrived = 0, consumed = 0;
    while (!is_over) {
        const auto progress = login.on_bytes(sent.subspan(consumed, arrived - consumed), out);
        require(progress.consumed <= arrived - consumed);
        consumed += progress.consumed;
        Step step = progress.step;
        const bool is_driven = step != Step::need_bytes;
        if (step == Step::start_tls_now) step = login.on_secured("", {}, "", out);
        if (step == Step::need_secret) {
            step = login.on_secret(is_known ? std::optional(role_of(data[0])) : std::nullopt, out);
        }
        if (step == Step::derive_keys) {
            login.derive();
            step = login.on_derived(out);
        }
        is_over = step == Step::done || step == Step::failed;
        if (step == Step::done) {
            require(is_known);
            login.welcome({}, 1, {}, out);
            require(login.traits() != nullptr && login.take_credential() != nullptr);
        }
        if (step == Step::failed) require(!login.error().empty());
        (void)login.identity();
        require(arrived - consumed <= limits::login_buffered_bytes_max || arrived - consumed <= piece);
        if (!is_driven) {
            if (arrived == sent.size()) break;
            arrived = std::min(sent.size(), arrived + piece);
        }
    }
    check_sent(out);
    return 0;
}
