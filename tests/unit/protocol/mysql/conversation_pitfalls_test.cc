#include <doctest/doctest.h>

#include "tests/unit/protocol/mysql/conversation_lab.h"

// What other proxies have stumbled over.
using namespace holdfast;
using namespace holdfast::mysql;
using namespace holdfast::mysql::test;
using dialect::CutKind;
using dialect::ScanEvent;
using dialect::Slot;
using namespace std::string_literals;

namespace {

/// A statement and the OK that it is answered with.
void done(Lab& lab, std::string_view sql, Slot slot = Slot::a) {
    CAPTURE(sql);
    REQUIRE_FALSE(lab.send(query(sql), slot).empty());
    lab.receive(ok_packet(1), slot);
    REQUIRE(lab.event == ScanEvent::unit_done);
}

/// Where a query would go.
sql::Destination destination(Lab& lab, std::string_view sql) {
    ByteBuffer out;
    REQUIRE(lab.conversation->cut(as_bytes(query(sql)), false, out).kind == CutKind::begin);
    return lab.conversation->facts().destination;
}

}  // namespace

TEST_CASE("mysql conversation: the end of a result may be long, for what it tells of the session") {
    ByteBuffer block;
    append_system_variable(block, "optimizer_switch", std::string(3'000, 'x'));
    const std::string head = packet(1, "\x01") + column(2) + packet(3, "\x01x");
    for (const uint64_t client : {modern_client, classic_client}) {
        Lab lab(client);
        lab.send(query("SELECT a FROM t"));
        const std::string told =
            lab.receive(head + ok_packet(4, status::autocommit, reply::eof, as_bytes(as_text(block))));
        CHECK(lab.event == ScanEvent::unit_done);
        CHECK(told == (client == modern_client ? result({"x"}) : classic_result({"x"})));
        CHECK(lab.synchronise(Slot::b).find("optimizer_switch") != std::string::npos);
    }
}

TEST_CASE("mysql conversation: a server that ends an idle connection, with a word of it or for a KILL") {
    for (const uint16_t number : {uint16_t{1053}, uint16_t{1927}, uint16_t{3169}, uint16_t{4031}}) {
        CAPTURE(number);
        Lab lab;
        CHECK(lab.receive(err_packet(0, number, "disconnected by the server because of inactivity")) == "");
        CHECK(lab.event == ScanEvent::dying);
        Lab busy;
        busy.send(query("INSERT INTO t VALUES (1)"));
        CHECK(busy.receive(err_packet(1, number, "disconnected by the server")) == "");
        CHECK(busy.event == ScanEvent::dying);
        CHECK(busy.conversation->units_in_flight() == 1);
    }
}

TEST_CASE("mysql conversation: commands that end in an EOF do so for clients of both kinds") {
    // A server with DEPRECATE_EOF says it in the form of an OK.
    const std::string answer = ok_packet(1, status::autocommit, reply::eof);
    for (const std::string& request :
         {command_of(command::set_option, "\1\0"s), command_of(command::debug)}) {
        Lab modern;
        modern.send(request);
        CHECK(modern.receive(answer) == answer);
        Lab classic(classic_client);
        classic.send(request);
        CHECK(classic.receive(answer) == eof_packet(1));
    }
}

TEST_CASE("mysql conversation: a server may ask for a file only when one was offered") {
    const std::string wish = packet(1, "\xfb/etc/passwd");
    SUBCASE("by a LOAD DATA LOCAL of a client that does such things") {
        Lab lab(modern_client | capability::local_files);
        lab.send(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
        CHECK(lab.receive(wish) == wish);
    }
    SUBCASE("not in answer to a read") {
        Lab lab(modern_client | capability::local_files);
        lab.send(query("SELECT a FROM t"));
        CHECK(lab.receive(wish) == "");
        CHECK(lab.event == ScanEvent::lying);
    }
    SUBCASE("not of a client that does no such things") {
        Lab lab;
        lab.send(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
        CHECK(lab.receive(wish) == "");
        CHECK(lab.event == ScanEvent::lying);
    }
}

TEST_CASE("mysql conversation: attributes of queries stand in front of their text") {
    Lab lab(modern_client | capability::query_attributes);
    lab.conversation->slot_parameters(
        Slot::b, {{"capabilities", std::to_string(modern_client | capability::query_attributes)}});
    const auto with_none = [](std::string_view sql) { return query("\0\1"s + std::string(sql)); };
    SUBCASE("where there are none, the text is read") {
        CHECK(lab.send(with_none("SELECT a FROM t")) == with_none("SELECT a FROM t"));
        CHECK(lab.conversation->facts().destination == sql::Destination::replica);
        lab.receive(result({}));
        CHECK(lab.send(with_none("DELETE FROM t")) == with_none("DELETE FROM t"));
        CHECK(lab.conversation->facts().destination == sql::Destination::primary);
    }
    SUBCASE("where there are some, too") {
        // One, of type string, named "a", of value "b".
        const std::string request = query("\1\1\0\1\xfe\0\1a\1bSELECT a FROM t"s);
        CHECK(lab.send(request) == request);
        CHECK(lab.conversation->facts().destination == sql::Destination::replica);
        CHECK(lab.conversation->facts().text == "SELECT a FROM t");
        ByteBuffer again;
        CHECK_FALSE(lab.conversation->rerun_unit(Slot::b, as_bytes(request), again));
        CHECK(as_text(again) == request);
        CHECK(lab.conversation->facts().text == "SELECT a FROM t");
    }
    SUBCASE("where they make no sense, it may do anything") {
        const std::string request = query("\1\1\0\1\x66\0\1a\1bSELECT a FROM t"s);
        CHECK(lab.send(request) == request);
        CHECK(lab.conversation->facts().destination == sql::Destination::primary);
        CHECK(lab.conversation->facts().may_write);
        CHECK(lab.conversation->facts().commits);
        CHECK_FALSE(lab.conversation->facts().rerunnable);
        CHECK(lab.conversation->pins().settings);
    }
    SUBCASE("the proxy's own queries have none, and say so") {
        CHECK(lab.synchronise(Slot::b) == with_none("SET SESSION TRANSACTION READ ONLY"));
        lab.receive(ok_packet(1), Slot::b);
        CHECK(lab.event == ScanEvent::sync_done);
        ByteBuffer reset;
        REQUIRE(lab.conversation->append_reset(Slot::a, reset));
        CHECK(as_text(reset).find("\3\0\1SET SESSION session_track"s) != std::string_view::npos);
    }
}

TEST_CASE("mysql conversation: columns that a client knows from an earlier execution are left out") {
    Lab lab(modern_client | capability::cache_metadata);
    for (const Slot slot : {Slot::a, Slot::b}) {
        lab.conversation->slot_parameters(
            slot, {{"capabilities", std::to_string(modern_client | capability::cache_metadata)}});
    }
    const auto prepared = [](uint32_t id) {
        return packet(1, "\0"s + id_bytes(id) + "\1\0\0\0\0\0\0"s) + column(2);
    };
    lab.send(command_of(command::stmt_prepare, "SELECT a FROM t"));
    CHECK(lab.receive(prepared(7)) == prepared(1));
    const std::string execute = command_of(command::stmt_execute, id_bytes(1) + "\0\1\0\0\0"s);
    const std::string row = "\0\0\1x"s;
    const std::string with_columns =
        packet(1, "\1\1") + column(2) + packet(3, row) + ok_packet(4, status::autocommit, reply::eof);
    const std::string without_columns =
        packet(1, "\1\0"s) + packet(2, row) + ok_packet(3, status::autocommit, reply::eof);
    SUBCASE("and come again from another connection") {
        for (const std::string& answer : {with_columns, without_columns, with_columns}) {
            lab.send(execute);
            CHECK(lab.receive(answer) == answer);
            CHECK(lab.event == ScanEvent::unit_done);
        }
    }
    SUBCASE("but not in the middle of an answer: what was told of it can't be taken back") {
        for (const std::string& head : {packet(1, "\1\0"s), packet(1, "\1\1") + column(2)}) {
            lab.send(execute);
            CHECK(lab.receive(head) == head);
            CHECK_FALSE(lab.conversation->rerunnable());
            lab.receive(packet(head.size() == 6 ? 2 : 3, row) +
                        ok_packet(head.size() == 6 ? 3 : 4, status::autocommit, reply::eof));
            CHECK(lab.event == ScanEvent::unit_done);
        }
    }
}

TEST_CASE("mysql conversation: what a SET STATEMENT reports holds for one statement, however it is written") {
    for (const char* sql : {"SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT 1",
                            "  SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT 1",
                            "/* c */ set statement sql_mode = 'ANSI_QUOTES' FOR SELECT 1",
                            "/*!100100 SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR */ SELECT 1"}) {
        CAPTURE(sql);
        Lab lab;
        ByteBuffer block;
        append_system_variable(block, "sql_mode", "ANSI_QUOTES");
        lab.send(query(sql));
        lab.receive(ok_packet(1, status::autocommit, reply::ok, block));
        CHECK(lab.synchronise(Slot::b).find("ANSI_QUOTES") == std::string::npos);
    }
}

TEST_CASE("mysql conversation: of several statements, what a SET STATEMENT reports is its own") {
    const auto reported = [](std::string_view sql, std::vector<std::string_view> values) {
        Lab lab(modern_client | capability::multi_statements);
        lab.send(query(sql));
        for (size_t i = 0; i < values.size(); ++i) {
            ByteBuffer block;
            append_system_variable(block, "sort_buffer_size", values[i]);
            const bool is_last = i + 1 == values.size();
            const uint16_t flags = status::autocommit | (is_last ? 0 : status::more_results);
            lab.receive(ok_packet(static_cast<uint8_t>(i + 1), flags, reply::ok, block));
        }
        REQUIRE(lab.event == ScanEvent::unit_done);
        lab.scratch.clear();
        return lab.conversation->pins().settings ? "pinned" : lab.synchronise(Slot::b);
    };
    const std::string before = "SET SESSION sort_buffer_size=1";
    CHECK(
        reported("SET sort_buffer_size = 1 + 0; SET STATEMENT sort_buffer_size = 2 FOR SELECT 1", {"1", "2"})
            .find(before) != std::string::npos);
    CHECK(
        reported("SET STATEMENT sort_buffer_size = 2 FOR SELECT 1; SET sort_buffer_size = 1 + 0", {"2", "1"})
            .find(before) != std::string::npos);
    // Where a procedure gives results of its own, nobody can tell.
    CHECK(reported("CALL p(); SET STATEMENT sort_buffer_size = 2 FOR SELECT 1", {"1", "1", "2"}) == "pinned");
    // What is set behind its FOR stays.
    const std::string both = "SET STATEMENT max_sort_length = 8 FOR SET sort_buffer_size = 1 + 0";
    CHECK(reported(both, {"1"}).find(before) != std::string::npos);
    Lab lab;
    done(lab, "PREPARE s FROM 'SET STATEMENT sort_buffer_size = 2 FOR SELECT 1'");
    ByteBuffer block;
    append_system_variable(block, "sort_buffer_size", "2");
    lab.send(query("EXECUTE s"));
    lab.receive(ok_packet(1, status::autocommit, reply::ok, block));
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::b).find("SESSION sort_buffer_size") == std::string::npos);
}

TEST_CASE("mysql conversation: a routine's own sql_mode is not the session's, whatever the flags say") {
    // Servers leave the flag as the routine has set it.
    Lab lab;
    ByteBuffer block;
    append_system_variable(block, "sql_mode", "STRICT_TRANS_TABLES");
    lab.send(query("CALL p()"));
    lab.receive(ok_packet(1, status::autocommit | status::no_backslash_escapes, reply::ok, block));
    CHECK(destination(lab, "SELECT 'a\\' FOR UPDATE'") == sql::Destination::replica);
    lab.send(query("SELECT a FROM t"));
    lab.receive(result({}, status::autocommit | status::no_backslash_escapes));
    CHECK(destination(lab, "SELECT 'a\\' FOR UPDATE'") == sql::Destination::replica);
    CHECK(destination(lab, "SELECT '\\'', GET_LOCK('a', 1) -- '") == sql::Destination::primary);
}

TEST_CASE("mysql conversation: a client's unsafe character set is noticed although no server reports it") {
    // Together with a user variable, MariaDB reports nothing of it.
    for (const char* sql :
         {"SET @@character_set_client = gbk, @u = 5", "SET NAMES gbk", "SET CHARACTER SET 'sjis'",
          "SET NAMES 'big5' COLLATE big5_bin", "SET character_set_client = \"cp932\""}) {
        CAPTURE(sql);
        Lab lab;
        done(lab, sql);
        CHECK(destination(lab, "SELECT '\xbf\\'") == sql::Destination::primary);
        done(lab, "SET NAMES utf8mb4");
        CHECK(destination(lab, "SELECT '\xbf\\' '") == sql::Destination::replica);
    }
}

TEST_CASE("mysql conversation: a change that nothing explains keeps the session where it is") {
    Lab lab;
    ByteBuffer block;
    append_session_state(block, SessionState::state_change, "1");
    lab.send(query("CALL creates_temporary_table()"));
    CHECK(lab.receive(ok_packet(1, status::autocommit, reply::ok, block)) == ok_packet(1));
    CHECK(lab.conversation->pins().reads());
}

TEST_CASE("mysql conversation: what pins a session, and what lets it go") {
    struct Row {
        const char* taken;
        const char* released;  // nullptr: never
    };
    for (const Row& row : {
             Row{"SELECT GET_LOCK('a', 1)", "SELECT RELEASE_LOCK('a')"},
             Row{"DO GET_LOCK('a', 1), GET_LOCK('b', 1)", "SELECT RELEASE_ALL_LOCKS()"},
             Row{"LOCK TABLES t WRITE", "UNLOCK TABLES"},
             Row{"FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"},
             Row{"FLUSH TABLES t FOR EXPORT", "UNLOCK TABLES"},
             Row{"BACKUP STAGE START", "BACKUP STAGE END"},
             Row{"BACKUP LOCK t", "BACKUP UNLOCK"},
             Row{"LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"},
             Row{"HANDLER t OPEN", "HANDLER t CLOSE"},
             Row{"CREATE TEMPORARY TABLE x AS SELECT 1", nullptr},
             Row{"SELECT LAST_INSERT_ID(5)", nullptr},
             Row{"SELECT @x := 1", nullptr},
             Row{"UPDATE t SET a = (@x := a)", nullptr},
             Row{"SELECT a INTO @x FROM t", nullptr},
             Row{"LOAD DATA INFILE 'f' INTO TABLE t (a, @v)", nullptr},
             Row{"CALL p(@out)", nullptr},
             Row{"SET rand_seed1 = 5", nullptr},
             Row{"PREPARE s FROM @text", nullptr},
         }) {
        CAPTURE(row.taken);
        Lab lab;
        CHECK_FALSE(lab.conversation->pins().any());
        done(lab, row.taken);
        CHECK(lab.conversation->pins().any());
        if (!row.released) continue;
        done(lab, "SELECT a FROM t FOR UPDATE");
        CHECK(lab.conversation->pins().any());
        done(lab, row.released);
        CHECK_FALSE(lab.conversation->pins().any());
    }
}

TEST_CASE("mysql conversation: LAST_INSERT_ID() is what it was, on the next primary too") {
    Lab lab;
    lab.send(query("INSERT INTO t VALUES (NULL)"));
    lab.receive(ok_packet(1, status::autocommit, reply::ok, {}, 42));
    CHECK(lab.synchronise(Slot::a) == "");
    lab.conversation->slot_lost(Slot::a);
    lab.conversation->slot_opened(Slot::a, false);
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::a) == query("SET LAST_INSERT_ID=42"));
}

TEST_CASE("mysql conversation: characteristics of the next transaction are for it, wherever it runs") {
    const std::string statement = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE";
    const auto characteristics = [](std::string_view text) {
        ByteBuffer block;
        append_session_state(block, SessionState::transaction_characteristics, text);
        return block;
    };
    const auto lost_and_reopened = [](Lab& lab) {
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->slot_opened(Slot::a, false);
        lab.scratch.clear();
        return lab.synchronise(Slot::a);
    };
    Lab lab;
    lab.send(query(statement));
    lab.receive(ok_packet(1, status::autocommit, reply::ok,
                          characteristics("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;")));
    SUBCASE("they are there on another primary") {
        CHECK(lost_and_reopened(lab) == query(statement));
    }
    SUBCASE("a transaction uses them up") {
        lab.send(query("BEGIN"));
        lab.receive(ok_packet(1, status::autocommit | status::in_transaction));
        lab.send(query("COMMIT"));
        lab.receive(ok_packet(1, status::autocommit, reply::ok, characteristics("")));
        CHECK(lab.synchronise(Slot::a) == "");
        CHECK(lost_and_reopened(lab) == "");
    }
    SUBCASE("a statement that is a transaction by itself does too") {
        lab.send(query("INSERT INTO t VALUES (1)"));
        lab.receive(ok_packet(1, status::autocommit, reply::ok, characteristics("")));
        CHECK(lab.synchronise(Slot::a) == "");
        CHECK(lost_and_reopened(lab) == "");
    }
}

TEST_CASE("mysql conversation: a reset sets the trackers back, and the proxy sets them again") {
    Lab lab;
    lab.send(command_of(command::reset_connection));
    lab.receive(ok_packet(1));
    lab.scratch.clear();
    const std::string sync = lab.synchronise(Slot::a);
    CHECK(sync.find("session_track_system_variables='*'") != std::string::npos);
    CHECK(sync.find(command_of(command::reset_connection)) == std::string::npos);
}

TEST_CASE("mysql conversation: what a login gives to settings, a reset for the pool gives again") {
    const auto reset = [](uint64_t more) {
        Lab lab(modern_client | more);
        ByteBuffer out;
        REQUIRE(lab.conversation->append_reset(Slot::a, out));
        return std::string(as_text(out));
    };
    const std::string ignores = ", sql_mode=CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'IGNORE_SPACE')";
    const std::string interactive = ", wait_timeout=@@interactive_timeout";
    CHECK(reset(0).ends_with("collation_connection=45"));
    CHECK(reset(capability::ignore_space).ends_with("collation_connection=45" + ignores));
    CHECK(reset(capability::interactive).ends_with("collation_connection=45" + interactive));
    CHECK(reset(capability::ignore_space | capability::interactive).ends_with(ignores + interactive));
}

TEST_CASE("mysql conversation: the client's own trackers do not switch the proxy's off") {
    Lab lab;
    done(lab, "SET session_track_system_variables = ''");
    lab.scratch.clear();
    CHECK(lab.synchronise(Slot::a).find("session_track_system_variables='*'") != std::string::npos);
}

TEST_CASE("mysql conversation: connection numbers are the proxy's in prepared statements too") {
    Lab lab;
    const auto prepared = [&](const char* sql, uint8_t columns) {
        lab.send(command_of(command::stmt_prepare, sql));
        lab.receive(packet(1, "\0\7\0\0\0"s + static_cast<char>(columns) + "\0\0\0\0\0\0"s) +
                    (columns ? column(2) : ""s));
        return command_of(command::stmt_execute, id_bytes(1) + "\0\1\0\0\0"s);
    };
    SUBCASE("KILL") {
        CHECK(lab.send(prepared("KILL QUERY 5", 0)).empty());
        CHECK(lab.kind == CutKind::kill);
        CHECK(lab.conversation->kill_request().process_id == 5);
    }
}

TEST_CASE("mysql conversation: types of parameters are told to another connection, whatever tells them") {
    const auto prepared = [](uint32_t id) {
        return packet(1, "\0"s + id_bytes(id) + "\0\0\1\0\0\0\0"s) + column(2);
    };
    const auto moved = [&](uint64_t client, const std::string& first, const std::string& again) {
        Lab lab(client);
        lab.send(command_of(command::stmt_prepare, "UPDATE t SET a=?"));
        lab.receive(prepared(1));
        lab.send(first);
        lab.receive(ok_packet(1));
        lab.conversation->slot_lost(Slot::a);
        lab.conversation->slot_opened(Slot::a, false);
        ByteBuffer out;
        lab.conversation->cut(as_bytes(again), false, out);
        CHECK_FALSE(lab.synchronise(Slot::a).empty());
        lab.receive(prepared(1));
        return lab.send(again);
    };
    SUBCASE("an execution of many rows") {
        // Flags: 128, types follow. A row: no indicator, 8 bytes.
        const std::string values = "\0\x2a\0\0\0\0\0\0\0"s;
        const std::string first =
            command_of(command::stmt_bulk_execute, id_bytes(1) + "\x80\0\x08\0"s + values);
        const std::string again = command_of(command::stmt_bulk_execute, id_bytes(1) + "\0\0"s + values);
        CHECK(moved(modern_client | capability::stmt_bulk_operations, first, again) == first);
    }
    SUBCASE("parameters with names, as query attributes have them") {
        // Flags: 8, the number of parameters is told. NULL bitmap, types follow: a number without a name.
        const std::string head = id_bytes(1) + "\x08\1\0\0\0\1\0"s;
        const std::string value = "\x2a\0\0\0\0\0\0\0"s;
        const std::string first = command_of(command::stmt_execute, head + "\1\x08\0\0"s + value);
        const std::string again = command_of(command::stmt_execute, head + "\0"s + value);
        CHECK(moved(modern_client | capability::query_attributes, first, again) == first);
    }
    SUBCASE("of parameters only, when attributes were told with them") {
        const std::string value = "\x2a\0\0\0\0\0\0\0"s;
        // Two: the parameter, and an attribute "a" of value "b".
        const std::string first = command_of(
            command::stmt_execute, id_bytes(1) + "\x08\1\0\0\0\2\0\1\x08\0\0\xfe\0\1a"s + value + "\1b");
        const std::string head = id_bytes(1) + "\x08\1\0\0\0\1\0"s;
        const std::string again = command_of(command::stmt_execute, head + "\0"s + value);
        const std::string told = command_of(command::stmt_execute, head + "\1\x08\0\0"s + value);
        CHECK(moved(modern_client | capability::query_attributes, first, again) == told);
    }
    SUBCASE("those that can't be told are not left out") {
        // The number of parameters is that of the statement, and an attribute without a type.
        const std::string value = "\x2a\0\0\0\0\0\0\0"s;
        const std::string first =
            command_of(command::stmt_execute, id_bytes(1) + "\x08\1\0\0\0\1\0\1\x08\0\0"s + value);
        const std::string body = "\x08\1\0\0\0\2\0\0"s + value + "\1b";
        CHECK(moved(modern_client | capability::query_attributes, first,
                    command_of(command::stmt_execute, id_bytes(1) + body)) ==
              command_of(command::stmt_execute, id_bytes(0) + body));
    }
    SUBCASE("they are counted without the flag, too, as clients of servers before 8.0.26 do it") {
        const std::string head = id_bytes(1) + "\0\1\0\0\0\1\0"s;
        const std::string value = "\x2a\0\0\0\0\0\0\0"s;
        const std::string first = command_of(command::stmt_execute, head + "\1\x08\0\0"s + value);
        const std::string again = command_of(command::stmt_execute, head + "\0"s + value);
        CHECK(moved(modern_client | capability::query_attributes, first, again) == first);
    }
}

TEST_CASE("mysql conversation: an execution's attributes are all awaited, and no longer than a bound") {
    Lab lab(modern_client | capability::query_attributes);
    lab.send(command_of(command::stmt_prepare, "UPDATE t SET a=?"));
    lab.receive(packet(1, "\0\1\0\0\0\0\0\1\0\0\0\0"s) + column(2));
    // A string of 1 MB with a name: its head is enough, once it is there.
    const std::string head = id_bytes(1) + "\x08\1\0\0\0\1\0\1\xfe\0\4name\xfd\0\0\x10"s;
    const std::string request = command_of(command::stmt_execute, head + std::string(1 << 20, 'x'));
    ByteBuffer out;
    for (const size_t there : {size_t{4 + 10}, size_t{4 + 12}, size_t{4 + 18}})
        CHECK(lab.conversation->cut(as_bytes(request).first(there), false, out).kind == CutKind::more);
    CHECK(lab.conversation->cut(as_bytes(request).first(300), false, out).kind == CutKind::begin);
    // A name that does not end.
    std::string endless = request;
    endless.replace(4 + 1 + 4 + 5 + 3 + 2, 4, "\xfd\xff\xff\xff");
    CHECK(lab.conversation->cut(as_bytes(endless).first(100'000), false, out).kind == CutKind::more);
    CHECK(lab.conversation->cut(as_bytes(endless).first(300'000), false, out).kind == CutKind::begin);
}

TEST_CASE("mysql conversation: that the number of parameters is told opens no cursor") {
    Lab lab(modern_client | capability::query_attributes);
    lab.send(command_of(command::stmt_prepare, "SELECT a FROM t"));
    lab.receive(packet(1, "\0\1\0\0\0\1\0\0\0\0\0\0"s) + column(2));
    lab.send(command_of(command::stmt_execute, id_bytes(1) + "\x08\1\0\0\0\0"s));
    CHECK(lab.conversation->facts().destination == sql::Destination::replica);
    CHECK(lab.conversation->facts().rerunnable);
}

TEST_CASE("mysql conversation: what a replica of the client's says while events come goes to their server") {
    Lab lab;
    lab.send(command_of(command::binlog_dump, "\4\0\0\0\0\0\1\0\0\0"s));
    const std::string event = packet(1, "\0an event"s);
    CHECK(lab.receive(event) == event);
    // An acknowledgement of semi-synchronous replication, which nobody answers.
    const std::string acknowledgement = packet(0, "\xef\4\0\0\0\0\0\0\0binlog.000001"s);
    ByteBuffer out;
    const dialect::Cut cut = lab.conversation->cut(as_bytes(acknowledgement), false, out);
    CHECK(cut.kind == CutKind::stream);
    CHECK(cut.size == acknowledgement.size());
    const std::string more = packet(2, "\0another one"s);
    CHECK(lab.receive(more) == more);
    // Numbers wrap.
    for (int i = 3; i < 600; ++i) {
        const std::string next = packet(static_cast<uint8_t>(i), i % 2 ? "\0e"s : "\0\xff"s);
        CHECK(lab.receive(next) == next);
    }
    CHECK(lab.conversation->units_in_flight() == 1);
}

TEST_CASE("mysql conversation: a Galera node that is not part of its cluster now has done nothing") {
    Lab lab;
    const std::string request = query("INSERT INTO t VALUES (1)");
    lab.send(request);
    CHECK(lab.receive(err_packet(1, 1047, "WSREP has not yet prepared node for application use", "08S01")) ==
          "");
    CHECK(lab.event == ScanEvent::refused);
    ByteBuffer again;
    CHECK_FALSE(lab.conversation->rerun_unit(Slot::a, as_bytes(request), again));
    CHECK(as_text(again) == request);
    const std::string other = err_packet(1, 1047, "Unknown command", "08S01");
    CHECK(lab.receive(other) == other);
    CHECK(lab.event == ScanEvent::unit_done);
}
