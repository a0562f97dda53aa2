#include "config/environment.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "config/load.h"

namespace holdfast::config {
namespace {

/// A folder that goes away with the test.
class Folder {
public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "holdfast-config-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }

    std::string write(const std::string& name, const std::string& content, mode_t mode = 0600) const {
        const std::string file = path_ + "/" + name;
        std::ofstream(file, std::ios::binary) << content;
        REQUIRE(::chmod(file.c_str(), mode) == 0);
        return file;
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

TEST_CASE("system environment: reads a file whole, up to a bound") {
    const Folder folder;
    SystemEnvironment environment;
    const std::string content(100'000, 'x');
    const std::string file = folder.write("a", content, 0640);
    CHECK(*environment.read_file(file, 100'000) == content);
    CHECK(environment.read_file(file, 99'999).error().code == ErrorCode::limit_exceeded);
    CHECK(environment.permissions(file) == 0640U);
    CHECK(environment.read_file(folder.write("empty", ""), 10)->empty());
}

TEST_CASE("system environment: what is no file is an error, and never waited for") {
    const Folder folder;
    SystemEnvironment environment;
    CHECK(environment.read_file(folder.path() + "/none", 10).error().code == ErrorCode::not_found);
    CHECK_FALSE(environment.permissions(folder.path() + "/none"));
    CHECK(environment.read_file(folder.path(), 10).error().code == ErrorCode::bad_value);
    const std::string pipe = folder.path() + "/pipe";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    CHECK(environment.read_file(pipe, 10).error().code == ErrorCode::bad_value);
}

TEST_CASE("system environment: tells a variable that is empty from one that is not set") {
    SystemEnvironment environment;
    REQUIRE(::setenv("HOLDFAST_CONFIG_TEST", "", 1) == 0);
    CHECK(environment.variable("HOLDFAST_CONFIG_TEST") == "");
    REQUIRE(::unsetenv("HOLDFAST_CONFIG_TEST") == 0);
    CHECK_FALSE(environment.variable("HOLDFAST_CONFIG_TEST"));
}

TEST_CASE("load_file: reads the file and the secret beside it") {
    const Folder folder;
    folder.write("shop.pw", "hunter2\n");
    const std::string file =
        folder.write("holdfast.toml",
                     "[cluster.shop]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:6432\"\n"
                     "servers = [\"10.0.1.11\", \"10.0.1.12\"]\n"
                     "service = { user = \"holdfast\", password = { file = \"shop.pw\" } }\n",
                     0644);
    const Loaded loaded = load_file(file);
    CHECK(loaded.diagnostics.empty());
    REQUIRE(loaded.settings);
    CHECK(loaded.settings->file == file);
    REQUIRE(loaded.settings->clusters.size() == 1);
    CHECK(loaded.settings->clusters[0].service->password.reveal() == "hunter2");
}

TEST_CASE("load_file: a file that is not there is one error about it") {
    const Loaded loaded = load_file("/nonexistent/holdfast.toml");
    CHECK_FALSE(loaded.settings);
    REQUIRE(loaded.diagnostics.size() == 1);
    CHECK(format(loaded.diagnostics[0], loaded.source) ==
          "/nonexistent/holdfast.toml: error: can't read this file: No such file or directory\n");
}

}  // namespace
}  // namespace holdfast::config
