#pragma once

#include <iosfwd>
#include <string>

namespace holdfast::app {

/// `holdfast check`: reads a configuration as `run` would, and prints all that is wrong or doubtful to `err`,
/// in the order of the file, or that it is good to `out`. Returns the exit code: 0, also with warnings; 1
/// with errors.
int check(const std::string& config_file, std::ostream& out, std::ostream& err);

}  // namespace holdfast::app
