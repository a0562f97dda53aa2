#include "proxy/app/status_line.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::app;

namespace {

health::View two_servers(health::ServerState first, health::ServerState second) {
    health::View view;
    for (const health::ServerState state : {first, second}) {
        health::ServerView server;
        server.id = ServerId{view.servers.size() + 1};
        server.name = "pg" + std::to_string(server.id.value);
        server.state = state;
        view.servers.push_back(server);
    }
    return view;
}

}  // namespace

TEST_CASE("status line: names each cluster's primary, and counts the servers that are up") {
    using enum health::ServerState;
    health::View shop = two_servers(down, up);
    shop.primary = ServerId{2};
    const health::View blog = two_servers(down, lagging);
    const std::vector<ClusterNow> clusters{{"shop", shop}, {"blog", blog}};
    CHECK(status_line(clusters) ==
          "shop: primary pg2, 1 of 2 servers up; blog: no primary, 0 of 2 servers up");
}

TEST_CASE("status line: servers that were taken out are not counted") {
    health::View shop = two_servers(health::ServerState::up, health::ServerState::up);
    shop.servers[1].duty = health::Duty::removed;
    const std::vector<ClusterNow> clusters{{"shop", shop}};
    CHECK(status_line(clusters) == "shop: no primary, 1 of 1 servers up");
}

TEST_CASE("status line: is cut after eight clusters") {
    const health::View view;
    const std::vector<ClusterNow> clusters(10, ClusterNow{"c", view});
    const std::string line = status_line(clusters);
    CHECK(line.ends_with("; and 2 more clusters"));
    CHECK(std::count(line.begin(), line.end(), ';') == 8);
}
