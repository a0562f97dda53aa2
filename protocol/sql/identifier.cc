#include "protocol/sql/identifier.h"

#include <optional>

namespace holdfast::sql {
namespace {

constexpr size_t identifier_bytes_max = 63;  // NAMEDATALEN less its NUL

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

std::optional<uint32_t> parse_hex(std::string_view digits, size_t count) {
    if (digits.size() < count) return std::nullopt;
    uint32_t value = 0;
    for (const char c : digits.substr(0, count)) {
        const char folded = lower(c);
        uint32_t digit = 0;
        if (folded >= '0' && folded <= '9') {
            digit = static_cast<uint32_t>(folded - '0');
        } else if (folded >= 'a' && folded <= 'f') {
            digit = static_cast<uint32_t>(folded - 'a' + 10);
        } else {
            return std::nullopt;
        }
        value = value * 16 + digit;
    }
    return value;
}

bool is_high_surrogate(uint32_t code) {
    return code >= 0xd800 && code < 0xdc00;
}
bool is_low_surrogate(uint32_t code) {
    return code >= 0xdc00 && code < 0xe000;
}

}  // namespace

bool Identifier::read(std::string_view text, const Token& token) {
    size_ = 0;
    std::string_view spelled = text.substr(token.begin, token.end - token.begin);
    switch (token.kind) {
        case TokenKind::word:
            for (const char c : spelled.substr(0, bytes_.size())) put(lower(c));
            break;
        case TokenKind::quoted:
            for (size_t i = 1; i + 1 < spelled.size() && size_ < bytes_.size(); ++i) {
                put(spelled[i]);
                if (spelled[i] == spelled[0]) ++i;  // a doubled quote
            }
            break;
        case TokenKind::unicode_quoted:
            spelled.remove_prefix(3);
            if (!put_unicode(spelled, token.unicode_escape)) {
                size_ = 0;
                return false;
            }
            break;
        default: return false;
    }
    cut();
    return true;
}

/// `body` is what follows U&", with the closing quote and what may come after it.
bool Identifier::put_unicode(std::string_view body, char escape) {
    uint32_t high_surrogate = 0;
    for (size_t i = 0; i < body.size() && size_ < bytes_.size(); ++i) {
        uint32_t code_point = 0;
        if (body[i] == '"') {
            if (i + 1 >= body.size() || body[i + 1] != '"') return high_surrogate == 0;
            ++i;
            if (high_surrogate != 0) return false;
            put('"');
            continue;
        }
        if (body[i] != escape) {
            if (high_surrogate != 0) return false;
            put(body[i]);
            continue;
        }
        std::string_view rest = body.substr(i + 1);
        if (rest.starts_with(escape)) {
            if (high_surrogate != 0) return false;
            put(escape);
            ++i;
            continue;
        }
        const bool is_long = rest.starts_with('+');
        const size_t digits = is_long ? 6 : 4;
        if (is_long) rest.remove_prefix(1);
        const std::optional<uint32_t> code = parse_hex(rest, digits);
        if (!code || *code == 0 || *code > 0x10ffff) return false;
        code_point = *code;
        i += digits + (is_long ? 1 : 0);
        if (high_surrogate != 0) {
            if (!is_low_surrogate(code_point)) return false;
            code_point = 0x10000 + ((high_surrogate - 0xd800) << 10) + (code_point - 0xdc00);
            high_surrogate = 0;
        } else if (is_high_surrogate(code_point)) {
            high_surrogate = code_point;
            continue;
        } else if (is_low_surrogate(code_point)) {
            return false;
        }
        put_code_point(code_point);
    }
    return true;
}

void Identifier::put_code_point(uint32_t code_point) {
    const auto tail = [&](int shift) { put(static_cast<char>(0x80 | ((code_point >> shift) & 0x3f))); };
    if (code_point < 0x80) {
        put(static_cast<char>(code_point));
    } else if (code_point < 0x800) {
        put(static_cast<char>(0xc0 | (code_point >> 6)));
        tail(0);
    } else if (code_point < 0x10000) {
        put(static_cast<char>(0xe0 | (code_point >> 12)));
        tail(6);
        tail(0);
    } else {
        put(static_cast<char>(0xf0 | (code_point >> 18)));
        tail(12);
        tail(6);
        tail(0);
    }
}

/// Cuts as the server does: before the character that would pass the limit.
void Identifier::cut() {
    if (size_ <= identifier_bytes_max) return;
    size_ = identifier_bytes_max;
    while (size_ > 0 && (static_cast<uint8_t>(bytes_[size_]) & 0xc0) == 0x80) --size_;
}

}  // namespace holdfast::sql
