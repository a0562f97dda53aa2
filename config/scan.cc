#include "config/scan.h"

#include <cstddef>

namespace holdfast::config {
namespace {

/// Walks over a text character by character and knows whether it is in a comment or in one of TOML's four
/// kinds of string. A string of one line that is not closed ends with its line, as the parser stops there.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    bool at_end() const { return at_ >= text_.size(); }
    bool in_multiline_string() const { return closing_.size() == 3; }
    bool is_bare() const { return closing_.empty() && !in_comment_; }
    char current() const { return text_[at_]; }
    size_t offset() const { return at_; }
    Position position() const { return {line_, column_}; }

    void advance() {
        if (current() == '\n') {
            in_comment_ = false;
            if (closing_.size() == 1) closing_ = {};
            step();
        } else if (in_comment_) {
            step();
        } else if (closing_.empty()) {
            advance_bare();
        } else {
            advance_string();
        }
    }

private:
    void advance_bare() {
        if (current() == '#') in_comment_ = true;
        for (const std::string_view quote : {R"(""")", "'''", "\"", "'"}) {
            if (text_.substr(at_).starts_with(quote)) {
                closing_ = quote;
                for (size_t i = 0; i < quote.size(); ++i) step();
                return;
            }
        }
        step();
    }

    void advance_string() {
        if (current() == '\\' && closing_[0] == '"') {
            step();
            // An escaped line end still ends the line for a string of one line.
            if (!at_end() && current() != '\n') step();
            return;
        }
        if (!text_.substr(at_).starts_with(closing_)) {
            step();
            return;
        }
        for (size_t i = 0; i < closing_.size(); ++i) step();
        // A multi-line string may end in up to two quotes of its own before the closing three.
        if (closing_.size() == 3) {
            for (int i = 0; i < 2 && !at_end() && current() == closing_[0]; ++i) step();
        }
        closing_ = {};
    }

    void step() {
        const auto byte = static_cast<unsigned char>(text_[at_]);
        ++at_;
        if (byte == '\n') {
            ++line_;
            column_ = 1;
        } else if (at_ >= text_.size() || (static_cast<unsigned char>(text_[at_]) & 0xC0U) != 0x80U) {
            ++column_;  // UTF-8 continuation bytes belong to the character before them
        }
    }

    std::string_view text_;
    size_t at_ = 0;
    int line_ = 1;
    int column_ = 1;
    std::string_view closing_;  // what ends the string we are in; empty: in none
    bool in_comment_ = false;
};

bool separates_keys(char c) {
    return c == '\n' || c == '=' || c == ',' || c == '[' || c == ']' || c == '{' || c == '}';
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// What may follow the brackets of a heading; ']' is an error that the parser itself finds.
bool may_begin_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '"' || c == '\'' || c == ']';
}

void skip_blanks(Scanner& scanner) {
    while (!scanner.at_end() && is_blank(scanner.current())) scanner.advance();
}

/// Goes to the next line; `depth` follows the brackets that this one opens and closes.
void skip_line(Scanner& scanner, int& depth) {
    while (!scanner.at_end() && scanner.current() != '\n') {
        const char c = scanner.is_bare() ? scanner.current() : ' ';
        if (c == '[' || c == '{') ++depth;
        if ((c == ']' || c == '}') && depth > 0) --depth;
        scanner.advance();
    }
    if (!scanner.at_end()) scanner.advance();
}

}  // namespace

std::optional<BadHeading> find_bad_heading(std::string_view text) {
    Scanner scanner{text};
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    for (size_t i = 0; text.starts_with(byte_order_mark) && i < byte_order_mark.size(); ++i)
        scanner.advance();
    // Brackets open: a line within an array of several lines begins no table.
    int depth = 0;
    while (!scanner.at_end()) {
        const size_t line_begin = scanner.offset();
        skip_blanks(scanner);
        const bool may_be_heading = depth == 0 && scanner.is_bare();
        for (int i = 0; may_be_heading && i < 2 && !scanner.at_end() && scanner.current() == '['; ++i) {
            scanner.advance();
            ++depth;
        }
        skip_blanks(scanner);
        const bool is_heading = may_be_heading && depth > 0;
        if (is_heading && !scanner.at_end() && !may_begin_name(scanner.current())) {
            return BadHeading{scanner.position(), line_begin};
        }
        skip_line(scanner, depth);
    }
    return std::nullopt;
}

std::optional<Position> find_overlong_key(std::string_view text, int parts_max) {
    int parts = 1;
    for (Scanner scanner{text}; !scanner.at_end(); scanner.advance()) {
        if (!scanner.is_bare()) continue;
        if (separates_keys(scanner.current())) parts = 1;
        if (scanner.current() == '.' && ++parts > parts_max) return scanner.position();
    }
    return std::nullopt;
}

bool begins_inside_string(std::string_view text, int line) {
    Scanner scanner{text};
    while (!scanner.at_end() && scanner.position().line < line) scanner.advance();
    return scanner.in_multiline_string();
}

}  // namespace holdfast::config
