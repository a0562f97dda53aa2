#include "proxy/admin/sqlstate_class.h"

namespace holdfast::admin {

namespace {

constexpr size_t other = sqlstate_classes.size() - 1;
constexpr int characters = 36;  // 0-9 and A-Z

constexpr int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
    return -1;
}

constexpr int slot(std::string_view two) {
    const int high = digit(two[0]);
    const int low = digit(two[1]);
    return high < 0 || low < 0 ? -1 : high * characters + low;
}

constexpr auto index_of_slot = [] {
    std::array<uint8_t, size_t{characters} * characters> table{};
    for (uint8_t& entry : table) entry = other;
    for (size_t i = 0; i < other; ++i) {
        table[static_cast<size_t>(slot(sqlstate_classes[i]))] = static_cast<uint8_t>(i);
    }
    return table;
}();

}  // namespace

size_t sqlstate_class_index(std::string_view sqlstate) {
    if (sqlstate.size() < 2) return other;
    const int at = slot(sqlstate);
    return at < 0 ? other : index_of_slot[static_cast<size_t>(at)];
}

}  // namespace holdfast::admin
