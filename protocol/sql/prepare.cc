#include "protocol/sql/prepare.h"

#include "protocol/sql/lexer.h"

namespace holdfast::sql {

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

}  // namespace holdfast::sql
