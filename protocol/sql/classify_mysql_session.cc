#include "protocol/base/limits.h"
#include "protocol/sql/classify_mysql.h"

// Statements besides SET that change the session's state: the schema, prepared statements, locks, handlers.
namespace holdfast::sql::mysql {

void Classifier::use() {
    decide(Destination::transaction, Reason::session_state);
    advance();
    const std::optional<std::string> schema = take_name();
    if (!schema) return unparsed();
    std::string replay = "USE `";
    for (const char c : *schema) {
        replay += c;
        if (c == '`') replay += c;
    }
    effect(EffectKind::set, "schema", replay + '`');
    finish_or_unparsed();
}

/// PREPARE name FROM 'text', or from a variable or an expression, which can't be replayed.
void Classifier::prepare() {
    advance();
    const std::optional<std::string> name = take_name();
    if (!name || !skip_word(Keyword::from) || at_end()) return unparsed();
    statement_->name = lower(*name);
    bool is_literal = true;
    while (!at_end()) {
        is_literal = is_literal && current_.kind == TokenKind::string;
        scan_token();
    }
    if (is_literal) {
        if (!is_demanding_) decide(Destination::transaction, Reason::session_state);
        effect_replayed_by_statement(EffectKind::prepare, lower(*name));
    } else {
        demand(Reason::session_state);
        effect_once(EffectKind::set_opaque);
        effect(EffectKind::prepare, lower(*name));
    }
}

/// EXECUTE name [USING …]: its destination is that of the prepared statement, but the arguments are evaluated
/// here.
void Classifier::execute() {
    advance();
    if (is_text("immediate") && next_.kind != TokenKind::end && next_.kind != TokenKind::semicolon &&
        !has_text(next_, "using")) {
        return execute_immediate();
    }
    const std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    statement_->name = lower(*name);
    statement_->executes_prepared = true;
    changes_reading_ = true;  // it may be a SET
    if (!at_end() && !is_text("using")) return unparsed();
    scan();
    if (!is_demanding_) decide(Destination::transaction, Reason::cursor);
}

/// EXECUTE IMMEDIATE 'text', which is a statement of its own.
void Classifier::execute_immediate() {
    advance();
    changes_reading_ = true;
    bool is_simple = false;
    const std::string_view inner = simple_literal(text_, current_, is_simple);
    advance();
    const bool is_whole = at_end() || is_text("using");
    scan();
    if (!is_simple || !is_whole) {
        demand(Reason::opaque);
        effect_once(EffectKind::set_opaque);
        return;
    }
    // A text without quotes holds no EXECUTE IMMEDIATE of a literal, so that this goes one level deep.
    Classification out;
    Context context = context_;
    context.truncated = false;
    Classifier(inner, context, out).run();
    if (out.statement_count != 1) return unparsed();
    const Statement& found = out.statements[0];
    if (found.destination == Destination::primary) {
        demand(found.reason);
    } else if (!is_demanding_) {
        decide(found.destination, found.reason);
    }
    statement_->control = found.control;
    statement_->is_opaque = statement_->is_opaque || found.is_opaque;
    statement_->may_commit = statement_->may_commit || found.may_commit;
    statement_->executes_prepared = found.executes_prepared;
    statement_->name = found.name;
    statement_->same_connection = statement_->same_connection || found.same_connection;
    statement_->prepares_xa = found.prepares_xa;
    if (statement_->unlocks != Statement::Unlocks::now) statement_->unlocks = found.unlocks;
    statement_->kill = found.kill;
    statement_->kill_id = found.kill_id;
    statement_->asks_connection_id = found.asks_connection_id;
    for (const Effect& each : found.effects) statement_->effects.push_back(each);
}

/// DEALLOCATE PREPARE name, or DROP PREPARE name; at the word before PREPARE.
void Classifier::deallocate() {
    decide(Destination::transaction, Reason::session_state);
    advance();
    if (!skip_word(Keyword::prepare)) return unparsed();
    const std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    statement_->name = lower(*name);
    effect(EffectKind::deallocate, lower(*name));
    finish_or_unparsed();
}

/// LOCK TABLES …, LOCK INSTANCE FOR BACKUP
void Classifier::lock() {
    demand(Reason::row_lock);
    statement_->may_commit = true;
    effect(EffectKind::table_lock);
}

void Classifier::unlock() {
    demand(Reason::row_lock);
    statement_->may_commit = true;
    effect(EffectKind::table_unlock);
}

/// FLUSH TABLES … WITH READ LOCK and … FOR EXPORT hold locks; other FLUSHes hold nothing.
void Classifier::flush() {
    administration();
    bool is_of_tables = false;
    while (!at_end()) {
        is_of_tables = is_of_tables || is_text("table") || is_text("tables");
        const bool is_lock = (is_word(Keyword::with) && next_is_word(Keyword::read)) ||
                             (is_word(Keyword::for_) && has_text(next_, "export"));
        if (is_lock && is_of_tables) {
            demand(Reason::row_lock);
            effect_once(EffectKind::table_lock);
        }
        advance();
    }
}

/// BACKUP STAGE …, BACKUP LOCK t, BACKUP UNLOCK
void Classifier::backup() {
    advance();
    if (is_word(Keyword::lock) || (is_text("stage") && !has_text(next_, "end"))) {
        lock();
    } else if (is_word(Keyword::unlock) || is_text("stage")) {
        unlock();
    } else {
        administration();
    }
}

/// HANDLER table OPEN [[AS] alias], HANDLER alias READ …, HANDLER alias CLOSE
void Classifier::handler() {
    demand(Reason::session_state);
    advance();
    std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    if (current_.kind == TokenKind::dot) {
        advance();
        name = take_name();
        if (!name) return unparsed();
    }
    if (skip_text("open")) {
        skip_word(Keyword::as);
        if (!at_end()) name = take_name();
        if (!name) return unparsed();
        effect(EffectKind::handler, lower(*name));
        finish_or_unparsed();
    } else if (skip_word(Keyword::close)) {
        effect(EffectKind::handler_close, lower(*name));
        finish_or_unparsed();
    } else {
        scan();
    }
}

}  // namespace holdfast::sql::mysql
