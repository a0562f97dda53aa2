#pragma once

#include <array>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"

namespace holdfast::app {

/// A listener's `allow`: blocks of addresses in CIDR notation. An empty list allows everyone.
class AccessList {
public:
    /// The configuration loader has checked the blocks; one that is none allows nobody.
    explicit AccessList(const std::vector<std::string>& blocks);
    /// `ip` is 4 or 16 bytes in network order.
    bool allows(Bytes ip) const;

private:
    struct Block {
        std::array<std::byte, 16> network{};
        size_t size = 0;  // of the address: 4 or 16; 0: matches nothing
        unsigned bits = 0;
    };
    std::vector<Block> blocks_;
};

}  // namespace holdfast::app
