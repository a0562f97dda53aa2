#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/scram.h"

namespace holdfast::postgres {

/// The part of a client's login between the look-up of its secret and AuthenticationOk: the challenge, and
/// whether the answers prove the password. Owned by ClientLogin. Calls: challenge() once, then on_answer()
/// with the body of each 'p' message while it says need_bytes.
/// spec    PostgreSQL documentation, "SASL Authentication", "Message Formats", PasswordMessage
class ClientProof {
public:
    struct Terms {
        AuthMethod method = AuthMethod::automatic;  // neither cert nor trust
        std::string user;
        std::optional<RoleSecret> secret;  // nullopt: no such role; nothing will prove it
        ByteBuffer end_point;              // tls-server-end-point of our certificate; empty: no PLUS
        int64_t now_unix_seconds = 0;
        std::array<std::byte, 32> mock_key{};
        std::function<void(std::byte*, size_t)> random;
    };
    enum class Step { need_bytes, proven, failed };
    struct Failure {
        std::string_view sqlstate;
        std::string message;  // for the client
        std::string reason;   // more, for the log; may be empty
        bool is_password_failure = false;
    };

    explicit ClientProof(Terms terms);

    /// Appends the Authentication message that asks for the proof. Takes the milliseconds of a PBKDF2 when a
    /// SCRAM proof is asked of a role of which only the plain password is stored; a caller that minds gives
    /// the verifier beside it (make_scram_verifier), made off the loop.
    Step challenge(ByteBuffer& out);
    /// How long a body may be that the client sends next.
    uint32_t answer_bytes_max() const;
    Step on_answer(Bytes body, ByteBuffer& out);

    Credential take_credential();  // after proven
    const Failure& failure() const { return failure_; }

private:
    enum class Awaiting {
        sasl_initial,
        sasl_first,  // the client chose a mechanism without saying more
        sasl_final,
        md5,
        password,
        nothing,
    };

    Step challenge_scram(ByteBuffer& out);
    Step challenge_md5(ByteBuffer& out);
    ScramVerifier scram_verifier();
    ByteBuffer mock_salt() const;
    Step on_sasl_initial(Bytes body, ByteBuffer& out);
    Step on_scram_first(std::string_view message, ByteBuffer& out);
    Step on_scram_final(std::string_view message, ByteBuffer& out);
    Step on_md5(Bytes body);
    Step on_password(Bytes body);
    bool is_right_password(std::string_view given);

    Step on_right_password();
    Step refuse(std::string_view reason);
    Step fail(std::string_view sqlstate, std::string message);

    Terms terms_;
    RoleSecret secret_;
    std::string doom_;  // why even a right proof does not help; empty: it does
    Awaiting awaiting_ = Awaiting::nothing;
    std::optional<ScramServer> scram_;
    std::string mechanism_;  // what the client chose
    std::array<std::byte, md5_salt_bytes> md5_salt_{};
    Credential learned_;
    Failure failure_;
};

}  // namespace holdfast::postgres
