#include "protocol/postgres/dialect.h"

#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/postgres/reported.h"

namespace holdfast::postgres {
namespace {

using dialect::Progress;
using dialect::Step;

struct ProvenCredential final : dialect::Credential {
    explicit ProvenCredential(postgres::Credential c) : proof(std::move(c)) {}
    postgres::Credential proof;
};

Step to_step(LoginStep step) {
    switch (step) {
        case LoginStep::need_bytes: return Step::need_bytes;
        case LoginStep::start_tls: return Step::start_tls;
        case LoginStep::start_tls_now: return Step::start_tls_now;
        case LoginStep::need_secret: return Step::need_secret;
        case LoginStep::cancel: return Step::cancel;
        case LoginStep::done: return Step::done;
        case LoginStep::failed: return Step::failed;
    }
    return Step::failed;
}

Step to_step(ServerLoginStep step) {
    switch (step) {
        case ServerLoginStep::need_bytes: return Step::need_bytes;
        case ServerLoginStep::start_tls: return Step::start_tls;
        case ServerLoginStep::derive_keys: return Step::derive_keys;
        case ServerLoginStep::done: return Step::done;
        case ServerLoginStep::failed: return Step::failed;
    }
    return Step::failed;
}

RoleSecret to_role_secret(const dialect::StoredRole& role) {
    RoleSecret secret;
    secret.password = role.password;
    const std::string_view stored = role.stored.reveal();
    if (stored.starts_with("SCRAM-SHA-256$")) secret.scram_verifier = role.stored;
    if (stored.starts_with("md5")) secret.md5_hash = role.stored;
    secret.valid_until = role.valid_until;
    secret.can_login = role.can_login;
    return secret;
}

class ClientSide final : public dialect::ClientHandshake {
public:
    explicit ClientSide(ClientLoginOptions options) : login_(std::move(options)) {}

    Progress on_bytes(Bytes in, ByteBuffer& out) override {
        const auto outcome = login_.on_bytes(in, out);
        return {outcome.consumed, to_step(outcome.step)};
    }
    Step on_secured(std::string_view alpn, Bytes end_point, std::string_view common_name,
                    ByteBuffer& out) override {
        return to_step(login_.on_secured(alpn, end_point, common_name, out));
    }
    Step on_secret(std::optional<dialect::StoredRole> role, ByteBuffer& out) override {
        std::optional<RoleSecret> secret;
        if (role) secret = to_role_secret(*role);
        return to_step(login_.on_secret(std::move(secret), out));
    }
    Step on_secret_unavailable(std::string_view why, ByteBuffer& out) override {
        return to_step(login_.on_secret_unavailable(why, out));
    }
    const std::string& user() const override { return login_.startup().user; }
    dialect::Identity identity() const override {
        const Startup& startup = login_.startup();
        dialect::Identity identity;
        identity.user = startup.user;
        identity.database = startup.database;
        identity.parameters = startup.parameters;
        identity.application_name = startup.parameter("application_name");
        identity.replication = startup.replication != Startup::Replication::none;
        return identity;
    }
    std::shared_ptr<const dialect::Credential> take_credential() override {
        return std::make_shared<ProvenCredential>(login_.take_credential());
    }
    Bytes cancel_key() const override { return login_.cancel_key(); }
    const std::string& error() const override { return login_.error(); }
    bool is_password_failure() const override { return login_.is_password_failure(); }
    size_t cancel_secret_bytes() const override { return login_.startup().protocol_minor >= 2 ? 32 : 4; }
    void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const override {
        append_error(out, "FATAL", code, message);
    }
    void welcome(const dialect::Parameters& parameters, uint32_t process_id, Bytes cancel_secret,
                 ByteBuffer& out) const override {
        append_authentication_ok(out);
        for (const auto& [name, value] : parameters) append_parameter_status(out, name, value);
        ByteBuffer key(4 + cancel_secret.size());
        store_u32(key.data(), process_id);
        std::copy(cancel_secret.begin(), cancel_secret.end(), key.begin() + 4);
        append_backend_key_data(out, key);
        append_ready_for_query(out, 'I');
    }

private:
    ClientLogin login_;
};

class ServerSide final : public dialect::ServerHandshake {
public:
    explicit ServerSide(ServerLoginOptions options)
        : login_(std::make_unique<ServerLogin>(options)), password_(options.credential.password) {}

    Step start(ByteBuffer& out) override { return to_step(login_->start(out)); }
    Progress on_bytes(Bytes in, ByteBuffer& out) override {
        const auto outcome = login_->on_bytes(in, out);
        return {outcome.consumed, to_step(outcome.step)};
    }
    Step on_secured(Bytes end_point, ByteBuffer& out) override {
        return to_step(login_->on_secured(end_point, out));
    }
    void derive() override {
        keys_ = derive_scram_keys(password_.reveal(), login_->salt(), login_->iterations());
    }
    Step on_derived(ByteBuffer& out) override { return to_step(login_->on_keys(keys_, out)); }
    const dialect::Parameters& parameters() const override { return login_->parameters(); }
    Bytes cancel_key() const override { return login_->cancel_key(); }
    dialect::ServerRefusal refusal() const override {
        using Kind = dialect::ServerRefusal::Kind;
        const ServerLoginFailure& failure = login_->failure();
        dialect::ServerRefusal refusal;
        refusal.code = failure.sqlstate;
        refusal.message = failure.message;
        refusal.wire = failure.error_response;
        switch (failure.kind) {
            case ServerLoginFailure::Kind::protocol:
            case ServerLoginFailure::Kind::tls: refusal.kind = Kind::broken; break;
            case ServerLoginFailure::Kind::credential: refusal.kind = Kind::credential; break;
            case ServerLoginFailure::Kind::refused:
                if (failure.sqlstate == "53300") {
                    refusal.kind = Kind::too_many;
                } else if (failure.sqlstate.starts_with("57P0") || failure.sqlstate.starts_with("53")) {
                    refusal.kind = Kind::not_now;
                } else {
                    refusal.kind = Kind::identity;
                }
                break;
        }
        return refusal;
    }
    std::optional<bool> says_replica() const override {
        for (const auto& [name, value] : login_->parameters()) {
            if (name == "in_hot_standby") return value == "on";
        }
        return std::nullopt;  // PostgreSQL 13: the probes know
    }

private:
    std::unique_ptr<ServerLogin> login_;
    Secret password_;
    ScramKeys keys_;
};

class DiscardTracker final : public dialect::ResetTracker {
public:
    State on_bytes(Bytes in, size_t& consumed) override {
        consumed = 0;
        while (in.size() - consumed >= message_header_bytes) {
            const Bytes rest = in.subspan(consumed);
            const auto message = take_message(rest, limits::postgres_server_message_collected_bytes_max);
            if (!message) return State::spoilt;
            if (!*message) break;
            consumed += (*message)->total_bytes();
            switch ((*message)->type) {
                case backend::command_complete: discarded_ = true; break;
                case backend::parameter_status:
                case backend::notice_response:
                case backend::notification_response: break;
                case backend::ready_for_query: {
                    const bool idle =
                        (*message)->body.size() == 1 && std::to_integer<char>((*message)->body[0]) == 'I';
                    return idle && discarded_ && consumed == in.size() ? State::clean : State::spoilt;
                }
                default: return State::spoilt;
            }
        }
        return State::waiting;
    }

private:
    bool discarded_ = false;
};

}  // namespace

PostgresDialect::PostgresDialect(Surroundings surroundings) : surroundings_(std::move(surroundings)) {
    surroundings_.random(mock_key_.data(), mock_key_.size());
}

PostgresDialect::~PostgresDialect() = default;

std::unique_ptr<dialect::ClientHandshake> PostgresDialect::client_handshake(
    const dialect::ClientHandshakeOptions& options) {
    ClientLoginOptions login;
    login.tls_offered = options.tls_offered;
    login.tls_required = options.tls_required;
    login.method = static_cast<AuthMethod>(options.auth);
    login.random = surroundings_.random;
    login.unix_seconds = surroundings_.unix_seconds;
    login.mock_key = mock_key_;
    login.is_local = options.is_local;
    return std::make_unique<ClientSide>(std::move(login));
}

std::unique_ptr<dialect::ServerHandshake> PostgresDialect::server_handshake(
    const dialect::Identity& identity, const dialect::ServerHandshakeOptions& options) {
    ServerLoginOptions login;
    login.user = identity.user;
    login.database = identity.database;
    login.parameters = identity.parameters;
    if (const auto* proven = dynamic_cast<const ProvenCredential*>(options.credential.get())) {
        login.credential = proven->proof;
    }
    login.tls = static_cast<ServerLoginOptions::Tls>(options.tls);
    login.tls_direct = options.tls_direct;
    login.random = surroundings_.random;
    return std::make_unique<ServerSide>(std::move(login));
}

std::unique_ptr<dialect::Conversation> PostgresDialect::conversation(
    const dialect::ConversationOptions& options) {
    auto& cache = caches_[&options.sources];
    if (!cache) cache = std::make_unique<StatementCache>(options.sources);
    return std::make_unique<Conversation>(options.identity, *cache, scratch_, options.welcome);
}

std::unique_ptr<dialect::ResetTracker> PostgresDialect::reset_tracker() {
    return std::make_unique<DiscardTracker>();
}

std::shared_ptr<const dialect::Credential> PostgresDialect::credential(const dialect::StoredRole& role) {
    postgres::Credential proof;
    proof.password = role.password;
    const RoleSecret secret = to_role_secret(role);
    proof.md5_hash = secret.md5_hash;
    return std::make_shared<ProvenCredential>(std::move(proof));
}

void PostgresDialect::present_parameters(dialect::Parameters& parameters, bool as_replica) const {
    for (auto& [name, value] : parameters) {
        if (name == "in_hot_standby") value = as_replica ? "on" : "off";
    }
}

void PostgresDialect::append_goodbye(ByteBuffer& out) const {
    append_message(out, frontend::terminate);
}

void PostgresDialect::guess_parameters(dialect::Parameters& parameters, const dialect::Identity& other,
                                       const dialect::Identity& own) const {
    guess_reported(parameters, other.parameters, other.user, own.parameters, own.user);
}

void PostgresDialect::append_cancel(Bytes key, ByteBuffer& out) const {
    append_cancel_request(out, key);
}

bool PostgresDialect::parse_cancel_key(Bytes key, uint32_t& process_id, Bytes& secret) const {
    if (key.size() < cancel_key_bytes_min) return false;
    process_id = load_u32(key.data());
    secret = key.subspan(4);
    return true;
}

void PostgresDialect::append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const {
    append_error(out, "FATAL", code, message);
}

}  // namespace holdfast::postgres
