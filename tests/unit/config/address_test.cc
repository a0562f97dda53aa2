#include "config/address.h"

#include <doctest/doctest.h>

namespace holdfast::config {
namespace {

std::string why_not_listen(std::string_view text) {
    const auto parsed = parse_listen_address(text);
    return parsed ? "" : parsed.error().message;
}

std::string why_not_server(std::string_view text) {
    const auto parsed = parse_server_address(text, Protocol::postgres);
    return parsed ? "" : parsed.error().message;
}

TEST_CASE("listen address: host and port, or the path of a socket") {
    CHECK(*parse_listen_address("0.0.0.0:6432") == Endpoint{"0.0.0.0", 6432, {}});
    CHECK(*parse_listen_address("[::]:6432") == Endpoint{"::", 6432, {}});
    CHECK(*parse_listen_address("db-proxy.internal:1") == Endpoint{"db-proxy.internal", 1, {}});
    CHECK(*parse_listen_address("/run/holdfast/.s.PGSQL.6432") ==
          Endpoint{{}, 0, "/run/holdfast/.s.PGSQL.6432"});
}

TEST_CASE("listen address: an error says what to write") {
    CHECK(why_not_listen(":6432").find("\"0.0.0.0:6432\"") != std::string::npos);
    CHECK(why_not_listen("*:6432").find("\"0.0.0.0:6432\"") != std::string::npos);
    CHECK(why_not_listen("6432").find("\"0.0.0.0:6432\"") != std::string::npos);
    CHECK(why_not_listen("10.0.0.1").find("\"10.0.0.1:6432\"") != std::string::npos);
    CHECK(why_not_listen("::1").find("\"[::1]\"") != std::string::npos);
    CHECK(why_not_listen("tcp://10.0.0.1:6432").find("without 'tcp://'") != std::string::npos);
    CHECK(why_not_listen("").find("no port") != std::string::npos);
    for (const char* text :
         {"10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:-1", "10.0.0.1: 1",
          "10.0.0.1:00000000000000000000099999", "[::1]6432", "[::1", "[zz]:1", "[]:1", "a b:1",
          "10.0.0.256:1", "10.0.0:1", "a:b:1", "/run/", "run/x.sock"}) {
        CAPTURE(text);
        CHECK_FALSE(why_not_listen(text).empty());
    }
    CHECK(why_not_listen("/" + std::string(107, 'x')).find("107 bytes") != std::string::npos);
    CHECK(why_not_listen("/" + std::string(106, 'x')).empty());
    CHECK_FALSE(why_not_listen(std::string_view("[::1\0]:6432", 11)).empty());
}

TEST_CASE("server address: the port may be left out") {
    CHECK(*parse_server_address("10.0.1.11", Protocol::postgres) == Endpoint{"10.0.1.11", 5432, {}});
    CHECK(*parse_server_address("10.0.1.11", Protocol::mysql) == Endpoint{"10.0.1.11", 3306, {}});
    CHECK(*parse_server_address("pg1.internal:5433", Protocol::postgres) ==
          Endpoint{"pg1.internal", 5433, {}});
    CHECK(*parse_server_address("[fd00::11]", Protocol::postgres) == Endpoint{"fd00::11", 5432, {}});
    CHECK(*parse_server_address("[fd00::11]:5433", Protocol::postgres) == Endpoint{"fd00::11", 5433, {}});
}

TEST_CASE("server address: a PostgreSQL socket is named by folder and port, or whole") {
    const auto path = [](std::string_view text, Protocol protocol) {
        return parse_server_address(text, protocol)->unix_path;
    };
    CHECK(path("/var/run/postgresql", Protocol::postgres) == "/var/run/postgresql/.s.PGSQL.5432");
    CHECK(path("/var/run/postgresql/", Protocol::postgres) == "/var/run/postgresql/.s.PGSQL.5432");
    CHECK(path("/var/run/postgresql:5433", Protocol::postgres) == "/var/run/postgresql/.s.PGSQL.5433");
    CHECK(path("/tmp/.s.PGSQL.5434", Protocol::postgres) == "/tmp/.s.PGSQL.5434");
    CHECK(path("/run/mysqld/mysqld.sock", Protocol::mysql) == "/run/mysqld/mysqld.sock");
    CHECK(why_not_server("/var/run/postgresql:x") != "");
    CHECK(why_not_server("/" + std::string(100, 'x')).find("107 bytes") != std::string::npos);
}

TEST_CASE("server address: refuses what is no single server") {
    CHECK(parse_server_address("dns+pg.internal:5432", Protocol::postgres).error().code ==
          ErrorCode::unsupported);
    CHECK(
        parse_server_address("dns+my.internal", Protocol::mysql).error().message.find("not supported yet") !=
        std::string::npos);
    CHECK(why_not_server("0.0.0.0").find("127.0.0.1") != std::string::npos);
    CHECK(why_not_server("[::]") != "");
    CHECK(why_not_server("") != "");
    CHECK(why_not_server(":5432") != "");
    CHECK(why_not_server("postgres://10.0.0.1/db").find("without 'postgres://'") != std::string::npos);
}

TEST_CASE("network: is normalised, and refused with the right one") {
    CHECK(*parse_network("10.0.0.0/8") == "10.0.0.0/8");
    CHECK(*parse_network("0.0.0.0/0") == "0.0.0.0/0");
    CHECK(*parse_network("192.168.1.7") == "192.168.1.7/32");
    CHECK(*parse_network("10.32.0.0/11") == "10.32.0.0/11");
    CHECK(*parse_network("FD00::/8") == "fd00::/8");
    CHECK(*parse_network("::1") == "::1/128");
    CHECK(parse_network("10.1.2.3/8").error().message.find("\"10.0.0.0/8\"") != std::string::npos);
    CHECK(parse_network("10.16.0.0/11").error().message.find("\"10.0.0.0/11\"") != std::string::npos);
    CHECK(parse_network("fd00::1/64").error().message.find("\"fd00::/64\"") != std::string::npos);
    for (const char* text : {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129",
                             "host", "10.0.0/8", "10.0.0.0/255.0.0.0", "10.0.0.0/ 8"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_network(text));
    }
}

TEST_CASE("addresses: collide when they can't be listened on at once") {
    const auto do_collide = [](std::string_view a, std::string_view b) {
        const auto first = *parse_listen_address(a);
        const auto second = *parse_listen_address(b);
        CHECK(collide(first, second) == collide(second, first));
        return collide(first, second);
    };
    CHECK(do_collide("10.0.0.1:1", "10.0.0.1:1"));
    CHECK(do_collide("0.0.0.0:1", "10.0.0.1:1"));
    CHECK(do_collide("0.0.0.0:1", "host:1"));
    CHECK(do_collide("[::]:1", "[::1]:1"));
    CHECK(do_collide("[0:0::1]:1", "[::1]:1"));
    CHECK(do_collide("Host:1", "host:1"));
    CHECK(do_collide("/a/b", "/a/b"));
    CHECK_FALSE(do_collide("0.0.0.0:1", "[::]:1"));
    CHECK_FALSE(do_collide("10.0.0.1:1", "10.0.0.2:1"));
    CHECK_FALSE(do_collide("10.0.0.1:1", "10.0.0.1:2"));
    CHECK_FALSE(do_collide("/a/b", "/a/c"));
    CHECK_FALSE(do_collide("/a/b", "10.0.0.1:1"));
}

TEST_CASE("addresses: loopback is this machine only") {
    for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "/a/b"}) {
        CHECK(is_loopback(*parse_listen_address(text)));
    }
    for (const char* text : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "myhost:1"}) {
        CHECK_FALSE(is_loopback(*parse_listen_address(text)));
    }
}

}  // namespace
}  // namespace holdfast::config
