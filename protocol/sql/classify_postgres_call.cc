#include <algorithm>

#include "protocol/sql/classify_postgres.h"

// Calls of functions: what each means for where the statement runs and what it leaves behind.
namespace holdfast::sql::postgres {
namespace {

/// One argument of a call, as far as it is a literal or a parameter, perhaps with casts to a plain type.
struct Argument {
    Token token;
    Token after;  // the token after it
};

Argument read_argument(Lexer& lexer) {
    Argument argument;
    argument.token = lexer.next();
    argument.after = lexer.next();
    while (argument.after.kind == TokenKind::typecast) {
        if (lexer.next().kind != TokenKind::word) break;
        argument.after = lexer.next();
    }
    return argument;
}

bool is_true_text(std::string_view value) {
    return value == "t" || value == "true" || value == "on" || value == "1";
}
bool is_false_text(std::string_view value) {
    return value == "f" || value == "false" || value == "off" || value == "0";
}

/// The literal, spelled so that it means the same whatever standard_conforming_strings is. Empty: not
/// possible.
std::string portable_literal(std::string_view spelled, StringForm form, bool backslash_escapes) {
    const bool has_backslash = spelled.find('\\') != std::string_view::npos;
    switch (form) {
        case StringForm::escape:
        case StringForm::dollar: return std::string(spelled);
        case StringForm::plain: {
            if (!has_backslash) return std::string(spelled);
            std::string portable = "E";
            for (const char c : spelled) {
                if (c == '\\' && !backslash_escapes) portable += '\\';
                portable += c;
            }
            return portable;
        }
        case StringForm::unicode:
        case StringForm::bits: return {};
    }
    return {};
}

}  // namespace

bool reveals_role(std::string_view setting) {
    return setting == "transaction_read_only" || setting == "in_hot_standby" ||
           setting == "default_transaction_read_only";
}

bool is_transaction_setting(std::string_view setting) {
    return setting == "transaction_read_only" || setting == "transaction_isolation" ||
           setting == "transaction_deferrable";
}

void Classifier::call() {
    Identifier name;
    if (!name.read(text_, current_)) {
        unparsed();
    } else if (previous_.kind == TokenKind::dot) {
        Identifier schema;
        if (!is_name(before_previous_) || !schema.read(text_, before_previous_)) {
            demand(Reason::unknown_function);
        } else if (schema.value() == "pg_catalog") {
            call_of(find_function(name.value()));
        } else if (schema.value() != "information_schema" || !name.value().starts_with("_pg_")) {
            call_of_stranger(schema.value(), name.value());
        }
    } else {
        const FunctionClass function_class = find_function(name.value());
        const bool is_older_server_possible = function_class == FunctionClass::harmless_recent;
        if (function_class == FunctionClass::not_built_in) {
            call_of_stranger({}, name.value());
        } else if (is_older_server_possible && context_.functions != nullptr &&
                   context_.functions->find({}, name.value()) == FunctionCatalog::Verdict::may_write) {
            demand(Reason::writing_function);
        } else {
            call_of(function_class);
        }
    }
    advance();
    open({.in_with = false, .may_alias = true});
}

void Classifier::call_of_stranger(std::string_view schema, std::string_view name) {
    const auto verdict = context_.functions == nullptr ? FunctionCatalog::Verdict::unknown
                                                       : context_.functions->find(schema, name);
    switch (verdict) {
        case FunctionCatalog::Verdict::unknown: demand(Reason::unknown_function); break;
        case FunctionCatalog::Verdict::may_write:
            demand(find_function(name) == FunctionClass::outside_effect ? Reason::outside_effect
                                                                        : Reason::writing_function);
            break;
        case FunctionCatalog::Verdict::reads_only: break;
    }
}

void Classifier::call_of(FunctionClass function_class) {
    switch (function_class) {
        case FunctionClass::not_built_in: demand(Reason::unknown_function); break;
        case FunctionClass::harmless:
        case FunctionClass::harmless_recent: break;
        case FunctionClass::writing: demand(Reason::writing_function); break;
        case FunctionClass::sequence:
            demand(Reason::writing_function);
            effect_once(EffectKind::sequence);
            break;
        case FunctionClass::sequence_read: demand(Reason::server_local); break;
        case FunctionClass::advisory_lock:
            demand(Reason::advisory_lock);
            effect(EffectKind::advisory_lock, {}, column_of_call());
            break;
        case FunctionClass::advisory_lock_transaction: demand(Reason::advisory_lock); break;
        case FunctionClass::advisory_unlock:
            demand(Reason::advisory_lock);
            effect(EffectKind::advisory_unlock, {}, column_of_call());
            break;
        case FunctionClass::advisory_unlock_all:
            demand(Reason::advisory_lock);
            effect(EffectKind::advisory_unlock_all, {}, column_of_call());
            break;
        case FunctionClass::set_config: call_set_config(); break;
        case FunctionClass::current_setting: call_current_setting(); break;
        case FunctionClass::set_seed:
            demand(Reason::session_state);
            effect_once(EffectKind::set_opaque);
            break;
        case FunctionClass::runs_sql: call_with_sql(); break;
        case FunctionClass::stays: stays_ = true; break;
        case FunctionClass::server_local: demand(Reason::server_local); break;
        case FunctionClass::server_role: demand(Reason::server_role); break;
        case FunctionClass::outside_effect: demand(Reason::outside_effect); break;
    }
}

/// The result's column that holds what the call of the current name returned, where that is called exactly
/// once: in a SELECT of calls and nothing else. Empty: the text does not tell.
std::string Classifier::column_of_call() {
    if (!columns_are_known_) {
        columns_are_known_ = true;
        find_columns_of_calls();
    }
    const auto found = std::lower_bound(call_columns_.begin(), call_columns_.end(), current_.begin);
    if (found == call_columns_.end() || *found != current_.begin) return {};
    return std::to_string(found - call_columns_.begin());
}

/// Notes where the name of the function stands whose call makes up a column, for each.
void Classifier::find_columns_of_calls() {
    const auto unknown = [&] { call_columns_.clear(); };
    Lexer lexer(text_.substr(statement_->begin), {Dialect::postgres, !context_.standard_conforming_strings});
    if (lexer.next().keyword != Keyword::select) return;
    for (;;) {
        Token name = lexer.next();
        Token token = lexer.next();
        if (token.kind == TokenKind::dot && is_name(name)) {
            name = lexer.next();
            token = lexer.next();
        }
        if (!is_name(name) || token.kind != TokenKind::left_paren) return unknown();
        call_columns_.push_back(statement_->begin + name.begin);
        for (uint32_t depth = 1; depth > 0;) {
            token = lexer.next();
            if (token.kind == TokenKind::left_paren) ++depth;
            if (token.kind == TokenKind::right_paren) --depth;
            const bool is_end = token.kind == TokenKind::end || token.kind == TokenKind::bad ||
                                token.kind == TokenKind::semicolon;
            if (is_end || token.keyword == Keyword::select) return unknown();
        }
        token = lexer.next();
        if (token.keyword == Keyword::as) {
            lexer.next();
            token = lexer.next();
        }
        if (token.kind == TokenKind::comma) continue;
        if (token.kind != TokenKind::end && token.kind != TokenKind::semicolon) unknown();
        return;
    }
}

/// set_config(name, value, is_local): nothing stays when is_local is true; a SET when all three are
/// constants; else a change that can't be known.
void Classifier::call_set_config() {
    Lexer ahead = lexer_;
    const auto opaque = [&] {
        demand(Reason::session_state);
        effect_once(EffectKind::set_opaque);
    };
    const Argument name = read_argument(ahead);
    if (name.after.kind != TokenKind::comma) return opaque();
    const Argument value = read_argument(ahead);
    if (value.after.kind != TokenKind::comma) return opaque();
    const Argument is_local = read_argument(ahead);
    if (is_local.after.kind != TokenKind::right_paren) return opaque();

    bool is_simple = false;
    const std::string is_local_text = lower(simple_literal(text_, is_local.token, is_simple));
    if (is_local.token.keyword == Keyword::true_ || (is_simple && is_true_text(is_local_text))) {
        stays_ = true;
        stays_reason_ = Reason::session_state;
        return;
    }
    if (is_local.token.keyword != Keyword::false_ && !(is_simple && is_false_text(is_local_text)))
        return opaque();

    std::string key = lower(simple_literal(text_, name.token, is_simple));
    if (!is_simple || key.empty() || value.token.kind != TokenKind::string) return opaque();
    const std::string literal =
        portable_literal(text_of(value.token), value.token.form, !context_.standard_conforming_strings);
    if (literal.empty()) return opaque();
    const std::string replay = "SELECT pg_catalog.set_config('" + key + "'," + literal + ",false)";
    stays_ = true;
    stays_reason_ = Reason::session_state;
    note_setting(key, text_of(value.token));
    if (is_transaction_setting(key)) return;
    if (key == "session_authorization") key = "session authorization";
    effect(EffectKind::set, std::move(key), replay);
}

void Classifier::call_current_setting() {
    Lexer ahead = lexer_;
    const Argument name = read_argument(ahead);
    bool is_simple = false;
    const std::string_view setting = simple_literal(text_, name.token, is_simple);
    const bool is_known =
        is_simple && (name.after.kind == TokenKind::comma || name.after.kind == TokenKind::right_paren);
    if (!is_known || reveals_role(lower(setting))) demand(Reason::server_role);
}

/// query_to_xml('…') and the like run the text as a read-only query: a standby refuses what writes in it, but
/// not the calls that mean something else there.
void Classifier::call_with_sql() {
    Lexer ahead = lexer_;
    const Argument argument = read_argument(ahead);
    bool is_simple = false;
    const std::string_view sql = simple_literal(text_, argument.token, is_simple);
    if (!is_simple) return demand(Reason::unknown_function);
    Lexer inner(sql, {Dialect::postgres, !context_.standard_conforming_strings});
    Token before;
    for (Token token = inner.next(), following = inner.next(); token.kind != TokenKind::end;
         before = token, token = following, following = inner.next()) {
        if (token.kind == TokenKind::bad) return demand(Reason::unknown_function);
        if (following.kind != TokenKind::left_paren || !is_name(token)) continue;
        if (is_uncallable(token.keyword) || before.keyword == Keyword::into) continue;
        Identifier name;
        if (!name.read(sql, token) || find_function(name.value()) != FunctionClass::harmless ||
            before.kind == TokenKind::dot) {
            return demand(Reason::unknown_function);
        }
    }
}

}  // namespace holdfast::sql::postgres
