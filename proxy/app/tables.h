#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

/// What the command line shows of the admin API's answers, for people. Pure.
namespace holdfast::app {

/// Columns as wide as they must be; the first row is the heading. Control characters are not passed on.
void print_table(const std::vector<std::vector<std::string>>& rows, std::ostream& out);

/// "350ms", "12s", "4m 10s", "3h 2m", "5d 4h"; null: "-".
std::string age_text(const nlohmann::json& seconds);
/// "812 B", "4.2 MiB"; null: "-".
std::string bytes_text(const nlohmann::json& bytes);

/// Of a status: each cluster with its servers; `cluster` empty: all.
void print_status(const nlohmann::json& status, const std::string& cluster, std::ostream& out);
void print_servers(const nlohmann::json& status, const std::string& cluster, std::ostream& out);
void print_sessions(const nlohmann::json& sessions, std::ostream& out);
void print_events(const nlohmann::json& events, std::ostream& out);

}  // namespace holdfast::app
