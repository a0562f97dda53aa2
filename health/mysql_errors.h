#pragma once

#include <string_view>

#include "health/observation.h"

/// What the error numbers of MySQL, MariaDB and libmariadb say of a server.
namespace holdfast::health {

inline constexpr unsigned mysql_error_shutdown = 1053;  // ER_SERVER_SHUTDOWN

/// Whether the number is libmariadb's, not the server's.
bool is_mysql_library_error(unsigned code);
/// text    of the error: libmariadb puts the system's error number there
Outcome outcome_of_mysql_error(unsigned code, std::string_view text);

}  // namespace holdfast::health
