#include "proxy/app/cli.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace holdfast::app;

namespace {

struct Outcome {
    int code;
    std::string out;
    std::string err;
};

Outcome command(std::vector<const char*> words, const std::string& input = "") {
    words.insert(words.begin(), "holdfast");
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    const int code = cli(static_cast<int>(words.size()), words.data(), in, out, err);
    return {code, out.str(), err.str()};
}

struct TemporaryFile {
    explicit TemporaryFile(const std::string& text) {
        std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-cli-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        path = (folder / "holdfast.toml").string();
        std::ofstream(path) << text;
        std::filesystem::permissions(
            path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    }
    ~TemporaryFile() { std::filesystem::remove_all(folder); }
    std::filesystem::path folder;
    std::string path;
};

const char* const good = R"([cluster.shop]
protocol = "postgres"
listen = "127.0.0.1:6432"
servers = ["10.0.1.11", "10.0.1.12"]
service = { user = "holdfast", password = "x" }
)";

}  // namespace

TEST_CASE("command line: version") {
    CHECK(command({"version"}).out == "holdfast " HOLDFAST_VERSION "\n");
    CHECK(command({"version"}).code == 0);
    CHECK(command({"--version"}).out == "holdfast " HOLDFAST_VERSION "\n");
}

TEST_CASE("command line: help is no error, nonsense is 2 and goes to stderr") {
    CHECK(command({"--help"}).code == 0);
    CHECK(command({"--help"}).out.find("classify") != std::string::npos);
    for (const auto& words : std::vector<std::vector<const char*>>{{},
                                                                   {"fly"},
                                                                   {"run"},
                                                                   {"check"},
                                                                   {"classify"},
                                                                   {"classify", "--protocol", "oracle"},
                                                                   {"version", "--x"}}) {
        const Outcome outcome = command(words);
        CHECK(outcome.code == 2);
        CHECK(outcome.out.empty());
        CHECK_FALSE(outcome.err.empty());
    }
}

TEST_CASE("command line: check takes its file either way and says that it is good") {
    const TemporaryFile file(good);
    CHECK(command({"check", file.path.c_str()}).code == 0);
    const Outcome outcome = command({"check", "--config", file.path.c_str()});
    CHECK(outcome.code == 0);
    CHECK(outcome.out == file.path + ": good\n");
}

TEST_CASE("command line: check prints every error, with its place, and leaves with 1") {
    const TemporaryFile file(std::string(good) + "max_lagg = 1\nlisten_too = 2\n");
    const Outcome outcome = command({"check", file.path.c_str()});
    CHECK(outcome.code == 1);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.find(file.path + ":6:1: error: ") != std::string::npos);
    CHECK(outcome.err.find(file.path + ":7:1: error: ") != std::string::npos);
    CHECK(outcome.err.find("max_lagg") != std::string::npos);
    CHECK(command({"check", "/nonexistent/holdfast.toml"}).code == 1);
}

TEST_CASE("command line: check as JSON is one object, and --strict makes warnings count") {
    const TemporaryFile doubtful(std::string(good) +
                                 "listener = [{ listen = \"127.0.0.1:6433\", auth = \"trust\" }]\n");
    const Outcome outcome = command({"check", doubtful.path.c_str(), "--json"});
    CHECK(outcome.code == 0);
    CHECK(outcome.err == "");
    CHECK(outcome.out.starts_with("{\"file\":\"" + doubtful.path +
                                  "\",\"good\":true,\"problems\":[{\"severity\":\"warning\",\"line\":6,"));
    CHECK(outcome.out.ends_with("]}\n"));
    const Outcome strict = command({"check", doubtful.path.c_str(), "--json", "--strict"});
    CHECK(strict.code == 1);
    CHECK(strict.out.find("\"good\":false") != std::string::npos);
    CHECK(command({"check", doubtful.path.c_str(), "--strict"}).out == "");
    const TemporaryFile file(good);
    CHECK(command({"check", file.path.c_str(), "--strict"}).code == 0);
}

TEST_CASE("command line: run refuses a configuration with errors") {
    const TemporaryFile file("nonsense = true\n");
    CHECK(command({"run", "--config", file.path.c_str()}).code == 1);
}

TEST_CASE("command line: classify names the protocol") {
    const Outcome outcome = command({"classify", "--protocol", "postgres"}, "\"select 1\"\n");
    CHECK(outcome.code == 0);
    CHECK(outcome.out == "{\"destination\":\"replica\",\"reason\":\"read\",\"session\":[]}\n");
}

TEST_CASE("command line: diff says what a file changes, as diff(1) does with its exit code") {
    const TemporaryFile before(good);
    std::string text = good;
    text.replace(text.find("\"10.0.1.12\""), 11, "{ name = \"pg3\", address = \"10.0.1.13\", weight = 50 }");
    text.replace(text.find("\"x\""), 3, "\"sesame\"");
    text += "connect_timeout = \"5s\"\n[proxy]\nstate_file = \"/var/lib/holdfast/state.json\"\n";
    const TemporaryFile after(text);

    const Outcome nothing = command({"diff", "-c", before.path.c_str(), "--against", before.path.c_str()});
    CHECK(nothing.code == 0);
    CHECK(nothing.out + nothing.err == "");

    const Outcome table = command({"diff", after.path.c_str(), "--against", before.path.c_str()});
    CHECK(table.code == 1);
    CHECK(table.err == "");
    CHECK(
        table.out ==
        "~ proxy.state_file                  (not set) -> /var/lib/holdfast/state.json   (needs a restart)\n"
        "+ cluster.shop.servers[pg3]         name = pg3, address = 10.0.1.13:5432, weight = 50\n"
        "~ cluster.shop.connect_timeout      2s -> 5s\n"
        "~ cluster.shop.service.password     (secret) -> (secret)\n"
        "- cluster.shop.servers[10.0.1.12]   name = 10.0.1.12, address = 10.0.1.12:5432\n");

    const Outcome json = command({"diff", after.path.c_str(), "--against", before.path.c_str(), "--json"});
    CHECK(json.code == 1);
    CHECK(
        json.out.find(R"({"after":"5s","before":"2s","kind":"changed","path":"cluster.shop.connect_timeout",)"
                      R"("reload":"applied"})") != std::string::npos);
    CHECK(json.out.find("sesame") == std::string::npos);

    const TemporaryFile bad("[proxi]\n");
    const Outcome trouble = command({"diff", bad.path.c_str(), "--against", before.path.c_str()});
    CHECK(trouble.code == 2);
    CHECK(trouble.out == "");
    CHECK(trouble.err.find("unknown key 'proxi'") != std::string::npos);
}
