"""Operators and their commands: drain, maintenance, pause, kill, and what the command line shows, while clients work."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import psycopg
import pytest

from harness import load as postgres_load
from harness import mysql_load
from harness.load import TABLES, Counter, Idler, Inserter, Load, Reader
from harness.proxy import BINARY
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only

WHERE = "SELECT inet_server_port()"


class Operator:
    """The command line of one proxy."""

    def __init__(self, proxy):
        self.proxy = proxy

    def run(self, *arguments):
        return subprocess.run([BINARY, *map(str, arguments), "--config", self.proxy.config],
                              capture_output=True, text=True, timeout=120)

    def __call__(self, *arguments):
        """A command that must succeed; its output."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "--json"))

    def cluster(self, name="shop"):
        return next(each for each in self.json("status")["clusters"] if each["name"] == name)

    def server(self, server, cluster="shop"):
        return next(each for each in self.cluster(cluster)["servers"] if each["name"] == server.name)

    def sessions(self, **wanted):
        return [each for each in self.json("sessions")["sessions"]
                if all(each[name] == value for name, value in wanted.items())]

    def events(self, kind):
        return [each for each in self.json("events")["events"] if each["event"] == kind]


def with_admin_socket(proxy):
    """The Unix socket and a state file, in the proxy's own folder."""
    proxy.settings["admin"]["socket"] = str(proxy.folder / "admin.sock")
    proxy.settings["proxy"]["state_file"] = str(proxy.folder / "state.json")


@pytest.fixture
def proxy(shared_cluster, start_proxy):
    return start_proxy(shared_cluster, before_start=with_admin_socket)


@pytest.fixture
def operator(proxy):
    return Operator(proxy)


def where(connection):
    return connection.execute(WHERE).fetchone()[0]


def app_sessions(server):
    """How many sessions of the application the server has had."""
    return server.value("SELECT sessions FROM pg_stat_database WHERE datname = 'shop'", dbname="postgres")


def own_sessions(server):
    return server.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'", dbname="postgres")


# -- drain ------------------------------------------------------------------------------------------------


class InPostgres:
    """What a server itself says of the application's connections."""

    now = staticmethod(own_sessions)
    ever = staticmethod(app_sessions)


class InMaria:
    """The same."""

    @staticmethod
    def now(server):
        return server.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app'", database=None)

    @staticmethod
    def ever(server):
        return server.value("SELECT TOTAL_CONNECTIONS FROM information_schema.USER_STATISTICS WHERE USER = 'app'",
                            database=None)


@pytest.mark.parametrize("protocol", ["postgres", "mysql"])
def test_each_replica_is_drained_in_turn_under_load(make_cluster, make_maria, start_proxy, protocol):
    """0 errors, nobody loses the connection, and no statement of theirs is on the server after its drain."""
    if protocol == "postgres":
        cluster, load_of, server_says = make_cluster(), postgres_load, InPostgres
    else:
        cluster, load_of, server_says = make_maria(), mysql_load, InMaria
        for server in cluster.servers:
            server.execute("SET GLOBAL userstat = 1", database=None)
    cluster.execute(load_of.TABLES)
    proxy = start_proxy(cluster, before_start=with_admin_socket)
    operator = Operator(proxy)
    own_sessions, app_sessions = server_says.now, server_says.ever
    kinds = {load_of.Inserter: 10, load_of.Counter: 10, load_of.Reader: 40, load_of.Idler: 10}
    load = load_of.Load(proxy, kinds, pause=0.02).start()
    for server in cluster.replicas if protocol == "mysql" else cluster.standbys:
        wait_until(lambda: own_sessions(server) > 0, f"{server} has clients", 90)
        operator("drain", f"{cluster.name}/{server.name}", "--wait", "--reason", "new kernel")
        assert own_sessions(server) == 0
        told = operator.server(server, cluster.name)
        assert (told["state"], told["health"], told["state_reason"]) == ("drain", "up", "new kernel")
        assert (told["connections"], told["takes_reads"]) == (0, False)
        before, done = app_sessions(server), sum(client.done for client in load.clients)
        wait_until(lambda: sum(client.done for client in load.clients) > done + 500, "the clients work on", 60)
        assert (own_sessions(server), app_sessions(server)) == (0, before)
        operator("ready", f"{cluster.name}/{server.name}")
        wait_until(lambda: own_sessions(server) > 0, f"{server} is used again", 90)
    load.stop()
    assert load.dropped() == []
    assert load.errors() == {}
    assert load.judge(cluster.primary) == []


def test_a_transaction_ends_on_the_server_that_is_drained(proxy, operator):
    with proxy.connect(autocommit=False) as reader:
        reader.read_only = True
        port = where(reader)
        standby = next(each for each in proxy.cluster.standbys if each.port == port)
        waiting = subprocess.Popen([BINARY, "drain", f"shop/{standby.name}", "--wait", "--config", proxy.config],
                                   stdout=subprocess.DEVNULL)
        wait_until(lambda: operator.server(standby)["state"] == "drain", "it drains")
        assert where(reader) == standby.port
        assert waiting.poll() is None
        reader.commit()
        wait_until(lambda: waiting.poll() is not None, "the drain is over", 30)
        assert waiting.returncode == 0
        assert where(reader) != standby.port


def test_a_drain_that_waits_too_long_says_whose_fault_it_is(proxy, operator):
    standby = proxy.cluster.standbys[0]
    other = proxy.cluster.standbys[1]
    operator("drain", f"shop/{other.name}")
    with proxy.connect(autocommit=False) as reader:
        reader.read_only = True
        wait_until(lambda: (where(reader), reader.commit())[0] == standby.port, "it reads on the standby")
        where(reader)
        done = operator.run("drain", f"shop/{standby.name}", "--wait", "--timeout", "500ms")
        assert done.returncode == 4
        assert "1 connections" in done.stderr and "holdfast sessions shop" in done.stderr
        assert operator.sessions(server=standby.name)[0]["state"] == "in_transaction"


def test_the_primary_is_not_drained(proxy, operator):
    for state in ("drain", "maintenance"):
        done = operator.run(state, f"shop/{proxy.cluster.primary.name}")
        assert done.returncode == 1
        assert "is the primary" in done.stderr and "promote another" in done.stderr
    assert operator.server(proxy.cluster.primary)["state"] == "ready"


@pytest.mark.parametrize("arguments, code, words", [
    (["drain", "shop/nobody"], 1, "no server \"nobody\""),
    (["drain", "nowhere/pg1"], 1, "no cluster \"nowhere\""),
    (["drain", "shop"], 2, "CLUSTER/SERVER"),
    (["pause", "nowhere"], 1, "no cluster"),
    (["kill", "123456"], 1, "no session 123456"),
    (["kill", "x"], 2, "number of a session"),
    (["pause", "shop", "--timeout", "5 s"], 2, "duration"),
])
def test_mistakes_are_explained(operator, arguments, code, words):
    done = operator.run(*arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_states_survive_a_restart(proxy, operator):
    first, second = proxy.cluster.standbys
    operator("drain", f"shop/{first.name}", "--reason", "disk")
    operator("maintenance", f"shop/{second.name}")
    proxy.stop()
    proxy.start()
    assert operator.server(first)["state"] == "drain"
    assert operator.server(first)["state_reason"] == "disk"
    assert operator.server(second)["state"] == "maintenance"
    with proxy.connect() as connection:
        assert {where(connection) for _ in range(20)} == {proxy.cluster.primary.port}
    operator("ready", f"shop/{first.name}")
    operator("ready", f"shop/{second.name}")
    proxy.stop()
    proxy.start()
    assert {operator.server(each)["state"] for each in (first, second)} == {"ready"}


def test_what_was_said_of_a_server_goes_with_it(make_cluster, start_proxy):
    """Out of the state file too: a server of that name that comes later, even after a restart, is a new one."""
    cluster = make_cluster()
    proxy = start_proxy(cluster, before_start=with_admin_socket)
    operator = Operator(proxy)
    stays, goes = cluster.standbys
    operator("drain", f"shop/{stays.name}")
    operator("maintenance", f"shop/{goes.name}", "--reason", "sold")
    path = proxy.folder / "state.json"

    def kept():
        return {each["server"] for each in json.loads(path.read_text())["servers"]}

    assert kept() == {stays.name, goes.name}
    servers = proxy.settings["cluster"]["shop"]["servers"]
    removed = next(each for each in servers if each["name"] == goes.name)
    proxy.settings["cluster"]["shop"]["routing"] = {"no_such_key": 1}
    servers.remove(removed)
    proxy.write_config()
    assert operator.run("reload").returncode == 1
    assert kept() == {stays.name, goes.name} and not operator.events("server_state_forgotten")

    del proxy.settings["cluster"]["shop"]["routing"]
    proxy.write_config()
    operator("reload")
    told = operator.events("server_state_forgotten")
    assert [(each["fields"]["server"], each["fields"]["state"], each["fields"]["reason"]) for each in told] == [
        (goes.name, "maintenance", "sold")]
    wait_until(lambda: kept() == {stays.name}, "the state file has forgotten it")
    servers.append(removed)
    proxy.write_config()
    operator("reload")
    wait_until(lambda: any(each["name"] == goes.name for each in operator.cluster()["servers"]), "it is there again")
    assert operator.server(goes)["state"] == "ready"
    assert operator.server(stays)["state"] == "drain"

    # The same while the proxy was not running.
    servers.remove(next(each for each in servers if each["name"] == stays.name))
    proxy.stop()
    proxy.write_config()
    proxy.start(wait_servers=False)
    wait_until(lambda: kept() == set(), "the state file has forgotten the other")


def test_a_state_file_that_can_not_be_read_is_put_aside(proxy, operator):
    operator("drain", f"shop/{proxy.cluster.standbys[0].name}")
    proxy.stop()
    file = proxy.folder / "state.json"
    file.write_text(file.read_text()[:-20])
    proxy.start()
    assert "state_file_unreadable" in proxy.log_text()
    assert (proxy.folder / "state.json.broken").exists()
    assert operator.server(proxy.cluster.standbys[0])["state"] == "ready"


def test_a_state_file_is_replaced_as_a_whole_or_not_at_all(proxy, operator):
    """The new one is written beside the old one, which stays when that is not possible; the operator is told."""
    first, second = proxy.cluster.standbys
    operator("drain", f"shop/{first.name}")
    file = proxy.folder / "state.json"
    before = file.read_text()
    beside = proxy.folder / "state.json.new"
    beside.mkdir()
    done = operator.run("drain", f"shop/{second.name}")
    assert done.returncode == 0 and "state.json.new" in done.stderr
    assert "state_file_unwritable" in proxy.log_text()
    assert file.read_text() == before
    beside.rmdir()
    operator("ready", f"shop/{first.name}")
    assert [each["server"] for each in json.loads(file.read_text())["servers"]] == [second.name]
    assert not beside.exists()
    operator("ready", f"shop/{second.name}")


def test_without_a_state_file_the_operator_is_warned(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, before_start=lambda each: each.settings["admin"].update(
        socket=str(each.folder / "admin.sock")))
    done = Operator(proxy).run("drain", f"shop/{shared_cluster.standbys[0].name}")
    assert done.returncode == 0
    assert "will not survive a restart" in done.stderr and "proxy.state_file" in done.stderr


def test_a_server_in_maintenance_can_not_become_the_primary(make_cluster, start_proxy):
    """Promoted for a rehearsal: with maintenance nobody is moved there; without it everybody would be."""
    cluster = make_cluster()
    proxy = start_proxy(cluster, before_start=with_admin_socket)
    operator = Operator(proxy)
    old, rehearsal = cluster.primary, cluster.standbys[1]
    with proxy.connect() as connection:
        connection.execute("CREATE TABLE kept (i int)")
        operator("maintenance", f"shop/{rehearsal.name}", "--reason", "rehearsal")
        rehearsal.promote()
        wait_until(lambda: operator.server(rehearsal)["health"] == "quarantined", "its promotion is seen")
        assert "maintenance" in operator.server(rehearsal)["reason"]
        connection.execute("INSERT INTO kept VALUES (1)")
        told = operator.cluster()
        assert (told["primary"], told["split_brain"]) == (old.name, False)
        done = operator.run("ready", f"shop/{rehearsal.name}")
        assert done.returncode == 1 and "taken for the new primary" in done.stderr
        assert operator.cluster()["primary"] == old.name
        assert old.value("SELECT count(*) FROM kept") == 1


# -- slow start -------------------------------------------------------------------------------------------


def test_a_recovered_standby_gets_its_share_slowly(make_cluster, start_proxy):
    cluster = make_cluster()
    proxy = start_proxy(cluster, before_start=with_admin_socket, routing={"slow_start": "10s"})
    operator = Operator(proxy)
    standby = cluster.standbys[0]
    assert operator.server(standby)["weight_now"] == 100
    standby.stop()
    proxy.wait_state(standby, "down")
    standby.start()
    proxy.wait_servers_up([standby.name])
    first = operator.server(standby)["weight_now"]
    assert 10 <= first < 60
    wait_until(lambda: operator.server(standby)["weight_now"] > first, "its weight grows", 20)
    wait_until(lambda: operator.server(standby)["weight_now"] == 100, "it has its weight again", 30)


# -- pause ------------------------------------------------------------------------------------------------


def test_pause_holds_new_transactions_and_resume_lets_them_go(make_cluster, start_proxy):
    cluster = make_cluster()
    cluster.primary.execute(TABLES)
    proxy = start_proxy(cluster, before_start=with_admin_socket, failover={"wait": "1s"})
    operator = Operator(proxy)
    load = Load(proxy, {Inserter: 10, Counter: 10, Reader: 20, Idler: 5}, pause=0.02).start()
    wait_until(lambda: sum(client.done for client in load.clients) > 100, "the clients work", 30)
    operator("pause", "shop", "--wait", "--timeout", "60s")
    assert operator.cluster()["paused"]
    held = [each for each in operator.sessions(state="held")]
    assert {each["waits_for"] for each in held} <= {"the cluster is paused"}
    active = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'"
    done = sum(client.done for client in load.clients)
    # Longer than failover.wait: who waits for an operator is not told that it took too long.
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert cluster.primary.value(active) == 0
        time.sleep(0.1)
    assert sum(client.done for client in load.clients) == done
    with proxy.connect() as newcomer:  # logging in is no transaction
        operator("resume", "shop")
        assert where(newcomer) > 0
    wait_until(lambda: sum(client.done for client in load.clients) > done + 200, "they go on", 30)
    load.stop()
    assert load.dropped() == []
    assert load.errors() == {}
    assert load.judge(cluster.primary) == []


def test_an_open_transaction_is_not_held(proxy, operator):
    with proxy.connect(autocommit=False) as connection:
        where(connection)
        operator("pause", "shop")
        where(connection)
        connection.commit()
        done = operator.run("pause", "shop", "--wait", "--timeout", "1s")
        assert done.returncode == 0
        operator("resume", "shop")
        where(connection)


def test_what_had_begun_before_a_pause_does_not_wait_for_its_end(make_cluster, start_proxy):
    """A read that has lost its server waits for another one as long as failover.wait says, and no longer."""
    cluster = make_cluster(standbys=1)
    proxy = start_proxy(cluster, before_start=with_admin_socket, failover={"wait": "1s"})
    operator = Operator(proxy)
    connection = proxy.connect(application_name="reads")
    connection.pgconn.send_query(b"SELECT pg_sleep(600)")
    wait_until(lambda: [each["server"] for each in operator.sessions(application="reads", state="active")]
               == [cluster.standbys[0].name], "it reads on the standby")
    operator("pause", "shop", "--timeout", "0s")
    for server in cluster.servers:
        server.kill9()
    told = []
    reader = threading.Thread(target=lambda: told.append(connection.pgconn.get_result().error_message), daemon=True)
    reader.start()
    reader.join(30)
    assert told and b"failover.wait" in told[0]
    connection.close()


def test_a_forgotten_pause_ends_by_itself(proxy, operator):
    with proxy.connect() as connection:
        operator("pause", "shop", "--timeout", "700ms")
        began = time.monotonic()
        where(connection)
        assert 0.3 < time.monotonic() - began < 30
        assert not operator.cluster()["paused"]
        assert operator.events("cluster_resumed")[-1]["fields"]["by"] == "the time limit of the pause"


def test_a_held_statement_can_be_cancelled(proxy, operator):
    with proxy.connect() as connection:
        operator("pause", "shop", "--timeout", "0s")
        with proxy.connect() as other:
            pid = connection.info.backend_pid
            assert [each["state"] for each in operator.sessions(id=pid)] == ["idle"]
            other.close()
        timer = threading.Timer(0.5, connection.cancel)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            where(connection)
        timer.join()
        operator("resume", "shop")
        assert where(connection) > 0


# -- sessions ---------------------------------------------------------------------------------------------


def test_sessions_say_what_they_do_and_can_be_ended(proxy, operator):
    with proxy.connect(application_name="billing") as connection:
        connection.execute("CREATE TEMPORARY TABLE mine (i int)")
        told = operator.sessions(application="billing")[0]
        assert (told["user"], told["database"], told["state"]) == ("app", "shop", "idle")
        assert told["pinned_by"] == "temporary tables" and told["statements"] >= 1
        assert "billing" in operator("sessions", "shop")
        operator("kill", told["id"], "--reason", "a test")
        with pytest.raises(psycopg.OperationalError, match="administrator command"):
            connection.execute("SELECT 1")
    assert operator.sessions(application="billing") == []
    assert operator.events("session_killed")[-1]["fields"]["reason"] == "a test"
    assert proxy.metrics().sum("holdfast_client_disconnects_total", reason="killed") == 1


def test_what_a_killed_session_runs_is_cancelled(proxy, operator):
    connection = proxy.connect(application_name="slow")
    connection.pgconn.send_query(b"SELECT pg_sleep(600)")
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"

    def asleep():
        return sum(each.value(running) for each in proxy.cluster.servers)
    wait_until(lambda: asleep() == 1, "the statement runs")
    session = operator.sessions(application="slow")[0]
    assert session["state"] == "active" and session["running_s"] > 0
    operator("kill", session["id"])
    wait_until(lambda: asleep() == 0, "it runs no more", 30)
    connection.close()


# -- reload and the events ----------------------------------------------------------------------------------


def test_reload_says_what_it_changes(proxy, operator):
    assert "nothing differs" in operator("reload", "--dry-run")
    proxy.settings["proxy"]["max_clients"] = 77
    proxy.write_config()
    assert "~ proxy.max_clients   10000 -> 77" in operator("reload", "--dry-run")
    done = operator.run("diff")
    assert (done.returncode, done.stdout) == (1, "~ proxy.max_clients   10000 -> 77\n")
    assert operator.json("status")["clients_max"] == 10000
    assert "proxy.max_clients   10000 -> 77" in operator("reload", "--reason", "smaller")
    assert operator.run("diff").returncode == 0
    assert operator.json("status")["clients_max"] == 77
    proxy.settings["cluster"]["shop"]["routing"] = {"max_lagg": "5s"}
    proxy.write_config()
    done = operator.run("reload")
    assert done.returncode == 1
    assert "max_lagg" in done.stderr and "stays" in done.stderr
    assert [each["event"] for each in operator.json("events")["events"]][-1] == "reload_rejected"


def test_the_admin_addresses_change_while_it_runs(proxy, operator):
    """The very request that closes its own address is answered."""
    proxy.settings["admin"]["socket"] = str(proxy.folder / "other.sock")
    proxy.write_config()
    answer = subprocess.run([BINARY, "reload", "--socket", proxy.folder / "admin.sock"],
                            capture_output=True, text=True, timeout=60)
    assert (answer.returncode, "admin.socket" in answer.stdout) == (0, True), answer.stderr
    assert "shop" in operator("status")
    wait_until(lambda: not (proxy.folder / "admin.sock").exists(), "the old socket is gone")


def test_a_failover_is_told_in_events(make_cluster, start_proxy):
    cluster = make_cluster()
    proxy = start_proxy(cluster, before_start=with_admin_socket)
    operator = Operator(proxy)
    old = cluster.primary
    with proxy.connect() as connection:
        connection.execute("CREATE TABLE t (i int)")
        old.kill9()
        wait_until(lambda: operator.cluster()["primary"] is None, "its loss is seen")
        assert operator.cluster()["without_primary_s"] >= 0
        assert "NO PRIMARY" in operator("status")
        cluster.promote()
        connection.execute("INSERT INTO t VALUES (1)")
    names = [each["event"] for each in operator.json("events")["events"]]
    names = names[names.index("primary_lost"):]
    assert names.index("primary_changed") < names.index("writes_resumed")
    lost = operator.events("primary_lost")[0]["fields"]
    assert lost["server"] == old.name and lost["reason"]


# -- over TCP -----------------------------------------------------------------------------------------------


def post(proxy, path, body, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{proxy.admin_port}{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_changes_over_tcp_need_the_token(shared_cluster, start_proxy):
    def configure(proxy):
        with_admin_socket(proxy)
        proxy.settings["admin"]["token"] = "open sesame"
    proxy = start_proxy(shared_cluster, before_start=configure)
    pause, body = "/api/v1/pause", {"cluster": "shop"}
    good = {"Authorization": "Bearer open sesame"}
    assert post(proxy, pause, body)[0] == 401
    assert post(proxy, pause, body, Authorization="Bearer open sesamE")[0] == 401
    assert post(proxy, pause, body, Authorization="Basic open sesame")[0] == 401
    assert post(proxy, pause, body, Origin="http://evil.example", **good)[0] == 403
    assert not Operator(proxy).cluster()["paused"]
    assert post(proxy, pause, body, **good) == (200, {"cluster": "shop", "paused": True, "relayed": 0})
    assert post(proxy, "/api/v1/resume", body, Origin=f"http://127.0.0.1:{proxy.admin_port}", **good)[0] == 200
    assert post(proxy, pause, [], **good)[0] == 400
    assert post(proxy, pause, {"cluster": 7}, **good)[0] == 400
    assert post(proxy, "/api/v1/nothing", {}, **good)[0] == 404
    assert proxy.get("/api/v1/pause")[0] == 405
    assert "open sesame" not in proxy.log_text()
    # The command line finds the token in the configuration, or is told where.
    del proxy.settings["admin"]["socket"]
    proxy.write_config()
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not (proxy.folder / "admin.sock").exists(), "the socket is gone")
    assert "was not paused" in Operator(proxy)("resume", "shop")
    url = ["--url", f"http://127.0.0.1:{proxy.admin_port}"]
    bare = {**os.environ, "HOLDFAST_TOKEN": ""}
    assert subprocess.run([BINARY, "resume", "shop", *url], env=bare, capture_output=True).returncode == 1
    bare["HOLDFAST_TOKEN"] = "open sesame"
    assert subprocess.run([BINARY, "resume", "shop", *url], env=bare, capture_output=True).returncode == 0


def test_without_a_token_nothing_changes_over_tcp(proxy):
    code, answer = post(proxy, "/api/v1/pause", {"cluster": "shop"})
    assert code == 403 and "admin.token" in answer["error"]["advice"]


def test_nobody_there(tmp_path):
    done = subprocess.run([BINARY, "status", "--socket", tmp_path / "nothing.sock"], capture_output=True, text=True)
    assert done.returncode == 3
    assert "no Holdfast answers" in done.stderr


def test_the_api_is_described(proxy):
    """Every path of the description answers, and none is missing from it."""
    described = json.loads(proxy.get("/api/v1/openapi.json")[1])
    for path, methods in described["paths"].items():
        if "get" in methods:
            needs_token = "security" in methods["get"]  # and none is configured
            assert proxy.get(path)[0] == (403 if needs_token else 200), path
        else:
            assert post(proxy, path, {})[0] == 403, path


# -- listeners with role = "tcp" ----------------------------------------------------------------------------


@pytest.fixture
def relay(shared_cluster, start_proxy):
    """A proxy that passes bytes on unread."""
    return start_proxy(shared_cluster, before_start=with_admin_socket, listener={"role": "tcp"},
                       access=[{"address": ["127.0.0.1"], "action": "allow"}])


def test_relayed_connections_are_listed_killed_and_not_let_in_by_address(relay):
    operator = Operator(relay)
    with relay.connect() as client:
        (session,) = operator.sessions(listener="tcp")
        assert (session["state"], session["server"], session["user"]) == ("active", relay.cluster.primary.name, "")
        assert session["client"].startswith("127.0.0.1") and session["bytes_in"] > 0 and session["bytes_out"] > 0
        cluster = operator.cluster()
        assert (cluster["sessions"]["relayed"], cluster["sessions"]["total"], cluster["sessions"]["working"]) == (1, 1, 0)
        assert operator.server(relay.cluster.primary)["connections"] == 1
        assert "active (tcp)" in operator("sessions")
        operator("kill", session["id"])
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    assert operator.sessions() == [] and operator.server(relay.cluster.primary)["connections"] == 0
    with pytest.raises(psycopg.OperationalError):
        relay.connect(host="::1")


def test_a_pause_holds_relays_without_a_server(relay):
    operator = Operator(relay)
    with relay.connect() as before:
        assert "1 connections through listeners" in operator("pause", "shop", "--wait")
        came = []
        thread = threading.Thread(target=lambda: came.append(relay.connect()))
        thread.start()
        wait_until(lambda: operator.sessions(state="held"), "the second one waits")
        assert operator.sessions(state="held")[0]["waits_for"] == "the cluster is paused"
        assert before.execute("SELECT 1").fetchone() == (1,) and not came
        operator("resume", "shop")
        thread.join(60)
        with came[0] as after:
            assert where(after) == relay.cluster.primary.port


def test_idle_relays_end(shared_cluster, start_proxy):
    relay = start_proxy(shared_cluster, before_start=with_admin_socket, listener={"role": "tcp"},
                        timeouts={"idle": "1s"})
    with relay.connect() as busy, relay.connect() as idle:
        assert busy.execute("SELECT pg_sleep(2.5)").fetchone() is not None
        wait_until(lambda: relay.metrics().sum("holdfast_client_disconnects_total", reason="idle_timeout") == 2,
                   "both are ended when they are idle")
        for connection in (busy, idle):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
