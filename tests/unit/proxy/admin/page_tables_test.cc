#include "proxy/admin/page_tables.h"

#include <string>

#include <doctest/doctest.h>

using namespace holdfast::admin;
using nlohmann::json;

namespace {

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

json server(std::string name) {
    return {{"name", std::move(name)},
            {"address", "10.0.0.1:5432"},
            {"role", "replica"},
            {"health", "up"},
            {"reason", ""},
            {"since_s", 7500.4},
            {"state", "ready"},
            {"is_primary", false},
            {"follows", "pg1"},
            {"lag_s", 0.0124},
            {"connections", 3},
            {"version", "15.8"}};
}

json cluster(std::string name, json servers) {
    return {{"name", std::move(name)}, {"protocol", "postgres"},
            {"primary", "pg1"},        {"primary_since_s", 61},
            {"paused", false},         {"split_brain", false},
            {"ending", false},         {"without_primary_s", nullptr},
            {"servers", servers},      {"sessions", {{"total", 12}, {"held", 0}}}};
}

json status(json clusters) {
    return {{"version", "0.1.0"},
            {"uptime_s", 100'000},
            {"clients", 12},
            {"clients_max", 100},
            {"clusters", clusters}};
}

constexpr std::string_view hostile = "<script>alert('\"x\"')</script>&amp;";
constexpr std::string_view harmless = "&lt;script&gt;alert(&#39;&quot;x&quot;&#39;)&lt;/script&gt;&amp;amp;";

}  // namespace

TEST_CASE("page tables: a cluster and its servers as rows") {
    const std::string html = status_tables(status({cluster("shop", {server("pg2")})}));
    CHECK(has(html,
              "<tr><td>shop</td><td>postgres</td><td>pg1</td><td>1 min 1 s</td><td></td><td>12</td></tr>"));
    CHECK(
        has(html,
            "<tr><td>shop</td><td>pg2</td><td>10.0.0.1:5432</td><td>replica</td><td>up</td><td>2 h 5 min</td>"
            "<td>ready</td><td></td><td>pg1</td><td>12 ms</td><td>3</td><td>15.8</td></tr>"));
    CHECK(has(html, "up for 1 d 3 h, 12 of at most 100 clients"));
}

TEST_CASE("page tables: what is wrong with a cluster is in words") {
    json bad = cluster("shop", json::array());
    bad["primary"] = nullptr;
    bad["without_primary_s"] = 3.7;
    bad["split_brain"] = true;
    bad["paused"] = true;
    bad["sessions"]["held"] = 5;
    const std::string html = status_tables(status({bad}));
    CHECK(has(html, "<td>SPLIT BRAIN: two servers are writable; no primary for 3 s; paused</td>"));
    CHECK(has(html, "<td>12 (5 held)</td>"));
}

TEST_CASE("page tables: an unknown lag is not 0") {
    json replica = server("pg2");
    replica["lag_s"] = nullptr;
    CHECK(has(status_tables(status({cluster("shop", {replica})})), "<td>not known</td>"));
}

TEST_CASE("page tables: no text of another's making becomes markup") {
    for (const char* name :
         {"name", "address", "role", "health", "reason", "state", "state_reason", "follows", "version"}) {
        CAPTURE(name);
        json replica = server("pg2");
        replica[name] = std::string(hostile);
        const std::string html = status_tables(status({cluster("shop", {replica})}));
        CHECK(has(html, harmless));
        CHECK_FALSE(has(html, "<script"));
    }
    for (const char* name : {"name", "protocol", "primary"}) {
        CAPTURE(name);
        json bad = cluster("shop", json::array());
        bad[name] = std::string(hostile);
        const std::string html = status_tables(status({bad}));
        CHECK(has(html, harmless));
        CHECK_FALSE(has(html, "<script"));
    }
}

TEST_CASE("page tables: a status without its fields, or with others' types, is an empty table") {
    for (const json& odd :
         {json(), json(3), json::object(), json{{"clusters", 3}},
          json{{"clusters", {3, nullptr, json{{"servers", {1, json::array()}}}}}},
          json{{"uptime_s", "long"}, {"clusters", {{{"primary_since_s", -1}, {"name", 1.5}}}}}}) {
        CAPTURE(odd);
        CHECK(has(status_tables(odd), "</table>"));
    }
}

TEST_CASE("page: the tables stand at their place, and everything is in the one file") {
    const std::string page = status_page(page_text(), status({cluster("shop", {server("pg2")})}));
    CHECK(has(page, "<td>shop</td>"));
    CHECK_FALSE(has(page, "{tables}"));
    CHECK_FALSE(has(page, "{styles}"));
    CHECK_FALSE(has(page, "{scripts}"));
    CHECK(page.starts_with("<!doctype html>"));
    CHECK(page.ends_with("</html>\n"));
    CHECK_FALSE(has(page, "src=\"http"));
    CHECK_FALSE(has(page, "href=\"http"));
    CHECK(status_page("no place", {}) == "no place");
}
