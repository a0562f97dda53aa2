#include "config/secrets.h"

#include <doctest/doctest.h>

#include "tests/unit/config/fake_environment.h"

namespace holdfast::config {
namespace {

/// A cluster whose service password is written as given.
std::string with_password(const std::string& value) {
    return "[cluster.shop]\nprotocol = \"postgres\"\nlisten = \"0.0.0.0:6432\"\nservers = [\"a\"]\n"
           "service.user = \"holdfast\"\nservice.password = " +
           value + "\n";
}

std::string_view password_of(const Loaded& loaded) {
    REQUIRE_MESSAGE(loaded.settings, listed(loaded));
    return loaded.settings->clusters[0].service->password.reveal();
}

TEST_CASE("secret: comes from the text, a file, the environment or a credential") {
    FakeEnvironment environment;
    environment.files["/etc/pw"] = {"from file\r\n\n"};
    environment.files["/run/credentials/shop"] = {"from credential\n"};
    environment.variables["PW"] = "from env";
    environment.variables["CREDENTIALS_DIRECTORY"] = "/run/credentials";
    CHECK(password_of(load(with_password("\"in line\""), environment)) == "in line");
    CHECK(password_of(load(with_password("{ file = \"/etc/pw\" }"), environment)) == "from file");
    CHECK(password_of(load(with_password("{ env = \"PW\" }"), environment)) == "from env");
    CHECK(password_of(load(with_password("{ credential = \"shop\" }"), environment)) == "from credential");
}

TEST_CASE("secret: a relative file lies beside the configuration") {
    FakeEnvironment environment;
    environment.files["/etc/holdfast/shop.pw"] = {"x"};
    const Loaded loaded =
        load_text(with_password("{ file = \"shop.pw\" }"), "/etc/holdfast/holdfast.toml", environment);
    CHECK(loaded.diagnostics.empty());
    CHECK(loaded.settings);
}

TEST_CASE("secret: what is missing is named, at its place") {
    CHECK(listed(load(with_password("{ file = \"/etc/pw\" }"))) ==
          "6:29: error: cluster.shop.service.password: can't read '/etc/pw': No such file or directory\n");
    CHECK(listed(load(with_password("{ env = \"PW\" }"))) ==
          "6:28: error: cluster.shop.service.password: the environment variable 'PW' is not set\n");
    CHECK(says(load(with_password("{ credential = \"shop\" }")), "$CREDENTIALS_DIRECTORY is not set"));
    FakeEnvironment environment;
    environment.files["/etc/pw"] = {"x", 0600, false};
    CHECK(says(load(with_password("{ file = \"/etc/pw\" }"), environment),
               "can't read '/etc/pw': Permission denied"));
}

TEST_CASE("secret: an empty one is refused, wherever it comes from") {
    FakeEnvironment environment;
    environment.files["/etc/pw"] = {"\n"};
    environment.variables["PW"] = "";
    for (const char* value : {"\"\"", "{ file = \"/etc/pw\" }", "{ env = \"PW\" }"}) {
        CAPTURE(value);
        const Loaded loaded = load(with_password(value), environment);
        CHECK_FALSE(loaded.settings);
        CHECK(says(loaded, "cluster.shop.service.password: the secret is empty"));
    }
}

TEST_CASE("secret: refuses two lines and zero bytes without showing them") {
    FakeEnvironment environment;
    environment.files["/etc/pw"] = {"hunter2\nhunter3\n"};
    for (const char* value : {"\"hunter2\\nx\"", "\"hunter2\\u0000x\"", "{ file = \"/etc/pw\" }"}) {
        CAPTURE(value);
        const Loaded loaded = load(with_password(value), environment);
        CHECK(says(loaded, "more than one line, or a zero byte"));
        CHECK_FALSE(says(loaded, "hunter"));
    }
}

TEST_CASE("secret: exactly one known source") {
    CHECK(says(load(with_password("{}")), "expected exactly one of file, env and credential"));
    CHECK(says(load(with_password("{ file = \"/a\", env = \"B\" }")), "expected exactly one of"));
    CHECK(says(load(with_password("{ fil = \"/a\" }")),
               "6:22: error: unknown key 'fil' in cluster.shop.service.password; did you mean 'file'?"));
    CHECK(says(load(with_password("{ file = 5 }")), "password.file: expected a text in quotes"));
    CHECK(says(load(with_password("{ env = \"\" }")),
               "password.env: expected a text in quotes that is not empty"));
    CHECK(says(load(with_password("5")), "found an integer"));
    CHECK(says(load(with_password("{ credential = \"../x\" }")), "a credential has a name, not a path"));
}

TEST_CASE("secret: a file that everyone can read is warned about") {
    FakeEnvironment environment;
    environment.files["/etc/pw"] = {"hunter2", 0644};
    const Loaded loaded = load(with_password("{ file = \"/etc/pw\" }"), environment);
    CHECK(loaded.settings);
    CHECK(says(loaded, "6:29: warning: "));
    CHECK(says(loaded, "chmod o-rwx /etc/pw"));
    CHECK_FALSE(says(loaded, "hunter2"));
    environment.files["/etc/pw"].permissions = 0640;
    CHECK(load(with_password("{ file = \"/etc/pw\" }"), environment).diagnostics.empty());
}

TEST_CASE("secret: one in a configuration that others can read is warned about, and not shown") {
    FakeEnvironment environment;
    for (const unsigned permissions : {0644U, 0640U, 0604U}) {
        environment.files["holdfast.toml"] = {"", permissions};
        const Loaded loaded = load(with_password("\"hunter2\""), environment);
        REQUIRE(loaded.diagnostics.size() == 1);
        CHECK(says(loaded, "6:20: warning: a secret stands in this file"));
        CHECK(format(loaded.diagnostics[0], loaded.source).find("hunter2") == std::string::npos);
    }
    environment.files["holdfast.toml"] = {"", 0600};
    CHECK(load(with_password("\"hunter2\""), environment).diagnostics.empty());
    environment.files["holdfast.toml"] = {"", 0644};
    environment.variables["PW"] = "x";
    CHECK(load(with_password("{ env = \"PW\" }"), environment).diagnostics.empty());
}

TEST_CASE("scram verifier: as PostgreSQL stores it") {
    const std::string key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    CHECK(is_scram_verifier("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":" + key));
    for (const std::string& text :
         {std::string{}, std::string("SCRAM-SHA-256$"),
          "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":" + key,
          "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":" + key,
          "SCRAM-SHA-256$-1:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":" + key,
          "SCRAM-SHA-256$4294967297:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":" + key,
          "SCRAM-SHA-256$4096:$" + key + ":" + key, "SCRAM-SHA-256$4096:W22Z*J0S$" + key + ":" + key,
          "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" + key,
          "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":" + key + ":x",
          "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":AAAA",
          "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" + key + ":" + key.substr(0, 42) + "=="}) {
        CAPTURE(text);
        CHECK_FALSE(is_scram_verifier(text));
    }
}

TEST_CASE("md5 hash: as PostgreSQL stores it") {
    CHECK(is_md5_hash("md53175bce1d3201d16594cebf9d7eb3f9d"));
    CHECK_FALSE(is_md5_hash("md53175BCE1D3201D16594CEBF9D7EB3F9D"));
    CHECK_FALSE(is_md5_hash("3175bce1d3201d16594cebf9d7eb3f9d"));
    CHECK_FALSE(is_md5_hash("md53175bce1d3201d16594cebf9d7eb3f9"));
    CHECK_FALSE(is_md5_hash("md53175bce1d3201d16594cebf9d7eb3f9dd"));
    CHECK_FALSE(is_md5_hash(""));
}

}  // namespace
}  // namespace holdfast::config
