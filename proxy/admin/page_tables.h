#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

/// The status page's first answer holds everything as plain tables already, so that it reads in a browser
/// without scripts, and before the first of them has run.
namespace holdfast::admin {

/// `text` as it may stand between HTML's tags and in quoted attributes.
std::string escape_html(std::string_view text);

/// Tables of the clusters and servers of `status` (GET /api/v1/status). What is missing in it is left empty.
std::string status_tables(const nlohmann::json& status);

/// The complete page: `page` (page_text()) with the tables at their place.
std::string status_page(std::string_view page, const nlohmann::json& status);

/// The page without the tables, as built into the program.
std::string_view page_text();

}  // namespace holdfast::admin
