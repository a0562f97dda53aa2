"""Processes as /proc shows them."""

import os
import pathlib


def children(pid):
    """The process ids whose parent is `pid`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name, in parentheses, may hold anything: what follows the last one is regular.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(entry.name))
    return found


def signal_all(pids, signal_number):
    for pid in pids:
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            pass


def memory(pid, field):
    """VmRSS, VmHWM … of a process, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def reset_peak_memory(pid):
    """Makes VmHWM count from now."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
