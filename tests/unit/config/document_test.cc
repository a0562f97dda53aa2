#include "config/document.h"

#include <string>

#include <doctest/doctest.h>

namespace holdfast::config {
namespace {

TEST_CASE("document: values keep their places, tables the order of the file") {
    const auto parsed = parse("[z]\nb = 'x'\na = [1, true]\n[c.d]\n");
    const Node* root = std::get_if<Node>(&parsed);
    REQUIRE(root != nullptr);
    REQUIRE(root->entries.size() == 2);
    CHECK(root->entries[0].key == "z");
    CHECK(root->entries[1].key == "c");
    const Node& z = root->entries[0].value;
    REQUIRE(z.entries.size() == 2);
    CHECK(z.entries[0].key == "b");
    CHECK(z.entries[0].value.text == "x");
    CHECK(z.entries[0].value.at.line == 2);
    CHECK(z.entries[0].value.at.column == 5);
    const Entry* a = z.find("a");
    REQUIRE(a != nullptr);
    CHECK(a->at.line == 3);
    CHECK(a->at.column == 1);
    REQUIRE(a->value.items.size() == 2);
    CHECK(a->value.items[0].integer == 1);
    CHECK(a->value.items[1].boolean);
    CHECK(a->value.items[1].at.column == 9);
    CHECK(z.find("nothing") == nullptr);
}

TEST_CASE("document: the first error of syntax has its place") {
    const auto parsed = parse("a = 1\nb = = 2\nc = = 3\n");
    const SyntaxError* wrong = std::get_if<SyntaxError>(&parsed);
    REQUIRE(wrong != nullptr);
    CHECK(wrong->at.line == 2);
    CHECK(wrong->at.column == 5);
    CHECK(wrong->message.starts_with("syntax error while parsing"));
}

TEST_CASE("document: a text without quotes is explained") {
    const auto parsed = parse("mode = session\n");
    const SyntaxError* wrong = std::get_if<SyntaxError>(&parsed);
    REQUIRE(wrong != nullptr);
    CHECK(wrong->message.find("a text needs quotes") != std::string::npos);
}

TEST_CASE("document: an error of syntax repeats no control characters") {
    const auto parsed = parse(std::string("a = i\0\x1b[31m\n", 13));
    const SyntaxError* wrong = std::get_if<SyntaxError>(&parsed);
    REQUIRE(wrong != nullptr);
    CHECK(wrong->message == "syntax error while parsing floating-point: expected 'inf', saw 'i?'");
}

TEST_CASE("document: what toml++ calls impossible is an ordinary error") {
    const auto place = [](const std::string& text) {
        const auto parsed = parse(text);
        const SyntaxError* wrong = std::get_if<SyntaxError>(&parsed);
        REQUIRE_MESSAGE(wrong != nullptr, text);
        return std::to_string(wrong->at.line) + ":" + std::to_string(wrong->at.column);
    };
    for (const char* heading : {"[)", "[[[b]]]", "[[=", "[ .a]", "[\n", "[\u00e9]", "[#a]"}) {
        CAPTURE(heading);
        CHECK(place("a = 1\n" + std::string(heading)).starts_with("2:"));
    }
    CHECK(place("a = \u00fc\n") == "1:5");
    CHECK(place("a \u00fc = 1\n") == "1:3");
    CHECK(place("a = \u201cx\u201d\n") == "1:5");
    CHECK(place("a = 1 \u02ae\n") == "1:7");
    CHECK(place("a = \"\"\"\\\u00e9\"\"\"\n").starts_with("1:"));
    const auto parsed = parse("a = \"\"\"x \\\n   \u00e9\u2003\"\"\"\n");
    REQUIRE(std::get_if<Node>(&parsed) != nullptr);
    CHECK(std::get<Node>(parsed).find("a")->value.text == "x \u00e9\u2003");
}

TEST_CASE("document: depth and size are bounded") {
    const auto is_refused = [](const std::string& text) {
        return std::holds_alternative<SyntaxError>(parse(text));
    };
    CHECK(is_refused("a = " + std::string(500'000, '[')));
    CHECK(is_refused("a = " + std::string(40, '[') + std::string(40, ']')));
    CHECK_FALSE(is_refused("a = " + std::string(30, '[') + std::string(30, ']')));
    std::string key = "a";
    for (int i = 0; i < 300'000; ++i) key += ".a";
    CHECK(is_refused(key + " = 1"));
    CHECK(is_refused("[" + key + "]"));
    CHECK(is_refused("x = { " + key + " = 1 }"));
    std::string braces;
    for (int i = 0; i < 100'000; ++i) braces += "{a.b=";
    CHECK(is_refused("x = " + braces));
    CHECK(is_refused("# " + std::string(file_bytes_max, 'x')));
    CHECK(is_refused(std::string("a = '\xff'")));
}

}  // namespace
}  // namespace holdfast::config
