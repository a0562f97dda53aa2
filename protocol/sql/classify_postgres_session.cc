#include <algorithm>

#include "protocol/sql/classify_postgres.h"

// Statements that change or ask for the session's state: settings, prepared statements, notifications.
namespace holdfast::sql::postgres {
namespace {

bool is_true_value(std::string_view value) {
    return value == "on" || value == "true" || value == "t" || value == "1" || value == "yes" || value == "y";
}

}  // namespace

/// Reads a setting's name: parts with dots between, in lower case, since settings ignore case even in quotes.
/// The names with a syntax of their own are mapped to their settings.
std::optional<std::string> Classifier::take_setting_name() {
    if (is_word(Keyword::time) && next_is_word(Keyword::zone)) {
        advance();
        advance();
        return "timezone";
    }
    if (is_word(Keyword::session) && next_is_word(Keyword::authorization)) {
        advance();
        advance();
        return "session authorization";
    }
    if (is_word(Keyword::transaction) && next_is_word(Keyword::isolation)) {
        advance();
        advance();
        if (!skip_word(Keyword::level)) return std::nullopt;
        return "transaction_isolation";
    }
    std::optional<std::string> name = take_name();
    if (!name) return std::nullopt;
    while (current_.kind == TokenKind::dot) {
        advance();
        const std::optional<std::string> part = take_name();
        if (!part) return std::nullopt;
        *name += '.';
        *name += *part;
    }
    *name = lower(*name);
    if (*name == "session_authorization") return "session authorization";
    return name;
}

/// What a few settings mean beyond being recorded. `value` is the text of the new value, as it is spelled.
void Classifier::note_setting(std::string_view key, std::string_view value) {
    if (key == "standard_conforming_strings" || key == "backslash_quote") changes_string_syntax_ = true;
    if (key == "search_path" && lower(value).find("pg_temp") != std::string::npos) use_temporary();
}

void Classifier::set() {
    decide(Destination::transaction, Reason::session_state);
    advance();
    bool is_local = false;
    if (is_word(Keyword::local) && is_name(next_)) {
        is_local = true;
        advance();
    } else if (is_word(Keyword::session) && is_name(next_) && !next_is_word(Keyword::to) &&
               !next_is_word(Keyword::authorization) && !next_is_word(Keyword::characteristics)) {
        advance();
    }
    if (is_word(Keyword::transaction) && is_name(next_)) return set_transaction();
    if (is_word(Keyword::constraints) && is_name(next_)) {
        statement_->control = Control::set_transaction_other;
        return;
    }
    if (is_word(Keyword::session) && next_is_word(Keyword::characteristics)) {
        return set_to_the_rest(EffectKind::set, "session characteristics", is_local);
    }
    // Settings whose value follows without TO or =.
    const bool has_value_next =
        next_.kind == TokenKind::string || (is_name(next_) && !next_is_word(Keyword::to));
    if (has_value_next) {
        std::string key;
        if (is_word(Keyword::names)) key = "client_encoding";
        if (is_word(Keyword::role)) key = "role";
        if (is_word(Keyword::schema)) key = "search_path";
        if (is_word(Keyword::xml) && next_is_word(Keyword::option)) key = "xmloption";
        if (!key.empty()) {
            advance();
            return set_to_the_rest(EffectKind::set, std::move(key), is_local);
        }
    }
    const bool has_own_syntax = is_word(Keyword::time) || is_word(Keyword::session);
    std::optional<std::string> name = take_setting_name();
    if (!name) return unparsed();
    if (current_.kind == TokenKind::equals || is_word(Keyword::to)) {
        advance();
    } else if (!has_own_syntax) {
        return unparsed();
    }
    set_to_the_rest(EffectKind::set, std::move(*name), is_local);
}

/// The rest of the statement is the value of `key`.
void Classifier::set_to_the_rest(EffectKind kind, std::string key, bool is_local) {
    if (at_end()) return unparsed();
    const bool is_default =
        is_word(Keyword::default_) || (key == "timezone" && is_word(Keyword::local));  // SET TIME ZONE LOCAL
    const Token first = current_;
    while (!at_end() && current_.kind != TokenKind::bad) advance();
    const std::string_view value = text_.substr(first.begin, previous_.end - first.begin);
    if (!is_local) note_setting(key, value);
    if (is_local || is_transaction_setting(key)) {
        bool is_simple = false;
        const std::string literal = lower(simple_literal(text_, first, is_simple));
        const bool is_on = is_true_value(is_simple ? literal : lower(text_of(first)));
        const bool is_read_only = key == "transaction_read_only" && is_on;
        statement_->control =
            is_read_only ? Control::set_transaction_read_only : Control::set_transaction_other;
        return;
    }
    effect_replayed_by_statement(is_default ? EffectKind::reset : kind, std::move(key));
}

void Classifier::reset() {
    decide(Destination::transaction, Reason::session_state);
    advance();
    if (is_word(Keyword::all)) {
        advance();
        effect(EffectKind::reset_all);
        changes_string_syntax_ = true;
        return finish_or_unparsed();
    }
    std::optional<std::string> name = take_setting_name();
    if (!name) return unparsed();
    if (is_transaction_setting(*name)) {
        statement_->control = Control::set_transaction_other;
    } else {
        note_setting(*name, {});
        effect_replayed_by_statement(EffectKind::reset, std::move(*name));
    }
    finish_or_unparsed();
}

void Classifier::show() {
    decide(Destination::transaction, Reason::session_state);
    advance();
    if (skip_word(Keyword::all)) return finish_or_unparsed();
    const std::optional<std::string> name = take_setting_name();
    if (!name) return unparsed();
    if (reveals_role(*name)) demand(Reason::server_role);
    finish_or_unparsed();
}

void Classifier::discard() {
    decide(Destination::transaction, Reason::session_state);
    advance();
    if (is_word(Keyword::all)) {
        effect(EffectKind::discard_all);
        changes_string_syntax_ = true;
    } else if (is_word(Keyword::temp) || is_word(Keyword::temporary)) {
        effect(EffectKind::discard_temp);
    } else if (!is_word(Keyword::plans) && !is_word(Keyword::sequences)) {
        return unparsed();
    }
    advance();
    finish_or_unparsed();
}

void Classifier::listen() {
    advance();
    std::optional<std::string> channel = take_name();
    if (!channel) return unparsed();
    demand(Reason::notification);
    effect_replayed_by_statement(EffectKind::listen, std::move(*channel));
    finish_or_unparsed();
}

void Classifier::unlisten() {
    decide(Destination::transaction, Reason::notification);
    advance();
    if (current_.kind == TokenKind::symbol && text_of(current_) == "*") {
        advance();
        effect(EffectKind::unlisten_all);
    } else {
        std::optional<std::string> channel = take_name();
        if (!channel) return unparsed();
        effect(EffectKind::unlisten, std::move(*channel));
    }
    finish_or_unparsed();
}

void Classifier::notify() {
    demand(Reason::notification);
}

void Classifier::prepare() {
    advance();
    if (is_word(Keyword::transaction) && next_.kind == TokenKind::string) return prepare_transaction();
    std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    while (!at_end() && !(depth_ == 0 && is_word(Keyword::as))) advance();
    if (!skip_word(Keyword::as) || at_end()) return unparsed();
    decide(Destination::transaction, Reason::session_state);
    statement_->name = *name;
    effect_replayed_by_statement(EffectKind::prepare, std::move(*name));
}

/// EXECUTE name [(arguments)]: its destination is that of the prepared statement, but the arguments are
/// evaluated here, and may call anything.
void Classifier::execute() {
    advance();
    std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    statement_->name = std::move(*name);
    statement_->executes_prepared = true;
    if (current_.kind == TokenKind::left_paren) scan(Extent::parentheses);
    if (!is_demanding_) decide(Destination::transaction, Reason::cursor);
}

void Classifier::deallocate() {
    decide(Destination::transaction, Reason::session_state);
    advance();
    if (is_name(next_)) skip_word(Keyword::prepare);
    if (skip_word(Keyword::all)) {
        effect(EffectKind::deallocate_all);
    } else {
        std::optional<std::string> name = take_name();
        if (!name) return unparsed();
        statement_->name = *name;
        effect(EffectKind::deallocate, std::move(*name));
    }
    finish_or_unparsed();
}

}  // namespace holdfast::sql::postgres
