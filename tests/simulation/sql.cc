#include "tests/simulation/sql.h"

#include <cctype>
#include <charconv>

namespace holdfast::simulation {
namespace {

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
}

/// Words in lower case, numbers, quoted texts without their quotes, and single other characters.
std::vector<std::string> tokens_of(std::string_view text) {
    std::vector<std::string> tokens;
    for (size_t i = 0; i < text.size();) {
        const char c = text[i];
        // The marks of a MySQL variable tell nothing that its name does not.
        if (c == ' ' || c == '\n' || c == '@' || c == '`') {
            ++i;
        } else if (c == '\'' || c == '"') {
            const size_t end = text.find(c, i + 1);
            tokens.emplace_back(text.substr(i + 1, end == std::string_view::npos ? end : end - i - 1));
            if (end == std::string_view::npos) break;
            i = end + 1;
        } else if (is_word(c)) {
            std::string word;
            while (i < text.size() && is_word(text[i])) {
                word += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i++])));
            }
            tokens.push_back(std::move(word));
        } else {
            tokens.emplace_back(1, c);
            ++i;
        }
    }
    return tokens;
}

template <typename T>
T number(const std::string& text) {
    T value{};
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

Sql parse_select(const std::vector<std::string>& t) {
    Sql sql;
    if (t.size() == 2) {
        sql.verb = Verb::show;
        sql.name = t[1];
        return sql;
    }
    constexpr size_t shortest = 8;  // SELECT ticket, TAG, @tenant FROM next_ticket
    if (t.size() < shortest) return sql;
    sql.tag = number<uint64_t>(t[3]);
    for (size_t i = 0; i + 1 < t.size(); ++i) {
        if (t[i] == "for" && t[i + 1] == "update") sql.for_update = true;
        if (t[i] == "=") sql.key = number<int64_t>(t[i + 1]);
        if (t[i] != "from") continue;
        if (t[i + 1] == "t") sql.verb = Verb::select_value;
        if (t[i + 1] == "series") sql.verb = Verb::select_series;
        if (t[i + 1] == "next_ticket") sql.verb = Verb::select_ticket;
    }
    return sql;
}

Sql parse_update(const std::vector<std::string>& t) {
    Sql sql;
    for (size_t i = 0; i + 2 < t.size(); ++i) {
        if (t[i] == "greatest" && i + 4 < t.size()) {
            sql.verb = Verb::raise;
            sql.value = number<int64_t>(t[i + 4]);
        }
        if (t[i] == "+") sql.verb = Verb::bump;
        if (t[i] == "tag") sql.tag = number<uint64_t>(t[i + 2]);
        if (t[i] == "k") sql.key = number<int64_t>(t[i + 2]);
    }
    return sql;
}

}  // namespace

Sql parse_sql(std::string_view text) {
    const auto t = tokens_of(text);
    Sql sql;
    if (t.empty()) return sql;
    const std::string& first = t[0];
    const auto at = [&](size_t i) { return i < t.size() ? t[i] : std::string(); };
    if (first == "select" && at(2) == "/") {
        sql.verb = Verb::divide_by_zero;
        return sql;
    }
    if (first == "select") return parse_select(t);
    if (first == "update") return parse_update(t);
    if (first == "insert") {
        sql.verb = Verb::insert;
        sql.tag = number<uint64_t>(at(5));
        sql.returning = at(7) == "returning";
    } else if (first == "begin") {
        sql.verb = at(1) == "read" ? Verb::begin_read_only : Verb::begin;
    } else if (first == "start") {
        sql.verb = at(2) == "read" ? Verb::begin_read_only : Verb::begin;
    } else if (first == "kill") {
        sql.verb = Verb::kill;
        sql.key = number<int64_t>(at(2));
    } else if (first == "commit") {
        sql.verb = Verb::commit;
    } else if (first == "rollback") {
        sql.verb = at(1) == "to" ? Verb::rollback_to : Verb::rollback;
        sql.name = at(3);
    } else if (first == "savepoint") {
        sql.verb = Verb::savepoint;
        sql.name = at(1);
    } else if (first == "release") {
        sql.verb = Verb::release;
        sql.name = at(2);
    } else if (first == "set") {
        sql.verb = Verb::set;
        sql.name = at(1);
        sql.text = at(3);
    } else if (first == "show") {
        sql.verb = Verb::show;
        sql.name = at(1);
    } else if (first == "listen") {
        sql.verb = Verb::listen;
        sql.name = at(1);
    } else if (first == "notify") {
        sql.verb = Verb::notify;
        sql.name = at(1);
        sql.text = at(3);
    } else if (first == "prepare") {
        sql.verb = Verb::prepare;
        sql.name = at(1);
        // A parameter list may stand between the name and AS.
        const size_t as = text.find(" AS ");
        if (as != std::string_view::npos) sql.text = text.substr(as + 4);
    } else if (first == "execute") {
        sql.verb = Verb::execute;
        sql.name = at(1);
        for (size_t i = 3; i < t.size(); ++i) {
            if (t[i] != "," && t[i] != ")") sql.arguments.push_back(t[i]);
        }
    } else if (first == "deallocate") {
        sql.verb = Verb::deallocate;
        sql.name = at(1);
    } else if (first == "discard") {
        sql.verb = Verb::discard_all;
    }
    return sql;
}

std::vector<std::string> split_sql(std::string_view text) {
    std::vector<std::string> parts;
    std::string part;
    for (const char c : text) {
        if (c == ';') {
            if (part.find_first_not_of(' ') != std::string::npos) parts.push_back(part);
            part.clear();
        } else {
            part += c;
        }
    }
    if (part.find_first_not_of(' ') != std::string::npos) parts.push_back(part);
    return parts;
}

std::string with_parameters(std::string_view text, const std::vector<std::string>& values) {
    std::string out;
    size_t in_order = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '?') {
            out += in_order < values.size() ? values[in_order] : "0";
            ++in_order;
            continue;
        }
        if (text[i] != '$') {
            out += text[i];
            continue;
        }
        size_t n = 0;
        while (i + 1 < text.size() && std::isdigit(static_cast<unsigned char>(text[i + 1])) != 0) {
            n = n * 10 + static_cast<size_t>(text[++i] - '0');
        }
        out += n >= 1 && n <= values.size() ? values[n - 1] : "0";
    }
    return out;
}

bool returns_rows(Verb verb) {
    return verb == Verb::select_value || verb == Verb::select_series || verb == Verb::select_ticket ||
           verb == Verb::divide_by_zero || verb == Verb::show;
}

bool ends_failure(Verb verb) {
    return verb == Verb::commit || verb == Verb::rollback || verb == Verb::rollback_to;
}

bool writes(const Sql& sql) {
    switch (sql.verb) {
        case Verb::insert:
        case Verb::raise:
        case Verb::bump:
        case Verb::select_ticket: return true;
        default: return sql.for_update;
    }
}

}  // namespace holdfast::simulation
