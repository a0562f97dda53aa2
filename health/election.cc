#include <algorithm>
#include <vector>

#include "health/topology.h"

/// Who is the primary. Nothing here remembers more than the header says; it runs after every observation.
namespace holdfast::health {

bool Topology::is_ours(const Member& member) const {
    return !member.facts || member.facts->system_identifier == 0 || system_identifier_ == 0 ||
           member.facts->system_identifier == system_identifier_;
}

/// Whether the newest thing known of a server is that it is out of recovery, and nothing speaks against it.
bool Topology::says_writable(const Member& member) const {
    if (!counts(member) || !member.facts || member.facts->in_recovery) return false;
    if (member.must_prove || member.stale) return false;
    return member.life != Life::unseen && member.life != Life::down && is_ours(member);
}

bool Topology::is_on_old_timeline(const Member& member) const {
    return member.facts && member.facts->timeline != 0 && member.facts->timeline < timeline_;
}

/// Whether writes may go to the member now, given that it is the one believed in.
bool Topology::serves_as_primary(const Member& member) const {
    const bool is_withheld = member.hinted_at && member.withheld_by_hint;
    return says_writable(member) && !is_on_old_timeline(member) && !is_withheld;
}

size_t Topology::count_writable() const {
    return static_cast<size_t>(std::count_if(members_.begin(), members_.end(), [&](const Member& member) {
        return says_writable(member) && member.bad_in_a_row == 0;
    }));
}

/// Settles which cluster this is: at first by majority, then by what it was, unless all servers agree that
/// it is another one now (made anew, or upgraded with pg_upgrade).
void Topology::settle_identity() {
    if (!first_round_done()) return;
    struct Group {
        uint64_t identifier;
        size_t servers;
        bool has_writable;
    };
    std::vector<Group> groups;
    for (const Member& member : members_) {
        if (!counts(member) || !member.facts) continue;
        if (member.facts->system_identifier == 0 || member.must_prove) continue;
        const uint64_t identifier = member.facts->system_identifier;
        auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const Group& g) { return g.identifier == identifier; });
        if (group == groups.end()) group = groups.insert(groups.end(), Group{identifier, 0, false});
        ++group->servers;
        if (!member.facts->in_recovery) group->has_writable = true;
    }
    if (groups.empty()) return;

    if (system_identifier_ != 0) {
        const auto counted = static_cast<size_t>(std::count_if(members_.begin(), members_.end(), counts));
        const bool is_another =
            groups.size() == 1 && groups[0].identifier != system_identifier_ && groups[0].servers == counted;
        if (!is_another) return;
        system_identifier_ = groups[0].identifier;
        holder_.reset();
        timeline_ = 0;
        samples_.clear();
        return;
    }
    const auto is_weaker = [](const Group& a, const Group& b) {
        if (a.servers != b.servers) return a.servers < b.servers;
        return !a.has_writable && b.has_writable;
    };
    const Group& best = *std::max_element(groups.begin(), groups.end(), is_weaker);
    const bool is_undecided = std::any_of(groups.begin(), groups.end(), [&](const Group& other) {
        return &other != &best && !is_weaker(other, best);
    });
    if (!is_undecided) system_identifier_ = best.identifier;
}

void Topology::settle_holder() {
    if (!first_round_done()) return;
    if (!holder_) {
        choose_first_holder();
        return;
    }
    Member& holder = members_[*holder_];
    const bool has_moved_on = says_writable(holder) && holder.facts->timeline > timeline_;
    if (has_moved_on) accept(holder);
    challenge_holder();
}

/// Nobody was primary yet: the only writable server, or the one on the highest timeline. Never one whose
/// timeline some replica has left behind already: then the real primary is out of reach.
void Topology::choose_first_holder() {
    Member* best = nullptr;
    bool is_tie = false;
    uint32_t newest_timeline = 0;
    for (Member& member : members_) {
        if (!counts(member) || !member.facts || !is_ours(member)) continue;
        newest_timeline = std::max(newest_timeline, member.facts->timeline);
        if (!says_writable(member)) continue;
        // Timelines of different clusters say nothing of each other; which one is ours is not settled.
        if (best != nullptr && member.facts->system_identifier != best->facts->system_identifier) return;
        if (best == nullptr || member.facts->timeline > best->facts->timeline) {
            best = &member;
            is_tie = false;
        } else if (member.facts->timeline == best->facts->timeline) {
            is_tie = true;
        }
    }
    if (best == nullptr || is_tie) return;
    const uint32_t timeline = best->facts->timeline;
    if (timeline != 0 && timeline < newest_timeline) return;
    accept(*best);
}

/// Looks for a server that has taken the holder's place.
void Topology::challenge_holder() {
    const Member& holder = members_[*holder_];
    Member* promoted = nullptr;
    Member* equal = nullptr;
    size_t equals = 0;
    for (Member& member : members_) {
        if (&member == &holder || !says_writable(member) || member.bad_in_a_row > 0) continue;
        const uint32_t timeline = member.facts->timeline;
        if (timeline > timeline_) {
            if (promoted == nullptr || timeline > promoted->facts->timeline) promoted = &member;
        } else if (timeline == timeline_) {
            if (serves_as_primary(holder)) member.rival = true;
            if (!member.rival) {
                equal = &member;
                ++equals;
            }
        }
    }
    if (promoted != nullptr) {
        accept(*promoted);
        return;
    }
    // Writable on the same timeline: no promotion has taken place, but a standby restarted as a primary. It
    // is believed only when it is alone and the holder is certainly out of office.
    const bool is_demoted = holder.facts && holder.facts->in_recovery && holder.bad_in_a_row == 0;
    const bool is_vacant = holder.life == Life::down || is_demoted;
    if (is_vacant && equals == 1) accept(*equal);
}

void Topology::accept(Member& member) {
    holder_ = index_of(member);
    timeline_ = member.facts->timeline;
    if (system_identifier_ == 0) system_identifier_ = member.facts->system_identifier;
    member.rival = false;
    // Positions beyond the switch point belong to a history that is gone, and so do hints about the old role.
    samples_.clear();
    for (Member& other : members_) {
        other.lag.reset();
        other.lag_bytes.reset();
    }
}

}  // namespace holdfast::health
