#include "protocol/mysql/server_version.h"

#include <charconv>

namespace holdfast::mysql {

uint32_t version_number(std::string_view text) {
    if (text.starts_with("5.5.5-")) text.remove_prefix(6);
    uint32_t number = 0;
    const char* at = text.data();
    const char* end = text.data() + text.size();
    for (const uint32_t unit : {10'000u, 100u, 1u}) {
        uint32_t part = 0;
        const auto [stop, error] = std::from_chars(at, end, part);
        if (error != std::errc() || part > 999) break;
        number += part * unit;
        if (stop == end || *stop != '.') break;
        at = stop + 1;
    }
    return number;
}

}  // namespace holdfast::mysql
