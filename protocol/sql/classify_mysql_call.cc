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
    const auto verdict = context_.functions == nullptr ? FunctionCatalog::Verdict::unknown
                                                       : context_.functions->find(schema, name);
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
            effect(EffectKind::advisory_lock);
            break;
        case FunctionClass::advisory_unlock:
            demand(Reason::advisory_lock);
            effect(EffectKind::advisory_unlock);
            break;
        case FunctionClass::advisory_unlock_all:
            demand(Reason::advisory_lock);
            effect(EffectKind::advisory_unlock_all);
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

}  // namespace holdfast::sql::mysql
