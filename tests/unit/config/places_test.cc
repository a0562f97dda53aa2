#include "config/places.h"

#include <string>

#include <doctest/doctest.h>

using namespace holdfast::config;

namespace {

Server server(const std::string& name, uint32_t weight = 100) {
    Server made;
    made.name = name;
    made.address.host = name + ".example";
    made.address.port = 5432;
    made.weight = weight;
    return made;
}

/// "a -b c": the names in their places, the removed ones with a minus.
std::string text(const std::vector<Server>& servers) {
    std::string made;
    for (const Server& each : servers)
        made += (made.empty() ? "" : " ") + std::string(each.is_removed ? "-" : "") + each.name;
    return made;
}

bool never(size_t) {
    return false;
}
bool always(size_t) {
    return true;
}

}  // namespace

TEST_CASE("places: servers that stay keep theirs, whatever their order in the file") {
    const std::vector<Server> before{server("a"), server("b"), server("c")};
    CHECK(text(keep_places(before, {server("c"), server("a"), server("b")}, always)) == "a b c");
    CHECK(keep_places(before, {server("a"), server("b", 7), server("c")}, always)[1].weight == 7);
}

TEST_CASE("places: who is gone is marked, and who is new comes behind") {
    const std::vector<Server> before{server("a"), server("b"), server("c")};
    CHECK(text(keep_places(before, {server("a"), server("c"), server("d")}, always)) == "a -b c d");
}

TEST_CASE("places: that of a removed server is given away once nothing refers to it") {
    std::vector<Server> places{server("a"), server("b")};
    places[1].is_removed = true;
    CHECK(text(keep_places(places, {server("a"), server("c")}, never)) == "a -b c");
    CHECK(text(keep_places(places, {server("a"), server("c")}, always)) == "a c");
    // The same one takes it up again, be it free or not.
    CHECK(text(keep_places(places, {server("a"), server("b")}, never)) == "a b");
}

TEST_CASE("places: another address is another server") {
    Server moved = server("a");
    moved.address.port = 6000;
    CHECK(text(keep_places({server("a")}, {moved}, never)) == "-a a");
}

TEST_CASE("places: they do not grow without end") {
    std::vector<Server> places{server("a")};
    for (int i = 0; i < 100; ++i)
        places = keep_places(places, {server("a"), server("b" + std::to_string(i))}, always);
    CHECK(places.size() <= 3);
}
