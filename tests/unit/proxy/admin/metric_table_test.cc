#include "proxy/admin/metric_table.h"

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

using namespace holdfast::admin;

TEST_CASE("METRICS.md: says what the table says") {
    // tests/unit/proxy/admin/<this file>
    const auto root = std::filesystem::path(__FILE__).parent_path() / "../../../..";
    const auto path = root / "proxy/admin/METRICS.md";
    if (std::getenv("HOLDFAST_WRITE_REFERENCES") != nullptr) std::ofstream(path) << metrics_reference();
    std::ifstream file(path);
    REQUIRE(file);
    std::ostringstream text;
    text << file.rdbuf();
    CHECK_MESSAGE(text.str() == metrics_reference(),
                  "make it anew: HOLDFAST_WRITE_REFERENCES=1 unit_admin -tc='METRICS.md*'");
}

TEST_CASE("metric table: names follow the rules") {
    std::set<std::string_view> names;
    for (const MetricRow* row : all_metric_rows()) {
        CAPTURE(row->name);
        CHECK(names.insert(row->name).second);
        CHECK((row->name.starts_with("holdfast_") || row->name.starts_with("process_")));
        CHECK(row->name.ends_with("_total") == (row->kind == MetricKind::counter));
        CHECK((row->kind == MetricKind::histogram) == !row->buckets.empty());
        if (row->kind == MetricKind::histogram) CHECK(row->name.ends_with("_seconds"));
        for (size_t i = 1; i < row->buckets.size(); ++i) CHECK(row->buckets[i - 1] < row->buckets[i]);
        CHECK(row->help.ends_with('.'));
        CHECK(row->help.find_first_of("\\\n") ==
              std::string_view::npos);  // the text format would escape them
    }
}
