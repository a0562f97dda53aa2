#pragma once

#include <optional>
#include <string_view>

#include "config/diagnostic.h"

/// What must be known of a TOML text before, or without, parsing it. Both functions accept any bytes.
namespace holdfast::config {

/// The place of the first key with more than `parts_max` dotted parts. The parser builds one nested table a
/// part, without a bound of its own, and frees them recursively: such a key could use up the stack.
std::optional<Position> find_overlong_key(std::string_view text, int parts_max);

/// Whether the line (counted from 1) begins inside a multi-line string.
bool begins_inside_string(std::string_view text, int line);

}  // namespace holdfast::config
