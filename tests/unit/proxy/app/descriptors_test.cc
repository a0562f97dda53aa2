#include "proxy/app/descriptors.h"

#include <limits>
#include <sys/resource.h>

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::app;

namespace {

config::Settings settings(uint32_t clients, uint32_t pool, size_t servers) {
    config::Settings made;
    made.proxy.max_clients = clients;
    config::Cluster cluster;
    cluster.pool.max_connections = pool;
    cluster.servers.resize(servers);
    made.clusters.push_back(cluster);
    return made;
}

}  // namespace

TEST_CASE("descriptors: clients and pools count, but no more than two server connections a client") {
    // 4 service connections a server; 192 for the process and its admin connections.
    CHECK(descriptors_needed(settings(10'000, 100, 3)) == 10'000 + 300 + 12 + 192);
    CHECK(descriptors_needed(settings(50, 100, 3)) == 50 + 100 + 12 + 192);
}

TEST_CASE("descriptors: a limit that is too low is told with what to do") {
    const auto few = settings(1'000, 10, 1);
    CHECK_FALSE(descriptor_advice(1'206, few));
    const auto advice = descriptor_advice(1'205, few);
    REQUIRE(advice);
    CHECK(advice->find("1206") != std::string::npos);
    CHECK(advice->find("LimitNOFILE") != std::string::npos);
    CHECK(advice->find("max_clients") != std::string::npos);
}

TEST_CASE("descriptors: some are kept for the admin address, of a small limit a part") {
    CHECK(descriptor_ceiling(20'000) == 20'000 - 192);
    CHECK(descriptor_ceiling(256) == 192);
    CHECK(descriptor_ceiling(std::numeric_limits<uint64_t>::max()) == std::numeric_limits<int>::max());
}

TEST_CASE("descriptors: the limit is raised to what the system allows") {
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit lowered = before;
    lowered.rlim_cur = 256;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &lowered) == 0);
    CHECK(raise_descriptor_limit() == before.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &before);
}
