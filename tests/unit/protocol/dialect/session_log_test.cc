#include "protocol/dialect/session_log.h"

#include <string>

#include <doctest/doctest.h>

#include "protocol/base/limits.h"

using namespace holdfast;
using dialect::SessionLog;
using sql::Effect;
using sql::EffectKind;

namespace {

Effect set(const std::string& key, const std::string& value = "1") {
    return {EffectKind::set, key, "SET " + key + " = " + value};
}
Effect prepare(const std::string& name) {
    return {EffectKind::prepare, name, "PREPARE " + name + " AS SELECT 1"};
}

/// The statements that bring a fresh connection to the log's state.
std::string replay(const SessionLog& log) {
    std::string text;
    for (const auto& entry : log.entries()) text += (text.empty() ? "" : "; ") + entry.replay;
    return text;
}

size_t bytes_of(const SessionLog& log) {
    size_t bytes = 0;
    for (const auto& entry : log.entries()) bytes += entry.key.size() + entry.replay.size();
    return bytes;
}

}  // namespace

TEST_CASE("session log: what is recorded counts once its transaction commits") {
    SessionLog log;
    log.record(set("a"));
    CHECK(replay(log).empty());
    CHECK(log.version() == 0);
    log.commit();
    CHECK(replay(log) == "SET a = 1");
    CHECK(log.version() == 1);
    log.record(set("b"));
    log.rollback();
    log.commit();
    CHECK(replay(log) == "SET a = 1");
}

TEST_CASE("session log: one entry for each key, in the order of the last change") {
    SessionLog log;
    for (const auto& effect : {set("a"), set("b"), set("a", "2")}) log.record_now(effect);
    CHECK(replay(log) == "SET b = 1; SET a = 2");
    CHECK(log.version() == 3);
    CHECK(log.bytes() == bytes_of(log));
    log.record_now({EffectKind::reset, "b", "RESET b"});
    CHECK(replay(log) == "SET a = 2; RESET b");
}

TEST_CASE("session log: savepoints") {
    SessionLog log;
    log.record(set("a"));
    log.savepoint("s");
    log.record(set("b"));
    log.rollback_to("s");
    SUBCASE("what came after the savepoint is undone, what came before is not") {
        log.commit();
        CHECK(replay(log) == "SET a = 1");
    }
    SUBCASE("the savepoint lives on") {
        log.record(set("c"));
        log.rollback_to("s");
        log.record(set("d"));
        log.commit();
        CHECK(replay(log) == "SET a = 1; SET d = 1");
    }
    SUBCASE("released, it gives its effects to the outer level") {
        log.record(set("c"));
        log.release("s");
        log.rollback_to("s");  // an error on a server; here nothing
        log.commit();
        CHECK(replay(log) == "SET a = 1; SET c = 1");
    }
    SUBCASE("a name is that of the innermost savepoint") {
        log.savepoint("s");
        log.savepoint("s");
        log.record(set("c"));
        log.rollback_to("s");
        log.release("s");
        log.release("s");
        log.record(set("d"));
        log.rollback_to("s");  // the outermost is left
        log.record(set("e"));
        log.commit();
        CHECK(replay(log) == "SET a = 1; SET e = 1");
    }
    SUBCASE("an outer one takes the inner ones with it") {
        log.savepoint("inner");
        log.record(set("c"));
        log.rollback_to("s");
        log.record(set("d"));
        log.rollback_to("inner");  // gone: nothing happens
        log.commit();
        CHECK(replay(log) == "SET a = 1; SET d = 1");
    }
    SUBCASE("ROLLBACK takes all") {
        log.rollback();
        CHECK(replay(log).empty());
    }
}

TEST_CASE("session log: RESET ALL keeps the role, DISCARD ALL nothing") {
    SessionLog log;
    log.record_now(set("role", "reader"));
    log.record_now(set("session authorization", "someone"));
    log.record_now(set("a"));
    log.record_now(prepare("p"));
    log.record_now({EffectKind::reset_all, {}, "RESET ALL"});
    CHECK(replay(log) ==
          "SET role = reader; SET session authorization = someone; PREPARE p AS SELECT 1; RESET ALL");
    CHECK(log.entries()[0].privileged);
    CHECK(log.entries()[1].privileged);
    CHECK_FALSE(log.entries()[2].privileged);
    CHECK(log.bytes() == bytes_of(log));
    log.record_now({EffectKind::discard_all, {}, {}});
    CHECK(replay(log) == "SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DEALLOCATE ALL");
    CHECK(log.bytes() == bytes_of(log));
}

TEST_CASE("session log: a deallocated statement is followed by those that had it") {
    SessionLog log;
    log.record_now(prepare("p"));
    log.record_now(set("a"));
    log.record_now({EffectKind::deallocate, "unknown", {}});
    CHECK(log.entries().size() == 2);
    log.record_now({EffectKind::deallocate, "p", {}});
    REQUIRE(replay(log) == "SET a = 1; DEALLOCATE \"p\"");
    CHECK(log.entries()[1].only_after == 1);

    SUBCASE("until all of them have") {
        log.forget_deallocated({2, 0});
        CHECK(replay(log) == "SET a = 1; DEALLOCATE \"p\"");
        log.forget_deallocated({3, 0});
        CHECK(replay(log) == "SET a = 1");
        CHECK(log.bytes() == bytes_of(log));
    }
    SUBCASE("one that never had it does not count") {
        log.forget_deallocated({0, 0});
        CHECK(replay(log) == "SET a = 1");
    }
    SUBCASE("prepared again, it is not deallocated") {
        log.record_now(prepare("p"));
        log.record_now({EffectKind::deallocate_all, {}, {}});
        CHECK(replay(log).find("PREPARE") == std::string::npos);
        CHECK(replay(log).find("DEALLOCATE ALL") != std::string::npos);
    }
}

TEST_CASE("session log: quotes in a name") {
    SessionLog log;
    log.record_now(prepare("a\"b"));
    log.record_now({EffectKind::deallocate, "a\"b", {}});
    CHECK(replay(log) == "DEALLOCATE \"a\"\"b\"");
}

TEST_CASE("session log: subscriptions are the primary's") {
    SessionLog log;
    log.record_now({EffectKind::listen, "x", "LISTEN x"});
    log.record_now({EffectKind::listen, "y", "LISTEN y"});
    CHECK(log.has_subscriptions());
    CHECK(log.entries()[0].scope == SessionLog::Scope::primary);
    log.record_now({EffectKind::unlisten, "x", {}});
    CHECK(replay(log) == "LISTEN y");
    log.record_now({EffectKind::unlisten_all, {}, {}});
    CHECK_FALSE(log.has_subscriptions());
    CHECK(log.bytes() == 0);
}

TEST_CASE("session log: an entry that a server did not take is forgotten") {
    SessionLog log;
    log.record_now(set("a"));
    log.record_now(set("b"));
    log.forget_refused(1);
    CHECK(replay(log) == "SET b = 1");
    log.forget_refused(1);
    CHECK(log.bytes() == bytes_of(log));
    log.record_now(set("role", "reader"));
    log.forget_refused(log.version());
    CHECK(replay(log) == "SET b = 1; SET role = reader");  // the session would have its rights back
}

TEST_CASE("session log: state that can't be replayed is nothing of its") {
    SessionLog log;
    for (const EffectKind kind : {EffectKind::temporary, EffectKind::set_opaque, EffectKind::advisory_lock,
                                  EffectKind::cursor, EffectKind::sequence}) {
        log.record_now({kind, "x", "x"});
    }
    CHECK(log.entries().empty());
    CHECK_FALSE(log.take_loss());
}

TEST_CASE("session log: so many entries and no more") {
    SessionLog log;
    for (size_t i = 0; i < limits::session_state_entries_max; ++i)
        log.record_now(set("a" + std::to_string(i)));
    CHECK_FALSE(log.take_loss());
    log.record_now(set("one more"));
    CHECK(log.entries().size() == limits::session_state_entries_max);
    CHECK(log.take_loss());
    CHECK_FALSE(log.take_loss());  // said once

    SUBCASE("a role is kept in any case") {
        log.record_now(set("role", "reader"));
        CHECK(log.entries().back().replay == "SET role = reader");
        CHECK_FALSE(log.take_loss());
    }
    SUBCASE("a change of what is there is no more") {
        log.record_now(set("a0", "2"));
        CHECK(log.entries().back().replay == "SET a0 = 2");
        CHECK_FALSE(log.take_loss());
    }
    SUBCASE("there is room again after DISCARD ALL") {
        log.record_now({EffectKind::discard_all, {}, {}});
        log.record_now(set("b"));
        CHECK(log.entries().back().replay == "SET b = 1");
    }
}

TEST_CASE("session log: so many bytes and no more") {
    SessionLog log;
    const std::string value(limits::session_state_bytes_max / 4, 'x');
    for (const char* key : {"a", "b", "c", "d", "e"}) log.record_now(set(key, value));
    CHECK(log.entries().size() == 3);
    CHECK(log.bytes() <= limits::session_state_bytes_max);
    CHECK(log.take_loss());
}

TEST_CASE("session log: so many changes in one transaction and no more") {
    SessionLog log;
    log.record(set("a"));
    for (size_t i = 1; i < limits::session_state_entries_max; ++i) log.record(set("b", std::to_string(i)));
    SUBCASE("as many as may be are all kept") {
        log.commit();
        CHECK(replay(log) == "SET a = 1; SET b = " + std::to_string(limits::session_state_entries_max - 1));
        CHECK_FALSE(log.take_loss());
    }
    SUBCASE("one that was not kept is told at the commit") {
        log.record(set("c"));
        CHECK_FALSE(log.take_loss());
        log.commit();
        CHECK(log.entries().size() == 2);
        CHECK(log.take_loss());
    }
    SUBCASE("nothing is lost by a rollback") {
        log.record(set("c"));
        log.rollback();
        log.commit();
        CHECK_FALSE(log.take_loss());
        log.record(set("d"));
        log.commit();
        CHECK(replay(log) == "SET d = 1");
    }
    SUBCASE("what a savepoint undoes can't be told any more") {
        log.savepoint("s");
        log.record(set("c"));
        log.rollback_to("s");
        log.commit();
        CHECK(replay(log).empty());
        CHECK(log.take_loss());
    }
}

TEST_CASE("session log: savepoints without effects take no room") {
    SessionLog log;
    for (size_t i = 0; i < 2 * limits::session_state_entries_max; ++i) log.savepoint("s");
    log.record(set("a"));
    for (size_t i = 0; i < 2 * limits::session_state_entries_max; ++i) log.release("s");
    log.commit();
    CHECK(replay(log) == "SET a = 1");
    CHECK_FALSE(log.take_loss());

    for (size_t i = 0; i <= limits::session_state_entries_max; ++i) log.savepoint(std::to_string(i));
    log.rollback_to("0");
    log.commit();
    CHECK_FALSE(log.take_loss());  // there was nothing to lose
}

TEST_CASE("session log: so many bytes in one transaction and no more") {
    SessionLog log;
    const std::string value(limits::session_state_bytes_max / 4, 'x');
    for (int i = 0; i < 6; ++i) log.record(set("a", value + std::to_string(i)));
    log.commit();
    CHECK(log.take_loss());
    CHECK(replay(log) == "SET a = " + value + "2");
}

TEST_CASE("session log: what was made under a setting by which texts are read is replayed under it") {
    const auto variable = [](const std::string& name, const std::string& value) {
        return Effect{EffectKind::user_variable, name, "SET @" + name + " = " + value};
    };
    SessionLog log;
    log.record_now({EffectKind::set, "names", "SET NAMES latin1"});
    log.record_now(variable("a", "'\xe4'"));
    log.record_now({EffectKind::set, "names", "SET NAMES utf8mb4"});
    log.record_now(variable("b", "'x'"));
    CHECK(replay(log) == "SET NAMES latin1; SET @a = '\xe4'; SET NAMES utf8mb4; SET @b = 'x'");
    CHECK(bytes_of(log) == log.bytes());
    SUBCASE("and no longer than that is there") {
        log.record_now(variable("a", "1"));
        CHECK(replay(log) == "SET NAMES utf8mb4; SET @b = 'x'; SET @a = 1");
    }
    SUBCASE("however often they change") {
        for (int i = 0; i < 100; ++i) {
            log.record_now({EffectKind::set, "names", "SET NAMES latin1"});
            log.record_now({EffectKind::set, "names", "SET NAMES utf8mb4"});
        }
        CHECK(replay(log) ==
              "SET NAMES latin1; SET @a = '\xe4'; SET NAMES utf8mb4; SET @b = 'x'; SET NAMES utf8mb4");
    }
    SUBCASE("whatever else is set") {
        log.record_now(set("time_zone"));
        log.record_now(set("time_zone", "2"));
        log.record_now({EffectKind::set, "schema", "USE `other`"});
        CHECK(replay(log) ==
              "SET NAMES latin1; SET @a = '\xe4'; SET NAMES utf8mb4; SET @b = 'x'; SET time_zone = 2; USE "
              "`other`");
    }
    CHECK(bytes_of(log) == log.bytes());
}

TEST_CASE("session log: statements are prepared again in the schema that they were prepared in") {
    SessionLog log;
    log.record_now({EffectKind::set, "schema", "USE `a`"});
    log.record_now(prepare("p"));
    log.record_now({EffectKind::set, "schema", "USE `b`"});
    CHECK(replay(log) == "USE `a`; PREPARE p AS SELECT 1; USE `b`");
    log.record_now({EffectKind::deallocate, "p", ""});
    log.record_now({EffectKind::set, "schema", "USE `b`"});
    CHECK(replay(log).starts_with("USE `b`") == false);
    CHECK(replay(log).find("USE `a`") == std::string::npos);
}

TEST_CASE("session log: RESET ALL comes behind what was made before it") {
    SessionLog log;
    log.record_now(set("standard_conforming_strings", "off"));
    log.record_now({EffectKind::prepare, "p", "PREPARE p AS SELECT 'a\\'b'"});
    log.record_now({EffectKind::reset_all, "", ""});
    CHECK(replay(log) == "SET standard_conforming_strings = off; PREPARE p AS SELECT 'a\\'b'; RESET ALL");
    CHECK(bytes_of(log) == log.bytes());
}
