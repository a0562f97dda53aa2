"""Processes of a run: started pinned, observed through /proc, and ended by their ids."""

import atexit
import os
import signal
import subprocess

_running = []


def pinned(core, command):
    """The command on one core and, as root, ahead of whatever else the machine does. Keeps the process id."""
    ahead = ["nice", "-n", "-10"] if os.getuid() == 0 else []
    return ["taskset", "-c", str(core), *ahead, *command]


def start(command, log=None, **options):
    """Starts a process that end_all() will end. Its output goes to the file `log` unless options say else."""
    if log is not None:
        with open(log, "ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **options)
    else:
        process = subprocess.Popen(command, **options)
    _running.append(process)
    return process


def end(process, how=signal.SIGTERM, patience=60):
    """Ends a process of ours and waits until it is gone."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process in _running:
        _running.remove(process)


def forget(process):
    """For a process that has ended by itself."""
    if process in _running:
        _running.remove(process)


def end_all():
    # The last started goes first: clients before proxies before the server.
    while _running:
        process = _running[-1]
        end(process, getattr(process, "end_signal", signal.SIGTERM))


atexit.register(end_all)


def cpu_seconds(pid):
    """CPU time of all threads of a process, from the scheduler's own nanosecond count."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def own_memory_bytes(pid):
    """Proportional set size without file pages.

    File pages (the executable, libcrypto) are left out because their share shrinks with every PostgreSQL
    backend that maps the same library: a proxy would seem to give memory back as clients come.
    """
    total = 0
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key in ("Pss_Anon", "Pss_Shmem"):
                total += int(value.split()[0]) * 1024
    return total


def children_count(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return len(file.read().split())


def is_traced(pid):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("TracerPid:"):
                return int(line.split()[1]) != 0
    return False
