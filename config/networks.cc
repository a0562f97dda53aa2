#include "config/networks.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "protocol/base/ip_address.h"

namespace holdfast::config {

Networks::Networks(const std::vector<std::string>& blocks) {
    for (const auto& text : blocks) {
        Block block;
        const size_t slash = text.find('/');
        if (const auto address = parse_ip(std::string_view(text).substr(0, slash))) {
            block.network = address->bytes;
            block.size = address->size;
        }
        block.bits = static_cast<unsigned>(block.size * 8);
        if (slash != std::string::npos) {
            std::from_chars(text.data() + slash + 1, text.data() + text.size(), block.bits);
        }
        if (block.bits > block.size * 8) block.size = 0;
        blocks_.push_back(block);
    }
}

bool Networks::hold(Bytes ip) const {
    return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
        if (block.size == 0 || block.size != ip.size()) return false;
        const size_t whole = block.bits / 8;
        if (std::memcmp(block.network.data(), ip.data(), whole) != 0) return false;
        const unsigned rest = block.bits % 8;
        if (rest == 0) return true;
        const auto mask = static_cast<std::byte>(0xff << (8 - rest));
        return (block.network[whole] & mask) == (ip[whole] & mask);
    });
}

}  // namespace holdfast::config
