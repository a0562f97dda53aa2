#include <algorithm>

#include "health/topology.h"

/// Who is the primary among MySQL and MariaDB servers, which have no timelines to tell old from new.
///
/// - A server that is writable and does not replicate from another one of the cluster claims to be the
///   primary. The current primary keeps its office while it serves.
/// - A server that was seen to replicate and then claims takes over as soon as the primary is in doubt. Where
///   the primary proved itself after that claim, both are writable by mistake: then only when it is down, or
///   says itself that it is not writable.
/// - Any other claim is an old one: a former primary back from the dead, or a server never seen to replicate.
///   It is fenced until it is read-only or replicates, or until others bear it out: a server that was
///   restarted and promoted between two looks was never seen to replicate either.
/// - Servers that pass all changes on to each other (replication in a ring, Galera, a group with several
///   primaries) may all be writable: one is the writer, by the configuration's order, until it is surely out
///   of office; the others are replicas to us.
namespace holdfast::health {

/// Which server of this cluster a source is. Its ids are surest, for addresses have many spellings.
std::optional<size_t> Topology::resolve(const ReplicationSource& source, size_t asked) const {
    const auto find_where = [&](auto is_it) -> std::optional<size_t> {
        std::optional<size_t> found;
        for (size_t i = 0; i < members_.size(); ++i) {
            if (i == asked || !is_it(members_[i])) continue;
            if (found) return std::nullopt;  // ids that are given twice name nobody
            found = i;
        }
        return found;
    };
    if (const auto found = find_where([&](const Member& m) {
            return !source.server_uuid.empty() && m.facts && m.facts->mysql &&
                   m.facts->mysql->server_uuid == source.server_uuid;
        })) {
        return found;
    }
    if (const auto found = find_where([&](const Member& m) {
            return m.address.host == source.host && m.address.port == source.port;
        })) {
        return found;
    }
    return find_where([&](const Member& m) {
        return source.server_id != 0 && m.facts && m.facts->mysql &&
               m.facts->mysql->server_id == source.server_id;
    });
}

/// The server of this cluster that one replicates from, if any.
std::optional<size_t> Topology::source_of(size_t index) const {
    const Member& member = members_[index];
    if (!member.facts || !member.facts->mysql) return std::nullopt;
    for (const ReplicationSource& source : member.facts->mysql->sources) {
        if (!source.is_active()) continue;
        if (const auto found = resolve(source, index)) return found;
    }
    return std::nullopt;
}

/// Whether a server's sources lead back to itself.
bool Topology::is_in_ring(size_t index) const {
    std::optional<size_t> at = source_of(index);
    for (size_t steps = 0; at && steps < members_.size(); ++steps) {
        if (*at == index) return true;
        at = source_of(*at);
    }
    return false;
}

Topology::Stand Topology::stand_of(size_t index) const {
    const Member& member = members_[index];
    if (!member.facts || !member.facts->mysql) return Stand::claims;  // a lone server without an account
    const MysqlState& state = *member.facts->mysql;
    if (state.read_only) return Stand::replica;
    if (state.galera) {
        constexpr int donor = 2;
        constexpr int synced = 4;
        // A donor goes on taking writes if it did; it is slowed down, so it is not begun with.
        const bool is_synced =
            state.galera->local_state == synced || (state.galera->local_state == donor && is_holder(member));
        const bool serves = state.galera->in_primary_component && state.galera->ready && is_synced;
        return serves ? Stand::shares : Stand::replica;
    }
    if (state.group) {
        const bool serves = !state.group->hidden.empty() ||
                            (state.group->member_state == "ONLINE" && state.group->has_quorum);
        if (!serves || !state.group->is_primary) return Stand::replica;
        return state.group->single_primary ? Stand::claims : Stand::shares;
    }
    if (!source_of(index)) return Stand::claims;
    return is_in_ring(index) ? Stand::shares : Stand::replica;
}

/// Takes note of what a new observation says of a member's claim, and gives it its role.
void Topology::judge_claim(Member& member, bool was_replica) {
    const Stand stand = stand_of(index_of(member));
    member.facts->in_recovery = stand == Stand::replica || (stand == Stand::shares && !is_holder(member));
    if (stand != Stand::claims) {
        member.claims_since.reset();
        member.fenced = false;
        member.rival = false;
        return;
    }
    if (member.claims_since) return;
    member.claims_since = member.facts->sent_at;
    member.fenced = holder_ && !is_holder(member) && !was_replica;
}

/// Roles follow from who is the primary, and from what others say of their sources.
void Topology::assign_roles() {
    for (size_t i = 0; i < members_.size(); ++i) {
        if (!members_[i].facts) continue;
        const Stand stand = stand_of(i);
        members_[i].facts->in_recovery = stand == Stand::replica || (stand == Stand::shares && holder_ != i);
    }
}

/// Whether what a member says of itself can be built on.
bool Topology::is_candidate(const Member& member) const {
    return member.facts && member.life == Life::up && member.bad_in_a_row == 0 && !member.must_prove &&
           !member.stale;
}

bool Topology::is_surely_out_of_office(const Member& holder) const {
    if (holder.life == Life::down || holder.must_prove) return true;
    return holder.facts && holder.facts->in_recovery && holder.bad_in_a_row == 0;
}

/// Whether some replica gets its changes from a server that is out of our reach: that one may well be the
/// primary, and this one an old one.
bool Topology::is_left_behind(size_t index) const {
    for (size_t i = 0; i < members_.size(); ++i) {
        if (i == index || !counts(members_[i]) || !is_candidate(members_[i]) || !members_[i].facts->mysql)
            continue;
        for (const ReplicationSource& source : members_[i].facts->mysql->sources) {
            if (source.io != ReplicationThread::running) continue;
            const auto followed = resolve(source, i);
            if (followed && *followed != index && !is_candidate(members_[*followed])) return true;
        }
    }
    return false;
}

/// Whether an old claim is borne out by others: the last primary itself replicates from the claimant, or it
/// is out of office while every other server in reach does, and the claimant has all that it was seen to
/// write.
bool Topology::is_borne_out(size_t index) const {
    const auto follows = [&](const Member& member) {
        const auto& sources = member.facts->mysql->sources;
        return std::any_of(sources.begin(), sources.end(), [&](const ReplicationSource& source) {
            return source.io == ReplicationThread::running && resolve(source, index_of(member)) == index;
        });
    };
    const Member& holder = members_[*holder_];
    const Member& claimant = members_[index];
    if (!is_surely_out_of_office(holder) || !holder.facts || !holder.facts->mysql || !claimant.facts->mysql)
        return false;
    if (is_candidate(holder)) return follows(holder);
    const MysqlState& last = *holder.facts->mysql;
    const MysqlState& now = *claimant.facts->mysql;
    if (!last.has_gtids || !now.has_gtids || !now.written.covers(last.written)) return false;
    size_t followers = 0;
    for (const Member& member : members_) {
        if (&member == &holder || &member == &claimant || !counts(member) || !is_candidate(member)) continue;
        if (!member.facts->mysql || !follows(member)) return false;
        ++followers;
    }
    return followers > 0;
}

void Topology::settle_mysql_holder() {
    assign_roles();
    if (!first_round_done()) return;
    if (holder_) {
        challenge_mysql_holder();
    } else {
        choose_first_mysql_holder();
    }
}

void Topology::choose_first_mysql_holder() {
    Member* claimant = nullptr;
    Member* sharer = nullptr;
    for (size_t i = 0; i < members_.size(); ++i) {
        Member& member = members_[i];
        if (!counts(member) || !is_candidate(member)) continue;
        const Stand stand = stand_of(i);
        if (stand == Stand::claims) {
            if (claimant != nullptr) return;
            claimant = &member;
        } else if (stand == Stand::shares &&
                   (sharer == nullptr || (!sharer->promotable && member.promotable))) {
            sharer = &member;
        }
    }
    if (claimant != nullptr && sharer == nullptr && !is_left_behind(index_of(*claimant))) {
        accept_mysql(*claimant);
    } else if (claimant == nullptr && sharer != nullptr) {
        accept_mysql(*sharer);
    }
}

void Topology::challenge_mysql_holder() {
    const Member& holder = members_[*holder_];
    const bool is_surely_out = is_surely_out_of_office(holder);
    const bool is_in_doubt = !serves_as_primary(holder) || holder.bad_in_a_row > 0 || holder.late;
    Member* claimant = nullptr;
    size_t claimants = 0;
    Member* sharer = nullptr;
    for (size_t i = 0; i < members_.size(); ++i) {
        Member& member = members_[i];
        if (&member == &holder || !counts(member) || !is_candidate(member)) continue;
        const Stand stand = stand_of(i);
        if (stand == Stand::claims && (!member.fenced || is_borne_out(i))) {
            const bool is_disproved = member.claims_since && serves_as_primary(holder) &&
                                      holder.bad_in_a_row == 0 &&
                                      holder.facts->sent_at > *member.claims_since;
            if (is_disproved) member.rival = true;
            if (member.rival ? is_surely_out : is_in_doubt) {
                claimant = &member;
                ++claimants;
            }
        } else if (stand == Stand::shares && is_surely_out && mysql_trouble(member).empty()) {
            if (sharer == nullptr || (!sharer->promotable && member.promotable)) sharer = &member;
        }
    }
    if (claimants == 1) {
        accept_mysql(*claimant);
    } else if (claimants == 0 && sharer != nullptr) {
        accept_mysql(*sharer);
    }
}

void Topology::accept_mysql(Member& member) {
    accept(member);
    member.fenced = false;
    assign_roles();
    // Whoever else claims does so from a history that is over.
    for (Member& other : members_) {
        if (&other == &member || !other.facts) continue;
        if (stand_of(index_of(other)) == Stand::claims) other.fenced = true;
    }
}

/// Gives sets of GTIDs their positions: the primary's new ones the next ordinals, the replicas' what they
/// cover. A replica's set may cover what the primary showed only later.
void Topology::place_all() {
    if (!holder_) return;
    const auto is_placed_by_galera = [](const Member& member) {
        return member.facts->mysql->galera.has_value();
    };
    Member& holder = members_[*holder_];
    if (serves_as_primary(holder) && holder.facts->mysql) {
        const MysqlState& state = *holder.facts->mysql;
        if (!is_placed_by_galera(holder) && state.has_gtids) {
            holder.facts->position = history_.add(state.written);
        }
        holder.facts->flushed = holder.facts->position;
    }
    for (Member& member : members_) {
        if (&member == &holder || !member.facts || !member.facts->mysql || is_placed_by_galera(member))
            continue;
        const MysqlState& state = *member.facts->mysql;
        if (!state.has_gtids) continue;
        member.facts->position = history_.find(state.applied);
        member.facts->received = history_.find(state.received);
    }
}

}  // namespace holdfast::health
