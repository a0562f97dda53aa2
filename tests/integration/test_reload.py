"""A changed configuration is taken into use while clients work: SIGHUP to the running proxy."""

import contextlib
import signal
import socket
import ssl
import time

import psycopg
import pymysql
import pytest

from harness.load import TABLES, Counter, Idler, Inserter, Load, Reader
from harness.mysql import MySqlEndpoint
from harness.ports import free_port
from harness.processes import open_descriptors
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only

RELOADS = "holdfast_config_reloads_total"
SUCCESSFUL = "holdfast_config_last_reload_successful"
WHERE = "SELECT inet_server_port()"
MIB = 1024 * 1024


def reload(proxy, *results):
    """Has the proxy read its file, and waits for what comes of it: that it is in use, unless said otherwise. Reloads
    that the test before left do not count."""
    results = results or ("applied", "unchanged")

    def count():
        return sum(proxy.metrics().sum(RELOADS, result=result) for result in results)

    before = count()
    proxy.write_config()
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: count() > before, f"a reload is {results}", interval=0.005)


def entry(server):
    return {"name": server.name, "address": f"127.0.0.1:{server.port}"}


def where(connection):
    return connection.execute(WHERE).fetchone()[0]


def reads_on(connection, server):
    """Whether each of several reads ran on this server."""
    return all(where(connection) == server.port for _ in range(5))


@pytest.fixture
def proxy(shared_cluster, start_proxy):
    return start_proxy(shared_cluster)


def settings(proxy):
    return proxy.settings["cluster"][proxy.cluster.name]


# -- one thing at a time -------------------------------------------------------------------------------------


def test_log_level(proxy):
    proxy.settings["proxy"]["log_level"] = "error"
    reload(proxy)
    before = len(proxy.log_text())
    proxy.connect().close()
    reload(proxy)
    assert proxy.log_text()[before:] == ""


def test_the_log_says_what_changed(proxy):
    """Paths, and neither values nor secrets; a reload that changes nothing says that."""
    settings(proxy)["routing"] = {"max_lag": "7s"}
    settings(proxy)["servers"][1]["weight"] = 50
    proxy.settings["user"] = [{"name": "legacy", "password": "s3cr3t-value"}]
    before = len(proxy.log_text())
    reload(proxy, "applied")
    (line,) = [line for line in proxy.log_text()[before:].splitlines() if "event=reload_applied" in line]
    name, cluster = proxy.cluster.servers[1].name, proxy.cluster.name
    assert f'"cluster.{cluster}.servers[{name}].weight, cluster.{cluster}.routing.max_lag.time, +user[legacy]"' in line
    before = len(proxy.log_text())
    reload(proxy, "unchanged")
    assert "event=reload_unchanged" in proxy.log_text()[before:]
    proxy.settings["user"][0]["password"] = "an0ther-value"
    before = len(proxy.log_text())
    reload(proxy, "applied")
    assert "user[legacy].password" in proxy.log_text()[before:]
    assert "s3cr3t-value" not in proxy.log_text() and "an0ther-value" not in proxy.log_text()


def test_a_key_that_needs_a_restart_is_named_until_it_is_as_before(proxy):
    in_sync = "holdfast_config_file_in_sync"
    wait_until(lambda: proxy.metrics().sum(in_sync) == 1, "the file is the one in use")
    proxy.settings["proxy"]["state_file"] = str(proxy.folder / "state.json")
    before = len(proxy.log_text())
    reload(proxy, "applied")
    wait_until(lambda: proxy.metrics().sum(in_sync) == 0, "a key waits")
    assert "event=restart_needed keys=proxy.state_file" in proxy.log_text()[before:]
    reload(proxy, "unchanged")
    del proxy.settings["proxy"]["state_file"]
    before = len(proxy.log_text())
    reload(proxy, "applied")
    wait_until(lambda: proxy.metrics().sum(in_sync) == 1, "the file is the one in use again")
    assert "event=restart_needed" not in proxy.log_text()[before:]


def test_a_listener_comes_and_goes(proxy):
    """Who came in by a listener that is taken away stays."""
    port = free_port()
    listeners = settings(proxy)["listener"]
    listeners.append({"listen": [f"127.0.0.1:{port}"], "role": "primary"})
    reload(proxy)
    with psycopg.connect(**{**proxy.options(), "port": port}, autocommit=True) as connection:
        assert reads_on(connection, proxy.cluster.primary)
        listeners.pop()
        reload(proxy)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5).close()
        assert reads_on(connection, proxy.cluster.primary)


def test_a_listener_changes_its_role(proxy):
    """For those who come in from then on."""
    with proxy.connect() as before:
        wait_until(lambda: where(before) != proxy.cluster.primary.port, "reads run on a standby")
        settings(proxy)["listener"][0]["role"] = "primary"
        reload(proxy)
        assert where(before) != proxy.cluster.primary.port
        with proxy.connect() as after:
            assert reads_on(after, proxy.cluster.primary)


def test_certificates_are_read_again(proxy, authority):
    crt, key = authority.issue("reloaded", ["localhost"])
    port = free_port()
    proxy.settings["cluster"]["direct"] = {
        **settings(proxy), "listener": [{"listen": [f"127.0.0.1:{port}"], "tls": {"cert": str(crt), "key": str(key)}}]}
    reload(proxy)
    first = tls_certificate(port)
    reload(proxy, "unchanged")
    assert tls_certificate(port) == first
    authority.issue("reloaded", ["localhost"])  # into the same files
    reload(proxy, "applied")
    assert tls_certificate(port) != first


def tls_certificate(port):
    """What the proxy shows to a client that begins TLS as PostgreSQL's do."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")
        assert plain.recv(1) == b"S"
        with context.wrap_socket(plain) as secured:
            return secured.getpeercert(binary_form=True)


def test_users_and_their_passwords(proxy):
    """A configured account's clients log in by the configured password, the others by the servers'."""
    secret = proxy.options()["password"]
    proxy.settings["user"] = [{"name": "app", "password": "another"}]
    reload(proxy)
    with pytest.raises(psycopg.OperationalError, match="password"):
        proxy.connect()
    proxy.settings["user"] = [{"name": "app", "password": secret}]
    reload(proxy)
    proxy.connect().close()
    del proxy.settings["user"]
    reload(proxy)
    proxy.connect().close()


def test_a_standby_is_taken_away_and_added_again(proxy):
    """Its sessions read elsewhere, and an open transaction on it ends where it began."""
    cluster = proxy.cluster
    first, second = cluster.standbys
    settings(proxy)["servers"] = [entry(cluster.primary), entry(first)]
    with proxy.connect() as connection:
        reload(proxy)
        wait_until(lambda: where(connection) == first.port, "reads run on the standby that is left")
        connection.execute("BEGIN READ ONLY")
        assert where(connection) == first.port
        settings(proxy)["servers"] = [entry(cluster.primary), entry(second)]
        reload(proxy)
        assert where(connection) == first.port
        connection.execute("COMMIT")
        wait_until(lambda: where(connection) == second.port, "reads run on the other one")
        wait_until(lambda: first.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'", dbname="postgres") == 0,
                   "nobody is connected to what was taken away")
        assert proxy.metrics().state_of(first.name) is None, "it has no series any more"
        settings(proxy)["servers"] = [entry(server) for server in cluster.servers]
        reload(proxy)
        proxy.wait_servers_up()


def test_a_transaction_on_a_server_that_was_taken_away_has_a_limit(proxy):
    cluster = proxy.cluster
    first, second = cluster.standbys
    proxy.settings["proxy"]["drain_timeout"] = "300ms"
    settings(proxy)["servers"] = [entry(cluster.primary), entry(first)]
    reload(proxy)
    with proxy.connect() as connection:
        wait_until(lambda: where(connection) == first.port, "reads run on the standby that is left")
        connection.execute("BEGIN READ ONLY")
        assert where(connection) == first.port
        settings(proxy)["servers"] = [entry(cluster.primary), entry(second)]
        reload(proxy)

        def is_over():
            try:
                where(connection)
            except psycopg.errors.SerializationFailure:
                return True
            return False

        wait_until(is_over, "the transaction is lost")
        connection.execute("ROLLBACK")
        wait_until(lambda: where(connection) == second.port, "the session goes on")


def test_a_cluster_comes_and_goes(proxy, shared_maria, start_proxy):
    """Its clients are told, and their idle connections closed; those of the others notice nothing."""
    with proxy.connect() as stays:
        port = proxy.add_cluster(shared_maria).port
        reload(proxy)
        proxy.wait_servers_up()
        endpoint = MySqlEndpoint(port)
        with contextlib.closing(endpoint.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1")
            del proxy.settings["cluster"][shared_maria.name]
            proxy.clusters.pop()
            reload(proxy)
            cursor.execute("SELECT 2")
            assert cursor.fetchone() == (2,), "a transaction may end"
            cursor.execute("COMMIT")
            with pytest.raises(pymysql.err.Error) as told:
                cursor.execute("SELECT 3")
            assert told.value.args[0] in (1053, 2006, 2013)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5).close()
        where(stays)


# -- mistakes ------------------------------------------------------------------------------------------------


def test_ten_mistakes_change_nothing(proxy):
    good = proxy.config.read_text()
    bad = good + """
[proxi]
[cluster.second]
protocol = "oracle"
listen = "127.0.0.1:99999"
servers = []
connect_timeout = "5 s"
tcp_user_timeout = 5
colour = "red"
[cluster.second.health]
rise = 0
fall = -1
[cluster.second.routing]
balance = "best"
[[user]]
name = "nobody"
"""
    with proxy.connect() as connection:
        proxy.write_config = lambda: proxy.config.write_text(bad)
        seen = len(proxy.log_text())
        reload(proxy, "rejected")
        told = [line for line in proxy.log_text()[seen:].splitlines() if "event=config_error" in line]
        assert len(told) >= 10, told
        assert all(" line=" in line and " column=" in line for line in told)
        assert len({line.partition("message=")[2] for line in told}) == len(told)
        assert "event=reload_rejected" in proxy.log_text()[seen:]
        assert proxy.metrics().sum(SUCCESSFUL) == 0
        where(connection)
    proxy.connect().close()
    proxy.write_config = lambda: proxy.config.write_text(good)
    reload(proxy)
    assert proxy.metrics().sum(SUCCESSFUL) == 1


def test_an_address_in_use_changes_nothing(proxy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = free_port()
        settings(proxy)["listener"].append({"listen": [f"127.0.0.1:{port}"]})
        settings(proxy)["listener"].append({"listen": [f"127.0.0.1:{taken.getsockname()[1]}"]})
        reload(proxy, "rejected")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5).close()
    proxy.connect().close()


# -- under load ----------------------------------------------------------------------------------------------


def test_200_reloads_under_the_load_of_1000_clients(make_cluster, start_proxy, authority):
    """Each changes something. Nobody is dropped, nobody gets an error, and nothing is left behind."""
    cluster = make_cluster(settings={"max_connections": 1100})
    cluster.execute(TABLES)
    proxy = start_proxy(cluster, pool={"max_connections": 1000})
    base = dict(settings(proxy))
    crt, key = authority.issue("often", ["localhost"])
    extra = [free_port() for _ in range(3)]

    def change(round):
        changed = dict(base)
        spare = cluster.standbys[round // 4 % 2]
        changed["servers"] = [{**entry(server), "weight": 100 + round} for server in cluster.servers
                              if round % 4 or server is not spare]
        changed["pool"] = {"max_connections": 1000 + round}
        changed["routing"] = {"max_lag": {"time": f"{5 + round % 3}s"}}
        changed["listener"] = [{**base["listener"][0], "tls": {"cert": str(crt), "key": str(key)} if round % 2 else {}},
                               *({"listen": [f"127.0.0.1:{port}"]} for port in extra[:round % 4])]
        proxy.settings["cluster"][cluster.name] = changed
        proxy.settings["user"] = [{"name": f"user{round}", "password": f"secret {round}"}]
        proxy.settings["proxy"]["max_clients"] = 5000 + round
        if round % 10 == 0:
            authority.issue("often", ["localhost"])
        reload(proxy)

    load = Load(proxy, {Inserter: 200, Counter: 150, Reader: 250, Idler: 400}, pause=0.5).start()
    began = time.monotonic()
    wait_until(lambda: load.writes_since(began) > 300, "the load is under way")
    for round in range(40):
        change(round)
    wait_until(lambda: open_descriptors(proxy.process.pid) > 0, "it lives")
    memory, descriptors = proxy.memory(), open_descriptors(proxy.process.pid)
    for round in range(40, 200):
        change(round)
    more, moment = proxy.memory() - memory, time.monotonic()
    wait_until(lambda: load.writes_since(moment) > 300, "the load goes on")
    load.stop()
    assert load.dropped() == []
    assert load.errors() == {}
    assert load.judge(cluster.primary) == []
    assert more < 8 * MIB, f"{more} bytes more after 160 reloads"
    # Sessions may have opened their second connection meanwhile, no more.
    assert open_descriptors(proxy.process.pid) < descriptors + 1000
    assert proxy.metrics().sum(RELOADS, result="applied") == 200
    assert proxy.metrics().sum(RELOADS, result="rejected") == 0
