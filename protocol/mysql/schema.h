#pragma once

#include <algorithm>
#include <string_view>

namespace holdfast::mysql {

/// What is in these differs from server to server.
inline bool is_system_schema(std::string_view name) {
    for (const std::string_view each : {"mysql", "information_schema", "performance_schema", "sys"}) {
        if (name.size() == each.size() &&
            std::equal(name.begin(), name.end(), each.begin(),
                       [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; }))
            return true;
    }
    return false;
}

}  // namespace holdfast::mysql
