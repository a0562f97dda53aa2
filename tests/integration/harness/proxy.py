"""The proxy under test: a configuration, a process, its log and metrics."""

import datetime
import os
import pathlib
import re
import signal
import subprocess
import urllib.request

import psycopg

from . import toml
from .metrics import Metrics
from .mysql import MySqlEndpoint
from .ports import free_port
from .postgres import PASSWORDS, SERVICE_PASSWORD
from .processes import memory
from .waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = pathlib.Path(os.environ.get("HOLDFAST_BINARY", ROOT / "build/release/holdfast"))

# A probe may take long on a busy machine, and a server that is taken for dead spoils what a test is about …
FAST_HEALTH = {"interval": "500ms", "fast": "50ms", "timeout": "5s", "fall": 2, "rise": 1}
# … but for those about servers that stop answering.
IMPATIENT_HEALTH = {**FAST_HEALTH, "timeout": "1s"}


def settings_for(cluster, port, admin_port, listener=None, listeners=None, users=None, proxy=None, **overrides):
    """The configuration as a dict. `overrides` are keys of the cluster, e.g. failover={"wait": "2s"}."""
    settings = {"proxy": {"log_level": "debug" if os.environ.get("HOLDFAST_DEBUG") else "info", **(proxy or {})},
                "admin": {"listen": f"127.0.0.1:{admin_port}"},
                "cluster": {cluster.name: cluster_settings(cluster, port, listener, listeners, **overrides)}}
    if users:
        settings["user"] = users
    return settings


def cluster_settings(cluster, port, listener=None, listeners=None, **overrides):
    """One cluster's part of the configuration; an override of None takes a key away."""
    # MariaDB's servers listen on IPv4 alone, and their accounts are told apart by address.
    addresses = [f"127.0.0.1:{port}", f"[::1]:{port}"] if cluster.protocol == "postgres" else [f"127.0.0.1:{port}"]
    settings = {
        "protocol": cluster.protocol,
        "service": {"user": "holdfast", "password": SERVICE_PASSWORD},
        "servers": [{"name": server.name, "address": f"127.0.0.1:{server.port}"} for server in cluster.servers],
        "health": dict(FAST_HEALTH),
        "listener": listeners or [{"listen": addresses, **(listener or {})}],
    }
    for key, value in overrides.items():
        if value is None:
            settings.pop(key, None)
        else:
            settings[key] = value
    return settings


class Endpoint:
    """Where a test's clients connect: the proxy, or (HOLDFAST_DIRECT=1) the primary itself."""

    def __init__(self, port, host="127.0.0.1"):
        self.host = host
        self.port = port

    def options(self, user="app", dbname="shop", **more):
        password = PASSWORDS.get(user)
        return {"host": self.host, "port": self.port, "user": user, "dbname": dbname,
                **({"password": password} if password else {}), "connect_timeout": 60, **more}

    def connect(self, autocommit=True, **options):
        """A psycopg 3 connection."""
        return psycopg.connect(autocommit=autocommit, **self.options(**options))

    def conninfo(self, **options):
        return psycopg.conninfo.make_conninfo(**self.options(**options))

    def environment(self, **options):
        """Variables for libpq's own programs."""
        wanted = self.options(**options)
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE",
                 "password": "PGPASSWORD", "sslmode": "PGSSLMODE"}
        return {**os.environ, "PGCONNECT_TIMEOUT": "60",
                **{variable: str(wanted[name]) for name, variable in names.items() if name in wanted}}


class Direct(Endpoint):
    """No proxy at all: shows what a test expects of PostgreSQL itself."""

    def __init__(self, cluster):
        super().__init__(cluster.primary.port)

    def stop(self):
        pass

    def log_tail(self):
        return ""


class ProxyProcess:
    """A running proxy before one cluster; `settings` is what settings_for() makes, for the test to change before
    start(). The subclasses say how its clients connect to `port`."""

    def __init__(self, folder, cluster, **options):
        self.host, self.port = "127.0.0.1", free_port()
        self.admin_port = free_port()
        self.clusters = [cluster]
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "holdfast.toml"
        self.log = self.folder / "holdfast.log"
        self.settings = settings_for(cluster, self.port, self.admin_port, **options)
        self.process = None
        self.environment_of_process = dict(os.environ)

    @property
    def cluster(self):
        return self.clusters[0]

    def add_cluster(self, cluster, **overrides):
        """Before start(): a further cluster in the same proxy. Returns where its clients connect."""
        port = free_port()
        self.clusters.append(cluster)
        self.settings["cluster"][cluster.name] = cluster_settings(cluster, port, **overrides)
        return MySqlEndpoint(port) if cluster.protocol == "mysql" else Endpoint(port)

    def write_config(self):
        self.config.write_text(toml.dump(self.settings))
        self.config.chmod(0o600)

    def start(self, wait_servers=True):
        self.write_config()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BINARY, "run", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=self.environment_of_process)
        wait_until(self.is_healthy, "the proxy answers /healthz")
        if wait_servers:
            self.wait_servers_up()
        return self

    def is_healthy(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the proxy ended with {self.process.returncode}:\n{self.log_tail()}")
        return self.get("/healthz")[0] == 200

    def wait_servers_up(self, names=None, timeout=60):
        """Until every server that runs (or those named) is up in the proxy's eyes."""
        names = names or [server.name for cluster in self.clusters for server in cluster.servers if server.is_running()]
        wait_until(lambda: all(self.metrics().state_of(name) == "up" for name in names),
                   f"the proxy sees {names} up", timeout, interval=0.02)

    def wait_state(self, server, state, timeout=60):
        wait_until(lambda: self.metrics().state_of(server.name) == state, f"{server} is {state}", timeout,
                   interval=0.02)

    def stop(self):
        """SIGTERM; a proxy that does not leave with 0 fails the test."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the proxy did not leave within 30 s of SIGTERM") from None
        code, self.process = self.process.returncode, None
        assert code == 0, f"the proxy left with {code}:\n{self.log_tail()}"

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def get(self, path):
        """GET on the admin listener: (status, text)."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        return Metrics(self.get("/metrics")[1])

    def memory(self, field="VmRSS"):
        return memory(self.process.pid, field)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def writes_resumed_at(self, primary):
        """When it had the first answer to a write on its new primary, by its log, in seconds since 1970; None when that
        does not tell."""
        changed = self.log_text().rpartition(f"to={primary.name} epoch=")[2]
        times = re.findall(r"^ts=(\S+)Z .*event=writes_resumed", changed, re.MULTILINE)
        return datetime.datetime.fromisoformat(times[0] + "+00:00").timestamp() if times else None

    def log_tail(self, lines=60):
        return "\n".join(self.log_text().splitlines()[-lines:])


class Proxy(ProxyProcess, Endpoint):
    """A proxy before PostgreSQL."""


class MySqlProxy(ProxyProcess, MySqlEndpoint):
    """A proxy before MariaDB."""
