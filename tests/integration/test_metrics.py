"""What a monitoring system makes of the proxy: promtool, a real Prometheus, the alerts and the dashboard as shipped."""

import re
import socket
import struct
import threading

import psycopg
import pytest

from harness.load import TABLES, Counter, Idler, Inserter, Load, Reader
from harness.metrics import DECISIONS, STATEMENTS
from harness.prometheus import ALERTS, DASHBOARD, Dashboard, Prometheus, promtool
from harness.proxy import ROOT
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only

UNITS = {"none", "short", "ops", "percentunit", "s", "bytes", "Bps"}


@pytest.fixture
def start_prometheus(tmp_path):
    started = []

    def start(proxy):
        started.append(Prometheus(tmp_path / "prometheus", proxy))
        return started[-1]

    yield start
    for each in started:
        each.stop()


def text_of(proxy):
    status, text = proxy.get("/metrics")
    assert status == 200
    return text


def test_promtool_accepts_the_metrics(shop):
    with shop.connect() as client:
        client.execute("SELECT 1")
    code, said = promtool("check", "metrics", stdin=text_of(shop))
    assert (code, said) == (0, "")


def test_promtool_accepts_the_alerts_and_their_tests():
    code, said = promtool("check", "rules", ALERTS)
    assert code == 0, said
    tests = ALERTS.with_name("holdfast-alerts-test.yml")
    code, said = promtool("test", "rules", tests)
    assert code == 0, said
    # Each alert is shown once to fire and once not to.
    alerts = re.findall(r"alert: (\w+)", ALERTS.read_text())
    assert len(alerts) > 20
    for alert in alerts:
        assert f"name: {alert} fires" in tests.read_text()
        assert f"name: {alert} stays quiet" in tests.read_text()


def test_promtool_accepts_the_example(tmp_path):
    example = ROOT / "deploy/prometheus/prometheus.example.yml"
    code, said = promtool("check", "config", example)
    assert code == 0, said


def test_the_dashboard_is_complete():
    dashboard = Dashboard()
    assert dashboard.content["schemaVersion"] >= 38  # Grafana 10
    ids = [panel["id"] for panel in dashboard.content["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboard.panels:
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
    assert set(dashboard.variables()) == {"cluster", "instance"}
    taken = {}  # no two panels in one place
    for panel in dashboard.content["panels"]:
        place = panel["gridPos"]
        for y in range(place["y"], place["y"] + place["h"]):
            for x in range(place["x"], place["x"] + place["w"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
                assert x < 24


def test_names_in_alerts_and_dashboard_are_metrics(shop):
    """A name that nobody has would silently never fire, or show an empty panel."""
    # What has had no event yet may not be there: the reference, made from the same table, has all of them.
    known = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "proxy/admin/METRICS.md").read_text(), re.MULTILINE))
    assert set(re.findall(r"^# TYPE (\S+)", text_of(shop), re.MULTILINE)) <= known
    for file in (ALERTS, DASHBOARD):
        for name in set(re.findall(r"\b(?:holdfast|process)_\w+", file.read_text())):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in known or base in known, f"{file.name}: {name}"


def test_a_real_prometheus_through_a_failover(make_cluster, start_proxy, start_prometheus):
    cluster = make_cluster(synchronous=1)
    cluster.execute(TABLES)
    proxy = start_proxy(cluster)
    prometheus = start_prometheus(proxy)
    load = Load(proxy, {Inserter: 6, Counter: 4, Reader: 6, Idler: 2}).start()
    wait_until(lambda: prometheus.value(f"sum({STATEMENTS})") > 100, "Prometheus sees the load")
    assert not prometheus.firing()

    old = cluster.primary
    old.kill9()
    wait_until(lambda: proxy.metrics().state_of(old.name) not in ("up", "suspect"), f"the proxy misses {old}")
    wait_until(lambda: prometheus.query("holdfast_primary_present == 0"), "Prometheus sees that there is no primary")
    cluster.promote()
    wait_until(lambda: prometheus.query(f'holdfast_primary_info{{server="{cluster.primary.name}"}} == 1'),
               "Prometheus sees the new one")
    wait_until(lambda: prometheus.value("holdfast_failovers_total") == 1, "the failover is over")

    # The alerts: no expression is an error, and what has happened is told.
    wait_until(lambda: "HoldfastFailover" in prometheus.firing(), "the alert about the failover fires")
    rules = prometheus.rules()
    wait_until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), "all rules were evaluated")
    assert not {"HoldfastDown", "HoldfastSplitBrain", "HoldfastHoldTimeouts"} & prometheus.firing()
    for rule in rules:
        prometheus.query(rule["query"])

    # The dashboard: everything that it asks for is there.
    dashboard = Dashboard()
    empty = {name for name, query in dashboard.queries() if not prometheus.query(query)}
    assert empty <= {"Primary changed"}  # an annotation: there for an instant
    for metric, label in dashboard.variables().values():
        assert prometheus.query(f"count by ({label}) ({metric})")

    # And says what the clients know.
    assert prometheus.value("holdfast_failover_duration_seconds_count") == 1
    outage = prometheus.value("holdfast_failover_duration_seconds_sum")
    assert 0 < prometheus.value("holdfast_write_unavailable_seconds_total") < outage + 60
    down = prometheus.value(f'holdfast_server_downtime_seconds_total{{server="{old.name}"}}')
    assert down > 0
    sessions = prometheus.value("sum(holdfast_client_connections)")
    assert sessions == 18
    load.stop()
    assert load.dropped() == []


def test_clients_add_no_series(shared_cluster, start_proxy):
    """Labels are words of ours and names of the configuration: 2,000 users, databases and statements are none."""
    proxy = start_proxy(shared_cluster)

    def series():
        return {(name, tuple(sorted(labels.items()))) for name, labels, _ in proxy.metrics().samples}

    with proxy.connect() as client:
        client.execute("SELECT 1")
        with pytest.raises(psycopg.errors.UndefinedTable):
            client.execute("SELECT v FROM no_such_table_0")
    log_in("user_0", "base_0", proxy)
    wait_until(lambda: proxy.metrics().sum("holdfast_client_connections") == 0, "the clients are gone")
    before = series()
    with proxy.connect() as client:
        for i in range(2000):
            client.execute(f"SELECT {i} AS column_{i}")
            with pytest.raises(psycopg.errors.UndefinedTable):
                client.execute(f"SELECT v FROM no_such_table_{i}")
            log_in(f"user_{i}", f"base_{i}", proxy)
            if i % 20 == 0:
                proxy.get(f"/no/such/page/{i}")
    wait_until(lambda: proxy.metrics().sum("holdfast_client_connections") == 0, "the clients are gone")
    assert proxy.metrics().sum("holdfast_client_accepts_total") > 2000
    assert proxy.metrics().sum(STATEMENTS) > 4000
    added = {each for each in series() - before if each[0] not in (STATEMENTS, DECISIONS)}
    assert added == set()
    # Statements by server, target, route and reason appear with the first of their kind; these are all of a kind.
    assert len(series() - before) <= 6


def log_in(user, database, proxy):
    """Begins a login, and leaves at the first answer."""
    parameters = b"\0".join(text.encode() for text in ("user", user, "database", database)) + b"\0\0"
    startup = struct.pack(">II", len(parameters) + 8, 196608) + parameters
    with socket.create_connection((proxy.host, proxy.port), timeout=60) as connection:
        connection.sendall(startup)
        assert connection.recv(1) in (b"R", b"E")


def test_what_the_metrics_say_of_sessions_and_statements(make_cluster, start_proxy):
    """Pins, waits for the pool, bytes and durations while they last, not only when a session ends."""
    cluster = make_cluster(standbys=1)
    proxy = start_proxy(cluster, pool={"max_connections": 1})
    primary = cluster.primary.name

    def sum_of(name, **labels):
        return proxy.metrics().sum(f"holdfast_{name}", **labels)

    with proxy.connect() as first, proxy.connect() as second:
        first.execute("CREATE TEMPORARY TABLE mine (i int)")
        assert sum_of("sessions_pinned", reason="temporary_tables") == 1
        assert sum_of("statements_total", server=primary, target="primary") == 1
        assert sum_of("server_connections", server=primary, state="busy") == 1
        assert sum_of("client_bytes_total", direction="received") > 0
        assert sum_of("server_bytes_total", server=primary, direction="sent") > 0

        slow = psycopg.ClientCursor(first)
        slow.execute("SELECT pg_sleep(0.3)")
        assert sum_of("statement_server_duration_seconds_sum", target="primary") > 0.3
        assert sum_of("statement_waiting_duration_seconds_sum") < 0.3

        # The pool has one connection, and that is taken: the statement waits until its owner goes.
        waiter = threading.Thread(target=lambda: second.execute("CREATE TABLE made_late (i int)"))
        waiter.start()
        wait_until(lambda: sum_of("pool_waiting") == 1, "the second session waits for a connection")
        assert sum_of("held_statements") == 1
        first.close()
        waiter.join(60)
        assert sum_of("pool_waiting") == 0
        assert sum_of("pool_wait_duration_seconds_count") == 1
        assert sum_of("statement_waiting_duration_seconds_sum") > 0
        assert sum_of("sessions_pinned") == 0
    assert sum_of("health_checks_total", server=primary, result="ok") > 0
    assert sum_of("replication_running", server=cluster.standbys[0].name) == 1
    assert sum_of("server_administrative_state", server=primary, state="ready") == 1
    assert sum_of("tls_certificate_not_after_timestamp_seconds") > 1_700_000_000
    assert 0 < sum_of("event_loop_idle_seconds_total") < 3600
    assert sum_of("admin_requests_total", page="/metrics", code="2xx") > 0
