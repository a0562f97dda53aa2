"""Measures Holdfast beside no proxy, PgBouncer, HAProxy and a bare byte copier. Started by bench/run."""

import argparse
import datetime
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

import contenders
import mariadb
import measure
import processes
import report

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GROUPS = ("pgbench", "connect", "copy", "tls", "syscalls", "idle", "sysbench")
BACKEND_BYTES = 3_000_000  # of an idle PostgreSQL backend, generously

INTRODUCTION = """# What Holdfast costs

Written by `bench/run --write`. Server, proxy and load generator share one core: with several, the wake-ups across
them cost more than the proxy's work and hide the difference; they run at nice -10. The contenders take turns within each round; figures
are medians over the rounds, a ratio is the median of the rounds' ratios.

- CPU: the proxy's own time on the processor (`/proc/PID/task/*/schedstat`, all threads) per transaction, per
  connection, or per megabyte. It is the steady figure; rates and latencies belong to the whole chain on one core.
- relay: `bench/relay.cc`, a bare epoll byte copier, the floor. In the TLS workloads it runs without TLS.
- sysbench's workloads run against MariaDB; their figures are per statement (CPU, rate, system calls), their
  latencies per event: a statement in point-select, else a whole transaction.
- HAProxy: `mode tcp`, one thread. PgBouncer: `pool_mode = session`. TLS ends at the proxy, the server has none.
- Memory: anonymous and shared-memory PSS of the proxy, from its 20th client to its last, divided by the clients
  between; each client has logged in and run one statement, so that it has its server connection. File pages are
  left out: their share changes with the number of PostgreSQL backends that map the same libraries.
- System calls: `strace -c -f` on a separate run, logins and background work included.
- Megabytes are 1,000,000 bytes on the wire, message heads included.
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter workloads: a few minutes")
    parser.add_argument("--only", metavar="GROUP,...", help=f"of {', '.join(GROUPS)}, or a workload such as simple-8")
    parser.add_argument("--contenders", metavar="NAME,...", help="of direct, relay, haproxy, pgbouncer, holdfast")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--core", type=int, default=0, help="the core that everything measured shares")
    parser.add_argument("--json", metavar="FILE", default="build/bench.json", help="default: %(default)s")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md")
    parser.add_argument("--build-dir", metavar="DIR", help="use the binaries there instead of building build/release")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder with the logs")
    return parser.parse_args()


def build(options):
    if options.build_dir:
        return os.path.abspath(options.build_dir)
    for target in ("relay", "holdfast"):
        if subprocess.run(["deploy/build", target], cwd=ROOT, stdout=sys.stderr).returncode != 0:
            say(f"{target} does not build")
    return os.path.join(ROOT, "build/release")


def available_bytes():
    with open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0


def machine(options, cast, rounds):
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return {
        "date": datetime.date.today().isoformat(),
        "CPU": f"{model}, {os.cpu_count()} cores, everything on core {options.core}",
        "kernel": platform.release(),
        "versions": ", ".join(dict.fromkeys(
            f"{person.server.service if person.name == 'direct' else person.name} {person.version()}"
            for people in cast.values() for person in people)),
        "rounds": f"{rounds}{', quick' if options.quick else ''}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def run_workload(stage, workload, people, rounds, failures):
    """Samples of one workload: every contender once a round, beginning with another one each time."""
    samples = []
    taking_part = [
        person for person in people
        if (person.pid() or not workload.only_proxies)
        and (not workload.tls or person.speaks_tls or person.name == "relay")
    ]  # fmt: skip
    failed = set()
    for number in range(workload.rounds or rounds):
        shift = number % len(taking_part) if taking_part else 0
        for person in taking_part[shift:] + taking_part[:shift]:
            if person in failed:
                continue
            try:
                sample = workload.measure(stage, person, workload.tls and person.speaks_tls)
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                failed.add(person)
                failures.append(f"{workload.key}, {person.name}: {' '.join(str(error).split())[:300]}")
                say(f"  {failures[-1]}")
                revive(person)
                continue
            samples.append((workload.key, person.name, number, sample))
            say(f"  {workload.key:16} {number + 1} {person.name:10} "
                + "  ".join(f"{key}={value:.4g}" for key, value in sample.items()))  # fmt: skip
    return samples


def revive(person):
    if person.pid() is None and person.name == "direct":
        return
    try:
        person.stop()
        person.start()
    except (RuntimeError, OSError) as error:
        say(f"  {person.name} did not start again: {error}")


def wanted(workloads, only):
    if not only:
        return workloads
    names = set(only.split(","))
    known = set(GROUPS) | {workload.key for workload in workloads}
    if names - known:
        sys.exit(f"bench/run: --only knows {', '.join(sorted(known))}")
    return [workload for workload in workloads if workload.key in names or workload.group in names]


def start_contenders(stage, server, kinds, options, failures):
    people = []
    names = options.contenders.split(",") if options.contenders else [kind.name for kind in kinds]
    for kind in kinds:
        if kind.name not in names:
            continue
        person = kind(stage, server)
        try:
            person.start()
            people.append(person)
        except (RuntimeError, OSError) as error:
            failures.append(f"{kind.name} before {server.service}: not there ({' '.join(str(error).split())[:300]})")
            say(failures[-1])
    return people


def start_cast(stage, workloads, idle_many, options, failures):
    """The contenders by protocol; only the servers that a workload asks for are started."""
    cast = {}
    for protocol in dict.fromkeys(workload.protocol for workload in workloads):
        if protocol == "mysql":
            server, kinds = mariadb.Server(stage), mariadb.ALL
        else:
            server, kinds = contenders.Server(stage, max(1000, idle_many) + 200), contenders.ALL
        say(f"starting {server.service} and the contenders")
        server.start()
        cast[protocol] = start_contenders(stage, server, kinds, options, failures)
    return cast


def run(options, folder):
    failures = []
    stage = contenders.Stage(folder, options.core, build(options))
    # The observer stays away from the core that it observes.
    others = os.sched_getaffinity(0) - {options.core}
    if others:
        os.sched_setaffinity(0, others)
    idle_many = 0 if options.quick else 5000
    if idle_many and available_bytes() < idle_many * BACKEND_BYTES + 1_000_000_000:
        failures.append("idle-5000: too little memory for 5,000 PostgreSQL backends")
        idle_many = 0
    rounds = options.rounds
    workloads = wanted(measure.plan(options.quick, idle_many) + mariadb.plan(options.quick), options.only)

    stage.make_certificate()
    cast = start_cast(stage, workloads, idle_many, options, failures)
    facts = machine(options, cast, rounds)
    samples = []
    for workload in workloads:
        say(workload.text)
        samples += run_workload(stage, workload, cast[workload.protocol], rounds, failures)
    summary = report.summarise(samples)
    text = report.markdown(summary, workloads, facts, failures)
    print(text)
    complete = all("holdfast" in [person.name for person in people] for people in cast.values())
    write(options, facts, summary, samples, failures, text, complete)


def write(options, facts, summary, samples, failures, text, complete):
    os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
    with open(options.json, "w") as file:
        keys = ("workload", "contender", "round", "figures")
        json.dump({"machine": facts, "results": summary, "samples": [dict(zip(keys, s)) for s in samples],
                   "not_measured": failures}, file, indent=1)  # fmt: skip
    if options.write:
        if not complete or options.only or options.contenders:
            say("bench/RESULTS.md is written only by a run of everything, with Holdfast in it")
            sys.exit(1)
        with open(os.path.join(ROOT, "bench/RESULTS.md"), "w") as file:
            file.write(f"{INTRODUCTION}\n{text}")


def main():
    options = parse_arguments()
    options.json = os.path.abspath(options.json)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="holdfast-bench-")
    os.chmod(folder, 0o755)
    try:
        run(options, folder)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        processes.end_all()
        if options.keep:
            say(f"logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
