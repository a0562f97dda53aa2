#include "protocol/sql/classify_mysql.h"

// Statements that begin and end transactions.
namespace holdfast::sql::mysql {

/// BEGIN [WORK]; with anything else behind it, it is a block of statements.
void Classifier::begin_transaction() {
    advance();
    skip_word(Keyword::work);
    if (at_end()) return control(Control::begin, Destination::primary, Reason::begin);
    demand(Reason::opaque);
    body();
}

void Classifier::start() {
    advance();
    // START SLAVE, START REPLICA, START GROUP_REPLICATION
    if (!skip_word(Keyword::transaction)) return administration();
    bool is_read_only = false;
    bool is_read_write = false;
    while (!at_end()) {
        if (is_word(Keyword::with)) {
            // WITH CONSISTENT SNAPSHOT
            advance();
            if (!skip_text("consistent") || !skip_word(Keyword::snapshot)) return unparsed();
        } else if (skip_word(Keyword::read)) {
            is_read_only = is_read_only || is_word(Keyword::only);
            is_read_write = is_read_write || is_word(Keyword::write);
            if (!skip_word(Keyword::only) && !skip_word(Keyword::write)) return unparsed();
        } else {
            return unparsed();
        }
        if (current_.kind == TokenKind::comma) advance();
    }
    if (is_read_write) statement_->unlocks = Statement::Unlocks::now;
    if (is_read_only && !is_read_write) {
        control(Control::begin_read_only, Destination::replica, Reason::read_only_transaction);
    } else {
        control(Control::begin, Destination::primary, Reason::begin);
    }
}

/// Reads [AND [NO] CHAIN] [[NO] RELEASE].
std::optional<Control> Classifier::take_completion(Control alone, Control chained) {
    Control found = alone;
    if (skip_word(Keyword::and_)) {
        if (!skip_word(Keyword::no)) found = chained;
        if (!skip_word(Keyword::chain)) return std::nullopt;
    }
    const bool has_no = skip_word(Keyword::no);
    if (!skip_word(Keyword::release) && has_no) return std::nullopt;
    return found;
}

void Classifier::commit() {
    advance();
    skip_word(Keyword::work);
    const auto found = take_completion(Control::commit, Control::commit_and_chain);
    if (!found) return unparsed();
    control(*found, Destination::transaction, Reason::transaction_control);
}

void Classifier::rollback() {
    advance();
    skip_word(Keyword::work);
    if (skip_text("to")) {
        if (next_.kind == TokenKind::word || next_.kind == TokenKind::quoted) skip_word(Keyword::savepoint);
        const std::optional<std::string> name = take_name();
        if (!name) return unparsed();
        statement_->name = lower(*name);
        return control(Control::rollback_to, Destination::transaction, Reason::transaction_control);
    }
    const auto found = take_completion(Control::rollback, Control::rollback_and_chain);
    if (!found) return unparsed();
    control(*found, Destination::transaction, Reason::transaction_control);
}

void Classifier::savepoint() {
    advance();
    const std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    statement_->name = lower(*name);
    control(Control::savepoint, Destination::transaction, Reason::transaction_control);
}

void Classifier::release() {
    advance();
    if (!skip_word(Keyword::savepoint)) return unparsed();
    const std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    statement_->name = lower(*name);
    control(Control::release, Destination::transaction, Reason::transaction_control);
}

/// XA: the server's answers tell what becomes of the transaction.
void Classifier::xa() {
    advance();
    statement_->prepares_xa = is_word(Keyword::prepare);
    statement_->may_commit = statement_->prepares_xa || is_word(Keyword::commit);
    demand(is_word(Keyword::start) || is_word(Keyword::begin) ? Reason::begin : Reason::transaction_control);
}

}  // namespace holdfast::sql::mysql
