#include "protocol/sql/classify_postgres.h"

// COPY, EXPLAIN, cursors, and the kinds of CREATE and ALTER that are more than DDL.
namespace holdfast::sql::postgres {

void Classifier::create() {
    advance();
    bool is_temporary = false;
    while (is_word(Keyword::replace) || has_folded(current_, "or") || is_word(Keyword::global) ||
           is_word(Keyword::local) || is_word(Keyword::temp) || is_word(Keyword::temporary) ||
           is_word(Keyword::unlogged) || is_word(Keyword::recursive)) {
        is_temporary = is_temporary || is_word(Keyword::temp) || is_word(Keyword::temporary);
        advance();
    }
    if (is_temporary && !is_only_planned_) use_temporary();
    ddl();
    has_sql_body_ = is_word(Keyword::function) || is_word(Keyword::procedure);
    if (!is_word(Keyword::table) && !is_word(Keyword::materialized)) return;
    // CREATE TABLE … AS runs a query.
    while (!at_end() && !(depth_ == 0 && is_word(Keyword::as))) {
        if (current_.kind == TokenKind::right_paren && depth_ == 0) return;
        note_pg_temp();
        advance();
    }
    if (!skip_word(Keyword::as)) return;
    if (is_word(Keyword::execute)) return execute();
    query_begin_ = current_.begin;
    is_conditional_ = true;
    query();
}

void Classifier::alter() {
    advance();
    demand(is_word(Keyword::system) ? Reason::server_local : Reason::ddl);
}

void Classifier::copy() {
    advance();
    if (current_.kind == TokenKind::left_paren) {
        query_begin_ = current_.begin;
        is_conditional_ = true;
        scan(Extent::parentheses);
    }
    while (!at_end() && !(depth_ == 0 && (is_word(Keyword::from) || is_word(Keyword::to)))) {
        if (current_.kind == TokenKind::right_paren && depth_ == 0) return unparsed();
        note_pg_temp();
        advance();
    }
    if (at_end()) return unparsed();
    const bool is_from = is_word(Keyword::from);
    advance();
    if (is_word(Keyword::program)) return demand(Reason::outside_effect);
    if (is_from) return demand(Reason::copy_in);
    if (current_.kind == TokenKind::string) return demand(Reason::outside_effect);  // a file of the server
    if (!is_word(Keyword::stdout_) && !is_word(Keyword::stdin_)) return unparsed();
    if (!is_demanding_) decide(Destination::replica, Reason::read);
}

void Classifier::explain() {
    advance();
    is_only_planned_ = !take_explain_options();
    explained();
}

/// Reads EXPLAIN's options, in parentheses or not. Returns whether the statement is run.
bool Classifier::take_explain_options() {
    if (current_.kind != TokenKind::left_paren) {
        const bool is_run = skip_word(Keyword::analyze);
        skip_word(Keyword::verbose);
        return is_run;
    }
    // EXPLAIN (SELECT 1) has no options: what is in the parentheses is the statement.
    if (next_.kind == TokenKind::left_paren || next_is_word(Keyword::select) ||
        next_is_word(Keyword::values) || next_is_word(Keyword::table) || next_is_word(Keyword::with)) {
        return false;
    }
    bool is_run = false;
    while (!at_end() && current_.kind != TokenKind::right_paren) {
        // The last ANALYZE wins; anything that is not plainly off is on.
        const bool is_analyze =
            is_word(Keyword::analyze) || (is_name(current_) && has_folded(current_, "analyze"));
        advance();
        if (!is_analyze) continue;
        bool is_simple = false;
        const std::string value = lower(simple_literal(text_, current_, is_simple));
        const std::string spelled = is_simple ? value : lower(text_of(current_));
        is_run = !(spelled == "off" || spelled == "false" || spelled == "0");
    }
    if (current_.kind == TokenKind::right_paren) advance();
    return is_run;
}

/// The statement that EXPLAIN is about. Without ANALYZE nothing of it happens, whatever it is.
void Classifier::explained() {
    const bool is_run = !is_only_planned_;
    switch (current_.keyword) {
        case Keyword::insert:
        case Keyword::update:
        case Keyword::delete_:
        case Keyword::merge:
            demand(Reason::write);
            query();
            break;
        case Keyword::execute: return execute();
        case Keyword::create:
        case Keyword::refresh:
            if (is_word(Keyword::create)) {
                create();
            } else {
                ddl();
            }
            if (statement_->executes_prepared && !is_run) return;
            break;
        case Keyword::declare:
            // Only the cursor's query is explained, or run: no cursor is made.
            declare();
            std::erase_if(statement_->effects, [](const Effect& e) { return e.kind == EffectKind::cursor; });
            break;
        case Keyword::select:
        case Keyword::values:
        case Keyword::table:
        case Keyword::with: query(); break;
        default:
            if (current_.kind != TokenKind::left_paren) return unparsed();
            query();
    }
    if (!is_demanding_) {
        decide(Destination::replica, Reason::read);
    } else if (statement_->reason == Reason::write || statement_->reason == Reason::ddl) {
        statement_->reason = Reason::explain_write;
    }
}

/// DECLARE name … CURSOR [WITH HOLD] FOR query
void Classifier::declare() {
    advance();
    std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    bool is_held = false;
    while (!at_end() && !is_word(Keyword::for_)) {
        is_held = is_held || (is_word(Keyword::with) && next_is_word(Keyword::hold));
        advance();
    }
    if (!skip_word(Keyword::for_)) return unparsed();
    is_conditional_ = true;
    query();
    if (!is_demanding_) decide(Destination::transaction, Reason::cursor);
    if (is_held) effect(EffectKind::cursor, std::move(*name));
}

void Classifier::close_cursor() {
    decide(Destination::transaction, Reason::cursor);
    advance();
    if (skip_word(Keyword::all)) {
        effect(EffectKind::cursor_close_all);
    } else {
        std::optional<std::string> name = take_name();
        if (!name) return unparsed();
        effect(EffectKind::cursor_close, std::move(*name));
    }
    finish_or_unparsed();
}

}  // namespace holdfast::sql::postgres
