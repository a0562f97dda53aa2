#include "proxy/engine/client_counts.h"

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::engine;
using Full = ClientCounts::Full;

TEST_CASE("client counts: limits of users and databases, and exceptions by name") {
    ClientCounts counts;
    config::Limits limits;
    limits.user_connections = 2;
    limits.database_connections = 3;
    limits.exceptions = {{"batch", "", 1}, {"", "reports", 0}, {"admin", "", 0}};
    CHECK(counts.take("app", "shop", limits) == Full::no);
    CHECK(counts.take("app", "shop", limits) == Full::no);
    CHECK(counts.take("app", "shop", limits) == Full::user);
    CHECK(counts.take("batch", "shop", limits) == Full::no);
    CHECK(counts.take("batch", "reports", limits) == Full::user);
    CHECK(counts.take("other", "shop", limits) == Full::database);
    CHECK(counts.take("other", "reports", limits) == Full::no);
    // Who was refused for one of the two has not been counted for the other.
    CHECK(counts.take("other", "reports", limits) == Full::no);
    counts.give_back("app", "shop");
    CHECK(counts.take("app", "shop", limits) == Full::no);
    for (int i = 0; i < 10; ++i) CHECK(counts.take("admin", "reports", limits) == Full::no);
}

TEST_CASE("client counts: counted without limits too, for those that a reload brings") {
    ClientCounts counts;
    config::Limits limits;
    for (int i = 0; i < 5; ++i) CHECK(counts.take("app", "", limits) == Full::no);
    limits.user_connections = 5;
    limits.database_connections = 1;  // a client without a database is in none
    CHECK(counts.take("app", "", limits) == Full::user);
    counts.give_back("app", "");
    CHECK(counts.take("app", "", limits) == Full::no);
}
