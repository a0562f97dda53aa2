#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/dialect/dialect.h"
#include "protocol/mysql/accounts.h"
#include "protocol/mysql/auth.h"
#include "protocol/mysql/packets.h"

/// The proxy's side of a MySQL client's login, as a state machine without sockets.
/// spec    MySQL Internals, "Connection Phase"; MariaDB Knowledge Base, "Connecting"
namespace holdfast::mysql {

enum class Compression : uint8_t { none, zlib, zstd };

/// What the conversation has to know of a client's login.
struct ClientTraits final : dialect::ClientTraits {
    uint64_t capabilities = 0;  // negotiated
    uint8_t collation = 0;
    Compression compression = Compression::none;  // begins behind the OK packet of the login
    uint8_t compression_level = 0;                // zstd: as the client asks
    bool is_secured = false;                      // TLS or a Unix socket
    /// Those of the greeting and of its last proof: a COM_CHANGE_USER comes with a proof for one of them.
    std::array<std::byte, salt_bytes> greeting_salt{};
    std::array<std::byte, salt_bytes> last_salt{};
    std::string server_version;
};

struct ClientLoginOptions {
    dialect::ClientHandshakeOptions handshake;
    /// Fills with strong random bytes.
    std::function<void(std::byte*, size_t)> random;
    std::shared_ptr<const RsaKey> rsa;  // nullptr: no full caching_sha2 login without TLS
    Sha2Cache* sha2_cache = nullptr;    // outlives the login; nullptr: every such login is a full one
    bool offers_compression = false;
};

class ClientLogin final : public dialect::ClientHandshake {
public:
    explicit ClientLogin(ClientLoginOptions options);
    /// A COM_CHANGE_USER on an established connection. `payload` is the whole command; `sequence` its
    /// packet's sequence id.
    ClientLogin(ClientLoginOptions options, const ClientTraits& connection, Bytes payload, uint8_t sequence);
    ~ClientLogin() override;

    dialect::Step start(ByteBuffer& out) override;
    dialect::Progress on_bytes(Bytes in, ByteBuffer& out) override;
    dialect::Step on_secured(std::string_view alpn, Bytes end_point, std::string_view client_common_name,
                             ByteBuffer& out) override;
    dialect::Step on_secret(std::optional<dialect::StoredRole> role, ByteBuffer& out) override;
    dialect::Step on_secret_unavailable(std::string_view why, ByteBuffer& out) override;
    void derive() override;
    dialect::Step on_derived(ByteBuffer& out) override;

    const std::string& user() const override;
    dialect::Identity identity() const override;
    std::shared_ptr<const dialect::Credential> take_credential() override;
    std::shared_ptr<const dialect::ClientTraits> traits() const override;
    Bytes cancel_key() const override { return {}; }
    const std::string& error() const override;
    bool is_password_failure() const override;
    size_t cancel_secret_bytes() const override { return 0; }
    void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const override;
    void append_refusal(Bytes wire, ByteBuffer& out) const override;
    void welcome(const dialect::Parameters& parameters, uint32_t process_id, Bytes cancel_secret,
                 ByteBuffer& out) const override;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast::mysql
