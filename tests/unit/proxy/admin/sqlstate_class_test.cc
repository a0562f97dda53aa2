#include "proxy/admin/sqlstate_class.h"

#include <set>
#include <string>

#include <doctest/doctest.h>

using namespace holdfast::admin;

TEST_CASE("SQLSTATE class: known ones by their first two characters, everything else is other") {
    const auto label = [](std::string_view sqlstate) {
        return sqlstate_classes[sqlstate_class_index(sqlstate)];
    };
    CHECK(label("40001") == "40");
    CHECK(label("0A000") == "0A");
    CHECK(label("XX000") == "XX");
    CHECK(label("57P01") == "57");
    CHECK(label("HV00N") == "HV");
    CHECK(label("03") == "03");
    CHECK(label("99999") == "other");
    CHECK(label("xx000") == "other");
    CHECK(label("") == "other");
    CHECK(label("4") == "other");
    CHECK(label("\xFF\xFE") == "other");
}

TEST_CASE("SQLSTATE class: labels are distinct") {
    CHECK(std::set<std::string_view>(sqlstate_classes.begin(), sqlstate_classes.end()).size() ==
          sqlstate_classes.size());
    CHECK(sqlstate_classes.back() == "other");
}
