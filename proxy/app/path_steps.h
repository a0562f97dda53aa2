#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace holdfast::app {

/// Names, by the folder in which they stand.
using PathSteps = std::map<std::string, std::set<std::string>>;

/// Every name that decides what the paths lead to: those on the way, symbolic links and what they point to
/// included, and the files themselves. While none of these names changes in its folder, each path leads to
/// the same file. What does not exist ends the way after its name. Asks the file system: blocks.
PathSteps steps_of(const std::vector<std::string>& paths);

}  // namespace holdfast::app
