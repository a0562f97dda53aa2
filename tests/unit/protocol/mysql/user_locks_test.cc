#include <doctest/doctest.h>

#include "conversation_lab.h"

using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;

namespace {

/// The number of locks after each of these, whose results are single rows of one column; "": DO, an OK.
std::vector<uint32_t> locks_after(const std::vector<std::pair<std::string, std::string>>& statements) {
    Lab lab;
    std::vector<uint32_t> counts;
    for (const auto& [sql, answer] : statements) {
        lab.send(query(sql));
        lab.receive(answer.empty() ? ok_packet(1) : result({answer}));
        counts.push_back(lab.conversation->pins().advisory_locks);
    }
    return counts;
}

using Counts = std::vector<uint32_t>;

}  // namespace

TEST_CASE("user locks: only a release that came true lets one go") {
    CHECK(locks_after({{"SELECT GET_LOCK('a', 1)", "1"},
                       {"SELECT RELEASE_LOCK('b')", "0"},
                       {"SELECT RELEASE_LOCK('a')", "1"}}) == Counts{1, 1, 0});
    CHECK(locks_after({{"SELECT GET_LOCK('a', 1)", "1"},
                       {"SELECT GET_LOCK('a', 1)", "1"},
                       {"SELECT RELEASE_LOCK('a')", "1"}}) == Counts{1, 2, 1});
    CHECK(locks_after({{"SELECT GET_LOCK('a', 1)", "0"}}) == Counts{0});
    CHECK(locks_after({{"SELECT GET_LOCK(CONCAT('a', 'b'), 1)", "1"}, {"SELECT RELEASE_LOCK('ab')", "1"}}) ==
          Counts{1, 0});
}

TEST_CASE("user locks: where no result tells, the names do") {
    CHECK(locks_after({{"DO GET_LOCK('a', 1)", ""},
                       {"DO RELEASE_LOCK('b')", ""},
                       {"DO RELEASE_LOCK('A')", ""},
                       {"DO RELEASE_LOCK('a')", ""}}) == Counts{1, 1, 1, 0});
    // One that was not named is not known to be released.
    CHECK(locks_after({{"DO GET_LOCK(@name, 1)", ""}, {"DO RELEASE_LOCK('a')", ""}}) == Counts{1, 1});
    CHECK(locks_after({{"DO GET_LOCK(@name, 1)", ""}, {"DO RELEASE_ALL_LOCKS()", ""}}) == Counts{1, 0});
}

TEST_CASE("user locks: a call that may not have been made lets none go") {
    for (const char* sql : {"SELECT RELEASE_LOCK('a') FROM t", "SELECT RELEASE_LOCK('a') LIMIT 0",
                            "SELECT IF(0, RELEASE_LOCK('a'), 1)", "SELECT RELEASE_ALL_LOCKS() FROM t"}) {
        CAPTURE(sql);
        CHECK(locks_after({{"SELECT GET_LOCK('a', 1)", "1"}, {sql, "1"}}) == Counts{1, 1});
    }
    CHECK(locks_after({{"SELECT GET_LOCK('a', 1)", "1"}, {"SELECT RELEASE_LOCK('a') AS released", "1"}}) ==
          Counts{1, 0});
}

TEST_CASE("user locks: a prepared statement's binary row tells too") {
    CHECK(lock_came_true(as_bytes(std::string_view("\0\0\1\0\0\0\0\0\0\0", 10)), true, "0") ==
          UserLocks::CameTrue::yes);
    CHECK(lock_came_true(as_bytes(std::string_view("\0\0\0\0\0\0", 6)), true, "0") ==
          UserLocks::CameTrue::no);
    CHECK(lock_came_true(as_bytes(std::string_view("\0\4", 2)), true, "0") == UserLocks::CameTrue::no);
    CHECK(lock_came_true(as_bytes(std::string_view("\0\0\1", 3)), true, "0") == UserLocks::CameTrue::unknown);
    CHECK(lock_came_true(as_bytes(std::string_view("\xfb\1"
                                                   "1",
                                                   3)),
                         false, "1") == UserLocks::CameTrue::yes);
    CHECK(lock_came_true(as_bytes(std::string_view("\xfb\1"
                                                   "1",
                                                   3)),
                         false, "0") == UserLocks::CameTrue::no);
    CHECK(lock_came_true(as_bytes(std::string_view("\5"
                                                   "1",
                                                   2)),
                         false, "0") == UserLocks::CameTrue::unknown);
    CHECK(lock_came_true({}, false, "0") == UserLocks::CameTrue::unknown);
}

TEST_CASE("user locks: behind the release of one without a name only their number is known") {
    UserLocks locks;
    locks.apply({sql::EffectKind::advisory_lock, "a", "0"}, UserLocks::CameTrue::yes);
    locks.apply({sql::EffectKind::advisory_lock, "b", "0"}, UserLocks::CameTrue::yes);
    // A lock whose name was not told was released: it is nobody's guess which one.
    locks.apply({sql::EffectKind::advisory_unlock, "", "0"}, UserLocks::CameTrue::yes);
    CHECK(locks.count() == 1);
    locks.apply({sql::EffectKind::advisory_unlock, "b", "0"}, UserLocks::CameTrue::unknown);
    CHECK(locks.count() == 1);
}
