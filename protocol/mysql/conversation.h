#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/base/ring.h"
#include "protocol/dialect/dialect.h"
#include "protocol/dialect/error_code.h"
#include "protocol/dialect/session_log.h"
#include "protocol/dialect/units.h"
#include "protocol/mysql/cut_scratch.h"
#include "protocol/mysql/lock_results.h"
#include "protocol/mysql/packets.h"
#include "protocol/mysql/reply.h"
#include "protocol/mysql/statements.h"

namespace holdfast::mysql {

using dialect::Slot;
using dialect::slot_count;
using dialect::Transaction;

/// What MariaDB and MySQL report of a session to a client with SESSION_TRACK that has set nothing.
inline constexpr std::string_view default_tracked_variables =
    "autocommit,character_set_client,character_set_connection,character_set_results,time_zone";

/// What is remembered of a session's servers and client for reading and writing packets.
struct Surroundings {
    uint64_t client_capabilities = 0;
    uint8_t collation = 0;  // of the handshake
    bool is_mariadb = true;
    uint32_t server_version = 0;  // major * 10,000 + minor * 100 + patch
    uint32_t process_id = 0;
    // As the server said when the session began.
    std::optional<std::string> sql_mode;
    std::string character_set_client;  // empty: that of the collation
};

/// MySQL's and MariaDB's side of a session: see dialect::Conversation for what each call does.
/// spec    MySQL Internals, "Command Phase"; MariaDB Knowledge Base, "Client/Server Protocol"
///
/// A unit is one command and its answer. Servers are always spoken to with DEPRECATE_EOF and SESSION_TRACK;
/// clients that lack them get their answers rewritten, packet by packet (conversation_rewriting.cc).
/// Statement ids are the proxy's own towards clients, and each server connection's own towards it.
class Conversation final : public dialect::Conversation {
public:
    Conversation(const dialect::Identity& identity, StatementCache& statements, CutScratch& scratch,
                 const Surroundings& surroundings);
    ~Conversation() override;

    dialect::Cut cut(Bytes in, bool insist, ByteBuffer& out) override;
    const dialect::UnitFacts& facts() const override { return scratch_.facts; }
    bool accept(Bytes in, Slot slot, ByteBuffer& prefix) override;
    bool streams_unanswered() const override { return units_.empty() && !stream_dropped_; }
    const dialect::KillRequest& kill_request() const override { return kill_; }
    void answer_kill(dialect::KillOutcome outcome, ByteBuffer& out) override;
    bool unit_open() const override { return stream_under_way() && !stream_dropped_; }
    size_t units_in_flight() const override { return units_.size(); }
    const std::string& error() const override { return detail_; }
    void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) override;

    dialect::Scan scan(Slot slot, Bytes in) override;
    size_t padding() const override { return padding_; }
    std::string detail() const override { return detail_; }
    size_t requests_in_flight() const override { return units_.size(); }
    bool needs_primary() const override { return units_.needs_primary(); }
    void forbid_rerun() override;
    void set_corrects(bool corrects) override { corrects_ = corrects; }
    void set_only_reads(bool only_reads) override { only_reads_ = only_reads; }
    bool transaction_survives() const override {
        return is_xa_prepared_ && transaction_ != Transaction::idle;
    }
    bool rerunnable() const override { return units_.rerunnable(); }
    bool retainable() const override;
    bool may_have_committed() const override {
        return is_doubtful_ || units_.may_have_committed(transaction_);
    }
    bool rows_delivered() const override { return !units_.empty() && units_.at(0).rows_delivered; }
    bool inside_message() const override;
    std::optional<bool> says_replica(Slot slot) const override;
    bool reported_write() const override { return reported_write_; }
    std::string_view last_error_code() const override { return last_error_code_.view(); }

    void slot_opened(Slot slot, bool is_replica) override;
    void slot_parameters(Slot slot, const dialect::Parameters& parameters) override;
    void slot_promoted(Slot slot) override;
    void slot_lost(Slot slot) override;
    void fail_unit(const dialect::FailureText& text, ByteBuffer& out) override;
    size_t refuse_unit(Bytes in, const dialect::FailureText& text, ByteBuffer& out) override;
    bool rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) override;
    bool abandon_answer(Slot slot) override;
    void lose_transaction(const dialect::FailureText& text) override;
    bool answer_rollback(ByteBuffer& out) override;

    Transaction transaction() const override { return lost_ ? Transaction::failed : transaction_; }
    const dialect::Pins& pins() const override { return pins_; }
    void clear_pins() override;
    bool has_subscriptions() const override { return false; }
    bool has_unread_state() const override {
        return can_examine() && !has_warnings_;  // the client may ask for these yet
    }
    bool synchronise(Slot slot, ByteBuffer& out) override;
    bool synchronise_for_rerun(Slot slot, ByteBuffer& out) override;
    void forget_unsynchronisable() override;
    bool synchronising(Slot) const override { return !slots_[0].syncs.empty() || !slots_[1].syncs.empty(); }
    bool append_reset(Slot slot, ByteBuffer& out) override;
    bool wants_read_only() const override { return wants_read_only_; }

private:
    struct Unit : dialect::UnitInFlight {
        Reply reply;
        uint8_t command = 0;
        uint8_t next_sequence = 1;     // of the next packet to the client
        uint8_t shift = 0;             // what is added to the server's sequence numbers
        uint8_t refusals = 0;          // by servers that were the primary
        bool resendable = false;       // its bytes are kept: a refusal proves that it was not carried out
        bool trackers_lie = false;     // SET STATEMENT: what is reported holds for one statement only
        bool is_call = false;          // answers and statements can't be matched one by one
        bool changes_reading = false;  // what a text behind it means is known when it is answered
        bool owes_eof = false;         // behind the column definitions, to a client without DEPRECATE_EOF
        uint32_t statement_id = 0;     // the client's, of prepared statements
        StatementRef statement;
        std::unique_ptr<std::string>
            names_last;  // an execution of "the last one prepared", without an id yet
        bool ends_transaction = false;
        bool holds_for_one_statement(std::string_view variable) const;
        bool prepares_xa = false;
        uint64_t numbers_delivered = 0;   // of columns and parameters, as the client was told
        ColumnsDigest columns_delivered;  // as far as it has their definitions
        ColumnsDigest columns;            // of the answer under way
        bool in_final_head = false;       // the first result's head, which can't be taken back
    };
    /// A command of the proxy's own that brings a connection to the session's state.
    struct Sync {
        enum class Kind : uint8_t {
            entry,
            enter,
            prepare,
            variables,
            routines,
            tracking,
            own
        } kind = Kind::own;
        Reply reply;
        uint64_t version = 0;       // entry: of the log
        uint32_t statement_id = 0;  // enter, prepare: the client's
        ColumnsDigest columns;      // … and those of its result
    };
    struct SlotState {
        uint32_t generation = 0;  // grows with each new connection
        bool is_open = false;
        bool is_replica = false;
        bool is_read_only = false;  // we made it so
        bool needs_reset = false;   // it still has the state of before a COM_RESET_CONNECTION
        bool needs_tracking = false;
        bool was_reset = false;       // and reads texts as the server's own settings say
        bool needs_rollback = false;  // of a transaction that only read, and was given up
        bool multi_statements = false;
        bool body_is_dropped = false;
        bool continues = false;  // the payload goes on in a further packet
        size_t body_left = 0;    // of a long packet that is streamed
        uint64_t capabilities = 0;
        uint64_t synced = 0;       // the log's version that the connection has
        uint64_t sync_target = 0;  // what a synchronisation under way will bring it to
        uint64_t sync_failed_at = 0;
        bool sync_failed = false;
        bool has_next_transaction = false;
        uint64_t insert_id = 0;                          // what LAST_INSERT_ID() gives there
        std::optional<std::string_view> login_sql_mode;  // the connection's
        bool has_own_sql_mode = false;                   // … and that is not the session's first one
        bool lacks_tracking = false;                     // its server does not report what changes
        Ring<Sync> syncs;
        std::vector<uint32_t> closes;  // statement ids that the client has closed
    };
    /// What a client with SESSION_TRACK has asked to be told of.
    struct TrackingWishes {
        std::string variables{default_tracked_variables};  // names with commas between them, or *
        bool schema = true;
        bool state_change = false;
        bool transaction_state = false;
        bool transaction_characteristics = false;
        bool gtids = false;
        bool wants(const SessionStateEntry& entry) const;
    };
    struct Deferred {
        uint16_t number;
        std::string sqlstate;
        std::string message;
    };

    // conversation.cc
    dialect::SessionLog& log();
    void take_sql_mode(std::string_view mode);
    void read_as_at_login();

    // conversation_synchronising.cc
    bool is_read_alike(const Prepared& prepared) const;
    bool ask_for_statement(Slot slot, uint32_t statement_id, ByteBuffer& out);
    bool is_asked_for(Slot slot, uint32_t statement_id);
    void ask_for_state(Slot slot, ByteBuffer& out);
    bool sync_begun(Slot slot);
    void ask(SlotState& state, Sync sync, uint8_t command, std::string_view text, ByteBuffer& out);
    void ask_for_tracking(SlotState& state, ByteBuffer& out);
    void take_tracking(const OkPacket& ok);
    bool has_recorded(std::string_view key) const;
    void take_sync(Slot slot, PacketRole role, Bytes payload, bool is_whole, dialect::Scan& scan);

    // conversation_requests.cc
    dialect::Cut cut_stream(Bytes in, ByteBuffer& out);
    dialect::Cut cut_file(Bytes in, ByteBuffer& out);
    bool stream_under_way() const { return stream_left_ > 0 || stream_continues_; }
    void begin_stream(bool dropped);
    void note_statements(const sql::Classification& classes, Unit& unit);
    dialect::Cut drop_request();
    bool leave_replica();
    bool is_of_system_schema();
    dialect::Cut begin_or_wait(ByteBuffer& out);

    // conversation_commands.cc
    sql::Context context(bool truncated) const;
    bool awaits_own_write() const;
    dialect::Cut cut_command(Bytes payload, bool whole, ByteBuffer& out);
    std::optional<std::string_view> query_text(Bytes payload) const;
    dialect::Cut cut_query(Bytes payload, bool whole, ByteBuffer& out);
    dialect::Cut cut_statement_command(Bytes payload, bool whole, ByteBuffer& out);
    std::optional<dialect::Cut> take_kill(const sql::Classification& classes, ByteBuffer& out);

    // conversation_facts.cc
    void demand_primary(sql::Reason reason);
    void take_classes(const sql::Classification& classes);
    bool commits(const sql::Statement& statement) const;
    const sql::Classification* executed_text(const sql::Statement& statement) const;
    const sql::Statement& run_by(const sql::Statement& statement) const;

    // conversation_answers.cc
    dialect::Cut answer_here(ByteBuffer& out, uint16_t number, std::string_view sqlstate,
                             std::string_view message);
    dialect::Cut answer_ok(ByteBuffer& out);
    dialect::Cut ask_kill(uint64_t id, bool whole_session);
    dialect::Cut answer_connection_id(std::string_view column, bool is_binary, ByteBuffer& out);

    // conversation_statements.cc
    dialect::Cut cut_prepare(Bytes payload, bool whole, ByteBuffer& out);
    dialect::Cut cut_close(Bytes payload, bool whole);
    Prepared* find_prepared(uint32_t id);
    bool is_present(const Prepared& prepared, Slot slot) const;
    void note_prepared(Slot slot, const Unit& unit);
    void forget_statements();
    void forget_long_data(Prepared& prepared);
    void drop_long_data(Prepared& prepared);
    void append_closes(Slot slot, ByteBuffer& prefix);
    void append_request(Bytes request, const Unit& unit, Slot slot, ByteBuffer& out);
    void append_execute(Bytes request, Prepared& prepared, Slot slot, ByteBuffer& out);
    struct TypesExtent {
        size_t flag_at = 0;  // from the beginning of the payload
        std::byte flag{};
        size_t begin = 0;
        size_t size = 0;        // of those of the statement's own parameters
        bool is_there = false;  // all of it; else more bytes are needed, or it makes no sense
        bool is_told = false;
        bool is_tellable = true;  // if it does not tell them
    };
    TypesExtent types_extent(Bytes payload, const Prepared& prepared) const;
    void note_types(Bytes payload, const TypesExtent& extent, Prepared& prepared, Slot slot);

    // conversation_responses.cc
    struct Packet;
    enum class Verdict : uint8_t { forward, drop, stop };
    Verdict take_unit(Slot slot, PacketRole role, const Packet& packet, dialect::Scan& scan, ByteBuffer& made,
                      size_t at);
    void take_ok(Slot slot, Unit& unit, const OkPacket& ok);
    void finish_unit(Slot slot);
    void pop_unit();
    void lying(dialect::Scan& scan, std::string_view what);

    // conversation_columns.cc
    bool take_head(Slot slot, PacketRole role, const Packet& packet, Unit& unit);
    bool are_columns_known(Slot slot, const Unit& unit);
    Verdict other_columns(Unit& unit, dialect::Scan& scan);

    // conversation_errors.cc
    void connection_ends(const ErrPacket& err, dialect::Scan& scan);
    void take_unasked(Bytes payload, dialect::Scan& scan);
    Verdict take_error(Slot slot, const Packet& packet, dialect::Scan& scan, ByteBuffer& made, size_t at);

    // conversation_effects.cc
    void take_session_state(Slot slot, Unit& unit, const OkPacket& ok);
    void take_variable(Slot slot, std::string_view name, std::string_view value, const Unit& unit);
    void statement_done(Slot slot, Unit& unit);
    void apply_effect(Slot slot, const sql::Effect& effect, const Unit& unit);
    void routine_ran();
    void broke_off(const std::vector<sql::Statement>& statements);
    void forget_text(const std::string& name);
    void wish(const sql::Effect& effect);
    void session_was_reset(Slot slot);

    // conversation_examining.cc
    bool can_examine() const;
    void ask_for_unread(SlotState& state, ByteBuffer& out);
    void take_variables(PacketRole role, Bytes payload, bool is_whole);
    bool take_variable_row(Bytes payload);
    void take_routines(PacketRole role, Bytes payload, bool is_whole);

    // conversation_rewriting.cc
    void forward_packet(const Packet& packet, ByteBuffer& made, dialect::Scan& scan, size_t at);
    static void forward_as_copy(const Packet& packet, ByteBuffer& made, Unit& unit);
    void append_ok_for_client(const Packet& packet, const OkPacket& ok, PacketRole role, Unit& unit,
                              ByteBuffer& made, dialect::Scan& scan, size_t at);
    void append_eof_for_client(Unit& unit, uint8_t sequence, ByteBuffer& made);
    ByteBuffer wanted_session_state(const OkPacket& ok) const;
    bool client_has(uint64_t capability) const { return (around_.client_capabilities & capability) != 0; }

    // conversation_failures.cc
    dialect::Cut answer_lost(ByteBuffer& out);
    void append_failure(const dialect::FailureText& text, uint8_t sequence, ByteBuffer& out);
    static Deferred describe(const dialect::FailureText& text);
    void forget_transaction();

    const dialect::Identity& identity_;
    StatementCache& statements_;
    CutScratch& scratch_;
    Surroundings around_;
    dialect::Units<Unit> units_;
    std::array<SlotState, slot_count> slots_;
    Slot active_ = Slot::a;  // the slot that units_ concern
    Transaction transaction_ = Transaction::idle;
    bool is_autocommit_ = true;
    bool is_doubtful_ = false;     // a statement that may have committed the transaction ended with an error
    bool is_xa_prepared_ = false;  // the transaction under way
    bool corrects_ = true;
    bool only_reads_ = false;
    bool stream_dropped_ = false;
    bool stream_continues_ = false;  // a further packet belongs to the request
    bool file_under_way_ = false;    // the client sends a file, to its end (an empty packet)
    bool file_dropped_ = false;
    bool ansi_quotes_ = false;
    bool no_backslash_escapes_ = false;
    bool sql_mode_is_reported_ = false;  // the two are known from a server's word, not from its flags
    bool encoding_is_safe_ = true;
    bool wants_read_only_ = false;
    bool wants_multi_statements_ = false;
    bool schema_changed_ = false;
    bool role_was_set_ = false;       // on one of the connections, or both
    bool is_other_schema_ = false;    // than that of the login, whose functions are known
    bool is_system_schema_ = false;   // unqualified names are those of a schema that differs on each server
    bool reported_write_ = false;     // by the unit under way, or the one just done
    bool can_read_variables_ = true;  // the server shows what user variables hold
    bool is_reset_ = false;        // by the client: nothing of its login holds but the account and the schema
    bool can_read_status_ = true;  // … and how many temporary tables the connection has made
    bool has_warnings_ = false;    // the last answer, or it was an error
    bool routines_are_examined_ = false;  // by the answer under way
    bool variables_are_whole_ = true;     // all that the answer under way showed could be read
    bool option_wanted_ = false;          // of the COM_SET_OPTION in flight: multi-statements
    bool answer_is_complete_ = false;     // of the unit that was refused: its error was its end
    uint16_t last_status_ = status::autocommit;
    dialect::ErrorCode last_error_code_;
    size_t padding_ = 0;            // what the client still expects of a long packet whose server is gone
    bool payload_is_open_ = false;  // likewise: it would have gone on in a further packet
    size_t transaction_ends_ = 0;   // units in flight that end a transaction
    size_t stream_left_ = 0;        // of a long request whose head was accepted
    uint8_t stream_sequence_ = 0;   // of its packet that came last
    uint64_t last_insert_id_ = 0;
    size_t prepared_bytes_ = 0;       // of the texts of `prepared_`
    uint32_t last_statement_id_ = 0;  // given to the client
    uint32_t last_prepared_ = 0;      // 0: the last one was answered with an error
    dialect::Pins pins_;
    std::unique_ptr<UserLocks> locks_;
    dialect::KillRequest kill_;
    std::unique_ptr<std::unordered_map<uint32_t, Prepared>> prepared_;
    std::unique_ptr<std::unordered_map<std::string, StatementRef>> texts_;  // of SQL-level PREPAREs
    std::unique_ptr<dialect::SessionLog> log_;
    std::unique_ptr<dialect::FailureText> lost_;  // a transaction: told at the next request
    std::unique_ptr<TrackingWishes> wishes_;      // null: what servers report by default
    std::unique_ptr<Deferred> deferred_;          // told when the request has come to its end
    static constexpr uint8_t refusals_max = 3;
    std::vector<std::string>
        opaque_;  // variables that the statement just done set to what its text does not tell
    std::string next_transaction_;               // SET TRANSACTION …, until a transaction begins
    std::string schema_;                         // as servers last reported it
    std::optional<std::string> reset_sql_mode_;  // what a server then had of its own
    std::string detail_;
};

}  // namespace holdfast::mysql
