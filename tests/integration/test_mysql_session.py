"""What a session is made of, on several MariaDB servers: how its texts are read, what it holds, and what it may do."""

import contextlib
import functools

import pytest
from pymysql.constants import CLIENT

import mysql_wire as wire
from harness.mariadb import PASSWORDS
from harness.mysql import OUTCOME_UNKNOWN, READ_ONLY_SERVER, STATE_LOST, MySqlEndpoint, ask, error_of, value
from harness.ports import free_port
from harness.proxy import IMPATIENT_HEALTH
from harness.waiting import wait_until
from mysql_wire import MySqlWire, Refused

pytestmark = pytest.mark.proxy_only

WHERE = "SELECT name FROM here"


@pytest.fixture
def start_proxy(start_proxy):
    return functools.partial(start_proxy, health=IMPATIENT_HEALTH)


@pytest.fixture
def pair(make_maria, start_proxy):
    cluster = make_maria(replicas=1)
    cluster.execute("CREATE TABLE t (id int, note text)")
    cluster.wait_replayed()
    return cluster, start_proxy(cluster)


@pytest.fixture
def client(pair):
    with contextlib.closing(pair[1].connect()) as connection:
        yield connection


@contextlib.contextmanager
def wired(proxy, user="app", capabilities=wire.MODERN):
    with MySqlWire(proxy.port) as connection:
        connection.log_in(user, PASSWORDS[user], capabilities=capabilities)
        yield connection


def fail_over(cluster, proxy):
    old = cluster.primary
    old.kill9()
    cluster.promote()
    wait_until(lambda: proxy.metrics().state_of(old.name) not in ("up", "suspect"), f"the proxy misses {old}")


# -- how texts are read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode, write", [
    ("ANSI_QUOTES", """SELECT 1 AS "a\\" FROM t FOR UPDATE -- " """),
    ("NO_BACKSLASH_ESCAPES", """SELECT '\\' FROM t FOR UPDATE -- '"""),
])
def test_the_servers_own_sql_mode_is_known_from_the_first_statement(make_maria, start_proxy, mode, write):
    """Read in the usual way, the statement is a string and a read; where it really is a row lock, the primary's."""
    cluster = make_maria(replicas=1, settings={"sql_mode": mode})
    cluster.execute("CREATE TABLE t (id int)")
    cluster.wait_replayed()
    proxy = start_proxy(cluster)
    with contextlib.closing(proxy.connect()) as connection:
        ask(connection, write)
        assert proxy.metrics().sum("holdfast_routing_decisions_total", reason="row_lock") == 1
    # A connection of the pool, reset between two sessions, is as its login found it.
    cluster.primary.execute("SET GLOBAL sql_mode = ''")
    with contextlib.closing(proxy.connect()) as connection:
        assert mode in value(connection, "SELECT @@sql_mode /* holdfast: primary */")


def test_a_role_is_not_handed_on_with_a_connection_of_the_pool(make_maria, start_proxy):
    cluster = make_maria(replicas=0)
    cluster.execute("CREATE ROLE auditor")
    cluster.execute("GRANT auditor TO app@'%'")
    proxy = start_proxy(cluster)
    with contextlib.closing(proxy.connect()) as connection:
        ask(connection, "SET ROLE auditor")
        assert value(connection, "SELECT CURRENT_ROLE() /* holdfast: primary */") == "auditor"
    for _ in range(3):
        with contextlib.closing(proxy.connect()) as connection:
            assert value(connection, "SELECT CURRENT_ROLE() /* holdfast: primary */") is None


def test_reset_connection_brings_back_the_servers_character_set(pair):
    cluster, proxy = pair
    with wired(proxy) as client:
        client.query("SET NAMES gbk")
        client.do(wire.RESET_CONNECTION)
        assert client.value("SELECT @@character_set_client") == "utf8mb4"
        # Read as gbk text, it would be for the primary.
        assert client.value("SELECT name FROM here WHERE 'ä' <> ''") == cluster.replicas[0].name


def test_reset_connection_unmakes_what_the_login_made(pair):
    """As on the server itself, and on a connection that is made behind it, too."""
    cluster, proxy = pair
    flags = CLIENT.IGNORE_SPACE | CLIENT.INTERACTIVE
    for server in cluster.servers:
        server.execute("SET GLOBAL interactive_timeout = 1234")
    settings = "SELECT CONCAT(@@sql_mode LIKE '%IGNORE_SPACE%', ' ', @@wait_timeout = 1234) /* holdfast: primary */"
    with wired(proxy, capabilities=wire.MODERN | flags) as client:
        assert client.value(settings) == "1 1"
        client.do(wire.RESET_CONNECTION)
        assert client.value(settings) == "0 0"
        fail_over(cluster, proxy)
        assert client.value(settings) == "0 0"


def test_variables_are_replayed_as_they_were_written(pair):
    """Another SET NAMES behind them does not change what they hold."""
    cluster, proxy = pair
    with wired(proxy) as client:
        client.query("SET NAMES latin1")
        client.start(wire.QUERY, b"SET @kept = '\xe4'")
        client.ok()
        client.query("SET NAMES utf8mb4")
        assert client.value("SELECT HEX(CONVERT(@kept USING utf8mb4))") == "C3A4"
        fail_over(cluster, proxy)
        assert client.value("SELECT HEX(CONVERT(@kept USING utf8mb4))") == "C3A4"
        assert client.value("SELECT @@character_set_client") == "utf8mb4"


def test_sql_prepared_statements_keep_their_schema(pair):
    cluster, proxy = pair
    with wired(proxy, "boss") as client:
        client.query("CREATE DATABASE elsewhere")
        client.query("CREATE TABLE elsewhere.only_there (id int)")
        client.query("USE elsewhere")
        client.query("PREPARE s FROM 'SELECT COUNT(*) FROM only_there'")
        client.query("USE shop")
        cluster.wait_replayed()
        fail_over(cluster, proxy)
        assert client.value("EXECUTE s") == "0"
        assert client.value("SELECT DATABASE()") == "shop"


def test_prepared_statements_keep_their_schema(pair):
    """Unqualified names mean what they meant, though the same table is in the session's present schema, too."""
    cluster, proxy = pair
    with wired(proxy, "boss") as client:
        client.query("CREATE DATABASE elsewhere")
        client.query("CREATE TABLE elsewhere.t (note text) SELECT 'elsewhere' AS note")
        client.query("INSERT INTO t VALUES (1, 'in the shop')")
        client.query("USE elsewhere")
        statement = client.prepare("SELECT note FROM t FOR UPDATE")
        client.query("USE shop")
        cluster.wait_replayed()
        fail_over(cluster, proxy)
        assert client.execute(statement)[0].rows == [[b"elsewhere"]]
        assert client.value("SELECT note FROM t") == "in the shop"
        cluster.primary.execute("DROP DATABASE elsewhere")
        cluster.primary.stop()
        cluster.primary.start()
        with pytest.raises(Refused) as refused:
            client.execute(statement)
        assert refused.value.number == 1049
        assert client.value("SELECT note FROM t") == "in the shop"


# -- what it holds -------------------------------------------------------------------------------------------


def test_a_lock_is_held_until_it_is_released(pair, client):
    cluster, proxy = pair
    assert value(client, "SELECT GET_LOCK('mine', 0)") == 1
    assert value(client, "SELECT RELEASE_LOCK('another')") is None
    fail_over(cluster, proxy)
    assert error_of(client, "SELECT 1") == STATE_LOST
    assert value(client, "SELECT GET_LOCK('mine', 0)") == 1
    assert value(client, "SELECT RELEASE_LOCK('mine')") == 1
    cluster.primary.stop()
    cluster.primary.start()
    assert error_of(client, "INSERT INTO t VALUES (1, 'there')") in (None, OUTCOME_UNKNOWN)


def test_a_prepared_xa_transaction_outlives_its_server(pair):
    cluster, proxy = pair
    with wired(proxy, "boss") as client:
        for statement in ("XA START 'one'", "INSERT INTO t VALUES (1, 'prepared')", "XA END 'one'", "XA PREPARE 'one'"):
            client.query(statement)
        cluster.wait_replayed()
        fail_over(cluster, proxy)
        with pytest.raises(Refused) as told:
            client.query("SELECT 1")
        assert told.value.number == OUTCOME_UNKNOWN
        assert "neither committed nor rolled back" in told.value.text and "XA RECOVER" in told.value.text
        # MariaDB replicates what was prepared.
        assert client.ask("XA RECOVER").rows[0][3] == b"one"
        client.query("XA COMMIT 'one'")
        assert client.value("SELECT note FROM t") == "prepared"


# -- what it may do ------------------------------------------------------------------------------------------


def test_nothing_is_written_through_a_listener_for_reads(make_maria, start_proxy):
    """Not by an account either that may write on a read-only server."""
    cluster = make_maria(replicas=1)
    cluster.execute("CREATE TABLE t (id int)")
    cluster.wait_replayed()
    replica = cluster.replicas[0]
    port = free_port()
    start_proxy(cluster, listeners=[{"listen": f"127.0.0.1:{port}", "role": "replica"}])
    with wired(MySqlEndpoint(port), "boss", wire.MODERN | wire.MULTI_STATEMENTS) as client:
        assert client.value(WHERE) == replica.name
        for statement in ("START TRANSACTION READ WRITE", "SET STATEMENT tx_read_only = 0 FOR INSERT INTO t VALUES (1)",
                          "SET SESSION TRANSACTION READ WRITE; INSERT INTO t VALUES (1)",
                          "BEGIN NOT ATOMIC SET SESSION TRANSACTION READ WRITE; INSERT INTO t VALUES (1); END"):
            assert client.number_of_error(statement) == READ_ONLY_SERVER, statement
        # In one write, not waiting for the answer.
        client.send(wire.command(wire.QUERY, "START TRANSACTION READ WRITE"),
                    wire.command(wire.QUERY, "INSERT INTO t VALUES (1)"))
        for _ in range(2):
            client.expect_next()
            with pytest.raises(Refused):
                client.result()
        client.query("SET SESSION TRANSACTION READ WRITE")  # what drivers do by themselves
        assert client.number_of_error("INSERT INTO t VALUES (1)") is not None
        assert client.value("SELECT COUNT(*) FROM t") == "0"
    assert replica.value("SELECT COUNT(*) FROM t") == 0


def test_the_connections_number_is_the_proxys(pair):
    _, proxy = pair
    with wired(proxy) as client, wired(proxy) as victim:
        number = client.value("SELECT CONNECTION_ID()")
        assert str(client.execute(client.prepare("SELECT CONNECTION_ID()"))[0].rows[0][0]) == number
        client.query("PREPARE c FROM 'SELECT CONNECTION_ID()'")
        assert client.value("EXECUTE c") == number
        client.query(f"PREPARE k FROM 'KILL {victim.value('SELECT CONNECTION_ID()')}'")
        client.query("EXECUTE k")
        with pytest.raises((wire.Closed, Refused, ConnectionError)):
            victim.query("SELECT 1")
