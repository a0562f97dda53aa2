#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::health {

/// A whole result in text; a statement without one gives no columns. Each row has a cell for each column.
struct MysqlRows {
    using Cell = std::optional<std::string>;
    std::vector<std::string> columns;
    std::vector<std::vector<Cell>> rows;

    /// The cell of a row and a column by name; nullptr: there is no such column, or it is NULL.
    const std::string* find(size_t row, std::string_view column) const {
        const auto at = std::find(columns.begin(), columns.end(), column);
        if (at == columns.end() || row >= rows.size()) return nullptr;
        const Cell& cell = rows[row][static_cast<size_t>(at - columns.begin())];
        return cell ? &*cell : nullptr;
    }
};

}  // namespace holdfast::health
