#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "protocol/dialect/dialect.h"
#include "protocol/postgres/conversation.h"
#include "protocol/postgres/login.h"
#include "protocol/postgres/statements.h"

namespace holdfast::postgres {

/// What the PostgreSQL dialect needs of the outside.
struct Surroundings {
    std::function<void(std::byte*, size_t)> random;  // strong random bytes
    std::function<int64_t()> unix_seconds;           // the time of day, for VALID UNTIL
};

/// Makes everything that speaks PostgreSQL. One for each cluster; outlives what it makes.
class PostgresDialect final : public dialect::Dialect {
public:
    explicit PostgresDialect(Surroundings surroundings);
    ~PostgresDialect() override;

    std::unique_ptr<dialect::ClientHandshake> client_handshake(
        const dialect::ClientHandshakeOptions& options) override;
    std::unique_ptr<dialect::ServerHandshake> server_handshake(
        const dialect::Identity& identity, const dialect::ServerHandshakeOptions& options) override;
    std::unique_ptr<dialect::Conversation> conversation(const dialect::ConversationOptions& options) override;
    std::unique_ptr<dialect::ResetTracker> reset_tracker() override;
    std::shared_ptr<const dialect::Credential> credential(const dialect::StoredRole& role) override;
    void present_parameters(dialect::Parameters& parameters, bool as_replica) const override;
    void guess_parameters(dialect::Parameters& parameters, const dialect::Identity& other,
                          const dialect::Identity& own) const override;
    void append_cancel(Bytes key, ByteBuffer& out) const override;
    bool parse_cancel_key(Bytes key, uint32_t& process_id, Bytes& secret) const override;
    void append_goodbye(ByteBuffer& out) const override;
    sql::Dialect sql_dialect() const override { return sql::Dialect::postgres; }
    void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const override;

private:
    Surroundings surroundings_;
    std::array<std::byte, 32> mock_key_{};
    CutScratch scratch_;
    std::unordered_map<const dialect::ClassifierSources*, std::unique_ptr<StatementCache>> caches_;
};

}  // namespace holdfast::postgres
