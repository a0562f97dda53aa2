#include "proxy/admin/json_fields.h"

#include <doctest/doctest.h>

using namespace holdfast::admin;
using nlohmann::json;

TEST_CASE("json fields: what is missing or of another type is as if it were empty") {
    const json answer = json::parse(R"({"text":"a","number":7,"flag":true,"list":[1],"none":null})");
    CHECK(text_of(answer, "text") == "a");
    CHECK(text_of(answer, "number") == "7");
    CHECK(text_of(answer, "list") == "[1]");
    CHECK(text_of(answer, "none").empty());
    CHECK(text_of(answer, "missing").empty());
    CHECK(flag_of(answer, "flag"));
    CHECK_FALSE(flag_of(answer, "number"));
    CHECK_FALSE(flag_of(answer, "missing"));
    CHECK(number_of(answer, "number") == 7);
    CHECK(number_of(answer, "text") == 0);
    CHECK(number_of(answer, "missing") == 0);
    CHECK(list_of(answer, "list").size() == 1);
    CHECK(list_of(answer, "text").empty());
    CHECK(list_of(answer, "missing").is_array());
    for (const json& other : {json(), json(3), json("x"), json::array()}) {
        CHECK(field_of(other, "text").is_null());
        CHECK(text_of(other, "text").empty());
        CHECK(list_of(other, "list").empty());
    }
    CHECK(text_of(json::object({{"x", json::array({"\xff"})}}), "x") == "[\"\xEF\xBF\xBD\"]");
}

TEST_CASE("json fields: why a server is as it is") {
    CHECK(reason_of(json::parse(R"({"reason":"lags","state_reason":"disk"})")) == "lags; disk");
    CHECK(reason_of(json::parse(R"({"reason":"","state_reason":"disk"})")) == "disk");
    CHECK(reason_of(json::parse(R"({"reason":"lags"})")) == "lags");
    CHECK(reason_of(json::object()).empty());
}
