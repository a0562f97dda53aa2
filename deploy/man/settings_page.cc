// Writes the manual page holdfast.toml(5), made from the same text as config/REFERENCE.md and so from the
// loader's own table of keys. It knows as much Markdown as that text uses: headings, paragraphs, lists,
// tables, code and emphasis.

#include <cctype>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "config/keys.h"

namespace {

using std::string;
using std::string_view;

/// Text as roff takes it literally.
string literal(string_view text) {
    string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";  // a minus, which can be copied into a file, rather than a hyphen
        } else if (c == '\'') {
            out += "\\(aq";
        } else {
            out += c;
        }
    }
    return out;
}

/// Replaces `code`, **strong**, *emphasis* and [text](address).
string with_inline_marks(string_view text) {
    string out;
    const auto take = [&](string_view mark, string_view font) {
        if (!text.starts_with(mark)) return false;
        const size_t end = text.find(mark, mark.size());
        if (end == string_view::npos) return false;
        const string_view inner = text.substr(mark.size(), end - mark.size());
        out += "\\f" + string(font) + (mark == "`" ? literal(inner) : with_inline_marks(inner)) + "\\fR";
        text.remove_prefix(end + mark.size());
        return true;
    };
    const auto take_link = [&] {
        const size_t middle = text.find("](");
        const size_t end = text.find(')');
        if (text.front() != '[' || middle == string_view::npos || end == string_view::npos || end < middle)
            return false;
        out += literal(text.substr(1, middle - 1)) + " (" +
               literal(text.substr(middle + 2, end - middle - 2)) + ")";
        text.remove_prefix(end + 1);
        return true;
    };
    while (!text.empty()) {
        if (take("`", "B") || take("**", "B") || take("*", "I") || take_link()) continue;
        out += literal(text.substr(0, 1));
        text.remove_prefix(1);
    }
    return out;
}

string without_ends(string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return string(text);
}

/// A line of text must not look like a request to roff.
string as_line(const string& text) {
    return (text.starts_with('.') || text.starts_with("\\(aq") ? "\\&" + text : text) + "\n";
}

/// The cells of "| a | b |".
std::vector<string> cells_of(string_view row) {
    std::vector<string> cells;
    row.remove_prefix(1);
    while (!row.empty()) {
        // "|" without blanks around it is part of a text.
        const size_t end = std::min(row.find(" |"), row.size());
        cells.push_back(without_ends(row.substr(0, end)));
        row.remove_prefix(std::min(end + 2, row.size()));
    }
    return cells;
}

/// A row under its heading: the first cell names it, "meaning" explains it, the others follow with their
/// titles.
string entry(const std::vector<string>& titles, const std::vector<string>& cells) {
    string tag = ".TP\n" + with_inline_marks(cells[0]);
    string meaning;
    string rest;
    for (size_t i = 1; i < cells.size() && i < titles.size(); ++i) {
        if (cells[i].empty()) continue;
        if (titles[i] == "type") {
            tag += " (" + with_inline_marks(cells[i]) + ")";
        } else if (titles[i] == "meaning") {
            meaning = with_inline_marks(cells[i]);
        } else {
            rest += (rest.empty() ? "" : "; ") + titles[i] + ": " + with_inline_marks(cells[i]);
        }
    }
    if (!rest.empty()) rest[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(rest[0])));
    return tag + "\n" + as_line(meaning) + (rest.empty() ? "" : ".br\n" + as_line(rest + "."));
}

class Page {
public:
    void add(const string& line) {
        if (line.starts_with("## ")) {
            end_paragraph();
            text_ += ".SH \"" + literal(without_marks(line.substr(3))) + "\"\n";
        } else if (line.starts_with("|")) {
            end_paragraph();
            add_row(line);
        } else if (line.empty()) {
            end_paragraph();
        } else if (line.starts_with("- ")) {
            end_paragraph();
            opening_ = ".IP \\(bu 2\n";
            paragraph_ = line.substr(2);
        } else {
            paragraph_ += (paragraph_.empty() ? "" : " ") + without_ends(line);
        }
        if (!line.starts_with("|")) titles_.clear();
    }
    string finished() {
        end_paragraph();
        return text_;
    }

private:
    static string without_marks(string text) {
        std::erase(text, '`');
        return text;
    }
    void add_row(const string& line) {
        const auto cells = cells_of(line);
        if (titles_.empty()) {
            titles_ = cells;
        } else if (!line.starts_with("| ---")) {
            text_ += entry(titles_, cells);
        }
    }
    void end_paragraph() {
        if (!paragraph_.empty()) text_ += opening_ + as_line(with_inline_marks(paragraph_));
        paragraph_.clear();
        opening_ = ".PP\n";
    }

    string text_;
    string paragraph_;
    string opening_ = ".PP\n";
    std::vector<string> titles_;
};

string page() {
    Page body;
    std::istringstream reference(holdfast::config::reference_markdown());
    for (string line; std::getline(reference, line);) {
        if (!line.starts_with("# ")) body.add(line);
    }
    return ".TH HOLDFAST.TOML 5 \"\" \"Holdfast " HOLDFAST_VERSION
           "\" \"File Formats\"\n"
           ".ad l\n.nh\n.SH NAME\nholdfast.toml \\- configuration of holdfast(8)\n"
           ".SH DESCRIPTION\n" +
           body.finished() +
           ".SH FILES\n.TP\n\\fI/etc/holdfast/holdfast.toml\\fR\nWhere the Debian package has it.\n"
           ".TP\n\\fI/usr/share/doc/holdfast/examples/holdfast.example.toml\\fR\nAn example with comments.\n"
           ".SH SEE ALSO\n\\fBholdfast\\fR(8)\n";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: " << argv[0] << " OUTPUT\n";
        return 2;
    }
    std::ofstream file(argv[1], std::ios::binary);
    file << page();
    file.close();
    return file ? 0 : 1;
}
