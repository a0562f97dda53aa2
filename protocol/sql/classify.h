#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::sql {

enum class Dialect { postgres, mysql };

/// Where a statement may run. Ordered by how much it restricts: a message goes where its most
/// restrictive statement must.
enum class Destination : uint8_t {
    replica,      // anywhere that is fresh enough
    transaction,  // wherever the session or its open transaction is; no demand of its own
    primary,
};

/// Why. A closed set: it labels metrics and is printed by `holdfast classify`.
enum class Reason : uint8_t {
    read,                 // a plain read
    empty,                // nothing but white space and comments
    session_state,        // SET and friends: applied wherever the session is, and recorded
    transaction_control,  // COMMIT, ROLLBACK, SAVEPOINT, …
    cursor,               // FETCH, MOVE, CLOSE, EXECUTE: lives where it was made
    read_only_transaction,
    write,
    ddl,
    row_lock,          // FOR UPDATE and relatives, LOCK TABLE
    writing_function,  // nextval, set_config with variables, pg_notify, large objects, …
    unknown_function,  // not known to be free of side effects
    advisory_lock,
    server_role,     // asks what only the primary answers rightly (transaction_read_only, last_value of a
                     // sequence…)
    server_local,    // administration or a look at one server
    outside_effect,  // COPY … PROGRAM, dblink: effects beyond the database
    explain_write,   // EXPLAIN ANALYZE of something that writes
    begin,           // a transaction that may write
    serializable,    // a standby can't
    notification,    // LISTEN, NOTIFY, UNLISTEN
    temporary,       // temporary tables and pg_temp
    opaque,          // DO, CALL: may do anything
    copy_in,
    hint,      // a comment said so
    unparsed,  // not understood, or a character set that the lexer can't follow
    too_long,  // longer than what is classified
};
std::string_view to_string(Reason reason);
std::string_view to_string(Destination destination);

/// What a statement leaves behind in its session.
enum class EffectKind : uint8_t {
    set,  // key: setting name in lower case ("role", "session authorization", "session characteristics" too)
    reset,         // key: setting name; `replay` is the statement
    reset_all,     // RESET ALL
    discard_all,   // DISCARD ALL: everything
    discard_temp,  // DISCARD TEMP
    set_opaque,    // settings changed in a way that can't be recorded (set_config with variables, LOAD)
    prepare,       // key: name; `replay` is the whole PREPARE statement
    deallocate,    // key: name
    deallocate_all,
    listen,    // key: channel as the server folds it; `replay` is the statement
    unlisten,  // key: channel
    unlisten_all,
    temporary,      // a temporary table, view or sequence was made, or pg_temp is used
    advisory_lock,  // a session-level advisory lock was taken. `replay`: the result's column that says
                    // whether it was, where there is one for sure; key: MySQL: its name, where the text tells
                    // it
    advisory_unlock,      // one was released: likewise
    advisory_unlock_all,  // `replay` is empty if that may not have been done
    cursor,               // key: name; a cursor WITH HOLD
    cursor_close,         // key: name
    cursor_close_all,
    sequence,  // currval/lastval now depend on this connection
    // MySQL and MariaDB
    user_variable,     // key: its name in lower case; `replay` is SET @name = literal
    user_variables,    // some were assigned in a way that the text does not tell (:=, INTO @x, LOAD DATA)
    table_lock,        // LOCK TABLES, FLUSH TABLES WITH READ LOCK, BACKUP LOCK, …
    table_unlock,      // UNLOCK TABLES, BACKUP UNLOCK: all of them
    handler,           // key: alias; HANDLER … OPEN
    handler_close,     // key: alias
    next_transaction,  // SET TRANSACTION …: of the next transaction only; `replay` is the statement
    routine,           // CALL: what the procedure leaves behind stands in no text
    tracking,          // SET session_track_…: the proxy needs its own settings of these
};
/// The word that `holdfast classify` prints in "session" for a kind ("set", "prepare", "temporary", …).
std::string_view to_string(EffectKind kind);

struct Effect {
    EffectKind kind;
    std::string key;
    std::string
        replay;  // a statement that brings the effect about on another server; empty: can't be replayed
};

/// What a statement does to the transaction.
enum class Control : uint8_t {
    none,
    begin,
    begin_read_only,
    commit,
    commit_and_chain,
    rollback,
    rollback_and_chain,
    savepoint,    // control_name
    release,      // control_name
    rollback_to,  // control_name
    prepare_transaction,
    commit_prepared,            // and ROLLBACK PREPARED
    set_transaction_read_only,  // SET TRANSACTION READ ONLY (of the transaction under way)
    set_transaction_other,      // SET TRANSACTION …, SET LOCAL, SET CONSTRAINTS
};

struct Statement {
    Destination destination = Destination::primary;
    Reason reason = Reason::unparsed;
    Control control = Control::none;
    bool executes_prepared =
        false;                    // EXECUTE (also in EXPLAIN/CREATE TABLE AS): `name` is what; its own
                                  // destination is that of the prepared statement, for the caller to look up
    std::string name;             // savepoint or prepared statement, as the server folds it
    std::vector<Effect> effects;  // in order; mostly empty
    /// It asks for what the statement before it left on its connection (FOUND_ROWS(), SHOW WARNINGS, …): it
    /// runs on the server connection of that statement.
    bool same_connection = false;
    /// A plain read that a comment sends to the primary: it can be run again all the same.
    bool is_hinted_read = false;
    /// It may run several statements of its own (CALL, DO, a block): what it ends with tells nothing of what
    /// it did before.
    bool is_opaque = false;
    /// MySQL: it commits the transaction under way, or may (DDL, LOCK TABLES, XA PREPARE, what is not
    /// understood). The statements that only begin or end transactions have a Control that says so.
    bool may_commit = false;
    /// MariaDB: SET STATEMENT … FOR is in front of it: variables are set while it runs only.
    bool is_set_statement = false;
    /// MySQL: XA PREPARE. The transaction outlives its connection, and its server's end.
    bool prepares_xa = false;
    /// MySQL: what it does to a connection that only reads. later: it lifts that for what comes behind it;
    /// now: for the transaction that it begins, or itself.
    enum class Unlocks : uint8_t { none, later, now } unlocks = Unlocks::none;
    /// KILL: the proxy's own numbers of connections are meant, not a server's.
    enum class Kill : uint8_t { none, connection, query, other } kill = Kill::none;
    uint64_t kill_id = 0;
    /// MySQL: the whole statement is SELECT CONNECTION_ID(), which the proxy answers by itself; `name` is the
    /// result's column.
    bool asks_connection_id = false;
    uint32_t begin = 0;  // the statement's bytes in the message, without its semicolon
    uint32_t end = 0;
};

/// What a whole message (one or more statements) is. Reuse one object: classify() keeps its memory.
struct Classification {
    Destination destination = Destination::primary;
    Reason reason = Reason::unparsed;   // of the statement that decided
    uint32_t statement_count = 0;       // non-empty statements
    std::vector<Statement> statements;  // the first `statement_count` are valid
    bool has_effects = false;           // any statement has effects
    bool has_control = false;           // any statement has a Control
    bool same_connection = false;       // any statement demands it
    bool truncated = false;             // the text given was only a prefix
};

/// What is known of functions that are not built in.
class FunctionCatalog {
public:
    virtual ~FunctionCatalog() = default;
    enum class Verdict { unknown, reads_only, may_write };
    /// `schema` is empty when the call is unqualified; both are folded as the server folds identifiers.
    /// A name with several overloads gets the worst of them.
    virtual Verdict find(std::string_view schema, std::string_view name) const = 0;
};

/// What the session's state says about how text is read.
struct Context {
    bool standard_conforming_strings =
        true;                      // PostgreSQL; at the beginning of the message: it is read whole under it
    bool encoding_is_safe = true;  // false: client_encoding is one whose second bytes can be quotes (SJIS,
                                   // BIG5, GBK, GB18030, JOHAB, UHC): everything goes to the primary
    // MySQL and MariaDB: of sql_mode, and the version by which /*! … */ is read.
    bool ansi_quotes = false;
    bool no_backslash_escapes = false;
    bool is_mariadb = true;
    uint32_t server_version = 101'100;  // major * 10,000 + minor * 100 + patch; 0: unknown
    const FunctionCatalog* functions = nullptr;
    bool is_other_schema = false;  // unqualified names of functions are those of another schema than theirs
    bool truncated = false;        // the text is only the beginning of the message
};

/// Says where a message must go and what it leaves behind. Never calls a write a read; may call a read a
/// write. Total: any bytes get an answer (Reason::unparsed at worst), in time linear in their number, without
/// recursion. Allocates only for effects and names.
/// `message` is one simple-query message, or the text of one prepared statement.
void classify(Dialect dialect, std::string_view message, const Context& context, Classification& out);

/// The message with letters folded, white space and comments collapsed to one space, and literals replaced by
/// `?` (a list of them by one): what rules match and what learned corrections are keyed by.
std::string normalise(Dialect dialect, std::string_view message);
/// A 64-bit hash of exactly normalise(message), made without building it.
uint64_t fingerprint(Dialect dialect, std::string_view message);
/// The text of the message's comments, each without its delimiters, joined by a newline.
std::string comments(Dialect dialect, std::string_view message);

}  // namespace holdfast::sql
