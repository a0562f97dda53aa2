"""Servers die, freeze, are promoted and come back; clients go on."""

import collections
import functools
import os
import signal
import threading
import time

import psycopg
import pytest

import wire
from harness.load import TABLES, Counter, Idler, Inserter, Load, Reader
from harness.metrics import HELD
from harness.postgres import PASSWORDS
from harness.proxy import IMPATIENT_HEALTH
from harness.waiting import wait_until
from wire import Wire, query, rows, sqlstates, transaction_status

pytestmark = pytest.mark.proxy_only

# Seconds from the end of the promotion to the first acknowledged write. Instrumented builds may take longer.
FIRST_WRITE = 0.2 * float(os.environ.get("HOLDFAST_SLOWNESS", "1"))

WHERE = "SELECT inet_server_port()"


@pytest.fixture
def start_proxy(start_proxy):
    """Servers stop answering here: it should be noticed soon."""
    return functools.partial(start_proxy, health=IMPATIENT_HEALTH)


def kill(cluster):
    cluster.primary.kill9()


def stop_cleanly(cluster):
    cluster.primary.stop("fast")


def stop_immediately(cluster):
    cluster.primary.stop("immediate")


def freeze(cluster):
    cluster.primary.freeze()


# -- the whole picture ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [kill, stop_cleanly, freeze])
def test_200_clients_live_through_the_primarys_end(make_cluster, start_proxy, end):
    """Nobody is dropped, nothing is lost or doubled, and the first write follows the promotion at once.

    Clients, servers and proxy share a machine here, which may have other things to do: 0.2 s are allowed on top of what
    a client without the proxy needs to log in and write at the same moment, and the best of three rounds counts.
    """
    delays = []
    for _ in range(3):
        answered, seen, direct = live_through(make_cluster, start_proxy, end)
        delays.append(f"{answered * 1000:.0f} ms (seen by the clients after {seen * 1000:.0f} ms, without the proxy "
                      f"{direct * 1000:.0f} ms)")
        print("first write after", delays[-1])
        if answered < FIRST_WRITE + direct and seen < 5 * FIRST_WRITE + direct:
            return
    pytest.fail(f"the first writes came after {', '.join(delays)}")


def live_through(make_cluster, start_proxy, end):
    """Three times in seconds from the end of the promotion: to the first write that the new primary answered by the
    proxy's log, to the first that the clients saw answered (200 in one Python thread are slow to look), and to that of a
    client without the proxy."""
    cluster = make_cluster(synchronous=1)
    cluster.execute(TABLES + "CREATE TABLE direct (i int)")
    proxy = start_proxy(cluster, pool={"max_connections": 300})
    load = Load(proxy, {Inserter: 60, Counter: 50, Reader: 50, Idler: 40}).start()
    began = time.monotonic()
    wait_until(lambda: load.writes_since(began) > 500, "the load is under way")

    old = cluster.primary
    end(cluster)
    # An operator (or a manager) needs a moment to decide, and decides when he has noticed.
    decided = time.monotonic() + 1
    wait_until(lambda: time.monotonic() >= decided, "a second has passed")
    noticed(proxy, old)
    cluster.promote()
    promoted, promoted_at = time.monotonic(), time.time()
    cluster.primary.execute("INSERT INTO direct VALUES (1)")
    direct = time.monotonic() - promoted
    wait_until(lambda: load.writes_since(promoted) > 500, "the load goes on")
    load.stop()
    seen = min(at for at in load.writes if at >= promoted) - promoted

    assert load.dropped() == []
    assert load.judge(cluster.primary) == []
    assert set(load.errors()) <= {"40001", "08007"}, load.errors()
    assert all(client.done for client in load.clients if not isinstance(client, Idler))
    resumed = proxy.writes_resumed_at(cluster.primary)
    return resumed - promoted_at if resumed else seen, seen, direct


def test_standby_killed_under_read_load(make_cluster, start_proxy):
    cluster = make_cluster()
    cluster.execute("CREATE TABLE things AS SELECT generate_series(1, 1000) AS i; ALTER TABLE things OWNER TO app")
    proxy = start_proxy(cluster)
    stopping = threading.Event()
    errors, counts = [], collections.Counter()

    def read(number):
        with proxy.connect() as connection:
            while not stopping.is_set():
                try:
                    count, port = connection.execute("SELECT count(*), inet_server_port() FROM things").fetchone()
                    assert count == 1000
                    counts[port] += 1
                except Exception as error:  # noqa: BLE001
                    errors.append(f"reader {number}: {error}")
                    return

    readers = [threading.Thread(target=read, args=(number,)) for number in range(30)]
    for reader in readers:
        reader.start()
    first, second = cluster.standbys
    wait_until(lambda: counts[first.port] > 100 and counts[second.port] > 100, "both standbys read")
    first.kill9()
    before = counts[second.port]
    wait_until(lambda: counts[second.port] > before + 300, "reads go on")
    first.start()
    proxy.wait_state(first, "up")
    before = counts[first.port]
    with proxy.connect() as connection:  # established sessions may stay where they are; new ones are spread again
        wait_until(lambda: connection.execute(WHERE).fetchone(), "a new session reads")
    second.freeze()
    total = sum(counts.values())
    wait_until(lambda: sum(counts.values()) > total + 300, "reads go on without the frozen standby")
    second.thaw()
    stopping.set()
    for reader in readers:
        reader.join(60)
    assert errors == []


# -- one client at a time ------------------------------------------------------------------------------------


@pytest.fixture
def pair(make_cluster, start_proxy):
    """A primary with one standby, a table, a proxy."""
    cluster = make_cluster(standbys=1)
    cluster.execute("CREATE TABLE t (id int, v text); ALTER TABLE t OWNER TO app; CREATE TABLE big AS "
                    "SELECT generate_series(1, 300000) AS i, repeat('x', 100) AS v; ALTER TABLE big OWNER TO app")
    proxy = start_proxy(cluster)
    return cluster, proxy


@pytest.fixture
def client(pair):
    with Wire(pair[1].port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


ENDS = [kill, stop_cleanly, stop_immediately, freeze]


@pytest.mark.parametrize("end", ENDS)
def test_idle_client_hears_nothing(pair, client, end):
    cluster, _ = pair
    client.ask("SET work_mem = '5MB'")
    client.send(wire.parse("kept", "SELECT inet_server_port(), $1::text"), wire.sync())
    client.until_ready()
    client.ask("LISTEN news")
    client.ask("INSERT INTO t VALUES (1, 'before')")
    end(cluster)
    cluster.promote()
    noticed(pair[1], cluster.standbys[0])
    assert heard_within(client, 0.5) is None
    assert tags_of(client.ask("INSERT INTO t VALUES (2, 'after')")) == ["INSERT 0 1"]
    assert client.value("SHOW work_mem") == "5MB"
    client.send(wire.bind("", "kept", ("x",)), wire.execute(), wire.sync())
    assert rows(client.until_ready())[0][1] == b"x"
    with psycopg.connect(**pair[1].options(), autocommit=True) as other:
        other.execute("NOTIFY news, 'from the new primary'")
    assert client.receive().notification[2] == "from the new primary"


def noticed(proxy, server):
    """Until the proxy knows that the server is gone: before that a statement may still be sent to a dead server, and
    then its outcome is unknown."""
    wait_until(lambda: proxy.metrics().state_of(server.name) not in ("up", "suspect"), f"the proxy misses {server}")


def heard_within(client, seconds):
    """A message that comes by itself, or None."""
    patience = client.socket.gettimeout()
    client.socket.settimeout(seconds)
    try:
        return client.receive()
    except TimeoutError:
        return None
    finally:
        client.socket.settimeout(patience)


def tags_of(messages):
    assert not sqlstates(messages), messages
    return wire.tags(messages)


@pytest.mark.parametrize("end", ENDS)
def test_open_transaction_gets_40001_and_then_the_usual(pair, client, end):
    cluster, _ = pair
    client.ask("BEGIN")
    client.ask("INSERT INTO t VALUES (1, 'lost')")
    end(cluster)
    cluster.promote()
    messages = client.ask("INSERT INTO t VALUES (2, 'lost too')")
    assert sqlstates(messages) == ["40001"] and transaction_status(messages) == "E"
    messages = client.ask("SELECT 1")
    assert sqlstates(messages) == ["25P02"] and transaction_status(messages) == "E"
    messages = client.ask("COMMIT")
    assert wire.tags(messages) == ["ROLLBACK"] and transaction_status(messages) == "I"
    assert tags_of(client.ask("INSERT INTO t VALUES (3, 'kept')")) == ["INSERT 0 1"]
    assert cluster.primary.rows("SELECT id FROM t") == [(3,)]


def test_lost_transaction_in_the_extended_protocol(pair, client):
    cluster, _ = pair
    client.send(wire.statement("BEGIN"), wire.sync())
    client.until_ready()
    client.send(wire.statement("INSERT INTO t VALUES (1, 'lost')"), wire.sync())
    client.until_ready()
    kill(cluster)
    cluster.promote()
    client.send(wire.statement("INSERT INTO t VALUES (2, 'lost')"), wire.statement("SELECT 1"), wire.sync())
    messages = client.until_ready()
    assert wire.kinds(messages) == "EZ" and sqlstates(messages) == ["40001"] and transaction_status(messages) == "E"
    client.send(wire.statement("SELECT 1"), wire.sync())
    assert sqlstates(client.until_ready()) == ["25P02"]
    client.send(wire.statement("ROLLBACK"), wire.sync())
    messages = client.until_ready()
    assert wire.tags(messages) == ["ROLLBACK"] and transaction_status(messages) == "I"
    client.send(wire.statement("INSERT INTO t VALUES (3, 'kept')"), wire.sync())
    assert tags_of(client.until_ready()) == ["INSERT 0 1"]


def test_rollback_to_a_savepoint_of_a_lost_transaction(pair, client):
    """The savepoint is gone with the transaction: going back to it must not pretend to have worked."""
    cluster, _ = pair
    client.ask("BEGIN")
    client.ask("INSERT INTO t VALUES (1, 'lost')")
    client.ask("SAVEPOINT s")
    kill(cluster)
    cluster.promote()
    assert sqlstates(client.ask("INSERT INTO t VALUES (2, 'lost')")) == ["40001"]
    messages = client.ask("ROLLBACK TO s")
    assert sqlstates(messages) and transaction_status(messages) == "E"
    client.ask("ROLLBACK")
    assert cluster.primary.value("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("end", ENDS)
def test_write_in_flight_gets_08007(pair, client, end):
    """Nobody knows whether it was done: it is not repeated, and not reported as done."""
    cluster, _ = pair
    client.send(query("INSERT INTO t SELECT 1, 'in flight' FROM pg_sleep(30)"))
    running(cluster.primary, "in flight")
    end(cluster)
    cluster.promote()
    messages = client.until_ready()
    assert sqlstates(messages) == ["08007"] and transaction_status(messages) == "I"
    assert tags_of(client.ask("INSERT INTO t VALUES (2, 'after')")) == ["INSERT 0 1"]
    assert cluster.primary.rows("SELECT id FROM t") == [(2,)]


def running(server, marker):
    wait_until(lambda: server.rows("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND "
                                   "pid <> pg_backend_pid()", f"%{marker}%"), f"{marker} runs on {server}")


def test_commit_in_flight_gets_08007(make_cluster, start_proxy):
    """A COMMIT that waits for a synchronous standby that is frozen; then the primary dies."""
    cluster = make_cluster(standbys=2)
    cluster.execute("CREATE TABLE t (id int); ALTER TABLE t OWNER TO app")
    waited_for, other = cluster.standbys
    proxy = start_proxy(cluster)
    cluster.primary.set(synchronous_standby_names=waited_for.name)
    wait_until(lambda: cluster.primary.value("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1,
               "a synchronous standby")
    with Wire(proxy.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.ask("BEGIN")
        client.ask("INSERT INTO t VALUES (1)")
        waited_for.freeze()
        client.send(query("COMMIT"))
        running(cluster.primary, "COMMIT")
        kill(cluster)
        waited_for.thaw()
        cluster.promote()
        messages = client.until_ready()
        assert sqlstates(messages) == ["08007"] and transaction_status(messages) == "I"
        assert tags_of(client.ask("INSERT INTO t VALUES (2)")) == ["INSERT 0 1"]


@pytest.mark.parametrize("where", ["primary", "standby"])
def test_read_in_flight_runs_again(pair, client, where):
    """It waits for a lock on the table while its server dies: a standby, too, sees the primary's exclusive locks."""
    cluster, _ = pair
    (standby,) = cluster.standbys
    victim = cluster.primary if where == "primary" else standby
    if where == "primary":
        # Only there the session can see what it has just written.
        standby.pause_replay()
        client.ask("INSERT INTO t VALUES (1, 'seen')")
    locker = cluster.primary.connect()
    locker.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    if where == "standby":
        # The lock's record is only sent with the next commit.
        cluster.primary.rows("SELECT pg_logical_emit_message(true, 'a', 'commit')")
        wait_until(lambda: standby.rows("SELECT 1 FROM pg_locks WHERE relation = 't'::regclass AND granted"),
                   "the standby has the lock")
    client.send(query("SELECT 'read again', count(*) FROM t"))
    running(victim, "read again")
    victim.kill9()
    locker.close()
    if where == "primary":
        standby.resume_replay()
        cluster.promote()
    messages = client.until_ready()
    assert not sqlstates(messages)
    assert rows(messages) == [[b"read again", b"1" if where == "primary" else b"0"]]


def test_broken_off_result_ends_in_an_error(pair, client):
    """Rows have gone to the client: the rest becomes an error, and the connection is usable."""
    cluster, _ = pair
    client.send(query("/* holdfast: primary */ SELECT * FROM big, generate_series(1, 20)"))
    assert client.receive().kind == "T"
    assert client.receive().kind == "D"
    kill(cluster)
    cluster.promote()
    messages = client.until_ready()
    assert sqlstates(messages) and messages[-2].kind == "E" and transaction_status(messages) == "I"
    assert client.value("SELECT 1") == "1"
    assert tags_of(client.ask("INSERT INTO t VALUES (1, 'after')")) == ["INSERT 0 1"]


def test_copy_in_broken_off(pair, client):
    cluster, _ = pair
    client.send(query("COPY t FROM STDIN"))
    client.until("G")
    client.send(wire.copy_data(b"1\tlost\n" * 1000))
    kill(cluster)
    cluster.promote()
    client.send(wire.copy_data(b"2\tlost\n" * 1000), wire.copy_done())
    assert sqlstates(client.until_ready())
    assert client.value("SELECT 'usable'") == "usable"
    assert cluster.primary.value("SELECT count(*) FROM t") == 0


@pytest.mark.parametrize("end", ENDS)
def test_next_statement_waits_for_the_new_primary(pair, client, end):
    cluster, proxy = pair
    end(cluster)
    noticed(proxy, cluster.primary)
    client.send(query("INSERT INTO t VALUES (1, 'waited')"))
    wait_until(lambda: proxy.metrics().sum("holdfast_held_statements") >= 1, "the insert is held")
    cluster.promote()
    assert tags_of(client.until_ready()) == ["INSERT 0 1"]
    assert proxy.metrics().sum(HELD, outcome="resumed") >= 1
    assert cluster.primary.value("SELECT count(*) FROM t") == 1


def test_without_a_primary_for_long_reads_go_on_or_all_is_refused(pair, start_proxy):
    """As failover.no_primary says."""
    cluster, goes_on = pair
    refuses = start_proxy(cluster, failover={"wait": "1s", "no_primary": "reject"})
    with goes_on.connect() as reader, refuses.connect() as refused:
        for connection in (reader, refused):
            wait_until(lambda: connection.execute(WHERE).fetchone()[0] == cluster.standbys[0].port, "reads run on the standby")
        kill(cluster)

        def is_refused():
            try:
                refused.execute("SELECT 1")
            except psycopg.errors.CannotConnectNow as error:
                assert "no primary" in str(error)
                return True
            return False

        wait_until(is_refused, "reads are refused")
        assert reader.execute("SELECT 1").fetchone() == (1,)
        cluster.promote()
        wait_until(lambda: not is_refused(), "they are served again")


def test_new_clients_log_in_while_there_is_no_primary(pair):
    cluster, proxy = pair
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
    kill(cluster)
    proxy.wait_state(cluster.primary, "down")
    with proxy.connect() as reader:
        assert reader.execute(WHERE).fetchone() == (cluster.standbys[0].port,)
    with Wire(proxy.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.send(query("INSERT INTO t VALUES (1, 'new client')"))
        cluster.promote()
        assert tags_of(client.until_ready()) == ["INSERT 0 1"]


def test_new_clients_log_in_while_no_server_is_there(pair):
    cluster, proxy = pair
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
    (standby,) = cluster.standbys
    standby.kill9()
    kill(cluster)
    for server in cluster.servers:
        proxy.wait_state(server, "down")
    with Wire(proxy.port) as client:
        client.log_in("app", PASSWORDS["app"])
        assert "server_version" in client.parameters
        client.send(query("SELECT 'patience'"))
        cluster.primary.start()
        assert rows(client.until_ready()) == [[b"patience"]]


def test_new_clients_are_told_their_own_settings_while_no_server_is_there(pair):
    """Nobody can be asked: what is said is not what another client has asked for itself."""
    cluster, proxy = pair
    with Wire(proxy.port) as first:
        first.log_in("app", PASSWORDS["app"], application_name="first", client_encoding="LATIN1", DateStyle="German")
    for server in cluster.servers:
        server.kill9()
        proxy.wait_state(server, "down")
    with Wire(proxy.port) as second, Wire(proxy.port) as third:
        second.log_in("app", PASSWORDS["app"], application_name="second", TimeZone="Asia/Tokyo")
        assert second.parameters["application_name"] == "second"
        assert second.parameters["client_encoding"] == "UTF8"
        assert second.parameters["DateStyle"] == "ISO, MDY"
        assert second.parameters["TimeZone"] == "Asia/Tokyo"
        third.log_in("app", PASSWORDS["app"], client_encoding="latin1", options="-c DateStyle=SQL")
        assert third.parameters["client_encoding"] == "LATIN1"
        assert third.parameters["DateStyle"].startswith("SQL")


def test_waiting_is_bounded_and_ends_in_an_error_not_in_a_drop(make_cluster, start_proxy):
    cluster = make_cluster(standbys=1)
    cluster.execute("CREATE TABLE t (id int, v text); ALTER TABLE t OWNER TO app")
    proxy = start_proxy(cluster, failover={"wait": "1s"})
    with Wire(proxy.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.ask("INSERT INTO t VALUES (1, 'before')")
        kill(cluster)
        noticed(proxy, cluster.primary)
        began = time.monotonic()
        messages = client.ask("INSERT INTO t VALUES (2, 'refused')")
        assert sqlstates(messages) and transaction_status(messages) == "I"
        assert 0.5 < time.monotonic() - began < 20
        assert proxy.metrics().sum(HELD, outcome="timed_out") >= 1
        cluster.promote()
        wait_until(lambda: not sqlstates(client.ask("INSERT INTO t VALUES (3, 'after')")), "writes work again")
        assert cluster.primary.value("SELECT count(*) FROM t WHERE id = 2") == 0


def test_waiting_clients_cost_no_memory(make_cluster, start_proxy):
    """Their sockets are not read: what they send stays with them."""
    cluster = make_cluster(standbys=1)
    cluster.execute("CREATE TABLE t (v text); ALTER TABLE t OWNER TO app")
    proxy = start_proxy(cluster)
    clients = [Wire(proxy.port) for _ in range(20)]
    for client in clients:
        client.log_in("app", PASSWORDS["app"])
        client.ask("SELECT 1")
    kill(cluster)
    proxy.wait_state(cluster.primary, "down")
    before = proxy.memory()
    statement = query("INSERT INTO t VALUES ('" + "x" * 50_000 + "')")

    def send_much(client):
        for _ in range(200):
            client.send(statement)

    senders = [threading.Thread(target=send_much, args=(client,)) for client in clients]
    for sender in senders:
        sender.start()
    wait_until(lambda: proxy.metrics().sum("holdfast_held_statements") >= 20, "all wait")
    assert proxy.memory() - before < 24 * 1024 * 1024
    cluster.promote()
    for client in clients:
        for _ in range(200):
            assert tags_of(client.until_ready()) == ["INSERT 0 1"]
    for sender in senders:
        sender.join(60)
    assert cluster.primary.value("SELECT count(*) FROM t") == 4000
    for client in clients:
        client.close()


def test_client_that_leaves_while_it_waits(pair):
    """Its statement was never sent and never is."""
    cluster, proxy = pair
    with Wire(proxy.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.ask("SELECT 1")
        kill(cluster)
        proxy.wait_state(cluster.primary, "down")
        client.send(query("INSERT INTO t VALUES (1, 'abandoned')"))
        wait_until(lambda: proxy.metrics().sum("holdfast_held_statements") >= 1, "it waits")
    wait_until(lambda: proxy.metrics().sum("holdfast_held_statements") == 0, "the wait is over")
    cluster.promote()
    with proxy.connect() as connection:
        connection.execute("INSERT INTO t VALUES (2, 'real')")
    assert cluster.primary.rows("SELECT id FROM t") == [(2,)]


def test_cancel_while_waiting(pair, client):
    cluster, proxy = pair
    client.ask("SELECT 1")
    kill(cluster)
    proxy.wait_state(cluster.primary, "down")
    client.send(query("INSERT INTO t VALUES (1, 'cancelled')"))
    wait_until(lambda: proxy.metrics().sum("holdfast_held_statements") >= 1, "it waits")
    wire.cancel(client, proxy.port)
    assert sqlstates(client.until_ready()) == ["57014"]
    cluster.promote()
    assert tags_of(client.ask("INSERT INTO t VALUES (2, 'after')")) == ["INSERT 0 1"]
    assert cluster.primary.rows("SELECT id FROM t") == [(2,)]


# -- who is the primary --------------------------------------------------------------------------------------


def test_old_primary_that_returns_is_fenced(pair, client):
    """It is writable, on its old timeline; nothing may reach it until it follows the new one."""
    cluster, proxy = pair
    old = cluster.primary
    client.ask("INSERT INTO t VALUES (1, 'before')")
    cluster.wait_replayed()
    kill(cluster)
    cluster.promote()
    assert tags_of(client.ask("INSERT INTO t VALUES (2, 'after')")) == ["INSERT 0 1"]
    old.start()
    proxy.wait_state(old, "quarantined")
    for i in range(20):
        with proxy.connect() as connection:
            connection.execute("INSERT INTO t VALUES (%s, 'fenced')", (100 + i,))
            assert connection.execute(WHERE).fetchone() == (cluster.primary.port,)
    assert old.value("SELECT count(*) FROM t") == 1
    cluster.rebuild(old)
    proxy.wait_state(old, "up")
    wait_until(lambda: client.value(WHERE) == str(old.port), "it serves reads as a standby")


def test_frozen_primary_that_wakes_up_after_the_promotion(pair, client):
    cluster, proxy = pair
    old = cluster.primary
    client.ask("INSERT INTO t VALUES (1, 'before')")
    cluster.wait_replayed()
    old.freeze()
    cluster.promote()
    noticed(proxy, old)
    assert tags_of(client.ask("INSERT INTO t VALUES (2, 'after')")) == ["INSERT 0 1"]
    old.thaw()
    proxy.wait_state(old, "quarantined")
    for i in range(20):
        assert tags_of(client.ask(f"INSERT INTO t VALUES ({100 + i}, 'fenced')")) == ["INSERT 0 1"]
    assert old.value("SELECT count(*) FROM t") == 1


def test_promotion_behind_a_living_primary_is_not_followed(pair, client):
    """Two writable servers: keep the current one, raise the alarm, never guess … unless its timeline is higher."""
    cluster, proxy = pair
    current, (standby,) = cluster.primary, cluster.standbys
    client.ask("INSERT INTO t VALUES (1, 'before')")
    cluster.wait_replayed()
    standby.promote()
    wait_until(lambda: "quarantined" in (proxy.metrics().state_of(current.name), proxy.metrics().state_of(standby.name)),
               "one of the two is fenced")
    fenced = standby if proxy.metrics().state_of(standby.name) == "quarantined" else current
    used = current if fenced is standby else standby
    for i in range(10):
        assert tags_of(client.ask(f"INSERT INTO t VALUES ({100 + i}, 'one only')")) == ["INSERT 0 1"]
    assert fenced.value("SELECT count(*) FROM t WHERE id >= 100") == 0
    assert used.value("SELECT count(*) FROM t WHERE id >= 100") == 10


def test_quick_restart_of_the_primary(pair, client):
    cluster, proxy = pair
    client.ask("SET work_mem = '5MB'")
    client.ask("INSERT INTO t VALUES (1, 'before')")
    cluster.primary.stop("fast")
    noticed(proxy, cluster.primary)
    client.send(query("INSERT INTO t VALUES (2, 'meanwhile')"))
    cluster.primary.start()
    assert tags_of(client.until_ready()) == ["INSERT 0 1"]
    assert client.value("SHOW work_mem") == "5MB"
    assert cluster.primary.value("SELECT count(*) FROM t") == 2


def test_one_backend_killed(pair, client):
    """PostgreSQL restarts itself when a backend is killed; the primary stays the primary."""
    cluster, proxy = pair
    client.ask("INSERT INTO t VALUES (1, 'before')")
    with proxy.connect() as other:
        other.execute("INSERT INTO t VALUES (2, 'before')")
        pid = int(other.execute("/* holdfast: primary */ SELECT pg_backend_pid()").fetchone()[0])
        os.kill(pid, signal.SIGKILL)

        def writes(id):
            """What is in flight at that moment has an unknown outcome; nothing else may go wrong."""
            messages = client.ask(f"INSERT INTO t VALUES ({id}, 'after')")
            assert sqlstates(messages) in ([], ["08007"])
            return not sqlstates(messages)

        wait_until(lambda: writes(3), "writes go on")
        wait_until(lambda: "reinitializing" in cluster.primary.log_tail(200), "the server has restarted itself")
        wait_until(lambda: writes(4), "writes go on")
        wait_until(lambda: other.execute("INSERT INTO t VALUES (5, 'after')"), "the other client goes on")
    proxy.wait_state(cluster.standbys[0], "up")


def test_terminated_backend(pair, client):
    """pg_terminate_backend on an idle session (57P01): the client hears nothing of it."""
    cluster, proxy = pair
    client.ask("INSERT INTO t VALUES (1, 'before')")
    cluster.primary.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
    assert heard_within(client, 0.3) is None
    assert tags_of(client.ask("INSERT INTO t VALUES (2, 'after')")) == ["INSERT 0 1"]


def test_server_of_another_cluster_is_refused(make_cluster, start_proxy, workplace, template):
    """Its system identifier differs: it is never asked, whatever it says of itself."""
    from harness.postgres import ACCOUNT, BIN, Server, run_as_postgres
    import shutil
    cluster = make_cluster(standbys=1)
    folder = workplace / f"stranger{cluster.primary.port}"
    folder.mkdir()
    shutil.chown(folder, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
    stranger = Server("stranger", folder)
    run_as_postgres(BIN / "initdb", "-D", stranger.data, "-U", "postgres", "--no-sync", "--auth=trust")
    stranger.start(wait=False)
    wait_until(lambda: stranger.value("SELECT 1", dbname="postgres"), "the stranger runs")
    try:
        stranger.execute("CREATE ROLE holdfast LOGIN PASSWORD 'service-secret' IN ROLE pg_monitor", dbname="postgres")
        stranger.execute("GRANT SELECT ON pg_authid TO holdfast", dbname="postgres")

        def add(proxy):
            proxy.settings["cluster"]["shop"]["servers"].append(
                {"name": "stranger", "address": f"127.0.0.1:{stranger.port}"})

        proxy = start_proxy(cluster, before_start=add)
        wait_until(lambda: proxy.metrics().state_of("stranger") in ("broken", "quarantined"), "the stranger is refused")
        with proxy.connect() as connection:
            connection.execute("CREATE TABLE mine (i int)")
        assert cluster.primary.value("SELECT to_regclass('mine') IS NOT NULL")
    finally:
        stranger.kill9()
        shutil.rmtree(folder, ignore_errors=True)


# -- pinned state --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make_state", ["CREATE TEMP TABLE tt AS SELECT 1 AS i", "SELECT pg_advisory_lock(5)"])
def test_lost_pinned_state_is_named_once(pair, client, make_state):
    cluster, _ = pair
    client.ask(make_state)
    kill(cluster)
    cluster.promote()
    messages = client.ask("SELECT 1")
    assert len(sqlstates(messages)) == 1 and transaction_status(messages) == "I"
    assert client.value("SELECT 'clean from here'") == "clean from here"
    assert tags_of(client.ask("INSERT INTO t VALUES (1, 'after')")) == ["INSERT 0 1"]


# -- again and again -----------------------------------------------------------------------------------------


def test_five_failovers_in_a_row(make_cluster, start_proxy):
    """Each time the old primary comes back as a standby; one set of clients lives through all of it."""
    cluster = make_cluster(synchronous=1)
    cluster.execute(TABLES + "CREATE TABLE direct (i int)")
    proxy = start_proxy(cluster)
    load = Load(proxy, {Inserter: 10, Counter: 10, Reader: 10, Idler: 10}, pause=0.05).start()
    first_writes = []
    for _ in range(5):
        began = time.monotonic()
        wait_until(lambda: load.writes_since(began) > 100, "the load is under way")
        old = cluster.primary
        old.kill9()
        cluster.promote()
        promoted = time.monotonic()
        cluster.primary.execute("INSERT INTO direct VALUES (1)")
        direct = time.monotonic() - promoted
        wait_until(lambda: load.writes_since(promoted) > 50, "the load goes on")
        first_writes.append(min(at for at in load.writes if at >= promoted) - promoted - direct)
        cluster.rebuild(old)
        cluster.require_synchronous(1)
        proxy.wait_state(old, "up")
    load.stop()
    assert load.dropped() == []
    assert load.judge(cluster.primary) == []
    assert set(load.errors()) <= {"40001", "08007"}, load.errors()
    print("first writes after", *(f"{seconds * 1000:.0f} ms" for seconds in first_writes), "more than without the proxy")
    assert min(first_writes) < FIRST_WRITE
