#pragma once

#include <iosfwd>

namespace holdfast::app {

/// The command line: `holdfast run|check|diff|classify|version`. Returns the exit code; 2 for a command line
/// that makes no sense.
int cli(int argc, const char* const* argv, std::istream& in, std::ostream& out, std::ostream& err);

}  // namespace holdfast::app
