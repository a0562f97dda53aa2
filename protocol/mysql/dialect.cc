#include "protocol/mysql/dialect.h"

#include <utility>

#include "protocol/base/limits.h"
#include "protocol/mysql/attributes.h"
#include "protocol/mysql/client_login.h"
#include "protocol/mysql/compression.h"
#include "protocol/mysql/errors.h"
#include "protocol/mysql/server_login.h"
#include "protocol/mysql/server_version.h"

namespace holdfast::mysql {
namespace {

/// Follows the three answers to append_reset(): the reset, the database (or a ping), the trackers.
class ResetFollower final : public dialect::ResetTracker {
public:
    State on_bytes(Bytes in, size_t& consumed) override {
        consumed = 0;
        while (true) {
            const auto packet =
                take_packet(in.subspan(consumed), limits::mysql_server_packet_collected_bytes_max);
            if (!packet) return State::spoilt;
            if (!*packet) return State::waiting;
            consumed += (*packet)->total_bytes();
            if ((*packet)->type() != reply::ok) return State::spoilt;
            if (++answers_ == 3) return consumed == in.size() ? State::clean : State::spoilt;
        }
    }

private:
    int answers_ = 0;
};

class Frames final : public dialect::Framing {
public:
    explicit Frames(const ClientTraits& traits)
        : encoder_(traits.compression, traits.compression_level), decoder_(traits.compression) {}
    Result<size_t> decode(Bytes in, ByteBuffer& plain) override {
        const size_t before = plain.size();
        auto consumed = decoder_.feed(in, plain);
        if (consumed && *consumed > 0) encoder_.follow(decoder_.next_sequence());
        renumberer_.pass(std::span(plain).subspan(before));
        return consumed;
    }
    void encode(Bytes plain, ByteBuffer& out) override {
        encoder_.encode(plain, out);
        decoder_.answered(encoder_.sequence());
    }

private:
    FrameEncoder encoder_;
    FrameDecoder decoder_;
    PacketRenumberer renumberer_;
};

}  // namespace

MysqlDialect::MysqlDialect(DialectOptions options) : options_(std::move(options)) {}
MysqlDialect::~MysqlDialect() = default;

std::unique_ptr<dialect::ClientHandshake> MysqlDialect::client_handshake(
    const dialect::ClientHandshakeOptions& options) {
    return std::make_unique<ClientLogin>(
        ClientLoginOptions{options, options_.random, options_.rsa, &sha2_cache_, true});
}

std::unique_ptr<dialect::ClientHandshake> MysqlDialect::client_handshake_again(
    const dialect::ClientHandshakeOptions& options, const dialect::ClientTraits& traits, Bytes request) {
    const Bytes payload = request.subspan(packet_header_bytes);
    return std::make_unique<ClientLogin>(
        ClientLoginOptions{options, options_.random, options_.rsa, &sha2_cache_, true},
        static_cast<const ClientTraits&>(traits), payload, std::to_integer<uint8_t>(request[3]));
}

std::unique_ptr<dialect::ServerHandshake> MysqlDialect::server_handshake(
    const dialect::Identity& identity, const dialect::ServerHandshakeOptions& options) {
    return std::make_unique<ServerLogin>(identity, options);
}

std::unique_ptr<dialect::Conversation> MysqlDialect::conversation(
    const dialect::ConversationOptions& options) {
    auto& cache = caches_[&options.sources];
    if (!cache) cache = std::make_unique<StatementCache>(options.sources);
    const auto& traits = static_cast<const ClientTraits&>(*options.traits);
    Surroundings around;
    around.client_capabilities = traits.capabilities;
    around.collation = traits.collation;
    around.is_mariadb = is_mariadb(traits.server_version);
    around.server_version = version_number(traits.server_version);
    around.process_id = options.process_id;
    for (const auto& [name, value] : options.welcome) {
        if (name == "sql_mode") around.sql_mode = value;
        if (name == "character_set_client") around.character_set_client = value;
    }
    return std::make_unique<Conversation>(options.identity, *cache, scratch_, around);
}

void MysqlDialect::guess_parameters(dialect::Parameters& parameters, const dialect::Identity&,
                                    const dialect::Identity&) const {
    std::erase_if(parameters, [](const auto& each) { return each.first == "character_set_client"; });
}

std::unique_ptr<dialect::Framing> MysqlDialect::framing(const dialect::ClientTraits& traits) {
    const auto& ours = static_cast<const ClientTraits&>(traits);
    if (ours.compression == Compression::none) return nullptr;
    return std::make_unique<Frames>(ours);
}

std::unique_ptr<dialect::ResetTracker> MysqlDialect::reset_tracker() {
    return std::make_unique<ResetFollower>();
}

std::shared_ptr<const dialect::Credential> MysqlDialect::credential(const dialect::StoredRole& role) {
    return std::make_shared<Credential>(Credential::of_password(role.password));
}

/// `key` is that of the connection whose statement is to end; the one that this goes to has agreed to the
/// same.
void MysqlDialect::append_cancel(Bytes key, ByteBuffer& out) const {
    if (key.size() < 4) return;
    PacketWriter(out, 0)
        .u8(command::query)
        .bare_text(key.size() > 4 ? no_attributes : std::string_view())
        .bare_text("KILL QUERY " + std::to_string(load_le32(key.data())))
        .finish();
}

void MysqlDialect::append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const {
    const ErrorNumber error = error_of(code);
    append_err(out, 0, error.number, error.sqlstate, message);
}

void MysqlDialect::append_goodbye(ByteBuffer& out) const {
    PacketWriter(out, 0).u8(command::quit).finish();
}

}  // namespace holdfast::mysql
