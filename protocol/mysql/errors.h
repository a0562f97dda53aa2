#pragma once
#include <cstdint>
#include <string_view>
namespace holdfast::mysql {
struct ServerError {
    uint16_t number;
    std::string_view sqlstate;
};
ServerError error_of_sqlstate(std::string_view code);
namespace error_number {
inline constexpr uint16_t outcome_unknown = 9701, state_lost = 9702, no_primary = 9703, no_server = 9704,
                          result_broken_off = 9705;
}
}  // namespace holdfast::mysql
