#include "proxy/loop/folder_watch.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <doctest/doctest.h>

#include "tests/unit/proxy/loop/harness.h"

namespace holdfast::loop::test {
namespace {

namespace fs = std::filesystem;

struct Folder {
    Folder() {
        std::string pattern = (fs::temp_directory_path() / "holdfast-watch-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~Folder() { fs::remove_all(path); }
    fs::path path;
};

TEST_CASE("folder watch: tells of files that are made, written, renamed and removed") {
    const Folder folder;
    const auto loop = make_loop();
    std::set<std::string> names;
    const auto watch =
        watch_folder(*loop, folder.path.string(), [&](std::string_view name) { names.emplace(name); });
    REQUIRE(watch);
    const auto is_told = [&](const char* name) {
        const bool came = run_until(*loop, [&] { return names.contains(name); });
        names.clear();
        return came;
    };
    std::ofstream(folder.path / "a") << "x";
    CHECK(is_told("a"));
    std::ofstream(folder.path / "a") << "y";
    CHECK(is_told("a"));
    fs::rename(folder.path / "a", folder.path / "b");
    CHECK(is_told("b"));
    fs::create_symlink("b", folder.path / "link");
    CHECK(is_told("link"));
    fs::remove(folder.path / "b");
    CHECK(is_told("b"));
}

TEST_CASE("folder watch: may be destroyed by its own callback, and is silent from then on") {
    const Folder folder;
    const auto loop = make_loop();
    std::unique_ptr<health::Watch> watch;
    int calls = 0;
    auto made = watch_folder(*loop, folder.path.string(), [&](std::string_view) {
        ++calls;
        watch.reset();
    });
    REQUIRE(made);
    watch = *std::move(made);
    for (const char* name : {"a", "b", "c"}) std::ofstream(folder.path / name) << "x";
    CHECK(run_until(*loop, [&] { return calls > 0; }));
    settle(*loop);
    CHECK(calls == 1);
}

TEST_CASE("folder watch: what is not there can't be watched") {
    const auto loop = make_loop();
    const auto watch = watch_folder(*loop, "/no/such/folder", [](std::string_view) {});
    REQUIRE_FALSE(watch);
    CHECK(watch.error().message.find("/no/such/folder") != std::string::npos);
}

}  // namespace
}  // namespace holdfast::loop::test
