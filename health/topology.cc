#include "health/topology.h"

#include <algorithm>
#include <utility>

namespace holdfast::health {

using namespace std::chrono_literals;

namespace {

/// Clients can cause hints at will, for instance by ending their own connection's process. Where probes have
/// just disproved this many, the next ones no longer stop the writes; they still cause probes.
constexpr int false_alarms_believed_max = 3;
constexpr Duration false_alarms_remembered = 10s;
/// Results are due every interval or timeout; after this many of both without one the clock has jumped or
/// this process was stopped, and nothing known is true any more.
constexpr int rounds_until_stale = 3;

/// Whether the outcome proves that the server does not serve now.
bool is_proof_of_loss(Outcome outcome) {
    switch (outcome) {
        case Outcome::starting_up:
        case Outcome::conn_refused:
        case Outcome::conn_lost: return true;
        case Outcome::ok:
        case Outcome::alive:
        case Outcome::too_many:
        case Outcome::auth:
        case Outcome::conn_failed:
        case Outcome::conn_timeout:
        case Outcome::greeting_timeout:
        case Outcome::query_timeout:
        case Outcome::tls:
        case Outcome::protocol: return false;
    }
    return false;
}

/// Whether the outcome proves that the server's processes live, if nothing else.
bool is_sign_of_life(Outcome outcome) {
    return outcome == Outcome::ok || outcome == Outcome::alive || outcome == Outcome::too_many ||
           outcome == Outcome::auth;
}

/// What a MySQL replica says of its lag itself: whole seconds, by comparing clocks. Better than nothing.
std::optional<Duration> lag_by_server(const Observation& facts) {
    std::optional<Duration> worst;
    if (!facts.mysql) return worst;
    for (const ReplicationSource& source : facts.mysql->sources) {
        if (!source.seconds_behind) continue;
        constexpr int64_t seconds_max = 1'000'000'000;
        const std::chrono::seconds lag(std::clamp<int64_t>(*source.seconds_behind, 0, seconds_max));
        if (!worst || *worst < lag) worst = lag;
    }
    return worst;
}

/// Whether the hint is about the server's role, which a mere sign of life can't answer.
bool is_about_role(Hint hint) {
    return hint == Hint::refused_write || hint == Hint::role_changed;
}

}  // namespace

Topology::Topology(const config::Cluster& cluster, TimePoint now)
    : protocol_(cluster.protocol),
      health_(cluster.health),
      max_lag_time_(cluster.routing.max_lag_time),
      max_lag_bytes_(cluster.routing.max_lag_bytes) {
    place_members(cluster);
    view_.primary_lost_at = now;
    view_ = describe(now);
    for (ServerView& server : view_.servers) server.since = now;
}

bool Topology::reconfigure(const config::Cluster& cluster, TimePoint now) {
    // Servers that are added later take nothing from those that serve.
    is_first_round_over_ = first_round_done();
    health_ = cluster.health;
    max_lag_time_ = cluster.routing.max_lag_time;
    max_lag_bytes_ = cluster.routing.max_lag_bytes;
    place_members(cluster);
    settle();
    return update(now);
}

/// Makes the members anew of the configuration, with what is known of those that were there.
void Topology::place_members(const config::Cluster& cluster) {
    std::vector<Member> before = std::exchange(members_, {});
    const ServerId holder = holder_ ? before[*holder_].id : ServerId{};
    holder_.reset();
    places_ = cluster.servers;
    for (size_t i = 0; i < places_.size(); ++i) {
        const config::Server& server = places_[i];
        if (server.is_removed) continue;
        Member member;
        member.was_out = is_first_round_over_;
        const ServerId id{i + 1};
        for (Member& old : before) {
            const bool is_same = old.id == id && old.name == server.name && old.address == server.address;
            if (is_same) member = std::move(old);
            if (is_same && id == holder) holder_ = members_.size();
        }
        member.id = id;
        member.name = server.name;
        member.address = server.address;
        member.promotable = server.promote != config::Promotable::never;
        members_.push_back(std::move(member));
    }
}

Topology::Member* Topology::find(ServerId id) {
    const auto found =
        std::find_if(members_.begin(), members_.end(), [&](const Member& each) { return each.id == id; });
    return found == members_.end() ? nullptr : &*found;
}

bool Topology::first_round_done() const {
    return is_first_round_over_ || std::all_of(members_.begin(), members_.end(),
                                               [](const Member& m) { return m.has_result || !counts(m); });
}

bool Topology::set_duty(ServerId server, Duty duty, TimePoint now) {
    Member* const member = find(server);
    if (member == nullptr || member->duty == duty) return false;
    member->duty = duty;
    settle();
    return update(now);
}

bool Topology::in_doubt() const {
    if (!view_.primary) return true;
    for (const Member& member : members_) {
        if (!counts(member)) continue;
        if (member.unreadable) continue;  // asking a server that refuses the account more often helps nobody
        const ServerView& server = *view_.find(member.id);
        if (server.state == ServerState::suspect || server.state == ServerState::starting) return true;
        // Lag takes two probes to be known.
        const bool is_lag_due = server.role == ServerRole::replica && !server.lag &&
                                is_behind(server.state) && member.facts &&
                                member.facts->sent_at < view_.primary_since + health_.interval;
        if (is_lag_due) return true;
    }
    return false;
}

bool Topology::observe(const Observation& observation, TimePoint now) {
    Member* const member = find(observation.server);
    if (member == nullptr) return false;
    if (member->has_result && observation.sent_at < member->last_sent_at) return false;
    member->has_result = true;
    member->last_sent_at = observation.sent_at;
    member->last_result_at = now;
    member->stale = false;
    member->late = false;

    const bool is_success = observation.outcome == Outcome::ok || observation.outcome == Outcome::alive;
    if (is_success) {
        take_success(*member, observation);
    } else {
        take_failure(*member, observation);
    }
    answer_hint(*member, observation, now);
    settle();
    measure_all(*member);
    return update(now);
}

/// Decides who is the primary, after something has changed.
void Topology::settle() {
    if (is_mysql()) {
        settle_mysql_holder();
        place_all();
    } else {
        settle_identity();
        settle_holder();
    }
}

bool Topology::hint(ServerId server, Hint what, TimePoint now) {
    Member* const member = find(server);
    if (member == nullptr || member->life == Life::unseen || member->life == Life::down) return false;
    if (!member->hinted_at) {
        member->hinted_at = now;
        member->withheld_by_hint = false;
    }
    member->hinted_again_at = now;
    member->hinted = what;
    if (casts_doubt(*member, what, now)) member->withheld_by_hint = true;
    return update(now);
}

bool Topology::late(ServerId server, TimePoint now) {
    Member* const member = find(server);
    if (member == nullptr || !member->has_result) return false;
    member->late = true;
    if (is_mysql()) settle_mysql_holder();
    return update(now);
}

bool Topology::tick(TimePoint now) {
    const Duration stale_after = rounds_until_stale * Duration(health_.interval + health_.timeout);
    for (Member& member : members_) {
        if (member.has_result && now - member.last_result_at > stale_after) member.stale = true;
    }
    return update(now);
}

void Topology::take_success(Member& member, const Observation& observation) {
    member.bad_in_a_row = 0;
    member.good_in_a_row = std::min(member.good_in_a_row + 1, health_.rise);
    member.failure.clear();
    member.must_prove = false;
    member.unreadable = false;
    switch (member.life) {
        case Life::unseen:
        case Life::suspect:
        case Life::up: member.life = Life::up; break;
        case Life::rising:
        case Life::down: member.life = member.good_in_a_row >= health_.rise ? Life::up : Life::rising; break;
    }
    // Without a service account a server shows no role. If it is the only one, there is nobody else to be
    // primary.
    if (observation.outcome == Outcome::alive && members_.size() > 1) return;
    // Another identifier: the server was made anew, and what it showed before is no measure.
    const bool is_another = member.facts && member.facts->system_identifier != observation.system_identifier;
    if (is_another) member.standby_timeline = 0;
    const bool was_replica = member.facts && member.facts->in_recovery;
    member.facts = observation;
    if (is_mysql()) judge_claim(member, was_replica);
    if (!member.facts->in_recovery) {
        member.standby_timeline = 0;
        member.lag.reset();
        member.lag_bytes.reset();
        return;
    }
    member.rival = false;
    member.standby_timeline = std::max(member.standby_timeline, observation.timeline);
    member.facts->timeline = member.standby_timeline;
}

void Topology::take_failure(Member& member, const Observation& observation) {
    member.failure =
        observation.text.empty() ? std::string(to_string(observation.outcome)) : observation.text;
    member.good_in_a_row = 0;
    member.unreadable = observation.outcome == Outcome::auth;
    if (is_sign_of_life(observation.outcome)) {
        // It is there, but says nothing: what it said last stands, unless it has to prove itself. A server
        // whose account does not work is unseen from now on; a full one is as good as it was.
        if (member.unreadable)
            member.bad_in_a_row = std::min(member.bad_in_a_row + 1, health_.fall);
        else
            member.bad_in_a_row = 0;
        if (member.life == Life::suspect || member.life == Life::down) member.life = Life::rising;
        if (member.facts && !member.must_prove && member.life == Life::rising) member.life = Life::up;
        return;
    }
    member.bad_in_a_row = std::min(member.bad_in_a_row + 1, health_.fall);
    if (is_proof_of_loss(observation.outcome)) member.must_prove = true;
    if (member.bad_in_a_row >= health_.fall || member.life == Life::rising) {
        member.life = Life::down;
        member.must_prove = true;
        member.standby_timeline = 0;
        member.lag.reset();
        member.lag_bytes.reset();
    } else if (member.life == Life::up) {
        member.life = Life::suspect;
    }
}

/// Settles hints by a probe that was sent after them. A timeout answers nothing: the doubt stays.
void Topology::answer_hint(Member& member, const Observation& observation, TimePoint now) {
    if (!member.hinted_at) return;
    if (member.must_prove) {  // proved right, and the doubt is now a fact
        member.hinted_at.reset();
        return;
    }
    if (observation.sent_at < *member.hinted_at) return;
    const bool is_full_answer = observation.outcome == Outcome::ok || observation.outcome == Outcome::alive;
    if (!is_full_answer && !is_sign_of_life(observation.outcome)) return;
    if (!is_full_answer && is_about_role(member.hinted)) return;

    const bool was_right = member.facts && member.facts->in_recovery && is_holder(member);
    if (!was_right) {
        if (now - member.last_false_alarm > false_alarms_remembered) member.false_alarms = 0;
        member.false_alarms = std::min(member.false_alarms + 1, false_alarms_believed_max);
        member.last_false_alarm = now;
    }
    if (member.hinted_again_at > observation.sent_at) {
        // Another hint came while the probe was under way: that one is still open.
        member.hinted_at = member.hinted_again_at;
        member.withheld_by_hint = casts_doubt(member, member.hinted, now);
    } else {
        member.hinted_at.reset();
    }
}

/// Whether a hint is reason to withhold the primary until a probe has answered.
bool Topology::casts_doubt(const Member& member, Hint what, TimePoint now) {
    if (what == Hint::not_answering) return false;  // slow is not dead
    const bool is_remembered = now - member.last_false_alarm <= false_alarms_remembered;
    return member.false_alarms < false_alarms_believed_max || !is_remembered;
}

/// Lag is measured when a replica reports, against what the primary was known to have by then. One whose lag
/// is unknown is tried again with every new sample.
void Topology::measure_all(const Member& observed) {
    if (!holder_) return;
    const Member& holder = members_[*holder_];
    const bool is_served = serves_as_primary(holder);
    if (is_served && holder.facts->flushed) {
        samples_.add(holder.facts->flushed, holder.facts->sent_at, holder.facts->received_at);
    }
    for (Member& member : members_) {
        if (!member.facts || !member.facts->in_recovery || !is_ours(member)) continue;
        if (&member != &observed && member.lag) continue;
        // Without a primary nothing new can be missing: the lag can end, but does not grow.
        const bool is_complete = !samples_.empty() && member.facts->position.covers(samples_.newest());
        if (is_served || is_complete) measure(member);
        if (is_served && (&member == &observed || !member.catch_up.is_measured())) follow_catch_up(member);
    }
}

/// Takes in how far the replica is behind, by the finest measure that there is.
void Topology::follow_catch_up(Member& member) const {
    if (member.has_caught_up) return;
    const Observation& facts = *member.facts;
    if (facts.position && !samples_.empty()) {
        const uint64_t newest = samples_.newest().lsn;
        member.catch_up.measured(newest > facts.position.lsn ? newest - facts.position.lsn : 0,
                                 facts.sent_at);
    } else if (member.lag) {
        member.catch_up.measured(static_cast<uint64_t>(std::max<int64_t>(member.lag->count(), 0)),
                                 facts.sent_at);
    }
}

/// Whoever was unfit to serve has to catch up again; whoever is up has.
void Topology::note_fitness(const View& next) {
    for (Member& member : members_) {
        switch (next.find(member.id)->state) {
            case ServerState::up: member.has_caught_up = true; break;
            case ServerState::starting:
            case ServerState::down:
            case ServerState::broken:
            case ServerState::quarantined:
                member.has_caught_up = false;
                member.catch_up = {};
                break;
            case ServerState::suspect:
            case ServerState::catching_up:
            case ServerState::lagging: break;
        }
    }
}

void Topology::measure(Member& member) {
    const Observation& facts = *member.facts;
    if (!facts.position) {
        member.lag = is_mysql() ? lag_by_server(facts) : std::nullopt;
        member.lag_bytes.reset();
        return;
    }
    member.lag = samples_.lag(facts.position, facts.sent_at);
    if (samples_.empty() || is_mysql()) {  // MySQL's positions are ordinals, not bytes
        member.lag_bytes.reset();
    } else {
        const uint64_t newest = samples_.newest().lsn;
        member.lag_bytes = newest > facts.position.lsn ? newest - facts.position.lsn : 0;
    }
}

/// Makes the view that follows from everything known. Returns whether it differs from the last one.
bool Topology::update(TimePoint now) {
    for (Member& member : members_) {
        if (member.life == Life::down || member.duty != Duty::serves) {
            member.was_out = true;
        } else if (member.life == Life::up && std::exchange(member.was_out, false)) {
            member.recovered_at = now;
        }
    }
    View next = describe(now);
    note_fitness(next);
    if (next == view_) return false;
    view_ = std::move(next);
    return true;
}

}  // namespace holdfast::health
