#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conversation_lab.h"
#include "protocol/base/limits.h"

using namespace holdfast;
using namespace holdfast::postgres;
using namespace holdfast::postgres::test;
using dialect::ScanEvent;
using dialect::Slot;
using dialect::Transaction;

namespace {

const std::string answer_1 = row_description() + row() + complete("SELECT 1") + ready();

/// The ways in which one message is read: all of it, and cut at any place.
template <typename Check>
void at_every_cut(const std::string& bytes, const Check& check) {
    for (size_t at = 0; at <= bytes.size(); ++at) {
        CAPTURE(at);
        check(bytes.substr(0, at), bytes.substr(at));
    }
}

}  // namespace

TEST_CASE("conversation: answers of every kind reach the client as they came, wherever they are cut") {
    struct Row {
        std::string request;
        std::string answer;
    };
    const std::string copy_format(3, '\0');
    for (const auto& each : std::vector<Row>{
             {query("SELECT 1"), answer_1},
             {query(""), message('I') + ready()},
             {query("SELECT 1; SELECT 2"), row_description() + row() + complete("SELECT 1") +
                                               row_description() + complete("SELECT 0") + ready()},
             {query("SELECT 1; oops"),
              row_description() + row() + complete("SELECT 1") + error("42601") + ready()},
             {query("COPY t TO STDOUT"), message('H', copy_format) + message('d', "1\n") +
                                             message('d', "2\n") + message('c') + complete("COPY 2") +
                                             ready()},
             {query("NOTIFY x"), complete("NOTIFY") + message('A', "1234x") + ready()},
             {query("SELECT noisy()"), notice("01000") + row_description() + notice("00000") + row() +
                                           parameter("TimeZone", "UTC") + complete("SELECT 1") + ready()},
             {parse("", "SELECT $1") + describe_statement("") + bind("p", "") + describe_portal("p") +
                  execute("p") + close_statement("") + sync_message(),
              message('1') + message('t', std::string(2, '\0')) + row_description() + message('2') +
                  row_description() + row() + complete("SELECT 1") + message('3') + ready()},
             {parse("", "SET a.b = 1") + describe_statement("") + bind("", "") + execute("") + sync_message(),
              message('1') + message('t', std::string(2, '\0')) + message('n') + message('2') +
                  complete("SET") + ready()},
             {batch("SELECT 1"), message('1') + message('2') + row() + message('s') + ready('T')},
             {batch(""), message('1') + message('2') + message('I') + ready()},
             {message('F', std::string(8, '\0')), message('V', std::string(4, '\xff')) + ready()},
             {query("BEGIN"), complete("BEGIN") + ready('T')},
         }) {
        CAPTURE(each.request);
        at_every_cut(each.answer, [&](const std::string& first, const std::string& rest) {
            Lab lab;
            lab.send(each.request);
            lab.receive(first);
            REQUIRE(lab.talk.units_in_flight() == (rest.empty() ? 0 : 1));
            lab.receive(rest);
            REQUIRE(lab.within_bounds);
            REQUIRE(lab.to_client == each.answer);
            REQUIRE(lab.units_done == 1);
            REQUIRE(lab.talk.units_in_flight() == 0);
            REQUIRE(lab.talk.requests_in_flight() == 0);
        });
    }
}

TEST_CASE("conversation: the transaction is what ReadyForQuery says") {
    Lab lab;
    CHECK(lab.talk.transaction() == Transaction::idle);
    lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
    CHECK(lab.talk.transaction() == Transaction::active);
    lab.run(query("oops"), error("42601") + ready('E'));
    CHECK(lab.talk.transaction() == Transaction::failed);
    CHECK(lab.talk.last_error_code() == "42601");
    lab.run(query("ROLLBACK AND CHAIN"), complete("ROLLBACK") + ready('T'));
    CHECK(lab.talk.transaction() == Transaction::active);
    CHECK(lab.talk.last_error_code().empty());
    lab.run(query("COMMIT"), complete("COMMIT") + ready('I'));
    CHECK(lab.talk.transaction() == Transaction::idle);
}

TEST_CASE("conversation: an answer that does not belong to the question is a lie") {
    struct Row {
        std::string request;
        std::string answer;
    };
    for (const auto& each : std::vector<Row>{
             {"", row()},
             {"", ready()},
             {"", complete("SELECT 1")},
             {"", error("42601")},
             {query("SELECT 1"), message('1')},
             {query("SELECT 1"), message('2')},
             {query("SELECT 1"), message('n')},
             {query("SELECT 1"), message('t')},
             {query("SELECT 1"), message('V')},
             {query("SELECT 1"), message('R', std::string(4, '\0'))},
             {query("SELECT 1"), message('K', std::string(8, '\0'))},
             {query("SELECT 1"), message('!')},
             {query("SELECT 1"), message('Z')},
             {query("SELECT 1"), message('Z', "II")},
             {query("SELECT 1"), message('Z', "X")},
             {query("SELECT 1"), message('S', "no end")},
             {query("SELECT 1"), std::string("D\0\0\0\3", 5)},
             {query("SELECT 1"), "D\xff\xff\xff\xff"},
             {query("SELECT 1"), std::string("C\0\xff\xff\xff", 5)},  // a tag of 16 MiB
             {batch("SELECT 1"), message('2')},
             {batch("SELECT 1"), row_description()},
             {batch("SELECT 1"), complete("SELECT 1")},
             {batch("SELECT 1"), message('G', std::string(3, '\0'))},
             {batch("SELECT 1"), ready()},
             {batch("SELECT 1"), message('1') + message('1')},
             {batch("SELECT 1"), message('1') + message('2') + ready()},
         }) {
        CAPTURE(each.request);
        CAPTURE(each.answer);
        Lab lab;
        lab.send(each.request);
        CHECK(lab.receive(each.answer) == ScanEvent::lying);
        CHECK_FALSE(lab.talk.detail().empty());
        CHECK(lab.to_client.size() < each.answer.size());
    }
}

TEST_CASE("conversation: an answer on the wrong connection is a lie") {
    Lab lab;
    lab.send(query("SELECT 1"), Slot::a);
    CHECK(lab.receive(answer_1, Slot::b) == ScanEvent::lying);
    CHECK(lab.to_client.empty());
}

TEST_CASE("conversation: after an error the server skips to the Sync") {
    Lab lab;
    const std::string failing =
        parse("s", "SELECT 1") + bind("", "s") + execute("") + close_statement("old") + sync_message();
    lab.run(parse("old", "SELECT 2") + sync_message(), message('1') + ready());
    lab.send(failing + query("SELECT 1"));
    lab.receive(error("42P01"));
    CHECK(told(lab.take_to_client()) == "E 42P01");  // at once, without waiting for the Sync's answer
    lab.receive(ready() + answer_1);
    CHECK(lab.to_client == ready() + answer_1);
    CHECK(lab.talk.units_in_flight() == 0);
    lab.forget();

    // What was skipped has not happened: s is unknown, old is not closed.
    lab.send(bind("", "s") + execute("") + sync_message(), Slot::b);
    CHECK(lab.prefixes.empty());
    lab.receive(error("26000") + ready(), Slot::b);
    lab.forget();
    lab.send(bind("", "old") + execute("") + sync_message(), Slot::b);
    CHECK(lab.prefixes == parse("old", "SELECT 2"));
}

TEST_CASE("conversation: an error in an open batch is told at once, and the rest skipped") {
    Lab lab;
    lab.send(parse("", "oops") + message('H'));
    lab.receive(error("42601"));
    CHECK(told(lab.take_to_client()) == "E 42601");
    CHECK(lab.talk.unit_open());
    lab.send(bind("", "") + execute(""), Slot::a, true);
    // Even a Query is ignored, and its end ends nothing.
    lab.send(query("SELECT 1"));
    CHECK(lab.talk.unit_open());
    lab.send(sync_message());
    CHECK_FALSE(lab.talk.unit_open());
    lab.receive(ready());
    CHECK(lab.to_client == ready());
    CHECK(lab.talk.units_in_flight() == 0);
    lab.run(query("SELECT 1"), answer_1);
    CHECK(lab.talk.units_in_flight() == 0);
}

TEST_CASE("conversation: a Query behind a failed batch without a Sync is part of it") {
    Lab lab;
    lab.send(parse("", "oops") + bind("", "") + message('H'));
    lab.send(query("SELECT 1") + query("SELECT 2") + sync_message());
    lab.receive(error("42601") + ready());
    CHECK(told(lab.to_client) == "E 42601|Z I");
    CHECK(lab.talk.units_in_flight() == 0);
}

TEST_CASE("conversation: a replica's refusals of reads never reach the client") {
    struct Row {
        std::string code;
        std::string text;
        ScanEvent event;
    };
    for (const auto& each : std::vector<Row>{
             {"25006", "cannot execute INSERT in a read-only transaction", ScanEvent::refused},
             {"0A000", "cannot use serializable mode in a hot standby", ScanEvent::refused},
             {"0A000", "cannot PREPARE a transaction during recovery", ScanEvent::refused},
             {"0A000", "cannot access temporary or unlogged relations during recovery", ScanEvent::refused},
             {"55000", "recovery is in progress", ScanEvent::refused},
             {"XX000", "cannot do it during recovery", ScanEvent::refused},
             {"40001", "canceling statement due to conflict with recovery", ScanEvent::conflict},
             {"40P01", "canceling statement due to conflict with recovery", ScanEvent::conflict},
             {"0A000", "something else is not supported", ScanEvent::none},
             {"55000", "currval of sequence is not yet defined in this session", ScanEvent::none},
             {"40001", "could not serialize access", ScanEvent::none},
             {"42601", "syntax error", ScanEvent::none},
         }) {
        CAPTURE(each.code);
        CAPTURE(each.text);
        for (const std::string& request : {query("SELECT 1 FROM t"), batch("SELECT 1 FROM t")}) {
            Lab lab;
            lab.send(request, Slot::b);
            CHECK(lab.receive(error(each.code, each.text), Slot::b) == each.event);
            CHECK(lab.to_client.empty() == (each.event != ScanEvent::none));
        }
    }
}

TEST_CASE("conversation: a refusal is the client's where it can't be helped or was asked for") {
    const std::string refusal = error("25006", "cannot execute INSERT in a read-only transaction");
    Lab lab;
    Slot slot = Slot::b;
    SUBCASE("the statement may have changed something") {
        lab.send(query("INSERT INTO t VALUES (1)"), slot);
    }
    SUBCASE("in a transaction") {
        lab.run(query("BEGIN READ ONLY"), complete("BEGIN") + ready('T'), slot);
        lab.send(query("SELECT 1 FROM t"), slot);
    }
    SUBCASE("rows were delivered") {
        lab.send(query("SELECT 1 FROM t"), slot);
        lab.receive(row_description() + row(), slot);
    }
    SUBCASE("from the primary") {
        slot = Slot::a;
        lab.send(query("SELECT 1 FROM t"), slot);
    }
    SUBCASE("the session does not correct") {
        lab.talk.set_corrects(false);
        lab.send(query("SELECT 1 FROM t"), slot);
    }
    SUBCASE("the client wants read-only") {
        lab.run(query("SET default_transaction_read_only = on"),
                complete("SET") + parameter("default_transaction_read_only", "on") + ready());
        CHECK(lab.talk.wants_read_only());
        lab.send(query("SELECT 1 FROM t"), slot);
    }
    SUBCASE("it must not run again") {
        lab.send(query("SELECT 1 FROM t"), slot);
        lab.talk.forbid_rerun();
    }
    lab.forget();
    CHECK(lab.receive(refusal, slot) == ScanEvent::none);
    CHECK(lab.to_client == refusal);
}

TEST_CASE("conversation: a server's announcement of its end is not the client's") {
    for (const std::string& end :
         {error("57P01", "terminating connection due to administrator command", "FATAL"),
          error("XX000", "gone", "PANIC"), notice("57P01"), notice("57P02")}) {
        CAPTURE(told(end));
        for (const bool busy : {false, true}) {
            CAPTURE(busy);
            Lab lab;
            if (busy) lab.send(query("SELECT 1"));
            CHECK(lab.receive(end) == ScanEvent::dying);
            CHECK(lab.to_client.empty());
            CHECK(lab.talk.units_in_flight() == (busy ? 1 : 0));
        }
    }
}

TEST_CASE("conversation: the role that a server reports is not the client's business") {
    Lab lab;
    CHECK(lab.talk.says_replica(Slot::b) == true);
    CHECK(lab.receive(parameter("in_hot_standby", "off"), Slot::b) == ScanEvent::role_changed);
    CHECK(lab.talk.says_replica(Slot::b) == false);
    CHECK(lab.receive(parameter("in_hot_standby", "off"), Slot::b) == ScanEvent::none);
    CHECK(lab.receive(parameter("in_hot_standby", "on"), Slot::b) == ScanEvent::role_changed);
    CHECK(lab.to_client.empty());
}

TEST_CASE("conversation: what comes without a question") {
    const std::string news = message('A', "1234x");
    Lab lab;
    // Between two answers the primary's news are the client's; a replica's are not: they concern a connection
    // that is only read from.
    CHECK(lab.receive(news, Slot::a) == ScanEvent::none);
    CHECK(lab.to_client == news);
    lab.forget();
    lab.receive(news + parameter("TimeZone", "UTC"), Slot::b);
    CHECK(lab.to_client.empty());
    lab.receive(parameter("TimeZone", "UTC") + notice("01000"), Slot::a);
    CHECK(lab.to_client == parameter("TimeZone", "UTC") + notice("01000"));
}

TEST_CASE("conversation: long rows stream; what is owed of one is known when its server is gone") {
    Lab lab;
    lab.send(query("SELECT 1"), Slot::a);
    const std::string long_row = row(std::string(limits::result_message_whole_bytes_max, 'x'));
    const std::string first = row_description() + long_row.substr(0, 1'000);
    lab.receive(first);
    CHECK(lab.to_client == first);
    CHECK(lab.talk.inside_message());
    CHECK(lab.talk.rows_delivered());
    SUBCASE("it goes on") {
        lab.receive(long_row.substr(1'000) + complete("SELECT 1") + ready());
        CHECK(lab.to_client == row_description() + long_row + complete("SELECT 1") + ready());
        CHECK_FALSE(lab.talk.inside_message());
        CHECK(lab.units_done == 1);
    }
    SUBCASE("another server's news wait") {
        lab.receive(parameter("in_hot_standby", "off"), Slot::b);
        CHECK(lab.unread(Slot::b) > 0);
        lab.receive(long_row.substr(1'000));
        CHECK(lab.receive("", Slot::b) == ScanEvent::role_changed);
    }
    SUBCASE("it does not") {
        lab.talk.slot_lost(Slot::a);
        CHECK(lab.talk.padding() == long_row.size() - 1'000);
    }
}

TEST_CASE("conversation: a message that is not streamed is forwarded whole or not at all") {
    Lab lab;
    lab.send(query("SELECT 1"));
    const std::string some = row(std::string(10'000, 'x'));
    lab.receive(row_description() + some.substr(0, 9'000));
    CHECK(lab.to_client == row_description());
    CHECK_FALSE(lab.talk.inside_message());
    lab.talk.slot_lost(Slot::a);
    CHECK(lab.talk.padding() == 0);
}

TEST_CASE("conversation: settings follow the session to its other connection once they are committed") {
    Lab lab;
    CHECK(lab.state_for(Slot::b).empty());
    SUBCASE("by themselves") {
        lab.run(query("SET work_mem = '1MB'"), complete("SET") + ready());
        REQUIRE(lab.state_for(Slot::b) == "SET work_mem = '1MB'");
    }
    SUBCASE("by the extended protocol") {
        lab.run(batch("SET work_mem = '1MB'"), message('1') + message('2') + complete("SET") + ready());
        REQUIRE(lab.state_for(Slot::b) == "SET work_mem = '1MB'");
    }
    SUBCASE("in a transaction") {
        lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
        lab.run(query("SET work_mem = '1MB'"), complete("SET") + ready('T'));
        CHECK(lab.state_for(Slot::b).empty());
        lab.run(query("SAVEPOINT x"), complete("SAVEPOINT") + ready('T'));
        lab.run(query("SET work_mem = '2MB'"), complete("SET") + ready('T'));
        lab.run(query("ROLLBACK TO x"), complete("ROLLBACK") + ready('T'));
        lab.run(query("COMMIT"), complete("COMMIT") + ready());
        REQUIRE(lab.state_for(Slot::b) == "SET work_mem = '1MB'");
    }
    CHECK(lab.talk.synchronising(Slot::b));
    CHECK(lab.talk.synchronising(Slot::a));  // nothing begins on the other one either
    CHECK(lab.receive(complete("SET") + parameter("work_mem", "1MB") + ready(), Slot::b) ==
          ScanEvent::sync_done);
    CHECK(lab.to_client.empty());
    CHECK_FALSE(lab.talk.synchronising(Slot::b));
    CHECK(lab.state_for(Slot::b).empty());
}

TEST_CASE("conversation: settings that did not come true do not follow") {
    Lab lab;
    SUBCASE("an error") {
        lab.run(query("SET work_mem = 'x'"), error("22023") + ready());
    }
    SUBCASE("rolled back") {
        lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
        lab.run(query("SET work_mem = '1MB'"), complete("SET") + ready('T'));
        lab.run(query("ROLLBACK"), complete("ROLLBACK") + ready());
    }
    SUBCASE("a COMMIT that was a rollback") {
        lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
        lab.run(query("SET work_mem = '1MB'"), complete("SET") + ready('T'));
        lab.run(query("oops"), error("42601") + ready('E'));
        lab.run(query("COMMIT"), complete("ROLLBACK") + ready());
    }
    SUBCASE("in one message with an error") {
        lab.run(query("SET work_mem = '1MB'; oops"), complete("SET") + error("42601") + ready());
    }
    SUBCASE("for one transaction") {
        lab.run(query("BEGIN; SET LOCAL work_mem = '1MB'; COMMIT"),
                complete("BEGIN") + complete("SET") + complete("COMMIT") + ready());
    }
    CHECK(lab.state_for(Slot::b).empty());
}

TEST_CASE("conversation: a setting that a server does not take is forgotten, a role is not") {
    Lab lab;
    lab.run(query("SET work_mem = '1MB'"), complete("SET") + ready());
    lab.run(query("SET ROLE reader"), complete("SET") + ready());
    REQUIRE(lab.state_for(Slot::b) == "SET work_mem = '1MB'; SET ROLE reader");
    const bool role_fails = [] {
        bool fails = false;
        SUBCASE("the setting") {}
        SUBCASE("the role") {
            fails = true;
        }
        return fails;
    }();
    const std::string good = complete("SET") + ready();
    const std::string bad = error("22023") + ready();
    CHECK(lab.receive(role_fails ? good + bad : bad + good, Slot::b) == ScanEvent::sync_failed);
    CHECK(lab.to_client.empty());
    lab.talk.forget_unsynchronisable();
    lab.talk.slot_lost(Slot::b);
    lab.talk.slot_opened(Slot::b, true);
    CHECK(lab.state_for(Slot::b) ==
          (role_fails ? "SET work_mem = '1MB'; SET ROLE reader" : "SET ROLE reader"));
}

TEST_CASE("conversation: subscriptions are made on primaries only") {
    Lab lab;
    lab.run(query("LISTEN x"), complete("LISTEN") + ready());
    CHECK(lab.talk.has_subscriptions());
    CHECK(lab.state_for(Slot::b).empty());
    lab.talk.slot_promoted(Slot::b);
    CHECK(lab.state_for(Slot::b) == "LISTEN x");
}

TEST_CASE("conversation: state that can't be moved") {
    struct Row {
        std::string request;
        std::string tag;
        std::string pinned_by;
    };
    for (const auto& each : std::vector<Row>{
             {"CREATE TEMP TABLE x (a int)", "CREATE TABLE", "temporary"},
             {"SELECT pg_advisory_lock(1)", "SELECT 1", "locks"},
             {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE CURSOR", "cursors"},
         }) {
        CAPTURE(each.request);
        Lab lab;
        const std::string answer = complete(each.tag) + ready();
        lab.run(query(each.request), answer);
        const dialect::Pins pins = lab.talk.pins();
        CHECK(pins.any());
        CHECK(pins.temporary == (each.pinned_by == "temporary"));
        CHECK(pins.advisory_locks == (each.pinned_by == "locks" ? 1 : 0));
        CHECK(pins.held_cursors == (each.pinned_by == "cursors" ? 1 : 0));
        lab.run(query("DISCARD ALL"), complete("DISCARD ALL") + ready());
        CHECK_FALSE(lab.talk.pins().any());

        // What is made in a transaction that is rolled back is not there; a lock stays.
        lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
        lab.run(query(each.request), complete(each.tag) + ready('T'));
        lab.run(query("ROLLBACK"), complete("ROLLBACK") + ready());
        CHECK(lab.talk.pins().any() == (each.pinned_by == "locks"));
    }
}

TEST_CASE("conversation: more state than is kept pins the session") {
    Lab lab;
    for (size_t i = 0; i <= limits::session_state_entries_max && !lab.talk.pins().settings; ++i) {
        lab.run(query("SET x.a" + std::to_string(i) + " = 1"), complete("SET") + ready());
    }
    CHECK(lab.talk.pins().settings);
}

TEST_CASE("conversation: statements that come and go leave nothing behind") {
    Lab lab;
    for (size_t i = 0; i < 2 * limits::session_state_entries_max; ++i) {
        const std::string name = "s" + std::to_string(i);
        lab.run(query("PREPARE " + name + " AS SELECT 1"), complete("PREPARE") + ready());
        lab.run(query("DEALLOCATE " + name), complete("DEALLOCATE") + ready());
    }
    CHECK_FALSE(lab.talk.pins().settings);
    CHECK(lab.state_for(Slot::b).empty());
}

TEST_CASE("conversation: what is left of an abandoned answer is swallowed") {
    Lab lab;
    lab.send(query("SELECT 1 FROM t"), Slot::b);
    lab.receive(row_description(), Slot::b);
    REQUIRE(lab.talk.abandon_answer(Slot::b));
    ByteBuffer prefix;
    lab.talk.rerun_unit(Slot::a, as_bytes(lab.unit_bytes), prefix);
    CHECK(prefix.empty());
    lab.receive(row() + complete("SELECT 1") + ready(), Slot::b);
    CHECK(lab.to_client == row_description());
    lab.receive(answer_1, Slot::a);
    CHECK(lab.to_client == answer_1);  // its heads came once
    CHECK(lab.talk.units_in_flight() == 0);
}

TEST_CASE("conversation: a connection is reset only when nothing is under way on it") {
    const auto can_reset = [](Lab& lab) {
        ByteBuffer out;
        const bool can = lab.talk.append_reset(Slot::a, out);
        CHECK(as_text(out) == (can ? query("DISCARD ALL") : ""));
        return can;
    };
    Lab lab;
    CHECK(can_reset(lab));
    lab.send(query("SELECT 1"));
    CHECK_FALSE(can_reset(lab));
    lab.receive(answer_1);
    CHECK(can_reset(lab));
    lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
    CHECK_FALSE(can_reset(lab));
    lab.run(query("COMMIT"), complete("COMMIT") + ready());
    lab.run(query("SET a.b = 1"), complete("SET") + ready());
    REQUIRE_FALSE(lab.state_for(Slot::b).empty());
    CHECK_FALSE(can_reset(lab));
}

TEST_CASE("conversation: backslashes are read as the server says") {
    Lab lab;
    lab.run(query("SET standard_conforming_strings = off"),
            complete("SET") + parameter("standard_conforming_strings", "off") + ready());
    lab.send(query("SELECT '\\'; INSERT INTO t VALUES ('"));
    CHECK_FALSE(lab.facts.may_write);  // one string
    Lab other;
    other.send(query("SELECT '\\'; INSERT INTO t VALUES ('"));
    CHECK(other.facts.may_write);  // here it is two statements
}
