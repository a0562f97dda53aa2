#pragma once

#include <iosfwd>

#include "protocol/sql/classify.h"

namespace holdfast::app {

/// `holdfast classify`: reads messages, one JSON string a line, and writes for each, in order and at once,
/// one line with a JSON object: {"destination": …, "reason": …, "session": […]}, where "session" has the
/// kinds of effects that the message leaves in its session, each once, in order of appearance. Each message
/// stands alone, as if it were the first of its session. A line that is no JSON string gets {"error": …}.
/// Returns the exit code: 0, or 1 when a line was in error or could not be written.
int classify_lines(sql::Dialect dialect, std::istream& in, std::ostream& out);

}  // namespace holdfast::app
