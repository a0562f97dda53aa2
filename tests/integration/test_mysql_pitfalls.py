"""What other proxies for MySQL have stumbled over, as far as no other file here has it."""

import contextlib
import struct

import pytest
from pymysql.constants import CLIENT

import mysql_wire as wire
from harness.mariadb import PASSWORDS
from harness.mysql import STATE_LOST, ask, error_of, value
from harness.waiting import wait_until
from mysql_wire import IN_TRANSACTION, MySqlWire, Refused
from test_mysql_protocol import KINDS, logged_in

pytestmark = pytest.mark.proxy_only

HERE = "(SELECT name FROM shop.here)"


@pytest.fixture(params=KINDS)
def client(blog, request):
    with logged_in(blog, KINDS[request.param]) as connection:
        yield connection


@pytest.fixture
def session(blog):
    with contextlib.closing(blog.connect()) as connection:
        yield connection


@pytest.fixture
def routine(shared_maria, maria_table):
    """routine(body): the name of a procedure with this body, dropped after the test."""
    name = f"p_{maria_table}"

    def make(body):
        shared_maria.execute(f"CREATE PROCEDURE {name}() BEGIN {body} END")
        return name

    yield make
    shared_maria.execute(f"DROP PROCEDURE IF EXISTS {name}")


def on_replica(read, cluster):
    """What `read`, given an expression that tells where it runs, returns besides: once it runs on a replica."""
    names = {server.name for server in cluster.replicas}

    def attempt():
        *found, name = read(HERE)
        return (found,) if (name.decode() if isinstance(name, bytes) else name) in names else None

    return wait_until(attempt, "a read runs on a replica")[0]


# -- what routines do ----------------------------------------------------------------------------------------


def test_settings_made_by_a_procedure_that_returns_rows(client, shared_maria, routine):
    """Servers report them behind the rows, and only to who knows no classic EOF; the client may be one that does."""
    name = routine("SET max_sort_length = 2048; SELECT 'rows';")
    assert client.query(f"CALL {name}()")[0].rows == [[b"rows"]]
    assert on_replica(lambda here: client.ask(f"SELECT @@max_sort_length, {here}").rows[0], shared_maria) == [b"2048"]


def test_temporary_table_made_by_a_procedure(client, blog, shared_maria, routine, maria_table):
    """No server reports one that is made from a SELECT: reads stay with it, also when replicas have caught up."""
    client.ask(f"CALL {routine(f'CREATE TEMPORARY TABLE {maria_table} SELECT 99 AS id;')}()")
    assert client.value(f"SELECT id FROM {maria_table}") == "99"
    with contextlib.closing(blog.connect()) as other:
        ask(other, f"INSERT INTO {maria_table} VALUES (1, 'behind the call')")
        on_replica(lambda here: ask(other, f"SELECT id, {here} FROM {maria_table}")[0], shared_maria)
    for _ in range(5):
        assert client.value(f"SELECT id FROM {maria_table}") == "99"


def test_variable_filled_by_a_procedure(client, shared_maria, routine):
    """No server reports SELECT … INTO @v: what it holds is read back, and is there on a replica, too."""
    client.ask(f"CALL {routine('SELECT 7 INTO @of_a_procedure;')}()")
    assert on_replica(lambda here: client.ask(f"SELECT @of_a_procedure, {here}").rows[0], shared_maria) == [b"7"]


def test_sql_mode_of_a_routine_is_not_the_sessions(session, shared_maria, routine):
    """The status flags stay as the routine has left them; strings are read in the session's own mode."""
    name = routine("SET sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES';")
    ask(session, f"CALL {name}()")
    on_replica(lambda here: ask(session, f"SELECT {here}")[0], shared_maria)
    assert ask(session, "SELECT '\\'', GET_LOCK('routine', 0) -- '") == [("'", 1)]
    assert shared_maria.primary.value("SELECT IS_FREE_LOCK('routine')") == 0
    ask(session, "DO RELEASE_LOCK('routine')")


# -- transactions --------------------------------------------------------------------------------------------


def test_characteristics_are_for_one_transaction(session, maria_table):
    """A statement that is a transaction by itself uses them up."""
    ask(session, "SET TRANSACTION READ ONLY")
    assert ask(session, f"/* holdfast: primary */ SELECT * FROM {maria_table}") == []
    for number in range(2):
        assert error_of(session, f"INSERT INTO {maria_table} VALUES ({number}, 'x')") is None


def test_chained_transactions(client, maria_table):
    client.ask("BEGIN")
    client.ask(f"INSERT INTO {maria_table} VALUES (1, 'kept')")
    assert client.ask("COMMIT AND CHAIN").end.status & IN_TRANSACTION
    client.ask(f"INSERT INTO {maria_table} VALUES (2, 'undone')")
    assert client.ask(f"SELECT id FROM {maria_table}").rows == [[b"1"], [b"2"]]
    assert client.ask("ROLLBACK AND CHAIN").end.status & IN_TRANSACTION
    client.ask("SAVEPOINT here")
    client.ask(f"INSERT INTO {maria_table} VALUES (3, 'undone')")
    client.ask("ROLLBACK TO SAVEPOINT here")
    client.ask("RELEASE SAVEPOINT here")
    assert not client.ask("COMMIT").end.status & IN_TRANSACTION
    assert client.ask(f"SELECT id FROM {maria_table} FOR UPDATE").rows == [[b"1"]]


def test_distributed_transaction(client, maria_table):
    """It is one from its start to its end, and on one connection; RECOVER tells of it in between."""
    name = f"'{maria_table}'"
    assert client.ask(f"XA START {name}").end.status & IN_TRANSACTION
    client.ask(f"INSERT INTO {maria_table} VALUES (1, 'x')")
    client.ask(f"XA END {name}")
    assert client.ask(f"XA PREPARE {name}").end.status & IN_TRANSACTION
    assert any(row[3] == maria_table.encode() for row in client.ask("XA RECOVER").rows)
    assert not client.ask(f"XA COMMIT {name}").end.status & IN_TRANSACTION
    assert client.ask(f"SELECT id FROM {maria_table} FOR UPDATE").rows == [[b"1"]]


# -- what is agreed at login ---------------------------------------------------------------------------------


def test_version_is_the_primarys(blog, shared_maria):
    """With the prefix that tells drivers that it is a MariaDB."""
    with MySqlWire(blog.port) as client, MySqlWire(shared_maria.primary.port) as direct:
        client.greeting(), direct.greeting()
        direct.send_packet(wire.handshake_response("nobody", b""))  # half a login would count against its address
        with pytest.raises(Refused):
            direct.receive_answer()
        assert client.version == direct.version and client.version.startswith("5.5.5-10.")


def test_connections_left_behind_serve_only_clients_that_agreed_to_the_same(blog, maria_table, shared_maria):
    ask_both = "SELECT @@sql_mode LIKE '%%IGNORE_SPACE%%', @@character_set_client"
    for _ in range(3):
        for flags, charset in ((0, "utf8mb4"), (CLIENT.FOUND_ROWS | CLIENT.IGNORE_SPACE, "latin1")):
            with contextlib.closing(blog.connect(client_flag=flags, charset=charset)) as connection:
                for hint in ("primary", "replica"):
                    assert ask(connection, f"/* holdfast: {hint} */ {ask_both}") == [(int(flags != 0), charset)]
                ask(connection, f"INSERT INTO {maria_table} SELECT 1, 'same' WHERE NOT EXISTS (SELECT 1 FROM {maria_table})")
                with connection.cursor() as cursor:
                    assert cursor.execute(f"UPDATE {maria_table} SET v = 'same'") == int(flags != 0)


def test_interactive_clients_have_a_timeout_of_their_own(blog, shared_maria):
    for server in shared_maria.servers:
        server.execute("SET GLOBAL interactive_timeout = 12345")
    try:
        for flags, timeout in ((0, 28800), (CLIENT.INTERACTIVE, 12345)):
            with contextlib.closing(blog.connect(client_flag=flags)) as connection:
                for hint in ("primary", "replica"):
                    assert value(connection, f"/* holdfast: {hint} */ SELECT @@wait_timeout") == timeout
    finally:
        for server in shared_maria.servers:
            server.execute("SET GLOBAL interactive_timeout = 28800")


def test_files_are_for_clients_that_offered_them(blog, maria_table):
    with MySqlWire(blog.port) as client:
        client.log_in("app", PASSWORDS["app"], capabilities=wire.MODERN & ~wire.LOCAL_FILES)
        assert client.number_of_error(f"LOAD DATA LOCAL INFILE 'f' INTO TABLE {maria_table}") in (1148, 4166)
        assert client.value("SELECT 'in step'") == "in step"


@pytest.mark.parametrize("silent", [b"", wire.packet(b"\0" * 40, 1)[:20]])
def test_login_is_given_up_after_its_timeout(start_proxy, shared_maria, silent):
    proxy = start_proxy(shared_maria, login_timeout="500ms")
    with MySqlWire(proxy.port) as client:
        client.greeting()
        client.send(silent)
        with contextlib.suppress(Refused):
            client.receive_answer()
        assert client.socket.recv(1) == b""


def test_servers_count_no_broken_logins(shared_maria, start_proxy):
    """Those count against the proxy's address, and after some of them (max_connect_errors) nobody gets in."""
    def broken():
        return [int(server.global_status("Aborted_connects")) for server in shared_maria.servers]

    before = broken()
    proxy = start_proxy(shared_maria)
    for _ in range(5):
        with contextlib.closing(proxy.connect()) as connection:
            assert value(connection, "SELECT 1") == 1
    proxy.stop()
    assert broken() == before


# -- servers that end a connection by themselves -------------------------------------------------------------


def test_wait_timeout_of_the_server(shared_maria, start_proxy, maria_table):
    """MariaDB closes without a word: the connection is dead, the session isn't."""
    proxy = start_proxy(shared_maria)

    def all_ended():
        # As the proxy sees it: a write that is sent before has an unknown outcome.
        wait_until(lambda: proxy.metrics().sum("holdfast_server_connections") == 0, "the servers have ended them", 30)

    with contextlib.closing(proxy.connect()) as connection:
        ask(connection, "SET wait_timeout = 1, @kept = 'kept'")
        all_ended()
        assert error_of(connection, f"INSERT INTO {maria_table} VALUES (1, 'x')") is None
        all_ended()
        assert value(connection, "SELECT @kept") == "kept"
    assert shared_maria.primary.value(f"SELECT COUNT(*) FROM {maria_table}") == 1


# -- session state -------------------------------------------------------------------------------------------


def test_variables_that_were_assigned_can_move(session, shared_maria):
    """They are read back from the server: with them the session is as free as without."""
    ask(session, "SELECT @n := 41 + 1, @t := 'it''s', @d := 1.50, @nothing := NULL")
    found = on_replica(lambda here: ask(session, f"SELECT @n, @t, @d, @nothing, {here}")[0], shared_maria)
    assert [str(each) for each in found] == ["42", "it's", "1.50", "None"]


def test_bytes_that_were_assigned_cannot_move(session):
    """Servers show them with loss."""
    ask(session, "SELECT @b := x'00ff27'")
    for _ in range(5):
        assert value(session, "SELECT HEX(@b)") == "00FF27"


def test_variables_that_no_server_shows_stay_where_they_are(make_maria, start_proxy):
    cluster = make_maria(replicas=1, settings={"user_variables": "OFF"})
    proxy = start_proxy(cluster)
    with contextlib.closing(proxy.connect()) as connection:
        ask(connection, "SELECT @n := 41 + 1")
        for _ in range(5):
            assert value(connection, "SELECT @n") == 42
        cluster.primary.kill9()
        cluster.promote()
        assert error_of(connection, "SELECT @n") == STATE_LOST
        assert value(connection, "SELECT @n") is None


def test_database_that_a_replica_does_not_have_yet(blog, shared_maria):
    """Its reads run where it is."""
    shared_maria.primary.execute("SET sql_log_bin = 0; CREATE DATABASE only_here; CREATE TABLE only_here.t SELECT 7 AS i")
    try:
        with contextlib.closing(blog.connect(user="boss")) as boss:
            assert value(boss, "SELECT 1") == 1
            ask(boss, "USE only_here")
            for _ in range(5):
                assert ask(boss, "SELECT DATABASE(), i FROM t") == [("only_here", 7)]
            ask(boss, "USE shop")
            on_replica(lambda here: ask(boss, f"SELECT {here}")[0], shared_maria)
    finally:
        shared_maria.primary.execute("SET sql_log_bin = 0; DROP DATABASE only_here")


@pytest.mark.parametrize("take, release", [
    ("HANDLER {} OPEN", "HANDLER {} CLOSE"), ("LOCK TABLES {} WRITE", "UNLOCK TABLES"),
    ("BACKUP LOCK {}", "BACKUP UNLOCK")])
def test_lost_handlers_and_locks_are_named(make_maria, start_proxy, take, release):
    cluster = make_maria(replicas=1)
    cluster.execute("CREATE TABLE t (i int)")
    proxy = start_proxy(cluster)
    with contextlib.closing(proxy.connect(user="boss")) as lost, contextlib.closing(proxy.connect(user="boss")) as freed:
        for connection in (freed, lost):
            ask(connection, take.format("t"))
            if connection is freed:
                ask(connection, release.format("t"))
        cluster.primary.kill9()
        cluster.promote()
        assert error_of(freed, "/* holdfast: primary */ SELECT 1") is None
        assert error_of(lost, "/* holdfast: primary */ SELECT 1") == STATE_LOST


# -- connection numbers --------------------------------------------------------------------------------------


def test_kill_in_a_prepared_statement(client, blog, shared_maria):
    """The number is the proxy's here too: on the server it may be somebody else's."""
    with logged_in(blog) as victim:
        victim.start(wire.QUERY, "SELECT SLEEP(60), 'prepared end'")
        wait_until(lambda: any(server.runs("prepared end") for server in shared_maria.servers), "it runs")
        client.execute(client.prepare(f"KILL QUERY {victim.connection_id}"))
        try:
            assert victim.result().rows[0][0] == b"1"  # SLEEP says 1 when it was interrupted
        except Refused as refused:
            assert refused.number == 1317
    unknown = client.prepare("KILL 4000000000")
    with pytest.raises(Refused) as refused:
        client.execute(unknown)
    assert refused.value.number == 1094


def test_kill_by_the_old_command(client, blog, shared_maria):
    with logged_in(blog) as victim:
        victim.start(wire.QUERY, "SELECT SLEEP(60), 'old end'")
        wait_until(lambda: any(server.runs("old end") for server in shared_maria.servers), "it runs")
        client.do(12, struct.pack("<I", victim.connection_id))
        with pytest.raises((wire.Closed, ConnectionError)):
            with contextlib.suppress(Refused):
                victim.result()
            victim.ask("SELECT 1")
    with pytest.raises(Refused) as refused:
        client.do(12, struct.pack("<I", 4_000_000_000))
    assert refused.value.number == 1094


def test_shutdown_is_not_passed_on(blog, shared_maria):
    with logged_in(blog, KINDS["classic"]) as client:
        client.change_user("boss", PASSWORDS["boss"])
        with pytest.raises(Refused) as refused:
            client.do(8)
        assert refused.value.number == 1227
        assert client.value("SELECT 'there'") == "there"
    assert shared_maria.primary.is_running()


@pytest.mark.parametrize("kind", ["modern", "classic"])
def test_commands_that_end_in_an_eof(blog, kind):
    """A classic client gets the classic one: five bytes, and no more."""
    with MySqlWire(blog.port) as client:
        client.log_in("boss", PASSWORDS["boss"], capabilities=KINDS[kind])
        for code, argument in ((wire.SET_OPTION, struct.pack("<H", 0)), (wire.SET_OPTION, struct.pack("<H", 1)), (13, b"")):
            client.start(code, argument)
            answer = client.receive_answer()
            assert answer[0] == 0xFE and len(answer) == (7 if kind == "modern" else 5)
        assert client.value("SELECT 'in step'") == "in step"


# -- replication through the proxy ---------------------------------------------------------------------------


def test_replica_behind_the_proxy(make_maria, start_proxy):
    """Events come without an end, and the replica acknowledges them (semi-synchronously) at any time in between."""
    cluster = make_maria(replicas=1, synchronous=True)
    cluster.execute("CREATE TABLE t (i int)")
    proxy = start_proxy(cluster)
    (replica,) = cluster.replicas
    cluster.primary.execute("SET GLOBAL rpl_semi_sync_master_timeout = 10000", database=None)
    replica.execute(f"STOP SLAVE; CHANGE MASTER TO MASTER_PORT = {proxy.port}; START SLAVE", database=None)
    cluster.wait_replicating()
    cluster.require_synchronous()
    cluster.primary.execute("SET GLOBAL rpl_semi_sync_master_timeout = 10000", database=None)
    before = int(cluster.primary.global_status("Rpl_semi_sync_master_yes_tx"))
    for number in range(300):  # packet numbers wrap
        cluster.primary.execute(f"INSERT INTO t VALUES ({number})")
    assert int(cluster.primary.global_status("Rpl_semi_sync_master_yes_tx")) >= before + 300
    cluster.wait_replayed()
    assert replica.value("SELECT COUNT(*) FROM t") == 300
    # It still replicates through the proxy, and comes back when the primary does.
    cluster.primary.stop()
    cluster.primary.start()
    cluster.primary.execute("INSERT INTO t VALUES (300)")
    cluster.wait_replayed()
    assert replica.value("SELECT COUNT(*) FROM t") == 301


def test_prepared_statement_keeps_its_schema(client, shared_maria):
    """It is prepared again on other connections, where unqualified names must mean what they meant."""
    statement = client.prepare("SELECT 'found', name FROM here")
    client.ask("USE information_schema")
    assert on_replica(lambda _: client.execute(statement)[0].rows[0], shared_maria) == [b"found"]
    assert client.value("SELECT DATABASE()") == "information_schema"
