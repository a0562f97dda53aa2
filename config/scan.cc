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

}  // namespace

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
