#include "proxy/engine/cluster.h"

#include <algorithm>
#include <utility>

#include "protocol/base/limits.h"
#include "protocol/base/proxy_header.h"
#include "proxy/engine/cancel.h"
#include "proxy/engine/session.h"
#include "proxy/engine/tcp_relay.h"

namespace holdfast::engine {
namespace {

/// Texts joined so that different lists give different results.
void append_counted(std::string& key, std::string_view text) {
    key += std::to_string(text.size());
    key += ':';
    key += text;
}

std::string content_of(const dialect::Parameters& parameters) {
    std::string key;
    for (const auto& [name, value] : parameters) {
        append_counted(key, name);
        append_counted(key, value);
    }
    return key;
}

}  // namespace

Cluster::Cluster(World& world, Log& log, ClusterParts parts)
    : world_(world),
      log_(log),
      parts_(std::move(parts)),
      rules_(parts_.settings->routing.rules),
      access_(parts_.settings->access) {
    loads_.resize(settings().servers.size());
    view_.servers.resize(settings().servers.size());
    for (size_t i = 0; i < view_.servers.size(); ++i) {
        view_.servers[i].id = ServerId{i + 1};
        view_.servers[i].name = settings().servers[i].name;
    }
}

Cluster::~Cluster() {
    close_idle();  // connections look at their cluster when they die: all of it must be there
}

void Cluster::on_view(const health::View& view) {
    const bool primary_changed = view.epoch != view_.epoch || view.primary != view_.primary;
    bool eligibility_changed = primary_changed || view.servers.size() != view_.servers.size();
    for (size_t i = 0; i < view.servers.size() && i < view_.servers.size(); ++i) {
        const auto& before = view_.servers[i];
        const auto& after = view.servers[i];
        eligibility_changed |= before.state != after.state || before.role != after.role ||
                               before.readable != after.readable || before.duty != after.duty;
    }
    if (view_.primary && !view.primary && !outage_began_) outage_began_ = world_.now();
    const health::View before = std::exchange(view_, view);
    loads_.resize(std::max(loads_.size(), view_.servers.size()));
    drain(before);
    for (const auto& server : view_.servers) {
        const bool counts = version_text_.empty() || view_.primary == server.id;
        if (counts && !server.version_text.empty() && server.version_text != version_text_) {
            version_text_ = server.version_text;
        }
    }
    metrics().view_changed(view_);
    if (eligibility_changed) {
        // A session may end while it is told: go by ids.
        std::vector<SessionId> ids;
        ids.reserve(sessions_.size());
        for (const auto& [id, session] : sessions_) ids.push_back(id);
        for (const SessionId id : ids) {
            if (Session* session = find(id)) session->on_view_changed(primary_changed);
        }
    }
    if (primary_changed) tell_relays([](TcpRelay& relay) { relay.on_news(); });
    if (!waiting_.empty()) wake_waiting();
}

void Cluster::reconfigure(std::shared_ptr<const config::Cluster> settings) {
    parts_.settings = std::move(settings);
    rules_ = RuleSet(this->settings().routing.rules);
    access_ = AccessRules(this->settings().access);
    for (const auto& [id, session] : sessions_) session->on_settings_changed();
    for (const auto& [id, relay] : relays_) relay->on_settings_changed();
    loads_.resize(std::max(loads_.size(), this->settings().servers.size()));
    wake_waiting();  // the pool may have grown
}

bool Cluster::is_in_use(ServerId server) const {
    return connections(server) > 0;
}

std::vector<uint32_t> Cluster::weights() const {
    return effective_weights(view_, settings().servers, settings().routing.slow_start, world_.now());
}

/// Servers that were taken off duty: nobody waits for their idle connections, and what runs there has a
/// limit.
void Cluster::drain(const health::View& before) {
    for (const health::ServerView& server : view_.servers) {
        if (server.duty == health::Duty::serves) {
            drain_timers_.erase(server.id.value);
            continue;
        }
        const health::ServerView* const known = before.find(server.id);
        if (known != nullptr && known->duty != health::Duty::serves) continue;
        std::erase_if(idle_, [&](const auto& each) { return each.first.first == server.id.value; });
        // Nor for those that are being cleaned: one that hangs would stay until its time limit.
        for (auto each = resetting_.begin(); each != resetting_.end();) {
            if (each->second->server() == server.id) {
                bury(std::move(each->second));
                each = resetting_.erase(each);
            } else {
                ++each;
            }
        }
        drain_timers_[server.id.value] =
            world_.after(parts_.drain_timeout(), [this, id = server.id] { drain_over(id); });
    }
}

void Cluster::drain_over(ServerId server) {
    std::vector<SessionId> ids;
    for (const auto& [id, session] : sessions_) ids.push_back(id);
    for (const SessionId id : ids) {
        if (Session* session = find(id)) session->on_drain_over(server);
    }
    tell_relays([&](TcpRelay& relay) { relay.on_drain_over(server); });
}

void Cluster::enrol(Session& session) {
    sessions_.emplace(session.id(), &session);
}

void Cluster::strike(Session& session) {
    stop_waiting(session);
    sessions_.erase(session.id());
}

Session* Cluster::find(SessionId id) const {
    const auto found = sessions_.find(id);
    return found == sessions_.end() ? nullptr : found->second;
}

void Cluster::wait_for_news(Session& session) {
    if (std::find(waiting_.begin(), waiting_.end(), session.id()) == waiting_.end())
        waiting_.push_back(session.id());
}

void Cluster::stop_waiting(Session& session) {
    std::erase(waiting_, session.id());
}

void Cluster::wake_waiting() {
    for (const SessionId id : std::exchange(waiting_, {})) {
        if (Session* session = find(id)) session->on_news();
    }
}

IdentityRef Cluster::intern_identity(dialect::Identity identity) {
    std::string key;
    append_counted(key, identity.user);
    append_counted(key, identity.database);
    key += content_of(identity.parameters);
    if (const auto found = identities_.find(key); found != identities_.end()) return found->second;
    if (identities_.size() >= limits::identities_kept_max) {
        std::erase_if(identities_, [&](const auto& each) {
            if (each.second->use_count() > 1) return false;
            remembered_.erase(each.second->number);
            return true;
        });
    }
    IdentityRef made(new SharedIdentity);
    made->sources = &directory().sources(identity.database);
    made->identity = std::move(identity);
    made->number = ++identities_made_;
    identities_.emplace(std::move(key), made);
    return made;
}

std::shared_ptr<const dialect::Parameters> Cluster::intern_parameters(const dialect::Parameters& parameters) {
    std::string key = content_of(parameters);
    auto& slot = parameters_[key];
    if (auto alive = slot.lock()) return alive;
    auto made = std::make_shared<const dialect::Parameters>(parameters);
    slot = made;
    if (parameters_.size() > limits::identities_kept_max) {
        std::erase_if(parameters_, [](const auto& each) { return each.second.expired(); });
    }
    return made;
}

std::shared_ptr<const dialect::Parameters> Cluster::remembered_parameters(const SharedIdentity& identity) {
    const auto found = remembered_.find(identity.number);
    if (found != remembered_.end()) return found->second;
    if (!remembered_any_) return nullptr;
    dialect::Parameters guess = *remembered_any_;
    dialect().guess_parameters(guess, remembered_of_->identity, identity.identity);
    return intern_parameters(guess);
}

void Cluster::remember_parameters(const IdentityRef& identity,
                                  std::shared_ptr<const dialect::Parameters> parameters) {
    if (!remembered_any_) {
        remembered_any_ = parameters;
        remembered_of_ = identity;
    }
    remembered_[identity->number] = std::move(parameters);
}

Cluster::PoolKey Cluster::key_of(const ServerConnection& connection) {
    return {connection.server().value, connection.identity()->number};
}

std::unique_ptr<ServerConnection> Cluster::take_idle(ServerId server, const SharedIdentity& identity) {
    const auto found = idle_.find({server.value, identity.number});
    if (found == idle_.end() || found->second.empty()) return nullptr;
    auto connection = std::move(found->second.back());
    found->second.pop_back();
    if (found->second.empty()) idle_.erase(found);
    connection->use_again();
    return connection;
}

bool Cluster::may_open(ServerId server, const SharedIdentity& identity) const {
    const uint32_t limit = settings().pool.max_connections;
    if (limit == 0) return true;
    const auto found = open_.find({server.value, identity.number});
    return found == open_.end() || found->second < limit;
}

/// Whether idle connections to the server are of any use.
bool Cluster::is_wanted(ServerId id) const {
    const health::ServerView* const server = view_.find(id);
    return server != nullptr && server->duty == health::Duty::serves && !is_ending_;
}

void Cluster::give_back(std::unique_ptr<ServerConnection> connection, Bytes reset) {
    if (!is_wanted(connection->server()) || reset.empty() || !connection->ready() ||
        connection->was_cancelled() || settings().pool.idle_timeout.count() == 0) {
        if (!reset.empty() && connection->ready()) connection->say_goodbye();
        return;  // it is closed here
    }
    ServerConnection& cleaned = *connection;
    resetting_.emplace(&cleaned, std::move(connection));
    cleaned.reset(dialect().reset_tracker(), reset);
}

void Cluster::connection_begun(const ServerConnection& connection) {
    ++open_[key_of(connection)];
}

void Cluster::connection_gone(const ServerConnection& connection) {
    const auto found = open_.find(key_of(connection));
    if (found != open_.end() && --found->second == 0) open_.erase(found);
    if (settings().pool.max_connections > 0 && !waiting_.empty()) {
        world_.defer([this] { wake_waiting(); });
    }
}

void Cluster::connection_clean(ServerConnection& connection) {
    const auto found = resetting_.find(&connection);
    auto owned = std::move(found->second);
    resetting_.erase(found);
    if (!is_wanted(connection.server())) return bury(std::move(owned));  // drained meanwhile
    idle_[key_of(connection)].push_back(std::move(owned));
    sweep_idle();
    if (settings().pool.max_connections > 0) wake_waiting();
}

void Cluster::discard(ServerConnection& connection) {
    std::unique_ptr<ServerConnection> owned;
    if (const auto found = resetting_.find(&connection); found != resetting_.end()) {
        owned = std::move(found->second);
        resetting_.erase(found);
    } else if (const auto pool = idle_.find(key_of(connection)); pool != idle_.end()) {
        const auto at = std::find_if(pool->second.begin(), pool->second.end(),
                                     [&](const auto& each) { return each.get() == &connection; });
        if (at != pool->second.end()) {
            owned = std::move(*at);
            pool->second.erase(at);
            if (pool->second.empty()) idle_.erase(pool);
        }
    }
    if (owned) bury(std::move(owned));
}

void Cluster::bury(std::unique_ptr<ServerConnection> connection) {
    if (dying_.empty()) {
        world_.defer([this] { const auto dying = std::exchange(dying_, {}); });
    }
    dying_.push_back(std::move(connection));
}

/// Closes what was idle for too long, now and again while there is anything idle.
void Cluster::sweep_idle() {
    if (sweep_timer_ || idle_.empty()) return;
    const Duration period =
        std::max<Duration>(settings().pool.idle_timeout / 4, std::chrono::milliseconds(100));
    sweep_timer_ = world_.after(period, [this] {
        sweep_timer_.reset();
        const TimePoint now = world_.now();
        for (auto it = idle_.begin(); it != idle_.end();) {
            std::erase_if(it->second, [&](const auto& each) {
                return now - each->idle_since() >= settings().pool.idle_timeout;
            });
            it = it->second.empty() ? idle_.erase(it) : std::next(it);
        }
        sweep_idle();
    });
}

void Cluster::close_idle() {
    idle_.clear();
    resetting_.clear();
    dying_.clear();
}

void Cluster::send_cancel(ServerConnection& connection, std::shared_ptr<const dialect::Credential> credential,
                          std::function<void()> on_done) {
    connection.cancel_sent();
    ByteBuffer request;
    dialect().append_cancel(connection.cancel_key(), request);
    if (dialect().cancel_needs_login()) {
        CancelCommand::send(*this, connection.server(), connection.identity(), std::move(credential),
                            connection.header(), std::move(request), std::move(on_done));
    } else {
        request.insert(request.begin(), connection.header().begin(), connection.header().end());
        CancelSender::send(*this, connection.server(), std::move(request), std::move(on_done));
    }
}

ByteBuffer Cluster::header_for(const IpAddress& source, const IpAddress& destination) const {
    ByteBuffer header;
    switch (settings().send_proxy_protocol) {
        case config::SendProxyProtocol::no: break;
        case config::SendProxyProtocol::v1: append_proxy_header_v1(source, destination, header); break;
        case config::SendProxyProtocol::v2: append_proxy_header_v2(source, destination, header); break;
    }
    return header;
}

void Cluster::learn(uint64_t fingerprint) {
    if (learned_.size() < limits::learned_statements_max) learned_.insert(fingerprint);
}

void Cluster::write_succeeded() {
    // A late answer of the old primary ends no outage.
    if (!outage_began_ || !view_.primary) return;
    metrics().failover_completed(world_.now() - *outage_began_);
    log_.info("writes_resumed", {{"cluster", settings().name},
                                 {"outage_ms", (world_.now() - *outage_began_).count() / 1'000'000}});
    outage_began_.reset();
}

}  // namespace holdfast::engine
