#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/sql/classify.h"
#include "protocol/sql/keywords.h"

namespace holdfast::sql {

enum class TokenKind : uint8_t {
    end,
    bad,             // not a token of the language, or one without its end; the lexer stops there
    word,            // an unquoted identifier or keyword
    quoted,          // "…"; in MySQL `…`
    unicode_quoted,  // U&"…", with its UESCAPE
    string,
    number,
    parameter,
    left_paren,
    right_paren,
    right_bracket,
    comma,
    semicolon,
    dot,
    typecast,
    equals,
    user_variable,    // MySQL: @name, @'name', @`name`
    system_variable,  // MySQL: the @@ before its name
    assign,           // MySQL: :=
    symbol,           // any other character of operators and punctuation, one by one
};

enum class StringForm : uint8_t { plain, escape, unicode, bits, dollar };

/// What a comment asks of its statement: `holdfast: primary`, `holdfast: replica`.
enum class Hint : uint8_t { none, primary, replica };

struct Token {
    TokenKind kind = TokenKind::end;
    Keyword keyword = Keyword::none;  // of a word
    StringForm form = StringForm::plain;
    char unicode_escape = '\\';  // of U&"…" and U&'…'
    Hint hint = Hint::none;      // of the comments before the token
    bool in_executable_comment = false;
    uint32_t begin = 0;
    uint32_t end = 0;
};

/// What becomes of MySQL's /*! … */ and MariaDB's /*M! … */.
enum class ExecutableComments : uint8_t {
    by_version,  // text when the server would run it, else a comment; a `bad` token when that is in doubt
    marked,      // text, and its delimiters are symbols
};

struct LexerRules {
    Dialect dialect = Dialect::postgres;
    bool backslash_escapes = false;  // in strings without a prefix
    // MySQL and MariaDB.
    bool ansi_quotes = false;
    ExecutableComments executable_comments = ExecutableComments::marked;
    bool is_mariadb = false;
    uint32_t server_version = 0;  // as in Context
    bool begins_in_executable_comment = false;
};
/// The rules that a MySQL session's text is read by.
LexerRules mysql_rules(const Context& context);

/// Cuts a text into tokens, front to back, in time linear in its length. Follows PostgreSQL's scan.l
/// (versions 12 to 18; where they differ no version reads a string as anything else) and the lexical
/// structure of MySQL. Cheap to copy: a copy looks ahead without moving the original. The text must outlive
/// it. spec    PostgreSQL documentation, "Lexical Structure"; MySQL Reference Manual, "Language Structure"
class Lexer {
public:
    Lexer(std::string_view text, LexerRules rules)
        : text_(text), rules_(rules), in_executable_comment_(rules.begins_in_executable_comment) {}

    /// The next token; at the end of the text `end`, again and again. A `bad` one is followed by `end`.
    Token next();

    /// How long the comment is that starts at `at`; 0 when none does, npos when it has no end.
    static size_t comment_size(std::string_view text, size_t at, Dialect dialect);
    /// The text of a comment without its delimiters.
    static std::string_view comment_body(std::string_view comment);
    static bool is_space(char c);

private:
    enum class Opening : uint8_t { none, text, comment, in_doubt };
    Opening executable_comment(size_t& size) const;
    Opening by_version(size_t digits, uint32_t version, bool is_mariadb_form) const;
    bool skip_trivia(Token& token);
    bool is_at_executable_end() const;
    void mysql_word(Token& token);
    bool mysql_number(Token& token);
    void mysql_variable(Token& token);
    void mysql_symbol(Token& token);
    void word(Token& token);
    void number(Token& token);
    void symbol(Token& token);
    void dollar(Token& token);
    bool quoted(size_t open, char quote, bool backslash_escapes);
    bool string(Token& token, size_t open, StringForm form);
    bool unicode_escape(Token& token);
    size_t continued_at(size_t at) const;
    char char_at(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

    std::string_view text_;
    LexerRules rules_;
    size_t at_ = 0;
    bool in_executable_comment_ = false;
    TokenKind last_kind_ = TokenKind::end;  // MySQL: what is after a dot is a name, whatever it looks like
};

/// A string literal's value when it is spelled without escapes, doubled quotes and continuation; a view into
/// `text`. found   whether it is
std::string_view simple_literal(std::string_view text, const Token& token, bool& found);

}  // namespace holdfast::sql
