"""The command line and the admin endpoints: contracts that scripts rely on."""

import json
import re
import signal
import subprocess
import urllib.request

import pytest

from harness import metrics
from harness.ports import free_port
from harness.proxy import BINARY, Proxy
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only


def holdfast(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "holdfast.toml"
        path.write_text(text)
        path.chmod(0o600)
        return path
    return write


SMALLEST = """
[cluster.shop]
protocol = "postgres"
listen   = "127.0.0.1:6432"
servers  = ["10.0.1.11", "10.0.1.12"]
service  = { user = "holdfast", password = "secret" }
"""


# -- check ---------------------------------------------------------------------------------------------------


def test_check_accepts_the_smallest_file(config):
    result = holdfast("check", "--config", config(SMALLEST))
    assert result.returncode == 0, result.stdout + result.stderr


def test_check_names_every_error_at_once(config):
    path = config("""[proxy]
log_level = "loud"

[cluster.shop]
protocol = "postgres"
listen   = "127.0.0.1:6432"
servers  = ["10.0.1.11:99999"]
service  = { user = "holdfast", password = "secret" }

[cluster.shop.routing]
max_lagg = "5s"

[cluster.shop.failover]
wait = "soon"
""")
    result = holdfast("check", "--config", path)
    assert result.returncode == 1
    errors = {int(line): text for line, text in re.findall(r"holdfast\.toml:(\d+)\S* (.*)", result.stdout + result.stderr)}
    assert set(errors) >= {2, 7, 11, 14}, result.stdout + result.stderr
    assert "max_lag" in errors[11] and "max_lagg" in errors[11], "no suggestion for a misspelt key"


def test_check_refuses_what_is_not_toml(config):
    result = holdfast("check", "--config", config("[proxy\n"))
    assert result.returncode == 1 and re.search(r"holdfast\.toml:[12]\b", result.stdout + result.stderr)


def test_check_of_a_missing_file(tmp_path):
    result = holdfast("check", "--config", tmp_path / "none.toml")
    assert result.returncode == 1 and "none.toml" in result.stdout + result.stderr


def test_secrets_are_not_printed(config):
    result = holdfast("check", "--config", config(SMALLEST.replace('"secret"', '"s3cr3t-value"').replace("servers", "server")))
    assert result.returncode == 1 and "s3cr3t-value" not in result.stdout + result.stderr


# -- run -----------------------------------------------------------------------------------------------------


def test_run_refuses_a_bad_configuration(config):
    result = holdfast("run", "--config", config(SMALLEST.replace("listen", "lisen")))
    assert result.returncode == 1 and "listen" in result.stderr


def test_run_refuses_an_address_in_use(shop, config):
    result = holdfast("run", "--config", config(SMALLEST.replace("6432", str(shop.port))))
    assert result.returncode != 0 and str(shop.port) in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_leaves_with_0(shared_cluster, workplace, tmp_path, number):
    proxy = Proxy(tmp_path, shared_cluster).start()
    with proxy.connect() as connection:
        connection.execute("SELECT 1")
        proxy.process.send_signal(number)
        assert proxy.process.wait(30) == 0
    proxy.process = None


def test_run_without_any_server(tmp_path, shared_cluster, proxies):
    """It starts, answers, and lets nobody in; it does not fall over."""
    proxy = Proxy(tmp_path, shared_cluster)
    proxies.append(proxy)
    for server in proxy.settings["cluster"]["shop"]["servers"]:
        server["address"] = f"127.0.0.1:{free_port()}"
    proxy.start(wait_servers=False)
    wait_until(lambda: proxy.metrics().state_of("pg1") == "down", "the servers are seen down")
    assert proxy.is_healthy()


def test_log_is_structured(start_proxy, shared_cluster):
    proxy = start_proxy(shared_cluster)
    with proxy.connect():
        pass
    wait_until(lambda: "event=session_closed" in proxy.log_text(), "the session's end is logged")
    for line in proxy.log_text().splitlines():
        assert re.match(r'(\w+=("([^"\\]|\\.)*"|\S*)( |$))+$', line), line
    proxy = start_proxy(shared_cluster, proxy={"log_format": "json"})
    with proxy.connect():
        pass
    wait_until(lambda: "session_closed" in proxy.log_text(), "the session's end is logged")
    for line in proxy.log_text().splitlines():
        assert "event" in json.loads(line)


# -- classify ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement, destination, session", [
    ("SELECT 1", "replica", []),
    ("SELECT 1; SELECT 2", "replica", []),
    ("INSERT INTO t VALUES (1)", "primary", []),
    ("SELECT 1; INSERT INTO t VALUES (1)", "primary", []),
    ("SELECT * FROM t FOR UPDATE", "primary", []),
    ("COMMIT", "transaction", []),
    ("SET work_mem = '1MB'", None, ["set"]),
    ("CREATE TEMP TABLE t (i int)", "primary", ["temporary"]),
    ("SELECT pg_advisory_lock(1)", "primary", ["advisory_lock"]),
    ("LISTEN c", "primary", ["listen"]),
    ("PREPARE q AS SELECT 1", None, ["prepare"]),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", None, ["cursor"]),
    ("line one\nline two \"quoted\" \u00e4", "primary", []),
])
def test_classify(statement, destination, session):
    result = holdfast("classify", "--protocol", "postgres", input=json.dumps(statement) + "\n")
    assert result.returncode == 0, result.stderr
    (line,) = result.stdout.splitlines()
    answer = json.loads(line)
    assert set(answer) == {"destination", "reason", "session"}
    assert answer["destination"] in ("primary", "replica", "transaction")
    assert destination is None or answer["destination"] == destination
    assert answer["session"] == session
    assert isinstance(answer["reason"], str) and answer["reason"]


def test_classify_answers_in_order():
    statements = ["SELECT 1", "DELETE FROM t", "", "ROLLBACK"] * 250
    result = holdfast("classify", "--protocol", "postgres", input="".join(json.dumps(s) + "\n" for s in statements))
    answers = [json.loads(line)["destination"] for line in result.stdout.splitlines()]
    assert len(answers) == 1000 and answers[:4] == answers[-4:]
    assert answers[0] == "replica" and answers[1] == "primary" and answers[3] == "transaction"


def test_classify_refuses_what_is_not_a_json_string():
    """The line still has its answer, so that what follows stays in order."""
    result = holdfast("classify", "--protocol", "postgres", input='SELECT 1\n"SELECT 1"\n')
    assert result.returncode != 0
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert "error" in first and second["destination"] == "replica"


def test_unknown_command_and_help():
    assert holdfast("frobnicate").returncode != 0
    help_text = holdfast("--help")
    assert help_text.returncode == 0 and all(word in help_text.stdout for word in ("run", "check", "classify"))


# -- admin ---------------------------------------------------------------------------------------------------


def test_metrics(shop, shared_cluster):
    with shop.connect() as connection:
        connection.execute("SELECT 1")
        with urllib.request.urlopen(f"http://127.0.0.1:{shop.admin_port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            reading = metrics.Metrics(answer.read().decode())
        for name in (metrics.STATEMENTS, metrics.CORRECTIONS, metrics.HELD, metrics.SERVER_STATE, metrics.CLIENTS):
            assert reading.has(name), name
        assert [reading.state_of(server.name) for server in shared_cluster.servers] == ["up"] * 3
        assert reading.sum(metrics.CLIENTS, cluster="shop") >= 1


def test_unknown_path_and_method(shop):
    assert shop.get("/healthz")[0] == 200
    assert shop.get("/no/such/path")[0] == 404
    request = urllib.request.Request(f"http://127.0.0.1:{shop.admin_port}/metrics", method="DELETE")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 405
