#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/sql/classify.h"

namespace holdfast::sql {

/// The statement inside a PostgreSQL PREPARE statement: the text after its AS; empty when there is none.
/// in      one PREPARE statement as classify() reports it
std::string_view prepared_body(std::string_view prepare_statement);

/// The statement inside a MySQL PREPARE statement: the value of the literals after its FROM; nothing when it
/// is prepared from something else.
/// in      one PREPARE statement as classify() reports it, and the context that it was read in
std::optional<std::string> prepared_literal(std::string_view prepare_statement, const Context& context);

}  // namespace holdfast::sql
