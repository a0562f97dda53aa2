#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace holdfast::mysql {

/// Character sets whose characters' second bytes can look like quotes or backslashes.
inline constexpr std::array<std::string_view, 5> unsafe_character_sets = {"big5", "sjis", "gbk", "cp932",
                                                                          "gb18030"};

/// `name` in lower case.
inline bool is_unsafe_character_set(std::string_view name) {
    return std::find(unsafe_character_sets.begin(), unsafe_character_sets.end(), name) !=
           unsafe_character_sets.end();
}

}  // namespace holdfast::mysql
