#include "protocol/mysql/attributes.h"

#include <string>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::mysql;
using namespace std::string_literals;

namespace {

/// One attribute "a" of a type, and the text "SELECT 1" behind its value.
std::string with_value(char type, const std::string& value) {
    return "\1\1\0\1"s + type + "\0\1a"s + value + "SELECT 1";
}

}  // namespace

TEST_CASE("mysql attributes: the text is what is behind them") {
    CHECK(text_behind_attributes(as_bytes("\0\1SELECT 1"s)) == "SELECT 1");
    CHECK(text_behind_attributes(as_bytes("\0\1"s)) == "");
    struct Row {
        char type;
        std::string value;
    };
    for (const Row& row :
         {Row{'\x01', "x"}, Row{'\x02', "xx"}, Row{'\x03', "xxxx"}, Row{'\x04', "xxxx"},
          Row{'\x05', "xxxxxxxx"}, Row{'\x08', "xxxxxxxx"}, Row{'\x07', "\4xxxx"}, Row{'\x0a', "\0"s},
          Row{'\x0b', "\x0cxxxxxxxxxxxx"}, Row{'\x0c', "\x0bxxxxxxxxxxx"}, Row{'\x00', "\4-1.5"},
          Row{'\xf6', "\4-1.5"}, Row{'\x0f', "\1x"}, Row{'\xfe', "\xfc\2\0xx"s}, Row{'\xfd', "\0"s},
          Row{'\xfc', "\1;"}}) {
        CAPTURE(static_cast<int>(row.type));
        const std::string request = with_value(row.type, row.value);
        CHECK(text_behind_attributes(as_bytes(request)) == "SELECT 1");
        for (size_t cut = 0; cut < request.size() - 8; ++cut) {
            CAPTURE(cut);
            CHECK_FALSE(text_behind_attributes(as_bytes(request).first(cut)));
        }
    }
    // Nine of them, the second and the ninth NULL.
    std::string many = "\x09\1\x02\1\1"s;
    for (int i = 0; i < 9; ++i) many += "\1\0\0"s;
    many += "1345678";
    CHECK(text_behind_attributes(as_bytes(many + "SELECT 1")) == "SELECT 1");
}

TEST_CASE("mysql attributes: what servers refuse, or may read otherwise, is not read") {
    CHECK_FALSE(text_behind_attributes(as_bytes("\0\2SELECT 1"s)));       // sets
    CHECK_FALSE(text_behind_attributes(as_bytes("\0\0SELECT 1"s)));       // no set
    CHECK_FALSE(text_behind_attributes(as_bytes("\xfb\1SELECT 1"s)));     // NULL of them
    CHECK_FALSE(text_behind_attributes(as_bytes("\1\1\0\0xSELECT 1"s)));  // types told earlier
    CHECK_FALSE(text_behind_attributes(as_bytes("\xfd\0\0\1\1"s + std::string(100'000, '\0'))));
    for (const char type : {'\x06', '\x09', '\x0d', '\x10', '\xf4', '\xf5', '\xff'})
        CHECK_FALSE(text_behind_attributes(as_bytes(with_value(type, ""))));
    CHECK_FALSE(text_behind_attributes(as_bytes(with_value('\x0b', "\x0dxxxxxxxxxxxxx"))));
    CHECK_FALSE(text_behind_attributes(as_bytes(with_value('\xfe', "\xfe\xff\xff\xff\xff\xff\xff\xff\xff"))));
}

TEST_CASE("mysql attributes: types with names take what they take") {
    const std::string types = "\3\0\0\xfe\0\4name"s;
    CHECK(named_types_bytes(as_bytes(types), 2) == 10);
    CHECK(named_types_bytes(as_bytes(types + "behind"), 2) == 10);
    CHECK(named_types_bytes(as_bytes(types), 0) == 0);
    CHECK_FALSE(named_types_bytes(as_bytes(types), 3));
    for (size_t cut = 0; cut < types.size(); ++cut)
        CHECK_FALSE(named_types_bytes(as_bytes(types).first(cut), 2));
}
