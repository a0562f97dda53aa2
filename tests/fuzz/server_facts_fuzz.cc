#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/mysql_facts.h"
#include "health/postgres_facts.h"
#include "protocol/base/limits.h"
#include "protocol/mysql/accounts.h"

/// What a lying server answers to a probe, and the host patterns of its accounts. Cells are separated by
/// 0x1f, results by 0x1e, and a cell of a single 0x00 is NULL.
using namespace holdfast;
using namespace holdfast::health;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

std::string_view take(std::string_view& text, char separator) {
    const size_t end = text.find(separator);
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}

std::vector<std::optional<std::string_view>> cells_of(std::string_view text) {
    std::vector<std::optional<std::string_view>> cells;
    while (!text.empty()) {
        const std::string_view cell = take(text, '\x1f');
        cells.push_back(cell == std::string_view("\0", 1) ? std::nullopt : std::optional(cell));
    }
    return cells;
}

/// The first `width` cells are the names of the columns, and whole rows follow.
MysqlRows rows_of(std::string_view text, size_t width) {
    MysqlRows rows;
    const auto cells = cells_of(text);
    for (size_t at = 0; at + width <= cells.size(); at += width) {
        std::vector<MysqlRows::Cell> row;
        for (size_t i = at; i < at + width; ++i) {
            if (at == 0) rows.columns.emplace_back(cells[i].value_or(""));
            row.push_back(cells[i] ? MysqlRows::Cell(std::string(*cells[i])) : std::nullopt);
        }
        if (at > 0) rows.rows.push_back(std::move(row));
    }
    return rows;
}

bool is_one_line(std::string_view text) {
    return text.find('\n') == std::string_view::npos && text.find('\x1b') == std::string_view::npos;
}

void check_postgres(std::string_view text) {
    Observation seen;
    const auto cells = cells_of(text);
    if (const Status read = parse_postgres_facts(cells, seen); !read) {
        require(!read.error().message.empty());
        return;
    }
    require(cells.size() == postgres_facts_columns);
    require(seen.sender_host.size() <= 255);
}

void check_mysql(std::string_view text, size_t width) {
    Observation seen;
    const auto questions = read_mysql_variables(rows_of(take(text, '\x1e'), 2), seen);
    if (!questions) return;
    require(seen.mysql.has_value() && is_one_line(seen.version_text));
    if (questions->gtid_executed) read_mysql_gtid_executed(rows_of(take(text, '\x1e'), 1), seen);
    if (questions->galera) read_mysql_galera(rows_of(take(text, '\x1e'), 2), seen);
    if (questions->group) read_mysql_group(rows_of(take(text, '\x1e'), 3), seen);
    read_mysql_sources(rows_of(text, width), seen);
    require(seen.mysql->sources.size() <= limits::replication_sources_max);
    for (const ReplicationSource& source : seen.mysql->sources) {
        require(is_one_line(source.error) && is_one_line(source.host) && is_one_line(source.channel));
    }
    note_hidden_sources(text, text, seen);
    require(is_one_line(seen.mysql->sources_hidden));
}

void check_accounts(std::string_view text) {
    const mysql::ClientHost host{std::string(take(text, '\x1f'))};
    std::vector<dialect::StoredAccount> accounts;
    while (!text.empty()) accounts.emplace_back().host = take(text, '\x1f');
    const dialect::StoredAccount* chosen = mysql::choose_account(accounts, host);
    bool any = false;
    for (const auto& account : accounts) any = any || mysql::host_matches(account.host, host);
    require((chosen != nullptr) == any && (chosen == nullptr || mysql::host_matches(chosen->host, host)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
    switch (data[0] % 3) {
        case 0: check_postgres(text); break;
        case 1: check_mysql(text, size_t{1} + data[0] / 3 % 24); break;
        case 2: check_accounts(text); break;
    }
    return 0;
}
