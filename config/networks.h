#pragma once

#include <array>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"

namespace holdfast::config {

/// Blocks of addresses in CIDR notation.
class Networks {
public:
    Networks() = default;
    /// The configuration loader has checked the blocks; one that is none holds no address.
    explicit Networks(const std::vector<std::string>& blocks);
    bool empty() const { return blocks_.empty(); }
    /// `ip` is 4 or 16 bytes in network order.
    bool hold(Bytes ip) const;

private:
    struct Block {
        std::array<std::byte, 16> network{};
        size_t size = 0;  // of the address: 4 or 16; 0: matches nothing
        unsigned bits = 0;
    };
    std::vector<Block> blocks_;
};

}  // namespace holdfast::config
