"""The PostgreSQL server of a run, and the proxies in front of it."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import time

import client
import processes

SCRAM_PASSWORD = "bench-password"
CLIENTS_MAX = 6000
COPY_ROWS = 3_900_000  # of 26 bytes: 100 MB


class Stage:
    """What all parts of a run share: the folder, the core, the account for programs that refuse root."""

    def __init__(self, folder, core, build):
        self.folder = folder
        self.core = core
        self.build = build
        self.unprivileged = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        self.demoted = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        self._next_port = 21_000 + os.getpid() % 500 * 20

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), 0o600)
        self.give(name)
        return self.path(name)

    def give(self, name):
        if self.unprivileged:
            shutil.chown(self.path(name), "postgres", "postgres")

    def make_folder(self, name, owner):
        os.mkdir(self.path(name), 0o700)
        if self.unprivileged:
            shutil.chown(self.path(name), owner, owner)

    def free_port(self):
        while True:
            self._next_port += 1
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self._next_port))
                except OSError:
                    continue
                return self._next_port

    def make_certificate(self):
        """One certificate for every contender that speaks TLS: ECDSA P-256, self-signed."""
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-keyout", self.path("tls.key"), "-out", self.path("tls.crt")],
            check=True, capture_output=True)  # fmt: skip
        self.give("tls.key")
        self.give("tls.crt")


def await_service(name, server, port, process, seconds):
    """Until a client can log in and run a statement through `port`."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode}")
        try:
            server.try_login(port)
            return
        except (OSError, RuntimeError) as error:
            last = error
            time.sleep(0.1)
    raise RuntimeError(f"{name} does not serve: {last}")


class Server:
    """A private PostgreSQL, tuned to be as cheap as it can be."""

    service = "PostgreSQL"

    def __init__(self, stage, connections_max):
        self.stage = stage
        self.connections_max = connections_max
        self.port = stage.free_port()
        self.binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.process = None

    def start(self):
        data = self.stage.path("data")
        self.stage.make_folder("data", "postgres")
        subprocess.run(
            [f"{self.binaries}/initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", **self.stage.unprivileged)  # fmt: skip
        self.stage.write("data/pg_hba.conf",
            "host all bench_scram 127.0.0.1/32 scram-sha-256\n"
            "host all holdfast    127.0.0.1/32 scram-sha-256\n"
            "host all all         127.0.0.1/32 trust\n")  # fmt: skip
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
            "max_connections": self.connections_max, "shared_buffers": "256MB", "max_locks_per_transaction": 10,
            "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "minimal",
            "max_wal_senders": 0, "max_wal_size": "4GB", "checkpoint_timeout": "1h", "autovacuum": "off", "jit": "off",
            "max_parallel_workers_per_gather": 0, "ssl": "off",
        }  # fmt: skip
        command = [f"{self.binaries}/postgres", "-D", data]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        self.process = processes.start(
            processes.pinned(self.stage.core, self.stage.demoted + command), log=self.stage.path("postgres.log"),
            cwd="/")  # fmt: skip
        self.process.end_signal = signal.SIGINT  # a fast shutdown: it doesn't wait for clients to leave
        self._await()
        self.sql("postgres", "create database bench")
        self.sql("bench", f"set password_encryption = 'scram-sha-256';"
            f"create role bench_scram login password '{SCRAM_PASSWORD}' in role pg_read_all_data;"
            f"create role holdfast login superuser password '{SCRAM_PASSWORD}'")  # fmt: skip
        self.sql("bench", "create unlogged table short_rows as select g as id, 'short row ' || g as note"
            f" from generate_series(1, {COPY_ROWS}) g")  # fmt: skip
        subprocess.run(["pgbench", "-i", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "bench"], check=True, capture_output=True)
        self.sql("bench", "vacuum analyze")

    def _await(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if subprocess.run(["pg_isready", "-q", *self.address("postgres")]).returncode == 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not start; see postgres.log (--keep)")

    def address(self, database="bench"):
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-d", database]

    def sql(self, database, statement):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *self.address(database), "-c", statement],
            check=True, capture_output=True, text=True)  # fmt: skip
        return done.stdout.strip()

    def try_login(self, port):
        """One statement through `port`; raises OSError or RuntimeError when it does not work."""
        with client.connect(port) as sock:
            client.query(sock, "select 1")

    def await_quiet(self):
        """Until the backends of clients that left are gone, but for those that other proxies keep in reserve."""
        deadline = time.monotonic() + 120
        while processes.children_count(self.process.pid) > 100 and time.monotonic() < deadline:
            time.sleep(0.1)


class Direct:
    """No proxy at all."""

    name = "direct"
    speaks_tls = False

    def __init__(self, stage, server):
        self.server = server
        self.port = self.scram_port = server.port

    def version(self):
        return subprocess.run(["psql", "--version"], capture_output=True, text=True).stdout.split(" ", 2)[2].strip()

    def pid(self):
        return None

    def start(self):
        pass

    def stop(self):
        pass


class Proxy:
    """A proxy process. A subclass gives its command; it is made of a name, ports and configuration files."""

    name = ""
    speaks_tls = False

    def __init__(self, stage, server):
        self.stage = stage
        self.server = server
        self.port = self.scram_port = stage.free_port()
        self.process = None

    def pid(self):
        return self.process.pid

    def start(self):
        log = self.stage.path(f"{self.name}-{self.server.service}.log")
        self.process = processes.start(processes.pinned(self.stage.core, self.command()), log=log, cwd="/")
        try:
            await_service(self.name, self.server, self.port, self.process, 20)
        except RuntimeError as error:
            self.stop()
            with open(log) as file:
                raise RuntimeError(f"{error}\n{file.read()[-2000:]}") from None

    def stop(self):
        if self.process is not None:
            processes.end(self.process)
        self.process = None


class Relay(Proxy):
    name = "relay"

    def version(self):
        return "bench/relay.cc"

    def command(self):
        return [f"{self.stage.build}/bench/relay", str(self.port), str(self.server.port)]


class HAProxy(Proxy):
    name = "haproxy"

    def version(self):
        return subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout.split()[2]

    def command(self):
        config = self.stage.write(f"haproxy-{self.server.service}.cfg", f"""
global
    nbthread 1
    maxconn {CLIENTS_MAX}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen databases
    bind 127.0.0.1:{self.port}
    server server1 127.0.0.1:{self.server.port}
""")  # fmt: skip
        return ["haproxy", "-db", "-f", config]


class PgBouncer(Proxy):
    name = "pgbouncer"
    speaks_tls = True

    def version(self):
        return subprocess.run(["pgbouncer", "--version"], capture_output=True, text=True).stdout.split()[1]

    def command(self):
        verifier = self.server.sql("bench", "select rolpassword from pg_authid where rolname = 'bench_scram'")
        users = self.stage.write("pgbouncer.users", f'"bench" ""\n"bench_scram" "{verifier}"\n')
        rules = self.stage.write("pgbouncer.hba",
            "host all bench_scram 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n")  # fmt: skip
        config = self.stage.write("pgbouncer.ini", f"""
[databases]
* = host=127.0.0.1 port={self.server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = hba
auth_hba_file = {rules}
auth_file = {users}
pool_mode = session
max_client_conn = {CLIENTS_MAX}
default_pool_size = {CLIENTS_MAX}
server_tls_sslmode = disable
client_tls_sslmode = allow
client_tls_cert_file = {self.stage.path("tls.crt")}
client_tls_key_file = {self.stage.path("tls.key")}
log_connections = 0
log_disconnections = 0
log_stats = 0
""")  # fmt: skip
        return [*self.stage.demoted, "pgbouncer", "-q", config]


class Holdfast(Proxy):
    name = "holdfast"
    speaks_tls = True

    def __init__(self, stage, server):
        super().__init__(stage, server)
        self.scram_port = stage.free_port()
        self.admin_port = stage.free_port()

    def version(self):
        done = subprocess.run([f"{self.stage.build}/holdfast", "--version"], capture_output=True, text=True)
        return done.stdout.strip().split()[-1] if done.stdout.strip() else "?"

    def command(self):
        config = self.stage.write(f"{self.server.service}.toml", f"""
[proxy]
log_level = "warn"
max_clients = {CLIENTS_MAX}
[admin]
listen = "127.0.0.1:{self.admin_port}"
{self.cluster()}""")  # fmt: skip
        return [f"{self.stage.build}/holdfast", "run", "--config", config]

    def cluster(self):
        tls = f'{{ mode = "prefer", cert = "{self.stage.path("tls.crt")}", key = "{self.stage.path("tls.key")}" }}'
        return f"""
[cluster.bench]
protocol = "postgres"
service = {{ user = "holdfast", password = "{SCRAM_PASSWORD}" }}
servers = [{{ name = "pg1", address = "127.0.0.1:{self.server.port}" }}]
server_tls = {{ mode = "disable" }}
[[cluster.bench.listener]]
listen = "127.0.0.1:{self.port}"
auth = "trust"
tls = {tls}
[[cluster.bench.listener]]
listen = "127.0.0.1:{self.scram_port}"
auth = "scram"
tls = {tls}
[cluster.bench.pool]
mode = "session"
max_connections = {CLIENTS_MAX}
"""


ALL = [Direct, Relay, HAProxy, PgBouncer, Holdfast]
