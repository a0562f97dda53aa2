#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conversation_lab.h"

using namespace holdfast;
using namespace holdfast::postgres;
using namespace holdfast::postgres::test;
using dialect::Failure;
using dialect::FailureText;
using dialect::Slot;
using dialect::Transaction;

namespace {

const FailureText lost{Failure::transaction_lost, "the transaction is gone", {}, {}, {}};

/// What the client is told when its oldest unit fails.
std::string fail(Lab& lab, Failure failure, const std::string& code = {}) {
    ByteBuffer out;
    lab.talk.fail_unit({failure, "why", "more", "what to do", code}, out);
    return told(as_text(out));
}

/// What the client is told at once, with nothing for a server.
std::string say(Lab& lab, std::string_view bytes) {
    lab.forget();
    lab.send(bytes);
    CHECK(lab.to_server.empty());
    return told(lab.to_client);
}

/// A session whose server went away in a transaction, with nothing in flight.
void lose(Lab& lab) {
    lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
    lab.run(query("INSERT INTO t VALUES (1)"), complete("INSERT 0 1") + ready('T'));
    lab.talk.slot_lost(Slot::a);
    lab.talk.lose_transaction(lost);
}

}  // namespace

TEST_CASE("failover: a read of which no row was delivered runs again, its heads are not told twice") {
    const std::string heads = message('1') + message('2') + row_description();
    const std::string request =
        parse("", "SELECT 1 FROM t") + bind("", "") + describe_portal("") + execute("") + sync_message();
    for (size_t had = 0; had <= 3; ++had) {
        CAPTURE(had);
        const std::string first = had == 0   ? ""
                                  : had == 1 ? message('1')
                                  : had == 2 ? message('1') + message('2')
                                             : heads;
        Lab lab;
        lab.send(request, Slot::b);
        lab.receive(first, Slot::b);
        lab.talk.slot_lost(Slot::b);
        REQUIRE(lab.talk.rerunnable());
        CHECK_FALSE(lab.talk.rows_delivered());
        CHECK_FALSE(lab.talk.may_have_committed());
        ByteBuffer prefix;
        lab.talk.rerun_unit(Slot::a, as_bytes(request), prefix);
        lab.receive(heads + row() + complete("SELECT 1") + ready(), Slot::a);
        CHECK(lab.to_client == heads + row() + complete("SELECT 1") + ready());
        CHECK(lab.talk.units_in_flight() == 0);
    }
}

TEST_CASE("failover: several reads in flight run again together") {
    Lab lab;
    lab.run(parse("s", "SELECT 1 FROM t") + sync_message(), message('1') + ready(), Slot::b);
    const std::string use = bind("", "s") + execute("") + sync_message();
    lab.send(use + query("SELECT 2 FROM t"), Slot::b);
    REQUIRE(lab.talk.rerunnable());
    lab.talk.slot_lost(Slot::b);
    ByteBuffer prefix;
    lab.talk.rerun_unit(Slot::a, as_bytes(use + query("SELECT 2 FROM t")), prefix);
    CHECK(as_text(prefix) == parse("s", "SELECT 1 FROM t"));
    const std::string first = message('2') + row() + complete("SELECT 1") + ready();
    const std::string second = row_description() + row() + complete("SELECT 1") + ready();
    lab.receive(message('1') + first + second, Slot::a);
    CHECK(lab.to_client == first + second);
    CHECK(lab.talk.units_in_flight() == 0);
}

TEST_CASE("failover: what must not run again") {
    struct Row {
        std::string request;
        bool may_have_committed;
    };
    for (const auto& each : std::vector<Row>{
             {query("INSERT INTO t VALUES (1)"), true},
             {query("SELECT nextval('s')"), true},
             {query("COMMIT"), true},
             {batch("UPDATE t SET a = 1"), true},
             {query("SELECT 1; DELETE FROM t"), true},
         }) {
        CAPTURE(each.request);
        Lab lab;
        lab.send(each.request);
        CHECK_FALSE(lab.talk.rerunnable());
        CHECK(lab.talk.may_have_committed() == each.may_have_committed);
    }
    Lab lab;
    lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
    lab.send(query("INSERT INTO t VALUES (1)"));
    CHECK_FALSE(lab.talk.rerunnable());
    CHECK_FALSE(lab.talk.may_have_committed());  // it needs a COMMIT that was not sent
    lab.send(query("COMMIT"));
    CHECK(lab.talk.may_have_committed());
}

TEST_CASE("failover: a BEGIN on the wire with its COMMIT may have come true") {
    Lab lab;
    lab.send(query("BEGIN") + query("INSERT INTO t VALUES (1)"));
    CHECK_FALSE(lab.talk.may_have_committed());
    lab.send(query("COMMIT"));
    CHECK(lab.talk.may_have_committed());
}

TEST_CASE("failover: a result that breaks off ends with an error, and the session goes on") {
    Lab lab;
    lab.send(query("SELECT 1 FROM t"));
    lab.receive(row_description() + row());
    CHECK(lab.talk.rows_delivered());
    CHECK_FALSE(lab.talk.rerunnable());
    lab.talk.slot_lost(Slot::a);
    CHECK(fail(lab, Failure::result_broken_off) == "E 40001|Z I");
    CHECK(lab.talk.units_in_flight() == 0);
    CHECK(lab.talk.transaction() == Transaction::idle);
    lab.talk.slot_opened(Slot::a, false);
    lab.forget();
    lab.send(query("SELECT 1"));
    CHECK(lab.to_server == query("SELECT 1"));
}

TEST_CASE("failover: each failure has its code") {
    struct Row {
        Failure failure;
        const char* told;
    };
    for (const auto& each : std::vector<Row>{{Failure::outcome_unknown, "E 08007|Z I"},
                                             {Failure::result_broken_off, "E 40001|Z I"},
                                             {Failure::state_lost, "E 55000|Z I"},
                                             {Failure::no_primary, "E 25006|Z I"},
                                             {Failure::no_server, "E 57P03|Z I"},
                                             {Failure::server_refused, "E 57P03|Z I"},
                                             {Failure::sync_failed, "E 55000|Z I"},
                                             {Failure::cancelled, "E 57014|Z I"},
                                             {Failure::transaction_lost, "E 40001|Z E"}}) {
        CAPTURE(each.told);
        Lab lab;
        lab.send(query("INSERT INTO t VALUES (1)"));
        lab.talk.slot_lost(Slot::a);
        CHECK(fail(lab, each.failure) == each.told);
        CHECK(lab.talk.units_in_flight() == 0);
        CHECK(lab.talk.requests_in_flight() == 0);
    }
    Lab lab;
    lab.send(query("SELECT 1"));
    CHECK(fail(lab, Failure::server_refused, "28000") == "E 28000|Z I");  // the server's own
}

TEST_CASE("failover: an error says what, why and what to do") {
    Lab lab;
    lab.send(query("SELECT 1"));
    ByteBuffer out;
    lab.talk.fail_unit({Failure::no_server, "message", "detail", "hint", {}}, out);
    const auto fields = parse_error_fields(Bytes(out).subspan(5, load_u32(out.data() + 1) - 4));
    REQUIRE(fields.ok());
    CHECK(fields->severity == "ERROR");
    CHECK(fields->message == "message");
    CHECK(fields->detail == "detail");
    CHECK(fields->hint == "hint");
}

TEST_CASE("failover: a client that was told of an error is not told of another one") {
    Lab lab;
    lab.send(batch("oops"));
    lab.receive(error("42601"));
    lab.talk.slot_lost(Slot::a);
    CHECK(fail(lab, Failure::outcome_unknown) == "Z I");
}

TEST_CASE("failover: in a transaction, the statement fails and the transaction with it") {
    for (const bool extended : {false, true}) {
        for (const char* end : {"ROLLBACK", "COMMIT"}) {
            CAPTURE(extended);
            CAPTURE(end);
            const auto ask = [&](std::string_view sql) { return extended ? batch(sql) : query(sql); };
            Lab lab;
            lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
            lab.send(ask("INSERT INTO t VALUES (1)"));
            lab.talk.slot_lost(Slot::a);
            CHECK(fail(lab, Failure::transaction_lost) == "E 40001|Z E");
            CHECK(lab.talk.transaction() == Transaction::failed);
            CHECK(say(lab, ask("SELECT 1")) == "E 25P02|Z E");
            CHECK(say(lab, ask("BEGIN")) == "E 25P02|Z E");
            // A COMMIT is told, too, that nothing was committed.
            CHECK(say(lab, ask(end)) == (extended ? "1|2|C ROLLBACK|Z I" : "C ROLLBACK|Z I"));
            CHECK(lab.talk.transaction() == Transaction::idle);
            lab.talk.slot_opened(Slot::a, false);
            lab.send(ask("SELECT 2"));
            CHECK(lab.to_server == ask("SELECT 2"));
        }
    }
}

TEST_CASE("failover: of a transaction lost between two statements the client hears at the next one") {
    for (const bool extended : {false, true}) {
        CAPTURE(extended);
        const auto ask = [&](std::string_view sql) { return extended ? batch(sql) : query(sql); };
        const std::string rolled_back = extended ? "1|2|C ROLLBACK|Z I" : "C ROLLBACK|Z I";
        Lab lab;
        lose(lab);
        CHECK(lab.talk.transaction() == Transaction::failed);
        CHECK(say(lab, ask("SELECT 1")) == "E 40001|Z E");
        CHECK(say(lab, ask("SELECT 1")) == "E 25P02|Z E");
        CHECK(say(lab, ask("ROLLBACK")) == rolled_back);
        CHECK(lab.talk.transaction() == Transaction::idle);

        // A COMMIT must not look as if it had come true.
        Lab commits;
        lose(commits);
        CHECK(say(commits, ask("COMMIT")) == (extended ? "1|2|E 40001|Z I" : "E 40001|Z I"));
        CHECK(commits.talk.transaction() == Transaction::idle);

        // A ROLLBACK is what the client wants.
        Lab rolls_back;
        lose(rolls_back);
        CHECK(say(rolls_back, ask("ROLLBACK")) == rolled_back);
        CHECK(rolls_back.talk.transaction() == Transaction::idle);
    }
}

TEST_CASE("failover: a lost transaction answers everything by itself") {
    Lab lab;
    lose(lab);
    CHECK(say(lab, sync_message()) == "Z T");  // the client does not know yet
    CHECK(say(lab, query("")) == "I|Z T");
    CHECK(say(lab, message('F', std::string(8, '\0'))) == "E 40001|Z E");
    CHECK(say(lab, message('d', "stray") + message('c') + message('H')).empty());
    CHECK(say(lab, close_statement("x") + close_statement("y") + sync_message()) == "3|3|Z E");
    CHECK(say(lab, parse("r", "ROLLBACK") + describe_statement("r") + bind("p", "r") + describe_portal("p") +
                       sync_message()) == "1|t|n|2|n|Z E");
    CHECK(say(lab, bind("p", "r") + execute("p") + sync_message()) == "2|C ROLLBACK|Z I");
    CHECK(lab.talk.transaction() == Transaction::idle);
}

TEST_CASE("failover: behind an error in a lost transaction the rest of the batch is skipped") {
    Lab lab;
    lose(lab);
    CHECK(say(lab, parse("", "SELECT 1")) == "E 40001");
    CHECK(say(lab, bind("", "") + execute("") + query("SELECT 2")).empty());
    CHECK(say(lab, sync_message()) == "Z E");
    CHECK(say(lab, query("ROLLBACK")) == "C ROLLBACK|Z I");
}

TEST_CASE("failover: a ROLLBACK with more behind it is the server's") {
    Lab lab;
    lose(lab);
    lab.talk.slot_opened(Slot::a, false);
    lab.forget();
    lab.send(query("ROLLBACK; SELECT 1"));
    CHECK(lab.to_server == query("ROLLBACK; SELECT 1"));
    CHECK(lab.talk.units_in_flight() == 1);
}

TEST_CASE("failover: a ROLLBACK in flight has come true") {
    Lab lab;
    lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
    ByteBuffer out;
    SUBCASE("a simple one") {
        lab.send(query("ROLLBACK"));
        lab.talk.slot_lost(Slot::a);
        REQUIRE(lab.talk.answer_rollback(out));
        CHECK(told(as_text(out)) == "C ROLLBACK|Z I");
    }
    SUBCASE("by the extended protocol, answered in part") {
        lab.send(parse("", "ROLLBACK") + describe_statement("") + bind("", "") + execute("") +
                 sync_message());
        lab.receive(message('1'));
        lab.talk.slot_lost(Slot::a);
        REQUIRE(lab.talk.answer_rollback(out));
        CHECK(told(lab.to_client + std::string(as_text(out))) == "1|t|n|2|C ROLLBACK|Z I");
    }
    CHECK(lab.talk.units_in_flight() == 0);
    CHECK(lab.talk.transaction() == Transaction::idle);
}

TEST_CASE("failover: anything but a ROLLBACK is not answered as one") {
    for (const std::string& request :
         {query("COMMIT"), query("ROLLBACK; INSERT INTO t VALUES (1)"), query("ROLLBACK AND CHAIN"),
          query("ROLLBACK TO x"), batch("INSERT INTO t VALUES (1)"), query("ROLLBACK") + query("SELECT 1"),
          parse("", "ROLLBACK") + bind("", "") + execute("") + message('H')}) {
        CAPTURE(request);
        Lab lab;
        lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
        lab.send(request);
        ByteBuffer out;
        CHECK_FALSE(lab.talk.answer_rollback(out));
        CHECK(out.empty());
    }
}

TEST_CASE("failover: a batch whose Sync has not come is answered when it comes") {
    Lab lab;
    lab.send(parse("s", "DELETE FROM t") + bind("", "s") + execute("") + message('H'));
    lab.talk.slot_lost(Slot::a);
    CHECK(fail(lab, Failure::outcome_unknown) == "E 08007");
    CHECK_FALSE(lab.talk.unit_open());
    CHECK(say(lab, bind("", "s") + execute("")).empty());
    CHECK(say(lab, message('B', std::string(100'000, 'x')).substr(0, 1'000)).empty());
    CHECK(say(lab, message('B', std::string(100'000, 'x')).substr(1'000)).empty());
    CHECK(say(lab, sync_message()) == "Z I");
    lab.talk.slot_opened(Slot::a, false);
    // The statement of the lost batch was never heard of again.
    lab.send(bind("", "s") + execute("") + sync_message());
    CHECK(lab.prefixes.empty());
}

TEST_CASE("failover: of several units in flight each is failed in turn") {
    Lab lab;
    lab.send(query("INSERT INTO t VALUES (1)") + batch("INSERT INTO t VALUES (2)") + query("SELECT 1"));
    lab.talk.slot_lost(Slot::a);
    CHECK(fail(lab, Failure::outcome_unknown) == "E 08007|Z I");
    CHECK(lab.talk.units_in_flight() == 2);
    CHECK(fail(lab, Failure::outcome_unknown) == "E 08007|Z I");
    CHECK(fail(lab, Failure::result_broken_off) == "E 40001|Z I");
    CHECK(lab.talk.units_in_flight() == 0);
    CHECK(lab.talk.requests_in_flight() == 0);
}

TEST_CASE("failover: a unit is refused before it is sent") {
    const auto refuse = [](Lab& lab, const std::string& bytes) {
        ByteBuffer out;
        lab.talk.cut(as_bytes(bytes), false, out);
        const size_t size =
            lab.talk.refuse_unit(as_bytes(bytes), {Failure::no_primary, "no", {}, {}, {}}, out);
        CHECK(size == bytes.size());
        return told(as_text(out));
    };
    Lab lab;
    CHECK(refuse(lab, query("INSERT INTO t VALUES (1)")) == "E 25006|Z I");
    CHECK(refuse(lab, batch("INSERT INTO t VALUES (1)")) == "E 25006|Z I");
    CHECK(refuse(lab, parse("", "INSERT INTO t VALUES (1)") + message('H')) == "E 25006");
    CHECK(say(lab, bind("", "") + execute("") + sync_message()) == "Z I");
    lab.forget();
    lab.send(query("SELECT 1"));
    CHECK(lab.to_server == query("SELECT 1"));
}

TEST_CASE("failover: copying in ends with an error; data that were on their way are dropped") {
    Lab lab;
    lab.send(query("COPY t FROM STDIN"));
    lab.receive(message('G', std::string(3, '\0')));
    lab.send(message('d', std::string(1'000, 'x')).substr(0, 500));
    lab.talk.slot_lost(Slot::a);
    CHECK_FALSE(lab.talk.rerunnable());
    CHECK(fail(lab, Failure::outcome_unknown) == "E 08007|Z I");
    CHECK(say(lab, message('d', std::string(1'000, 'x')).substr(500) + message('d', "more") + message('c'))
              .empty());
    CHECK(lab.unsent() == 0);
    lab.talk.slot_opened(Slot::a, false);
    lab.send(query("SELECT 1"));
    CHECK(lab.to_server == query("SELECT 1"));
}

TEST_CASE("failover: settings of a lost transaction are gone, those before it stay") {
    Lab lab;
    lab.run(query("SET a.b = 1"), complete("SET") + ready());
    lab.run(query("BEGIN"), complete("BEGIN") + ready('T'));
    lab.run(query("SET a.c = 1"), complete("SET") + ready('T'));
    lab.talk.slot_lost(Slot::a);
    lab.talk.lose_transaction(lost);
    CHECK(say(lab, query("ROLLBACK")) == "C ROLLBACK|Z I");
    lab.talk.slot_opened(Slot::a, false);
    CHECK(lab.state_for(Slot::a) == "SET a.b = 1");
}

TEST_CASE("failover: the new primary is given the session's state before anything runs again there") {
    Lab lab;
    lab.run(query("SET a.b = 1"), complete("SET") + ready(), Slot::b);
    lab.send(query("SELECT 1 FROM t"), Slot::b);
    const std::string request = lab.unit_bytes;
    lab.talk.slot_lost(Slot::b);
    ByteBuffer state;
    REQUIRE(lab.talk.synchronise_for_rerun(Slot::a, state));
    CHECK(as_text(state) == query("SET a.b = 1"));
    CHECK(lab.receive(complete("SET") + ready(), Slot::a) == dialect::ScanEvent::sync_done);
    ByteBuffer prefix;
    lab.talk.rerun_unit(Slot::a, as_bytes(request), prefix);
    const std::string answer = row_description() + row() + complete("SELECT 1") + ready();
    lab.forget();
    lab.receive(answer, Slot::a);
    CHECK(lab.to_client == answer);
}
