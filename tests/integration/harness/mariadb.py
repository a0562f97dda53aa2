"""Private MariaDB servers: a primary and GTID replicas, that a test may kill, freeze and promote."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

import pymysql
from pymysql.constants import CLIENT

from .certificates import Authority
from .servers import Cluster, ServerProcess
from .waiting import wait_until

SERVER = pathlib.Path(os.environ.get("HOLDFAST_MARIADBD", "/usr/sbin/mariadbd"))
ACCOUNT = pwd.getpwnam("mysql")  # MariaDB refuses to run as root

SERVICE_PASSWORD = "service-secret"
REPLICATION_PASSWORD = "replication-secret"
# Accounts for every way of proving oneself; each but `reader` has all rights on the database `shop`.
PASSWORDS = {"app": "app secret", "app_ed25519": "ed25519 secret", "app_empty": "", "app_either": "either secret",
             "app_tls": "tls secret", "by_host": "from 127.0.0.1", "reader": "reader secret", "boss": "boss secret"}

# Their own small buffers and no fsync: these servers are killed, never unplugged. What a transaction wrote is in the
# kernel's hands when it commits, so that kill -9 loses nothing of it.
_SETTINGS = """
[mariadbd]
user = mysql
bind_address = 127.0.0.1
skip_name_resolve
performance_schema = OFF
character_set_server = utf8mb4
max_connections = 450
max_allowed_packet = 64M
thread_cache_size = 64
innodb_buffer_pool_size = 16M
innodb_log_file_size = 8M
innodb_log_buffer_size = 2M
innodb_doublewrite = 0
innodb_flush_method = nosync
innodb_flush_log_at_trx_commit = 2
innodb_buffer_pool_dump_at_shutdown = 0
innodb_buffer_pool_load_at_startup = 0
innodb_temp_data_file_path = ibtmp1:1M:autoextend
aria_pagecache_buffer_size = 1M
key_buffer_size = 256K
log_bin = binlog
binlog_format = ROW
sync_binlog = 0
gtid_strict_mode = ON
log_slave_updates = ON
relay_log = relay
slave_net_timeout = 4
local_infile = ON
log_bin_trust_function_creators = ON
plugin_load_add = auth_ed25519
"""

# The service account's rights are those that README.md gives: it may look at everything, and change nothing.
_ACCOUNTS = f"""
CREATE USER holdfast@'%' IDENTIFIED BY '{SERVICE_PASSWORD}';
GRANT SLAVE MONITOR ON *.* TO holdfast@'%';
GRANT SELECT ON mysql.global_priv TO holdfast@'%';
GRANT SELECT ON mysql.proc TO holdfast@'%';
CREATE USER replication@'%' IDENTIFIED BY '{REPLICATION_PASSWORD}';
GRANT REPLICATION SLAVE ON *.* TO replication@'%';
CREATE DATABASE shop;
CREATE DATABASE annex;
CREATE TABLE shop.here (name varchar(64) NOT NULL);
CREATE USER app@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('{PASSWORDS["app"]}');
CREATE USER app_ed25519@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORDS["app_ed25519"]}');
CREATE USER app_empty@'%' IDENTIFIED BY '';
CREATE USER app_either@'%' IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORDS["app_either"]}')
                                       OR mysql_native_password USING PASSWORD('{PASSWORDS["app_either"]}');
CREATE USER app_tls@'%' IDENTIFIED BY '{PASSWORDS["app_tls"]}' REQUIRE SSL;
CREATE USER by_host@'%' IDENTIFIED BY 'from anywhere';
CREATE USER by_host@'127.0.0.1' IDENTIFIED BY 'from 127.0.0.1';
CREATE USER by_host@localhost IDENTIFIED BY 'from localhost';
CREATE USER reader@'%' IDENTIFIED BY '{PASSWORDS["reader"]}';
CREATE USER locked@'%' IDENTIFIED BY 'locked secret' ACCOUNT LOCK;
CREATE USER expired@'%' IDENTIFIED BY 'expired secret' PASSWORD EXPIRE;
CREATE USER boss@'%' IDENTIFIED BY '{PASSWORDS["boss"]}';
GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION;
GRANT SELECT ON shop.* TO reader@'%';
GRANT SELECT ON shop.* TO by_host@localhost;
""" + "".join(f"GRANT ALL ON shop.* TO {user};\nGRANT SELECT ON annex.* TO {user};\n" for user in (
    "app@'%'", "app_ed25519@'%'", "app_empty@'%'", "app_either@'%'", "app_tls@'%'", "by_host@'%'",
    "by_host@'127.0.0.1'"))


def run_as_mysql(*command, **options):
    return subprocess.run([str(part) for part in command], user=ACCOUNT.pw_uid, group=ACCOUNT.pw_gid, extra_groups=[],
                          check=True, capture_output=True, cwd="/", **options)


class Server(ServerProcess):
    """One MariaDB server. `options` are settings of its own, read when it starts."""

    account = ACCOUNT
    _numbers = iter(range(1, 10_000))

    def __init__(self, name, folder):
        super().__init__(name, folder)
        self.socket = self.folder / "sock"
        self.number = next(self._numbers)
        self.options = {}

    # -- running ----------------------------------------------------------------------------------------

    def start(self, wait=True):
        own = {"server_id": self.number, "port": self.port, "socket": self.socket, "datadir": self.data,
               "pid_file": self.folder / "pid", "report_host": self.name, **self.options}
        file = self.folder / "my.cnf"
        file.write_text(_SETTINGS + "".join(f"{name} = {value}\n" for name, value in own.items()))
        super().start(wait)

    def command(self):
        return [SERVER, f"--defaults-file={self.folder / 'my.cnf'}"]

    def answers(self):
        return self.value("SELECT 1", database=None) == 1

    def stop(self):
        """A clean end: running statements are killed, clients are told 1053 or nothing."""
        self.signal_stop(signal.SIGTERM)
        self.process.wait(60)

    # -- asking it directly -----------------------------------------------------------------------------

    def connect(self, database="shop", **options):
        """root's connection by the Unix socket, past the proxy."""
        return pymysql.connect(unix_socket=str(self.socket), user="root", database=database, autocommit=True,
                               connect_timeout=30, read_timeout=60, charset="utf8mb4", **options)

    def rows(self, query, *arguments, database="shop"):
        with contextlib.closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(query, arguments or None)
            return list(cursor.fetchall())

    def value(self, query, *arguments, database="shop"):
        return self.rows(query, *arguments, database=database)[0][0]

    def execute(self, script, database="shop"):
        """Statements separated by semicolons, without parameters."""
        with contextlib.closing(self.connect(database, client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
            with connection.cursor() as cursor:
                cursor.execute(script)
                while cursor.nextset():
                    pass

    def status(self):
        """SHOW SLAVE STATUS as a dict; empty when it does not replicate."""
        with contextlib.closing(self.connect(None)) as connection:
            with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute("SHOW SLAVE STATUS")
                return cursor.fetchone() or {}

    def global_status(self, name):
        return self.rows("SHOW GLOBAL STATUS LIKE %s", name, database=None)[0][1]

    def say_its_name(self):
        """The table `here` has the server's own name on each server: a read of it tells where it ran."""
        self.execute(f"SET sql_log_bin = 0; DELETE FROM here; INSERT INTO here VALUES ('{self.name}')")

    def runs(self, marker):
        """True while a client's statement with this text is running here."""
        return bool(self.rows("SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE %s AND ID <> CONNECTION_ID() "
                              "AND COMMAND IN ('Query', 'Execute')", f"%{marker}%", database=None))

    # -- replication ------------------------------------------------------------------------------------

    def replicate_from(self, primary, demote=False):
        """Makes this running server a replica of `primary`. `demote` when it was a primary itself until now."""
        self.options["read_only"] = 1
        self.execute(f"""
            STOP SLAVE;
            SET GLOBAL read_only = 1;
            SET GLOBAL rpl_semi_sync_master_enabled = OFF;
            CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {primary.port}, MASTER_USER = 'replication',
                MASTER_PASSWORD = '{REPLICATION_PASSWORD}', MASTER_CONNECT_RETRY = 1, MASTER_HEARTBEAT_PERIOD = 1,
                MASTER_USE_GTID = slave_pos{", MASTER_DEMOTE_TO_SLAVE = 1" if demote else ""};
            START SLAVE;""", database=None)

    def replicates(self):
        status = self.status()
        return status.get("Slave_IO_Running") == "Yes" and status.get("Slave_SQL_Running") == "Yes"

    def received_position(self):
        """The number of the last transaction that this replica has received, in its only domain."""
        return _sequence(self.status().get("Gtid_IO_Pos"))

    def applied_position(self):
        return _sequence(self.value("SELECT @@gtid_slave_pos", database=None))

    def promote(self, synchronous=False):
        """Returns when it takes writes: the moment in seconds since 1970, by its own clock. What it has received and not
        yet applied is applied first."""
        self.execute("STOP SLAVE IO_THREAD", database=None)
        received = self.received_position()
        wait_until(lambda: self.applied_position() >= received, f"{self} has applied what it has received")
        self.options["read_only"] = 0
        self.execute("STOP SLAVE; RESET SLAVE ALL", database=None)
        if synchronous:
            self.require_synchronous()
        with contextlib.closing(self.connect(None, client_flag=CLIENT.MULTI_STATEMENTS)) as connection:
            with connection.cursor() as cursor:
                # In one message: whoever asks may be slow to hear of it.
                cursor.execute("SET GLOBAL read_only = 0; SELECT UNIX_TIMESTAMP(SYSDATE(6))")
                cursor.nextset()
                return float(cursor.fetchone()[0])

    def status_value(self, name):
        return self.value(f"SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = '{name}'",
                          database=None)

    def require_synchronous(self):
        """Acknowledges a commit when a replica has it. Only on a primary: a replica would wait for one of its own."""
        self.execute("SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC; "
                     "SET GLOBAL rpl_semi_sync_master_timeout = 3600000; "
                     "SET GLOBAL rpl_semi_sync_master_enabled = ON", database=None)


def _sequence(position):
    """The last part of a GTID position of one domain: 0-2-117 is 117."""
    return int(position.rpartition("-")[2]) if position else 0


class Template:
    """A data folder with accounts, a database and certificates, that servers are copied from. Made once a run."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.authority = Authority(self.folder / "certificates")
        os.chmod(self.folder / "certificates", 0o755)
        server = Server("template", self.folder)
        shutil.chown(self.folder, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        run_as_mysql("mariadb-install-db", "--no-defaults", f"--datadir={server.data}", "--skip-test-db",
                     "--auth-root-authentication-method=normal", "--innodb-log-file-size=8M",
                     "--innodb-flush-method=nosync")
        crt, key = self.authority.issue("server", ["localhost", "maria.test"], ["127.0.0.1"])
        for source, name in ((crt, "server.crt"), (key, "server.key"), (self.authority.file, "ca.crt")):
            shutil.copy(source, server.data / name)
            shutil.chown(server.data / name, ACCOUNT.pw_uid, ACCOUNT.pw_gid)
        server.start()
        # The servers of a cluster begin with the same accounts and an empty history.
        server.execute("DELETE FROM mysql.global_priv WHERE User = ''; FLUSH PRIVILEGES;" + _ACCOUNTS, database=None)
        server.execute("RESET MASTER", database=None)
        server.stop()
        self.data = server.data


class MariaCluster(Cluster):
    """A primary with replicas that follow it by GTID. `primary` follows promote().

    synchronous  a commit is acknowledged when one of the replicas has received it (semi-synchronous, AFTER_SYNC).
    """

    kind = Server
    protocol = "mysql"
    name = "blog"

    def __init__(self, template, folder, replicas=2, synchronous=False, settings=None):
        super().__init__(template, folder, "my", replicas)
        self.synchronous = synchronous
        self.promoted_at = None  # the moment, monotonic, when the present primary took writes
        self.promoted_time = None  # the same in seconds since 1970, by its own clock and before any replica followed
        for server in self.servers:
            server.options.update({"ssl_cert": "server.crt", "ssl_key": "server.key", "ssl_ca": "ca.crt",
                                   **({"rpl_semi_sync_slave_enabled": "ON"} if synchronous else {}), **(settings or {}),
                                   "read_only": int(server is not self.primary)})
            server.start(wait=False)
        for server in self.servers:
            server.wait_ready()
        for server in self.servers:
            server.say_its_name()
        for replica in self.replicas:
            replica.replicate_from(self.primary)
        self.wait_replicating()
        if synchronous:
            self.require_synchronous()

    def wait_replicating(self, servers=None, timeout=60):
        """Until the replicas (default: all that run) follow the primary."""
        for server in servers or self.running_replicas():
            wait_until(server.replicates, f"{server} replicates", timeout)

    def require_synchronous(self):
        self.primary.require_synchronous()
        wait_until(lambda: int(self.primary.global_status("Rpl_semi_sync_master_clients")) >= 1
                   and self.primary.global_status("Rpl_semi_sync_master_status") == "ON", "a replica acknowledges")

    def wait_replayed(self, servers=None, timeout=60):
        """Until the replicas have applied everything that the primary has written by now."""
        position = _sequence(self.primary.value("SELECT @@gtid_binlog_pos", database=None))
        for server in servers if servers is not None else self.running_replicas():
            wait_until(lambda s=server: s.applied_position() >= position, f"{server} has applied {position}", timeout)

    def most_advanced_replica(self):
        return max(self.running_replicas(), key=Server.received_position)

    def promote(self, server=None, follow=True):
        """Promotes `server` (default: the replica that has received most) and lets the other replicas follow it.

        Returns the new primary. The old one is not touched.
        """
        server = server or self.most_advanced_replica()
        others = [replica for replica in self.running_replicas() if replica is not server]
        self.promoted_time = server.promote(self.synchronous)
        self.promoted_at = time.monotonic()
        self.primary = server
        if follow:
            self.follow(others)
            if self.synchronous and others:
                # Until a replica has come, no server could acknowledge a write, with a proxy or without.
                wait_until(lambda: server.status_value("Rpl_semi_sync_master_clients") != "0", "a replica acknowledges")
                self.promoted_at = time.monotonic()
        return server

    def follow(self, servers):
        """Lets replicas follow the present primary."""
        for server in servers:
            server.replicate_from(self.primary)

    def switch_over(self, server=None):
        """What an operator does to a primary that is well: no more writes, wait for a replica, promote it, and the
        others follow it, the old primary too. Returns the new primary."""
        old = self.primary
        server = server or self.replicas[0]
        others = [replica for replica in self.running_replicas() if replica is not server]
        old.execute("SET GLOBAL read_only = 1", database=None)
        self.wait_replayed([server])
        self.promote(server, follow=False)
        old.replicate_from(server, demote=True)
        self.follow(others)
        return server

    def rebuild(self, server):
        """Makes a server that was left behind a replica of the present primary, from a fresh copy."""
        if server.is_running():
            server.kill9()
        shutil.rmtree(server.data)
        self._copy_data(server)
        server.options["read_only"] = 1
        server.start()
        dump = subprocess.run(["mariadb-dump", "--no-defaults", f"--socket={self.primary.socket}", "--user=root",
                               "--databases", "shop", "--single-transaction", "--gtid", "--master-data=2", "--routines",
                               "--events", "--triggers"], check=True, capture_output=True).stdout
        subprocess.run(["mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root",
                        "--init-command=SET sql_log_bin = 0"], input=dump, check=True, capture_output=True)
        # With --master-data=2 the position stands in a comment.
        position = next(line for line in dump.decode(errors="replace").splitlines() if "gtid_slave_pos=" in line)
        server.say_its_name()
        server.execute("RESET MASTER; " + position[position.index("SET GLOBAL"):], database=None)
        server.replicate_from(self.primary)
        self.wait_replicating([server])
