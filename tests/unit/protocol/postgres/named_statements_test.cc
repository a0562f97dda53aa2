#include "protocol/postgres/named_statements.h"

#include <string>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"

using namespace holdfast;
using namespace holdfast::postgres;
using dialect::Slot;

namespace {

StatementRef statement() {
    return StatementRef(new Statement);
}

}  // namespace

TEST_CASE("named statements: a connection has what it was given, until another one is in its place") {
    NamedStatements names;
    auto& entry = names.at("s");
    entry.meant = statement();
    CHECK_FALSE(names.present(entry, Slot::a));
    names.set_present(entry, Slot::a, entry.meant);
    CHECK(names.present(entry, Slot::a) == entry.meant);
    CHECK_FALSE(names.present(entry, Slot::b));
    names.forget_connection(Slot::b);
    CHECK(names.present(entry, Slot::a) == entry.meant);
    names.forget_connection(Slot::a);
    CHECK_FALSE(names.present(entry, Slot::a));
    CHECK(names.meaning("s") == entry.meant);
}

TEST_CASE("named statements: an outdated copy is there, but is none that the client means") {
    NamedStatements names;
    auto& entry = names.at("s");
    entry.meant = statement();
    names.outdate(entry, Slot::b);
    CHECK_FALSE(names.present(entry, Slot::b));  // there was none
    names.set_present(entry, Slot::b, entry.meant);
    names.outdate(entry, Slot::b);
    CHECK(names.present(entry, Slot::b));
    CHECK_FALSE(names.present(entry, Slot::b) == entry.meant);
}

TEST_CASE("named statements: a free name is kept while a connection has a statement under it") {
    NamedStatements names;
    names.set_present(names.at("s"), Slot::b, statement());
    names.forget_if_unused("s");
    REQUIRE(names.find("s"));
    names.set_present(names.at("s"), Slot::b, {});
    names.forget_if_unused("s");
    CHECK_FALSE(names.find("s"));
    CHECK_FALSE(names.has_names());
    names.forget_if_unused("");
    CHECK(names.find(""));
}

TEST_CASE("named statements: what is deallocated on every connection leaves nothing behind") {
    NamedStatements names;
    for (const char* name : {"", "s", "t"}) {
        names.at(name).meant = statement();
        names.set_present(names.at(name), Slot::a, names.meaning(name));
    }
    names.set_present(names.at("t"), Slot::b, names.meaning("t"));
    names.deallocate_all(Slot::a);
    CHECK_FALSE(names.meaning(""));
    CHECK_FALSE(names.find("s"));
    REQUIRE(names.find("t"));
    CHECK_FALSE(names.meaning("t"));
    CHECK(names.present(*names.find("t"), Slot::b));
    names.deallocated(Slot::b);
    CHECK_FALSE(names.has_names());
}

TEST_CASE("named statements: portals last until they are closed, or all of them are") {
    NamedStatements names;
    const StatementRef first = statement();
    const StatementRef second = statement();
    names.set_portal("", first);
    names.set_portal("p", first);
    names.set_portal("p", second);
    names.set_portal("q", first);
    CHECK(names.portal("") == first);
    CHECK(names.portal("p") == second);
    names.close_portal("q");
    CHECK_FALSE(names.portal("q"));
    names.forget_portals();
    CHECK_FALSE(names.portal(""));
    CHECK_FALSE(names.portal("p"));
}

TEST_CASE("named statements: so many bytes and no more") {
    NamedStatements names;
    constexpr size_t bytes = 200'000;
    size_t count = 0;
    for (; count < 1'000 && names.has_room(bytes); ++count) {
        StatementRef made(new Statement);
        made->body.assign(bytes - 10, 'x');
        names.at("s" + std::to_string(count)).meant = made;
    }
    CHECK(count * bytes <= limits::prepared_bytes_max);
    CHECK(count > 250);
    CHECK_FALSE(names.has_room(bytes));
    // Room is made by closing some, whatever had to be counted for that.
    for (size_t i = 0; i < count / 2; ++i) {
        names.at("s" + std::to_string(i)).meant = {};
        names.forget_if_unused("s" + std::to_string(i));
    }
    CHECK(names.has_room(bytes));
    // Many small ones take room too.
    NamedStatements small;
    size_t made = 0;
    for (; made < 1'000'000 && small.has_room(1); ++made) {
        StatementRef statement(new Statement);
        small.at("s" + std::to_string(made)).meant = statement;
    }
    CHECK(made * limits::prepared_overhead_bytes <= limits::prepared_bytes_max);
}
