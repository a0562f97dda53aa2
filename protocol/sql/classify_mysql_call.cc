#include <algorithm>

#include "protocol/sql/classify_mysql.h"

// Calls of functions: what each means for where the statement runs and what it leaves behind.
namespace holdfast::sql::mysql {

/// The current name is called.
void Classifier::call() {
    const std::string name = lower(unquoted(current_));
    if (previous_.kind == TokenKind::dot) {
        return call_of_stranger(unquoted(before_previous_), name);
    }
    // A quoted name may be that of a stored function, as may some names that have a space behind them.
    if (current_.kind == TokenKind::quoted) return call_of_stranger({}, name);
    FunctionClass function_class = find_function(name);
    const bool is_adjacent = current_.end == next_.begin;
    if (function_class == FunctionClass::harmless_adjacent && !is_adjacent) {
        function_class = FunctionClass::not_built_in;
    }
    const bool is_procedure_analyse = previous_.keyword == Keyword::procedure && name == "analyse";
    if (!is_procedure_analyse) call_of(function_class, name);
}

void Classifier::call_of_stranger(std::string_view schema, std::string_view name) {
    if (is_demanding_ && is_hard(statement_->reason)) return;
    Lexer ahead = lexer_;
    if (ahead.next().keyword == Keyword::select) return;  // ANY (SELECT …): calls have no bare queries
    const bool is_of_catalog =
        context_.functions != nullptr && (!schema.empty() || !context_.is_other_schema);
    const auto verdict =
        is_of_catalog ? context_.functions->find(schema, name) : FunctionCatalog::Verdict::unknown;
    switch (verdict) {
        case FunctionCatalog::Verdict::unknown: demand(Reason::unknown_function); break;
        case FunctionCatalog::Verdict::may_write: demand(Reason::writing_function); break;
        case FunctionCatalog::Verdict::reads_only: break;
    }
}

void Classifier::call_of(FunctionClass function_class, std::string_view name) {
    switch (function_class) {
        case FunctionClass::not_built_in: call_of_stranger({}, name); break;
        case FunctionClass::harmless:
        case FunctionClass::harmless_adjacent: break;
        case FunctionClass::harmless_recent:
            if (context_.functions != nullptr &&
                context_.functions->find({}, name) == FunctionCatalog::Verdict::may_write) {
                demand(Reason::writing_function);
            }
            break;
        case FunctionClass::sequence:
            demand(Reason::writing_function);
            effect_once(EffectKind::sequence);
            break;
        case FunctionClass::sequence_read: demand(Reason::server_local); break;
        case FunctionClass::advisory_lock:
            demand(Reason::advisory_lock);
            note_lock(EffectKind::advisory_lock);
            break;
        case FunctionClass::advisory_unlock:
            demand(Reason::advisory_lock);
            note_lock(EffectKind::advisory_unlock);
            break;
        case FunctionClass::advisory_unlock_all:
            demand(Reason::advisory_lock);
            note_lock(EffectKind::advisory_unlock_all);
            break;
        case FunctionClass::advisory_look: demand(Reason::advisory_lock); break;
        case FunctionClass::last_insert_id: {
            Lexer ahead = lexer_;
            if (ahead.next().kind == TokenKind::right_paren) {
                demand(Reason::server_local);
                break;
            }
            // It sets what LAST_INSERT_ID() answers; after a write the server's answer tells it too.
            const bool is_write = is_demanding_ && statement_->reason == Reason::write;
            demand(Reason::session_state);
            if (!is_write) effect_once(EffectKind::set_opaque);
            break;
        }
        case FunctionClass::same_connection: stay_on_connection(); break;
        case FunctionClass::server_local: demand(Reason::server_local); break;
        case FunctionClass::server_role: demand(Reason::server_role); break;
    }
}

/// A user lock is taken or released, at the function's name. The effect's key is the lock's name, where the
/// text tells it; `replay` the column of the result that says whether it came true, where it is surely called
/// once.
void Classifier::note_lock(EffectKind kind) {
    if (!calls_each_once()) return effect(kind);
    Lexer ahead = lexer_;
    const Token name = ahead.next();
    const TokenKind behind = ahead.next().kind;
    bool is_simple = false;
    std::string key;
    if (name.kind == TokenKind::string && (behind == TokenKind::comma || behind == TokenKind::right_paren)) {
        const std::string_view value = simple_literal(text_, name, is_simple);
        const bool is_ascii =
            std::all_of(value.begin(), value.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
        // MySQL's names have no case, MariaDB's do.
        if (is_simple && is_ascii) key = context_.is_mariadb ? std::string(value) : lower(value);
    }
    effect(kind, std::move(key), std::to_string(column_));
}

/// Whether the statement is SELECT or DO with calls of functions and nothing else, whose arguments are
/// literals, parameters or variables: each is called exactly once, and has a column of its own.
bool Classifier::calls_each_once() {
    if (calls_each_once_) return *calls_each_once_;
    calls_each_once_ = false;
    if (begins_in_executable_comment_) return false;
    Lexer lexer(text_.substr(statement_->begin), mysql_rules(context_));
    const Keyword first = lexer.next().keyword;
    if (first != Keyword::select && first != Keyword::do_) return false;
    for (;;) {
        if (lexer.next().kind != TokenKind::word || lexer.next().kind != TokenKind::left_paren) return false;
        for (Token token = lexer.next(); token.kind != TokenKind::right_paren; token = lexer.next()) {
            switch (token.kind) {
                case TokenKind::string:
                case TokenKind::number:
                case TokenKind::parameter:
                case TokenKind::user_variable:
                case TokenKind::comma:
                case TokenKind::symbol: break;
                default: return false;
            }
        }
        Token token = lexer.next();
        if (token.keyword == Keyword::as) token = lexer.next();
        const bool is_alias = token.kind == TokenKind::quoted || token.kind == TokenKind::string ||
                              (token.kind == TokenKind::word && token.keyword == Keyword::none);
        if (is_alias) token = lexer.next();
        if (token.kind == TokenKind::comma) continue;
        calls_each_once_ = token.kind == TokenKind::end || token.kind == TokenKind::semicolon;
        return *calls_each_once_;
    }
}

}  // namespace holdfast::sql::mysql
