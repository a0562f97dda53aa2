#include "proxy/app/diff.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <ostream>
#include <string_view>

#include <nlohmann/json.hpp>

#include "config/load.h"

namespace holdfast::app {

namespace {

constexpr int same = 0;
constexpr int different = 1;
constexpr int trouble = 2;
/// A longer path does not push the values of all others out of sight.
constexpr size_t path_column_max = 60;

std::string_view kind_text(config::Change::Kind kind) {
    switch (kind) {
        case config::Change::Kind::added: return "added";
        case config::Change::Kind::removed: return "removed";
        case config::Change::Kind::changed: return "changed";
    }
    std::abort();
}

std::string_view reload_text(config::Reload reload) {
    switch (reload) {
        case config::Reload::hot: return "applied";
        case config::Reload::restart: return "needs a restart";
        case config::Reload::refused: return "refused";
    }
    std::abort();
}

char sign_of(config::Change::Kind kind) {
    switch (kind) {
        case config::Change::Kind::added: return '+';
        case config::Change::Kind::removed: return '-';
        case config::Change::Kind::changed: return '~';
    }
    std::abort();
}

struct Row {
    config::Change::Kind kind;
    std::string path;
    std::string what;
};

std::string shown(const std::string& value) {
    return value.empty() ? "(not set)" : value;
}

std::string values_of(const config::Change& change) {
    std::string out;
    switch (change.kind) {
        case config::Change::Kind::added: out = shown(change.after); break;
        case config::Change::Kind::removed: out = shown(change.before); break;
        case config::Change::Kind::changed: out = shown(change.before) + " -> " + shown(change.after); break;
    }
    if (change.reload != config::Reload::hot) out += "   (" + std::string(reload_text(change.reload)) + ")";
    return out;
}

/// Of what came or went as a whole: one more of its settings, if it says anything.
void add_to(Row& row, const config::Change& change) {
    const std::string& value = change.kind == config::Change::Kind::added ? change.after : change.before;
    // The list of servers is told by the servers.
    if (value.empty() || value == change.key->fallback || change.key->type == config::Type::servers) return;
    row.what += (row.what.empty() ? "" : ", ") + change.path.substr(change.with.size() + 1) + " = " + value;
}

std::vector<Row> rows_of(const std::vector<config::Change>& changes) {
    std::vector<Row> rows;
    for (const config::Change& change : changes) {
        if (change.with.empty()) {
            rows.push_back({change.kind, change.path, values_of(change)});
            continue;
        }
        if (rows.empty() || rows.back().path != change.with) rows.push_back({change.kind, change.with, {}});
        add_to(rows.back(), change);
    }
    return rows;
}

void print_table(const std::vector<config::Change>& changes, std::ostream& out) {
    const std::vector<Row> rows = rows_of(changes);
    size_t width = 0;
    for (const Row& row : rows) {
        if (row.path.size() <= path_column_max) width = std::max(width, row.path.size());
    }
    for (const Row& row : rows) {
        const std::string padding(width > row.path.size() ? width - row.path.size() : 0, ' ');
        out << sign_of(row.kind) << ' ' << row.path << padding << "   " << row.what << '\n';
    }
}

}  // namespace

nlohmann::json changes_json(const std::vector<config::Change>& changes) {
    nlohmann::json list = nlohmann::json::array();
    for (const config::Change& change : changes) {
        list.push_back({{"path", change.path},
                        {"kind", kind_text(change.kind)},
                        {"before", change.before},
                        {"after", change.after},
                        {"reload", reload_text(change.reload)}});
    }
    return list;
}

namespace {

void print_json(const std::vector<config::Change>& changes, std::ostream& out) {
    out << nlohmann::json{{"changes", changes_json(changes)}}.dump(-1, ' ', false,
                                                                   nlohmann::json::error_handler_t::replace)
        << '\n';
}

std::optional<config::Settings> load(const std::string& file, std::ostream& err) {
    config::Loaded loaded = config::load_file(file);
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        // Warnings are for `check`: here they would stand between the differences.
        if (diagnostic.severity == config::Diagnostic::Severity::warning) continue;
        err << format(diagnostic, loaded.source) << '\n';
    }
    return std::move(loaded.settings);
}

}  // namespace

void print_changes(const std::vector<config::Change>& changes, Form form, std::ostream& out) {
    switch (form) {
        case Form::table: print_table(changes, out); return;
        case Form::json: print_json(changes, out); return;
    }
}

int diff(const DiffOptions& options, std::ostream& out, std::ostream& err) {
    const auto before = load(options.against, err);
    const auto after = load(options.config_file, err);
    if (!before || !after) return trouble;
    const auto changes = config::compare(*before, *after);
    print_changes(changes, options.json ? Form::json : Form::table, out);
    return changes.empty() ? same : different;
}

}  // namespace holdfast::app
