"""The workloads: each takes a contender and returns one sample, a dictionary of figures.

Figures: cpu_us (the proxy's CPU microseconds per transaction, or per connection), tps, p50_ms, p99_ms,
mb_per_s, cpu_us_per_mb, bytes_per_client, idle_cpu_us_per_s, calls. CPU and memory are missing for "direct".
"""

import glob
import os
import subprocess
import time

import contenders
import processes
from workload import Workload, traced

HERE = os.path.dirname(os.path.abspath(__file__))
SETTLE_SECONDS = 0.6  # from pgbench's start until all of its clients are logged in and in their stride


def _environment(tls):
    return {
        **os.environ,
        "PGSSLMODE": "require" if tls else "disable",
        "PGGSSENCMODE": "disable",
        "PGPASSWORD": contenders.SCRAM_PASSWORD,
        "PGCONNECT_TIMEOUT": "20",
    }


def _pgbench(stage, port, user, tls, arguments):
    command = ["pgbench", "-n", "-S", "-j", "1", "-h", "127.0.0.1", "-p", str(port), "-U", user, *arguments, "bench"]
    return processes.start(processes.pinned(stage.core, command), env=_environment(tls), cwd=stage.folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)  # fmt: skip


def _finish(process, what):
    out, _ = process.communicate(timeout=600)
    processes.forget(process)
    if process.returncode != 0:
        raise RuntimeError(f"{what} failed: {out[-600:]}")
    return out


def _end_times_and_latencies(stage, begin, end):
    """From pgbench's log of every transaction: those that ended between two moments. Removes the log."""
    latencies = []
    for name in glob.glob(stage.path("transactions.*")):
        with open(name) as file:
            for line in file:
                fields = line.split()
                moment = int(fields[4]) + int(fields[5]) / 1e6
                if begin < moment <= end:
                    latencies.append(int(fields[2]))
        os.remove(name)
    return sorted(latencies)


def _window(stage, contender, process, seconds):
    """The moments and CPU times between which a running pgbench is measured."""
    readings = []
    for pause in (SETTLE_SECONDS, seconds):
        time.sleep(pause)
        if process.poll() is not None:
            break
        cpu = processes.cpu_seconds(contender.pid()) if contender.pid() else None
        readings.append((time.time(), cpu))
    _finish(process, "pgbench")
    if len(readings) < 2:
        raise RuntimeError("pgbench ended before it was measured")
    return readings


def transactions(mode, clients, seconds):
    def measure(stage, contender, tls):
        arguments = ["-M", mode, "-c", str(clients), "-T", str(seconds + 1), "-l", "--log-prefix=transactions"]
        process = _pgbench(stage, contender.port, "bench", tls, arguments)
        (begin, cpu_begin), (end, cpu_end) = _window(stage, contender, process, seconds)
        latencies = _end_times_and_latencies(stage, begin, end)
        count = len(latencies)
        sample = {
            "tps": count / (end - begin),
            "p50_ms": latencies[count // 2] / 1000,
            "p99_ms": latencies[count * 99 // 100] / 1000,
        }
        if cpu_end is not None:
            sample["cpu_us"] = (cpu_end - cpu_begin) * 1e6 / count
        return sample

    return measure


def connections(user, seconds):
    """Logs in, runs one statement and leaves, over and over, in eight clients."""

    def measure(stage, contender, tls):
        port = contender.scram_port if user == "bench_scram" else contender.port
        arguments = ["-C", "-c", "8", "-T", str(seconds + 1), "-l", "--log-prefix=transactions"]
        process = _pgbench(stage, port, user, tls, arguments)
        (begin, cpu_begin), (end, cpu_end) = _window(stage, contender, process, seconds)
        count = len(_end_times_and_latencies(stage, begin, end))
        sample = {"tps": count / (end - begin)}
        if cpu_end is not None:
            sample["cpu_us"] = (cpu_end - cpu_begin) * 1e6 / count
        return sample

    return measure


def copy(direction, argument):
    """100 MB of 26-byte rows. Megabytes are those on the wire, message heads included."""

    def measure(stage, contender, tls):
        command = ["/usr/bin/python3", f"{HERE}/client.py", direction, str(contender.port), *argument,
                   "tls" if tls else "plain"]  # fmt: skip
        before = processes.cpu_seconds(contender.pid()) if contender.pid() else None
        process = processes.start(processes.pinned(stage.core, command), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        size, seconds = _finish(process, direction).split()
        megabytes = int(size) / 1e6
        sample = {"mb_per_s": megabytes / float(seconds)}
        if before is not None:
            sample["cpu_us_per_mb"] = (processes.cpu_seconds(contender.pid()) - before) * 1e6 / megabytes
        return sample

    return measure


def idle(count):
    """Memory of a fresh proxy between its 20th and its last client, each with its server connection."""

    def measure(stage, contender, tls):
        contender.stop()
        contender.server.await_quiet()
        contender.start()
        command = ["/usr/bin/python3", f"{HERE}/client.py", "idle", str(contender.port), str(count),
                   "tls" if tls else "plain"]  # fmt: skip
        process = processes.start(processes.pinned(stage.core, command), text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)  # fmt: skip
        readings = []
        cpu = 0.0
        for _ in range(2):
            words = process.stdout.readline().split()
            if not words:
                break
            time.sleep(1)  # what a login has left for later is done
            before = processes.cpu_seconds(contender.pid())
            time.sleep(2)
            cpu = (processes.cpu_seconds(contender.pid()) - before) / 2
            readings.append((int(words[1]), processes.own_memory_bytes(contender.pid())))
            process.stdin.write("\n")
            process.stdin.flush()
        process.stdin.close()
        process.wait(120)
        processes.forget(process)
        contender.stop()
        contender.server.await_quiet()
        contender.start()
        if len(readings) < 2 or process.returncode != 0:
            raise RuntimeError(f"could not open {count} clients")
        (few, memory_few), (many, memory_many) = readings
        return {"bytes_per_client": (memory_many - memory_few) / (many - few), "idle_cpu_us_per_s": cpu * 1e6}

    return measure


def system_calls(mode, clients, transactions_each):
    def load(stage, contender):
        arguments = ["-M", mode, "-c", str(clients), "-t", str(transactions_each)]
        _finish(_pgbench(stage, contender.port, "bench", False, arguments), "pgbench")
        return clients * transactions_each

    return traced(load)


def plan(quick, idle_many):
    """All workloads of a run, in order."""
    seconds = 1 if quick else 5
    out = []
    for mode in ("simple", "extended", "prepared"):
        for clients in (1, 8, 32):
            if quick and mode != "simple" and clients != 8:
                continue
            out.append(Workload(f"{mode}-{clients}", "pgbench", f"pgbench -S -M {mode}, {clients} clients",
                transactions(mode, clients, seconds)))  # fmt: skip
    for user, text in (("bench", "trust"), ("bench_scram", "SCRAM")):
        out.append(Workload(f"connect-{text.lower()}", "connect", f"log in ({text}), one statement, leave; 8 clients",
            connections(user, seconds)))  # fmt: skip
    out.append(Workload("copy-out", "copy", "COPY of 100 MB out", copy("copy-out", ["copy short_rows to stdout"])))
    if not quick:
        out.append(Workload("copy-in", "copy", "COPY of 100 MB in",
            copy("copy-in", ["copy short_rows from stdin where false", "100"])))  # fmt: skip
    out.append(Workload("tls-simple-8", "tls", "TLS, pgbench -S -M simple, 8 clients",
        transactions("simple", 8, seconds), tls=True))  # fmt: skip
    out.append(Workload("tls-connect", "tls", "TLS, log in (trust), one statement, leave; 8 clients",
        connections("bench", seconds), tls=True))  # fmt: skip
    if not quick:
        out.append(Workload("tls-copy-out", "tls", "TLS, COPY of 100 MB out",
            copy("copy-out", ["copy short_rows to stdout"]), tls=True))  # fmt: skip
    for clients, each in ((1, 4000), (8, 500)):
        out.append(Workload(f"calls-simple-{clients}", "syscalls", f"system calls, simple, {clients} clients",
            system_calls("simple", clients, each), only_proxies=True, rounds=1))  # fmt: skip
    out.append(Workload("calls-extended-1", "syscalls", "system calls, extended, 1 client",
        system_calls("extended", 1, 4000), only_proxies=True, rounds=1))  # fmt: skip
    for count in (1000, idle_many) if idle_many else (1000,):
        out.append(Workload(f"idle-{count}", "idle", f"{count} idle clients, each with its server connection",
            idle(count), only_proxies=True, rounds=1))  # fmt: skip
    out.append(Workload("tls-idle-1000", "idle", "TLS, 1000 idle clients, each with its server connection",
        idle(1000), tls=True, only_proxies=True, rounds=1))  # fmt: skip
    return out
