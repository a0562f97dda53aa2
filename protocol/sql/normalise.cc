#include "protocol/sql/normalise.h"

#include <string>

#include "protocol/sql/classify.h"
#include "protocol/sql/lexer.h"

namespace holdfast::sql {
namespace {

/// FNV-1a with a last mix, so that the low bits may choose a bucket.
class Hash {
public:
    void put(char c) { value_ = (value_ ^ static_cast<uint8_t>(c)) * 0x100000001b3; }
    uint64_t value() const {
        uint64_t mixed = value_;
        mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93;
        return mixed ^ (mixed >> 32);
    }

private:
    uint64_t value_ = 0xcbf29ce484222325;
};

class Text {
public:
    void put(char c) { text_ += c; }
    std::string take() { return std::move(text_); }

private:
    std::string text_;
};

bool is_literal(const Token& token) {
    return token.kind == TokenKind::string || token.kind == TokenKind::number ||
           token.kind == TokenKind::parameter;
}

bool is_unquoted_variable(std::string_view message, const Token& token) {
    const char first = token.end - token.begin > 1 ? message[token.begin + 1] : '\0';
    return first != '\'' && first != '"' && first != '`';
}

template <typename Sink>
void normalise_into(Dialect dialect, std::string_view message, Sink& sink) {
    Lexer lexer(message, {dialect, dialect == Dialect::mysql});
    uint32_t last_end = 0;
    bool is_first = true;
    bool after_literal = false;
    // A comma after a literal waits to see whether a literal follows, which is then part of the same list.
    bool has_held_comma = false;
    bool has_space_before_comma = false;
    for (Token token = lexer.next(); token.kind != TokenKind::end; token = lexer.next()) {
        const bool has_space = token.begin != last_end && !is_first;
        last_end = token.end;
        is_first = false;
        if (token.kind == TokenKind::comma && after_literal && !has_held_comma) {
            has_held_comma = true;
            has_space_before_comma = has_space;
            continue;
        }
        // What can't be read may be the beginning of a literal, which nobody should see.
        if (is_literal(token) || token.kind == TokenKind::bad) {
            if (!has_held_comma) {
                if (has_space) sink.put(' ');
                sink.put('?');
            }
            has_held_comma = false;
            after_literal = true;
            continue;
        }
        if (has_held_comma) {
            if (has_space_before_comma) sink.put(' ');
            sink.put(',');
            has_held_comma = false;
        }
        after_literal = false;
        if (has_space) sink.put(' ');
        const bool is_folded = token.kind == TokenKind::word || (token.kind == TokenKind::user_variable &&
                                                                 is_unquoted_variable(message, token));
        for (uint32_t i = token.begin; i < token.end; ++i) {
            const char c = message[i];
            const bool is_upper = is_folded && c >= 'A' && c <= 'Z';
            sink.put(is_upper ? static_cast<char>(c | 0x20) : c);
        }
    }
    if (has_held_comma) {
        if (has_space_before_comma) sink.put(' ');
        sink.put(',');
    }
}

}  // namespace

std::string normalise(Dialect dialect, std::string_view message) {
    Text text;
    normalise_into(dialect, message, text);
    return text.take();
}

uint64_t fingerprint(Dialect dialect, std::string_view message) {
    Hash hash;
    normalise_into(dialect, message, hash);
    return hash.value();
}

uint64_t fingerprint_of_normalised(std::string_view normalised) {
    Hash hash;
    for (const char c : normalised) hash.put(c);
    return hash.value();
}

std::string comments(Dialect dialect, std::string_view message) {
    std::string joined;
    Lexer lexer(message, {dialect, dialect == Dialect::mysql});
    uint32_t at = 0;
    for (;;) {
        const Token token = lexer.next();
        // Between two tokens there is nothing but white space and whole comments.
        while (at < token.begin) {
            const size_t size = Lexer::comment_size(message, at, dialect);
            if (size == 0 || size == std::string_view::npos) {
                ++at;
                continue;
            }
            if (!joined.empty()) joined += '\n';
            joined += Lexer::comment_body(message.substr(at, size));
            at += static_cast<uint32_t>(size);
        }
        if (token.kind == TokenKind::end || token.kind == TokenKind::bad) return joined;
        at = token.end;
    }
}

}  // namespace holdfast::sql
