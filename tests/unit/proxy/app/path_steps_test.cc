#include "proxy/app/path_steps.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

using namespace holdfast::app;
namespace fs = std::filesystem;

namespace {

struct Folder {
    Folder() {
        std::string pattern = (fs::canonical(fs::temp_directory_path()) / "holdfast-steps-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~Folder() { fs::remove_all(path); }
    fs::path path;
};

/// The names that matter in a folder, joined by blanks.
std::string names_in(const PathSteps& steps, const fs::path& folder) {
    std::string out;
    const auto found = steps.find(folder.string());
    if (found == steps.end()) return out;
    for (const std::string& name : found->second) out += (out.empty() ? "" : " ") + name;
    return out;
}

}  // namespace

TEST_CASE("steps of a path: each folder on the way, and the file") {
    const Folder folder;
    fs::create_directory(folder.path / "conf");
    std::ofstream(folder.path / "conf/holdfast.toml") << "x";
    const PathSteps steps = steps_of({(folder.path / "conf/holdfast.toml").string()});
    CHECK(names_in(steps, folder.path / "conf") == "holdfast.toml");
    CHECK(names_in(steps, folder.path) == "conf");
    CHECK(names_in(steps, folder.path.parent_path()) == folder.path.filename().string());
}

TEST_CASE("steps of a path: symbolic links and what they point to, as the kubelet makes them") {
    const Folder folder;
    fs::create_directory(folder.path / "..2026");
    std::ofstream(folder.path / "..2026/holdfast.toml") << "x";
    fs::create_directory_symlink("..2026", folder.path / "..data");
    fs::create_symlink("..data/holdfast.toml", folder.path / "holdfast.toml");
    const PathSteps steps = steps_of({(folder.path / "holdfast.toml").string()});
    CHECK(names_in(steps, folder.path) == "..2026 ..data holdfast.toml");
    CHECK(names_in(steps, folder.path / "..2026") == "holdfast.toml");
}

TEST_CASE("steps of a path: an absolute link, and one that goes up") {
    const Folder folder;
    fs::create_directories(folder.path / "live");
    fs::create_directories(folder.path / "archive");
    std::ofstream(folder.path / "archive/cert1.pem") << "x";
    fs::create_symlink("../archive/cert1.pem", folder.path / "live/cert.pem");
    fs::create_symlink(folder.path / "live/cert.pem", folder.path / "tls.crt");
    const PathSteps steps = steps_of({(folder.path / "tls.crt").string()});
    CHECK(names_in(steps, folder.path) == "archive live tls.crt");
    CHECK(names_in(steps, folder.path / "live") == "cert.pem");
    CHECK(names_in(steps, folder.path / "archive") == "cert1.pem");
}

TEST_CASE("steps of a path: what does not exist ends the way, and a loop of links does") {
    const Folder folder;
    const PathSteps missing = steps_of({(folder.path / "gone/holdfast.toml").string()});
    CHECK(names_in(missing, folder.path) == "gone");
    CHECK(missing.count((folder.path / "gone").string()) == 0);
    fs::create_symlink("b", folder.path / "a");
    fs::create_symlink("a", folder.path / "b");
    CHECK(names_in(steps_of({(folder.path / "a").string()}), folder.path) == "a b");
}
