#include "protocol/sql/classify_postgres.h"

// Queries, wherever they stand: SELECT, VALUES, TABLE, WITH, and inside of INSERT, COPY, EXPLAIN, DECLARE.
namespace holdfast::sql::postgres {

void Classifier::query() {
    query_begin_ = current_.begin;
    scan(Extent::statement);
    if (is_conditional_ && std::erase_if(statement_->effects, [](const Effect& effect) {
                               return effect.kind == EffectKind::set;
                           }) > 0) {
        // set_config that runs for each row, or perhaps not at all, can't be recorded as a SET.
        demand(Reason::session_state);
        effect_once(EffectKind::set_opaque);
    }
    if (is_demanding_) return;
    if (is_only_planned_ || has_from_ || !stays_) {
        decide(Destination::replica, Reason::read);
    } else {
        decide(Destination::transaction, stays_reason_);
    }
}

/// Reads to the end of the statement, or past the parentheses that open at the current token.
void Classifier::scan(Extent extent) {
    for (;;) {
        switch (current_.kind) {
            case TokenKind::end: return;
            case TokenKind::bad: unparsed(); return;
            case TokenKind::semicolon:
                if (depth_ == 0) return;
                unparsed();
                advance();
                break;
            case TokenKind::left_paren: open_plain(); break;
            case TokenKind::right_paren:
                if (depth_ == 0) {
                    unparsed();
                    return;
                }
                close();
                if (extent == Extent::parentheses && depth_ == 0) return;
                break;
            case TokenKind::word:
            case TokenKind::quoted:
            case TokenKind::unicode_quoted: scan_name(); break;
            case TokenKind::string:
            case TokenKind::number:
            case TokenKind::parameter:
            case TokenKind::right_bracket:
            case TokenKind::comma:
            case TokenKind::dot:
            case TokenKind::typecast:
            case TokenKind::equals:
            case TokenKind::user_variable:
            case TokenKind::system_variable:
            case TokenKind::assign:
            case TokenKind::symbol: advance(); break;
        }
    }
}

void Classifier::scan_name() {
    const bool is_after_dot = previous_.kind == TokenKind::dot;
    // A type, an alias or the name of a column, which may have a list in parentheses but is never called.
    // Holds for all parts of a dotted name.
    if (!is_after_dot) {
        is_type_position_ = previous_.kind == TokenKind::typecast || previous_.keyword == Keyword::as;
    }
    if (current_.kind == TokenKind::word && !is_after_dot && current_.keyword != Keyword::none)
        scan_keyword();
    if (next_.kind == TokenKind::left_paren) {
        if (is_type_position_) {
            advance();
        } else if (is_after_dot) {
            call();
        } else if (is_cte_name()) {
            advance();
            open({.in_with = false, .may_alias = true});
        } else if (is_uncallable(current_.keyword) || is_after_operand() || is_syntax_with_parenthesis()) {
            advance();
        } else {
            call();
        }
        return;
    }
    note_pg_temp();
    if (!is_type_position_) {
        // The columns of a sequence: the standby's copy runs ahead of the primary's.
        bool is_of_sequence = current_.keyword == Keyword::last_value ||
                              current_.keyword == Keyword::log_cnt || current_.keyword == Keyword::is_called;
        if (current_.kind != TokenKind::word) {
            is_of_sequence = has_folded(current_, "last_value") || has_folded(current_, "log_cnt") ||
                             has_folded(current_, "is_called");
        }
        if (is_of_sequence) demand(Reason::server_role);
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
            if (next_is_word(Keyword::update) || next_is_word(Keyword::share) || next_is_word(Keyword::no) ||
                next_is_word(Keyword::key)) {
                demand(Reason::row_lock);
            }
            break;
        case Keyword::into:
            if (!is_type_position_ && previous_.keyword != Keyword::insert &&
                previous_.keyword != Keyword::merge) {
                select_into();
            }
            break;
        case Keyword::with:
            if (current_.begin == query_begin_ || previous_.kind == TokenKind::left_paren) {
                levels_[depth_].in_with = true;
            }
            break;
        case Keyword::insert:
        case Keyword::update:
        case Keyword::delete_:
        case Keyword::merge:
            if (starts_data_modification()) {
                demand(Reason::write);
                levels_[depth_].in_with = false;
            }
            break;
        default: break;
    }
    if (is_uncallable(current_.keyword) && !is_type_position_ && !is_word(Keyword::select) &&
        !is_word(Keyword::as) && !is_word(Keyword::true_) && !is_word(Keyword::false_)) {
        is_conditional_ = true;
    }
}

/// Whether the current INSERT, UPDATE, DELETE or MERGE is one, and not a column or alias of that name.
bool Classifier::starts_data_modification() const {
    if (is_word(Keyword::insert) || is_word(Keyword::merge)) {
        if (!next_is_word(Keyword::into)) return false;
    } else if (is_word(Keyword::delete_)) {
        if (!next_is_word(Keyword::from)) return false;
    } else if (!is_name(next_)) {
        return false;
    }
    if (previous_.kind == TokenKind::left_paren || previous_.kind == TokenKind::right_paren) return true;
    return levels_[depth_].in_with && !is_cte_name();
}

void Classifier::select_into() {
    if (is_only_planned_) return;
    bool is_temporary = next_is_word(Keyword::temp) || next_is_word(Keyword::temporary);
    if (next_is_word(Keyword::local) || next_is_word(Keyword::global)) {
        Lexer ahead = lexer_;
        const Keyword keyword = ahead.next().keyword;
        is_temporary = keyword == Keyword::temp || keyword == Keyword::temporary;
    }
    if (is_temporary) {
        use_temporary();
    } else {
        demand(Reason::ddl);
    }
}

void Classifier::open(Level level) {
    advance();
    levels_[depth_] = level;
}

/// Parentheses that are not those of a call.
void Classifier::open_plain() {
    // Among the names of a WITH list, those that are not the body of a query are the main query.
    if (previous_.keyword != Keyword::as && previous_.keyword != Keyword::materialized) {
        levels_[depth_].in_with = false;
    }
    // A name after the end of parentheses is an alias or some syntax, never the name of a function, except in
    // DISTINCT ON (…) f(x), OPERATOR(…) f(x) and RETURNING WITH (…) f(x).
    const bool may_alias = previous_.keyword != Keyword::on && previous_.keyword != Keyword::operator_ &&
                           previous_.keyword != Keyword::with;
    open({.in_with = false, .may_alias = may_alias});
}

void Classifier::close() {
    closed_ = levels_[depth_];
    advance();
}

/// Whether a complete operand stands before the name: then it is an alias or some syntax, no call.
bool Classifier::is_after_operand() const {
    switch (previous_.kind) {
        case TokenKind::string:
        case TokenKind::number:
        case TokenKind::parameter:
        case TokenKind::right_bracket:
        case TokenKind::quoted:
        case TokenKind::unicode_quoted: return true;
        case TokenKind::right_paren: return closed_.may_alias;
        case TokenKind::word: return previous_.keyword == Keyword::ordinality;
        default: return false;
    }
}

/// Words that may name a function and that have a syntax with parentheses besides.
bool Classifier::is_syntax_with_parenthesis() {
    switch (current_.keyword) {
        case Keyword::by:
            return previous_.keyword == Keyword::group || previous_.keyword == Keyword::order ||
                   previous_.keyword == Keyword::partition;
        case Keyword::materialized: return previous_.keyword == Keyword::not_;
        case Keyword::sets: return previous_.keyword == Keyword::grouping;
        case Keyword::cube:
        case Keyword::rollup:
            return previous_.keyword == Keyword::by && before_previous_.keyword == Keyword::group;
        case Keyword::first:
        case Keyword::next: return previous_.keyword == Keyword::fetch;
        case Keyword::zone: return previous_.keyword == Keyword::time;
        case Keyword::varying:
            return has_folded(previous_, "character") || has_folded(previous_, "char") ||
                   has_folded(previous_, "bit") || has_folded(previous_, "nchar");
        case Keyword::join: return is_join_syntax();
        case Keyword::operator_: return is_operator_syntax();
        default:
            return previous_.keyword == Keyword::tablesample &&
                   (is_word(Keyword::system) || has_folded(current_, "bernoulli"));
    }
}

/// JOIN ( subquery, or after a word that only a JOIN can follow. Other parentheses might be a call's.
bool Classifier::is_join_syntax() {
    Lexer ahead = lexer_;
    const Keyword first = ahead.next().keyword;
    if (first == Keyword::select || first == Keyword::values || first == Keyword::with ||
        first == Keyword::table) {
        return true;
    }
    if (previous_.kind != TokenKind::word) return false;
    for (const char* word : {"left", "right", "full", "inner", "outer", "cross"}) {
        if (has_folded(previous_, word)) return true;
    }
    return false;
}

/// OPERATOR ( [schema .] operator ): unlike a call, nothing but the operator is before the closing
/// parenthesis.
bool Classifier::is_operator_syntax() const {
    constexpr int operator_bytes_max = 63;
    Lexer ahead = lexer_;
    Token token = ahead.next();
    while (is_name(token)) {
        if (ahead.next().kind != TokenKind::dot) return false;
        token = ahead.next();
    }
    for (int i = 0; i < operator_bytes_max; ++i) {
        if (token.kind != TokenKind::symbol && token.kind != TokenKind::equals) return false;
        token = ahead.next();
        if (token.kind == TokenKind::right_paren) return true;
    }
    return false;
}

}  // namespace holdfast::sql::postgres
