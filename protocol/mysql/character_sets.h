#pragma once

#include <string_view>

namespace holdfast::mysql {

/// Whether the second bytes of a character set's characters can look like quotes or backslashes. `name` in
/// lower case.
inline bool is_unsafe_character_set(std::string_view name) {
    for (const std::string_view unsafe : {"big5", "sjis", "gbk", "cp932", "gb18030"}) {
        if (name == unsafe) return true;
    }
    return false;
}

}  // namespace holdfast::mysql
