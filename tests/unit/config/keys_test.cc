#include "config/keys.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include <doctest/doctest.h>

#include "config/text.h"
#include "config/units.h"
#include "tests/unit/config/fake_environment.h"

namespace holdfast::config {
namespace {

std::string read_project_file(const std::string& name) {
    std::string root = __FILE__;
    root.resize(root.find("tests/unit/config/"));
    std::ifstream file(root + name, std::ios::binary);
    REQUIRE_MESSAGE(file, name);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

/// One line of TOML that sets only this key.
std::string line_that_sets(std::string_view path, const std::string& value) {
    std::string out = value;
    const auto parts = split(path, '.');
    for (size_t i = parts.size(); i-- > 0;) {
        std::string name{parts[i]};
        const bool is_array = name.ends_with("[]");
        if (is_array) {
            name.resize(name.size() - 2);
            out = "[" + out + "]";
        }
        if (name == "*") name = "shop";
        out = name + " = " + out;
        if (i > 0) out = "{ " + out + " }";
    }
    return out;
}

bool is_scalar(Type type) {
    return type != Type::table && type != Type::tables && type != Type::named_tables;
}

TEST_CASE("keys: REFERENCE.md is what the table says") {
    // To make it anew: HOLDFAST_WRITE_REFERENCES=1 unit_config -tc="keys: REFERENCE*"
    if (std::getenv("HOLDFAST_WRITE_REFERENCES") != nullptr) {
        const auto root = std::filesystem::path(__FILE__).parent_path() / "../../..";
        std::ofstream(root / "config/REFERENCE.md") << reference_markdown();
    }
    CHECK(read_project_file("config/REFERENCE.md") == reference_markdown());
}

TEST_CASE("keys: no path twice, every table has a row, every row says what it is for") {
    std::set<std::string_view> paths;
    for (const Key& key : all_keys()) {
        CAPTURE(key.path);
        CHECK(paths.insert(key.path).second);
        CHECK(key.meaning.ends_with("."));
        std::string_view table = key.table();
        if (table.ends_with("[]")) table.remove_suffix(2);
        if (!table.empty()) CHECK(paths.contains(table));
    }
}

TEST_CASE("keys: bounds can be read, and defaults lie within") {
    for (const Key& key : all_keys()) {
        CAPTURE(key.path);
        const auto check = [&](auto parse_value) {
            const size_t dots = key.allowed.find("..");
            REQUIRE(dots != std::string_view::npos);
            const auto least = parse_value(key.allowed.substr(0, dots));
            const auto most = parse_value(key.allowed.substr(dots + 2));
            REQUIRE(least);
            REQUIRE(most);
            CHECK(*least < *most);
            const auto fallback = parse_value(key.fallback);
            REQUIRE(fallback);
            CHECK(*fallback >= *least);
            CHECK(*fallback <= *most);
        };
        if (key.type == Type::duration) check(parse_duration);
        if (key.type == Type::integer) check(parse_number);
        if (key.type == Type::size) check(parse_size);
        if (key.type == Type::choice && !key.fallback.empty()) {
            const auto choices = split(key.allowed, '|');
            CHECK(std::find(choices.begin(), choices.end(), key.fallback) != choices.end());
        }
    }
}

TEST_CASE("keys: the loader reads every one, and says its name when the type is wrong") {
    for (const Key& key : all_keys()) {
        CAPTURE(key.path);
        const Loaded loaded = load(line_that_sets(key.path, "1979-05-27"));
        CHECK_FALSE(loaded.settings);
        const bool is_cluster = key.path == "cluster.*";
        const std::string expected =
            is_cluster ? "found 'shop' with a date or time" : std::string(key.name()) + ": expected ";
        CHECK_MESSAGE(says(loaded, expected), listed(loaded));
        CHECK(says(loaded, "a date or time"));
        CHECK_FALSE(says(loaded, "unknown key"));
    }
}

TEST_CASE("keys: what is inherited may stand in [defaults], the rest may not") {
    for (const Key& key : all_keys()) {
        constexpr std::string_view cluster = "cluster.*.";
        if (!key.path.starts_with(cluster) || key.path.find("[]") != std::string_view::npos) continue;
        CAPTURE(key.path);
        const std::string path = "defaults." + std::string(key.path.substr(cluster.size()));
        const Loaded loaded = load(line_that_sets(path, "1979-05-27"));
        const bool is_refused = says(loaded, quote(key.name()) + " can't be inherited");
        CHECK(is_refused == (key.inherit == Inherit::no));
        CHECK(says(loaded, path + ": expected ") == (key.inherit == Inherit::yes));
    }
}

TEST_CASE("keys: a value outside of a row's bounds is refused with the range") {
    for (const Key& key : all_keys()) {
        std::string value;
        if (key.type == Type::duration) value = "\"999999h\"";
        if (key.type == Type::integer) value = "99999999999";
        if (key.type == Type::size) value = "\"999999TiB\"";
        if (value.empty()) continue;
        CAPTURE(key.path);
        std::string range{key.allowed};
        range.replace(range.find(".."), 2, " to ");
        const Loaded loaded = load(line_that_sets(key.path, value));
        CHECK_MESSAGE(says(loaded, "is out of range; allowed is " + range + "\n"), listed(loaded));
    }
}

TEST_CASE("keys: each is refused one letter off, with the right one") {
    for (const Key& key : all_keys()) {
        if (!is_scalar(key.type) || key.name().size() < 3) continue;
        CAPTURE(key.path);
        const Loaded loaded = load(line_that_sets(std::string(key.path) + "x", "1"));
        const std::string unknown = "unknown key '" + std::string(key.name()) + "x'";
        CHECK_MESSAGE(says(loaded, unknown), listed(loaded));
        CHECK_MESSAGE(says(loaded, "; did you mean " + quote(key.name()) + "?"), listed(loaded));
    }
}

TEST_CASE("example: loads without a complaint") {
    FakeEnvironment environment;
    for (const char* name : {"admin.token", "shop.password", "servers-ca.pem", "tls.crt", "tls.key"}) {
        environment.files["/etc/holdfast/" + std::string(name)] = {"content\n"};
    }
    environment.files["/etc/holdfast/legacy.scram"] = {
        "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"};
    environment.files["/etc/holdfast/holdfast.toml"] = {"", 0644};
    const std::string text = read_project_file("config/holdfast.example.toml");
    const Loaded loaded = load_text(text, "/etc/holdfast/holdfast.toml", environment);
    CHECK(listed(loaded) == "");
    REQUIRE(loaded.settings);
    REQUIRE(loaded.settings->clusters.size() == 1);
    const Cluster& shop = loaded.settings->clusters[0];
    CHECK(shop.servers.size() == 3);
    CHECK(shop.servers[2].promote == Promotable::never);
    CHECK(shop.listeners.size() == 2);
    CHECK(shop.listeners[0].allow == std::vector<std::string>{"10.0.0.0/8", "127.0.0.1/32"});
    CHECK(shop.routing.rules.size() == 4);
    CHECK(shop.server_tls.mode == ServerTlsMode::verify_full);
    CHECK(loaded.settings->admin.socket == "/run/holdfast/admin.sock");
    CHECK(loaded.settings->users.size() == 1);
}

}  // namespace
}  // namespace holdfast::config
