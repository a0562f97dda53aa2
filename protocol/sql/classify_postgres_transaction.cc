#include "protocol/sql/classify_postgres.h"

// Statements that begin, end and shape transactions.
namespace holdfast::sql::postgres {

void Classifier::begin_transaction() {
    advance();
    if (!skip_word(Keyword::work)) skip_word(Keyword::transaction);
    const Modes modes = take_transaction_modes();
    if (modes.is_serializable) {
        control(Control::begin, Destination::primary, Reason::serializable);
    } else if (modes.is_read_only) {
        control(Control::begin_read_only, Destination::replica, Reason::read_only_transaction);
    } else {
        control(Control::begin, Destination::primary, Reason::begin);
    }
}

void Classifier::start_transaction() {
    if (!next_is_word(Keyword::transaction)) return unparsed();
    advance();
    begin_transaction();
}

/// Reads ISOLATION LEVEL …, READ ONLY, READ WRITE and [NOT] DEFERRABLE, with or without commas; of
/// contradicting ones the last wins.
Classifier::Modes Classifier::take_transaction_modes() {
    Modes modes;
    for (;;) {
        if (is_word(Keyword::isolation) && next_is_word(Keyword::level)) {
            advance();
            advance();
            modes.is_serializable = is_word(Keyword::serializable);
            const bool is_two_words =
                !modes.is_serializable;  // REPEATABLE READ, READ COMMITTED, READ UNCOMMITTED
            advance();
            if (is_two_words && !at_end()) advance();
        } else if (is_word(Keyword::read) && (next_is_word(Keyword::only) || next_is_word(Keyword::write))) {
            modes.is_read_only = next_is_word(Keyword::only);
            advance();
            advance();
        } else if (is_word(Keyword::deferrable)) {
            advance();
        } else if (is_word(Keyword::not_) && next_is_word(Keyword::deferrable)) {
            advance();
            advance();
        } else if (current_.kind == TokenKind::comma) {
            advance();
        } else {
            return modes;
        }
    }
}

/// COMMIT PREPARED 'x' and ROLLBACK PREPARED 'x'.
void Classifier::prepared_transaction() {
    advance();
    if (current_.kind != TokenKind::string) return unparsed();
    advance();
    control(Control::commit_prepared, Destination::primary, Reason::transaction_control);
}

/// Reads [AND [NO] CHAIN].
std::optional<Control> Classifier::take_chain(Control alone, Control chained) {
    if (at_end()) return alone;
    if (text_of(current_).size() != 3 || !has_folded(current_, "and")) return std::nullopt;
    advance();
    const bool is_chain = !skip_word(Keyword::no);
    if (!skip_word(Keyword::chain)) return std::nullopt;
    return is_chain ? chained : alone;
}

void Classifier::commit() {
    const bool is_commit = is_word(Keyword::commit);
    advance();
    if (is_commit && is_word(Keyword::prepared)) return prepared_transaction();
    if (!skip_word(Keyword::work)) skip_word(Keyword::transaction);
    const auto found = take_chain(Control::commit, Control::commit_and_chain);
    if (!found) return unparsed();
    control(*found, Destination::transaction, Reason::transaction_control);
}

void Classifier::rollback() {
    const bool is_rollback = is_word(Keyword::rollback);
    advance();
    if (is_rollback && is_word(Keyword::prepared)) return prepared_transaction();
    if (!skip_word(Keyword::work)) skip_word(Keyword::transaction);
    if (is_rollback && skip_word(Keyword::to)) {
        if (is_name(next_)) skip_word(Keyword::savepoint);
        std::optional<std::string> name = take_name();
        if (!name) return unparsed();
        statement_->name = std::move(*name);
        return control(Control::rollback_to, Destination::transaction, Reason::transaction_control);
    }
    const auto found = take_chain(Control::rollback, Control::rollback_and_chain);
    if (!found) return unparsed();
    control(*found, Destination::transaction, Reason::transaction_control);
}

void Classifier::savepoint() {
    advance();
    std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    statement_->name = std::move(*name);
    control(Control::savepoint, Destination::transaction, Reason::transaction_control);
}

void Classifier::release() {
    advance();
    if (is_name(next_)) skip_word(Keyword::savepoint);
    std::optional<std::string> name = take_name();
    if (!name) return unparsed();
    statement_->name = std::move(*name);
    control(Control::release, Destination::transaction, Reason::transaction_control);
}

/// PREPARE TRANSACTION 'x', at the word TRANSACTION.
void Classifier::prepare_transaction() {
    advance();
    advance();
    control(Control::prepare_transaction, Destination::primary, Reason::transaction_control);
}

/// SET TRANSACTION …, at the word TRANSACTION.
void Classifier::set_transaction() {
    advance();
    if (skip_word(Keyword::snapshot)) {
        // A snapshot's name means something on the server that exported it only.
        advance();
        return control(Control::set_transaction_other, Destination::primary, Reason::server_local);
    }
    const Modes modes = take_transaction_modes();
    if (modes.is_serializable) {
        control(Control::set_transaction_other, Destination::primary, Reason::serializable);
    } else {
        control(modes.is_read_only ? Control::set_transaction_read_only : Control::set_transaction_other,
                Destination::transaction, Reason::session_state);
    }
}

}  // namespace holdfast::sql::postgres
