#pragma once

#include <array>
#include <string_view>

#include "protocol/sql/lexer.h"

namespace holdfast::sql {

/// An identifier as the server folds it: lower case unless quoted, without quotes and escapes, cut to the
/// server's 63 bytes. Keeps its bytes itself, without allocating.
class Identifier {
public:
    /// Reads a word, a quoted identifier or one with Unicode escapes. Returns false, with an empty value,
    /// when the token is none of these or its escapes mean nothing.
    bool read(std::string_view text, const Token& token);
    std::string_view value() const { return {bytes_.data(), size_}; }

private:
    void put(char c) {
        if (size_ < bytes_.size()) bytes_[size_++] = c;
    }
    void put_code_point(uint32_t code_point);
    bool put_unicode(std::string_view body, char escape);
    void cut();

    // Room to see whether the 64th byte is inside a character.
    std::array<char, 64> bytes_;
    size_t size_ = 0;
};

/// Whether the token can name something: a word or a quoted identifier.
inline bool is_name(const Token& token) {
    return token.kind == TokenKind::word || token.kind == TokenKind::quoted ||
           token.kind == TokenKind::unicode_quoted;
}

}  // namespace holdfast::sql
