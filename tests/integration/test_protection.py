"""Who may come in, how many, how often, and for how long: access rules, limits, rates and timeouts."""

import contextlib
import socket
import time

import psycopg
import pymysql
import pytest

from harness.mysql import QUERY_INTERRUPTED, ask, error_of, value
from harness.postgres import PASSWORDS
from harness.waiting import wait_until
from mysql_wire import MySqlWire, Refused
from mysql_wire import Closed as MySqlClosed
from test_reload import reload
from wire import Closed, LoginRefused, Wire, query, startup

pytestmark = pytest.mark.proxy_only

DISCONNECTS = "holdfast_client_disconnects_total"
QUERY_TIMEOUTS = "holdfast_query_timeouts_total"
MY_PASSWORD = "app secret"


def refusal(proxy, user="app", password=PASSWORDS["app"], database="shop", tls=False):
    """The ErrorResponse that a login gets, as a dict; None: it is let in."""
    with Wire(proxy.port) as client:
        if tls:
            assert client.request_tls()
        try:
            client.log_in(user, password, database)
        except LoginRefused as refused:
            assert client.expect_end() == []
            return refused.error
    return None


def my_refusal(proxy, user="app", password=MY_PASSWORD, database="shop", tls=False):
    """The same from MySQL: the error, or None."""
    with MySqlWire(proxy.port) as client:
        try:
            client.log_in(user, password, database, tls=tls)
        except Refused as refused:
            return refused
    return None


def disconnects(proxy, reason):
    return proxy.metrics().sum(DISCONNECTS, reason=reason)


# -- access rules --------------------------------------------------------------------------------------------


RULES = [{"user": "app_md5", "action": "deny"},
         {"user": "app.*", "database": "shop", "address": ["127.0.0.0/8"], "tls": True, "action": "allow"},
         {"user": "reader", "database": "postgres|shop", "address": ["127.0.0.1", "::1"], "action": "allow"}]


def test_access_rules(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, access=RULES)
    assert refusal(proxy, tls=True) is None
    assert refusal(proxy, "reader", PASSWORDS["reader"]) is None
    for denied in ({}, {"user": "app_md5", "tls": True}, {"database": "postgres", "tls": True},
                   {"user": "reader", "database": "template1"}):
        error = refusal(proxy, **denied)
        assert error["C"] == "28000" and "access rules" in error["M"], denied
    # What is said does not tell which accounts exist, nor is a password asked for.
    known, unknown = refusal(proxy, "holdfast"), refusal(proxy, "nobody_x")
    assert known["M"].replace("holdfast", "?") != known["M"]
    def without_port(text):
        return text[:text.index("from host")]
    assert without_port(known["M"].replace("holdfast", "?")) == without_port(unknown["M"].replace("nobody_x", "?"))
    assert disconnects(proxy, "access_denied") == 6
    assert "reason=access_denied" in proxy.log_text() and "no rule" in proxy.log_text()
    assert "the rule in line" not in known["M"]


def test_access_rules_are_reloaded(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, access=[{"user": "app", "action": "allow"}])
    with proxy.connect() as connection:
        proxy.settings["cluster"][shared_cluster.name]["access"] = [{"user": "reader", "action": "allow"}]
        reload(proxy)
        assert refusal(proxy)["C"] == "28000"
        assert refusal(proxy, "reader", PASSWORDS["reader"]) is None
        assert connection.execute("SELECT 1").fetchone() == (1,)  # who is in stays


def test_access_rules_of_mysql(shared_maria, start_proxy):
    proxy = start_proxy(shared_maria, access=[{"user": "app", "database": "shop", "tls": True, "action": "allow"},
                                              {"user": "reader", "action": "allow"}])
    assert my_refusal(proxy, tls=True) is None
    assert my_refusal(proxy).number == 1045
    assert my_refusal(proxy, "nobody_x").number == 1045
    with MySqlWire(proxy.port) as client:
        client.log_in("reader", "reader secret")
        with pytest.raises(Refused) as refused:  # a change of user is a login
            client.change_user("app", MY_PASSWORD)
        assert refused.value.number == 1045
    assert disconnects(proxy, "access_denied") == 3


# -- how many ------------------------------------------------------------------------------------------------


def test_limits_of_users_and_databases(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, limits={"user_connections": 2, "database_connections": 3, "exceptions": [
        {"user": "reader", "connections": 1}, {"database": "postgres", "connections": 0}]})
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(proxy.connect())
        stack.enter_context(proxy.connect())
        error = refusal(proxy)
        assert error["C"] == "53300" and 'user "app"' in error["M"]
        assert refusal(proxy, password="wrong")["C"] == "28P01"  # only who has proven it hears of limits
        stack.enter_context(proxy.connect(user="reader"))
        assert 'user "reader"' in refusal(proxy, "reader", PASSWORDS["reader"], "postgres")["M"]
        assert 'database "shop"' in refusal(proxy, "app_md5", PASSWORDS["app_md5"])["M"]
        assert refusal(proxy, "app_md5", PASSWORDS["app_md5"], "postgres") is None
        assert disconnects(proxy, "too_many_clients") == 3
        first.close()
        wait_until(lambda: refusal(proxy) is None, "the place is free again")
        proxy.settings["cluster"][shared_cluster.name]["limits"] = {"user_connections": 1}
        reload(proxy)
        assert 'user "app"' in refusal(proxy)["M"]  # those who came under other limits are counted


def test_limits_of_mysql_users(shared_maria, start_proxy):
    proxy = start_proxy(shared_maria, limits={"user_connections": 1})
    with contextlib.closing(proxy.connect()) as connection:
        assert my_refusal(proxy).number == 1203
        connection.ping(reconnect=False)
        with MySqlWire(proxy.port) as other:
            other.log_in("reader", "reader secret")
            with pytest.raises(Refused) as refused:
                other.change_user("app", MY_PASSWORD)
            assert refused.value.number == 1203
    wait_until(lambda: my_refusal(proxy) is None, "the place is free again")


def test_max_clients(shared_cluster, shared_maria, start_proxy):
    proxy = start_proxy(shared_cluster, proxy={"max_clients": 2})
    blog = start_proxy(shared_maria, proxy={"max_clients": 1})
    with proxy.connect() as one, proxy.connect():
        error = refusal(proxy)
        assert error["C"] == "53300" and "proxy.max_clients" in error["M"]
        assert proxy.get("/healthz")[0] == 200
        # Far more than can be told why: they are closed at once, and who is in does not notice.
        crowd = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(400)]
        wait_until(lambda: disconnects(proxy, "too_many_clients") > 100, "those beyond that are closed")
        assert one.execute("SELECT 1").fetchone() == (1,)
        assert "event=connections_refused" in proxy.log_text()
        for client in crowd:
            client.close()
    wait_until(lambda: refusal(proxy) is None, "there is room again")
    with contextlib.closing(blog.connect()):
        assert my_refusal(blog).number == 1040


# -- how often -----------------------------------------------------------------------------------------------


def test_connection_rate(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, limits={"connect_rate": 1, "connect_burst": 5})
    with proxy.connect() as connection:
        refused = 0
        for _ in range(20):
            with Wire(proxy.port) as client, contextlib.suppress(Closed, ConnectionError):
                client.log_in("app", PASSWORDS["app"])
                continue
            refused += 1
        assert refused >= 10
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert disconnects(proxy, "rate_limited") == refused
        with Wire(proxy.port, "::1") as client:  # another address
            client.log_in("app", PASSWORDS["app"])
    wait_until(lambda: _gets_in(proxy), "there are tokens again", interval=1.2)
    assert "reason=rate_limited" in proxy.log_text()


def _gets_in(proxy):
    try:
        return refusal(proxy) is None
    except (Closed, ConnectionError):
        return False


def test_failed_logins_are_delayed(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, limits={"login_failures": 2, "login_delay": "3s"})
    for _ in range(2):
        assert refusal(proxy, password="wrong")["C"] == "28P01"
    began = time.monotonic()
    assert refusal(proxy, "reader", PASSWORDS["reader"]) is None  # behind the same NAT, as it were
    assert time.monotonic() - began < 3
    began = time.monotonic()
    assert refusal(proxy) is None  # late, but in
    assert time.monotonic() - began >= 2.9
    assert refusal(proxy, "nobody_x", "wrong")["C"] == "28P01"
    # Guessing in parallel does not help.
    crowd = [Wire(proxy.port) for _ in range(8)]
    for client in crowd:
        client.send(startup(user="app", database="shop"))
    answers = [client.receive() for client in crowd]
    codes = sorted(answer.sqlstate if answer.kind == "E" else "asked" for answer in answers)
    assert codes == ["53400"] * 3 + ["asked"] * 5
    for client in crowd:
        client.close()


def test_failed_mysql_logins_are_delayed(shared_maria, start_proxy):
    proxy = start_proxy(shared_maria, limits={"login_failures": 2, "login_delay": "1s"})
    for _ in range(2):
        assert my_refusal(proxy, password="wrong").number == 1045
    began = time.monotonic()
    assert my_refusal(proxy) is None
    assert time.monotonic() - began >= 0.9


# -- for how long --------------------------------------------------------------------------------------------


def test_idle_clients_are_let_go(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, timeouts={"idle": "1500ms"})
    with Wire(proxy.port) as idler, proxy.connect(autocommit=False) as busy:
        busy.execute("SELECT 1")
        idler.log_in("app", PASSWORDS["app"])
        (notice,) = idler.expect_end()
        assert notice.kind == "E" and notice.sqlstate == "57P05" and notice.error["S"] == "FATAL"
        assert busy.execute("SELECT 1").fetchone() == (1,)  # in a transaction: another timeout
        assert disconnects(proxy, "idle_timeout") == 1


def test_idle_transactions_are_rolled_back(shared_cluster, start_proxy, table):
    proxy = start_proxy(shared_cluster, timeouts={"idle_in_transaction": "1s"})
    with Wire(proxy.port) as client, proxy.connect() as other:
        client.log_in("app", PASSWORDS["app"])
        client.ask(f"BEGIN; INSERT INTO {table} VALUES (1, 'x')")
        (notice,) = client.expect_end()
        assert notice.sqlstate == "25P03" and notice.error["S"] == "FATAL"
        wait_until(lambda: shared_cluster.primary.value(
            f"SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass") == 0, "its locks are gone")
        assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_long_transactions_are_ended(shared_cluster, start_proxy, table):
    proxy = start_proxy(shared_cluster, timeouts={"transaction": "2s"})
    with Wire(proxy.port) as steady, Wire(proxy.port) as slow:
        steady.log_in("app", PASSWORDS["app"])
        slow.log_in("app", PASSWORDS["app"])
        slow.ask("BEGIN")
        slow.send(query("SELECT pg_sleep(99)"))
        steady.ask("BEGIN")
        with pytest.raises(Closed):
            while True:  # never idle, and yet too long
                messages = steady.ask(f"INSERT INTO {table} VALUES (1, 'x')")
                if any(message.kind == "E" for message in messages):
                    assert messages[-1].kind == "Z"
        answer = slow.expect_end()
        assert [message.sqlstate for message in answer if message.kind == "E"] == ["57014", "25P04"]
    assert disconnects(proxy, "transaction_timeout") == 2
    assert shared_cluster.primary.value(f"SELECT count(*) FROM {table}") == 0


def test_long_queries_are_cancelled(shared_cluster, start_proxy, table):
    proxy = start_proxy(shared_cluster, timeouts={"query": "1s"})
    with proxy.connect() as connection:
        for statement in ("SELECT pg_sleep(99)", f"INSERT INTO {table} SELECT 1, pg_sleep(99)::text"):
            began = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute(statement)
            assert 0.9 <= time.monotonic() - began < 30
            for _ in range(20):  # what comes next is not hit
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert proxy.metrics().sum(QUERY_TIMEOUTS) >= 2
        time.sleep(1.2)  # idle for longer than a query may take: nothing is cancelled
        assert connection.execute("SELECT 1").fetchone() == (1,)
        proxy.settings["cluster"][shared_cluster.name]["timeouts"] = {"query": "0s"}
        reload(proxy)
        assert connection.execute("SELECT pg_sleep(1.5)").fetchone()


def test_mysql_timeouts(shared_maria, start_proxy, maria_table):
    proxy = start_proxy(shared_maria, timeouts={"query": "1s", "idle": "4s", "idle_in_transaction": "2s"})
    with contextlib.closing(proxy.connect()) as connection:
        ask(connection, f"INSERT INTO {maria_table} VALUES (1, 'x')")
        for statement in (f"UPDATE {maria_table} SET v = SLEEP(30)", f"SELECT SLEEP(30) FROM {maria_table}"):
            began = time.monotonic()
            assert error_of(connection, statement) == QUERY_INTERRUPTED
            assert 0.9 <= time.monotonic() - began < 25
        for _ in range(20):
            assert value(connection, "SELECT 1") == 1
        ask(connection, "BEGIN")
        ask(connection, f"INSERT INTO {maria_table} VALUES (7, 'x')")
        wait_until(lambda: disconnects(proxy, "idle_in_transaction_timeout") == 1, "the transaction is ended")
        with pytest.raises(pymysql.OperationalError) as gone:
            ask(connection, "SELECT 1")
        assert gone.value.args[0] in (2006, 2013)
    with MySqlWire(proxy.port) as idler:
        idler.log_in("app", MY_PASSWORD)
        with pytest.raises(MySqlClosed):
            idler.receive()
    assert disconnects(proxy, "idle_timeout") == 1
    wait_until(lambda: shared_maria.primary.value(f"SELECT COUNT(*) FROM {maria_table}") == 1, "it is rolled back")
