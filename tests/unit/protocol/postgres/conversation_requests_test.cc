#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conversation_lab.h"
#include "protocol/base/limits.h"

using namespace holdfast;
using namespace holdfast::postgres;
using namespace holdfast::postgres::test;
using dialect::CutKind;
using dialect::Slot;
using sql::Destination;

namespace {

const std::string answer_1 = row_description() + row() + complete("SELECT 1") + ready();
/// Of a Parse, Bind, Execute, Sync.
const std::string batch_answer = message('1') + message('2') + row() + complete("SELECT 1") + ready();
/// Of a Bind, Execute, Sync.
const std::string bound_answer = message('2') + row() + complete("SELECT 1") + ready();

std::string use(std::string_view name) {
    return test::bind("", name) + execute("") + sync_message();
}

std::string long_text(size_t bytes) {
    return "SELECT '" + std::string(bytes, 'x') + "'";
}

}  // namespace

TEST_CASE("conversation: a client's stream goes out as it came, wherever it is cut") {
    const std::string stream = query("SELECT 1") + parse("s", "SELECT $1") + describe_statement("s") +
                               bind("p", "s") + describe_portal("p") + execute("p") + close_statement("s") +
                               sync_message() + query("INSERT INTO t VALUES (1)") + parse("", "SELECT 2") +
                               message('H') + bind("", "") + execute("") + sync_message() +
                               message('F', "call");
    for (size_t at = 0; at <= stream.size(); ++at) {
        CAPTURE(at);
        Lab lab;
        lab.send(stream.substr(0, at));
        lab.send(stream.substr(at));
        REQUIRE(lab.within_bounds);
        REQUIRE(lab.to_server == stream);
        REQUIRE(lab.to_client.empty());
        REQUIRE(lab.talk.units_in_flight() == 5);
        REQUIRE_FALSE(lab.talk.unit_open());
    }
    Lab lab;
    for (const char each : stream) lab.send(std::string(1, each));
    CHECK(lab.to_server == stream);
    CHECK(lab.talk.units_in_flight() == 5);
}

TEST_CASE("conversation: pipelined units are answered one by one") {
    Lab lab;
    lab.send(query("SELECT 1") + batch("SELECT 2") + query("SELECT 3"));
    CHECK(lab.talk.units_in_flight() == 3);
    CHECK(lab.talk.requests_in_flight() == 6);
    lab.receive(answer_1);
    CHECK(lab.talk.units_in_flight() == 2);
    CHECK_FALSE(lab.talk.rows_delivered());
    lab.receive(message('1') + message('2'));
    CHECK(lab.talk.requests_in_flight() == 3);
    CHECK(lab.talk.rerunnable());  // only heads were delivered
    lab.receive(row());
    CHECK(lab.talk.rows_delivered());
    CHECK_FALSE(lab.talk.rerunnable());
    lab.receive(complete("SELECT 1") + ready() + answer_1);
    CHECK(lab.talk.units_in_flight() == 0);
    CHECK(lab.talk.requests_in_flight() == 0);
    CHECK(lab.to_client == answer_1 + batch_answer + answer_1);
}

TEST_CASE("conversation: what a unit asks of routing") {
    struct Row {
        std::string request;
        Destination destination;
        bool rerunnable;
        bool may_write;
        bool commits;
    };
    const auto primary = Destination::primary;
    const auto replica = Destination::replica;
    const auto either = Destination::transaction;
    for (const auto& row : std::vector<Row>{
             {query("SELECT 1 FROM t"), replica, true, false, false},
             {query("INSERT INTO t VALUES (1)"), primary, false, true, false},
             {query("SELECT 1 FROM t; INSERT INTO t VALUES (1)"), primary, false, true, false},
             {query("SELECT * FROM t FOR UPDATE"), primary, false, true, false},
             {query("BEGIN"), primary, true, false, false},
             {query("COMMIT"), either, false, true, true},
             {query("ROLLBACK"), either, false, true, false},
             {query("BEGIN; INSERT INTO t VALUES (1); COMMIT"), primary, false, true, true},
             {query("COMMIT PREPARED 'x'"), primary, false, true, true},
             {query("EXECUTE unknown"), primary, false, true, false},
             {batch("SELECT 1 FROM t"), replica, true, false, false},
             {batch("UPDATE t SET a = 1"), primary, false, true, false},
             {batch("COMMIT"), either, false, true, true},
             // What nobody knows may do anything.
             {bind("", "unknown") + execute("") + sync_message(), primary, false, true, true},
             {execute("cursor of SQL") + sync_message(), primary, false, true, true},
             {query("FROBNICATE t"), primary, false, true, true},
             {query("INSERT INTO t VALUES ('" + std::string(300'000, 'x') + "')"), primary, false, true,
              true},
             {batch("INSERT INTO t VALUES ('" + std::string(300'000, 'x') + "')"), primary, false, true,
              false},
             {parse("r", "SELECT 1 FROM t") + parse("w", "DELETE FROM t") + sync_message(), primary, false,
              true, false},
             // A batch whose end is not there may go on with anything.
             {parse("", "SELECT 1 FROM t") + bind("", "") + execute("") + message('H'), primary, true, false,
              false},
             {parse("", "SELECT 1 FROM t") + describe_statement("") + message('H'), replica, true, false,
              false},
             {message('F', std::string(8, '\0')), primary, false, true, false},
         }) {
        CAPTURE(row.request);
        Lab lab;
        lab.send(row.request);
        REQUIRE(lab.to_server == row.request);
        CHECK(lab.facts.destination == row.destination);
        CHECK(lab.facts.rerunnable == row.rerunnable);
        CHECK(lab.facts.may_write == row.may_write);
        CHECK(lab.facts.commits == row.commits);
    }
}

TEST_CASE("conversation: the text that rules see is that of the statement that decided") {
    Lab lab;
    lab.send(parse("r", "SELECT 1 FROM t") + parse("w", "DELETE FROM t") + sync_message());
    CHECK(lab.facts_text == "DELETE FROM t");
    Lab other;
    other.send(query("SELECT 2"));
    CHECK(other.facts_text == "SELECT 2");
}

TEST_CASE("conversation: a read-only transaction can go to a replica") {
    for (const bool extended : {false, true}) {
        Lab lab;
        const std::string sql = "BEGIN READ ONLY";
        lab.send(extended ? batch(sql) : query(sql));
        CHECK(lab.facts.destination == sql::Destination::replica);
        CHECK(lab.facts.rerunnable);
    }
}

TEST_CASE("conversation: statements too long to be read go to the primary, once") {
    const std::string text = long_text(limits::statement_classified_bytes_max + 10);
    for (const bool extended : {false, true}) {
        CAPTURE(extended);
        Lab lab;
        const std::string stream = extended ? batch(text) : query(text);
        // The head is accepted as soon as enough is there; the rest streams.
        lab.send(stream.substr(0, limits::statement_classified_bytes_max + 20), Slot::a);
        CHECK(lab.facts.too_long);
        CHECK(lab.facts.destination == Destination::primary);
        CHECK_FALSE(lab.facts.rerunnable);
        CHECK(lab.facts.may_write);
        lab.send(stream.substr(limits::statement_classified_bytes_max + 20));
        CHECK(lab.to_server == stream);
        lab.receive(extended ? batch_answer : answer_1);
        CHECK(lab.talk.units_in_flight() == 0);
    }
}

TEST_CASE("conversation: a long Bind streams behind its names") {
    Lab lab;
    lab.run(parse("s", "SELECT $1") + sync_message(), message('1') + ready());
    const std::string long_bind =
        message('B', texts("", "s") + std::string(2 * limits::batch_collected_bytes_max, 'v'));
    const std::string stream = long_bind + execute("") + sync_message();
    lab.send(stream.substr(0, 100));
    CHECK(lab.to_server.empty());
    lab.send(stream.substr(100, 10'000));
    CHECK(lab.to_server == stream.substr(0, 10'100));
    CHECK_FALSE(lab.facts.rerunnable);  // its bytes are not kept
    CHECK(lab.talk.unit_open());
    lab.send(stream.substr(10'100));
    CHECK(lab.to_server == stream);
    lab.receive(bound_answer);
    CHECK(lab.to_client == bound_answer);
    CHECK(lab.talk.units_in_flight() == 0);
}

TEST_CASE("conversation: part of a batch waits a moment for the rest") {
    Lab lab;
    const std::string part = parse("", "SELECT 1") + bind("", "");
    CHECK(lab.send(part) == CutKind::patience);
    CHECK(lab.to_server.empty());
    CHECK(lab.send("", Slot::a, true) != CutKind::patience);
    CHECK(lab.to_server == part);
    CHECK(lab.talk.unit_open());
    lab.send(execute("") + sync_message());
    CHECK_FALSE(lab.talk.unit_open());
    CHECK(lab.to_server == batch("SELECT 1"));
    lab.receive(batch_answer);
    CHECK(lab.to_client == batch_answer);
}

TEST_CASE("conversation: a write behind a read in an open batch wants the primary") {
    Lab lab;
    lab.send(parse("", "SELECT 1 FROM t") + describe_statement("") + message('H'), Slot::b);
    REQUIRE(lab.talk.unit_open());
    const std::string rest = parse("", "DELETE FROM t") + bind("", "") + execute("") + sync_message();
    ByteBuffer out;
    const dialect::Cut cut = lab.talk.cut(as_bytes(rest), false, out);
    CHECK(cut.kind == CutKind::go_on);
    CHECK(cut.escalates);
    CHECK(cut.size == rest.size());
}

TEST_CASE("conversation: a Sync alone needs no server") {
    Lab lab;
    lab.send(sync_message());
    CHECK(lab.to_client == ready('I'));
    CHECK(lab.to_server.empty());
    lab.forget();
    // Behind another unit its answer has to wait for that one's.
    lab.send(query("SELECT 1") + sync_message());
    CHECK(lab.to_client.empty());
    lab.receive(answer_1 + ready());
    CHECK(lab.to_client == answer_1 + ready());
}

TEST_CASE("conversation: an end, and what is no message") {
    const auto kind_of = [](std::string_view bytes) {
        Lab lab;
        return lab.send(bytes);
    };
    CHECK(kind_of(message('X')) == CutKind::terminate);
    CHECK(kind_of("Q") == CutKind::more);
    CHECK(kind_of(std::string("Q\0\0\0", 4)) == CutKind::more);
    CHECK(kind_of(message('p', "password")) == CutKind::malformed);
    CHECK(kind_of("GET / HTTP/1.0\r\n") == CutKind::malformed);
    CHECK(kind_of(std::string("Q\0\0\0\x03", 5)) == CutKind::malformed);
    CHECK(kind_of(std::string("Q\x40\0\0\0", 5)) == CutKind::malformed);
    CHECK(kind_of("Q\xff\xff\xff\xff") == CutKind::malformed);
    CHECK(kind_of(message('S', "body")) == CutKind::malformed);
    CHECK(kind_of(message('H', "body")) == CutKind::malformed);
    CHECK(kind_of(message('P', "name without an end")) == CutKind::malformed);
    CHECK(kind_of(message('P', texts("name") + "text without an end")) == CutKind::malformed);
    CHECK(kind_of(message('B', texts("portal"))) == CutKind::malformed);
    CHECK(kind_of(message('E', "portal")) == CutKind::malformed);
    CHECK(kind_of(message('D', texts("X"))) == CutKind::malformed);
    CHECK(kind_of(message('C', "Sname")) == CutKind::malformed);
    CHECK(kind_of(message('C', "")) == CutKind::malformed);
    CHECK(kind_of("E" + std::string("\0\1\0\5", 4)) == CutKind::malformed);  // longer than any portal's name

    Lab lab;
    CHECK(lab.send(query("SELECT 1") + "nonsense") == CutKind::malformed);
    CHECK(lab.to_server == query("SELECT 1"));  // what came before is served
    CHECK(lab.talk.error().find("110") != std::string::npos);
}

TEST_CASE("conversation: a statement prepared on one server is there on the other when it is used") {
    Lab lab;
    lab.run(parse("s", "SELECT 1 FROM t") + sync_message(), message('1') + ready());
    lab.send(use("s"), Slot::b);
    CHECK(lab.facts.destination == Destination::replica);
    CHECK(lab.prefixes == parse("s", "SELECT 1 FROM t"));
    CHECK(lab.to_server == lab.prefixes + use("s"));
    lab.receive(batch_answer, Slot::b);
    CHECK(lab.to_client == bound_answer);  // the client asked for no Parse
    lab.forget();

    SUBCASE("and stays there") {
        for (const Slot slot : {Slot::a, Slot::b}) {
            lab.send(use("s"), slot);
            CHECK(lab.prefixes.empty());
            lab.receive(bound_answer, slot);
        }
    }
    SUBCASE("until its connection is another one") {
        lab.talk.slot_lost(Slot::b);
        lab.talk.slot_opened(Slot::b, true);
        lab.send(use("s"), Slot::b);
        CHECK(lab.prefixes == parse("s", "SELECT 1 FROM t"));
    }
    SUBCASE("and closed on one it is closed on the other before it is missed") {
        lab.run(close_statement("s") + sync_message(), message('3') + ready());
        lab.send(use("s"), Slot::b);
        CHECK(lab.prefixes == close_statement("s"));
        lab.receive(message('3') + error("26000") + ready(), Slot::b);
        CHECK(told(lab.to_client) == "E 26000|Z I");
    }
    SUBCASE("and with another text it replaces the old one") {
        lab.run(close_statement("s") + parse("s", "SELECT 2 FROM t") + sync_message(),
                message('3') + message('1') + ready());
        lab.send(use("s"), Slot::b);
        CHECK(lab.prefixes == close_statement("s") + parse("s", "SELECT 2 FROM t"));
        lab.receive(message('3') + message('1') + bound_answer, Slot::b);
        CHECK(lab.to_client == bound_answer);
    }
    SUBCASE("and described there") {
        lab.talk.slot_lost(Slot::b);
        lab.talk.slot_opened(Slot::b, true);
        lab.send(describe_statement("s") + sync_message(), Slot::b);
        CHECK(lab.prefixes == parse("s", "SELECT 1 FROM t"));
        lab.receive(message('1') + message('t') + row_description() + ready(), Slot::b);
        CHECK(told(lab.to_client) == "t|T|Z I");
    }
    SUBCASE("and executed by SQL there") {
        lab.talk.slot_lost(Slot::b);
        lab.talk.slot_opened(Slot::b, true);
        lab.send(query("EXECUTE s"), Slot::b);
        CHECK(lab.facts.destination == Destination::replica);
        CHECK(lab.prefixes == parse("s", "SELECT 1 FROM t") + sync_message());
        lab.receive(message('1') + ready() + answer_1, Slot::b);
        CHECK(lab.to_client == answer_1);
    }
    SUBCASE("and a second Parse of its name fails wherever it runs") {
        lab.talk.slot_lost(Slot::b);
        lab.talk.slot_opened(Slot::b, true);
        lab.send(parse("s", "SELECT 3") + sync_message(), Slot::b);
        CHECK(lab.prefixes == parse("s", "SELECT 1 FROM t"));
        lab.receive(message('1') + error("42P05") + ready(), Slot::b);
        CHECK(told(lab.to_client) == "E 42P05|Z I");
        lab.forget();
        lab.send(use("s"), Slot::b);  // it still is what it was
        CHECK(lab.prefixes.empty());
    }
}

TEST_CASE("conversation: a Parse that fails prepares nothing") {
    Lab lab;
    lab.run(parse("s", "SELEKT") + sync_message(), error("42601") + ready());
    lab.send(use("s"), Slot::b);
    CHECK(lab.prefixes.empty());
    CHECK(lab.facts.destination == Destination::primary);  // nobody knows what it would do
}

TEST_CASE("conversation: the unnamed statement is there on the other server too") {
    Lab lab;
    lab.run(parse("", "SELECT 1 FROM t") + sync_message(), message('1') + ready());
    lab.send(use(""), Slot::b);
    CHECK(lab.prefixes == parse("", "SELECT 1 FROM t"));
    lab.receive(batch_answer, Slot::b);
    lab.forget();
    // A simple query destroys it.
    lab.run(query("SELECT 1"), answer_1);
    lab.send(use(""), Slot::b);
    CHECK(lab.prefixes == close_statement(""));
    lab.receive(message('3') + error("26000") + ready(), Slot::b);
    CHECK(told(lab.to_client) == "E 26000|Z I");
}

TEST_CASE("conversation: DEALLOCATE and DISCARD ALL forget statements of the protocol") {
    for (const char* sql : {"DEALLOCATE s", "DEALLOCATE ALL", "DISCARD ALL"}) {
        CAPTURE(sql);
        Lab lab;
        lab.run(parse("s", "SELECT 1 FROM t") + sync_message(), message('1') + ready());
        lab.run(query(sql), complete("DEALLOCATE") + ready());
        lab.send(use("s"), Slot::a);
        CHECK(lab.prefixes.empty());
    }
}

TEST_CASE("conversation: DISCARD ALL forgets nothing of what was sent behind it") {
    Lab lab;
    lab.run(parse("gone", "SELECT 1 FROM t") + sync_message(), message('1') + ready());
    const std::string made = parse("s", "DELETE FROM t") + parse("", "SELECT 1 FROM t") + sync_message();
    lab.send(query("DISCARD ALL") + made);
    lab.receive(complete("DISCARD ALL") + ready());
    SUBCASE("when it is answered") {
        lab.receive(message('1') + message('1') + ready());
        lab.forget();
        lab.talk.slot_lost(Slot::a);
        lab.talk.slot_opened(Slot::a, false);
        lab.send(use("s"));
        CHECK(lab.prefixes == parse("s", "DELETE FROM t"));
        CHECK(lab.facts.may_write);
        lab.receive(message('1') + message('2') + complete("DELETE 0") + ready());
        lab.forget();
        lab.send(use(""));
        CHECK(lab.prefixes == parse("", "SELECT 1 FROM t"));
    }
    SUBCASE("unless it fails") {
        lab.receive(error("42P01") + ready());
        lab.forget();
        lab.send(use("s"));
        CHECK(lab.prefixes.empty());
        CHECK(lab.to_server == use("s"));
    }
    SUBCASE("nor what a query behind it destroys") {
        lab.send(query("SELECT 1"));
        lab.receive(message('1') + message('1') + ready() + answer_1);
        lab.forget();
        lab.talk.slot_lost(Slot::a);
        lab.talk.slot_opened(Slot::a, false);
        lab.send(use(""));
        CHECK(lab.prefixes.empty());
    }
}

TEST_CASE("conversation: copy data goes where the copying is") {
    Lab lab;
    const std::string data = message('d', "1\n") + message('d', "2\n");
    const std::string done = message('c');
    SUBCASE("sent when the server asks for them") {
        lab.send(query("COPY t FROM STDIN"));
        lab.receive(message('G', std::string(3, '\0')));
        CHECK(lab.send(data) == CutKind::stream);
        lab.send(message('H') + sync_message() + done);  // the server ignores a Flush and a Sync now
        lab.receive(complete("COPY 2") + ready());
    }
    SUBCASE("sent before the server asks for them") {
        lab.send(query("COPY t FROM STDIN") + data + done);
        lab.receive(message('G', std::string(3, '\0')) + complete("COPY 2") + ready());
    }
    SUBCASE("given up") {
        lab.send(query("COPY t FROM STDIN"));
        lab.receive(message('G', std::string(3, '\0')));
        lab.send(data + message('f', texts("never mind")));
        lab.receive(error("57014") + ready());
    }
    SUBCASE("refused before they were sent: they are dropped") {
        lab.send(query("COPY t FROM STDIN"));
        lab.receive(error("42501") + ready());
        lab.forget();
        lab.send(data + done);
        CHECK(lab.to_server.empty());
    }
    SUBCASE("by the extended protocol, with the Sync in front of the data") {
        lab.send(batch("COPY t FROM STDIN") + data + done + sync_message());
        lab.receive(message('1') + message('2') + message('G', std::string(3, '\0')) + complete("COPY 2") +
                    ready());
    }
    CHECK(lab.unsent() == 0);
    CHECK(lab.talk.units_in_flight() == 0);
    lab.forget();
    lab.send(query("SELECT 1"));
    lab.receive(answer_1);
    CHECK(lab.to_client == answer_1);
}

TEST_CASE("conversation: long copy data stream") {
    Lab lab;
    lab.send(query("COPY t FROM STDIN"));
    lab.receive(message('G', std::string(3, '\0')));
    lab.forget();
    const std::string data = message('d', std::string(1'000'000, 'x'));
    CHECK(lab.send(data.substr(0, 10)) == CutKind::stream);
    CHECK(lab.to_server.size() == 10);
    lab.send(data.substr(10) + message('c'));
    CHECK(lab.to_server == data + message('c'));
}

TEST_CASE("conversation: replication is the primary's alone and never runs again") {
    dialect::Identity identity;
    identity.replication = true;
    Lab lab(identity);
    lab.send(query("IDENTIFY_SYSTEM"));
    CHECK(lab.facts.destination == Destination::primary);
    CHECK_FALSE(lab.facts.rerunnable);
    CHECK(lab.talk.pins().replication);
    ByteBuffer out;
    CHECK_FALSE(lab.talk.append_reset(Slot::a, out));
}
