#include "config/scan.h"

#include <string>

#include <doctest/doctest.h>

namespace holdfast::config {
namespace {

TEST_CASE("overlong keys: are found where they pass the bound") {
    CHECK_FALSE(find_overlong_key("a.b.c = 1\n[d.e.f]\n", 3));
    const auto key = find_overlong_key("x = 1\n  a.b.c.d = 1\n", 3);
    REQUIRE(key);
    CHECK(key->line == 2);
    CHECK(key->column == 8);
    CHECK(find_overlong_key("[a.b.c.d]", 3));
    CHECK(find_overlong_key("x = { a.b.c.d = 1 }", 3));
    CHECK(find_overlong_key("a . b . \"c.c\" . d = 1", 3));
}

TEST_CASE("overlong keys: dots in strings and comments do not count") {
    CHECK_FALSE(find_overlong_key("# a.b.c.d.e\nx = 'a.b.c.d'\n", 2));
    CHECK_FALSE(find_overlong_key("x = \"a.b.\\\"c.d\"", 2));
    CHECK_FALSE(find_overlong_key("x = \"\"\"a.b\nc.\"\"d.e\"\"\"", 2));
    CHECK_FALSE(find_overlong_key("x = '''a.b\nc.''d.e'''", 2));
    CHECK_FALSE(find_overlong_key("\"a.b.c.d\" = 1", 2));
    // A string that is not closed ends with its line, and what follows counts again.
    CHECK(find_overlong_key("x = \"open\na.b.c = 1", 2));
    CHECK(find_overlong_key("x = \"open\\\na.b.c = 1", 2));
}

TEST_CASE("multi-line strings: lines inside them are known") {
    const std::string text = "a = 'x'\nb = \"\"\"one\ntwo\\\"\"\"\nthree\"\"\"\nc = '''\nfour'''\nd = 1\n";
    CHECK_FALSE(begins_inside_string(text, 1));
    CHECK_FALSE(begins_inside_string(text, 2));
    CHECK(begins_inside_string(text, 3));
    CHECK(begins_inside_string(text, 4));
    CHECK_FALSE(begins_inside_string(text, 5));
    CHECK(begins_inside_string(text, 6));
    CHECK_FALSE(begins_inside_string(text, 7));
}

}  // namespace
}  // namespace holdfast::config
