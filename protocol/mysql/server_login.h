#pragma once

#include <memory>

#include "protocol/dialect/dialect.h"

/// The proxy's login at a MySQL or MariaDB server, as a state machine without sockets. Servers are not
/// trusted: lengths and the number of rounds are bounded, and passwords leave only through TLS or RSA.
/// spec    MySQL Internals, "Connection Phase"; MariaDB Knowledge Base, "Connecting"
namespace holdfast::mysql {

/// After done, parameters() has: "version" (the server's text), "server_capabilities" and
/// "extended_capabilities" (what its greeting offers: the lower and the upper 32 bits), "capabilities" (what
/// was negotiated, all 64), "status" (flags of the OK packet), "collation" (of the greeting), all numbers as
/// decimal text; and "tracking" = "on", or "off" where the server did not take the tracking statement.
/// A refusal's `wire` is the payload of the server's ERR packet, without a packet header.
/// cancel_key() is the server's thread id, 4 bytes, little-endian, and a fifth one when queries have
/// attributes.
class ServerLogin final : public dialect::ServerHandshake {
public:
    ServerLogin(const dialect::Identity& identity, const dialect::ServerHandshakeOptions& options);
    ~ServerLogin() override;

    dialect::Step start(ByteBuffer& out) override;
    dialect::Progress on_bytes(Bytes in, ByteBuffer& out) override;
    dialect::Step on_secured(Bytes end_point, ByteBuffer& out) override;
    void derive() override {}
    dialect::Step on_derived(ByteBuffer&) override { return dialect::Step::failed; }
    const dialect::Parameters& parameters() const override;
    Bytes cancel_key() const override;
    dialect::ServerRefusal refusal() const override;
    std::optional<bool> says_replica() const override { return std::nullopt; }

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::mysql
