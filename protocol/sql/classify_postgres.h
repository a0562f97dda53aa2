#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/sql/classifier_base.h"
#include "protocol/sql/functions_postgres.h"
#include "protocol/sql/identifier.h"

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
class Classifier : ClassifierBase {
public:
    Classifier(std::string_view text, const Context& context, Classification& out);
    void run();

private:
    // Reading.
    bool has_folded(const Token& token, std::string_view folded);
    std::optional<std::string> take_name();

    // The statement being read.
    void begin_statement();
    void end_statement();
    void skip_to_end();
    void dispatch();
    void note_pg_temp();
    void use_temporary();

    // The message.
    void merge_begin_with_set_transaction();
    void distrust_ambiguous_reads();

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
    bool is_after_operand() const;
    bool is_syntax_with_parenthesis();
    bool is_join_syntax();
    bool is_operator_syntax() const;

    // Calls.
    void call();
    void call_of(FunctionClass function_class);
    void call_of_stranger(std::string_view schema, std::string_view name);
    std::string column_of_call();
    void find_columns_of_calls();
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

    bool changes_string_syntax_ = false;  // standard_conforming_strings is set somewhere in the message

    // Of the statement being read.
    bool is_conditional_ = false;  // more than a list of calls: parts of it may run never, or often
    bool stays_ = false;           // calls something that belongs to the transaction or the session
    Reason stays_reason_ = Reason::read;
    bool has_sql_body_ = false;      // CREATE FUNCTION: may contain BEGIN ATOMIC … END
    bool is_type_position_ = false;  // the name being read follows AS or ::
    uint32_t query_begin_ = 0;
    bool columns_are_known_ = false;
    std::vector<uint32_t> call_columns_;  // then: where the functions are named whose calls are the columns
};

/// Whether asking for the setting asks whether this server takes writes.
bool reveals_role(std::string_view setting);
/// Whether the setting is one of the transaction under way, which no session keeps.
bool is_transaction_setting(std::string_view setting);

}  // namespace holdfast::sql::postgres
