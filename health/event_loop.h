#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"

/// The little that health needs of an event loop; proxy/loop provides it, the simulation and tests fake it.
namespace holdfast::health {

/// A running timer or descriptor watch; destroying it ends it, and its callback is not called again.
/// It may be destroyed from within its own callback.
class Watch {
public:
    virtual ~Watch() = default;
};

enum class Readiness { readable, writable, readable_or_writable };

class EventLoop : public Clock {
public:
    /// Calls `on_due` once, `delay` from now (not before this call returned).
    virtual std::unique_ptr<Watch> after(Duration delay, std::function<void()> on_due) = 0;
    /// Calls `on_ready` whenever `descriptor` is ready (level-triggered). Does not own the descriptor: end
    /// the watch before it is closed.
    virtual std::unique_ptr<Watch> watch(int descriptor, Readiness readiness,
                                         std::function<void()> on_ready) = 0;
    /// Resolves a host name off the loop; numeric addresses too. Yields numeric addresses, at least one, or
    /// an error that names the host.
    virtual std::unique_ptr<Watch> resolve(const std::string& host,
                                           std::function<void(Result<std::vector<std::string>>)> on_done) = 0;
};

}  // namespace holdfast::health
