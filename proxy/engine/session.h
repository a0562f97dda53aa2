#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/ip_address.h"
#include "protocol/dialect/dialect.h"
#include "proxy/engine/cluster.h"
#include "proxy/engine/server_connection.h"
#include "proxy/engine/source_limits.h"
#include "proxy/engine/timeouts.h"
#include "proxy/engine/world.h"

namespace holdfast::engine {

class Engine;

/// Where a client came in: a listener of a cluster, and what it demands.
struct Entrance {
    Cluster& cluster;
    config::Listener settings;
};
/// Sessions hold on to theirs: a reload gives the listener another one.
using EntranceRef = std::shared_ptr<const Entrance>;

/// Who is at the other end of a client connection.
struct Peer {
    std::string text;         // for the log
    bool is_local = false;    // a Unix socket
    bool is_allowed = true;   // by the listener's `allow`
    std::string address;      // its IP address alone; empty: a Unix socket
    IpAddress source{};       // the same with its port
    IpAddress destination{};  // where it connected to
};

/// What a session is doing, for operators. The views live as long as the session.
struct SessionInfo {
    SessionId id;
    std::string_view user;  // empty: not logged in yet
    std::string_view database;
    std::string_view application_name;
    std::string_view peer;
    ClientState state = ClientState::login;
    std::string_view waits_for;      // of a held one; empty: nothing
    std::optional<ServerId> server;  // where its requests in flight, or its transaction, are
    std::optional<ServerId> reads_from;
    std::string pinned_by;  // session state that can't move; empty: none
    Duration lived{};
    std::optional<Duration> running;  // the requests in flight
    std::optional<Duration> held;
    uint64_t statements = 0;
    uint64_t bytes_in = 0;
    uint64_t bytes_out = 0;
    config::ListenerRole listener = config::ListenerRole::automatic;
};

/// One client, from accept to its end. Owned by the engine's table and buried at the end of the loop's turn.
///
/// Its phases:   login -> opening -> ready <-> held -> closing
/// In `ready` the conversation says whether requests are in flight. Requests in flight are all on one slot
/// (`active_`): one for the primary and one for a replica can wait for their turn. Waiting costs no memory:
/// the client is not read, and what was read of its next request stays in the link.
class Session final : public LinkOwner, public ServerConnectionUser {
public:
    Session(Engine& engine, SessionId id, EntranceRef entrance, Peer peer);
    ~Session() override;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// The link of the accepted connection; its bytes begin to come after this.
    void adopt(std::unique_ptr<Link> link);
    SessionId id() const { return id_; }
    const Cluster& cluster() const { return cluster_; }

    // --- from the client's link
    size_t on_bytes(Bytes bytes) override;
    void on_writable() override;
    void on_secured() override;
    void on_ended(LinkEnd end, std::string_view detail) override;

    // --- from server connections
    void on_server_ready(ServerConnection& connection) override;
    void on_server_failed(ServerConnection& connection, const ConnectFailure& failure) override;
    size_t on_server_bytes(ServerConnection& connection, Bytes bytes) override;
    void on_server_writable(ServerConnection& connection) override;
    void on_server_ended(ServerConnection& connection, std::string_view why) override;

    // --- from the cluster
    void on_view_changed(bool primary_changed);
    /// The time that work on a server that is taken away had to end is over.
    void on_drain_over(ServerId server);
    /// Something that a held session waits for may have come.
    void on_news();
    /// Timeouts may be others now.
    void on_settings_changed();

    // --- from the engine
    SessionInfo info() const;
    ClientState client_state() const { return client_state_; }
    bool is_pinned() const { return conversation_ && conversation_->pins().any(); }
    /// An operator ends it: what runs is cancelled, the client told why.
    void kill(std::string_view why);
    /// Whether requests are in flight or a transaction is open.
    bool is_working() const;
    bool owns_cancel_secret(Bytes secret) const;
    /// Whose it is; empty before the login is complete.
    std::string_view user() const { return identity_ ? std::string_view(identity_->identity.user) : ""; }
    void cancel();
    /// Nothing is in flight or waits: it may be ended in an orderly way.
    bool is_idle() const;
    /// Tells the client that what it is connected to ends, then closes.
    void dismiss();
    void close(CloseReason reason, std::string_view detail = {});
    /// Tells the client why, in its protocol, then closes.
    /// detail  for the log, in place of the message
    void close_with(CloseReason reason, std::string_view code, std::string_view message,
                    std::string_view detail = {});

private:
    enum class Phase : uint8_t { login, opening, ready, held, closing };
    using Slot = dialect::Slot;
    using Transaction = dialect::Transaction;

    // session_login.cc
    void greet();
    dialect::ClientHandshakeOptions handshake_options() const;
    void limit_login();
    void log_in_again(Bytes request);
    void leave_servers();
    size_t login_bytes(Bytes bytes);
    void login_step(dialect::Step step);
    void derive_keys();
    void find_role();
    void authenticated();
    void open_first_server();
    void first_server_ready(ServerConnection& connection);
    void first_server_failed(const ConnectFailure& failure);
    void welcome(std::shared_ptr<const dialect::Parameters> parameters);

    // session_admission.cc
    void look_up_role();
    bool turn_away();
    bool delay_login();
    bool take_place();
    void leave_place();
    void login_failed();

    // session_timeouts.cc
    Activity activity() const;
    void note_activity(ClientState state);
    void watch_timeouts();
    void timeout_due();
    void cancel_overdue();
    void cancel_done(uint32_t number);

    // session_requests.cc
    size_t framed_bytes(Bytes bytes);
    size_t plain_bytes(Bytes bytes);
    size_t request_bytes(Bytes bytes);
    dialect::FailureText take_refusal();
    bool begin_unit(Bytes unit, size_t& used);
    void send_unit(Bytes bytes, Slot slot);
    bool kill_other();
    void flush_requests();
    void be_patient();
    void refuse(Bytes unit, const dialect::FailureText& text, size_t& used);

    // session_routing.cc
    Route choose_route(const dialect::UnitFacts& facts);
    RouteState route_state(const dialect::UnitFacts& facts);
    bool reads_on_primary();
    /// Makes the slot's connection usable for the next unit; false: the session waits (or was told why not).
    bool prepare_slot(Slot slot, const Route& route);
    /// Whether the slot's connection has all that the next unit counts on; false: it is being told.
    bool bring_up_to_date(Slot slot);
    bool open_slot(Slot slot, ServerId server);
    std::unique_ptr<ServerConnection> begin_connection(ServerId server);
    /// Who takes this session's reads: replicas, or (primary_reads = "always") the primary too.
    enum class Readers : uint8_t { replicas, all };
    std::optional<ServerId> pick_reader(Readers readers);
    void read_from(std::optional<ServerId> server);
    void update_required_position();
    void count_statement(ServerId server, const Route& route, const dialect::UnitFacts& facts);

    // session_responses.cc
    void send_client(Bytes first, Bytes second = {});
    void forward(Bytes first, Bytes second = {});
    bool act_on(Slot slot, const dialect::Scan& scan);
    void unit_done(Slot slot);
    bool refused_by_primary();
    void set_client_state();
    void count_pins();
    void count_bytes();
    void send_server(ServerConnection& to, Bytes first, Bytes second = {});

    // session_waiting.cc
    /// A server that can take the statement, or the login at one that can: the latter is not counted.
    enum class HoldFor : uint8_t { server, login };
    void hold(HoldFor what);
    void wait_in_turn();
    void wake();
    void end_hold(HoldOutcome outcome);
    void note_waiting();
    void hold_expired();
    void watch_stall();
    bool finishes_on_old_primary();
    void subscribe();
    dialect::FailureText hold_failure() const;
    void limit_hold();
    bool is_rejecting() const;

    // session_loss.cc
    void lose_slot(Slot slot, std::string_view why);
    void resolve_lost_units(std::string_view why);
    void fail_all_units(std::string_view why);
    void tell_survival(dialect::FailureText& text, std::string_view why);
    void move_units(Slot from, bool to_primary);
    void fail_moving(const dialect::FailureText& text, HoldOutcome outcome);
    void try_move();
    void drop_slot(Slot slot);
    void leave_server(Slot slot);
    bool is_dismissed() const;
    bool connection_is_gone(const ServerConnection& connection, Slot slot) const;
    void pad_client();
    std::string server_name(Slot slot) const;

    Slot slot_for(Target target) const {
        return target == Target::primary ? primary_slot_ : dialect::other(primary_slot_);
    }
    ServerConnection* connection(Slot slot) const { return slots_[dialect::index(slot)].get(); }
    bool slot_of(const ServerConnection& connection, Slot& slot) const;
    bool busy() const { return conversation_ && conversation_->units_in_flight() > 0; }
    TimePoint now() const;
    void defer_death(std::unique_ptr<ServerConnection> connection);

    Engine& engine_;
    EntranceRef entrance_;
    Cluster& cluster_;
    SessionId id_;
    std::unique_ptr<Link> link_;
    std::shared_ptr<dialect::ClientHandshake> handshake_;  // until the login is complete
    std::unique_ptr<dialect::Conversation> conversation_;  // from then on
    /// Of a client whose messages come in frames; else null.
    struct Wrapped {
        std::unique_ptr<dialect::Framing> framing;
        ByteBuffer plain;    // decoded, and not all of it consumed
        size_t decoded = 0;  // bytes of the frames that it came from
        ByteBuffer out;
    };
    std::unique_ptr<Wrapped> wrapped_;
    std::shared_ptr<const dialect::Credential> credential_;
    std::shared_ptr<const dialect::ClientTraits> traits_;
    IdentityRef identity_;
    std::array<std::unique_ptr<ServerConnection>, dialect::slot_count> slots_;
    std::unique_ptr<Timer> timer_;  // login or hold
    std::unique_ptr<Timer> patience_timer_;
    std::unique_ptr<Timer> stall_timer_;  // requests in flight on a primary that does not answer
    std::unique_ptr<Timer> retry_timer_;
    std::unique_ptr<Timer> unread_timer_;  // until state is read from a connection that is left alone
    std::unique_ptr<Timer> finish_timer_;  // the primary was demoted, and its last answer is awaited
    std::unique_ptr<Timer> timeout_timer_;
    /// A login that waits because others of its kind failed, and is counted as waiting.
    struct LoginDelay {
        LoginDelay(SourceLimits& counts, const SourceLimits::Claim& whose) : of(counts), claim(whose) {}
        ~LoginDelay() { of.done_waiting(claim); }
        LoginDelay(const LoginDelay&) = delete;
        LoginDelay& operator=(const LoginDelay&) = delete;
        SourceLimits& of;
        SourceLimits::Claim claim;
        std::unique_ptr<Timer> timer;
    };
    std::unique_ptr<LoginDelay> login_delay_;
    ByteBuffer retained_;                 // of the units in flight, while they can be run again …
    std::vector<size_t> retained_sizes_;  // … and how much of it belongs to each of them
    std::string cancel_secret_;
    std::string lost_state_;  // what the client is yet to be told of: "temporary tables"; empty: nothing
    std::string peer_;
    std::string address_;
    IpAddress source_;
    IpAddress destination_;
    TimePoint accepted_at_;
    /// Of the oldest unit in flight: when it was sent, or the one before it was answered.
    TimePoint unit_began_at_{};
    TimePoint waiting_since_{};         // the next unit is there and was not sent; zero: there is none
    Duration waited_{};                 // of the oldest unit in flight
    TimePoint query_began_at_{};        // of the oldest unit in flight; then, when it was last cancelled
    TimePoint patient_until_{};         // what is in flight was cancelled a moment ago
    TimePoint quiet_since_{};           // nothing is in flight
    TimePoint transaction_began_at_{};  // zero: none is open
    TimePoint timeout_armed_until_{};   // while there is a timeout_timer_
    TimePoint held_since_{};
    TimePoint last_write_at_{};  // zero: none, or `required_` is known to hold it
    TimePoint reader_chosen_at_{};
    TimePoint replica_unusable_until_{};  // it could not be brought to this session's state …
    unsigned replica_failures_ = 0;       // … so many times in a row
    Position required_;
    uint64_t bytes_from_client_ = 0;
    uint64_t bytes_to_client_ = 0;
    uint64_t counted_from_client_ = 0;  // in the metrics
    uint64_t counted_to_client_ = 0;
    uint64_t statements_ = 0;
    uint32_t cancel_number_ = 0;
    Slot primary_slot_ = Slot::a;
    Slot active_ = Slot::a;  // where the units in flight are
    Phase phase_ = Phase::login;
    ClientState client_state_ = ClientState::login;
    bool is_local_ = false;
    bool is_allowed_ = true;
    bool has_place_ = false;   // counted for its user and database
    bool cancelling_ = false;  // what ran too long is being cancelled: nothing may run into that
    bool insist_ = false;      // a batch that came in part is taken as it is
    bool patient_ = false;
    bool retained_whole_ = false;  // `retained_` holds all of the units in flight
    bool moving_ = false;          // units in flight wait to be run again on another server
    bool move_to_primary_ = false;
    /// The primary that refused to write, and when: it is not asked again before somebody has looked.
    std::optional<ServerId> refused_by_;
    TimePoint refused_at_{};
    bool wrote_ = false;               // the unit or transaction under way may have written
    bool expired_ = false;             // the unit that waits is to be refused: waited too long …
    bool cancelled_ = false;           // … or cancelled by its user
    bool crowded_ = false;             // too many requests in flight: the client is not read
    bool credential_pending_ = false;  // the first server waits for it
    bool hold_counted_ = false;        // this hold is in the metrics
    bool pool_was_full_ = false;       // when a connection was wanted last
    bool pool_wait_counted_ = false;   // this hold is in the metrics as one for the pool
    PinSet counted_pins_ = 0;
    bool learn_ = false;              // the units being moved were refused by a replica: remember them
    std::optional<ServerId> reader_;  // takes the session's reads, and is counted as doing so
    std::unique_ptr<ConnectFailure> failure_;  // of the last attempt while waiting
    // What one call collects to send with one write.
    size_t pending_begin_ = 0;
    size_t pending_end_ = 0;
    const std::byte* pending_base_ = nullptr;
};

}  // namespace holdfast::engine
