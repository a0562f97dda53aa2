#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/mysql/auth.h"
#include "protocol/mysql/greeting.h"
#include "protocol/mysql/packets.h"
#include "protocol/mysql/server_login.h"

namespace holdfast::mysql {

/// What a login under way knows. Seen by its own files only.
struct ServerLogin::State {
    using Kind = dialect::ServerRefusal::Kind;
    using Progress = dialect::Progress;
    using Step = dialect::Step;
    enum class Phase { greeting, securing, authenticating, awaiting_key, tracking, over };

    dialect::Identity identity;
    Credential credential;
    int tls = 0;

    Phase phase = Phase::greeting;
    Step last_step = Step::need_bytes;
    uint8_t sequence = 0;
    Greeting greeting;
    uint64_t capabilities = 0;  // negotiated
    bool is_secured = false;
    std::string plugin;  // whose answer the server has, or waits for
    int rounds = 0;
    bool has_failed_ed25519 = false;
    std::string lacking;  // what could not be proven, for when the server refuses

    dialect::Parameters parameters;
    ByteBuffer cancel_key;  // the server's thread id, …
    dialect::ServerRefusal failure;

    Step end(Step step) {
        phase = Phase::over;
        last_step = step;
        return step;
    }
    Step fail(Kind kind, std::string message) {
        failure.kind = kind;
        failure.message = std::move(message);
        return end(Step::failed);
    }
    Step violated(std::string message) { return fail(Kind::broken, std::move(message)); }
    Step lack(std::string_view what) {
        return fail(Kind::credential,
                    "the server asks user '" + identity.user + "' for " + std::string(what));
    }

    // server_login.cc
    Progress on_packet(Bytes in, ByteBuffer& out);
    Step on_greeting(Bytes payload, Bytes behind, ByteBuffer& out);
    Step on_error(Bytes payload);
    uint64_t negotiate();
    void append_request_head(PacketWriter& writer) const;
    Step send_request(ByteBuffer& out);
    Step on_authenticated(Bytes payload, ByteBuffer& out);
    Step on_tracking(Bytes payload);

    // server_login_proof.cc
    std::optional<ByteBuffer> proof_for(std::string_view name) const;
    Step on_auth(Bytes payload, ByteBuffer& out);
    Step on_switch(Bytes payload, ByteBuffer& out);
    Step sign(Bytes nonce, ByteBuffer& out);
    Step on_more_data(Bytes data, ByteBuffer& out);
    Step on_public_key(Bytes pem, ByteBuffer& out);
};

}  // namespace holdfast::mysql
