#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/sql/classifier_base.h"
#include "protocol/sql/functions_mysql.h"

namespace holdfast::sql::mysql {

/// Classifies one message to MySQL or MariaDB. Made for one run() and thrown away; everything it points to
/// must outlive it.
///
/// Like PostgreSQL's it knows no grammar and decides by first words and by what stands next to what. Unlike
/// there, the server reads and runs a message statement by statement: an earlier one may have changed how a
/// later one is read.
///
/// The parts are in files of their own: queries (…_query.cc), calls of functions (…_call.cc), transaction
/// control (…_transaction.cc), session state (…_session.cc, …_set.cc), the rest (…_utility.cc).
class Classifier : ClassifierBase {
public:
    Classifier(std::string_view text, const Context& context, Classification& out);
    void run();

private:
    // Reading.
    bool has_text(const Token& token, std::string_view folded) const;
    bool is_text(std::string_view folded) const { return has_text(current_, folded); }
    bool skip_text(std::string_view folded);
    std::optional<std::string> take_name();
    std::string unquoted(const Token& token) const;
    std::string replay_text(uint32_t begin, uint32_t end, bool in_executable_comment) const;

    // The statement being read.
    void begin_statement();
    void end_statement();
    void skip_to_end();
    void dispatch();
    void body();
    void not_read();
    bool is_rest_ambiguous();
    bool mentions(uint32_t begin, uint32_t end, std::string_view folded) const;

    // Queries.
    void query();
    void writing_query(Reason reason);
    void scan();
    void scan_token();
    void scan_name();
    void scan_keyword();
    void scan_into();
    void scan_system_variable();
    void note_schema();
    void assign_variables();
    void stay_on_connection();
    bool asks_connection_id();
    bool is_value_for() const;

    // Calls.
    void call();
    void call_of(FunctionClass function_class, std::string_view name);
    void call_of_stranger(std::string_view schema, std::string_view name);
    void note_lock(EffectKind kind);
    bool calls_each_once();

    // Transactions.
    void begin_transaction();
    void start();
    void commit();
    void rollback();
    void savepoint();
    void release();
    void xa();
    std::optional<Control> take_completion(Control alone, Control chained);

    // Session state.
    enum class Scope : uint8_t { none, session, global };
    struct Value {
        enum class Kind : uint8_t {
            missing,
            number_or_string,
            word,
            constant_word,
            expression
        } kind = Kind::missing;
        std::string spelled;  // of all but expressions
    };
    void take_set_statement();
    void set();
    bool set_special();
    void set_item(Scope& sticky);
    std::optional<std::string> take_variable_name();
    void set_names();
    void set_user_variable();
    void set_at_variable();
    void set_variable(std::string_view name, Scope scope, bool is_unscoped_at);
    void set_transaction(Scope scope);
    void unlock(bool is_next_only);
    Value take_value();
    bool at_item_end() const {
        return at_end() || (depth_ == 0 && (current_.kind == TokenKind::comma || is_in_set_statement()));
    }
    bool is_in_set_statement() const { return is_set_statement_ && is_word(Keyword::for_); }
    bool skip_equals();
    void use();
    void prepare();
    void execute();
    void execute_immediate();
    void deallocate();

    // The rest.
    void show();
    void explain();
    void explained(bool is_run);
    void analyze();
    void create();
    void alter();
    void drop();
    void load();
    void kill();
    void lock();
    void unlock();
    void flush();
    void backup();
    void handler();
    void get_diagnostics();
    void ddl() {
        demand(Reason::ddl);
        statement_->may_commit = true;
    }
    void administration() {
        demand(Reason::server_local);
        statement_->may_commit = true;
    }

    bool changes_reading_ = false;           // what follows in the message may be read by other rules
    std::optional<size_t> ambiguous_until_;  // the end of the text that those would read otherwise

    // Of the statement being read.
    bool is_planned_ = false;              // EXPLAIN: it writes nothing, though functions may be called
    bool is_set_statement_ = false;        // between SET STATEMENT and its FOR
    bool is_body_ = false;                 // semicolons belong to it, to the end of the message
    bool stays_ = false;                   // asks for what the statement before left
    bool assigns_read_variables_ = false;  // CALL and others: variables named may get values
    bool is_type_position_ = false;        // the name being read follows AS
    bool begins_in_executable_comment_ = false;
    uint32_t query_begin_ = 0;
    uint32_t column_ = 0;                  // of the outermost list, which is being read
    std::optional<bool> calls_each_once_;  // once somebody has asked
};

/// Whether `@@name`, without GLOBAL, has the same value on every server that the session's state was brought
/// to, or one that nobody tells servers apart by. `name` in lower case.
bool is_plain_variable(std::string_view name);

}  // namespace holdfast::sql::mysql
