#pragma once

#include <string_view>

/// The SQLSTATEs that a login is refused with.
/// spec    PostgreSQL documentation, "PostgreSQL Error Codes"
namespace holdfast::postgres::sqlstate {

inline constexpr std::string_view protocol_violation = "08P01";
inline constexpr std::string_view feature_not_supported = "0A000";
inline constexpr std::string_view invalid_parameter_value = "22023";
inline constexpr std::string_view invalid_authorization = "28000";
inline constexpr std::string_view invalid_password = "28P01";
inline constexpr std::string_view cannot_connect_now = "57P03";

}  // namespace holdfast::postgres::sqlstate
