#include "protocol/mysql/server_version.h"

#include <charconv>

namespace holdfast::mysql {

namespace {

constexpr std::string_view old_replicas_prefix = "5.5.5-";

}  // namespace

uint32_t version_number(std::string_view text) {
    if (text.starts_with(old_replicas_prefix)) text.remove_prefix(old_replicas_prefix.size());
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

std::string greeted_version(std::string_view text) {
    const uint32_t number = version_number(text);
    const bool has_prefix = is_mariadb(text) && number >= 100'000 && number < 110'001;
    if (!has_prefix || text.starts_with(old_replicas_prefix)) return std::string(text);
    return std::string(old_replicas_prefix).append(text);
}

}  // namespace holdfast::mysql
