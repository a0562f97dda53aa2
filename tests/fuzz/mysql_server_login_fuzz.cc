#include <algorithm>
#include <cstdlib>

#include "protocol/mysql/auth.h"
#include "protocol/mysql/server_login.h"

/// A MySQL server that sends anything. The first byte chooses how the login is set up, the second how many
/// bytes arrive at a time, the rest is what the server sends.
using namespace holdfast;
using namespace holdfast::mysql;
using dialect::Step;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const size_t piece = data[1] == 0 ? size : data[1];
    const Bytes sent(reinterpret_cast<const std::byte*>(data + 2), size - 2);
    dialect::Identity identity;
    identity.user = "alice";
    identity.database = (data[0] & 4) != 0 ? "shop" : "";
    identity.parameters = {{"capabilities", "18446744073709551615"}, {"collation", "45"}, {"attr:a", "b"}};
    dialect::ServerHandshakeOptions options;
    options.tls = (data[0] & 3) % 3;
    Credential credential = Credential::of_password(Secret("pencil"));
    if ((data[0] & 8) != 0) credential.password = {};
    if ((data[0] & 16) != 0) credential.native_key = {};
    if ((data[0] & 32) != 0) credential.sha2_key = {};
    options.credential = std::make_shared<Credential>(credential);

    ServerLogin login(identity, options);
    ByteBuffer out;
    bool is_secured = false;
    size_t arrived = 0, consumed = 0;
    Step step = login.start(out);
    while (step != Step::done && step != Step::failed) {
        if (step == Step::start_tls) {
            is_secured = true;
            out.clear();
            step = login.on_secured({}, out);
            continue;
        }
        const auto progress = login.on_bytes(sent.subspan(consumed, arrived - consumed), out);
        require(progress.consumed <= arrived - consumed);
        consumed += progress.consumed;
        step = progress.step;
        if (step != Step::need_bytes) continue;
        if (arrived == sent.size()) break;
        arrived = std::min(sent.size(), arrived + piece);
    }
    // Whatever the server said, the password did not leave in plain text.
    if (!is_secured) require(as_text(out).find("pencil") == std::string_view::npos);
    if (step == Step::done) {
        require(is_secured || options.tls != 2);
        require(login.cancel_key().size() == 4 && login.parameters().size() == 7);
    }
    if (step == Step::failed) require(!login.refusal().message.empty());
    return 0;
}
