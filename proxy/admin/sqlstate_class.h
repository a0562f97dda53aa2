#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::admin {

/// The classes of SQLSTATE that get a label of their own: those of errors in PostgreSQL's documentation,
/// "PostgreSQL Error Codes", and HY, MySQL's "general error". The last entry stands for every other.
inline constexpr std::array<std::string_view, 42> sqlstate_classes = {
    "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "22", "23", "24",
    "25", "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40",
    "42", "44", "53", "54", "55", "57", "58", "72", "F0", "HV", "HY", "P0", "XX", "other"};

/// The place of an SQLSTATE's class in sqlstate_classes. `sqlstate` may be anything. Constant time.
size_t sqlstate_class_index(std::string_view sqlstate);

}  // namespace holdfast::admin
