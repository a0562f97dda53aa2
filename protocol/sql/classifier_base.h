#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/limits.h"
#include "protocol/sql/classify.h"
#include "protocol/sql/lexer.h"

namespace holdfast::sql {

/// What the classifiers of all dialects do alike: read tokens with one token of lookahead, note what is
/// decided about a statement, and merge the statements of a message.
class ClassifierBase {
protected:
    // What is known of the parentheses around the place being read.
    struct Level {
        bool in_with;    // among the names of a WITH list
        bool may_alias;  // a name after their end is an alias, no call
    };

    ClassifierBase(std::string_view text, const Context& context, Classification& out, LexerRules rules);

    // Reading.
    void advance();
    bool at_end() const {
        return current_.kind == TokenKind::end || (current_.kind == TokenKind::semicolon && depth_ == 0);
    }
    bool is_word(Keyword keyword) const { return current_.keyword == keyword; }
    bool next_is_word(Keyword keyword) const { return next_.keyword == keyword; }
    bool skip_word(Keyword keyword);
    std::string_view text_of(const Token& token) const {
        return text_.substr(token.begin, token.end - token.begin);
    }
    bool is_cte_name() const;

    // The statement being read.
    void begin_statement();
    void decide(Destination destination, Reason reason);
    void demand(Reason reason);
    void unparsed() { demand(Reason::unparsed); }
    void finish_or_unparsed();
    void control(Control control, Destination destination, Reason reason);
    void effect(EffectKind kind, std::string key = {}, std::string replay = {});
    void effect_once(EffectKind kind);
    void effect_replayed_by_statement(EffectKind kind, std::string key);
    void apply_hint(Hint hint);
    void end_statement_cut();

    void decide_message();

    const std::string_view text_;
    const Context& context_;
    Classification& out_;
    Lexer lexer_;
    Token before_previous_;
    Token previous_;
    Token current_;
    Token next_;
    uint32_t depth_ = 0;

    // Of the statement being read.
    Statement* statement_ = nullptr;
    bool is_broken_ = false;        // no server would take it: strings or parentheses without their end
    bool is_demanding_ = false;     // it must run on the primary, for the statement's reason
    bool is_only_planned_ = false;  // an EXPLAIN by which nothing of it is run
    bool has_from_ = false;
    uint32_t effects_seen_ = 0;         // kinds that are noted once, as bits
    std::optional<size_t> own_replay_;  // the effect that the statement's own text replays
    Level closed_{};                    // what the last closing parenthesis closed
    std::array<Level, limits::sql_nesting_max + 1> levels_;  // up to depth_
};

/// Makes the statement one that nothing is known of.
void reset(Statement& statement);
/// Whether a hint for a replica may not overrule `reason`.
bool is_hard(Reason reason);
/// ASCII letters in lower case.
std::string lower(std::string_view text);

}  // namespace holdfast::sql
