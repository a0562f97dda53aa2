#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "config/settings.h"

namespace holdfast::config {

/// The servers of a changed configuration, in places that fit those of before. A server's place in the list
/// is its number (ServerId) everywhere else: those that stay keep theirs, with what the new configuration
/// says of them, and those that are gone keep theirs marked as removed. A new server takes the place of a
/// removed one of which `is_free` says that nothing refers to it any more, or a further one.
std::vector<Server> keep_places(const std::vector<Server>& before, const std::vector<Server>& wanted,
                                const std::function<bool(size_t place)>& is_free);

}  // namespace holdfast::config
