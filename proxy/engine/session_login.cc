// A session's beginning: the client proves itself, a server connection is opened with what that taught, and
// the client is told that it is in. Once the cluster has been seen, no server is needed for that.
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

using dialect::Step;

/// Begins the client's login: with a greeting, where the protocol has one and the servers' version is known.
void Session::greet() {
    dialect::Dialect& dialect = cluster_.dialect();
    const dialect::ClientHandshakeOptions options = handshake_options();
    if (dialect.greets_first() && options.server_version.empty()) return cluster_.wait_for_news(*this);
    handshake_ = dialect.client_handshake(options);
    ByteBuffer& out = engine_.out();
    out.clear();
    login_step(handshake_->start(out));
    if (out.empty()) return;
    bytes_to_client_ += out.size();
    send_client(out);
}

dialect::ClientHandshakeOptions Session::handshake_options() const {
    dialect::ClientHandshakeOptions options;
    options.server_version = cluster_.version_text();
    for (const auto& server : cluster_.view().servers) {
        if (!server.version_text.empty()) options.server_versions.push_back(server.version_text);
    }
    const config::Listener& listener = entrance_->settings;
    options.process_id = engine_.process_id(id_);
    options.client_address = address_;
    options.tls_offered = listener.tls.mode != config::ClientTlsMode::disable && !is_local_;
    options.tls_required = listener.tls.mode == config::ClientTlsMode::require && !is_local_;
    options.auth = static_cast<int>(listener.auth);
    options.is_local = is_local_;
    return options;
}

/// The client logs in anew on its connection: it leaves its servers and its state, as if it had just come.
void Session::log_in_again(Bytes request) {
    leave_servers();
    leave_place();
    conversation_.reset();
    count_pins();
    waiting_since_ = {};
    identity_ = {};
    credential_.reset();
    lost_state_.clear();
    last_write_at_ = {};
    required_ = {};
    replica_unusable_until_ = {};
    replica_failures_ = 0;
    held_since_ = transaction_began_at_ = {};
    failure_.reset();
    wrote_ = cancelling_ = false;
    active_ = primary_slot_ = Slot::a;
    phase_ = Phase::login;
    limit_login();
    set_client_state();
    dialect::ClientHandshakeOptions options = handshake_options();
    handshake_ = cluster_.dialect().client_handshake_again(options, *traits_, request);
    ByteBuffer& out = engine_.out();
    out.clear();
    const Step step = handshake_->start(out);
    if (!out.empty()) {
        bytes_to_client_ += out.size();
        send_client(out);
    }
    login_step(step);
}

size_t Session::login_bytes(Bytes bytes) {
    size_t used = 0;
    while (phase_ == Phase::login && handshake_ && used < bytes.size()) {
        ByteBuffer& out = engine_.out();
        out.clear();
        const dialect::Progress progress = handshake_->on_bytes(bytes.subspan(used), out);
        used += progress.consumed;
        if (!out.empty()) {
            bytes_to_client_ += out.size();
            send_client(out);
        }
        if (progress.step == Step::start_tls_now) {
            link_->start_tls_as_server(bytes.subspan(used));
            return bytes.size();
        }
        const bool goes_on = progress.step == Step::need_bytes;
        login_step(progress.step);
        if (!goes_on) return used;
        if (progress.consumed == 0) break;
    }
    return used;
}

/// What the handshake asks for; its bytes have been sent.
void Session::login_step(Step step) {
    switch (step) {
        case Step::need_bytes: return;
        case Step::start_tls: link_->start_tls_as_server({}); return;
        case Step::start_tls_now: return;
        case Step::need_secret: return look_up_role();
        case Step::cancel: {
            const ByteBuffer key(handshake_->cancel_key().begin(), handshake_->cancel_key().end());
            engine_.cancel(cluster_, key);
            return close(CloseReason::cancel_request);
        }
        case Step::done: return authenticated();
        case Step::derive_keys: return derive_keys();
        case Step::failed: {
            if (handshake_->is_password_failure()) login_failed();
            return close(
                handshake_->is_password_failure() ? CloseReason::login_failed : CloseReason::protocol_error,
                handshake_->error());
        }
    }
}

/// CPU-heavy work of the login goes to another thread; the client is not read meanwhile.
void Session::derive_keys() {
    link_->pause(Pause::login);
    // The work may outlive this session: it holds the handshake until it is done.
    auto held = std::make_shared<std::shared_ptr<dialect::ClientHandshake>>(handshake_);
    cluster_.world().offload(
        [held] {
            (*held)->derive();
            held->reset();
        },
        [cluster = &cluster_, id = id_] {
            Session* session = cluster->find(id);
            if (!session || session->phase_ != Phase::login || !session->handshake_) return;
            ByteBuffer& out = session->engine_.out();
            out.clear();
            const Step step = session->handshake_->on_derived(out);
            if (!out.empty()) {
                session->bytes_to_client_ += out.size();
                session->send_client(out);
            }
            session->link_->resume(Pause::login);
            session->login_step(step);
        });
}

void Session::on_secured() {
    if (phase_ != Phase::login || !handshake_) return;
    ByteBuffer& out = engine_.out();
    out.clear();
    const TlsFacts* facts = link_->tls();
    const Step step =
        handshake_->on_secured(facts->alpn, facts->local_end_point, facts->peer_common_name, out);
    if (!out.empty()) send_client(out);
    login_step(step);
}

void Session::find_role() {
    link_->pause(Pause::login);
    cluster_.directory().find_role(handshake_->user(), [cluster = &cluster_, id = id_](
                                                           Result<std::optional<dialect::StoredRole>> found) {
        Session* session = cluster->find(id);
        if (!session || session->phase_ != Phase::login || !session->handshake_) return;
        ByteBuffer& out = session->engine_.out();
        out.clear();
        const Step step = found ? session->handshake_->on_secret(*std::move(found), out)
                                : session->handshake_->on_secret_unavailable(found.error().message, out);
        if (!found) {
            session->engine_.log().warn(
                "role_lookup_failed",
                {{"cluster", cluster->settings().name}, {"session", id}, {"error", found.error().message}});
        }
        if (!out.empty()) session->send_client(out);
        session->link_->resume(Pause::login);
        session->login_step(step);
    });
}

void Session::authenticated() {
    if (turn_away()) return;
    credential_ = handshake_->take_credential();
    traits_ = handshake_->traits();
    identity_ = cluster_.intern_identity(handshake_->identity());
    if (!take_place()) return;
    phase_ = Phase::opening;
    link_->pause(Pause::login);
    const config::ClientAuth auth = entrance_->settings.auth;
    if (auth != config::ClientAuth::trust && auth != config::ClientAuth::cert) return open_first_server();
    // Such a login teaches nothing that a server would accept: what is configured for the user may.
    credential_pending_ = true;
    cluster_.directory().find_role(
        identity_->identity.user,
        [cluster = &cluster_, id = id_](Result<std::optional<dialect::StoredRole>> found) {
            Session* session = cluster->find(id);
            if (!session || session->phase_ != Phase::opening) return;
            session->credential_pending_ = false;
            if (found && *found) session->credential_ = cluster->dialect().credential(**found);
            session->open_first_server();
        });
}

/// Opens the connection that most sessions need first, so that a wrong database or a missing privilege is
/// told at login, as the server itself does.
void Session::open_first_server() {
    if (phase_ != Phase::opening || credential_pending_) return;
    const health::View& view = cluster_.view();
    std::optional<ServerId> server = view.primary;
    Slot slot = primary_slot_;
    if (entrance_->settings.role == config::ListenerRole::replica) {
        slot = dialect::other(primary_slot_);
        server = choose_reader(view, cluster_.weights(), cluster_.loads(), {},
                               cluster_.settings().routing.balance, cluster_.next_turn());
        if (!server && cluster_.settings().routing.primary_reads != config::PrimaryReads::never)
            server = view.primary;
    }
    for (const Slot each : {Slot::a, Slot::b}) {
        if (!connection(each)) continue;
        if (server && connection(each)->server() == *server) return;  // on its way
        drop_slot(each);
    }
    if (server && cluster_.may_open(*server, *identity_)) {
        if (slot != primary_slot_) read_from(server);
        auto connection = cluster_.take_idle(*server, *identity_);
        if (connection) {
            slots_[dialect::index(slot)] = std::move(connection);
            ServerConnection& taken = *this->connection(slot);
            taken.set_user(this);
            return first_server_ready(taken);
        }
        slots_[dialect::index(slot)] = begin_connection(*server);
        return;
    }
    if (auto remembered = cluster_.remembered_parameters(*identity_)) return welcome(std::move(remembered));
    // Nothing is known of this cluster yet: the client waits, as its first statement would.
    cluster_.wait_for_news(*this);
    if (held_since_ == TimePoint{}) {
        held_since_ = now();
        timer_ = cluster_.world().after(cluster_.settings().failover.wait, [this] {
            close_with(CloseReason::login_refused, "57P03",
                       "no server of cluster \"" + cluster_.settings().name + "\" could be reached for " +
                           std::to_string(cluster_.settings().failover.wait.count()) + " ms (failover.wait)");
        });
    }
}

void Session::first_server_ready(ServerConnection& connection) {
    auto parameters = std::make_shared<dialect::Parameters>(connection.parameters());
    cluster_.dialect().present_parameters(*parameters,
                                          entrance_->settings.role == config::ListenerRole::replica);
    auto shared = cluster_.intern_parameters(*parameters);
    cluster_.remember_parameters(identity_, shared);
    welcome(std::move(shared));
}

void Session::first_server_failed(const ConnectFailure& failure) {
    using Kind = dialect::ServerRefusal::Kind;
    if (failure.result == ServerConnectResult::auth) {
        const auto& refusal = failure.refusal;
        if (refusal.kind == Kind::identity && !refusal.wire.empty()) {
            ByteBuffer& out = engine_.out();
            out.clear();
            handshake_->append_refusal(refusal.wire, out);
            bytes_to_client_ += out.size();
            send_client(out);
            return close(CloseReason::login_refused, refusal.message);
        }
        return close_with(
            CloseReason::login_refused, refusal.code.empty() ? "28000" : refusal.code,
            "the server did not let user \"" + identity_->identity.user + "\" in: " + refusal.message);
    }
    if (auto remembered = cluster_.remembered_parameters(*identity_)) return welcome(std::move(remembered));
    // Try again with the next news of the servers, or a little later.
    cluster_.wait_for_news(*this);
    retry_timer_ = cluster_.world().after(limits::reconnect_delay, [this] { on_news(); });
    if (held_since_ == TimePoint{}) {
        held_since_ = now();
        timer_ = cluster_.world().after(cluster_.settings().failover.wait, [this] {
            close_with(CloseReason::login_refused, "57P03",
                       "no server of cluster \"" + cluster_.settings().name +
                           "\" could be logged in to within " +
                           std::to_string(cluster_.settings().failover.wait.count()) + " ms (failover.wait)");
        });
    }
}

void Session::welcome(std::shared_ptr<const dialect::Parameters> parameters) {
    const size_t secret_bytes = handshake_->cancel_secret_bytes();
    cancel_secret_.resize(secret_bytes);
    cluster_.world().random(reinterpret_cast<std::byte*>(cancel_secret_.data()), secret_bytes);
    ByteBuffer& out = engine_.out();
    out.clear();
    handshake_->welcome(*parameters, engine_.process_id(id_), as_bytes(cancel_secret_), out);
    handshake_.reset();
    conversation_ = cluster_.dialect().conversation(
        {identity_->identity, *identity_->sources, *parameters, traits_, engine_.process_id(id_)});
    conversation_->set_corrects(entrance_->settings.role == config::ListenerRole::automatic);
    conversation_->set_only_reads(entrance_->settings.role == config::ListenerRole::replica);
    for (const Slot slot : {Slot::a, Slot::b}) {
        if (ServerConnection* opened = connection(slot)) {
            conversation_->slot_opened(slot, opened->says_replica().value_or(slot != primary_slot_));
            conversation_->slot_parameters(slot, opened->parameters());
        }
    }
    timer_.reset();
    retry_timer_.reset();
    held_since_ = {};
    quiet_since_ = now();
    cluster_.stop_waiting(*this);
    phase_ = Phase::ready;
    bytes_to_client_ += out.size();
    send_client(out);
    if (auto framing = traits_ ? cluster_.dialect().framing(*traits_) : nullptr; framing && !wrapped_) {
        wrapped_ = std::make_unique<Wrapped>();
        wrapped_->framing = std::move(framing);
    }
    cluster_.metrics().client_logged_in(now() - accepted_at_);
    set_client_state();
    link_->resume(Pause::login);
}

}  // namespace holdfast::engine
