"""The MariaDB side of a run: a server, the proxies in front of it, and sysbench's workloads.

sysbench's figures: cpu_us is the proxy's CPU microseconds per statement, tps statements a second, calls the proxy's
system calls per statement; p50_ms and p99_ms are of sysbench's events, which are whole transactions but for
point_select.
"""

import re
import subprocess
import time

import contenders
import processes
from workload import Workload, traced

PASSWORD = contenders.SCRAM_PASSWORD
TABLES, ROWS = 2, 20_000
CLIENTS_MAX = 500


class Server:
    """A private MariaDB, tuned to be as cheap as it can be: nothing waits for a disk."""

    service = "MariaDB"

    def __init__(self, stage):
        self.stage = stage
        self.port = stage.free_port()
        self.socket = stage.path("maria/sock")
        self.process = None

    def start(self):
        data = self.stage.path("maria")
        self.stage.make_folder("maria", "mysql")
        account = {"user": "mysql", "group": "mysql", "extra_groups": []} if self.stage.unprivileged else {}
        demoted = ["setpriv", "--reuid=mysql", "--regid=mysql", "--clear-groups"] if account else []
        subprocess.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                        "--auth-root-authentication-method=normal"], check=True, stdout=subprocess.DEVNULL, cwd="/", **account)  # fmt: skip
        settings = {
            "datadir": data, "port": self.port, "bind_address": "127.0.0.1", "socket": self.socket,
            "pid_file": f"{data}/pid", "server_id": 1, "log_bin": "binlog", "sync_binlog": 0, "skip_name_resolve": 1,
            "max_connections": CLIENTS_MAX + 20, "thread_cache_size": 100, "performance_schema": "OFF",
            "innodb_flush_log_at_trx_commit": 2, "innodb_flush_method": "nosync", "innodb_doublewrite": 0,
            "innodb_buffer_pool_size": "256M", "max_prepared_stmt_count": 100_000,
        }  # fmt: skip
        command = ["/usr/sbin/mariadbd", "--no-defaults", *[f"--{key}={value}" for key, value in settings.items()]]
        self.process = processes.start(
            processes.pinned(self.stage.core, demoted + command), log=self.stage.path("mariadb.log"), cwd="/")  # fmt: skip
        self._await()
        self.sql("CREATE DATABASE bench; DELETE FROM mysql.global_priv WHERE User = ''; FLUSH PRIVILEGES;"
            f"CREATE USER bench@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON bench.* TO bench@'%';"
            f"CREATE USER holdfast@'%' IDENTIFIED BY '{PASSWORD}'; GRANT SLAVE MONITOR ON *.* TO holdfast@'%';"
            "GRANT SELECT ON mysql.global_priv TO holdfast@'%'; GRANT SELECT ON mysql.proc TO holdfast@'%'")  # fmt: skip
        done = subprocess.run(sysbench(self.port, "oltp_read_write", [], "prepare"), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"sysbench prepare: {done.stdout[-600:]}")

    def _await(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                self.sql("SELECT 1")
                return
            except subprocess.CalledProcessError:
                time.sleep(0.1)
        raise RuntimeError("MariaDB did not start; see mariadb.log (--keep)")

    def sql(self, statements):
        return subprocess.run(["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root", "--protocol=socket",
            "--batch", "--skip-column-names"], input=statements, check=True, capture_output=True, text=True).stdout.strip()  # fmt: skip

    def try_login(self, port):
        """One statement through `port`; raises RuntimeError when it does not work."""
        done = subprocess.run(["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}", "--user=bench",
            f"--password={PASSWORD}", "--connect-timeout=5", "--execute=SELECT 1"], capture_output=True, text=True)  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())


class Direct(contenders.Direct):
    def version(self):
        return subprocess.run(["/usr/sbin/mariadbd", "--version"], capture_output=True, text=True).stdout.split()[2]


class Holdfast(contenders.Holdfast):
    def cluster(self):
        return f"""
[cluster.bench]
protocol = "mysql"
service = {{ user = "holdfast", password = "{PASSWORD}" }}
servers = [{{ name = "my1", address = "127.0.0.1:{self.server.port}" }}]
server_tls = {{ mode = "disable" }}
[[cluster.bench.listener]]
listen = "127.0.0.1:{self.port}"
[cluster.bench.pool]
mode = "session"
max_connections = {CLIENTS_MAX}
"""


ALL = [Direct, contenders.Relay, contenders.HAProxy, Holdfast]


def sysbench(port, script, arguments, command):
    return ["sysbench", script, "--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={port}", "--mysql-user=bench",
            f"--mysql-password={PASSWORD}", "--mysql-db=bench", f"--tables={TABLES}", f"--table-size={ROWS}",
            "--rand-type=uniform", *arguments, command]  # fmt: skip


def run_sysbench(stage, contender, script, arguments):
    process = processes.start(processes.pinned(stage.core, sysbench(contender.port, script, arguments, "run")),
        cwd=stage.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)  # fmt: skip
    out, _ = process.communicate(timeout=600)
    processes.forget(process)
    if process.returncode != 0:
        raise RuntimeError(f"sysbench failed: {out[-600:]}")
    return out


def _statements(out):
    return int(re.search(r"queries: +(\d+)", out).group(1))


def _percentile(histogram, part):
    """The upper end of the bucket in which that part of the events has been counted."""
    goal = part * sum(count for _, count in histogram)
    for value, count in histogram:
        goal -= count
        if goal <= 0:
            return value
    return histogram[-1][0]


def statements(script, mode, clients, seconds):
    """The CPU of the whole run counts, its logins and preparations too: a few of some ten thousand statements."""

    def measure(stage, contender, tls):
        before = processes.cpu_seconds(contender.pid()) if contender.pid() else None
        out = run_sysbench(stage, contender, script,
            [f"--db-ps-mode={mode}", f"--threads={clients}", "--events=0", f"--time={seconds}", "--histogram=on"])  # fmt: skip
        count = _statements(out)
        histogram = [(float(value), int(number)) for value, number in re.findall(r"^ *([\d.]+) \|\**[ *]* (\d+)$", out, re.M)]
        sample = {
            "tps": count / float(re.search(r"total time: +([\d.]+)s", out).group(1)),
            "p50_ms": _percentile(histogram, 0.50),
            "p99_ms": _percentile(histogram, 0.99),
        }
        if before is not None:
            sample["cpu_us"] = (processes.cpu_seconds(contender.pid()) - before) * 1e6 / count
        return sample

    return measure


def system_calls(script, mode, clients, events):
    def load(stage, contender):
        out = run_sysbench(stage, contender, script,
            [f"--db-ps-mode={mode}", f"--threads={clients}", f"--events={events}", "--time=0"])  # fmt: skip
        return _statements(out)

    return traced(load)


def plan(quick):
    seconds = 2 if quick else 5
    out = []
    for script in ("point_select", "read_only", "read_write"):
        for mode, text, name in (("disable", "text", "text"), ("auto", "prepared on the server", "prepared")):
            for clients in (8,) if quick else (1, 8, 32):
                out.append(Workload(f"{script}-{name}-{clients}".replace("_", "-"), "sysbench",
                    f"sysbench oltp_{script}, {text}, {clients} clients; figures per statement",
                    statements(f"oltp_{script}", mode, clients, seconds), protocol="mysql"))  # fmt: skip
    for script, mode, name, events in (("point_select", "disable", "text", 4000), ("point_select", "auto", "prepared", 4000),
                                       ("read_write", "auto", "prepared", 200)):  # fmt: skip
        out.append(Workload(f"calls-{script}-{name}-1".replace("_", "-"), "sysbench",
            f"system calls, sysbench oltp_{script}, {name}, 1 client",
            system_calls(f"oltp_{script}", mode, 1, events), only_proxies=True, rounds=1, protocol="mysql"))  # fmt: skip
    return out
