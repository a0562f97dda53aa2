#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the program, each with its reason. Sizes are bytes.
namespace holdfast::limits {

using namespace std::chrono_literals;

/// PostgreSQL's own cap on a startup packet (MAX_STARTUP_PACKET_LENGTH).
inline constexpr uint32_t postgres_startup_packet_bytes_max = 10'000;
/// Password, SASL and GSS tokens: PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH, which lets cloud tokens pass.
inline constexpr uint32_t postgres_auth_message_bytes_max = 65'535;
/// PostgreSQL's MaxAllocSize less the length word: no server accepts or makes a longer message.
inline constexpr uint32_t postgres_message_bytes_max = 0x3fffffff;
/// A server's message that must be understood whole (ErrorResponse, ParameterStatus, …). Longer ones of a
/// kind that may be long are streamed unread; longer ones of the others are a lying server.
inline constexpr uint32_t postgres_server_message_collected_bytes_max = 65'536;
/// Statements up to this length are collected and classified; longer ones stream to the primary.
inline constexpr uint32_t statement_classified_bytes_max = 262'144;
/// What a session keeps of a statement so that it can be run again on another server.
inline constexpr size_t statement_retained_bytes_max = 262'144;
/// An extended-protocol batch is routed as a whole while its bytes fit here; a longer one goes to the
/// primary.
inline constexpr size_t batch_collected_bytes_max = 65'536;
/// Settings and what SQL's PREPARE made that one session may have replayed on other servers.
inline constexpr size_t session_state_bytes_max = 16'777'216;
/// The same in number, and the number of changes (and savepoints) within one transaction: each is looked for
/// among all others, which must not hold the loop up. A session with more than that can't be moved.
inline constexpr size_t session_state_entries_max = 2'000;
/// Statements that one client has prepared by the protocol's own messages: texts, names, and what is kept of
/// each besides. MySQL's servers allow 16,382 of them by default, all clients together.
inline constexpr size_t prepared_bytes_max = 67'108'864;
inline constexpr size_t prepared_overhead_bytes = 1'024;
/// Statements that are kept classified, for each database, while no session uses them.
inline constexpr size_t statement_cache_entries_max = 10'000;
inline constexpr size_t statement_cache_bytes_max = 16'777'216;
/// Simple queries whose classification is kept, for each database: a table of so many places, and texts up to
/// a length that machine-made ones seldom stay under and hand-written ones do.
inline constexpr size_t query_cache_entries = 1'024;
inline constexpr size_t query_cache_text_bytes_max = 1'024;
/// Requests of one session that wait for an answer; beyond that its client is not read.
inline constexpr size_t requests_in_flight_max = 20'000;
/// A message of a result up to this length is forwarded whole or not at all, so that a server's death leaves
/// the client's stream between messages; longer ones are streamed.
inline constexpr size_t result_message_whole_bytes_max = 262'144;
/// What a routing rule's pattern is matched against of a long statement, name or comment.
inline constexpr size_t rule_text_bytes_max = 2'000;
/// Different users, databases and startup parameters that a cluster remembers beyond those in use.
inline constexpr size_t identities_kept_max = 1'000;
/// Statements known to be refused by replicas, for each cluster.
inline constexpr size_t learned_statements_max = 10'000;
/// A client batch that came in part is sent on after this, to the primary, which can take whatever follows.
inline constexpr std::chrono::milliseconds partial_batch_patience = 10ms;
/// A server login, beyond the connect timeout: a busy machine forks slowly.
inline constexpr std::chrono::milliseconds server_login_timeout = 10s;
/// Logins at one server that begin while none has ended; each that has lets two more begin. Of many that
/// begin at once none is through before nearly all are.
inline constexpr size_t logins_at_first = 8;
/// A connection that is made fit for another session (DISCARD ALL); one that takes longer is closed.
inline constexpr std::chrono::milliseconds server_reset_timeout = 10s;
/// After a failed connection attempt a session tries again, if no news of the servers came before.
inline constexpr std::chrono::milliseconds reconnect_delay = 50ms;
/// A cluster that was taken away is kept for this long after its last session, for what still refers to it.
inline constexpr std::chrono::milliseconds removed_cluster_grace = 30s;
/// A demoted primary's answer to what is in flight there is awaited for this long.
inline constexpr std::chrono::milliseconds demoted_answer_timeout = 2s;
/// What user variables hold is read from a connection that nothing was asked of for this long, or with the
/// next statement: before that, FOUND_ROWS() and its like may ask for what their statement left there.
inline constexpr std::chrono::milliseconds unread_state_patience = 100ms;
/// What calls of lock functions came to is looked for in so much of a row.
inline constexpr size_t lock_row_bytes_max = 4'096;
/// When a replica could not be brought to a session's state, it leaves replicas alone for this long; twice as
/// long each further time in a row, up to 16 times.
inline constexpr std::chrono::milliseconds replica_unusable_for = 1s;
/// A session's replica is chosen anew after this, so that load follows servers that came back.
inline constexpr std::chrono::milliseconds replica_choice_lifetime = 30s;
/// What may be made up to end a long message whose server is gone; beyond that the client is closed.
inline constexpr size_t padding_bytes_max = 16'777'216;
/// Nesting of parentheses and comments that the lexer follows; deeper statements are "unparsable".
inline constexpr int sql_nesting_max = 1'000;

/// A MySQL server's packet that must be understood whole (OK with its session state, ERR).
inline constexpr uint32_t mysql_server_packet_collected_bytes_max = 1'048'576;
/// MySQL commands that take a name or a number: no server accepts more of them.
inline constexpr size_t mysql_short_command_bytes_max = 65'536;
/// An execution of "the last one prepared" is kept up to this length until that is answered: it may tell
/// types.
inline constexpr size_t mysql_pipelined_execution_bytes_max = 4'096;
/// A set of GTIDs: real ones have a few hundred characters. Hundreds of sets are remembered.
inline constexpr size_t gtid_set_bytes_max = 65'536;
inline constexpr size_t gtid_intervals_max = 2'048;
/// Sources that one MySQL or MariaDB server replicates from, and members of a replication group: MariaDB
/// sets no bound, MySQL 256 channels.
inline constexpr size_t replication_sources_max = 256;

/// A PROXY protocol header, with what load balancers add to it (TLS facts, ids of endpoints).
inline constexpr size_t proxy_header_bytes_max = 4'096;
/// It comes with the first packet of a connection: a balancer that takes longer is none.
inline constexpr std::chrono::milliseconds proxy_header_timeout = 5s;
/// Connections of one listener whose header is awaited.
inline constexpr size_t proxy_headers_awaited_max = 1'000;
/// Clients beyond proxy.max_clients that are let in so far that they can be told why not further.
inline constexpr size_t refused_clients_max = 256;
/// Addresses whose connections or failed logins are counted, in sets of four: a table of 24 bytes each.
inline constexpr size_t source_buckets = 32'768;
/// Logins that wait because of earlier failures, of one user from one address, and of all users from one.
inline constexpr size_t delayed_logins_of_user_max = 5;
inline constexpr size_t delayed_logins_of_address_max = 50;
/// A statement that runs too long and is not ended by a cancel request is sent another one, no sooner.
inline constexpr std::chrono::milliseconds cancel_again_after = 1s;
/// Refused connections are logged at most once in so long: there may be thousands a second.
inline constexpr std::chrono::milliseconds refusals_log_interval = 1s;

/// One read takes at most this much from a socket.
inline constexpr size_t read_chunk_bytes = 131'072;
/// Reading from one side stops when the other side's queue passes the high mark, until the low mark.
inline constexpr size_t write_queue_high_bytes = 262'144;
inline constexpr size_t write_queue_low_bytes = 65'536;

static_assert(batch_collected_bytes_max <= statement_retained_bytes_max,
              "a collected batch can be run again");
static_assert(statement_classified_bytes_max <= statement_retained_bytes_max,
              "a classified read can be run again");
static_assert(write_queue_low_bytes < write_queue_high_bytes);

/// A login's messages that wait for a password look-up or a server: beyond that the client is lying.
inline constexpr size_t login_buffered_bytes_max = 131'072;
static_assert(postgres_auth_message_bytes_max < login_buffered_bytes_max);

/// A SCRAM message from a client: PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH.
inline constexpr uint32_t postgres_sasl_message_bytes_max = 1'024;
/// What a server may make of its SCRAM challenge: no real one comes near, and each byte is the server's word.
inline constexpr size_t scram_nonce_bytes_max = 1'024;
inline constexpr size_t scram_salt_bytes_max = 1'024;
/// PBKDF2 rounds that a server or a stored verifier may ask for: about half a second of one core.
/// PostgreSQL's default is 4,096.
inline constexpr uint32_t scram_iterations_max = 1'000'000;

/// A MySQL client's packets before it is logged in: its connection attributes (64 KiB at most) and some
/// names.
inline constexpr size_t mysql_login_packet_bytes_max = 100'000;
inline constexpr size_t mysql_connect_attributes_bytes_max = 65'536;
static_assert(mysql_connect_attributes_bytes_max < mysql_login_packet_bytes_max);
static_assert(mysql_login_packet_bytes_max < login_buffered_bytes_max);
/// caching_sha2_password's own limit for passwords (MAX_PLAINTEXT_LENGTH).
inline constexpr size_t mysql_password_bytes_max = 256;
/// Passwords proven by caching_sha2_password that are remembered.
inline constexpr size_t sha2_passwords_kept_max = 10'000;
/// One call of the decompressor makes no more than this and one frame.
inline constexpr size_t decompressed_at_once_bytes_max = 1'048'576;

}  // namespace holdfast::limits
