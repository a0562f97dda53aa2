"""What a workload is, whatever it measures."""

import re
import signal
import subprocess
import time

import processes


class Workload:
    def __init__(self, key, group, text, measure, tls=False, only_proxies=False, rounds=None, protocol="postgres"):
        self.key = key
        self.group = group
        self.text = text
        self.measure = measure
        self.tls = tls  # contenders without TLS are left out, except the relay, which runs without as the floor
        self.only_proxies = only_proxies
        self.rounds = rounds  # None: as the run says
        self.protocol = protocol


def traced(load):
    """System calls of the proxy per unit of work; `load(stage, contender)` runs the work and returns how much it was."""

    def measure(stage, contender, tls):
        out = stage.path("strace.txt")
        tracer = processes.start(["strace", "-c", "-f", "-o", out, "-p", str(contender.pid())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
        while not processes.is_traced(contender.pid()):
            if tracer.poll() is not None:
                raise RuntimeError(f"strace: {tracer.stderr.read()}")
            time.sleep(0.02)
        try:
            count = load(stage, contender)
        finally:
            processes.end(tracer, signal.SIGINT)
        with open(out) as file:
            rows = [re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*?(\w+)$", line) for line in file]
        return {"calls": sum(int(row.group(1)) for row in rows if row and row.group(2) != "total") / count}

    return measure
