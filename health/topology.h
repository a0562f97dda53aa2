#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.h"
#include "health/catch_up.h"
#include "health/gtid_history.h"
#include "health/lag.h"
#include "health/observation.h"
#include "health/view.h"

namespace holdfast::health {

/// What is believed of a cluster, and why: a pure state machine from observations and hints to a View. It
/// has no clock and no socket; whoever drives it (monitor.h, the simulation, tests) brings the time, which
/// must not run backwards.
///
/// The rules:
/// - A server that says it is out of recovery on a higher timeline than the known primary's is the primary
///   from that moment. Any other writable server is quarantined. Two writable servers on one timeline: the
///   current one stays; if there is none, nobody is chosen.
/// - The first choice waits until every server was tried once, so that an old primary which answers first
///   is not believed.
/// - The primary is withheld (View::primary is empty) as soon as there is proof that it does not serve
///   (refused, shut down, in recovery) or a hint that it may not; a probe sent after that which finds it out
///   of recovery gives it back. One that is merely slow stays primary until `fall` probes failed.
/// - While there is no primary, replicas of the last known timeline stay readable and their lag stands still.
/// - MySQL and MariaDB have no timelines; election_mysql.cc has their rules.
class Topology {
public:
    explicit Topology(const config::Cluster& cluster, TimePoint now = {});
    /// Goes on with a changed configuration, whose servers are in the places of those before
    /// (config/places.h). What is known of the servers that stay is kept. Returns whether the view changed.
    bool reconfigure(const config::Cluster& cluster, TimePoint now);

    /// Takes in what an operator says of a server. Returns whether the view changed.
    bool set_duty(ServerId server, Duty duty, TimePoint now);

    /// Takes in the result of a probe. One that was sent before the last one taken in of the same server is
    /// dropped. Returns whether the view changed (positions and sampling times count).
    bool observe(const Observation& observation, TimePoint now);
    /// Takes in what the data path saw. Returns whether the view changed.
    bool hint(ServerId server, Hint what, TimePoint now);
    /// Takes in that an answer of the server is overdue. That alone changes nothing; a server that was
    /// promoted meanwhile is believed at once. Returns whether the view changed.
    bool late(ServerId server, TimePoint now);
    /// Lets time pass: notices servers that nothing was heard of for too long. Returns whether the view
    /// changed.
    bool tick(TimePoint now);

    const View& view() const { return view_; }
    /// Whether every server has answered, or failed to, at least once.
    bool first_round_done() const;
    /// Whether something is undecided, so that probes should come at the fast interval: no primary, or a
    /// server that is starting, rising or suspect.
    bool in_doubt() const;

private:
    /// Whether a server answers; what it answers is judged apart.
    enum class Life { unseen, rising, up, suspect, down };

    /// What a MySQL or MariaDB server is by its own account.
    enum class Stand {
        replica,  // read-only, or it replicates from a server of this cluster
        claims,   // writable, alone
        shares,   // writable as one of several that pass all changes on to each other
    };

    struct Member {
        ServerId id;
        std::string name;
        config::Endpoint address;
        bool promotable = true;
        Duty duty = Duty::serves;
        bool was_out = false;      // down or off duty since it last served
        TimePoint recovered_at{};  // when that ended
        Life life = Life::unseen;
        bool has_result = false;
        int good_in_a_row = 0;
        int bad_in_a_row = 0;
        TimePoint last_sent_at{};
        TimePoint last_result_at{};
        /// The newest successful observation; empty before the first.
        std::optional<Observation> facts;
        /// The highest that it showed as a standby since it was last down: a standby whose WAL receiver is
        /// gone falls back to what its control file says, which is older.
        uint32_t standby_timeline = 0;
        std::optional<Duration> lag;
        std::optional<uint64_t> lag_bytes;
        bool has_caught_up = false;  // since it was last unfit to serve
        CatchUp catch_up;            // until then
        std::string failure;         // why the last probe failed; empty: it did not
        bool must_prove = false;     // it was seen not to serve, and no success has come since
        bool unreadable = false;     // it lives, but its facts can't be had
        bool rival = false;          // it was writable, without being believed, while the primary served
        bool stale = false;          // nothing was heard of it for too long
        bool late = false;           // its probe under way is overdue
        /// MySQL: since when it claims to be the primary, and whether its claim is an old one: it was the
        /// primary before, or was never seen to replicate.
        std::optional<TimePoint> claims_since;
        bool fenced = false;
        /// The oldest and the newest hint that no later probe has answered yet.
        std::optional<TimePoint> hinted_at;
        TimePoint hinted_again_at{};
        Hint hinted = Hint::connection_lost;
        bool withheld_by_hint = false;
        /// Hints that a probe disproved lately.
        int false_alarms = 0;
        TimePoint last_false_alarm{};
    };

    void place_members(const config::Cluster& cluster);
    Member* find(ServerId id);
    size_t index_of(const Member& member) const { return static_cast<size_t>(&member - members_.data()); }
    ServerId id_of(size_t index) const { return members_[index].id; }
    void settle();
    bool is_holder(const Member& member) const { return holder_ && index_of(member) == *holder_; }

    void take_success(Member& member, const Observation& observation);
    void take_failure(Member& member, const Observation& observation);
    void answer_hint(Member& member, const Observation& observation, TimePoint now);
    static bool casts_doubt(const Member& member, Hint what, TimePoint now);
    bool update(TimePoint now);

    // Who is the primary: election.cc.
    bool is_ours(const Member& member) const;
    bool says_writable(const Member& member) const;
    bool is_on_old_timeline(const Member& member) const;
    bool serves_as_primary(const Member& member) const;
    void settle_identity();
    void settle_holder();
    void choose_first_holder();
    void challenge_holder();
    void accept(Member& member);
    size_t count_writable() const;
    static bool counts(const Member& member) { return member.duty != Duty::maintenance; }

    // The same for MySQL: election_mysql.cc.
    bool is_mysql() const { return protocol_ == config::Protocol::mysql; }
    std::optional<size_t> resolve(const ReplicationSource& source, size_t asked) const;
    std::optional<size_t> source_of(size_t index) const;
    bool is_in_ring(size_t index) const;
    Stand stand_of(size_t index) const;
    void judge_claim(Member& member, bool was_replica);
    void assign_roles();
    bool is_candidate(const Member& member) const;
    bool is_surely_out_of_office(const Member& holder) const;
    bool is_left_behind(size_t index) const;
    bool is_borne_out(size_t index) const;
    void settle_mysql_holder();
    void choose_first_mysql_holder();
    void challenge_mysql_holder();
    void accept_mysql(Member& member);
    void place_all();

    // What the view says of it: describe.cc, describe_mysql.cc.
    View describe(TimePoint now) const;
    ServerView describe_server(const Member& member) const;
    void describe_writable(const Member& member, ServerView& out) const;
    void describe_replica(const Member& member, ServerView& out) const;
    ServerRole role_of(const Member& member) const;
    std::string doubt_of(const Member& member) const;
    std::string source_text(const Member& member) const;
    std::optional<ServerId> choose_candidate(const View& next) const;
    std::string describe_claim(const Member& member) const;
    std::string mysql_trouble(const Member& member) const;
    std::string source_trouble(const Member& member) const;
    std::string mysql_note(const Member& member) const;

    // Lag: topology.cc.
    void measure(Member& member);
    void measure_all(const Member& observed);
    void follow_catch_up(Member& member) const;
    void note_fitness(const View& next);

    config::Protocol protocol_;
    config::Health health_;
    Duration max_lag_time_;
    uint64_t max_lag_bytes_;
    std::vector<config::Server> places_;  // by ServerId; the removed ones too
    std::vector<Member> members_;         // those that are configured
    bool is_first_round_over_ = false;    // before the last reconfiguration
    /// The last server believed to be the primary, whether it serves now or not, and its timeline.
    std::optional<size_t> holder_;
    uint32_t timeline_ = 0;
    uint64_t system_identifier_ = 0;
    LagSamples samples_;
    GtidHistory history_;
    View view_;
};

}  // namespace holdfast::health
