#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast::sql {

/// The hash that fingerprint() makes of a normalised text: equal texts only, and the same in every process.
uint64_t fingerprint_of_normalised(std::string_view normalised);

}  // namespace holdfast::sql
