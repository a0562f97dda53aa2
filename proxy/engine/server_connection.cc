#include "proxy/engine/server_connection.h"

#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/cluster.h"

namespace holdfast::engine {

using dialect::Step;

ServerConnection::ServerConnection(Cluster& cluster, ServerId server, IdentityRef identity,
                                   std::shared_ptr<const dialect::Credential> credential, ByteBuffer header)
    : cluster_(cluster),
      credential_(std::move(credential)),
      identity_(std::move(identity)),
      header_(std::move(header)),
      server_(server) {}

ServerConnection::~ServerConnection() {
    if (begun_) {
        cluster_.metrics().server_connection_left(server_, counted_as_);
        cluster_.connection_gone(*this);
    }
    login_over();
    if (state_ == State::idle) say_goodbye();
    if (link_) Link::close_gently(std::move(link_));
}

void ServerConnection::count_as(ServerConnectionState state) {
    cluster_.metrics().server_connection_state(server_, counted_as_, state);
    counted_as_ = state;
}

void ServerConnection::use_again() {
    state_ = State::ready;
    says_replica_.reset();  // it may be long ago
    count_as(ServerConnectionState::busy);
}

void ServerConnection::say_goodbye() {
    if (!link_) return;
    ByteBuffer goodbye;
    cluster_.dialect().append_goodbye(goodbye);
    link_->write(goodbye);
}

void ServerConnection::start(ServerConnectionUser& user, Turn turn) {
    user_ = &user;
    begun_ = true;
    cluster_.connection_begun(*this);
    cluster_.metrics().server_connection_entered(server_, counted_as_);
    if (turn == Turn::at_once) return begin();
    cluster_.login_queue(server_).enter(*this, login_turn_);
}

void ServerConnection::login_over() {
    if (const uint64_t turn = std::exchange(login_turn_, 0)) cluster_.login_queue(server_).leave(turn);
}

void ServerConnection::begin() {
    since_ = cluster_.world().now();
    attempt_ =
        cluster_.world().connect(cluster_.server(server_).address, cluster_.settings(), *this,
                                 [this](Result<std::unique_ptr<Link>> link) { connected(std::move(link)); });
}

void ServerConnection::connected(Result<std::unique_ptr<Link>> link) {
    if (state_ != State::connecting) return;
    attempt_.reset();
    if (!link) {
        ConnectFailure failure;
        failure.result = link.error().code == ErrorCode::timed_out ? ServerConnectResult::timed_out
                                                                   : ServerConnectResult::unreachable;
        failure.refusal.message = link.error().message;
        return fail(std::move(failure));
    }
    link_ = *std::move(link);
    state_ = State::logging_in;
    if (!header_.empty()) {
        cluster_.metrics().server_bytes(server_, 0, header_.size());
        link_->write(header_);
    }
    attempt_ = cluster_.world().after(limits::server_login_timeout, [this] {
        ConnectFailure failure;
        failure.result = ServerConnectResult::timed_out;
        failure.refusal.message = "the server did not finish the login in time";
        fail(std::move(failure));
    });
    dialect::ServerHandshakeOptions options;
    options.credential = credential_;
    const config::ServerTls& tls = cluster_.settings().server_tls;
    const bool is_local = cluster_.server(server_).address.is_unix();
    switch (tls.mode) {
        case config::ServerTlsMode::disable:
        case config::ServerTlsMode::allow: options.tls = 0; break;
        case config::ServerTlsMode::prefer: options.tls = is_local ? 0 : 1; break;
        case config::ServerTlsMode::require:
        case config::ServerTlsMode::verify_ca:
        case config::ServerTlsMode::verify_full: options.tls = is_local ? 0 : 2; break;
    }
    options.tls_direct = tls.direct && options.tls == 2;
    handshake_ = cluster_.dialect().server_handshake(identity_->identity, options);
    ByteBuffer& out = cluster_.scratch();
    out.clear();
    step(handshake_->start(out));
}

/// Sends what the handshake has to say (it is in the scratch buffer) and does what it asks for.
void ServerConnection::step(Step step) {
    const ByteBuffer& out = cluster_.scratch();
    if (!out.empty() && step != Step::failed) {
        cluster_.metrics().server_bytes(server_, 0, out.size());
        link_->write(out);
    }
    switch (step) {
        case Step::need_bytes: return;
        case Step::start_tls:
        case Step::start_tls_now:
            link_->start_tls_as_client(cluster_.settings().server_tls, cluster_.server(server_).address.host);
            return;
        case Step::derive_keys: return derive_keys();
        case Step::done: return finish_login();
        case Step::need_secret:
        case Step::cancel:
        case Step::failed: {
            ConnectFailure failure;
            failure.refusal = handshake_->refusal();
            using Kind = dialect::ServerRefusal::Kind;
            switch (failure.refusal.kind) {
                case Kind::not_now: failure.result = ServerConnectResult::refused; break;
                case Kind::too_many: failure.result = ServerConnectResult::too_many; break;
                case Kind::identity:
                case Kind::credential: failure.result = ServerConnectResult::auth; break;
                case Kind::broken: failure.result = ServerConnectResult::tls; break;
            }
            return fail(std::move(failure));
        }
    }
}

void ServerConnection::derive_keys() {
    link_->pause(Pause::login);
    // The work may outlive this connection: it holds the handshake until it is done, and after that a weak
    // look at it says whether this connection lives.
    std::weak_ptr<dialect::ServerHandshake> weak = handshake_;
    auto held = std::make_shared<std::shared_ptr<dialect::ServerHandshake>>(handshake_);
    cluster_.world().offload(
        [held] {
            (*held)->derive();
            held->reset();
        },
        [this, weak] {
            if (weak.expired() || state_ != State::logging_in) return;
            ByteBuffer& out = cluster_.scratch();
            out.clear();
            link_->resume(Pause::login);
            step(handshake_->on_derived(out));
        });
}

void ServerConnection::finish_login() {
    attempt_.reset();
    login_over();
    parameters_ = cluster_.intern_parameters(handshake_->parameters());
    cancel_key_ = as_text(handshake_->cancel_key());
    says_replica_ = handshake_->says_replica();
    handshake_.reset();
    credential_.reset();
    state_ = State::ready;
    cluster_.metrics().server_connect(server_, ServerConnectResult::ok, cluster_.world().now() - since_);
    count_as(ServerConnectionState::busy);
    user_->on_server_ready(*this);
}

void ServerConnection::fail(ConnectFailure failure) {
    attempt_.reset();
    login_over();
    handshake_.reset();
    state_ = State::ended;
    cluster_.metrics().server_connect(server_, failure.result, cluster_.world().now() - since_);
    if (user_) user_->on_server_failed(*this, failure);
}

size_t ServerConnection::on_bytes(Bytes bytes) {
    switch (state_) {
        case State::ready: return user_->on_server_bytes(*this, bytes);
        case State::logging_in: {
            size_t used = 0;
            while (state_ == State::logging_in && used < bytes.size()) {
                ByteBuffer& out = cluster_.scratch();
                out.clear();
                const dialect::Progress progress = handshake_->on_bytes(bytes.subspan(used), out);
                used += progress.consumed;
                cluster_.metrics().server_bytes(server_, progress.consumed, 0);
                const bool ends = progress.step == Step::done || progress.step == Step::failed;
                step(progress.step);
                if (ends) return used;  // the user may have destroyed this connection
                if (progress.consumed == 0 || progress.step != Step::need_bytes) break;
            }
            return used;
        }
        case State::resetting: {
            size_t consumed = 0;
            const auto outcome = reset_->on_bytes(bytes, consumed);
            cluster_.metrics().server_bytes(server_, consumed, 0);
            switch (outcome) {
                case dialect::ResetTracker::State::waiting: return consumed;
                case dialect::ResetTracker::State::clean:
                    reset_.reset();
                    attempt_.reset();
                    state_ = State::idle;
                    since_ = cluster_.world().now();
                    cluster_.connection_clean(*this);
                    return consumed;
                case dialect::ResetTracker::State::spoilt:
                    state_ = State::ended;
                    cluster_.discard(*this);
                    return consumed;
            }
            return consumed;
        }
        case State::idle:
            // Nobody asked it anything: a parameter or a notice may be ignored, an announced end may not.
            // Either way the next session is better off with another connection.
            state_ = State::ended;
            cluster_.discard(*this);
            return bytes.size();
        case State::connecting:
        case State::ended: break;
    }
    return bytes.size();
}

void ServerConnection::reset(std::unique_ptr<dialect::ResetTracker> tracker, Bytes request) {
    user_ = nullptr;
    reset_ = std::move(tracker);
    state_ = State::resetting;
    count_as(ServerConnectionState::idle);
    since_ = cluster_.world().now();
    attempt_ = cluster_.world().after(limits::server_reset_timeout, [this] {
        if (state_ != State::resetting) return;  // it ended in this very turn
        state_ = State::ended;
        cluster_.discard(*this);
    });
    cluster_.metrics().server_bytes(server_, 0, request.size());
    link_->write(request);
}

void ServerConnection::on_writable() {
    if (user_) user_->on_server_writable(*this);
}

void ServerConnection::on_secured() {
    if (state_ != State::logging_in || !handshake_) return;
    ByteBuffer& out = cluster_.scratch();
    out.clear();
    const TlsFacts* facts = link_->tls();
    step(handshake_->on_secured(facts ? Bytes(facts->peer_end_point) : Bytes{}, out));
}

void ServerConnection::on_ended(LinkEnd end, std::string_view detail) {
    const State before = std::exchange(state_, State::ended);
    switch (before) {
        case State::connecting:
        case State::logging_in: {
            ConnectFailure failure;
            failure.result =
                end == LinkEnd::tls_failed ? ServerConnectResult::tls : ServerConnectResult::unreachable;
            failure.refusal.message =
                std::string("the connection ended during the login: ") + std::string(detail);
            fail(std::move(failure));
            return;
        }
        case State::ready: user_->on_server_ended(*this, detail); return;
        case State::resetting:
        case State::idle: cluster_.discard(*this); return;
        case State::ended: return;
    }
}

}  // namespace holdfast::engine
