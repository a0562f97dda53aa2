"""MySQL's commands and their answers as bytes on the wire, for clients of both kinds: those that know DEPRECATE_EOF
and session tracking, and classic ones.

Every test but those marked proxy_only passes against MariaDB itself too (HOLDFAST_DIRECT=1).
"""

import struct
import threading

import pytest

import mysql_wire as wire
from harness.mariadb import PASSWORDS
from harness.mysql import READ_ONLY_SERVER, UNKNOWN_COMMAND
from harness.waiting import wait_until
from mysql_wire import (CLASSIC, CURSOR_EXISTS, IN_TRANSACTION, LAST_ROW_SENT, LONGEST, MODERN, MULTI_STATEMENTS,
                        MySqlWire, Refused, command, execute_body)

KINDS = {"modern": MODERN, "classic": CLASSIC, "eof-with-tracking": MODERN & ~wire.DEPRECATE_EOF,
         "no-eof-without-tracking": MODERN & ~wire.SESSION_TRACK}


def logged_in(blog, capabilities=MODERN, **options):
    client = MySqlWire(blog.port)
    client.log_in("app", PASSWORDS["app"], capabilities=capabilities | MULTI_STATEMENTS, **options)
    return client


@pytest.fixture(params=KINDS)
def client(blog, request):
    with logged_in(blog, KINDS[request.param]) as connection:
        yield connection


# -- queries -------------------------------------------------------------------------------------------------


def test_rows_of_every_shape(client):
    result = client.ask("SELECT 1, NULL, '', REPEAT('x', 300), REPEAT('y', 70000)")
    assert result.rows == [[b"1", None, b"", b"x" * 300, b"y" * 70000]]
    assert client.ask("SELECT 1 AS a, 2 AS b WHERE FALSE").rows == []
    assert [name for name, _ in client.ask("SELECT 1 AS a, 2 AS b").columns] == ["a", "b"]


def test_many_packets_in_one_answer(client):
    """Packet numbers wrap at 256."""
    result = client.ask("WITH RECURSIVE s AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM s WHERE i < 999) SELECT i FROM s")
    assert [int(row[0]) for row in result.rows] == list(range(1, 1000))


def test_affected_rows_insert_id_and_warnings(client, maria_table):
    client.ask(f"ALTER TABLE {maria_table} MODIFY id int AUTO_INCREMENT PRIMARY KEY")
    end = client.ask(f"INSERT INTO {maria_table} (v) VALUES ('a'), ('b'), ('c')").end
    assert (end.affected, end.insert_id) == (3, 1)
    assert client.value("SELECT LAST_INSERT_ID()") == "1"
    end = client.ask(f"UPDATE {maria_table} SET v = 'a' WHERE v <> 'c'").end
    assert end.affected == 1
    end = client.ask("SELECT 1/0").end
    assert end.warnings == 1
    assert client.ask("SHOW WARNINGS").rows[0][1] == b"1365"


def test_errors_keep_the_connection(client):
    for statement, number, state in (("SELEKT", 1064, "42000"), ("SELECT * FROM nothing_there", 1146, "42S02"),
                                     ("SELECT * FROM mysql.global_priv", 1142, "42000"), ("", 1065, "42000")):
        with pytest.raises(Refused) as refused:
            client.query(statement)
        assert (refused.value.number, refused.value.sqlstate) == (number, state)
    assert client.value("SELECT 'there'") == "there"


def test_status_flags_of_a_transaction(client, maria_table):
    assert not client.ask("SELECT 1").end.status & IN_TRANSACTION
    assert client.ask("BEGIN").end.status & IN_TRANSACTION
    assert client.ask(f"INSERT INTO {maria_table} VALUES (1, 'a')").end.status & IN_TRANSACTION
    assert client.ask(f"SELECT * FROM {maria_table}").end.status & IN_TRANSACTION
    assert not client.ask("ROLLBACK").end.status & IN_TRANSACTION
    assert client.ask(f"SELECT * FROM {maria_table}").rows == []


def test_several_statements_in_one_command(client, maria_table):
    first, second, third = client.query(f"INSERT INTO {maria_table} VALUES (1, 'a'); SELECT v FROM {maria_table}; SELECT 2")
    assert first.end.affected == 1 and second.rows == [[b"a"]] and third.rows == [[b"2"]]
    client.start(wire.QUERY, "SELECT 1; SELEKT; SELECT 3")
    with pytest.raises(Refused) as refused:
        client.results()
    assert refused.value.number == 1064
    assert client.value("SELECT 'in step'") == "in step"


def test_procedures_return_several_results(client, shared_maria, maria_table):
    shared_maria.execute(f"CREATE PROCEDURE p_{maria_table}(OUT n int) BEGIN SELECT 'first'; "
                         f"INSERT INTO {maria_table} VALUES (1, 'by call'); SELECT v FROM {maria_table}; SET n = 7; END")
    try:
        *sets, end = client.query(f"CALL p_{maria_table}(@n)")
        assert [result.rows for result in sets] == [[[b"first"]], [[b"by call"]]] and end.rows is None
        assert client.value("SELECT @n") == "7"
        call = client.prepare(f"CALL p_{maria_table}(?)")
        results = client.execute(call, 0)
        assert results[0].rows == [[b"first"]] and results[1].rows == [[b"by call"], [b"by call"]]
        assert results[2].rows == [[7]]  # the OUT parameter
    finally:
        shared_maria.execute(f"DROP PROCEDURE p_{maria_table}")


def test_pipelined_commands_are_answered_in_order(client, maria_table):
    count = 40
    client.send(*(command(wire.QUERY, f"INSERT INTO {maria_table} VALUES ({i}, 'x')") + command(wire.QUERY, f"SELECT {i}")
                  + command(wire.PING) for i in range(count)))
    for i in range(count):
        client.expect_next()
        assert client.results()[0].end.affected == 1
        client.expect_next()
        assert client.results()[0].rows == [[str(i).encode()]]
        client.expect_next()
        client.ok()


def test_ping_behind_a_slow_query_waits_for_its_turn(client):
    client.send(command(wire.QUERY, "SELECT SLEEP(0.3), 'slow'"), command(wire.PING))
    client.expect_next()
    assert client.results()[0].rows == [[b"0", b"slow"]]
    client.expect_next()
    client.ok()


def test_bytes_one_by_one(client):
    for byte in command(wire.QUERY, "SELECT 'piecemeal'"):
        client.send(bytes([byte]))
    client.expect_next()
    assert client.results()[0].rows == [[b"piecemeal"]]


# -- session tracking ----------------------------------------------------------------------------------------


@pytest.mark.proxy_only
def test_only_what_a_client_asked_for_is_tracked(blog):
    """The proxy has the servers report more than clients do: none of that comes through."""
    with logged_in(blog) as client:
        end = client.ask("SET sql_mode = 'ANSI_QUOTES'").end
        assert end.tracked == b""  # sql_mode is not in MariaDB's own list
        end = client.ask("SET autocommit = 1").end
        assert b"autocommit" in end.tracked
        end = client.ask("BEGIN").end
        assert end.tracked == b""
        client.ask("COMMIT")
        assert b"mysql" not in client.ask("USE shop").end.tracked
    with logged_in(blog, CLASSIC) as client:
        for statement in ("SET autocommit = 1", "USE shop", "SET NAMES latin1"):
            end = client.ask(statement).end
            assert end.info == b"" and not end.status & wire.STATE_CHANGED, statement


def test_trackers_that_a_client_switched_on_are_passed_on(blog):
    with logged_in(blog) as client:
        client.ask("SET session_track_system_variables = 'sql_mode'")
        assert b"ANSI_QUOTES" in client.ask("SET sql_mode = 'ANSI_QUOTES'").end.tracked
        client.ask("SET session_track_transaction_info = 'STATE'")
        assert b"T_______" in client.ask("BEGIN").end.tracked


# -- prepared statements -------------------------------------------------------------------------------------


def test_prepared_statement(client, maria_table):
    insert = client.prepare(f"INSERT INTO {maria_table} VALUES (?, ?)")
    assert (insert.parameters, insert.columns) == (2, 0)
    select = client.prepare(f"SELECT id, v FROM {maria_table} WHERE id >= ? ORDER BY id")
    assert (select.parameters, select.columns) == (1, 2)
    assert client.execute(insert, 1, "one")[0].end.affected == 1
    assert client.execute(insert, 2, None)[0].end.affected == 1
    assert client.execute(select, 1)[0].rows == [[1, b"one"], [2, None]]
    with pytest.raises(Refused) as refused:
        client.prepare("SELEKT ?")
    assert refused.value.number == 1064


def test_types_are_sent_once(client, maria_table):
    """From the second execution on the server, and whatever server it is, must know them."""
    client.ask(f"INSERT INTO {maria_table} VALUES (1, 'one'), (2, 'two')")
    select = client.prepare(f"SELECT v FROM {maria_table} WHERE id = ?")
    assert client.execute(select, 1)[0].rows == [[b"one"]]
    for _ in range(20):
        assert client.execute(select, 2, types=False)[0].rows == [[b"two"]]


def test_closing_has_no_answer(client):
    one = client.prepare("SELECT 1")
    client.send(command(wire.STMT_CLOSE, struct.pack("<I", one.id)), command(wire.STMT_CLOSE, struct.pack("<I", 4711)),
                command(wire.QUERY, "SELECT 'next'"))
    client.expect_next()
    assert client.results()[0].rows == [[b"next"]]
    with pytest.raises(Refused) as refused:
        client.execute(one)
    assert refused.value.number == 1243


def test_unknown_statement(client):
    client.start(wire.STMT_EXECUTE, struct.pack("<IBI", 4711, 0, 1))
    with pytest.raises(Refused) as refused:
        client.results(binary=True)
    assert refused.value.number == 1243
    client.start(wire.STMT_RESET, struct.pack("<I", 4711))
    with pytest.raises(Refused) as refused:
        client.ok()
    assert refused.value.number == 1243
    assert client.value("SELECT 'there'") == "there"


def test_long_data(client, maria_table):
    insert = client.prepare(f"INSERT INTO {maria_table} VALUES (?, ?)")
    for piece in (b"first ", b"second ", b"x" * 50_000):
        client.send(command(wire.STMT_SEND_LONG_DATA, struct.pack("<IH", insert.id, 1) + piece))
    assert client.execute(insert, 1, b"", long_data=(1,))[0].end.affected == 1
    assert client.value(f"SELECT CONCAT(LEFT(v, 13), LENGTH(v)) FROM {maria_table}") == "first second 50013"
    # Reset drops what was sent.
    client.send(command(wire.STMT_SEND_LONG_DATA, struct.pack("<IH", insert.id, 1) + b"dropped"))
    client.do(wire.STMT_RESET, struct.pack("<I", insert.id))
    client.execute(insert, 2, "kept")
    assert client.ask(f"SELECT v FROM {maria_table} WHERE id = 2").rows == [[b"kept"]]


def test_cursor(client, maria_table):
    client.ask(f"INSERT INTO {maria_table} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    select = client.prepare(f"SELECT id, v FROM {maria_table} ORDER BY id")
    client.start(wire.STMT_EXECUTE, execute_body(select, cursor=True))
    columns = client.definitions(wire.Reader(client.receive_answer()).lenenc())
    opened = client.eof() if not client.capabilities & wire.DEPRECATE_EOF else client.ok()
    assert opened.status & CURSOR_EXISTS
    first = client.fetch(select, 2, columns)
    assert first.rows == [[1, b"a"], [2, b"b"]] and not first.end.status & LAST_ROW_SENT
    second = client.fetch(select, 2, columns)
    assert second.rows == [[3, b"c"]] and second.end.status & LAST_ROW_SENT
    client.do(wire.STMT_RESET, struct.pack("<I", select.id))
    with pytest.raises(Refused):
        client.fetch(select, 2, columns)
    assert client.value("SELECT 'there'") == "there"


def test_two_cursors_are_read_in_turns(client, maria_table):
    client.ask(f"INSERT INTO {maria_table} VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    opened = []
    for order in ("ASC", "DESC"):
        select = client.prepare(f"SELECT id FROM {maria_table} ORDER BY id {order}")
        client.start(wire.STMT_EXECUTE, execute_body(select, cursor=True))
        opened.append((select, client.definitions(wire.Reader(client.receive_answer()).lenenc())))
        client.ok()
    for rows in ([[[1]], [[3]]], [[[2]], [[2]]], [[[3]], [[1]]]):
        assert [client.fetch(select, 1, columns).rows for select, columns in opened] == rows


# -- the other commands --------------------------------------------------------------------------------------


def test_init_db(client):
    client.do(wire.INIT_DB, "information_schema")
    assert client.value("SELECT DATABASE()") == "information_schema"
    client.do(wire.INIT_DB, "shop")
    assert client.value("SELECT DATABASE()") == "shop"
    client.start(wire.INIT_DB, "nowhere")
    with pytest.raises(Refused) as refused:
        client.ok()
    assert refused.value.number in (1044, 1049)


def test_statistics(client):
    client.start(wire.STATISTICS)
    assert client.receive().startswith(b"Uptime:")
    client.do(wire.PING)


def test_field_list(client, maria_table):
    client.start(wire.FIELD_LIST, maria_table.encode() + b"\0")
    names = []
    while (payload := client.receive_answer())[:1] != b"\xfe":
        reader = wire.Reader(payload)
        names.append([reader.string() for _ in range(6)][4])
    assert names == [b"id", b"v"]
    assert client.value("SELECT 'in step'") == "in step"


def test_reset_connection(client, maria_table):
    client.ask("SET @v = 5, sql_mode = 'ANSI_QUOTES'")
    client.ask("BEGIN")
    client.ask(f"INSERT INTO {maria_table} VALUES (1, 'rolled back')")
    statement = client.prepare("SELECT 1")
    client.do(wire.RESET_CONNECTION)
    assert client.ask("SELECT @v").rows == [[None]]
    assert "ANSI_QUOTES" not in client.value("SELECT @@sql_mode")
    assert client.ask(f"SELECT * FROM {maria_table}").rows == []
    with pytest.raises(Refused) as refused:
        client.execute(statement)
    assert refused.value.number == 1243
    assert client.value("SELECT DATABASE()") == "shop"


def test_change_user(client, maria_table):
    client.ask("SET @v = 5")
    client.ask("CREATE TEMPORARY TABLE tt (i int)")
    client.change_user("reader", PASSWORDS["reader"])
    assert client.value("SELECT CURRENT_USER()") == "reader@%"
    assert client.ask("SELECT @v").rows == [[None]]
    with pytest.raises(Refused) as refused:
        client.query(f"INSERT INTO {maria_table} VALUES (1, 'x')")
    assert refused.value.number == 1142
    client.change_user("app", PASSWORDS["app"])
    assert client.value("SELECT CURRENT_USER()") == "app@%"
    client.ask(f"INSERT INTO {maria_table} VALUES (1, 'x')")


def test_change_user_with_a_wrong_password(client):
    """Gives nothing: MariaDB goes on as the user that it was; ending the connection is allowed too."""
    with pytest.raises(Refused) as refused:
        client.change_user("reader", "wrong")
    assert refused.value.number == 1045
    try:
        assert client.value("SELECT CURRENT_USER()") == "app@%"
    except (wire.Closed, ConnectionError):
        pass


def test_set_option(blog):
    with MySqlWire(blog.port) as client:
        client.log_in("app", PASSWORDS["app"], capabilities=MODERN)
        assert client.number_of_error("SELECT 1; SELECT 2") == 1064
        client.do(wire.SET_OPTION, struct.pack("<H", 0))
        assert len(client.query("SELECT 1; SELECT 2")) == 2
        client.do(wire.SET_OPTION, struct.pack("<H", 1))
        assert client.number_of_error("SELECT 1; SELECT 2") == 1064


@pytest.mark.parametrize("code", [0x20, 0x2A, 0x7F, 0xC8, 0xFF])
def test_unknown_commands_are_refused_and_nothing_else(blog, code):
    with logged_in(blog) as client:
        client.start(code, b"whatever")
        with pytest.raises(Refused) as refused:
            client.ok()
        assert refused.value.number == UNKNOWN_COMMAND and refused.value.sqlstate == "08S01"
        assert client.value("SELECT 'there'") == "there"


def test_quit_ends_it(client):
    client.send(command(wire.QUIT))
    assert client.socket.recv(1) == b""


# -- files ---------------------------------------------------------------------------------------------------


def test_local_file(client, maria_table):
    client.start(wire.QUERY, f"LOAD DATA LOCAL INFILE 'rows.txt' INTO TABLE {maria_table}")
    assert client.receive_answer() == b"\xfbrows.txt"
    for start in range(0, 1000, 100):
        client.send_packet(b"".join(b"%d\tvalue\n" % i for i in range(start, start + 100)))
    client.send_packet(b"")
    assert client.result().end.affected == 1000
    assert client.value(f"SELECT COUNT(*) FROM {maria_table}") == "1000"


def test_local_file_that_is_empty(client, maria_table):
    client.start(wire.QUERY, f"LOAD DATA LOCAL INFILE 'rows.txt' INTO TABLE {maria_table}")
    assert client.receive_answer() == b"\xfbrows.txt"
    client.send_packet(b"")
    assert client.result().end.affected == 0
    assert client.value("SELECT 'in step'") == "in step"


def test_local_file_that_is_refused(client):
    client.start(wire.QUERY, "LOAD DATA LOCAL INFILE 'rows.txt' INTO TABLE nothing_there")
    with pytest.raises(Refused) as refused:
        client.receive_answer()
    assert refused.value.number == 1146
    assert client.value("SELECT 'in step'") == "in step"


# -- packets of 16 MiB and more ------------------------------------------------------------------------------


@pytest.fixture
def long_table(shared_maria, maria_table):
    shared_maria.execute(f"ALTER TABLE {maria_table} MODIFY v longtext")
    return maria_table


@pytest.mark.parametrize("kind, extra", [("modern", -1), ("modern", 0), ("classic", 0), ("classic", 1),
                                         ("modern", 5_000_000)])
def test_long_packets_in_both_directions(blog, kind, extra):
    """A payload of exactly 16 MiB less one byte is followed by an empty packet."""
    with logged_in(blog, KINDS[kind]) as client:
        head, tail = "SELECT LENGTH('", "')"
        size = LONGEST + extra - 1 - len(head) - len(tail)
        assert client.value(head + "x" * size + tail) == str(size)
        # A row is about 16 MiB when its value is, whose length takes 4 bytes, or 9.
        for length in (LONGEST - 4 + extra, LONGEST - 9 + extra):
            row = client.ask(f"SELECT REPEAT('y', {length})").rows[0][0]
            assert len(row) == length and row.count(b"y") == length
        assert client.value("SELECT 'in step'") == "in step"


@pytest.mark.parametrize("kind", ["modern", "classic"])
def test_long_parameters(blog, kind, long_table):
    with logged_in(blog, KINDS[kind]) as client:
        insert = client.prepare(f"INSERT INTO {long_table} VALUES (?, ?)")
        client.execute(insert, 1, b"z" * (LONGEST + 1000))
        select = client.prepare(f"SELECT v FROM {long_table}")
        ((found,),) = client.execute(select)[0].rows
        assert found == b"z" * (LONGEST + 1000)


def test_statement_longer_than_the_server_takes(blog):
    """max_allowed_packet is the server's word; what comes of it is its error, or its end of the connection."""
    with logged_in(blog) as client:
        try:
            client.send(command(wire.QUERY, "SELECT '" + "x" * (65 * 1024 * 1024) + "'"))
            client.sequence = 5  # behind the five packets of the statement
            with pytest.raises(Refused) as refused:
                client.results()
            assert refused.value.number == 1153
        except (wire.Closed, ConnectionError):
            pass
    with logged_in(blog) as client:
        assert client.value("SELECT 'there'") == "there"


# -- large results, slow readers -----------------------------------------------------------------------------


@pytest.mark.proxy_only
def test_slow_reader_costs_no_memory(blog):
    """100 MB that nobody fetches stay on the server."""
    with logged_in(blog) as client:
        before = blog.memory()
        client.start(wire.QUERY, "WITH RECURSIVE s AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM s WHERE i < 1000) "
                                 "SELECT REPEAT('x', 100000) FROM s")
        count = wire.Reader(client.receive_answer()).lenenc()
        client.definitions(count)
        with logged_in(blog) as other:
            for _ in range(50):
                other.ask("SELECT REPEAT('y', 1000)")
        assert blog.memory() - before < 16 * 1024 * 1024
        rows, _ = client.rows([("x", 252)], binary=False)
        assert len(rows) == 1000


@pytest.mark.proxy_only
def test_client_that_leaves_in_the_middle(blog, shared_maria, maria_table):
    """Its transaction is undone when the statement that runs has come to its end (MariaDB does not look before)."""
    with logged_in(blog) as client:
        client.ask("BEGIN")
        client.ask(f"INSERT INTO {maria_table} VALUES (1, 'left')")
        client.start(wire.QUERY, f"SELECT SLEEP(2), 'left behind' FROM {maria_table} FOR UPDATE")
        wait_until(lambda: shared_maria.primary.runs("left behind"), "the statement runs")
    with logged_in(blog) as other:
        assert other.ask(f"SELECT * FROM {maria_table} FOR UPDATE").rows == []  # waits for its locks


def test_many_clients_at_once(blog, maria_table):
    problems = []

    def work(number):
        try:
            with logged_in(blog, (MODERN, CLASSIC)[number % 2]) as client:
                statement = client.prepare("SELECT ?, ?")
                for i in range(20):
                    client.ask(f"INSERT INTO {maria_table} VALUES ({number * 1000 + i}, 'x')")
                    if client.execute(statement, i, f"{number}")[0].rows != [[i, str(number).encode()]]:
                        problems.append(f"client {number} got another's answer")
        except Exception as error:  # noqa: BLE001
            problems.append(repr(error))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert problems == []


@pytest.mark.proxy_only
def test_a_read_only_refusal_never_shows(client, maria_table, shared_maria):
    """A statement that looks like a read and writes is refused by the replica and runs on the primary."""
    shared_maria.execute(f"CREATE FUNCTION f_{maria_table}() RETURNS int MODIFIES SQL DATA BEGIN "
                         f"INSERT INTO {maria_table} VALUES (1, 'by function'); RETURN 1; END; "
                         f"CREATE VIEW v_{maria_table} AS SELECT f_{maria_table}() AS f")
    try:
        assert client.number_of_error(f"SELECT f FROM v_{maria_table}") not in (READ_ONLY_SERVER, 1792)
        assert client.value(f"SELECT COUNT(*) FROM {maria_table}") == "1"
    finally:
        shared_maria.execute(f"DROP VIEW v_{maria_table}; DROP FUNCTION f_{maria_table}")
