#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace holdfast {

/// A number that names one thing of one kind; different tags do not mix. Zero names nothing.
template <typename Tag>
struct Id {
    uint64_t value = 0;

    explicit operator bool() const { return value != 0; }
    auto operator<=>(const Id&) const = default;
};

using SessionId = Id<struct SessionTag>;
/// A server of one cluster: its place in the configuration's list plus one; stable over reloads that keep it.
using ServerId = Id<struct ServerTag>;
/// Grows with every change of a cluster's primary. What comes back later carries the epoch it was asked
/// under, and is dropped when that is over.
using Epoch = Id<struct EpochTag>;

}  // namespace holdfast

template <typename Tag>
struct std::hash<holdfast::Id<Tag>> {
    size_t operator()(const holdfast::Id<Tag>& id) const noexcept { return std::hash<uint64_t>{}(id.value); }
};
