"""Private PostgreSQL servers: a primary and streaming standbys, that a test may kill, freeze and promote."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import psycopg

from .certificates import Authority
from .servers import Cluster, ServerProcess
from .waiting import wait_until

BIN = pathlib.Path(os.environ.get("HOLDFAST_PG_BIN", "/usr/lib/postgresql/15/bin"))
ACCOUNT = pwd.getpwnam("postgres")  # PostgreSQL refuses to run as root

SERVICE_PASSWORD = "service-secret"
# Roles for every way of proving oneself; each has rights on the database `shop`.
PASSWORDS = {"app": "app secret", "app_md5": "md5 secret", "app_plain": "plain secret", "app_trust": "",
             "reader": "reader secret"}

_SETTINGS = """
listen_addresses = '127.0.0.1,::1'
fsync = off                           # these servers are killed, never unplugged
shared_buffers = 32MB
max_connections = 450
superuser_reserved_connections = 10
dynamic_shared_memory_type = mmap     # in the data folder: nothing is left behind by kill -9
wal_level = replica
max_wal_senders = 10
max_prepared_transactions = 10
wal_keep_size = 256MB
hot_standby = on
wal_receiver_timeout = 4s
wal_retrieve_retry_interval = 100ms
password_encryption = scram-sha-256
log_line_prefix = '%m [%p] %q%u@%d '
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
ssl_ca_file = 'ca.crt'
include_if_exists = 'test.conf'
"""

_HBA = """
local   all          all                        trust
local   replication  all                        trust
host    replication  postgres     127.0.0.1/32  trust
host    replication  app          127.0.0.1/32  scram-sha-256
host    all          postgres     127.0.0.1/32  trust
host    all          app_trust    127.0.0.1/32  trust
host    all          app_md5      127.0.0.1/32  md5
host    all          app_plain    127.0.0.1/32  password
host    all          all          127.0.0.1/32  scram-sha-256
host    all          all          ::1/128       scram-sha-256
"""

_ROLES = f"""
CREATE ROLE holdfast LOGIN PASSWORD '{SERVICE_PASSWORD}' IN ROLE pg_monitor;
GRANT SELECT ON pg_authid TO holdfast;
CREATE ROLE app LOGIN REPLICATION PASSWORD '{PASSWORDS["app"]}';
CREATE ROLE app_plain LOGIN PASSWORD '{PASSWORDS["app_plain"]}' IN ROLE app;
CREATE ROLE app_trust LOGIN IN ROLE app;
CREATE ROLE reader LOGIN PASSWORD '{PASSWORDS["reader"]}';
CREATE ROLE expired LOGIN PASSWORD 'expired secret' VALID UNTIL '2001-01-01';
CREATE ROLE nologin_role NOLOGIN PASSWORD 'nologin secret';
SET password_encryption = 'md5';
CREATE ROLE app_md5 LOGIN PASSWORD '{PASSWORDS["app_md5"]}' IN ROLE app;
RESET password_encryption;
CREATE DATABASE shop OWNER app;
"""


def run_as_postgres(*command, **options):
    return subprocess.run([str(part) for part in command], user=ACCOUNT.pw_uid, group=ACCOUNT.pw_gid,
                          extra_groups=[], check=True, capture_output=True, cwd="/", **options)


class Server(ServerProcess):
    """One PostgreSQL server. `name` is also its application_name towards a primary."""

    account = ACCOUNT

    def __init__(self, name, folder, bin=BIN):
        super().__init__(name, folder)
        self.bin = pathlib.Path(bin)
        self.settings = {}

    # -- settings ---------------------------------------------------------------------------------------

    def set(self, **settings):
        """Changes settings of this server only; None takes one back. Reloads a running server."""
        self.settings.update(settings)
        text = "".join(f"{name} = '{value}'\n" for name, value in self.settings.items() if value is not None)
        (self.data / "test.conf").write_text(text)
        if self.is_running():
            os.kill(self.process.pid, signal.SIGHUP)

    def stream_from(self, primary):
        """Makes this server a standby of `primary`: at its next start, or at once when it is one already."""
        (self.data / "standby.signal").touch()
        shutil.chown(self.data / "standby.signal", ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        self.set(primary_conninfo=f"host=127.0.0.1 port={primary.port} user=postgres application_name={self.name}",
                 synchronous_standby_names=None)

    # -- running ----------------------------------------------------------------------------------------

    def command(self):
        return [self.bin / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.folder]

    def answers(self):
        return self.value("SELECT 1") == 1

    def stop(self, mode="fast"):
        """smart, fast or immediate, and waits for the end."""
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode]
        self.signal_stop(number)
        self.process.wait(60)

    def kill9_postmaster(self):
        """Only the postmaster: its children find out, tell their clients and end."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    # -- asking it directly -----------------------------------------------------------------------------

    def connect(self, dbname="shop", user="postgres", **options):
        """A superuser's connection by the Unix socket, past the proxy."""
        return psycopg.connect(host=str(self.folder), port=self.port, user=user, dbname=dbname, autocommit=True,
                               connect_timeout=30, **options)

    def rows(self, query, *arguments, dbname="shop"):
        with self.connect(dbname) as connection:
            cursor = connection.execute(query, arguments or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, query, *arguments, dbname="shop"):
        return self.rows(query, *arguments, dbname=dbname)[0][0]

    def execute(self, script, dbname="shop"):
        """Statements separated by semicolons, without parameters."""
        with self.connect(dbname) as connection:
            connection.execute(script)

    def is_in_recovery(self):
        return self.value("SELECT pg_is_in_recovery()", dbname="postgres")

    def received_position(self):
        """The last WAL position that this standby has received, as a number."""
        return int(self.value("SELECT coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn",
                              dbname="postgres"))

    def promote(self):
        """Returns when the server says that it is out of recovery."""
        self.value("SELECT pg_promote(true, 60)", dbname="postgres")

    def pause_replay(self):
        self.rows("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self.value("SELECT pg_get_wal_replay_pause_state()") == "paused", f"{self} pauses replay")

    def resume_replay(self):
        self.rows("SELECT pg_wal_replay_resume()")


class Template:
    """A data folder with roles, a database and certificates, that servers are copied from. Made once a run and
    version: `bin` holds that version's programs."""

    def __init__(self, folder, bin=BIN):
        self.folder = pathlib.Path(folder)
        self.bin = pathlib.Path(bin)
        self.authority = Authority(self.folder / "certificates")
        os.chmod(self.folder / "certificates", 0o755)
        server = Server("template", self.folder, self.bin)
        shutil.chown(self.folder, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        run_as_postgres(self.bin / "initdb", "-D", server.data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                        "--no-sync", "--auth=trust")
        crt, key = self.authority.issue("server", ["localhost", "pg.test"], ["127.0.0.1", "::1"])
        for source, name in ((crt, "server.crt"), (key, "server.key"), (self.authority.file, "ca.crt")):
            shutil.copy(source, server.data / name)
            shutil.chown(server.data / name, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        with open(server.data / "postgresql.conf", "a") as conf:
            conf.write(_SETTINGS)
        (server.data / "pg_hba.conf").write_text(_HBA)
        server.set()
        server.start(wait=False)
        wait_until(lambda: server.value("SELECT 1", dbname="postgres"), "the template starts")
        with server.connect("postgres") as connection:
            for statement in _ROLES.strip().split(";\n"):
                connection.execute(statement.rstrip(";"))
        server.stop()
        self.data = server.data


class PostgresCluster(Cluster):
    """A primary with standbys, each streaming from it. `primary` follows promote().

    synchronous  the number of standbys that must have a commit before it is acknowledged (quorum).
    """

    kind = Server
    protocol = "postgres"
    name = "shop"

    def __init__(self, template, folder, standbys=2, synchronous=0, settings=None):
        super().__init__(template, folder, "pg", standbys)
        for server in self.servers:
            server.set(**(settings or {}))
        for standby in self.standbys:
            standby.stream_from(self.primary)
        self.primary.start()
        for standby in self.standbys:
            standby.start(wait=False)
        for standby in self.standbys:
            standby.wait_ready()
        self.wait_streaming()
        if synchronous:
            self.require_synchronous(synchronous)

    def _server(self, name, folder):
        return Server(name, folder, self.template.bin)

    @property
    def standbys(self):
        return self.replicas

    def running_standbys(self):
        return self.running_replicas()

    def require_synchronous(self, number):
        names = ",".join(server.name for server in self.standbys)
        self.primary.set(synchronous_standby_names=f"ANY {number} ({names})")
        wait_until(lambda: self.primary.value("SELECT count(*) FROM pg_stat_replication WHERE sync_state <> 'async'")
                   >= number, "standbys are synchronous")

    def wait_streaming(self, count=None, timeout=60):
        """Until `count` standbys (default: all that run) stream from the primary."""
        count = len(self.running_standbys()) if count is None else count
        wait_until(lambda: self.primary.value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
                   >= count, f"{count} standbys stream from {self.primary}", timeout)

    def wait_replayed(self, servers=None, timeout=60):
        """Until the standbys have replayed everything that the primary has written by now."""
        position = self.primary.value("SELECT pg_current_wal_lsn()")
        for server in servers if servers is not None else self.running_standbys():
            wait_until(lambda s=server: s.value("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position),
                       f"{server} has replayed {position}", timeout)

    def most_advanced_standby(self):
        return max(self.running_standbys(), key=Server.received_position)

    def promote(self, server=None, follow=True):
        """Promotes `server` (default: the standby that has received most) and lets the other standbys follow it.

        Returns the new primary. The old one is not touched.
        """
        server = server or self.most_advanced_standby()
        others = [standby for standby in self.running_standbys() if standby is not server]
        server.promote()
        self.primary = server
        if follow:
            for other in others:
                other.stream_from(server)
        return server

    def rebuild(self, server):
        """Makes a server that was left behind a standby of the present primary, from a fresh copy."""
        if server.is_running():
            server.kill9()
        shutil.rmtree(server.data)
        run_as_postgres(BIN / "pg_basebackup", "-D", server.data, "-h", self.primary.folder, "-p",
                        str(self.primary.port), "-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync")
        server.settings = {}
        server.stream_from(self.primary)
        server.start()
        self.wait_streaming()
