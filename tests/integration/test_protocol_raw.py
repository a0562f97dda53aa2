"""The extended protocol, COPY, function calls and all that comes between, as bytes on the wire.

Every test but those marked proxy_only passes against PostgreSQL itself too (HOLDFAST_DIRECT=1).
"""

import socket
import struct
import threading

import pytest

import wire
from harness.postgres import PASSWORDS
from harness.waiting import wait_until
from wire import (Wire, bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, kinds, parse, query, rows,
                  sqlstates, statement, sync, tags, transaction_status)


@pytest.fixture
def client(shop):
    with Wire(shop.port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


@pytest.fixture
def other(shop):
    with Wire(shop.port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


# -- simple queries ------------------------------------------------------------------------------------------


def test_several_statements_in_one_query(client, table):
    messages = client.ask(f"SELECT 1; INSERT INTO {table} VALUES (1, 'a'); SELECT v FROM {table}")
    assert kinds(messages) == "TDCCTDCZ"
    assert tags(messages) == ["SELECT 1", "INSERT 0 1", "SELECT 1"]


def test_an_error_undoes_the_whole_message(client, table):
    messages = client.ask(f"INSERT INTO {table} VALUES (1, 'a'); SELECT 1/0; INSERT INTO {table} VALUES (2, 'b')")
    assert kinds(messages) == "CEZ" and sqlstates(messages) == ["22012"]
    assert client.value(f"SELECT count(*) FROM {table}") == "0"


def test_several_transactions_in_one_query(client, table):
    messages = client.ask(f"BEGIN; INSERT INTO {table} VALUES (1, 'a'); COMMIT; SELECT count(*) FROM {table}")
    assert tags(messages) == ["BEGIN", "INSERT 0 1", "COMMIT", "SELECT 1"]
    assert rows(messages) == [[b"1"]] and transaction_status(messages) == "I"


@pytest.mark.parametrize("sql", ["", ";", " ; ; ", "-- nothing", "/* nothing */"])
def test_empty_query(client, sql):
    assert kinds(client.ask(sql)) == "IZ"


def test_empty_statement_by_the_extended_protocol(client):
    client.send(statement(""), sync())
    assert kinds(client.until_ready()) == "12nIZ"


def test_empty_query_in_a_failed_transaction(client):
    client.ask("BEGIN")
    client.ask("SELECT 1/0")
    messages = client.ask("")
    assert kinds(messages) == "IZ" and transaction_status(messages) == "E"
    assert sqlstates(client.ask("SELECT 1")) == ["25P02"]
    assert tags(client.ask("COMMIT")) == ["ROLLBACK"]


def test_pipelined_simple_queries_are_answered_in_order(client, table):
    count = 50
    client.send(*(query(f"INSERT INTO {table} VALUES ({i}, 'x')") + query(f"SELECT {i}") for i in range(count)))
    answers = []
    for _ in range(count):
        assert tags(client.until_ready()) == ["INSERT 0 1"]
        answers += [int(row[0]) for row in rows(client.until_ready())]
    assert answers == list(range(count))


def test_commit_and_chain_stays_in_a_transaction(client, table):
    client.ask("BEGIN")
    client.ask(f"INSERT INTO {table} VALUES (1, 'a')")
    assert transaction_status(client.ask("COMMIT AND CHAIN")) == "T"
    client.ask(f"INSERT INTO {table} VALUES (2, 'b')")
    assert transaction_status(client.ask("ROLLBACK")) == "I"
    assert client.value(f"SELECT count(*) FROM {table}") == "1"


# -- extended protocol ---------------------------------------------------------------------------------------


def test_one_batch(client, table):
    client.send(parse("", f"INSERT INTO {table} VALUES ($1, $2)"), describe("S"), bind("", "", (1, "a")),
                execute(), close("S"), sync())
    assert kinds(client.until_ready()) == "1tn2C3Z"
    client.send(parse("q", f"SELECT id, v FROM {table} WHERE id = $1"), describe("S", "q"), bind("p", "q", (1,)),
                describe("P", "p"), execute("p"), sync())
    messages = client.until_ready()
    assert kinds(messages) == "1tT2TDCZ" and rows(messages) == [[b"1", b"a"]]


def test_error_skips_to_sync_only(client, table):
    insert = f"INSERT INTO {table} VALUES ($1, 'x')"
    client.send(statement(insert, (1,)), statement("SELECT 1/0"), statement(insert, (2,)), close("S", "none"), sync(),
                statement(insert, (3,)), sync())
    assert kinds(client.until_ready()) == "12nC1EZ"  # planning folds 1/0: Bind fails
    assert kinds(client.until_ready()) == "12nCZ"
    # The batch is one transaction: its first insert went with the error.
    assert rows(client.ask(f"SELECT id FROM {table}")) == [[b"3"]]


def test_error_arrives_without_sync(client):
    """PostgreSQL sends an error at once; a client may wait for it before it sends Sync."""
    client.send(parse("", "SELECT * FROM no_such_table"))
    assert client.until("E")[-1].sqlstate == "42P01"
    client.send(bind(), execute())  # skipped
    client.send(sync())
    assert kinds(client.until_ready()) == "Z"


def test_messages_after_an_error_until_sync_are_not_answered(client):
    """Also those that a proxy could answer by itself."""
    client.send(parse("s", "SELECT 1"), sync())
    client.until_ready()
    client.send(parse("", "SELEKT"), parse("s2", "SELECT 1"), close("S", "s"), describe("S", "s"), flush(), sync())
    assert kinds(client.until_ready()) == "EZ"
    client.send(bind("", "s"), execute(), sync())
    assert kinds(client.until_ready()) == "2DCZ", "a skipped Close closed its statement"
    client.send(bind("", "s2"), execute(), sync())
    assert sqlstates(client.until_ready()) == ["26000"], "a skipped Parse made its statement"


def test_flush_returns_what_there_is(client):
    client.send(parse("", "SELECT $1::int"), flush())
    assert client.receive().kind == "1"
    client.send(describe("S"), flush())
    assert kinds(client.until("T")) == "tT"
    client.send(bind("", "", (5,)), flush())
    assert client.receive().kind == "2"
    client.send(execute(), flush())
    assert kinds(client.until("C")) == "DC"
    client.send(sync())
    assert kinds(client.until_ready()) == "Z"


def test_portals_stay_open_over_flush(client):
    client.send(parse("", "SELECT generate_series(1, 5)"), bind("p"), execute("p", 2), flush())
    messages = client.until("s")
    assert kinds(messages) == "12DDs"
    client.send(execute("p", 2), flush())
    assert kinds(client.until("s")) == "DDs"
    client.send(execute("p"), sync())
    messages = client.until_ready()
    assert kinds(messages) == "DCZ" and rows(messages) == [[b"5"]]


def test_portal_lives_until_the_transaction_ends(client):
    client.ask("BEGIN")
    client.send(parse("", "SELECT generate_series(1, 3)"), bind("p"), execute("p", 1), sync())
    messages = client.until_ready()
    assert kinds(messages) == "12DsZ" and transaction_status(messages) == "T"
    client.send(execute("p", 1), sync())
    assert rows(client.until_ready()) == [[b"2"]]
    client.ask("COMMIT")
    client.send(execute("p", 1), sync())
    assert sqlstates(client.until_ready()) == ["34000"]


def test_sync_in_a_segment_of_its_own(client):
    client.send(statement("SELECT 7"))
    client.send(flush())
    assert kinds(client.until("C")) == "12TDC"
    client.send_slowly(sync())
    assert kinds(client.until_ready()) == "Z"


def test_batch_one_byte_at_a_time(client, table):
    client.send_slowly(statement(f"INSERT INTO {table} VALUES ($1, $2)", (1, "abc")) + sync())
    assert kinds(client.until_ready()) == "12nCZ"
    client.send_slowly(statement(f"SELECT v FROM {table} WHERE id = $1", (1,)) + sync())
    assert rows(client.until_ready()) == [[b"abc"]]


def test_deep_pipeline_with_errors_in_it(client, table):
    batches = 200
    for i in range(batches):
        if i % 10 == 3:
            client.send(statement("SELECT 1/$1::int", (0,)), statement(f"INSERT INTO {table} VALUES ($1, 'never')", (i,)),
                        sync())
        else:
            client.send(statement(f"INSERT INTO {table} VALUES ($1, 'x')", (i,)), statement("SELECT $1::int", (i,)), sync())
    for i in range(batches):
        messages = client.until_ready()
        if i % 10 == 3:
            assert sqlstates(messages) == ["22012"]
        else:
            assert rows(messages) == [[str(i).encode()]]
    assert client.value(f"SELECT count(*) FROM {table}") == str(batches - batches // 10)


def test_simple_query_after_a_batch_without_sync(client):
    """Legal: the query is executed after the batch, in the same transaction, and its ReadyForQuery ends both."""
    client.send(statement("SELECT 1"), query("SELECT 2"))
    messages = client.until_ready()
    assert kinds(messages) == "12TDCTDCZ"
    assert rows(messages) == [[b"1"], [b"2"]]


def test_simple_query_after_an_error_is_skipped_until_sync(client):
    client.send(parse("", "SELEKT"), query("SELECT 2"), sync())
    messages = client.until_ready()
    assert kinds(messages) == "EZ"
    assert client.value("SELECT 3") == "3"


def test_simple_query_destroys_the_unnamed_statement(client):
    client.send(parse("", "SELECT 1"), sync())
    client.until_ready()
    client.ask("SELECT 2")
    client.send(bind(), execute(), sync())
    assert sqlstates(client.until_ready()) == ["26000"]


def test_unnamed_statement_lives_over_batches(client):
    client.send(parse("", "SELECT $1::int + 1"), sync())
    client.until_ready()
    for i in range(3):
        client.send(bind("", "", (i,)), execute(), sync())
        assert rows(client.until_ready()) == [[str(i + 1).encode()]]


def test_unnamed_statements_of_two_clients_are_their_own(client, other):
    client.send(parse("", "SELECT 'mine'"), sync())
    other.send(parse("", "SELECT 'yours'"), sync())
    client.until_ready(), other.until_ready()
    for connection, expected in ((client, b"mine"), (other, b"yours")):
        connection.send(bind(), execute(), sync())
        assert rows(connection.until_ready()) == [[expected]]


# -- prepared statements -------------------------------------------------------------------------------------


def test_duplicate_and_unknown_names_are_errors_of_the_batch(client):
    client.send(parse("s", "SELECT 1"), sync())
    client.until_ready()
    client.send(parse("s", "SELECT 2"), sync())
    assert sqlstates(client.until_ready()) == ["42P05"]
    client.send(bind("", "unknown"), execute(), sync())
    assert sqlstates(client.until_ready()) == ["26000"]
    client.send(bind("", "s"), execute(), sync())
    assert rows(client.until_ready()) == [[b"1"]]


def test_close_of_unknown_names_is_no_error(client):
    client.send(close("S", "unknown"), close("P", "unknown"), sync())
    assert kinds(client.until_ready()) == "33Z"


def test_close_portal_is_not_close_statement(client):
    client.send(parse("x", "SELECT 1"), bind("x", "x"), close("P", "x"), sync())
    assert kinds(client.until_ready()) == "123Z"
    client.send(bind("", "x"), execute(), sync())
    assert rows(client.until_ready()) == [[b"1"]]
    client.send(close("S", "x"), sync())
    assert kinds(client.until_ready()) == "3Z"
    client.send(bind("", "x"), sync())
    assert sqlstates(client.until_ready()) == ["26000"]


def test_close_is_answered_in_order(client):
    client.send(parse("c", "SELECT 1"), sync())
    client.until_ready()
    client.send(statement("SELECT 2"), close("S", "c"), statement("SELECT 3"), sync())
    assert kinds(client.until_ready()) == "12TDC312TDCZ"


def test_statement_parsed_in_a_transaction_survives_its_rollback(client, table):
    client.ask("BEGIN")
    client.send(parse("kept", f"SELECT count(*) FROM {table}"), sync())
    client.until_ready()
    client.ask("ROLLBACK")
    client.send(bind("", "kept"), execute(), sync())
    assert rows(client.until_ready()) == [[b"0"]]


def test_statement_whose_parse_failed_does_not_exist(client):
    client.send(parse("bad", "SELECT * FROM no_such_table"), sync())
    assert sqlstates(client.until_ready()) == ["42P01"]
    client.send(parse("bad", "SELECT 4"), bind("", "bad"), execute(), sync())
    assert rows(client.until_ready()) == [[b"4"]]


@pytest.mark.parametrize("sql", ["DEALLOCATE d", "DEALLOCATE PREPARE d", "DEALLOCATE ALL", "DISCARD ALL"])
def test_deallocate_by_sql_reaches_protocol_statements(client, sql):
    client.send(parse("d", "SELECT 1"), sync())
    client.until_ready()
    assert not sqlstates(client.ask(sql))
    client.send(bind("", "d"), execute(), sync())
    assert sqlstates(client.until_ready()) == ["26000"]
    client.send(parse("d", "SELECT 2"), bind("", "d"), execute(), sync())
    assert rows(client.until_ready()) == [[b"2"]]


def test_protocol_statement_executed_by_sql(client):
    client.send(parse("p1", "SELECT $1::int * 2"), sync())
    client.until_ready()
    assert client.value("EXECUTE p1(21)") == "42"
    client.ask("PREPARE p2 AS SELECT 'sql'")
    client.send(bind("", "p2"), execute(), sync())
    assert rows(client.until_ready()) == [[b"sql"]]


def test_search_path_counts_when_a_statement_is_parsed(client, shared_cluster):
    shared_cluster.execute("CREATE SCHEMA one AUTHORIZATION app; CREATE TABLE one.which (v text);"
                           "INSERT INTO one.which VALUES ('one');"
                           "CREATE SCHEMA two AUTHORIZATION app; CREATE TABLE two.which (v text);"
                           "INSERT INTO two.which VALUES ('two'); GRANT SELECT ON one.which, two.which TO app")
    try:
        for schema in ("one", "two"):
            client.ask(f"SET search_path = {schema}")
            client.send(parse("w_" + schema, "SELECT v FROM which"), bind("", "w_" + schema), execute(), sync())
            assert rows(client.until_ready()) == [[schema.encode()]]
    finally:
        shared_cluster.execute("DROP SCHEMA one CASCADE; DROP SCHEMA two CASCADE")


def test_changed_result_type_is_reported_or_cured(client, table):
    client.send(parse("star", f"SELECT * FROM {table}"), bind("", "star"), execute(), sync())
    client.until_ready()
    client.ask(f"ALTER TABLE {table} ADD COLUMN more int")
    client.send(bind("", "star"), describe("P"), execute(), sync())
    assert sqlstates(client.until_ready()) in ([], ["0A000"])
    client.send(parse("star2", f"SELECT * FROM {table}"), bind("", "star2"), describe("P"), execute(), sync())
    assert kinds(client.until_ready()) == "12TCZ"


def test_binary_results_and_nulls(client):
    client.send(parse("", "SELECT $1::int4, $2::text", (23, 25)), bind("", "", (258, None), result_format=1), execute(), sync())
    assert rows(client.until_ready()) == [[struct.pack("!i", 258), None]]


def test_describe_of_transaction_control(client):
    """Also when a proxy would rather wait with BEGIN until it knows where to."""
    client.send(parse("b", "BEGIN"), describe("S", "b"), flush())
    assert kinds(client.until("n")) == "1tn"
    client.send(bind("", "b"), describe("P"), execute(), sync())
    messages = client.until_ready()
    assert kinds(messages) == "2nCZ" and transaction_status(messages) == "T"
    client.ask("ROLLBACK")


# -- COPY ----------------------------------------------------------------------------------------------------


def test_copy_in_and_out(client, table):
    client.send(query(f"COPY {table} FROM STDIN"))
    assert kinds(client.until("G")) == "G"
    client.send(copy_data(b"1\tone\n2\tt"), copy_data(b"wo\n"), copy_done())
    messages = client.until_ready()
    assert tags(messages) == ["COPY 2"]
    messages = client.ask(f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT")
    assert b"".join(m.body for m in messages if m.kind == "d") == b"1\tone\n2\ttwo\n"
    assert kinds(messages) == "HddcCZ"


def test_copy_in_by_the_extended_protocol(client, table):
    """PostgreSQL ignores Sync while it copies; libpq sends one with Execute and another after CopyDone."""
    client.send(parse("", f"COPY {table} FROM STDIN"), bind(), execute(), sync())
    assert kinds(client.until("G")) == "12G"
    client.send(copy_data(b"1\ta\n"), copy_done(), sync())
    messages = client.until_ready()
    assert kinds(messages) == "CZ" and tags(messages) == ["COPY 1"]
    assert client.value(f"SELECT count(*) FROM {table}") == "1"


def test_copy_in_by_the_extended_protocol_sync_at_the_end_only(client, table):
    client.send(parse("", f"COPY {table} FROM STDIN"), bind(), execute(), flush())
    assert kinds(client.until("G")) == "12G"
    client.send(copy_data(b"1\ta\n"), copy_done(), sync())
    assert kinds(client.until_ready()) == "CZ"


def test_copy_fail(client, table):
    client.send(query(f"COPY {table} FROM STDIN"))
    client.until("G")
    client.send(copy_data(b"1\ta\n"), copy_fail("changed my mind"))
    messages = client.until_ready()
    assert sqlstates(messages) == ["57014"]
    client.send(parse("", f"COPY {table} FROM STDIN"), bind(), execute(), sync())
    client.until("G")
    client.send(copy_fail("again"), sync())
    assert sqlstates(client.until_ready()) == ["57014"]
    assert client.value(f"SELECT count(*) FROM {table}") == "0"


@pytest.mark.parametrize("extended", [False, True])
def test_copy_data_after_the_servers_error_is_ignored(client, table, extended):
    """The client notices late: what it sends in between belongs to nobody."""
    for _ in range(3):
        if extended:
            client.send(parse("", f"COPY {table} FROM STDIN"), bind(), execute(), sync())
        else:
            client.send(query(f"COPY {table} FROM STDIN"))
        client.until("G")
        client.send(copy_data(b"not a number\n"))
        if not extended:
            assert sqlstates(client.until_ready()) == ["22P02"]
        else:
            client.until("E")
        client.send(copy_data(b"2\tb\n"), copy_done())
        if extended:
            client.send(sync())
            client.until_ready()
        assert client.value("SELECT 1") == "1"
    assert client.value(f"SELECT count(*) FROM {table}") == "0"


def test_copy_out_by_the_extended_protocol(client):
    client.send(parse("", "COPY (SELECT generate_series(1, 3)) TO STDOUT"), bind(), execute(), sync())
    assert kinds(client.until_ready()) == "12HdddcCZ"


def test_copy_both_ways_in_one_query(client, table):
    client.send(query(f"COPY {table} FROM STDIN; COPY {table} TO STDOUT; SELECT 9"))
    client.until("G")
    client.send(copy_data(b"7\tseven\n"), copy_done())
    messages = client.until_ready()
    assert kinds(messages) == "CHdcCTDCZ"


# -- other messages ------------------------------------------------------------------------------------------


def test_function_call(client):
    oid = int(client.value("SELECT 'int4pl'::regproc::oid"))
    client.send(wire.function_call(oid, [b"20", b"22"]))
    messages = client.until_ready()
    assert kinds(messages) == "VZ" and messages[0].body[4:] == b"42"
    client.send(wire.function_call(4_000_000_000, []))
    messages = client.until_ready()
    assert kinds(messages) == "EZ" and sqlstates(messages) == ["42883"]


def test_notices_and_parameter_reports_come_in_between(client):
    messages = client.ask("DO $$ BEGIN RAISE NOTICE 'one'; END $$; SET application_name = 'two'; SELECT 3")
    assert kinds(messages) == "CCTDCZ"
    assert [m.error["M"] for m in messages if m.kind == "N"] == ["one"]
    assert client.parameters["application_name"] == "two"


def test_listen_and_notify_between_clients(client, other):
    client.ask('LISTEN "Mixed Case"')
    other.ask("""NOTIFY "Mixed Case", 'it''s "quoted" {}'""")
    received = client.receive()
    assert received.kind == "A"
    process, channel, payload = received.notification
    assert (channel, payload) == ("Mixed Case", 'it\'s "quoted" {}')
    # It came while the client was idle; nothing else is in the way.
    assert client.value("SELECT 1") == "1"


def test_notify_oneself(client):
    client.ask("LISTEN own")
    messages = client.ask("NOTIFY own, 'x'")
    assert kinds(messages) in ("CAZ", "ACZ")
    client.ask("UNLISTEN own")
    assert kinds(client.ask("NOTIFY own")) == "CZ"


def test_largest_notify_payload(client, other):
    client.ask("LISTEN big")
    other.ask(f"NOTIFY big, '{'p' * 7999}'")
    assert client.receive().notification[2] == "p" * 7999


def test_unknown_message_type_ends_the_connection_with_an_error(client):
    client.send(wire.message(b"y", b"abc"))
    received = client.expect_end()
    assert received and received[-1].kind == "E" and received[-1].sqlstate == "08P01"


# -- cancel --------------------------------------------------------------------------------------------------


def running_pid(cluster, marker):
    """The server and process that runs a statement with this marker, once one does."""
    def find():
        for server in cluster.servers:
            found = server.rows("SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s "
                                "AND pid <> pg_backend_pid()", f"%{marker}%")
            if found:
                return server, found[0][0]
        return None
    return wait_until(find, f"a statement with {marker} runs")


@pytest.mark.parametrize("sql", ["SELECT pg_sleep(60) /* read {} */",
                                 "DO $$ BEGIN PERFORM pg_sleep(60) /* write {} */; END $$"])
@pytest.mark.parametrize("encrypted", [False, pytest.param(True, marks=pytest.mark.proxy_only)])
def test_cancel(shop, client, shared_cluster, sql, encrypted):
    marker = f"cancel_{encrypted}"
    client.send(query(sql.format(marker)))
    running_pid(shared_cluster, marker)
    wire.cancel(client, shop.port, encrypted)
    messages = client.until_ready()
    assert sqlstates(messages) == ["57014"]
    assert client.value("SELECT 1") == "1"


@pytest.mark.proxy_only
def test_cancel_with_a_long_key(shop, shared_cluster):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"], version=wire.PROTOCOL_3_2)
        client.send(query("SELECT pg_sleep(60) /* long_key */"))
        running_pid(shared_cluster, "long_key")
        wire.cancel(client, shop.port)
        assert sqlstates(client.until_ready()) == ["57014"]


def test_cancel_with_a_wrong_key_reaches_nobody(shop, client, shared_cluster):
    with shared_cluster.primary.connect() as locker:
        locker.execute("SELECT pg_advisory_lock(8801)")
        client.send(query("SELECT pg_advisory_lock_shared(8801) /* wrong_key */"))
        running_pid(shared_cluster, "wrong_key")
        cancel_wrongly(shop, client)
    assert not sqlstates(client.until_ready())
    client.ask("SELECT pg_advisory_unlock_all()")


def cancel_wrongly(shop, client):
    for process, secret in ((client.process, bytes(b ^ 1 for b in client.secret)), (client.process ^ 1, client.secret),
                            (client.process, b""), (client.process, b"\0" * 300)):
        with Wire(shop.port) as stranger:
            stranger.send(wire.cancel_request(process, secret))
            stranger.expect_end()


def test_cancel_of_an_idle_client_hits_nothing(shop, client, other):
    for _ in range(5):
        wire.cancel(client, shop.port)
        assert other.value("SELECT pg_sleep(0.01)") == ""
        # PostgreSQL's signal may come late, and hit this client's own next statement: that is allowed.
        assert sqlstates(client.ask("SELECT 1")) in ([], ["57014"])
    assert client.value("SELECT 2") == "2"


def test_cancel_hits_only_its_own_client(shop, client, other, shared_cluster):
    with shared_cluster.primary.connect() as locker:
        locker.execute("SELECT pg_advisory_lock(8802)")
        client.send(query("SELECT pg_sleep(60) /* victim */"))
        other.send(query("SELECT pg_advisory_lock_shared(8802) /* bystander */"))
        running_pid(shared_cluster, "victim"), running_pid(shared_cluster, "bystander")
        wire.cancel(client, shop.port)
        assert sqlstates(client.until_ready()) == ["57014"]
    assert not sqlstates(other.until_ready())
    other.ask("SELECT pg_advisory_unlock_all()")


# -- leaving -------------------------------------------------------------------------------------------------


def test_client_that_leaves_in_a_transaction_has_it_rolled_back(shop, table, shared_cluster):
    with Wire(shop.port) as leaving:
        leaving.log_in("app", PASSWORDS["app"])
        leaving.ask("BEGIN")
        leaving.ask(f"INSERT INTO {table} VALUES (1, 'a')")
        leaving.send(wire.terminate())
        leaving.expect_end()
    wait_until(lambda: shared_cluster.primary.value(
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%%' AND usename = %s", "app") == 0,
        "the transaction is gone")
    assert shared_cluster.primary.value(f"SELECT count(*) FROM {table}") == 0


def test_query_and_terminate_in_one_breath(shop, table, shared_cluster):
    """The statement is complete: it is executed, though nobody waits for its result."""
    with Wire(shop.port) as leaving:
        leaving.log_in("app", PASSWORDS["app"])
        leaving.send(query(f"INSERT INTO {table} VALUES (1, 'a')"), wire.terminate())
    wait_until(lambda: shared_cluster.primary.value(f"SELECT count(*) FROM {table}") == 1, "the insert happened")


def test_request_cut_off_by_a_disconnect_is_not_executed(shop, table, shared_cluster):
    with Wire(shop.port) as leaving:
        leaving.log_in("app", PASSWORDS["app"])
        leaving.send(query(f"INSERT INTO {table} VALUES (1, 'a')"), statement(f"INSERT INTO {table} VALUES (2, 'b')"),
                     query(f"INSERT INTO {table} VALUES (3, 'c')")[:-3])
        leaving.until("Z")
        leaving.socket.shutdown(socket.SHUT_WR)
        leaving.expect_end()
    assert shared_cluster.primary.rows(f"SELECT id FROM {table}") == [(1,)]


# -- much at once --------------------------------------------------------------------------------------------


def test_large_pipeline_against_large_results(client):
    """Both directions are full at once: whoever only writes, or only reads, hangs here."""
    count, size = 400, 100_000
    sending = threading.Thread(target=lambda: client.send(
        *(statement("SELECT length($1), repeat('r', $2::int)", ("q" * size, size)) + sync() for _ in range(count))))
    sending.start()
    for _ in range(count):
        messages = client.until_ready()
        ((length, repeated),) = rows(messages)
        assert int(length) == size and len(repeated) == size
    sending.join(60)
    assert not sending.is_alive()


@pytest.mark.proxy_only
def test_slow_reader_stops_the_server_not_the_proxy(shop, other, shared_cluster):
    """A client that does not read its huge result costs bounded memory, and nobody else anything."""
    before = shop.memory()
    with Wire(shop.port) as slow:
        slow.log_in("app", PASSWORDS["app"])
        slow.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 300000) /* slow_reader */"))
        running_pid(shared_cluster, "slow_reader")
        for _ in range(50):
            assert other.value("SELECT 1") == "1"
        waiting = wait_until(lambda: any(server.rows(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%slow_reader%%' AND wait_event = 'ClientWrite'")
            for server in shared_cluster.servers), "the server waits for its client")
        assert waiting
        assert shop.memory() - before < 16 * 1024 * 1024
        assert len(rows(slow.until_ready())) == 300_000


@pytest.mark.parametrize("kind", ["true", "database"])
def test_replication_connections(shop, shared_cluster, table, kind):
    with Wire(shop.port) as walsender:
        walsender.send(wire.startup(user="app", database="shop", replication=kind))
        walsender.authenticate("app", PASSWORDS["app"])
        walsender.after_authentication()
        ((system, timeline, *_),) = rows(walsender.ask("IDENTIFY_SYSTEM"))
        assert int(system) == shared_cluster.primary.value("SELECT system_identifier FROM pg_control_system()")
        position = shared_cluster.primary.value("SELECT pg_current_wal_flush_lsn()")
        walsender.send(query(f"START_REPLICATION PHYSICAL {position} TIMELINE {int(timeline)}"))
        assert walsender.until("W")[-1].kind == "W"
        shared_cluster.primary.execute(f"INSERT INTO {table} VALUES (1, 'streamed')")
        assert walsender.until("d")[-1].body[:1] in (b"w", b"k")
        # CopyBoth ends with a CopyDone from each side.
        walsender.send(copy_done())
        messages = walsender.until("Z")
        assert "c" in kinds(messages)
