#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/limits.h"
#include "protocol/sql/classify.h"
#include "protocol/sql/functions_postgres.h"
#include "protocol/sql/identifier.h"
#include "protocol/sql/lexer.h"

namespace holdfast::sql::postgres {

/// Classifies one PostgreSQL message. Made for one run() and thrown away; everything it points to must
/// outlive it.
///
/// It reads tokens with one token of lookahead, and decides by first words and by what stands next to what:
/// it knows no grammar. A text that the server's grammar refuses may get any answer, as it runs nowhere: the
/// server parses a whole message, under the settings at its beginning, before it runs any of it.
///
/// The parts are in files of their own: queries (…_query.cc), calls of functions (…_call.cc), transaction
/// control (…_transaction.cc), session state (…_session.cc), the rest (…_utility.cc).
class Classifier {
public:
    Classifier(std::string_view text, const Context& context, Classification& out);
    void run();

private:
    // What is known of the parentheses around the place being read.
    struct Level {
        bool in_with;    // among the names of a WITH list
        bool may_alias;  // a name after their end is an alias, no call
    };

    // Reading.
    void advance();
    bool at_end() const;
    bool is_word(Keyword keyword) const { return current_.keyword == keyword; }
    bool next_is_word(Keyword keyword) const { return next_.keyword == keyword; }
    bool skip_word(Keyword keyword);
    std::string_view text_of(const Token& token) const {
        return text_.substr(token.begin, token.end - token.begin);
    }
    bool has_folded(const Token& token, std::string_view folded);
    std::optional<std::string> take_name();

    // The statement being read.
    void begin_statement();
    void end_statement();
    void skip_to_end();
    void dispatch();
    void decide(Destination destination, Reason reason);
    void demand(Reason reason);
    void unparsed() { demand(Reason::unparsed); }
    void finish_or_unparsed();
    void control(Control control, Destination destination, Reason reason);
    void effect(EffectKind kind, std::string key = {}, std::string replay = {});
    void effect_once(EffectKind kind);
    void effect_replayed_by_statement(EffectKind kind, std::string key);
    void note_pg_temp();
    void use_temporary();
    void apply_hint(Hint hint);

    // The message.
    void merge_begin_with_set_transaction();
    void decide_message();

    // Queries.
    void query();
    enum class Extent : uint8_t { statement, parentheses };
    void scan(Extent extent);
    void scan_name();
    void scan_keyword();
    void select_into();
    void open(Level level);
    void open_plain();
    void close();
    bool starts_data_modification() const;
    bool is_cte_name() const;
    bool is_after_operand() const;
    bool is_syntax_with_parenthesis();
    bool is_join_syntax();
    bool is_operator_syntax() const;

    // Calls.
    void call();
    void call_of(FunctionClass function_class);
    void call_of_stranger(std::string_view schema, std::string_view name);
    void call_set_config();
    void call_current_setting();
    void call_with_sql();

    // Transactions.
    void begin_transaction();
    void start_transaction();
    void commit();
    void rollback();
    void savepoint();
    void release();
    void prepare_transaction();
    struct Modes {
        bool is_read_only = false;
        bool is_serializable = false;
    };
    Modes take_transaction_modes();
    std::optional<Control> take_chain(Control alone, Control chained);
    void prepared_transaction();
    void set_transaction();

    // Session state.
    void set();
    void set_to_the_rest(EffectKind kind, std::string key, bool is_local);
    std::optional<std::string> take_setting_name();
    void note_setting(std::string_view key, std::string_view value);
    void reset();
    void show();
    void discard();
    void listen();
    void unlisten();
    void notify();
    void prepare();
    void execute();
    void deallocate();

    // The rest.
    void create();
    void alter();
    void copy();
    void explain();
    bool take_explain_options();
    void explained();
    void declare();
    void close_cursor();
    void ddl() { demand(Reason::ddl); }

    const std::string_view text_;
    const Context& context_;
    Classification& out_;
    Lexer lexer_;
    Token before_previous_;
    Token previous_;
    Token current_;
    Token next_;
    uint32_t depth_ = 0;
    bool changes_string_syntax_ = false;  // standard_conforming_strings is set somewhere in the message

    // Of the statement being read.
    Statement* statement_ = nullptr;
    bool is_broken_ = false;        // no server would take it: strings or parentheses without their end
    bool is_demanding_ = false;     // it must run on the primary, for the statement's reason
    bool is_only_planned_ = false;  // EXPLAIN without ANALYZE: nothing of it is run
    bool is_conditional_ = false;   // more than a list of calls: parts of it may run never, or often
    bool has_from_ = false;
    bool stays_ = false;  // calls something that belongs to the transaction or the session
    Reason stays_reason_ = Reason::read;
    bool has_sql_body_ = false;         // CREATE FUNCTION: may contain BEGIN ATOMIC … END
    bool is_type_position_ = false;     // the name being read follows AS or ::
    uint32_t effects_seen_ = 0;         // kinds that are noted once, as bits
    std::optional<size_t> own_replay_;  // the effect that the statement's own text replays
    uint32_t query_begin_ = 0;
    Level closed_{};                                         // what the last closing parenthesis closed
    std::array<Level, limits::sql_nesting_max + 1> levels_;  // up to depth_
};

/// Whether a hint for a replica may not overrule `reason`.
bool is_hard(Reason reason);
/// Whether asking for the setting asks whether this server takes writes.
bool reveals_role(std::string_view setting);
/// Whether the setting is one of the transaction under way, which no session keeps.
bool is_transaction_setting(std::string_view setting);
/// ASCII letters in lower case.
std::string lower(std::string_view text);

}  // namespace holdfast::sql::postgres
