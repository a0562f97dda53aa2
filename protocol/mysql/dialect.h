#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "protocol/dialect/dialect.h"
#include "protocol/mysql/auth.h"
#include "protocol/mysql/conversation.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/statements.h"

namespace holdfast::mysql {

/// What the MySQL dialect needs of the outside.
struct DialectOptions {
    std::function<void(std::byte*, size_t)> random;  // strong random bytes
    /// For passwords that come without TLS; nullptr: they can't.
    std::shared_ptr<const RsaKey> rsa;
};

/// Makes everything that speaks MySQL. One for each cluster; outlives what it makes.
class MysqlDialect final : public dialect::Dialect {
public:
    explicit MysqlDialect(DialectOptions options);
    ~MysqlDialect() override;

    sql::Dialect sql_dialect() const override { return sql::Dialect::mysql; }
    bool greets_first() const override { return true; }
    std::unique_ptr<dialect::ClientHandshake> client_handshake(
        const dialect::ClientHandshakeOptions& options) override;
    std::unique_ptr<dialect::ClientHandshake> client_handshake_again(
        const dialect::ClientHandshakeOptions& options, const dialect::ClientTraits& traits,
        Bytes request) override;
    std::unique_ptr<dialect::ServerHandshake> server_handshake(
        const dialect::Identity& identity, const dialect::ServerHandshakeOptions& options) override;
    std::unique_ptr<dialect::Conversation> conversation(const dialect::ConversationOptions& options) override;
    std::unique_ptr<dialect::Framing> framing(const dialect::ClientTraits& traits) override;
    std::unique_ptr<dialect::ResetTracker> reset_tracker() override;
    std::shared_ptr<const dialect::Credential> credential(const dialect::StoredRole& role) override;
    void present_parameters(dialect::Parameters&, bool) const override {}
    void guess_parameters(dialect::Parameters& parameters, const dialect::Identity& other,
                          const dialect::Identity& own) const override;
    bool cancel_needs_login() const override { return true; }
    void append_cancel(Bytes key, ByteBuffer& out) const override;
    bool parse_cancel_key(Bytes, uint32_t&, Bytes&) const override { return false; }
    void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const override;
    std::string_view user_limit_code() const override { return mysql::user_limit_code; }
    void append_goodbye(ByteBuffer& out) const override;

private:
    DialectOptions options_;
    Sha2Cache sha2_cache_;
    CutScratch scratch_;
    std::unordered_map<const dialect::ClassifierSources*, std::unique_ptr<StatementCache>> caches_;
};

}  // namespace holdfast::mysql
