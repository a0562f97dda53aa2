#include <algorithm>
#include <iterator>

#include "protocol/sql/classify_mysql.h"

// Queries, wherever they stand, and the expressions of all other statements.
namespace holdfast::sql::mysql {
namespace {

// Session variables without a meaning of their own on each server, in byte order: drivers ask for them.
constexpr std::string_view plain_variables[] = {
    "auto_increment_increment",
    "autocommit",
    "automatic_sp_privileges",
    "big_tables",
    "bulk_insert_buffer_size",
    "character_set_client",
    "character_set_connection",
    "character_set_database",
    "character_set_filesystem",
    "character_set_results",
    "character_set_server",
    "character_set_system",
    "collation_connection",
    "collation_database",
    "collation_server",
    "connect_timeout",
    "default_storage_engine",
    "default_tmp_storage_engine",
    "default_week_format",
    "div_precision_increment",
    "explicit_defaults_for_timestamp",
    "foreign_key_checks",
    "ft_min_word_len",
    "group_concat_max_len",
    "have_profiling",
    "have_ssl",
    "init_connect",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "join_buffer_size",
    "lc_messages",
    "lc_time_names",
    "license",
    "lock_wait_timeout",
    "long_query_time",
    "lower_case_table_names",
    "max_allowed_packet",
    "max_error_count",
    "max_execution_time",
    "max_heap_table_size",
    "max_join_size",
    "max_length_for_sort_data",
    "max_prepared_stmt_count",
    "max_sort_length",
    "max_sp_recursion_depth",
    "max_statement_time",
    "net_buffer_length",
    "net_read_timeout",
    "net_retry_count",
    "net_write_timeout",
    "old_passwords",
    "optimizer_switch",
    "performance_schema",
    "protocol_version",
    "query_cache_size",
    "query_cache_type",
    "sort_buffer_size",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_mode",
    "sql_notes",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_select_limit",
    "sql_warnings",
    "storage_engine",
    "system_time_zone",
    "time_zone",
    "timestamp",
    "tmp_table_size",
    "transaction_isolation",
    "tx_isolation",
    "unique_checks",
    "updatable_views_with_limit",
    "version",
    "version_comment",
    "version_compile_machine",
    "version_compile_os",
    "wait_timeout",
};
static_assert(std::is_sorted(std::begin(plain_variables), std::end(plain_variables)));

}  // namespace

bool is_plain_variable(std::string_view name) {
    return std::binary_search(std::begin(plain_variables), std::end(plain_variables), name);
}

void Classifier::query() {
    query_begin_ = current_.begin;
    if (asks_connection_id()) return;
    scan();
    if (is_demanding_) return;
    if (stays_) {
        decide(Destination::transaction, Reason::session_state);
    } else {
        decide(Destination::replica, Reason::read);
    }
}

/// A statement that writes: what it leaves in the session is in its expressions.
void Classifier::writing_query(Reason reason) {
    if (!is_planned_) demand(reason);
    query_begin_ = current_.begin;
    advance();
    query();
}

/// Reads to the end of the statement.
void Classifier::scan() {
    while (!at_end()) scan_token();
}

void Classifier::scan_token() {
    switch (current_.kind) {
        case TokenKind::end: return;
        case TokenKind::bad:
        case TokenKind::semicolon:
            unparsed();
            if (!context_.truncated) effect_once(EffectKind::set_opaque);
            advance();
            break;
        case TokenKind::left_paren:
            // Among the names of a WITH list, those that are not the body of a query are the main query.
            if (previous_.keyword != Keyword::as && !levels_[depth_].may_alias)
                levels_[depth_].in_with = false;
            levels_[depth_].may_alias = false;
            advance();
            break;
        case TokenKind::right_paren:
            if (depth_ == 0) unparsed();
            advance();
            break;
        case TokenKind::word:
        case TokenKind::quoted: scan_name(); break;
        case TokenKind::assign:
            assign_variables();
            advance();
            break;
        case TokenKind::system_variable: scan_system_variable(); break;
        case TokenKind::user_variable:
            if (assigns_read_variables_) effect_once(EffectKind::user_variables);
            advance();
            break;
        case TokenKind::comma:
            if (depth_ == 0) ++column_;
            advance();
            break;
        case TokenKind::unicode_quoted:
        case TokenKind::string:
        case TokenKind::number:
        case TokenKind::parameter:
        case TokenKind::right_bracket:
        case TokenKind::dot:
        case TokenKind::typecast:
        case TokenKind::equals:
        case TokenKind::symbol: advance(); break;
    }
}

void Classifier::scan_name() {
    const bool is_after_dot = previous_.kind == TokenKind::dot;
    // A type or an alias, which may have a list in parentheses but is never called.
    if (!is_after_dot) is_type_position_ = previous_.keyword == Keyword::as;
    if (current_.keyword != Keyword::none) scan_keyword();
    if (next_.kind == TokenKind::left_paren) {
        const bool is_syntax = is_type_position_ || (!is_after_dot && is_uncallable(current_.keyword));
        if (!is_after_dot && is_cte_name()) {
            levels_[depth_].may_alias = true;  // its columns follow
        } else if (!is_syntax) {
            call();
        }
    } else {
        note_schema();
        const bool is_of_sequence = is_after_dot && (is_text("nextval") || is_text("currval"));
        if (is_of_sequence) call_of(FunctionClass::sequence, {});  // in Oracle's syntax
    }
    advance();
}

void Classifier::scan_keyword() {
    switch (current_.keyword) {
        case Keyword::select:
        case Keyword::values:
        case Keyword::table: levels_[depth_].in_with = false; break;
        case Keyword::from: has_from_ = true; break;
        case Keyword::for_:
            if ((next_is_word(Keyword::update) || next_is_word(Keyword::share)) && !is_planned_) {
                demand(Reason::row_lock);
            }
            break;
        case Keyword::lock:
            if (next_is_word(Keyword::in) && !is_planned_) demand(Reason::row_lock);
            break;
        case Keyword::into: scan_into(); break;
        case Keyword::with:
            if (current_.begin == query_begin_ || previous_.kind == TokenKind::left_paren) {
                levels_[depth_].in_with = true;
            }
            break;
        case Keyword::update:
        case Keyword::delete_:
            if (!is_planned_) demand(Reason::write);
            break;
        case Keyword::insert:
        case Keyword::replace:
            // INSERT and REPLACE are functions too.
            if (next_.kind != TokenKind::left_paren && !is_planned_) demand(Reason::write);
            break;
        case Keyword::next:
            if (is_value_for()) call_of(FunctionClass::sequence, {});
            break;
        case Keyword::previous:
            if (is_value_for()) call_of(FunctionClass::sequence_read, {});
            break;
        default: break;
    }
}

/// Whether VALUE FOR follows.
bool Classifier::is_value_for() const {
    Lexer ahead = lexer_;
    return next_is_word(Keyword::value) && ahead.next().keyword == Keyword::for_;
}

/// INTO, which may stand in three places of a SELECT; in an INSERT it only names the table.
void Classifier::scan_into() {
    if (next_.kind == TokenKind::user_variable) {
        assign_variables();
    } else if (next_is_word(Keyword::outfile) || next_is_word(Keyword::dumpfile)) {
        demand(Reason::outside_effect);
    } else if (!is_planned_) {
        demand(Reason::write);
    }
}

/// @@name, @@session.name, …
void Classifier::scan_system_variable() {
    advance();
    bool is_global = false;
    const bool has_scope = next_.kind == TokenKind::dot &&
                           (is_word(Keyword::global) || is_word(Keyword::session) || is_word(Keyword::local));
    if (has_scope) {
        is_global = is_word(Keyword::global);
        advance();
        advance();
    }
    const std::optional<std::string> spelled = take_name();
    if (!spelled) return unparsed();
    const std::string name = lower(*spelled);
    if (name == "warning_count" || name == "error_count") {
        stay_on_connection();
    } else if (name == "identity" || name == "last_insert_id") {
        demand(Reason::server_local);
    } else if (is_global || current_.kind == TokenKind::dot || !is_plain_variable(name)) {
        demand(Reason::server_role);
    }
}

/// Notes a name of one of the schemas that describe the server itself.
void Classifier::note_schema() {
    if (next_.kind != TokenKind::dot || previous_.kind == TokenKind::dot) return;
    constexpr size_t longest = sizeof("performance_schema`") + 1;
    if (current_.end - current_.begin > longest) return;
    const std::string schema = lower(unquoted(current_));
    if (schema == "information_schema" || schema == "performance_schema" || schema == "mysql" ||
        schema == "sys" || schema == "ndbinfo") {
        demand(Reason::server_local);
    }
}

/// Variables get values that the text does not tell.
void Classifier::assign_variables() {
    demand(Reason::session_state);
    effect_once(EffectKind::user_variables);
}

void Classifier::stay_on_connection() {
    statement_->same_connection = true;
    stays_ = true;
}

/// SELECT CONNECTION_ID() [[AS] alias] [LIMIT 1], and nothing else.
bool Classifier::asks_connection_id() {
    if (current_.begin != statement_->begin || !is_word(Keyword::select) ||
        !has_text(next_, "connection_id")) {
        return false;
    }
    Lexer ahead = lexer_;
    if (ahead.next().kind != TokenKind::left_paren) return false;
    const Token close = ahead.next();
    if (close.kind != TokenKind::right_paren) return false;
    std::string column(text_.substr(next_.begin, close.end - next_.begin));
    Token token = ahead.next();
    const bool has_as = token.keyword == Keyword::as;
    if (has_as) token = ahead.next();
    const bool is_alias = token.kind == TokenKind::quoted || token.kind == TokenKind::string ||
                          (token.kind == TokenKind::word && token.keyword == Keyword::none);
    if (has_as && !is_alias) return false;
    if (is_alias) {
        column = unquoted(token);
        token = ahead.next();
    }
    if (has_text(token, "limit")) {
        const Token count = ahead.next();
        if (text_of(count) != "1") return false;
        token = ahead.next();
    }
    if (token.kind != TokenKind::end && token.kind != TokenKind::semicolon) return false;
    statement_->asks_connection_id = true;
    statement_->name = std::move(column);
    demand(Reason::server_local);
    return true;
}

}  // namespace holdfast::sql::mysql
