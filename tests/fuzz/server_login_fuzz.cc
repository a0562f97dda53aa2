#include <cstdlib>

#include "protocol/base/limits.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/scram.h"

/// A server that sends anything. The first byte chooses how the login is set up, the second how many bytes
/// arrive at a time, the rest is what the server sends.
using namespace holdfast;
using namespace holdfast::postgres;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

ServerLoginOptions options_of(uint8_t choice) {
    ServerLoginOptions options;
    options.user = "alice";
    options.database = "shop";
    options.tls = static_cast<ServerLoginOptions::Tls>((choice & 3) % 3);
    options.tls_direct = (choice & 4) != 0;
    options.refuse_plain_password_without_tls = (choice & 8) != 0;
    options.protocol_minor = (choice & 16) != 0 ? 2 : 0;
    if ((choice & 32) != 0) options.credential.password = Secret("pencil");
    if ((choice & 64) != 0) options.credential.scram = derive_scram_keys("pencil", as_bytes("salt"), 1);
    if ((choice & 128) != 0) options.credential.md5_hash = Secret("md5ee69efad287c7423caf0b3229d71f567");
    options.random = [](std::byte* out, size_t count) { std::fill_n(out, count, std::byte{0}); };
    return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const size_t piece = data[1] == 0 ? size : data[1];
    const Bytes sent(reinterpret_cast<const std::byte*>(data + 2), size - 2);
    const ServerLoginOptions options = options_of(data[0]);
    const bool wants_tls = options.tls == ServerLoginOptions::Tls::required;
    const bool may_send_password = !options.refuse_plain_password_without_tls;

    ServerLogin login(options);
    ByteBuffer out;
    bool is_secured = false;
    size_t arrived = 0, consumed = 0;
    ServerLoginStep step = login.start(out);
    while (step != ServerLoginStep::done && step != ServerLoginStep::failed) {
        if (step == ServerLoginStep::start_tls) {
            is_secured = true;
            out.clear();
            step = login.on_secured(as_bytes("end point"), out);
        } else if (step == ServerLoginStep::derive_keys) {
            require(login.iterations() > 0 && login.iterations() <= limits::scram_iterations_max);
            require(!login.salt().empty() && login.salt().size() <= limits::scram_salt_bytes_max);
            // One round: what is fuzzed is not PBKDF2.
            step = login.on_keys(derive_scram_keys("pencil", login.salt(), 1), out);
        } else {
            const auto outcome = login.on_bytes(sent.subspan(consumed, arrived - consumed), out);
            require(outcome.consumed <= arrived - consumed);
            consumed += outcome.consumed;
            step = outcome.step;
            if (step != ServerLoginStep::need_bytes) continue;
            if (arrived == sent.size()) break;
            arrived = std::min(sent.size(), arrived + piece);
        }
    }
    // Whatever the server said, the plain password did not leave where it must not.
    if (!is_secured && !may_send_password) require(as_text(out).find("pencil") == std::string_view::npos);
    if (step == ServerLoginStep::done) {
        require(is_secured || !wants_tls);
        require(login.cancel_key().size() <= cancel_key_bytes_max);
        require(login.protocol_minor() == 0 || login.protocol_minor() == options.protocol_minor);
    }
    if (step == ServerLoginStep::failed) require(!login.failure().message.empty());
    return 0;
}
