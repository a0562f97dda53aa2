#pragma once

#include <string_view>

namespace holdfast::sql {

/// The statement inside a PREPARE statement: the text after its AS; empty when there is none.
/// in      one PREPARE statement as classify() reports it
std::string_view prepared_body(std::string_view prepare_statement);

}  // namespace holdfast::sql
