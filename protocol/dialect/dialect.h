#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/base/secret.h"
#include "protocol/sql/classify.h"

/// The interface between the session engine and a wire protocol. Everything here is bytes and facts: no
/// sockets, no clock. The engine (proxy/engine) decides; a dialect (protocol/postgres) reads and writes.
namespace holdfast::dialect {

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// Who a client is and what it asked for at login. Server connections with equal identities are
/// interchangeable once they are reset.
struct Identity {
    std::string user;
    std::string database;
    Parameters parameters;  // go to servers as they came
    std::string application_name;
    bool replication = false;
    bool operator==(const Identity&) const = default;
};

/// What proves an identity to servers; only the dialect that made it can read it.
class Credential {
public:
    virtual ~Credential() = default;
};

/// One account of a name, where a server has several (MySQL: 'name'@'host pattern').
struct StoredAccount {
    std::string host;    // pattern: "%", "10.0.%", "192.168.0.0/255.255.0.0", "localhost", …
    std::string plugin;  // mysql_native_password, caching_sha2_password, ed25519, …
    Secret stored;       // authentication_string
    bool is_locked = false;
    bool is_expired = false;
    bool needs_tls = false;
};

/// What is stored of a role: how its clients must prove themselves.
struct StoredRole {
    Secret password;  // plain text, from the configuration
    Secret stored;    // as the servers store it (PostgreSQL: a SCRAM verifier or an MD5 hash)
    std::vector<StoredAccount> accounts;  // MySQL: what the servers' own tables hold of this name
    std::optional<int64_t> valid_until;   // seconds since 1970
    bool can_login = true;
};

enum class Step {
    need_bytes,
    start_tls,      // send `out`, then begin TLS; on_secured() follows
    start_tls_now,  // the client began TLS by itself: all unconsumed bytes belong to the handshake
    need_secret,    // look up user(); on_secret() follows
    derive_keys,    // run derive() off the loop; on_derived() follows
    cancel,         // the connection only carries a cancel request
    done,
    failed,  // send `out`, close
};
struct Progress {
    size_t consumed;
    Step step;
};

/// What only the dialect knows of how a client wants to be spoken to.
class ClientTraits {
public:
    virtual ~ClientTraits() = default;
};

/// The proxy's side of a client's login. Dies when the session is ready.
class ClientHandshake {
public:
    virtual ~ClientHandshake() = default;
    /// Called once, before any bytes: what a protocol in which the server speaks first has to say.
    virtual Step start(ByteBuffer& /*out*/) { return Step::need_bytes; }
    virtual Progress on_bytes(Bytes in, ByteBuffer& out) = 0;
    virtual Step on_secured(std::string_view alpn, Bytes end_point, std::string_view client_common_name,
                            ByteBuffer& out) = 0;
    virtual Step on_secret(std::optional<StoredRole> role, ByteBuffer& out) = 0;
    virtual Step on_secret_unavailable(std::string_view why, ByteBuffer& out) = 0;

    virtual const std::string& user() const = 0;
    virtual Identity identity() const = 0;
    virtual std::shared_ptr<const Credential> take_credential() = 0;
    virtual std::shared_ptr<const ClientTraits> traits() const { return nullptr; }
    /// After Step::derive_keys. CPU-heavy: called on another thread, while nothing else touches this object.
    virtual void derive() {}
    virtual Step on_derived(ByteBuffer& /*out*/) { return Step::failed; }
    virtual Bytes cancel_key() const = 0;
    virtual const std::string& error() const = 0;
    virtual bool is_password_failure() const = 0;
    /// How many bytes of secret the client's cancel key has (protocol versions differ).
    virtual size_t cancel_secret_bytes() const = 0;
    /// Tells the client why the login ends here.
    virtual void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const = 0;
    /// The same in a server's own words: ServerRefusal::wire.
    virtual void append_refusal(Bytes wire, ByteBuffer& out) const { append(out, wire); }
    /// The end of a successful login: everything up to and including "ready".
    virtual void welcome(const Parameters& parameters, uint32_t process_id, Bytes cancel_secret,
                         ByteBuffer& out) const = 0;
};

/// Why a server did not let a session in.
struct ServerRefusal {
    enum class Kind {
        not_now,     // starting up, shutting down, recovering: try again
        too_many,    // out of connection slots: try again
        identity,    // this user, database or parameter: it would be refused again
        credential,  // it asks for a proof that the proxy doesn't have
        broken,      // TLS or protocol trouble
    } kind = Kind::broken;
    std::string code;  // SQLSTATE; empty: the server did not say
    std::string message;
    ByteBuffer wire;  // the server's own error message, for append_refusal(); empty: none
};

/// The proxy's login at a server.
class ServerHandshake {
public:
    virtual ~ServerHandshake() = default;
    virtual Step start(ByteBuffer& out) = 0;
    virtual Progress on_bytes(Bytes in, ByteBuffer& out) = 0;
    virtual Step on_secured(Bytes end_point, ByteBuffer& out) = 0;
    /// CPU-heavy: called on another thread, while nothing else touches this object.
    virtual void derive() = 0;
    virtual Step on_derived(ByteBuffer& out) = 0;
    virtual const Parameters& parameters() const = 0;
    virtual Bytes cancel_key() const = 0;
    virtual ServerRefusal refusal() const = 0;
    /// What the server says of itself at login: true/false, or nullopt when it doesn't tell.
    virtual std::optional<bool> says_replica() const = 0;
};

/// One of the (up to) two server connections that a session has at a time.
enum class Slot : uint8_t { a = 0, b = 1 };
inline constexpr size_t slot_count = 2;
inline Slot other(Slot slot) {
    return slot == Slot::a ? Slot::b : Slot::a;
}
inline size_t index(Slot slot) {
    return static_cast<size_t>(slot);
}

enum class Transaction : uint8_t { idle, active, failed };

/// What routing needs to know of a unit: the requests that are answered together and live on one server
/// (PostgreSQL: a simple query, a function call, or an extended batch up to its Sync).
struct UnitFacts {
    sql::Destination destination = sql::Destination::primary;
    sql::Reason reason = sql::Reason::unparsed;
    /// Nothing in it can have changed data, and all of it can be sent again elsewhere as long as no row of
    /// its answer has reached the client.
    bool rerunnable = false;
    bool may_write = true;
    bool commits = false;  // it commits, or may: when it is lost, nobody knows whether that came true
    bool too_long = false;
    /// It wants the connection of the statement before it (FOUND_ROWS(), SHOW WARNINGS).
    bool same_connection = false;
    bool is_answered = true;  // false: a piece of a parameter, say, that nobody waits for
    std::string_view text;  // for rules, learning: of the statement that decided; lives as long as the input

    /// What holds of a unit before anything in it was looked at: each request can only demand more.
    static UnitFacts of_nothing() {
        UnitFacts facts;
        facts.destination = sql::Destination::transaction;
        facts.reason = sql::Reason::empty;
        facts.rerunnable = true;
        facts.may_write = false;
        return facts;
    }
};

enum class CutKind : uint8_t {
    more,       // nothing to do before more bytes came
    patience,   // a unit is there in part; when nothing more comes for a moment, cut again with `insist`
    begin,      // a new unit: facts() tells; accept() after routing, or leave it and cut again later
    go_on,      // more of the open unit: accept()
    stream,     // the body of a long message, or copy data: forward as it is (no accept)
    drop,       // to be ignored
    answer,     // answered by the dialect itself: `out` goes to the client
    wait,       // what is in flight must be answered first: cut again then
    kill,       // it asks to end another session or what that one runs: kill_request(), then answer_kill()
    log_in,     // it logs in anew on this connection; nothing is in flight and no transaction open
    terminate,  // the client says goodbye
    malformed,  // error() says why; the connection can't go on
};
struct Cut {
    CutKind kind = CutKind::more;
    size_t size = 0;         // bytes from the front of the input
    bool escalates = false;  // go_on: it needs the primary, and the unit was sent to a replica
};

/// A client's wish to end what another session of the cluster runs, or that session (MySQL's KILL).
struct KillRequest {
    uint64_t process_id = 0;  // as its client was told
    bool whole_session = false;
};
enum class KillOutcome : uint8_t { done, no_such_session, not_allowed };

/// What scanning a server's bytes came upon. The engine forwards `forward` bytes, drops the rest of
/// `consumed`, acts, and scans on behind them.
enum class ScanEvent : uint8_t {
    none,         // all that can be consumed is
    unit_done,    // the open unit's answer is complete (its end is in `forward`)
    sync_done,    // the answer to synchronisation: complete
    sync_failed,  // … with an error: detail() says which; the connection is in an unknown state
    refused,   // a "read-only" refusal (not forwarded) of a unit that was not carried out: by a replica, or
               // by a primary that is none any more
    conflict,  // a recovery conflict (not forwarded) of a unit that can be run again elsewhere
    dying,     // the server announces its end (not forwarded)
    role_changed,  // the server reports another role: says_replica()
    lying,         // what it sends makes no sense: detail(); the connection can't go on
};
struct Scan {
    ScanEvent event = ScanEvent::none;
    size_t forward = 0;
    size_t consumed = 0;
    size_t wanted = 0;  // with none: a hint how many bytes the incomplete message has
    Bytes instead;      // not empty: what goes to the client behind `forward`; lives until the next call
};

/// Why a unit failed in the proxy, and how the client shall see it.
enum class Failure : uint8_t {
    transaction_lost,  // 40001: the transaction is gone
    outcome_unknown,   // 08007
    result_broken_off,
    state_lost,      // session state that can't be replayed is gone
    no_primary,      // waited for `failover.wait`
    no_server,       // no server for reads
    server_refused,  // logging in at the server failed
    sync_failed,     // session state could not be brought to the server
    cancelled,       // by the user, while waiting
};
struct FailureText {
    Failure failure;
    std::string message;
    std::string detail;
    std::string hint;
    std::string code;  // SQLSTATE to use instead of the failure's own; empty: its own
};

/// State that can't be moved to another server.
struct Pins {
    bool temporary = false;
    bool settings = false;  // changed in a way that could not be recorded
    uint32_t advisory_locks = 0;
    uint32_t held_cursors = 0;
    bool replication = false;
    bool variables = false;    // of the user, whose values are not known
    bool routines = false;     // a procedure ran, and what it has left behind is not known
    bool table_locks = false;  // LOCK TABLES and its like
    uint32_t handlers = 0;     // HANDLER … OPEN
    uint32_t long_data = 0;    // parameters sent in pieces for statements that have not run yet
    bool any() const {
        return reads() || advisory_locks > 0 || held_cursors > 0 || handlers > 0 || long_data > 0;
    }
    /// Reads must see it too (temporary tables, settings).
    bool reads() const {
        return temporary || settings || replication || variables || routines || table_locks;
    }
    std::string describe() const;  // "temporary tables, advisory locks"
};

/// One session's protocol state: its requests in flight, its prepared statements and settings, its
/// transaction as the client knows it. Driven by the engine's session, which owns it. Sends nothing itself.
class Conversation {
public:
    virtual ~Conversation() = default;

    // --- the client's bytes -------------------------------------------------------------------------
    /// Looks at the front of the client's bytes. Changes nothing that a second look would see differently
    /// (except for drop, answer and stream, whose bytes are consumed). `insist`: take what is there.
    virtual Cut cut(Bytes in, bool insist, ByteBuffer& out) = 0;
    virtual const UnitFacts& facts() const = 0;
    /// Takes the cut of kind begin or go_on that cut() just returned as sent to `slot`. What must be sent
    /// before it there (a prepared statement that the connection lacks) is appended to `prefix`. False:
    /// `prefix` holds the unit itself too, rewritten for this connection, and `in` is not to be sent.
    virtual bool accept(Bytes in, Slot slot, ByteBuffer& prefix) = 0;
    /// The body of a long request that nobody answers is under way: CutKind::stream is to be sent all the
    /// same.
    virtual bool streams_unanswered() const { return false; }
    virtual const KillRequest& kill_request() const {
        static const KillRequest none;
        return none;
    }
    virtual void answer_kill(KillOutcome /*outcome*/, ByteBuffer& /*out*/) {}
    virtual bool unit_open() const = 0;            // a unit was begun and its last request has not been seen
    virtual size_t units_in_flight() const = 0;    // begun and not fully answered
    virtual const std::string& error() const = 0;  // after malformed
    /// Bytes for the client when a connection is ended from here (a FATAL); none where its server would be
    /// silent.
    virtual void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) = 0;

    // --- a server's bytes -----------------------------------------------------------------------------
    virtual Scan scan(Slot slot, Bytes in) = 0;
    virtual std::string detail() const = 0;
    /// After slot_lost(): bytes that complete the message that was being streamed to the client. They are
    /// meaningless (zeros will do); the error that fail_unit() appends behind them says so.
    virtual size_t padding() const = 0;
    /// Of the oldest unit in flight: something of its answer that can't be taken back went to the client.
    virtual bool rows_delivered() const = 0;
    /// The client's stream is inside a message (a long one, streamed): nothing else may be sent to it now.
    virtual bool inside_message() const = 0;
    virtual std::optional<bool> says_replica(Slot slot) const = 0;
    /// Of the unit just done: the server has told that it wrote, whatever it looked like.
    virtual bool reported_write() const { return false; }
    virtual std::string_view last_error_code() const = 0;  // SQLSTATE of the unit just done; empty: no error

    /// Every unit in flight can be sent again elsewhere: reads, and nothing of their rows delivered.
    virtual bool rerunnable() const = 0;
    /// The bytes of the units in flight are worth keeping: they can be run again, or a refusal would prove
    /// that they were not carried out.
    virtual bool retainable() const { return rerunnable(); }
    /// Of the oldest unit in flight: it can have committed something. None in flight: the transaction can
    /// have been committed by a statement that ended with an error.
    virtual bool may_have_committed() const = 0;

    /// The transaction under way is prepared for an end in two phases: it outlives its connection and its
    /// server's end.
    virtual bool transaction_survives() const { return false; }

    virtual size_t requests_in_flight() const = 0;
    /// Of the units in flight: some can only run on the primary.
    virtual bool needs_primary() const = 0;
    /// The engine has no copy of the units in flight: none of them can be run again.
    virtual void forbid_rerun() = 0;
    /// On a listener that promises a replica, refusals are the client's to see: no correction there.
    virtual void set_corrects(bool corrects) = 0;
    /// On such a listener nothing may write, whatever the account may do on a replica.
    virtual void set_only_reads(bool /*only_reads*/) {}

    // --- losing and moving ----------------------------------------------------------------------------
    /// The connection of a slot is new (logged in, nothing of this session on it) …
    virtual void slot_opened(Slot slot, bool is_replica) = 0;
    /// … this is what its server said at login …
    virtual void slot_parameters(Slot /*slot*/, const Parameters& /*parameters*/) {}
    /// … or its server was promoted under it …
    virtual void slot_promoted(Slot slot) = 0;
    /// … or gone: units in flight there stay in flight until fail_unit() or rerun_unit().
    virtual void slot_lost(Slot slot) = 0;
    /// Answers the oldest unit in flight with an error. When its last request has not come yet, what comes
    /// until then is skipped and the answer completed after it.
    virtual void fail_unit(const FailureText& text, ByteBuffer& out) = 0;
    /// Answers the unit that cut() just returned with an error: returns its bytes, to be consumed.
    virtual size_t refuse_unit(Bytes in, const FailureText& text, ByteBuffer& out) = 0;
    /// All units in flight will be sent again to `slot`: `requests` are their bytes. What the client already
    /// has of the answer is swallowed when it comes again.
    /// False: `prefix` holds the requests too, rewritten, and `requests` are not to be sent.
    virtual bool rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) = 0;
    /// What is still to come on `slot` of the units that are being moved away is swallowed; false: that can't
    /// be told apart, close the connection instead.
    virtual bool abandon_answer(Slot slot) = 0;
    /// The transaction under way is lost with its server. The client is told at its next request, and stays
    /// in a failed transaction until it ends it; the dialect answers by itself meanwhile.
    virtual void lose_transaction(const FailureText& text) = 0;
    /// The only unit in flight is a ROLLBACK whose server was lost: it has come true. Answers it; false: it
    /// is something else.
    virtual bool answer_rollback(ByteBuffer& out) = 0;

    // --- session state ---------------------------------------------------------------------------------
    virtual Transaction transaction() const = 0;
    virtual const Pins& pins() const = 0;
    virtual void clear_pins() = 0;
    /// Things a server connection does for the client while it sleeps (LISTEN).
    virtual bool has_subscriptions() const = 0;
    /// A connection to the primary holds state that is yet to be read from it, by synchronise().
    virtual bool has_unread_state() const { return false; }
    /// What brings `slot` to this session's state; false: it is there already.
    virtual bool synchronise(Slot slot, ByteBuffer& out) = 0;
    /// The same for a slot to which the units in flight are about to be moved (rerun_unit() comes next).
    virtual bool synchronise_for_rerun(Slot slot, ByteBuffer& out) = 0;
    /// The last synchronisation failed: forgets what made it fail (unless that would raise privileges).
    virtual void forget_unsynchronisable() = 0;
    virtual bool synchronising(Slot slot) const = 0;
    /// Makes the connection of a slot fit for another session with the same identity; false: it can't be,
    /// close it.
    virtual bool append_reset(Slot slot, ByteBuffer& out) = 0;
    /// The client asked for read-only by itself: a replica's refusal is then the right answer.
    virtual bool wants_read_only() const = 0;
};

/// Follows the answer to append_reset() on a connection that belongs to no session.
class ResetTracker {
public:
    virtual ~ResetTracker() = default;
    enum class State { waiting, clean, spoilt };
    /// Consumes what it can; `consumed` is set.
    virtual State on_bytes(Bytes in, size_t& consumed) = 0;
};

/// Shared by the sessions of one cluster and database.
struct ClassifierSources {
    const sql::FunctionCatalog* functions = nullptr;
    uint64_t functions_version = 0;
};

struct ClientHandshakeOptions {
    uint32_t process_id = 0;     // what the client will know its session by
    std::string client_address;  // for account host patterns: an IP address, empty for a Unix socket
    std::string server_version;  // the text that the primary calls itself by
    std::vector<std::string> server_versions;  // … and every server that is known, for what all can do
    std::string auth_plugin;                   // the plugin to offer; empty: the dialect's choice
    bool tls_offered = true;
    bool tls_required = false;
    int auth = 0;  // config::ClientAuth as a number: the dialects share its order
    bool is_local = false;
};
struct ServerHandshakeOptions {
    std::shared_ptr<const Credential> credential;
    int tls = 0;  // 0 never, 1 if offered, 2 required
    bool tls_direct = false;
};

/// A layer between a client's connection and its messages (compression).
class Framing {
public:
    virtual ~Framing() = default;
    /// Appends what is in the frames at the front of `in`, up to a bound: while something is consumed there
    /// may be more. Returns how many bytes were consumed; 0: more bytes please.
    virtual Result<size_t> decode(Bytes in, ByteBuffer& plain) = 0;
    virtual void encode(Bytes plain, ByteBuffer& out) = 0;
};

/// Read while the conversation is made, but for `sources`, which outlives it.
struct ConversationOptions {
    const Identity& identity;
    const ClassifierSources& sources;  // read at every classification
    const Parameters& welcome;         // what the client was told
    std::shared_ptr<const ClientTraits> traits;
    uint32_t process_id = 0;
};

/// One wire protocol: makes the objects above.
class Dialect {
public:
    virtual ~Dialect() = default;
    virtual sql::Dialect sql_dialect() const = 0;
    /// Clients wait for the server's greeting, which names its version: none can be welcomed before one is
    /// known.
    virtual bool greets_first() const { return false; }
    virtual std::unique_ptr<ClientHandshake> client_handshake(const ClientHandshakeOptions& options) = 0;
    /// A login on a connection that has logged in before (CutKind::log_in): `request` is what cut() saw.
    virtual std::unique_ptr<ClientHandshake> client_handshake_again(const ClientHandshakeOptions& /*options*/,
                                                                    const ClientTraits& /*traits*/,
                                                                    Bytes /*request*/) {
        return nullptr;
    }
    virtual std::unique_ptr<ServerHandshake> server_handshake(const Identity& identity,
                                                              const ServerHandshakeOptions& options) = 0;
    virtual std::unique_ptr<Conversation> conversation(const ConversationOptions& options) = 0;
    /// How a client's bytes are framed once it has logged in; nullptr: not at all.
    virtual std::unique_ptr<Framing> framing(const ClientTraits& /*traits*/) { return nullptr; }
    virtual std::unique_ptr<ResetTracker> reset_tracker() = 0;
    /// A credential made of a configured secret, for sessions whose login taught none.
    virtual std::shared_ptr<const Credential> credential(const StoredRole& role) = 0;
    /// The parameters as a client of a read-write or read-only listener shall see them.
    virtual void present_parameters(Parameters& parameters, bool as_replica) const = 0;
    /// For logins while no server can be asked. `parameters` in: what `other` was told; out: a guess at what
    /// `own` would be told.
    virtual void guess_parameters(Parameters& /*parameters*/, const Identity& /*other*/,
                                  const Identity& /*own*/) const {}
    /// Whether append_cancel()'s message goes to a connection that has logged in.
    virtual bool cancel_needs_login() const { return false; }
    /// A message that asks a server to cancel what runs under `key`.
    virtual void append_cancel(Bytes key, ByteBuffer& out) const = 0;
    /// Splits a client's cancel key into our process id and secret; false: not one of ours.
    virtual bool parse_cancel_key(Bytes key, uint32_t& process_id, Bytes& secret) const = 0;
    virtual void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) const = 0;
    /// The code, for append_fatal(), of a refusal because its user has too many connections.
    virtual std::string_view user_limit_code() const { return "53300"; }
    /// The orderly end of an idle server connection.
    virtual void append_goodbye(ByteBuffer& out) const = 0;
};

}  // namespace holdfast::dialect
