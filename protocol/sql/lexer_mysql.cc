#include "protocol/sql/characters.h"
#include "protocol/sql/lexer.h"

// What only MySQL and MariaDB have: executable comments, names that begin with digits, variables.
// spec    MySQL Reference Manual, "Comments", "Schema Object Names", "User-Defined Variables"
namespace holdfast::sql {

using namespace characters;

namespace {

constexpr size_t version_digits_min = 5;  // 50700; MariaDB and newer MySQL know six: 100100

/// How long the UTF-8 character is that starts at `at`; 0 when none does.
size_t utf8_size(std::string_view text, size_t at) {
    const auto lead = static_cast<uint8_t>(text[at]);
    size_t size = 0;
    if (lead >= 0xc2 && lead < 0xe0) size = 2;
    if (lead >= 0xe0 && lead < 0xf0) size = 3;
    if (lead >= 0xf0 && lead < 0xf5) size = 4;
    if (size == 0 || text.size() - at < size) return 0;
    for (size_t i = 1; i < size; ++i) {
        if ((static_cast<uint8_t>(text[at + i]) & 0xc0) != 0x80) return 0;
    }
    return size;
}

}  // namespace

LexerRules mysql_rules(const Context& context) {
    LexerRules rules;
    rules.dialect = Dialect::mysql;
    rules.backslash_escapes = !context.no_backslash_escapes;
    rules.ansi_quotes = context.ansi_quotes;
    rules.executable_comments = ExecutableComments::by_version;
    rules.is_mariadb = context.is_mariadb;
    rules.server_version = context.server_version;
    return rules;
}

bool Lexer::is_at_executable_end() const {
    return in_executable_comment_ && char_at(at_) == '*' && char_at(at_ + 1) == '/';
}

/// What the server makes of the comment that begins here. `size`: how much of it to skip; of `text` that is
/// its beginning only.
Lexer::Opening Lexer::executable_comment(size_t& size) const {
    if (char_at(at_) != '/' || char_at(at_ + 1) != '*') return Opening::none;
    const bool is_mariadb_form = char_at(at_ + 2) == 'M' && char_at(at_ + 3) == '!';
    if (char_at(at_ + 2) != '!' && !is_mariadb_form) return Opening::none;
    const bool is_by_version = rules_.executable_comments == ExecutableComments::by_version;
    if (is_by_version && rules_.server_version == 0) return Opening::in_doubt;
    if (is_by_version && is_mariadb_form && !rules_.is_mariadb) return Opening::none;

    const size_t open = at_ + (is_mariadb_form ? 4 : 3);
    size_t digits = 0;
    uint32_t version = 0;
    while (digits < 6 && is(char_at(open + digits), digit)) {
        version = version * 10 + static_cast<uint32_t>(char_at(open + digits) - '0');
        ++digits;
    }
    const bool is_versioned = digits >= version_digits_min;
    size = open - at_ + (is_versioned ? digits : 0);
    if (!is_versioned || !is_by_version) return Opening::text;
    const Opening opening = by_version(digits, version, is_mariadb_form);
    if (opening != Opening::comment) return opening;

    // A comment that is not run may hold others, one level deep.
    bool is_inner = false;
    for (size_t at = open; at + 1 < text_.size();) {
        if (text_[at] == '*' && text_[at + 1] == '/') {
            at += 2;
            if (!is_inner) {
                size = at - at_;
                return Opening::comment;
            }
            is_inner = false;
        } else if (!is_inner && text_[at] == '/' && text_[at + 1] == '*') {
            at += 2;
            is_inner = true;
        } else {
            ++at;
        }
    }
    return Opening::in_doubt;  // no end
}

Lexer::Opening Lexer::by_version(size_t digits, uint32_t version, bool is_mariadb_form) const {
    const auto opening = [&](uint32_t wanted) {
        return wanted <= rules_.server_version ? Opening::text : Opening::comment;
    };
    if (rules_.is_mariadb) {
        // MariaDB does not trust itself to understand what MySQL has had since 5.7.
        const bool is_of_mysql = !is_mariadb_form && version >= 50'700 && version <= 99'999;
        return is_of_mysql ? Opening::comment : opening(version);
    }
    if (digits == version_digits_min) return opening(version);
    // Older versions take the sixth digit for text.
    const bool is_skipped_by_all =
        opening(version) == Opening::comment && opening(version / 10) == Opening::comment;
    return is_skipped_by_all ? Opening::comment : Opening::in_doubt;
}

/// The token at a place that is neither white space nor a comment.
void Lexer::mysql_symbol(Token& token) {
    const char c = text_[at_];
    const auto one = [&](TokenKind kind) {
        token.kind = kind;
        ++at_;
    };
    const auto until = [&](TokenKind kind, bool backslash_escapes) {
        token.kind = quoted(at_, c, backslash_escapes) ? kind : TokenKind::bad;
    };
    if (is(c, digit) || (c == '.' && last_kind_ != TokenKind::word && last_kind_ != TokenKind::quoted &&
                         is(char_at(at_ + 1), digit))) {
        if (last_kind_ == TokenKind::dot || !mysql_number(token)) mysql_word(token);
        return;
    }
    if (is(c, word_part)) return mysql_word(token);
    switch (c) {
        case '\'': until(TokenKind::string, rules_.backslash_escapes); return;
        case '"':
            if (rules_.ansi_quotes) return until(TokenKind::quoted, false);
            return until(TokenKind::string, rules_.backslash_escapes);
        case '`': until(TokenKind::quoted, false); return;
        case '@': mysql_variable(token); return;
        case '(': one(TokenKind::left_paren); return;
        case ')': one(TokenKind::right_paren); return;
        case ']': one(TokenKind::right_bracket); return;
        case ',': one(TokenKind::comma); return;
        case ';':
            // Servers don't agree on a statement that ends inside of an executable comment.
            one(in_executable_comment_ && rules_.executable_comments == ExecutableComments::by_version
                    ? TokenKind::bad
                    : TokenKind::semicolon);
            return;
        case '.': one(TokenKind::dot); return;
        case '=': one(TokenKind::equals); return;
        case '?': one(TokenKind::parameter); return;
        case ':':
            if (char_at(at_ + 1) != '=') return one(TokenKind::symbol);
            token.kind = TokenKind::assign;
            at_ += 2;
            return;
        case '\\':
            if (char_at(at_ + 1) != 'N') return one(TokenKind::bad);
            token.kind = TokenKind::number;  // \N is NULL
            at_ += 2;
            return;
        case '/': {
            size_t size = 0;
            if (executable_comment(size) != Opening::text) return one(TokenKind::symbol);
            token.kind = TokenKind::symbol;
            in_executable_comment_ = true;
            at_ += size;
            return;
        }
        case '*':
            if (!is_at_executable_end()) return one(TokenKind::symbol);
            token.kind = TokenKind::symbol;
            in_executable_comment_ = false;
            at_ += 2;
            return;
        default:
            one(is(c, operator_part) || c == '{' || c == '}' ? TokenKind::symbol : TokenKind::bad);
            return;
    }
}

void Lexer::mysql_word(Token& token) {
    const size_t begin = at_;
    int dollars = 0;
    while (at_ < text_.size() && is(text_[at_], word_part)) {
        if (static_cast<uint8_t>(text_[at_]) < 0x80) {
            if (text_[at_] == '$') ++dollars;
            ++at_;
            continue;
        }
        // In some other character set this might be white space.
        const size_t size = utf8_size(text_, at_);
        if (size == 0) {
            token.kind = TokenKind::bad;
            return;
        }
        at_ += size;
    }
    // $tag$ starts a string since MySQL 9.
    if (text_[begin] == '$' && dollars > 1) {
        token.kind = TokenKind::bad;
        return;
    }
    token.kind = TokenKind::word;
    const std::string_view spelled = text_.substr(begin, at_ - begin);
    if (last_kind_ != TokenKind::dot && spelled.size() <= mysql_keyword_bytes_max) {
        token.keyword = find_mysql_keyword(spelled);
    }
}

/// Reads a number. Returns false, without moving, when it is a name that begins with digits.
bool Lexer::mysql_number(Token& token) {
    size_t at = at_;
    const auto skip_digits = [&] {
        while (is(char_at(at), digit)) ++at;
    };
    const auto is_part = [&](size_t i) { return i < text_.size() && is(text_[i], word_part); };
    const auto skip_exponent = [&] {
        if (lower(char_at(at)) != 'e') return false;
        const bool has_sign = char_at(at + 1) == '+' || char_at(at + 1) == '-';
        if (!is(char_at(at + (has_sign ? 2 : 1)), digit)) return false;
        at += has_sign ? 2 : 1;
        skip_digits();
        return true;
    };
    if (text_[at] == '0' && (char_at(at + 1) == 'x' || char_at(at + 1) == 'b')) {
        const std::string_view digits = char_at(at + 1) == 'x' ? "0123456789abcdefABCDEF" : "01";
        const size_t found = text_.find_first_not_of(digits, at + 2);
        const size_t end = found == std::string_view::npos ? text_.size() : found;
        if (end == at + 2 || is_part(end)) return false;
        at = end;
    } else {
        skip_digits();
        const bool has_exponent = is_part(at) && skip_exponent();
        if (is_part(at) && !has_exponent) return false;
        if (char_at(at) == '.' && !has_exponent) {
            ++at;
            skip_digits();
            skip_exponent();
        }
    }
    token.kind = TokenKind::number;
    at_ = at;
    return true;
}

/// `@@`, or `@` and what it names.
void Lexer::mysql_variable(Token& token) {
    token.kind = TokenKind::user_variable;
    const char next = char_at(at_ + 1);
    if (next == '@') {
        token.kind = TokenKind::system_variable;
        at_ += 2;
    } else if (next == '\'' || next == '"' || next == '`') {
        const bool is_string = next == '\'' || (next == '"' && !rules_.ansi_quotes);
        if (!quoted(at_ + 1, next, is_string && rules_.backslash_escapes)) token.kind = TokenKind::bad;
    } else {
        ++at_;
        while (at_ < text_.size() && (is(text_[at_], word_part) || text_[at_] == '.')) ++at_;
    }
}

}  // namespace holdfast::sql
