#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/ring.h"
#include "protocol/dialect/dialect.h"
#include "protocol/dialect/error_code.h"
#include "protocol/dialect/session_log.h"
#include "protocol/dialect/units.h"
#include "protocol/dialect/user_locks.h"
#include "protocol/postgres/messages.h"
#include "protocol/postgres/named_statements.h"
#include "protocol/postgres/statements.h"

namespace holdfast::postgres {

using dialect::Slot;
using dialect::slot_count;
using dialect::Transaction;

/// What the request side found in one look at the client's bytes. One for all sessions of a dialect: it is
/// only valid between a cut() and the accept() or refuse_unit() that follows it at once.
struct CutScratch {
    struct Request {
        char type;
        size_t offset;              // of its type byte in the input
        size_t size;                // with its header; of a streamed message: what is there of it
        StatementRef statement;     // of parse, bind, describe (statement), execute
        std::string_view name;      // prepared statement (parse, bind, describe, close) …
        std::string_view portal;    // … or portal
        bool names_portal = false;  // of describe and close
    };
    std::vector<Request> requests;
    sql::Classification query;  // of the simple query, when there is one
    dialect::UnitFacts facts;
    size_t size = 0;         // bytes of all requests
    size_t stream_left = 0;  // bytes of the last request that have not arrived
    bool ends_unit = false;
    bool flushes = false;
    bool has_execute = false;
    void clear();
};

/// PostgreSQL's side of a session: see dialect::Conversation for what each call does.
/// spec    PostgreSQL documentation, "Message Flow"
///
/// Requests that are answered stand in `expected_`, in the order of their answers; units (see UnitFacts) in
/// `units_`. Both concern one slot at a time: a unit for the other slot is only accepted when all before it
/// are answered. Answers that nobody waits for any more (of a unit that was moved) are swallowed by count of
/// ReadyForQuery.
class Conversation final : public dialect::Conversation {
public:
    Conversation(const dialect::Identity& identity, StatementCache& statements, CutScratch& scratch,
                 const dialect::Parameters& welcome);

    dialect::Cut cut(Bytes in, bool insist, ByteBuffer& out) override;
    const dialect::UnitFacts& facts() const override { return scratch_.facts; }
    bool accept(Bytes in, Slot slot, ByteBuffer& prefix) override;
    bool unit_open() const override { return !units_.empty() && !units_.back().ended; }
    size_t units_in_flight() const override { return units_.size(); }
    const std::string& error() const override { return detail_; }
    void append_fatal(std::string_view code, std::string_view message, ByteBuffer& out) override;

    dialect::Scan scan(Slot slot, Bytes in) override;
    size_t padding() const override { return padding_; }
    std::string detail() const override { return detail_; }
    size_t requests_in_flight() const override { return expected_.size(); }
    bool needs_primary() const override { return units_.needs_primary(); }
    void forbid_rerun() override;
    void set_corrects(bool corrects) override { corrects_ = corrects; }
    bool rerunnable() const override { return units_.rerunnable(); }
    bool may_have_committed() const override { return units_.may_have_committed(transaction_); }
    bool rows_delivered() const override { return !units_.empty() && units_.at(0).rows_delivered; }
    bool inside_message() const override;
    std::optional<bool> says_replica(Slot slot) const override { return slots_[index(slot)].says_replica; }
    std::string_view last_error_code() const override { return last_error_code_.view(); }

    void slot_opened(Slot slot, bool is_replica) override;
    void slot_promoted(Slot slot) override;
    void slot_lost(Slot slot) override;
    void fail_unit(const dialect::FailureText& text, ByteBuffer& out) override;
    size_t refuse_unit(Bytes in, const dialect::FailureText& text, ByteBuffer& out) override;
    bool rerun_unit(Slot slot, Bytes requests, ByteBuffer& prefix) override;
    bool abandon_answer(Slot slot) override;
    void lose_transaction(const dialect::FailureText& text) override;
    bool answer_rollback(ByteBuffer& out) override;

    Transaction transaction() const override { return transaction_; }
    const dialect::Pins& pins() const override { return pins_; }
    void clear_pins() override {
        pins_ = {};
        locks_.reset();
    }
    bool has_subscriptions() const override { return log_ && log_->has_subscriptions(); }
    bool synchronise(Slot slot, ByteBuffer& out) override;
    bool synchronise_for_rerun(Slot slot, ByteBuffer& out) override;
    void forget_unsynchronisable() override;
    /// Of either slot: nothing can begin on the other one before its answers are complete.
    bool synchronising(Slot) const override {
        return slots_[0].syncs_pending > 0 || slots_[1].syncs_pending > 0;
    }
    bool append_reset(Slot slot, ByteBuffer& out) override;
    bool wants_read_only() const override { return wants_read_only_; }

private:
    // A request that the server will answer. `swallowed` ones were put in by the proxy.
    struct Expected {
        static constexpr char copy_marker =
            'c';                                 // CopyDone or CopyFail, before the server has asked for data
        static constexpr char sync_query = 'y';  // a Query of ours that brings the session's state

        char type = 0;  // the frontend message type, or one of the above
        bool swallowed = false;
        bool describes_portal = false;
        bool names_statement = false;  // parse, and close of a statement: undone when the server skips it
        StatementRef statement;        // parse: the new one; execute: what runs
        StatementRef previous;         // parse, close: what the name meant before
        std::string name;              // parse, close
        StatementRef was_present;      // parse, close: what the connection had under the name before
    };
    struct Unit : dialect::UnitInFlight {
        bool ended = false;         // its last request was accepted
        bool server_skips = false;  // after an error: until the Sync, the server ignores what comes
    };
    struct SlotState {
        uint32_t swallow_ready = 0;  // ReadyForQuerys of an abandoned answer still to come
        uint32_t syncs_pending = 0;
        bool is_open = false;
        bool is_replica = false;
        std::optional<bool> says_replica;
        bool body_is_dropped = false;
        size_t body_left = 0;         // of a long message that is streamed
        uint64_t synced = 0;          // the log's version that the connection has, of settings …
        uint64_t subscribed = 0;      // … and of subscriptions
        uint64_t sync_target = 0;     // what a synchronisation under way will bring it to
        uint64_t sync_failed_at = 0;  // the log version of the entry that the server refused; 0: none
    };
    struct LostTransaction {
        dialect::FailureText text;
        bool reported = false;
        bool over = false;  // ended within the batch being answered
    };

    // conversation.cc
    bool ask_for_state(Slot slot, ByteBuffer& out);

    // conversation_requests.cc
    dialect::Cut cut_copy_data(Bytes in, char type, size_t total);

    // conversation_messages.cc
    enum class Look { whole, partial, stop, malformed };
    sql::Context context(bool truncated) const;
    Look look_at_head(Bytes in);
    Look look_at(Bytes in, size_t offset);
    StatementRef meaning(std::string_view name);
    bool read_names(CutScratch::Request& request, Bytes body, bool whole);
    void merge_facts(const sql::Classification& classes, const Statement* statement);
    void summarise(bool whole);

    // conversation_statements.cc
    void expect_requests(Slot slot, bool rerun);
    Expected& expect_ours(char type);
    void forget_unnamed(Slot slot);
    void note_names_behind();
    void undo(Expected& expected);
    void insert_missing(Slot slot, bool rerun, ByteBuffer& prefix);
    void insert_named_by(const sql::Statement& statement, Slot slot, ByteBuffer& prefix);
    void insert_parse(Slot slot, std::string_view name, NamedStatements::Entry& entry, ByteBuffer& prefix);
    void insert_close(Slot slot, std::string_view name, NamedStatements::Entry& entry, ByteBuffer& prefix);

    // conversation_responses.cc
    enum class Verdict { forward, drop, stop };
    Verdict handle(Slot slot, char type, Bytes body, dialect::Scan& scan);
    Verdict handle_ready(Slot slot, Bytes body, dialect::Scan& scan);
    Verdict handle_copy_in();
    Verdict head(char answered, dialect::Scan& scan);
    Verdict lying(dialect::Scan& scan, std::string_view what);

    // conversation_errors.cc
    Verdict handle_error(Slot slot, Bytes body, dialect::Scan& scan);
    Verdict handle_notice(Bytes body, dialect::Scan& scan);
    void drop_to_sync();

    // conversation_effects.cc
    Verdict handle_parameter(Slot slot, Bytes body, dialect::Scan& scan);
    void command_complete(std::string_view tag);
    void locks_asked_for();
    void statement_done(const sql::Statement& statement, std::string_view tag);
    void apply_effect(const sql::Effect& effect, std::string_view tag);
    dialect::SessionLog& log();
    void finish_unit(char status);

    // conversation_failures.cc
    dialect::Cut answer_lost(Bytes in, ByteBuffer& out);
    dialect::Cut skip_to_sync(Bytes in, ByteBuffer& out);
    void drop_front_unit();
    void forget_transaction_effects();
    void append_failure(const dialect::FailureText& text, ByteBuffer& out);
    enum class LostAnswer { answered, give_back };
    LostAnswer answer_lost_query(std::string_view text, ByteBuffer& out);
    void answer_lost_request(char type, Bytes body, ByteBuffer& out);
    void append_lost_error(ByteBuffer& out);
    char status_byte() const;
    void end_lost_transaction();

    StatementCache& statements_;
    CutScratch& scratch_;
    Ring<Expected> expected_;
    dialect::Units<Unit> units_;
    std::array<SlotState, slot_count> slots_;
    Slot active_ = Slot::a;  // the slot that units_ and expected_ concern
    Transaction transaction_ = Transaction::idle;
    bool copy_in_ = false;  // the server takes copy data: its Syncs and Flushes are not requests
    bool copy_both_ = false;
    bool corrects_ = true;
    bool skipping_ = false;  // an error was sent for a batch whose Sync has not come
    bool stream_dropped_ = false;
    bool standard_strings_ = true;
    bool encoding_is_safe_ = true;
    bool wants_read_only_ = false;
    bool is_replication_ = false;
    dialect::ErrorCode last_error_code_;
    size_t padding_ = 0;      // what the client still expects of a long message whose server is gone
    size_t stream_left_ = 0;  // of a long request whose head was accepted
    dialect::Pins pins_;
    std::unique_ptr<dialect::UserLocks> locks_;
    NamedStatements names_;
    std::unique_ptr<dialect::SessionLog> log_;
    std::unique_ptr<LostTransaction> lost_;
    std::vector<sql::Effect> pending_pins_;  // of the transaction under way
    std::vector<uint64_t> sync_versions_;    // of the entries being synchronised
    std::string detail_;
};

}  // namespace holdfast::postgres
