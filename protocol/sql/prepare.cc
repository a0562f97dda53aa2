#include "protocol/sql/prepare.h"

#include "protocol/sql/lexer.h"

namespace holdfast::sql {
namespace {

/// What a backslash and `c` stand for in MySQL. `%` and `_` keep their backslash.
char unescaped(char c) {
    switch (c) {
        case '0': return '\0';
        case 'b': return '\b';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case 'Z': return '\x1a';
        default: return c;
    }
}

void append_value(std::string_view literal, bool has_backslash_escapes, std::string& value) {
    const char quote = literal.front();
    for (size_t i = 1; i + 1 < literal.size(); ++i) {
        const char c = literal[i];
        if (c == '\\' && has_backslash_escapes) {
            const char escaped = literal[++i];
            if (escaped == '%' || escaped == '_') value += c;
            value += unescaped(escaped);
            continue;
        }
        value += c;
        if (c == quote) ++i;  // a doubled quote
    }
}

}  // namespace

std::string_view prepared_body(std::string_view prepare_statement) {
    // No string stands before AS, so that the session's setting for strings does not matter.
    Lexer lexer(prepare_statement, {});
    int depth = 0;
    for (Token token = lexer.next(); token.kind != TokenKind::end; token = lexer.next()) {
        if (token.kind == TokenKind::left_paren) ++depth;
        if (token.kind == TokenKind::right_paren) --depth;
        if (token.keyword != Keyword::as || depth != 0) continue;
        const Token first = lexer.next();
        return prepare_statement.substr(first.begin);
    }
    return {};
}

std::optional<std::string> prepared_literal(std::string_view prepare_statement, const Context& context) {
    Lexer lexer(prepare_statement, mysql_rules(context));
    lexer.next();  // PREPARE
    lexer.next();  // its name
    if (lexer.next().keyword != Keyword::from) return std::nullopt;
    std::optional<std::string> value;
    for (Token token = lexer.next(); token.kind != TokenKind::end; token = lexer.next()) {
        if (token.kind != TokenKind::string) return std::nullopt;
        if (!value) value.emplace();
        append_value(prepare_statement.substr(token.begin, token.end - token.begin),
                     !context.no_backslash_escapes, *value);
    }
    return value;
}

}  // namespace holdfast::sql
