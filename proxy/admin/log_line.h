#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "protocol/base/log.h"

/// What a log line looks like. Pure: text in, text out.
namespace holdfast::admin {

/// A line with its newline fits into one atomic write to a pipe (PIPE_BUF on Linux), so that lines of
/// several writers never mix and a writer that saw the pipe writable can't be stopped half-way.
inline constexpr size_t log_line_bytes_max = 4'096;
/// Of one value as it is written, escapes included; a longer one ends in "…".
inline constexpr size_t log_value_bytes_max = 1'024;
static_assert(log_value_bytes_max * 3 < log_line_bytes_max);

/// Writes one line, without its newline, into `out` (replacing what it held):
///   logfmt  ts=2026-01-02T03:04:05.678Z level=warn event=session_closed session=8131 reason="went away"
///   json    {"ts":"2026-01-02T03:04:05.678Z","level":"warn","event":"session_closed","session":8131,…}
/// `event` and the fields' names are words of the program; values may be anything: quotes, line ends and
/// other control characters (also Unicode's, and those that turn the direction of text) are escaped, bytes
/// that are not UTF-8 become U+FFFD. Fields that would not fit into log_line_bytes_max are left out and
/// truncated=true stands in their place.
void format_log_line(config::LogFormat format, std::chrono::system_clock::time_point time, LogLevel level,
                     std::string_view event, std::initializer_list<LogField> fields, std::string& out);

/// "debug", "info", "warn" or "error".
std::string_view to_string(LogLevel level);

}  // namespace holdfast::admin
