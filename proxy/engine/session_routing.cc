// Where the next unit goes: the server, this session's connection to it, and what brings that up to date.
#include <utility>

#include "protocol/base/limits.h"
#include "proxy/engine/engine.h"
#include "proxy/engine/session.h"

namespace holdfast::engine {

Route Session::choose_route(const dialect::UnitFacts& facts) {
    Route chosen = route(facts, route_state(facts), cluster_.view(), cluster_.settings().routing);
    // Units in flight on one server and a statement that would go with either: stay.
    if (busy() && facts.destination == sql::Destination::transaction && !chosen.current) {
        chosen.target = active_ == primary_slot_ ? Target::primary : Target::replica;
        chosen.hold = false;
    }
    return chosen;
}

RouteState Session::route_state(const dialect::UnitFacts& facts) {
    RouteState state;
    state.listener = entrance_->settings.role;
    state.transaction = conversation_->transaction();
    state.transaction_on_replica = active_ != primary_slot_;
    state.pinned = conversation_->pins().reads() || now() < replica_unusable_until_;
    state.has_primary_connection = connection(primary_slot_) != nullptr;
    if (!cluster_.rules().empty()) {
        state.rule =
            cluster_.rules().match(cluster_.dialect().sql_dialect(), identity_->identity, facts.text);
    }
    if (facts.destination == sql::Destination::replica) {
        if (cluster_.has_learned() && !facts.text.empty()) {
            state.learned = cluster_.has_learned(sql::fingerprint(
                cluster_.dialect().sql_dialect(), facts.text.substr(0, limits::batch_collected_bytes_max)));
        }
        update_required_position();
        state.waits_for_own_write = last_write_at_ != TimePoint{};
        state.required = required_;
        state.reads_on_primary = reads_on_primary();
    }
    return state;
}

/// primary_reads = "always": whether the primary is the one that takes this session's reads.
bool Session::reads_on_primary() {
    if (cluster_.settings().routing.primary_reads != config::PrimaryReads::always ||
        entrance_->settings.role != config::ListenerRole::automatic) {
        return false;
    }
    if (busy()) return active_ == primary_slot_;
    if (const auto reader = pick_reader(Readers::all)) read_from(reader);
    return reader_.has_value() && reader_ == cluster_.view().primary;
}

void Session::update_required_position() {
    if (last_write_at_ == TimePoint{}) return;
    const health::View& view = cluster_.view();
    // A position sampled by a probe that was sent after the write completed contains the write.
    if (view.primary_position && view.primary_position_sampled_at > last_write_at_) {
        required_ = view.primary_position;
        last_write_at_ = {};
    }
}

void Session::count_statement(ServerId server, const Route& route, const dialect::UnitFacts& facts) {
    ++statements_;
    cluster_.metrics().statement(server, route.target, route.reason, facts.reason);
    if (route.target == Target::primary && facts.destination == sql::Destination::replica &&
        route.reason == RouteReason::read_your_writes) {
        cluster_.metrics().stale_read_avoided();
    }
}

bool Session::prepare_slot(Slot slot, const Route& route) {
    ServerConnection* existing = connection(slot);
    if (existing && busy() && finish_timer_ && slot == primary_slot_) {
        wait_in_turn();
        return false;
    }
    // With units in flight the connection stays what it is.
    std::optional<ServerId> server;
    if (!existing || !busy()) {
        server = route.target == Target::primary ? cluster_.view().primary : pick_reader(Readers::replicas);
    }
    if (existing && server && existing->server() != *server) {
        drop_slot(slot);
        existing = nullptr;
    }
    if (!existing) {
        if (!server || !open_slot(slot, *server)) {
            if (route.target == Target::replica) read_from(std::nullopt);
            hold(HoldFor::server);
            return false;
        }
        existing = connection(slot);
    }
    if (!existing->ready()) {
        hold(HoldFor::login);
        return false;
    }
    return bring_up_to_date(slot);
}

bool Session::bring_up_to_date(Slot slot) {
    if (busy()) return true;
    if (conversation_->synchronising(slot) || conversation_->synchronising(dialect::other(slot))) {
        wait_in_turn();
        return false;
    }
    ByteBuffer& out = engine_.out();
    out.clear();
    if (conversation_->synchronise(slot, out)) {
        flush_requests();
        active_ = slot;
        send_server(*connection(slot), out);
        if (slot == primary_slot_) watch_stall();  // a replica that stops answering is given up by its probes
        wait_in_turn();
        return false;
    }
    return true;
}

/// The server for this session's next read: the one it has, while that may serve it and was not chosen too
/// long ago; else the least loaded. Nullopt: there is none.
std::optional<ServerId> Session::pick_reader(Readers readers) {
    const health::View& view = cluster_.view();
    const config::Routing& policy = cluster_.settings().routing;
    const Position required = policy.consistency == config::Consistency::session ? required_ : Position{};
    const std::optional<ServerId> primary = readers == Readers::all ? view.primary : std::nullopt;
    const auto may_read = [&](ServerId id) {
        const health::ServerView* server = view.find(id);
        return id == primary || (server && may_read_from(*server, required));
    };
    const std::optional<ServerId> current = reader_ && may_read(*reader_) ? reader_ : std::nullopt;
    if (current && now() - reader_chosen_at_ < limits::replica_choice_lifetime) return current;

    uint64_t turn = cluster_.next_turn();
    if (policy.balance == config::Balance::random) {
        cluster_.world().random(reinterpret_cast<std::byte*>(&turn), sizeof turn);
    }
    auto& loads = cluster_.loads();
    if (reader_) --loads[reader_->value - 1];  // not counted against itself
    const auto chosen =
        choose_reader(view, cluster_.weights(), loads, required, policy.balance, turn, primary);
    if (reader_) ++loads[reader_->value - 1];
    if (!chosen) {
        // A replica listener with no replica left may be served by the primary.
        return entrance_->settings.role == config::ListenerRole::replica ? view.primary : std::nullopt;
    }
    reader_chosen_at_ = now();
    // Moving costs a login: only for a real difference.
    const bool may_stay = current && policy.balance == config::Balance::least_outstanding;
    if (may_stay && loads[chosen->value - 1] + 2 > loads[current->value - 1]) return current;
    return chosen;
}

/// Notes, and counts, which server takes the session's reads.
void Session::read_from(std::optional<ServerId> server) {
    if (reader_ == server) return;
    if (reader_) --cluster_.loads()[reader_->value - 1];
    reader_ = server;
    if (reader_) ++cluster_.loads()[reader_->value - 1];
    reader_chosen_at_ = now();
}

std::unique_ptr<ServerConnection> Session::begin_connection(ServerId server) {
    auto connection = std::make_unique<ServerConnection>(cluster_, server, identity_, credential_,
                                                         cluster_.header_for(source_, destination_));
    connection->start(*this);
    return connection;
}

/// Takes an idle connection of the pool for the slot or begins a new one. False: not now.
bool Session::open_slot(Slot slot, ServerId server) {
    auto& place = slots_[dialect::index(slot)];
    const bool is_replica = slot != primary_slot_;
    if (auto idle = cluster_.take_idle(server, *identity_)) {
        place = std::move(idle);
        place->set_user(this);
        conversation_->slot_opened(slot, is_replica);
        conversation_->slot_parameters(slot, place->parameters());
    } else {
        if (!cluster_.may_open(server, *identity_)) {
            pool_was_full_ = true;
            return false;
        }
        if (retry_timer_) return false;  // the last attempt has just failed
        place = begin_connection(server);
    }
    pool_was_full_ = false;
    if (is_replica) read_from(server);
    return true;
}

}  // namespace holdfast::engine
