#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "health/event_loop.h"
#include "protocol/base/result.h"

namespace holdfast::loop {

class Loop;

/// Calls `on_change` with the name of what was made, changed, removed or renamed in a folder; when the folder
/// itself went away or was moved, with its own name. It watches the folder that the path leads to now: one
/// that takes its place later is another. `on_change` may destroy the watch.
/// errors  internal: the system can't watch it (it is gone, may not be read, or there are too many watches)
Result<std::unique_ptr<health::Watch>> watch_folder(Loop& loop, const std::string& folder,
                                                    std::function<void(std::string_view name)> on_change);

}  // namespace holdfast::loop
