#include "protocol/sql/classifier_base.h"

#include <algorithm>

#include "protocol/sql/characters.h"

namespace holdfast::sql {

std::string lower(std::string_view text) {
    std::string folded(text);
    for (char& c : folded) c = characters::lower(c);
    return folded;
}

void reset(Statement& statement) {
    statement.destination = Destination::primary;
    statement.reason = Reason::unparsed;
    statement.control = Control::none;
    statement.executes_prepared = false;
    statement.name.clear();
    statement.effects.clear();
    statement.same_connection = false;
    statement.is_hinted_read = false;
    statement.is_opaque = false;
    statement.may_commit = false;
    statement.asks_connection_id = false;
    statement.is_set_statement = false;
    statement.prepares_xa = false;
    statement.unlocks = Statement::Unlocks::none;
    statement.kill = Statement::Kill::none;
    statement.kill_id = 0;
}

ClassifierBase::ClassifierBase(std::string_view text, const Context& context, Classification& out,
                               LexerRules rules)
    : text_(text), context_(context), out_(out), lexer_(text, rules) {
    current_ = lexer_.next();
    next_ = lexer_.next();
}

/// Whether the current name is one that a WITH list defines.
bool ClassifierBase::is_cte_name() const {
    return levels_[depth_].in_with &&
           (previous_.keyword == Keyword::with || previous_.keyword == Keyword::recursive ||
            previous_.kind == TokenKind::comma);
}

void ClassifierBase::begin_statement() {
    if (out_.statement_count == out_.statements.size()) out_.statements.emplace_back();
    statement_ = &out_.statements[out_.statement_count++];
    reset(*statement_);
    statement_->begin = current_.begin;
    is_demanding_ = false;
    is_only_planned_ = false;
    is_broken_ = false;
    has_from_ = false;
    effects_seen_ = 0;
    own_replay_.reset();
    depth_ = 0;
    levels_[0] = {};
    closed_ = {};
}

/// The end of a statement is unknown when the text is cut there, and so is what it would replay.
void ClassifierBase::end_statement_cut() {
    const bool is_cut = context_.truncated && current_.kind == TokenKind::end;
    if (!is_cut) return;
    for (Effect& effect : statement_->effects) effect.replay.clear();
    decide(Destination::primary, Reason::too_long);
}

/// The message goes where its most restrictive statement must.
void ClassifierBase::decide_message() {
    const auto rank = [](Destination destination) {
        switch (destination) {
            case Destination::transaction: return 0;
            case Destination::replica: return 1;
            case Destination::primary: return 2;
        }
        return 2;
    };
    out_.destination = Destination::transaction;
    out_.reason = Reason::empty;
    out_.has_effects = false;
    out_.has_control = false;
    out_.same_connection = false;
    for (uint32_t i = 0; i < out_.statement_count; ++i) {
        const Statement& statement = out_.statements[i];
        out_.has_effects = out_.has_effects || !statement.effects.empty();
        out_.has_control = out_.has_control || statement.control != Control::none;
        out_.same_connection = out_.same_connection || statement.same_connection;
        if (i > 0 && rank(statement.destination) <= rank(out_.destination)) continue;
        out_.destination = statement.destination;
        out_.reason = statement.reason;
    }
    if (context_.truncated) {
        out_.destination = Destination::primary;
        out_.reason = Reason::too_long;
    }
}

bool is_hard(Reason reason) {
    switch (reason) {
        case Reason::write:
        case Reason::ddl:
        case Reason::row_lock:
        case Reason::writing_function:
        case Reason::outside_effect:
        case Reason::explain_write:
        case Reason::begin:
        case Reason::serializable:
        case Reason::notification:
        case Reason::temporary:
        case Reason::opaque:
        case Reason::copy_in:
        case Reason::session_state:
        case Reason::transaction_control:
        case Reason::unparsed:
        case Reason::too_long: return true;
        case Reason::read:
        case Reason::empty:
        case Reason::cursor:
        case Reason::read_only_transaction:
        case Reason::unknown_function:
        case Reason::advisory_lock:
        case Reason::server_role:
        case Reason::server_local:
        case Reason::hint: return false;
    }
    return true;
}

void ClassifierBase::advance() {
    if (current_.kind == TokenKind::left_paren) {
        if (depth_ == static_cast<uint32_t>(limits::sql_nesting_max)) {
            is_broken_ = true;  // too deep: read no further
            next_ = {};
            lexer_ = Lexer({}, {});
        } else {
            levels_[++depth_] = {};
        }
    } else if (current_.kind == TokenKind::right_paren) {
        if (depth_ > 0) {
            --depth_;
        } else {
            is_broken_ = true;
        }
    } else if (current_.kind == TokenKind::bad) {
        is_broken_ = true;
    }
    before_previous_ = previous_;
    previous_ = current_;
    current_ = next_;
    next_ = lexer_.next();
}

bool ClassifierBase::skip_word(Keyword keyword) {
    if (!is_word(keyword)) return false;
    advance();
    return true;
}

void ClassifierBase::decide(Destination destination, Reason reason) {
    statement_->destination = destination;
    statement_->reason = reason;
}

/// The statement must run on the primary. The first reason stays, unless a later one is harder.
void ClassifierBase::demand(Reason reason) {
    statement_->is_hinted_read = false;
    if (is_only_planned_ && reason != Reason::temporary && reason != Reason::unparsed) return;
    statement_->is_opaque = statement_->is_opaque || reason == Reason::opaque;
    statement_->may_commit = statement_->may_commit || reason == Reason::opaque || reason == Reason::unparsed;
    if (is_demanding_ && (is_hard(statement_->reason) || !is_hard(reason)) && reason != Reason::unparsed)
        return;
    is_demanding_ = true;
    decide(Destination::primary, reason);
}

/// For statements that are understood whole or not at all: anything left makes this one the latter.
void ClassifierBase::finish_or_unparsed() {
    if (at_end()) return;
    unparsed();
    statement_->control = Control::none;
    statement_->effects.clear();
    own_replay_.reset();
}

void ClassifierBase::control(Control control, Destination destination, Reason reason) {
    statement_->control = control;
    decide(destination, reason);
    finish_or_unparsed();
}

void ClassifierBase::effect(EffectKind kind, std::string key, std::string replay) {
    if (is_only_planned_ && kind != EffectKind::temporary) return;
    statement_->effects.push_back({kind, std::move(key), std::move(replay)});
}

void ClassifierBase::effect_once(EffectKind kind) {
    const uint32_t bit = uint32_t{1} << static_cast<uint32_t>(kind);
    if ((effects_seen_ & bit) != 0) return;
    effects_seen_ |= bit;
    effect(kind);
}

void ClassifierBase::effect_replayed_by_statement(EffectKind kind, std::string key) {
    own_replay_ = statement_->effects.size();
    effect(kind, std::move(key));
}

void ClassifierBase::apply_hint(Hint hint) {
    if (hint == Hint::none) return;
    Statement& statement = *statement_;
    const bool is_bound =
        statement.destination == Destination::transaction && statement.control != Control::none;
    if (hint == Hint::primary) {
        if (statement.destination == Destination::replica && statement.control == Control::none)
            statement.is_hinted_read = true;
        if (!is_bound) decide(Destination::primary, Reason::hint);
    } else if (statement.destination == Destination::primary && !is_hard(statement.reason)) {
        decide(Destination::replica, Reason::hint);
    } else if (statement.destination == Destination::replica && statement.control == Control::none) {
        statement.reason = Reason::hint;
    }
}

}  // namespace holdfast::sql
