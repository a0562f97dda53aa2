#include "protocol/mysql/errors.h"
namespace holdfast::mysql {
ServerError error_of_sqlstate(std::string_view code) {
    if (code == "57P01" || code == "57P03") return {1053, "08S01"};
    if (code == "53300") return {1040, "08004"};
    if (code == "28000") return {1045, "28000"};
    if (code == "57014") return {1317, "70100"};
    return {1105, "HY000"};
}
}
