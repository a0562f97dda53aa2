#include "protocol/sql/classify_postgres.h"

#include <algorithm>

namespace holdfast::sql::postgres {

Classifier::Classifier(std::string_view text, const Context& context, Classification& out)
    : ClassifierBase(text, context, out, {Dialect::postgres, !context.standard_conforming_strings}) {}

void Classifier::run() {
    while (current_.kind != TokenKind::end) {
        if (current_.kind == TokenKind::semicolon) {
            advance();
            continue;
        }
        begin_statement();
        dispatch();
        skip_to_end();
        end_statement();
    }
    if (out_.statement_count > 0) {
        // A comment after the last semicolon belongs to what is before it.
        if (previous_.kind == TokenKind::semicolon) apply_hint(current_.hint);
        merge_begin_with_set_transaction();
    }
    distrust_ambiguous_reads();
    decide_message();
    if (!context_.encoding_is_safe && !context_.truncated) {
        out_.destination = Destination::primary;
        out_.reason = Reason::unparsed;
    }
}

bool Classifier::has_folded(const Token& token, std::string_view folded) {
    const size_t quotes = token.kind == TokenKind::quoted ? 2 : 0;
    if (token.kind != TokenKind::unicode_quoted && token.end - token.begin != folded.size() + quotes)
        return false;
    Identifier name;
    return name.read(text_, token) && name.value() == folded;
}

/// Reads a name and moves past it.
std::optional<std::string> Classifier::take_name() {
    Identifier name;
    if (!is_name(current_) || !name.read(text_, current_)) return std::nullopt;
    advance();
    return std::string(name.value());
}

void Classifier::begin_statement() {
    ClassifierBase::begin_statement();
    is_conditional_ = false;
    stays_ = false;
    stays_reason_ = Reason::read;
    has_sql_body_ = false;
    is_type_position_ = false;
    columns_are_known_ = false;
    call_columns_.clear();
}

/// Moves to the semicolon or the end after the statement, whatever is left of it.
void Classifier::skip_to_end() {
    int body_depth = 0;  // of BEGIN ATOMIC and CASE: semicolons in there belong to the function
    while (!at_end() || (body_depth > 0 && current_.kind == TokenKind::semicolon)) {
        note_pg_temp();
        const bool is_label = previous_.kind == TokenKind::dot || previous_.keyword == Keyword::as;
        if (has_sql_body_ && !is_label) {
            if (is_word(Keyword::begin) && next_is_word(Keyword::atomic)) ++body_depth;
            if (is_word(Keyword::case_) && body_depth > 0) ++body_depth;
            if (is_word(Keyword::end) && body_depth > 0) --body_depth;
        }
        advance();
    }
    if (depth_ > 0 || is_broken_) unparsed();
}

void Classifier::end_statement() {
    statement_->end = previous_.end;
    const std::string_view own_text = text_.substr(statement_->begin, statement_->end - statement_->begin);
    if (own_replay_) statement_->effects[*own_replay_].replay = own_text;
    // The hint before the first token was noted by dispatch().
    apply_hint(current_.hint);
    end_statement_cut();
}

void Classifier::dispatch() {
    const Hint hint = current_.hint;
    const bool is_query = current_.kind == TokenKind::left_paren;
    if (is_query) {
        query();
    } else {
        switch (current_.keyword) {
            case Keyword::select:
            case Keyword::values:
            case Keyword::table:
            case Keyword::with: query(); break;
            case Keyword::insert:
            case Keyword::update:
            case Keyword::delete_:
            case Keyword::merge:
                demand(Reason::write);
                query();
                break;
            case Keyword::truncate: demand(Reason::write); break;
            case Keyword::begin: begin_transaction(); break;
            case Keyword::start: start_transaction(); break;
            case Keyword::commit:
            case Keyword::end: commit(); break;
            case Keyword::rollback:
            case Keyword::abort_: rollback(); break;
            case Keyword::savepoint: savepoint(); break;
            case Keyword::release: release(); break;
            case Keyword::prepare: prepare(); break;
            case Keyword::execute: execute(); break;
            case Keyword::deallocate: deallocate(); break;
            case Keyword::set: set(); break;
            case Keyword::reset: reset(); break;
            case Keyword::show: show(); break;
            case Keyword::discard: discard(); break;
            case Keyword::listen: listen(); break;
            case Keyword::unlisten: unlisten(); break;
            case Keyword::notify: notify(); break;
            case Keyword::declare: declare(); break;
            case Keyword::fetch:
            case Keyword::move: decide(Destination::transaction, Reason::cursor); break;
            case Keyword::close: close_cursor(); break;
            case Keyword::lock: demand(Reason::row_lock); break;
            case Keyword::copy: copy(); break;
            case Keyword::explain: explain(); break;
            case Keyword::do_:
            case Keyword::call: demand(Reason::opaque); break;
            case Keyword::load:
                demand(Reason::server_local);
                effect_once(EffectKind::set_opaque);
                break;
            case Keyword::checkpoint: demand(Reason::server_local); break;
            case Keyword::create: create(); break;
            case Keyword::alter: alter(); break;
            case Keyword::drop:
            case Keyword::grant:
            case Keyword::revoke:
            case Keyword::comment:
            case Keyword::security:
            case Keyword::reindex:
            case Keyword::cluster:
            case Keyword::vacuum:
            case Keyword::analyze:
            case Keyword::refresh:
            case Keyword::import_:
            case Keyword::reassign: ddl(); break;
            default: unparsed(); break;
        }
    }
    if (hint != Hint::none) {
        skip_to_end();
        apply_hint(hint);
    }
}

void Classifier::use_temporary() {
    demand(Reason::temporary);
    effect_once(EffectKind::temporary);
}

/// Notes a name of the schema of temporary tables at the current token: pg_temp.x, pg_temp_3.x.
void Classifier::note_pg_temp() {
    constexpr std::string_view pg_temp = "pg_temp";
    if (next_.kind != TokenKind::dot || !is_name(current_) || previous_.kind == TokenKind::dot) return;
    if (current_.kind == TokenKind::word && (text_[current_.begin] | 0x20) != 'p') return;
    Identifier name;
    if (name.read(text_, current_) && name.value().starts_with(pg_temp) &&
        (name.value() == pg_temp || name.value()[pg_temp.size()] == '_')) {
        use_temporary();
    }
}

/// BEGIN; SET TRANSACTION READ ONLY in one message is BEGIN READ ONLY.
void Classifier::merge_begin_with_set_transaction() {
    for (uint32_t i = 0; i + 1 < out_.statement_count; ++i) {
        Statement& begin = out_.statements[i];
        if (begin.control != Control::begin || begin.reason != Reason::begin) continue;
        bool is_read_only = false;
        for (uint32_t j = i + 1; j < out_.statement_count; ++j) {
            const Statement& follower = out_.statements[j];
            if (follower.control == Control::set_transaction_read_only) {
                is_read_only = true;
            } else if (follower.control == Control::set_transaction_other) {
                // READ WRITE, SERIALIZABLE or what is not understood: leave the transaction where it is safe.
                is_read_only = false;
                break;
            } else {
                break;
            }
        }
        if (!is_read_only) continue;
        begin.control = Control::begin_read_only;
        begin.destination = Destination::replica;
        begin.reason = Reason::read_only_transaction;
    }
}

/// The server reads the whole message under the settings at its beginning. Should one ever not, a backslash
/// would decide where strings end: such a message is not trusted to be a read.
void Classifier::distrust_ambiguous_reads() {
    const bool is_ambiguous = changes_string_syntax_ && text_.find('\\') != std::string_view::npos;
    for (uint32_t i = 0; i < out_.statement_count; ++i) {
        Statement& statement = out_.statements[i];
        if ((is_ambiguous && statement.destination == Destination::replica) || !context_.encoding_is_safe) {
            statement.destination = Destination::primary;
            statement.reason = Reason::unparsed;
        }
    }
}

}  // namespace holdfast::sql::postgres
