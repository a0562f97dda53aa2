#include "protocol/sql/lexer.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/sql/characters.h"

namespace holdfast::sql {

using namespace characters;

namespace {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is(text.front(), space)) text.remove_prefix(1);
    while (!text.empty() && is(text.back(), space)) text.remove_suffix(1);
    return text;
}

/// `holdfast: primary`, nothing else in the comment.
Hint parse_hint(std::string_view body) {
    constexpr std::string_view name = "holdfast";
    body = trimmed(body);
    if (body.size() <= name.size() || !equals_folded(body.substr(0, name.size()), name)) return Hint::none;
    body = trimmed(body.substr(name.size()));
    if (body.empty() || body.front() != ':') return Hint::none;
    body = trimmed(body.substr(1));
    if (equals_folded(body, "primary")) return Hint::primary;
    if (equals_folded(body, "replica")) return Hint::replica;
    return Hint::none;
}

}  // namespace

bool Lexer::is_space(char c) {
    return is(c, space);
}

size_t Lexer::comment_size(std::string_view text, size_t at, Dialect dialect) {
    const auto char_at = [&](size_t i) { return i < text.size() ? text[i] : '\0'; };
    const bool is_mysql = dialect == Dialect::mysql;
    const auto to_end_of_line = [&] {
        // In MySQL a carriage return ends no line, but a NUL ends the comment.
        const std::string_view ends = is_mysql ? std::string_view("\n\0", 2) : std::string_view("\n\r");
        const size_t found = text.find_first_of(ends, at);
        return (found == std::string_view::npos ? text.size() : found) - at;
    };
    if (char_at(at) == '#' && is_mysql) return to_end_of_line();
    if (char_at(at) == '-' && char_at(at + 1) == '-') {
        // MySQL wants white space, a control character or nothing after the dashes: 5--1 is a subtraction.
        if (is_mysql && at + 2 < text.size() && !is(text[at + 2], space) && !is_control(text[at + 2]))
            return 0;
        return to_end_of_line();
    }
    if (char_at(at) != '/' || char_at(at + 1) != '*') return 0;
    int depth = 1;
    for (size_t i = at + 2; i + 1 < text.size();) {
        if (text[i] == '*' && text[i + 1] == '/') {
            i += 2;
            if (--depth == 0) return i - at;
        } else if (text[i] == '/' && text[i + 1] == '*' && !is_mysql) {
            i += 2;
            if (++depth > limits::sql_nesting_max) break;
        } else {
            ++i;
        }
    }
    return std::string_view::npos;
}

std::string_view Lexer::comment_body(std::string_view comment) {
    if (comment.starts_with("/*")) return comment.substr(2, comment.size() - 4);
    return comment.substr(comment.starts_with('#') ? 1 : 2);
}

/// Returns false when a comment has no end.
bool Lexer::skip_trivia(Token& token) {
    for (;;) {
        while (at_ < text_.size() && is(text_[at_], space)) ++at_;
        if (at_ >= text_.size()) return true;
        const char c = text_[at_];
        if (c != '-' && c != '/' && c != '#' && c != '*') return true;
        if (c == '*') {
            if (!is_at_executable_end() || rules_.executable_comments == ExecutableComments::marked)
                return true;
            in_executable_comment_ = false;
            at_ += 2;
            continue;
        }
        if (c == '/' && rules_.dialect == Dialect::mysql) {
            size_t opening_size = 0;
            switch (executable_comment(opening_size)) {
                case Opening::none: break;
                case Opening::text:
                    if (rules_.executable_comments == ExecutableComments::marked) return true;
                    in_executable_comment_ = true;
                    at_ += opening_size;
                    continue;
                case Opening::comment: at_ += opening_size; continue;
                case Opening::in_doubt: return false;
            }
        }
        const size_t size = comment_size(text_, at_, rules_.dialect);
        if (size == 0) return true;
        if (size == std::string_view::npos) return false;
        const Hint hint = parse_hint(comment_body(text_.substr(at_, size)));
        if (hint != Hint::none && token.hint != Hint::primary) token.hint = hint;
        at_ += size;
    }
}

Token Lexer::next() {
    Token token;
    // Most tokens are one space apart, or none.
    if (at_ < text_.size() && text_[at_] == ' ') ++at_;
    const bool is_at_trivia = at_ < text_.size() && (is(text_[at_], space | comment_start) ||
                                                     (in_executable_comment_ && is_at_executable_end()));
    const bool is_readable = !is_at_trivia || skip_trivia(token);
    token.begin = static_cast<uint32_t>(at_);
    token.in_executable_comment = in_executable_comment_;
    if (!is_readable) {
        token.kind = TokenKind::bad;
    } else if (at_ < text_.size()) {
        const char c = text_[at_];
        if (rules_.dialect == Dialect::mysql) {
            mysql_symbol(token);
            last_kind_ = token.kind;
        } else if (is(c, word_start)) {
            word(token);
        } else if (is(c, digit) || (c == '.' && is(char_at(at_ + 1), digit))) {
            number(token);
        } else {
            symbol(token);
        }
    } else if (in_executable_comment_) {
        token.kind = TokenKind::bad;  // it has no end
    }
    if (token.kind == TokenKind::bad) {
        at_ = text_.size();
        in_executable_comment_ = false;
    }
    token.end = static_cast<uint32_t>(at_);
    return token;
}

void Lexer::word(Token& token) {
    const char second = char_at(at_ + 1);
    const char first = lower(text_[at_]);
    if (second == '\'' && (first == 'e' || first == 'b' || first == 'x')) {
        string(token, at_ + 1, first == 'e' ? StringForm::escape : StringForm::bits);
        return;
    }
    if (second == '&' && first == 'u') {
        const char quote = char_at(at_ + 2);
        if (quote == '\'') {
            // The server refuses U&'…' while plain strings have backslash escapes.
            if (rules_.backslash_escapes || !string(token, at_ + 2, StringForm::unicode) ||
                !unicode_escape(token)) {
                token.kind = TokenKind::bad;
            }
            return;
        }
        if (quote == '"') {
            token.kind = TokenKind::unicode_quoted;
            if (!quoted(at_ + 2, '"', false) || !unicode_escape(token)) token.kind = TokenKind::bad;
            return;
        }
    }
    const char* const begin = text_.data() + at_;
    const char* const end = text_.data() + text_.size();
    const char* at = begin + 1;
    while (at != end && is(*at, word_part)) ++at;
    token.kind = TokenKind::word;
    const auto size = static_cast<size_t>(at - begin);
    at_ += size;
    if (size <= keyword_bytes_max) token.keyword = find_keyword({begin, size});
}

// Letters right after a number start a word of their own, as before PostgreSQL 15; later versions refuse
// them. So 1e'…' holds a string with escapes in every version that takes it.
void Lexer::number(Token& token) {
    token.kind = TokenKind::number;
    const auto digits = [&] {
        while (is(char_at(at_), digit)) ++at_;
    };
    digits();
    if (char_at(at_) == '.' && char_at(at_ + 1) != '.') {
        ++at_;
        digits();
    }
    if (lower(char_at(at_)) == 'e') {
        const bool has_sign = char_at(at_ + 1) == '+' || char_at(at_ + 1) == '-';
        if (is(char_at(at_ + (has_sign ? 2 : 1)), digit)) {
            at_ += has_sign ? 2 : 1;
            digits();
        }
    }
}

void Lexer::symbol(Token& token) {
    const char c = text_[at_];
    switch (c) {
        case '\'': string(token, at_, StringForm::plain); return;
        case '"': token.kind = quoted(at_, c, false) ? TokenKind::quoted : TokenKind::bad; return;
        case '$': dollar(token); return;
        case '(': token.kind = TokenKind::left_paren; break;
        case ')': token.kind = TokenKind::right_paren; break;
        case ']': token.kind = TokenKind::right_bracket; break;
        case ',': token.kind = TokenKind::comma; break;
        case ';': token.kind = TokenKind::semicolon; break;
        case '.': token.kind = TokenKind::dot; break;
        case '=': token.kind = TokenKind::equals; break;
        case ':':
            if (char_at(at_ + 1) == ':') {
                token.kind = TokenKind::typecast;
                ++at_;
            }
            break;
        default: token.kind = TokenKind::bad; break;
    }
    if (is(c, operator_part) && token.kind != TokenKind::typecast && token.kind != TokenKind::equals) {
        token.kind = TokenKind::symbol;
    }
    ++at_;
}

/// `$1`, or a string between two `$tag$`.
void Lexer::dollar(Token& token) {
    size_t at = at_ + 1;
    if (is(char_at(at), digit) && at < text_.size()) {
        while (is(char_at(at), digit)) ++at;
        at_ = at;
        token.kind = TokenKind::parameter;
        return;
    }
    token.kind = TokenKind::bad;
    while (at < text_.size() && text_[at] != '$' && is(text_[at], word_part)) ++at;
    if (char_at(at) != '$') return;
    const std::string_view delimiter = text_.substr(at_, at + 1 - at_);
    // A delimiter has no dollar inside, so that the search starts over at each dollar and stays linear.
    const size_t close = text_.find(delimiter, at + 1);
    if (close == std::string_view::npos) return;
    at_ = close + delimiter.size();
    token.kind = TokenKind::string;
    token.form = StringForm::dollar;
}

/// Moves past the quoted text that `open` starts. Returns false when it has no end.
bool Lexer::quoted(size_t open, char quote, bool backslash_escapes) {
    for (size_t at = open + 1; at < text_.size();) {
        if (backslash_escapes) {
            while (at < text_.size() && text_[at] != quote && text_[at] != '\\') ++at;
        } else {
            at = std::min(text_.find(quote, at), text_.size());
        }
        if (at >= text_.size()) return false;
        if (text_[at] == '\\' && backslash_escapes) {
            at += 2;
        } else if (char_at(at + 1) == quote) {
            at += 2;
        } else {
            at_ = at + 1;
            return true;
        }
    }
    return false;
}

/// Moves past a string literal and its continuations on later lines, which are of the form of its beginning.
bool Lexer::string(Token& token, size_t open, StringForm form) {
    const bool backslash_escapes =
        form == StringForm::escape || (form == StringForm::plain && rules_.backslash_escapes);
    token.kind = TokenKind::bad;
    token.form = form;
    while (open != std::string_view::npos) {
        if (form == StringForm::bits) {
            // No doubled quotes here: B'0''1' is two literals.
            const size_t close = text_.find('\'', open + 1);
            if (close == std::string_view::npos) return false;
            at_ = close + 1;
        } else if (!quoted(open, '\'', backslash_escapes)) {
            return false;
        }
        open = continued_at(at_);
    }
    token.kind = TokenKind::string;
    return true;
}

/// Where the quote is that continues the literal that ended at `at`: after white space with a line break in
/// it.
size_t Lexer::continued_at(size_t at) const {
    bool has_newline = false;
    for (; at < text_.size(); ++at) {
        const char c = text_[at];
        if (c == '\n' || c == '\r') {
            has_newline = true;
        } else if (c == '-' && char_at(at + 1) == '-') {
            at = text_.find_first_of("\n\r", at);
            if (at == std::string_view::npos) return at;
            has_newline = true;
        } else if (!is(c, space)) {
            return c == '\'' && has_newline ? at : std::string_view::npos;
        }
    }
    return std::string_view::npos;
}

/// Reads the UESCAPE '…' that may follow. Returns false when it is not one that the server takes.
bool Lexer::unicode_escape(Token& token) {
    constexpr std::string_view uescape = "uescape";
    Lexer ahead = *this;
    Token unused;
    if (!ahead.skip_trivia(unused)) return false;
    if (!equals_folded(text_.substr(ahead.at_, uescape.size()), uescape)) return true;
    ahead.at_ += uescape.size();
    if (is(ahead.char_at(ahead.at_), word_part)) return true;
    // The literal is read by hand: next() would look for an UESCAPE of its own.
    if (!ahead.skip_trivia(unused)) return false;
    const std::string_view literal = text_.substr(ahead.at_, 3);
    if (literal.size() != 3 || literal[0] != '\'' || literal[2] != '\'' || literal[1] == '\'' ||
        literal[1] == '\\') {
        return false;
    }
    ahead.at_ += literal.size();
    if (ahead.char_at(ahead.at_) == '\'' || ahead.continued_at(ahead.at_) != std::string_view::npos)
        return false;
    token.unicode_escape = literal[1];
    at_ = ahead.at_;
    return true;
}

std::string_view simple_literal(std::string_view text, const Token& token, bool& found) {
    found = false;
    if (token.kind != TokenKind::string) return {};
    std::string_view value = text.substr(token.begin, token.end - token.begin);
    if (token.form == StringForm::dollar) {
        const size_t tag_bytes = value.find('$', 1) + 1;
        found = true;
        return value.substr(tag_bytes, value.size() - 2 * tag_bytes);
    }
    if (token.form == StringForm::unicode || token.form == StringForm::bits) return {};
    value.remove_prefix(token.form == StringForm::escape ? 2 : 1);
    value.remove_suffix(1);
    const char quote = text[token.begin] == '"' ? '"' : '\'';
    found = value.find(quote) == std::string_view::npos && value.find('\\') == std::string_view::npos;
    return found ? value : std::string_view{};
}

}  // namespace holdfast::sql
