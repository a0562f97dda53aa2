#pragma once

#include <functional>
#include <memory>

#include "proxy/loop/loop.h"

namespace holdfast::loop {

/// World::connect: resolves the host, then tries its addresses in order, each for its share of what is left
/// of cluster.connect_timeout. Destroying the returned attempt cancels it. errors  unreachable: refused, no
/// route, no such socket; timed_out; not_found: the name has no address;
///         limit_exceeded: out of descriptors; each names the address
std::unique_ptr<engine::Timer> start_connecting(
    Loop& loop, const config::Endpoint& address, const config::Cluster& cluster, engine::LinkOwner& owner,
    std::function<void(Result<std::unique_ptr<engine::Link>>)> on_done);

}  // namespace holdfast::loop
