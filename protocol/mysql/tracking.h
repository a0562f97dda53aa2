#pragma once
#include <string>
namespace holdfast::mysql {
std::string tracking_statement(bool is_mariadb);
std::string reset_statement(bool is_mariadb, uint8_t collation);
}  // namespace holdfast::mysql
