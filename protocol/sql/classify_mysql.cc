#include "protocol/sql/classify_mysql.h"

#include <algorithm>

#include "protocol/sql/characters.h"

namespace holdfast::sql::mysql {

Classifier::Classifier(std::string_view text, const Context& context, Classification& out)
    : ClassifierBase(text, context, out, mysql_rules(context)) {}

void Classifier::run() {
    while (current_.kind != TokenKind::end) {
        if (current_.kind == TokenKind::semicolon) {
            advance();
            continue;
        }
        begin_statement();
        if (is_rest_ambiguous()) {
            not_read();
            break;
        }
        dispatch();
        skip_to_end();
        end_statement();
    }
    // A comment after the last semicolon belongs to what is before it.
    if (out_.statement_count > 0 && previous_.kind == TokenKind::semicolon) apply_hint(current_.hint);
    decide_message();
}

/// Whether the token is the unquoted word `folded`.
bool Classifier::has_text(const Token& token, std::string_view folded) const {
    return token.kind == TokenKind::word && token.end - token.begin == folded.size() &&
           characters::equals_folded(text_of(token), folded);
}

bool Classifier::skip_text(std::string_view folded) {
    if (!is_text(folded)) return false;
    advance();
    return true;
}

/// A name, a string's or a user variable's without its quotes, in the case that it is spelled in.
std::string Classifier::unquoted(const Token& token) const {
    std::string_view spelled = text_of(token);
    if (token.kind == TokenKind::user_variable) spelled.remove_prefix(1);
    const bool is_quoted = !spelled.empty() && (spelled[0] == '`' || spelled[0] == '"' || spelled[0] == '\'');
    if (!is_quoted || spelled.size() < 2) return std::string(spelled);
    std::string name;
    for (size_t i = 1; i + 1 < spelled.size(); ++i) {
        name += spelled[i];
        if (spelled[i] == spelled[0]) ++i;  // a doubled quote
    }
    return name;
}

/// Reads an identifier and moves past it.
std::optional<std::string> Classifier::take_name() {
    if (current_.kind != TokenKind::word && current_.kind != TokenKind::quoted) return std::nullopt;
    std::string name = unquoted(current_);
    advance();
    return name;
}

/// The bytes from `begin` to `end` as a statement that is replayed, free of comments: executable ones might
/// begin or end elsewhere.
std::string Classifier::replay_text(uint32_t begin, uint32_t end, bool in_executable_comment) const {
    const std::string_view own = text_.substr(begin, end - begin);
    if (own.find("*/") == std::string_view::npos && own.find("/*") == std::string_view::npos) {
        return std::string(own);
    }
    LexerRules rules = mysql_rules(context_);
    rules.begins_in_executable_comment = in_executable_comment;
    Lexer lexer(own, rules);
    std::string text;
    uint32_t last_end = 0;
    for (Token token = lexer.next(); token.kind != TokenKind::end && token.kind != TokenKind::bad;
         token = lexer.next()) {
        if (token.begin != last_end && !text.empty()) text += ' ';
        text += own.substr(token.begin, token.end - token.begin);
        last_end = token.end;
    }
    return text;
}

void Classifier::begin_statement() {
    ClassifierBase::begin_statement();
    is_planned_ = false;
    is_set_statement_ = false;
    is_body_ = false;
    stays_ = false;
    assigns_read_variables_ = false;
    is_type_position_ = false;
    column_ = 0;
    calls_each_once_.reset();
    begins_in_executable_comment_ = current_.in_executable_comment;
}

/// Whether an earlier statement changed how this one is read, and that makes a difference.
bool Classifier::is_rest_ambiguous() {
    if (!changes_reading_) return false;
    if (!ambiguous_until_) {
        const auto found = std::find_if(text_.rbegin(), text_.rend(), [](char c) {
            return c == '"' || c == '\\' || static_cast<uint8_t>(c) >= 0x80;
        });
        ambiguous_until_ = static_cast<size_t>(text_.rend() - found);
    }
    return current_.begin < *ambiguous_until_;
}

/// Whether these bytes of the message hold a word or part of one, in letters of any case.
bool Classifier::mentions(uint32_t begin, uint32_t end, std::string_view folded) const {
    const std::string_view part = text_.substr(begin, end - begin);
    return std::search(part.begin(), part.end(), folded.begin(), folded.end(),
                       [](char a, char b) { return characters::lower(a) == b; }) != part.end();
}

/// Takes the rest of the message for one statement that may do anything.
void Classifier::not_read() {
    unparsed();
    effect_once(EffectKind::set_opaque);
    statement_->end = static_cast<uint32_t>(text_.size());
    statement_->unlocks = Statement::Unlocks::now;
    end_statement_cut();
}

/// Moves to the semicolon or the end after the statement, whatever is left of it.
void Classifier::skip_to_end() {
    while (!at_end() || (is_body_ && current_.kind != TokenKind::end)) {
        // The server may know how to read what is unreadable here.
        if (current_.kind == TokenKind::bad && !context_.truncated) effect_once(EffectKind::set_opaque);
        advance();
    }
    if (is_broken_ || (depth_ > 0 && !is_body_)) unparsed();
}

void Classifier::end_statement() {
    statement_->end = previous_.end;
    // What was not read may be a block of statements, or spelled in a way that only servers understand.
    const bool is_unread = is_body_ || is_broken_ || statement_->reason == Reason::unparsed;
    if (is_unread && (mentions(statement_->begin, statement_->end, "transaction") ||
                      mentions(statement_->begin, statement_->end, "read_only") ||
                      mentions(statement_->begin, statement_->end, "execute"))) {
        statement_->unlocks = Statement::Unlocks::now;
    }
    if (own_replay_) {
        statement_->effects[*own_replay_].replay =
            replay_text(statement_->begin, statement_->end, begins_in_executable_comment_);
    }
    if (is_broken_ || depth_ > 0) {
        for (Effect& effect : statement_->effects) effect.replay.clear();
    }
    // The hint before the first token was noted by dispatch().
    apply_hint(current_.hint);
    end_statement_cut();
}

/// A stored program: the rest of the message is taken for it.
void Classifier::body() {
    is_body_ = true;
}

void Classifier::dispatch() {
    const Hint hint = current_.hint;
    while (is_word(Keyword::set) && has_text(next_, "statement") && !is_set_statement_) take_set_statement();
    switch (current_.keyword) {
        case Keyword::select:
        case Keyword::values:
        case Keyword::table:
        case Keyword::with: query(); break;
        case Keyword::do_:
            advance();
            query();
            break;
        case Keyword::insert:
        case Keyword::replace:
        case Keyword::update:
        case Keyword::delete_: writing_query(Reason::write); break;
        case Keyword::call:
            assigns_read_variables_ = true;
            effect_once(EffectKind::routine);
            writing_query(Reason::opaque);
            break;
        case Keyword::load: load(); break;
        case Keyword::begin: begin_transaction(); break;
        case Keyword::start: start(); break;
        case Keyword::commit: commit(); break;
        case Keyword::rollback: rollback(); break;
        case Keyword::savepoint: savepoint(); break;
        case Keyword::release: release(); break;
        case Keyword::xa: xa(); break;
        case Keyword::set: set(); break;
        case Keyword::use: use(); break;
        case Keyword::prepare: prepare(); break;
        case Keyword::execute: execute(); break;
        case Keyword::deallocate: deallocate(); break;
        case Keyword::drop: drop(); break;
        case Keyword::show: show(); break;
        case Keyword::explain:
        case Keyword::describe: explain(); break;
        case Keyword::analyze: analyze(); break;
        case Keyword::checksum:
        case Keyword::help: query(); break;
        case Keyword::get: get_diagnostics(); break;
        case Keyword::signal:
        case Keyword::resignal:
            stay_on_connection();
            query();
            break;
        case Keyword::kill: kill(); break;
        case Keyword::lock: lock(); break;
        case Keyword::unlock: unlock(); break;
        case Keyword::flush: flush(); break;
        case Keyword::backup: backup(); break;
        case Keyword::handler: handler(); break;
        case Keyword::create: create(); break;
        case Keyword::alter: alter(); break;
        case Keyword::check:
        case Keyword::optimize:
        case Keyword::repair:
        case Keyword::rename:
        case Keyword::truncate:
        case Keyword::grant:
        case Keyword::revoke:
        case Keyword::import_: ddl(); break;
        case Keyword::binlog:
        case Keyword::cache:
        case Keyword::change:
        case Keyword::clone:
        case Keyword::install:
        case Keyword::uninstall:
        case Keyword::purge:
        case Keyword::reset:
        case Keyword::restart:
        case Keyword::shutdown:
        case Keyword::stop: administration(); break;
        case Keyword::declare:
            demand(Reason::opaque);  // a block in Oracle's syntax
            body();
            break;
        default:
            if (current_.kind == TokenKind::left_paren) {
                query();
            } else {
                unparsed();
            }
            break;
    }
    if (hint != Hint::none) {
        skip_to_end();
        apply_hint(hint);
    }
}

}  // namespace holdfast::sql::mysql
