#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

/// Durations and sizes as an operator writes them: a whole number and its unit, without a blank.
namespace holdfast::config {

/// "500ms", "5s", "2m", "1h", "0s".
/// errors  bad_value: anything else, with an example; limit_exceeded: more than 64 bits of milliseconds
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "512B", "10kB", "64MiB", "1GiB": bytes. kB, MB, GB, TB count in thousands, KiB, MiB, GiB, TiB in 1024s.
/// errors  bad_value: anything else, with an example; limit_exceeded: more than fits
Result<uint64_t> parse_size(std::string_view text);

/// Decimal digits only. errors  bad_value, limit_exceeded
Result<uint64_t> parse_number(std::string_view text);

/// The shortest exact form: 90s, 2m, 1h, 1500ms.
std::string to_text(std::chrono::milliseconds duration);

/// The same for a number of bytes: 64MiB, 10kB, 1000001B.
std::string size_text(uint64_t bytes);

}  // namespace holdfast::config
