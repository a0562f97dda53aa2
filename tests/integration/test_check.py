"""holdfast check --connect: what it says of real servers, and that what it advises is right."""

import datetime
import json
import re
import socket
import subprocess
import time

import pytest

from harness import toml
from harness.ports import free_port
from harness.proxy import BINARY, settings_for
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only

PASSWORD = "checker secret"
# Those of the service accounts of the harness, which have what they need.
POOL = {"max_connections": 100}


class Check:
    """A configuration for a cluster, and what `holdfast check --connect` says of it."""

    def __init__(self, folder, cluster, **overrides):
        self.path = folder / "holdfast.toml"
        self.settings = settings_for(cluster, free_port(), free_port(), proxy={"max_clients": 100},
                                     **{"pool": POOL, **overrides})
        self.cluster = self.settings["cluster"][cluster.name]

    def run(self, *arguments):
        self.path.write_text(toml.dump(self.settings))
        self.path.chmod(0o600)
        return subprocess.run([BINARY, "check", "--connect", "-c", self.path, *arguments], capture_output=True,
                              text=True, timeout=120)

    def json(self, *arguments):
        """(exit status, the object)"""
        result = self.run("--json", *arguments)
        assert result.stderr == "", result.stderr
        answer = json.loads(result.stdout)
        assert answer["good"] == (result.returncode == 0)
        return result.returncode, answer

    def grants(self, *arguments):
        """(exit status, {statement: the database to run it in})"""
        status, answer = self.json(*arguments)
        return status, {each["grant"]: each.get("database") for each in answer["problems"] if "grant" in each}


def problems(answer, severity):
    return [each for each in answer["problems"] if each["severity"] == severity]


# -- servers -------------------------------------------------------------------------------------------------


def test_a_cluster_in_good_order(make_cluster, tmp_path):
    cluster_of_test = make_cluster(settings={"ssl": "on"})
    check = Check(tmp_path, cluster_of_test)
    status, answer = check.json("--strict")
    assert status == 0, answer
    (cluster,) = answer["clusters"]
    assert [server["name"] for server in cluster["servers"]] == [server.name for server in cluster_of_test.servers]
    for server, found in zip(cluster_of_test.servers, cluster["servers"]):
        assert found["role"] == ("primary" if server is cluster_of_test.primary else "replica")
        assert found["state"] == "up"
        assert found["version"] == server.value("SHOW server_version").split()[0]
        assert 25 < (found["certificate_not_after"] - time.time()) / 86400 <= 30
    assert all(found["lag_seconds"] is not None for found in cluster["servers"] if found["role"] == "replica")

    text = check.run()
    assert text.returncode == 0 and text.stdout.rstrip().endswith(": good")
    until = datetime.datetime.utcfromtimestamp(cluster["servers"][0]["certificate_not_after"]).strftime("%Y-%m-%d")
    assert re.search(rf"^  {cluster_of_test.primary.name} +primary +up +\d+\.\d+ +\S+ +{until}$", text.stdout, re.M), text.stdout


def test_a_mariadb_cluster_in_good_order(shared_maria, tmp_path):
    status, answer = Check(tmp_path, shared_maria).json("--strict")
    assert status == 0, answer
    (cluster,) = answer["clusters"]
    for server, found in zip(shared_maria.servers, cluster["servers"]):
        assert found["role"] == ("primary" if server is shared_maria.primary else "replica")
        assert found["state"] == "up" and found["version"] == server.value("SELECT VERSION()")


def test_a_server_that_is_away_and_one_that_does_not_answer(shared_cluster, tmp_path):
    check = Check(tmp_path, shared_cluster, connect_timeout="500ms", health={"timeout": "300ms"})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        check.cluster["servers"] += [{"name": "away", "address": f"127.0.0.1:{free_port()}"},
                                     {"name": "silent", "address": f"127.0.0.1:{silent.getsockname()[1]}"}]
        began = time.monotonic()
        status, answer = check.json()
        assert status == 1
        assert time.monotonic() - began < 30
    found = {server["name"]: server for server in answer["clusters"][0]["servers"]}
    assert found["away"]["state"] == "down" and found["silent"]["state"] == "down"
    assert found[shared_cluster.primary.name]["role"] == "primary"
    errors = {each["where"] for each in problems(answer, "error")}
    assert errors == {f"cluster.{shared_cluster.name}.servers[{name}]" for name in ("away", "silent")}


def test_no_primary(shared_cluster, tmp_path):
    check = Check(tmp_path, shared_cluster)
    del check.cluster["servers"][shared_cluster.servers.index(shared_cluster.primary)]
    status, answer = check.json()
    assert status == 1
    assert any("no server is known to be the primary" in each["message"] for each in problems(answer, "error"))


def test_a_wrong_password_is_said_and_not_shown(shared_cluster, shared_maria, tmp_path):
    for cluster in (shared_cluster, shared_maria):
        check = Check(tmp_path, cluster, service={"user": "holdfast", "password": "wr0ng-secret"})
        result = check.run()
        assert result.returncode == 1 and "wr0ng-secret" not in result.stdout + result.stderr
        assert re.search(r"error: .*(password authentication failed|Access denied)", result.stderr), result.stderr


# -- privileges ----------------------------------------------------------------------------------------------


@pytest.fixture
def postgres_account(shared_cluster):
    primary = shared_cluster.primary
    primary.execute(f"CREATE ROLE \"Checker\" LOGIN PASSWORD '{PASSWORD}'", "postgres")
    primary.execute('CREATE DATABASE "two words"', "postgres")
    primary.execute('REVOKE CONNECT ON DATABASE "two words" FROM PUBLIC', "postgres")
    shared_cluster.wait_replayed()
    yield {"user": "Checker", "password": PASSWORD}
    primary.execute('DROP DATABASE "two words"', "postgres")
    primary.execute('DROP OWNED BY "Checker"', "postgres")
    primary.execute('DROP ROLE "Checker"', "postgres")
    shared_cluster.wait_replayed()


def test_each_grant_for_postgresql_is_what_is_missing(shared_cluster, postgres_account, tmp_path):
    """One after the other is given, and is not asked for again; with all of them the check succeeds."""
    check = Check(tmp_path, shared_cluster, service=postgres_account)
    status, missing = check.grants("--strict")
    assert status == 1 and missing == {
        'GRANT pg_monitor TO "Checker"': None,
        'GRANT SELECT ON pg_catalog.pg_authid TO "Checker"': "postgres",
        'GRANT CONNECT ON DATABASE "two words" TO "Checker"': None}
    while missing:
        statement, database = missing.popitem()
        shared_cluster.primary.execute(statement, database or "shop")
        shared_cluster.wait_replayed()
        status, still = check.grants("--strict")
        assert still == missing
    assert status == 0
    # What only makes some reads go to the primary is no error.
    shared_cluster.primary.execute('REVOKE CONNECT ON DATABASE "two words" FROM "Checker"', "postgres")
    shared_cluster.wait_replayed()
    assert check.grants()[0] == 0 and check.grants("--strict")[0] == 1


def test_a_grant_as_text(shared_cluster, postgres_account, tmp_path):
    result = Check(tmp_path, shared_cluster, service=postgres_account).run()
    assert result.returncode == 1
    assert ('    on the primary, in database postgres: GRANT SELECT ON pg_catalog.pg_authid TO "Checker";\n'
            in result.stderr)


@pytest.fixture
def mariadb_account(shared_maria):
    shared_maria.primary.execute(f"CREATE USER `che'cker`@'127.0.0.%' IDENTIFIED BY '{PASSWORD}'")
    shared_maria.wait_replayed()
    yield {"user": "che'cker", "password": PASSWORD}
    shared_maria.primary.execute("DROP USER `che'cker`@'127.0.0.%'")
    shared_maria.wait_replayed()


def test_each_grant_for_mariadb_is_what_is_missing(shared_maria, mariadb_account, tmp_path):
    check = Check(tmp_path, shared_maria, service=mariadb_account)
    status, missing = check.grants("--strict")
    account = "'che''cker'@'127.0.0.%'"
    assert status == 1 and missing == {
        f"GRANT SLAVE MONITOR ON *.* TO {account}": None,
        f"GRANT SELECT ON mysql.global_priv TO {account}": None,
        f"GRANT SELECT ON mysql.proc TO {account}": None}
    while missing:
        statement, _ = missing.popitem()
        shared_maria.primary.execute(statement)
        shared_maria.wait_replayed()
        status, still = check.grants("--strict")
        assert still == missing
    assert status == 0


# -- this machine --------------------------------------------------------------------------------------------


def test_certificates_of_listeners(shared_cluster, authority, tmp_path):
    check = Check(tmp_path, shared_cluster)

    def judged(days):
        crt, key = authority.issue("checked", ["localhost"], days=days)
        check.cluster["listener"][0]["tls"] = {"cert": str(crt), "key": str(key)}
        status, answer = check.json()
        found = [each for each in answer["problems"] if each.get("where", "").endswith(".tls.cert")]
        return status, [(each["severity"], each["message"]) for each in found]

    assert judged(15) == (0, [])
    status, ((severity, message),) = judged(13)
    assert status == 0 and severity == "warning" and "runs out in 1" in message
    status, ((severity, message),) = judged(-2)
    assert status == 1 and severity == "error" and "has run out" in message


def test_a_key_of_another_certificate(shared_cluster, authority, tmp_path):
    """Plain `check` sees it too: `run` would fail."""
    crt, _ = authority.issue("one", ["localhost"])
    _, key = authority.issue("another", ["localhost"])
    check = Check(tmp_path, shared_cluster)
    check.cluster["listener"][0]["tls"] = {"cert": str(crt), "key": str(key)}
    check.path.write_text(toml.dump(check.settings))
    check.path.chmod(0o600)
    result = subprocess.run([BINARY, "check", check.path], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and str(key) in result.stderr


def test_an_address_in_use(shared_cluster, tmp_path, start_proxy):
    check = Check(tmp_path, shared_cluster)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        check.cluster["listener"][0]["listen"] = [where]
        status, answer = check.json()
        (error,) = problems(answer, "error")
        assert status == 1 and error["where"] == f"cluster.shop.listener[{where}].listen" and where in error["message"]
    # Those that the running proxy of this configuration has are in good hands.
    proxy = start_proxy(shared_cluster)
    check.settings["admin"] = proxy.settings["admin"]
    check.cluster["listener"] = proxy.settings["cluster"]["shop"]["listener"]
    status, answer = check.json("--strict")
    assert status == 0, answer
    assert len(problems(answer, "note")) == 3, answer


def test_descriptors_and_connections(shared_cluster, tmp_path):
    check = Check(tmp_path, shared_cluster, pool={"max_connections": 99_999})
    check.settings["proxy"]["max_clients"] = 1_000_000
    check.path.write_text(toml.dump(check.settings))
    result = subprocess.run(["bash", "-c", 'ulimit -n 1000; exec "$@"', "bash", BINARY, "check", "--connect", "--json",
                             "-c", check.path], capture_output=True, text=True, timeout=120)
    answer = json.loads(result.stdout)
    assert result.returncode == 0, answer
    assert any(each["where"] == "proxy.max_clients" and "the limit is 1000" in each["message"]
               for each in problems(answer, "warning") if "where" in each)
    limit = shared_cluster.primary.value("SHOW max_connections")
    assert sum(f"it takes {limit} connections" in each["message"] for each in problems(answer, "note")) == 3


# -- without --connect ---------------------------------------------------------------------------------------


def test_plain_json_and_strict(tmp_path):
    path = tmp_path / "holdfast.toml"
    path.write_text('[cluster.shop]\nprotocol = "postgres"\nlisten = "127.0.0.1:6432"\nservers = ["10.0.1.11"]\n'
                    'service = { user = "holdfast", password = "s3cr3t-value" }\n')
    path.chmod(0o644)

    def check(*arguments):
        result = subprocess.run([BINARY, "check", path, *arguments], capture_output=True, text=True, timeout=60)
        return result.returncode, result.stdout, result.stderr

    status, text, _ = check("--json")
    answer = json.loads(text)
    (warning,) = answer["problems"]
    assert status == 0 and answer["good"] and "clusters" not in answer
    assert warning["severity"] == "warning" and warning["line"] == 5 and "chmod 600" in warning["message"]
    assert "s3cr3t-value" not in text
    assert check("--strict")[0] == 1 and check()[0] == 0
    path.chmod(0o600)
    assert check("--strict")[0] == 0
    path.write_text("[proxi]\n")
    status, text, errors = check("--json")
    answer = json.loads(text)
    assert status == 1 and not answer["good"] and errors == ""
    assert any(each["line"] == 1 and "unknown key 'proxi'" in each["message"] for each in answer["problems"])
