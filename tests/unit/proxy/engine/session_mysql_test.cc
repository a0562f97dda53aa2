// Sessions of MySQL clients whose servers come and go.
#include <doctest/doctest.h>

#include "protocol/mysql/compression.h"
#include "tests/unit/protocol/mysql/conversation_lab.h"
#include "tests/unit/proxy/engine/mysql_session_lab.h"

using namespace holdfast;
using namespace holdfast::engine::test;
namespace command = mysql::command;

namespace {

constexpr uint16_t in_transaction = mysql::status::autocommit | mysql::status::in_transaction;

std::string prepared(uint8_t id) {
    ByteBuffer out;
    mysql::PacketWriter(out, 1).u8(0).u32(id).u16(0).u16(0).u8(0).u16(0).finish();
    return std::string(as_text(out));
}
std::string with_id(uint8_t code, uint32_t id, std::string_view more = {}) {
    std::string body(4, '\0');
    mysql::store_le32(reinterpret_cast<std::byte*>(body.data()), id);
    return SessionLab::command(code, body + std::string(more));
}
std::string execute(uint32_t id) {
    return with_id(command::stmt_execute, id, std::string_view("\0\1\0\0\0", 5));
}

}  // namespace

TEST_CASE("session: a MySQL client comes in, reads and writes") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    CHECK(client->take() == SessionLab::ok(2));
    lab.give(*client, SessionLab::query("INSERT INTO t VALUES (1)"));
    CHECK(one->take() == SessionLab::query("INSERT INTO t VALUES (1)"));
    lab.give(*one, SessionLab::ok());
    CHECK(client->take() == SessionLab::ok());
}

TEST_CASE("session: a result that is translated reaches the client in one write") {
    SessionLab lab;
    const auto client = lab.come(0, mysql::capability::deprecate_eof);
    const auto one = lab.serve(1);
    lab.give(*client, SessionLab::query("SELECT a FROM t FOR UPDATE"));
    one->take();
    client->take();
    const int before = client->writes;
    lab.give(*one, mysql::test::result({"1", "2"}));
    CHECK(client->take() == mysql::test::classic_result({"1", "2"}));
    CHECK(client->writes == before + 1);
}

TEST_CASE("session: of a pipeline of writes one is in doubt when their server is lost, and the rest wait") {
    SessionLab lab;
    const auto client = lab.come();
    const auto one = lab.serve(1);
    client->take();
    const std::string first = SessionLab::query("INSERT INTO t VALUES (1)");
    const std::string second = SessionLab::query("INSERT INTO t VALUES (2)");
    const std::string third = SessionLab::query("INSERT INTO t VALUES (3)");
    lab.give(*client, first + second + third);
    CHECK(one->take() == first);
    lab.give(*one, SessionLab::ok());
    CHECK(client->take() == SessionLab::ok());
    CHECK(one->take() == second);
    lab.lose(*one);
    CHECK(client->take().find("unknown") != std::string::npos);
    lab.set_primary(2);
    const auto two = lab.serve(2);
    CHECK(two->take() == third);
    lab.give(*two, SessionLab::ok());
    CHECK(client->take() == SessionLab::ok());
}

TEST_CASE("session: a primary that refused a write is not asked again before somebody has looked at it") {
    SessionLab lab;
    const auto client = lab.come();
    const auto one = lab.serve(1);
    client->take();
    const std::string insert = SessionLab::query("INSERT INTO t VALUES (1)");
    lab.give(*client, insert);
    CHECK(one->take() == insert);
    lab.world.pass(std::chrono::milliseconds(1));
    lab.give(*one, SessionLab::err(1290, "running with the --read-only option"));
    lab.show();
    CHECK(one->take().empty());
    CHECK(client->take().empty());
    lab.world.pass(std::chrono::milliseconds(1));
    lab.view.servers[0].position_sampled_at = lab.world.now();
    SUBCASE("and it takes writes again") {
        lab.show();
        CHECK(one->take() == insert);
        lab.give(*one, SessionLab::ok());
        CHECK(client->take() == SessionLab::ok());
    }
    SUBCASE("and another one has taken its place") {
        lab.set_primary(2);
        const auto two = lab.serve(2);
        CHECK(two->take() == insert);
        lab.give(*two, SessionLab::ok());
        CHECK(client->take() == SessionLab::ok());
    }
}

TEST_CASE("session: the statements of a transaction go out as they come") {
    SessionLab lab;
    const auto client = lab.come();
    const auto one = lab.serve(1);
    const std::string begin = SessionLab::query("BEGIN");
    const std::string insert = SessionLab::query("INSERT INTO t VALUES (1)");
    const std::string commit = SessionLab::query("COMMIT");
    lab.give(*client, begin + insert + insert + commit);
    CHECK(one->take() == begin + insert + insert + commit);
}

TEST_CASE("session: a statement prepared on the replica runs in a transaction on the primary") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::command(command::stmt_prepare, "SELECT a FROM t"));
    auto two = lab.serve(2);
    two->take();  // READ ONLY
    lab.give(*two, SessionLab::ok());
    CHECK(two->take() == SessionLab::command(command::stmt_prepare, "SELECT a FROM t"));
    lab.give(*two, prepared(1));
    lab.give(*client, SessionLab::query("BEGIN"));
    one->take();
    lab.give(*one, SessionLab::ok(1, in_transaction));
    client->take();
    lab.give(*client, execute(1));
    CHECK(one->take() == SessionLab::command(command::stmt_prepare, "SELECT a FROM t"));
    lab.give(*one, prepared(9));
    CHECK(one->take() == execute(9));
    CHECK(client->take().empty());
    lab.give(*one, SessionLab::ok(1, in_transaction));
    CHECK(client->take() == SessionLab::ok(1, in_transaction));
}

TEST_CASE("session: a piece of a parameter whose transaction was lost goes nowhere") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::command(command::stmt_prepare, "INSERT INTO t VALUES (1)"));
    lab.give(*one, prepared(1));
    lab.give(*client, SessionLab::query("BEGIN"));
    lab.give(*one, SessionLab::ok(1, in_transaction));
    lab.lose(*one);
    client->take();
    lab.give(*client, with_id(command::stmt_send_long_data, 1, std::string_view("\0\0data", 6)));
    CHECK(client->take().empty());
    lab.give(*client, execute(1));
    CHECK(client->take().find("the transaction was lost") != std::string::npos);
}

TEST_CASE("session: what was lost is told to the first who hears it") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::command(command::stmt_prepare, "INSERT INTO t VALUES (1)"));
    lab.give(*one, prepared(1));
    lab.give(*client, SessionLab::query("CREATE TEMPORARY TABLE u (a int)"));
    lab.give(*one, SessionLab::ok());
    lab.lose(*one);
    client->take();
    lab.give(*client, with_id(command::stmt_send_long_data, 1, std::string_view("\0\0data", 6)));
    auto again = lab.serve(1);
    lab.give(*again, prepared(5));
    CHECK(client->take().empty());
    lab.give(*client, SessionLab::query("INSERT INTO t SELECT * FROM u"));
    CHECK(client->take().find("temporary tables") != std::string::npos);
}

TEST_CASE("session: what needs the session's lost state is not run again without it") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::query("CREATE TEMPORARY TABLE u (a int)"));
    lab.give(*one, SessionLab::ok());
    client->take();
    SUBCASE("a read whose server is gone") {
        lab.give(*client, SessionLab::query("SELECT a FROM u"));
        one->take();
        lab.lose(*one);
        CHECK(client->take().find("broken off") != std::string::npos);
    }
    SUBCASE("a write that the old primary refused") {
        lab.give(*client, SessionLab::query("INSERT INTO t SELECT * FROM u"));
        one->take();
        lab.give(*one, SessionLab::err(1290, "running with the --read-only option"));
        CHECK(client->take().empty());
        lab.set_primary(2);
        CHECK(client->take().find("temporary tables") != std::string::npos);
    }
    CHECK_FALSE(lab.world.accept(first_port + 1));
}

TEST_CASE("session: a COM_CHANGE_USER in frames") {
    SessionLab lab;
    auto client = lab.come(mysql::capability::compress);
    lab.serve(1);
    client->take();
    mysql::FrameEncoder encoder(mysql::Compression::zlib);
    const auto framed = [&](std::string_view plain) {
        ByteBuffer out;
        encoder.encode(as_bytes(plain), out);
        return std::string(as_text(out));
    };
    // A salt of its own is asked for where a password is: this listener trusts everybody.
    lab.give(*client,
             framed(SessionLab::command(command::change_user,
                                        std::string("bob\0\0shop\0\x2d\0mysql_native_password\0", 34))));
    lab.serve(1);
    CHECK(client->is_open);
    const std::string answer = client->take();
    REQUIRE(answer.size() > 7);
    CHECK(answer.substr(7) == SessionLab::ok());
}

TEST_CASE("session: a COM_CHANGE_USER waits for a server as long as a login, and no longer") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.set_no_primary();
    lab.give(*client, SessionLab::query("INSERT INTO t VALUES (1)"));  // held once
    lab.set_primary(1);
    one->take();
    lab.give(*one, SessionLab::ok());
    client->take();
    lab.give(*client, SessionLab::command(command::change_user,
                                          std::string("bob\0\0shop\0\x2d\0mysql_native_password\0", 34)));
    // The server takes no connection, and says nothing either.
    lab.world.pass(std::chrono::minutes(10));
    CHECK_FALSE(client->is_open);
}

TEST_CASE("session: a setting that the primary refuses takes no other state with it unsaid") {
    SessionLab lab(config::Consistency::eventual);
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::query("DO GET_LOCK('a', 1)"));
    lab.give(*one, SessionLab::ok());
    // Set while the session is on the replica.
    lab.give(*client, SessionLab::query("START TRANSACTION READ ONLY"));
    auto two = lab.serve(2);
    lab.give(*two, SessionLab::ok());
    lab.give(*two, SessionLab::ok(1, in_transaction));
    lab.give(*client, SessionLab::query("SET SESSION a_plugins_variable = 1"));
    lab.give(*two, SessionLab::ok(1, in_transaction));
    lab.give(*client, SessionLab::query("COMMIT"));
    lab.give(*two, SessionLab::ok());
    client->take();
    one->take();
    lab.give(*client, SessionLab::query("INSERT INTO t VALUES (1)"));
    CHECK(one->take() == SessionLab::query("SET SESSION a_plugins_variable = 1"));
    lab.give(*one, SessionLab::err(1193, "Unknown system variable"));
    const std::string told = client->take();
    CHECK(told.find("a setting that the server") != std::string::npos);
    CHECK(told.find("advisory locks") != std::string::npos);
}

TEST_CASE("session: requests in one frame are taken one after the other, across frames too") {
    SessionLab lab;
    auto client = lab.come(mysql::capability::compress);
    auto one = lab.serve(1);
    client->take();
    const std::string insert = SessionLab::query("INSERT INTO t VALUES (1)");
    const std::string set = SessionLab::query("SET @a=1");
    const std::string plain = set + insert + set + insert;
    mysql::FrameEncoder encoder(mysql::Compression::zlib);
    ByteBuffer framed;
    encoder.encode(as_bytes(plain).first(set.size() + 10), framed);
    encoder.encode(as_bytes(plain).subspan(set.size() + 10), framed);
    lab.give(*client, as_text(framed));
    std::string got;
    for (int i = 0; i < 4; ++i) {
        got += one->take();
        lab.give(*one, SessionLab::ok());
    }
    CHECK(got == plain);
    CHECK(client->kept.empty());
}

TEST_CASE("session: KILL ends what the session runs on its server, too") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::query("UPDATE t SET a = SLEEP(1000)"));
    one->take();
    auto other = lab.come();
    auto another = lab.serve(1);
    other->take();
    // The first session of an engine is number 1.
    lab.give(*other, SessionLab::query("KILL 1"));
    CHECK(other->take() == SessionLab::ok());
    CHECK_FALSE(client->is_open);
    auto killer = lab.serve(1);
    CHECK(killer->take().find("KILL QUERY ") != std::string::npos);
}

TEST_CASE("session: a transaction that failed DDL may have committed is lost with an unknown outcome") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::query("BEGIN"));
    lab.give(*one, SessionLab::ok(1, in_transaction));
    lab.give(*client, SessionLab::query("CREATE TABLE t (a int)"));
    lab.give(*one, SessionLab::err(1050, "Table 't' already exists"));
    lab.lose(*one);
    client->take();
    lab.give(*client, SessionLab::query("COMMIT"));
    CHECK(client->take().find("the outcome of the transaction is unknown") != std::string::npos);
}

TEST_CASE("session: FOUND_ROWS() finds what its statement left, though that assigned variables") {
    SessionLab lab;
    auto client = lab.come();
    auto one = lab.serve(1);
    lab.give(*client, SessionLab::query("DO @a := 1"));
    one->take();
    lab.give(*one, SessionLab::ok());
    CHECK(one->take().empty());
    SUBCASE("at once") {
        lab.give(*client, SessionLab::query("SELECT FOUND_ROWS()"));
        CHECK(one->take() == SessionLab::query("SELECT FOUND_ROWS()"));
    }
    SUBCASE("and the variables are read when nobody asks, or by then") {
        lab.world.pass(std::chrono::milliseconds(200));
        CHECK(one->take().find("USER_VARIABLES") != std::string::npos);
    }
    SUBCASE("or before the next statement") {
        lab.give(*client, SessionLab::query("INSERT INTO t VALUES (1)"));
        CHECK(one->take().find("USER_VARIABLES") != std::string::npos);
    }
}
