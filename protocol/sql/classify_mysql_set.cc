#include <algorithm>
#include <iterator>

#include "protocol/sql/characters.h"
#include "protocol/sql/classify_mysql.h"

// SET in all its forms.
// spec    MySQL Reference Manual, "SET Syntax for Variable Assignment"; MariaDB documentation, "SET
// STATEMENT"
namespace holdfast::sql::mysql {
namespace {

// Variables that are of the next statement only, or that count on: there is no value to replay.
constexpr std::string_view consumed_variables[] = {"gtid_next",      "gtid_seq_no", "identity",  "insert_id",
                                                   "last_insert_id", "rand_seed1",  "rand_seed2"};
static_assert(std::is_sorted(std::begin(consumed_variables), std::end(consumed_variables)));

// Variables that say how the next statements write.
constexpr std::string_view writer_variables[] = {
    "binlog_format", "gtid_domain_id",   "pseudo_replica_mode", "pseudo_slave_mode", "pseudo_thread_id",
    "server_id",     "skip_replication", "sql_log_bin",         "timestamp"};
static_assert(std::is_sorted(std::begin(writer_variables), std::end(writer_variables)));

template <typename Names>
bool has(const Names& names, std::string_view name) {
    return std::binary_search(std::begin(names), std::end(names), name);
}

/// The key that a variable's effect has: SET SESSION TRANSACTION sets some of them too.
std::string_view key_of(std::string_view name) {
    if (name == "tx_isolation" || name == "transaction_isolation") return "transaction isolation";
    if (name == "tx_read_only" || name == "transaction_read_only") return "transaction access";
    return name;
}

bool is_transaction_key(std::string_view key) {
    return key == "transaction isolation" || key == "transaction access";
}

/// Words that are values which differ each time, as in SET timestamp = CURRENT_TIMESTAMP.
bool is_computed_word(std::string_view word) {
    return word.starts_with("current_") || word.starts_with("localtime") || word.starts_with("utc_");
}

}  // namespace

/// SET STATEMENT variable = value, … FOR, at the word SET: what follows is a statement of its own, and the
/// variables are set while it runs only.
void Classifier::take_set_statement() {
    is_set_statement_ = true;
    statement_->is_set_statement = true;
    advance();
    advance();
    const uint32_t begin = current_.begin;
    while (!at_end() && !is_in_set_statement()) {
        const Value value = take_value();
        if (current_.kind == TokenKind::comma) advance();
        if (value.kind == Value::Kind::missing && !is_in_set_statement() && !at_end()) advance();
    }
    if (mentions(begin, current_.begin, "read_only")) statement_->unlocks = Statement::Unlocks::now;
    skip_word(Keyword::for_);
    stays_ = false;
}

void Classifier::set() {
    advance();
    if (set_special()) return;
    Scope sticky = Scope::none;
    for (;;) {
        set_item(sticky);
        if (current_.kind != TokenKind::comma) break;
        advance();
    }
    if (!at_end()) unparsed();
    if (has_from_) {
        const auto is_unknown = [](const Effect& e) {
            return e.kind == EffectKind::user_variables || e.kind == EffectKind::set_opaque;
        };
        // A value from a table is to be fresh.
        if (std::any_of(statement_->effects.begin(), statement_->effects.end(), is_unknown)) {
            demand(Reason::session_state);
        }
    }
    if (!is_demanding_) decide(Destination::transaction, Reason::session_state);
}

/// The forms that are no list of assignments. Returns whether it was one.
bool Classifier::set_special() {
    const bool is_assignment =
        next_.kind == TokenKind::equals || next_.kind == TokenKind::assign || next_.kind == TokenKind::dot;
    if (is_text("password")) {
        ddl();
    } else if (is_assignment) {
        return false;
    } else if (is_word(Keyword::default_) && next_is_word(Keyword::role)) {
        ddl();
    } else if (is_text("resource")) {
        administration();
        effect(EffectKind::set_opaque);
    } else if (is_word(Keyword::role)) {
        decide(Destination::transaction, Reason::session_state);
        effect_replayed_by_statement(EffectKind::set, "role");
        if (next_.kind == TokenKind::end || next_.kind == TokenKind::semicolon) unparsed();
    } else if (is_word(Keyword::transaction)) {
        set_transaction(Scope::none);
    } else if ((is_word(Keyword::global) || is_word(Keyword::session) || is_word(Keyword::local)) &&
               next_is_word(Keyword::transaction)) {
        const Scope scope = is_word(Keyword::global) ? Scope::global : Scope::session;
        advance();
        set_transaction(scope);
    } else {
        return false;
    }
    return true;
}

bool Classifier::skip_equals() {
    if (current_.kind != TokenKind::equals && current_.kind != TokenKind::assign) return false;
    advance();
    return true;
}

/// One assignment of a list. A scope holds for the names that follow without one.
void Classifier::set_item(Scope& sticky) {
    const bool is_assignment = next_.kind == TokenKind::equals || next_.kind == TokenKind::assign;
    if (!is_assignment && (is_word(Keyword::names) || is_text("charset") || is_text("character"))) {
        return set_names();
    }
    if (current_.kind == TokenKind::user_variable) return set_user_variable();
    if (current_.kind == TokenKind::system_variable) return set_at_variable();
    const bool is_persist = is_text("persist") || is_text("persist_only");
    const bool has_scope =
        !is_assignment && next_.kind != TokenKind::dot &&
        (is_word(Keyword::global) || is_word(Keyword::session) || is_word(Keyword::local) || is_persist);
    if (has_scope) {
        sticky = is_word(Keyword::global) || is_persist ? Scope::global : Scope::session;
        advance();
    }
    const std::optional<std::string> name = take_variable_name();
    if (!name) return unparsed();
    set_variable(*name, sticky, /*is_unscoped_at=*/false);
}

/// Reads a system variable's name, perhaps with a component's before it. None has a name that needs quotes.
std::optional<std::string> Classifier::take_variable_name() {
    std::string name;
    for (;;) {
        const std::optional<std::string> part = take_name();
        if (!part || part->empty()) return std::nullopt;
        const bool is_plain = std::all_of(part->begin(), part->end(), [](char c) {
            return characters::is(c, characters::word_part) && static_cast<uint8_t>(c) < 0x80;
        });
        if (!is_plain) return std::nullopt;
        if (name.empty() && part->size() <= mysql_keyword_bytes_max &&
            find_mysql_keyword(*part) != Keyword::none) {
            return std::nullopt;
        }
        name += lower(*part);
        if (current_.kind != TokenKind::dot) return name;
        advance();
        name += '.';
    }
}

/// NAMES … and CHARACTER SET …
void Classifier::set_names() {
    const uint32_t begin = current_.begin;
    const bool in_executable_comment = current_.in_executable_comment;
    const auto take_charset = [&] {
        const bool is_there = current_.kind == TokenKind::word || current_.kind == TokenKind::string ||
                              current_.kind == TokenKind::quoted;
        if (is_there) advance();
        return is_there;
    };
    // NAMES or CHARSET, or CHARACTER SET
    const bool is_two_words = is_text("character");
    advance();
    if (is_two_words && !skip_word(Keyword::set)) return unparsed();
    if (!take_charset()) return unparsed();
    if (skip_text("collate") && !take_charset()) return unparsed();
    if (!at_item_end()) return unparsed();
    changes_reading_ = true;
    effect(EffectKind::set, "names", "SET " + replay_text(begin, previous_.end, in_executable_comment));
}

/// @name = value
void Classifier::set_user_variable() {
    const std::string spelled(text_of(current_));
    const std::string name = lower(unquoted(current_));
    advance();
    if (!skip_equals()) return unparsed();
    const Value value = take_value();
    if (value.kind == Value::Kind::missing) return unparsed();
    // The server folds the letters of all scripts: only keys of ASCII are sure to be those of one variable.
    const bool is_ascii =
        std::all_of(name.begin(), name.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
    const bool is_constant =
        value.kind == Value::Kind::number_or_string || value.kind == Value::Kind::constant_word;
    if (is_constant && is_ascii) {
        effect(EffectKind::user_variable, name, "SET " + spelled + " = " + value.spelled);
    } else {
        effect_once(EffectKind::user_variables);
    }
}

/// @@[scope.]name = value
void Classifier::set_at_variable() {
    advance();
    const bool is_persist = is_text("persist") || is_text("persist_only");
    const bool is_global = is_word(Keyword::global) || is_persist;
    const bool is_session = is_word(Keyword::session) || is_word(Keyword::local);
    Scope scope = Scope::none;
    if (next_.kind == TokenKind::dot && (is_global || is_session)) {
        scope = is_global ? Scope::global : Scope::session;
        advance();
        advance();
    }
    const std::optional<std::string> name = take_variable_name();
    if (!name) return unparsed();
    set_variable(*name, scope, scope == Scope::none);
}

/// The rest of an assignment to a system variable, from the equals sign.
void Classifier::set_variable(std::string_view name, Scope scope, bool is_unscoped_at) {
    if (!skip_equals()) return unparsed();
    const Value value = take_value();
    if (value.kind == Value::Kind::missing) return unparsed();
    if (scope == Scope::global) return administration();
    if (name == "autocommit" && value.spelled != "0") statement_->may_commit = true;
    std::string key(key_of(name));
    if (name == "sql_mode" || name == "character_set_client") changes_reading_ = true;
    if (has(consumed_variables, name)) {
        demand(Reason::session_state);
        return effect(EffectKind::set_opaque, std::move(key));
    }
    if (has(writer_variables, name)) demand(Reason::session_state);
    const bool is_access = key == "transaction access";
    if (is_access && value.spelled != "1") unlock(is_unscoped_at);
    const bool is_tracking = name.starts_with("session_track_");
    if (value.kind == Value::Kind::expression) {
        return effect(is_tracking ? EffectKind::tracking : EffectKind::set_opaque, std::move(key));
    }
    if (is_unscoped_at && is_transaction_key(key)) {
        // Unlike all others, these are then of the next transaction only.
        return effect(EffectKind::next_transaction, {}, "SET @@" + std::string(name) + " = " + value.spelled);
    }
    effect(is_tracking ? EffectKind::tracking : EffectKind::set, std::move(key),
           "SET SESSION " + std::string(name) + " = " + value.spelled);
}

/// The session may write from now on, or in its next transaction.
void Classifier::unlock(bool is_next_only) {
    using Unlocks = Statement::Unlocks;
    if (statement_->unlocks != Unlocks::now)
        statement_->unlocks = is_next_only ? Unlocks::now : Unlocks::later;
}

/// Reads the value of an assignment, to the comma or the end behind it.
Classifier::Value Classifier::take_value() {
    Value value;
    const Token first = current_;
    while (!at_item_end()) scan_token();
    if (current_.begin == first.begin) return value;
    value.kind = Value::Kind::expression;
    const bool is_single = previous_.begin == first.begin;
    const bool is_signed = first.kind == TokenKind::symbol && previous_.kind == TokenKind::number &&
                           before_previous_.begin == first.begin &&
                           (text_of(first) == "-" || text_of(first) == "+");
    if (is_signed) {
        value.kind = Value::Kind::number_or_string;
        value.spelled = std::string(text_of(first)) + std::string(text_of(previous_));
        return value;
    }
    if (!is_single) return value;
    value.spelled = text_of(first);
    switch (first.kind) {
        case TokenKind::number: value.kind = Value::Kind::number_or_string; break;
        case TokenKind::string:
        case TokenKind::quoted: {
            value.kind = first.kind == TokenKind::string ? Value::Kind::number_or_string : Value::Kind::word;
            const std::string inner = unquoted(first);
            // Double quotes mean something else when sql_mode has changed.
            if (value.spelled[0] == '"' && inner.find_first_of("'\"\\") == std::string::npos) {
                value.spelled = '\'' + inner + '\'';
            }
            break;
        }
        case TokenKind::word: {
            const std::string word = lower(text_of(first));
            const bool is_constant = word == "null" || word == "true" || word == "false";
            if (is_constant) {
                value.kind = Value::Kind::constant_word;
            } else if (!is_computed_word(word)) {
                value.kind = Value::Kind::word;
            }
            break;
        }
        default: break;
    }
    return value;
}

/// [GLOBAL | SESSION] TRANSACTION …, at the word TRANSACTION.
void Classifier::set_transaction(Scope scope) {
    advance();
    if (at_end()) return unparsed();
    if (scope == Scope::global) {
        administration();
    } else {
        decide(Destination::transaction, Reason::session_state);
    }
    if (scope == Scope::none) effect_replayed_by_statement(EffectKind::next_transaction, {});
    for (;;) {
        const uint32_t begin = current_.begin;
        std::string_view key = "transaction access";
        std::string mode = "READ ";
        if (skip_word(Keyword::isolation)) {
            key = "transaction isolation";
            mode = "ISOLATION LEVEL";
            skip_word(Keyword::level);
            while (current_.kind == TokenKind::word) {
                mode += ' ' + std::string(text_of(current_));
                advance();
            }
        } else if (skip_word(Keyword::read) && (is_word(Keyword::only) || is_word(Keyword::write))) {
            if (is_word(Keyword::write) && scope != Scope::global) unlock(scope == Scope::none);
            mode += text_of(current_);
            advance();
        }
        if (current_.begin == begin) break;
        if (scope == Scope::session)
            effect(EffectKind::set, std::string(key), "SET SESSION TRANSACTION " + mode);
        if (current_.kind != TokenKind::comma) break;
        advance();
    }
    finish_or_unparsed();
}

}  // namespace holdfast::sql::mysql
