"""Holdfast as a service of Type=notify: what systemd hears. The test plays systemd's end of the socket."""

import os
import re
import select
import signal
import socket
import time

import pytest

from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only

LIMIT = 60  # seconds; for what should take a moment


class Manager:
    """systemd's end: a datagram socket, in the file system or in the abstract namespace."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.name = "@" + address[1:] if address.startswith("\0") else address

    def hear(self, timeout=LIMIT):
        """The next message as a dict; None when none came in time."""
        readable, _, _ = select.select([self.socket], [], [], timeout)
        if not readable:
            return None
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def hear_until(self, is_wanted, what):
        """The first message that is_wanted(), and the ones before it."""
        deadline = time.monotonic() + LIMIT
        before = []
        while (left := deadline - time.monotonic()) > 0:
            message = self.hear(left)
            if message is None:
                break
            if is_wanted(message):
                return message, before
            before.append(message)
        raise AssertionError(f"{what} was not heard; what was: {before}")

    def hear_with(self, key):
        return self.hear_until(lambda message: key in message, key)


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    path = "\0holdfast-test-%d" % os.getpid() if request.param == "abstract" else str(tmp_path / "notify")
    made = Manager(path)
    yield made
    made.socket.close()


def start(start_proxy, cluster, manager, watchdog_us=None):
    def prepare(proxy):
        proxy.environment_of_process["NOTIFY_SOCKET"] = manager.name
        if watchdog_us:
            proxy.environment_of_process["WATCHDOG_USEC"] = str(watchdog_us)
            proxy.environment_of_process.pop("WATCHDOG_PID", None)

    return start_proxy(cluster, before_start=prepare)


def reload(proxy):
    proxy.process.send_signal(signal.SIGHUP)


def test_life_of_a_service(shared_cluster, start_proxy, manager):
    proxy = start(start_proxy, shared_cluster, manager)
    ready, before = manager.hear_with("READY")
    assert before == []
    # It may become ready with its first probes, of which several are needed to call a server up.
    expected = f"{shared_cluster.name}: primary {shared_cluster.primary.name}, 3 of 3 servers up"
    if ready["STATUS"] != expected:
        manager.hear_until(lambda message: message.get("STATUS") == expected, expected)

    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    reload(proxy)
    reloading, _ = manager.hear_with("RELOADING")
    said = int(reloading["MONOTONIC_USEC"]) / 1e6
    assert began <= said <= time.clock_gettime(time.CLOCK_MONOTONIC)
    ready, between = manager.hear_with("READY")
    assert between == []
    assert ready["STATUS"] == expected

    proxy.process.send_signal(signal.SIGTERM)
    stopping, _ = manager.hear_with("STOPPING")
    # Not killed before proxy.drain_timeout (60 s unless set) is over, whatever the unit's TimeoutStopSec= is.
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) > 60_000_000
    assert proxy.process.wait(LIMIT) == 0


def test_a_rejected_reload_is_shown_until_one_is_applied(shared_cluster, start_proxy, manager):
    proxy = start(start_proxy, shared_cluster, manager)
    manager.hear_with("READY")
    good = proxy.config.read_text()
    proxy.config.write_text(good + "\n[nonsense]\n")
    reload(proxy)
    manager.hear_with("RELOADING")
    ready, _ = manager.hear_with("READY")
    assert "the last reload was rejected" in ready["STATUS"]
    proxy.config.write_text(good)
    reload(proxy)
    manager.hear_with("RELOADING")
    ready, _ = manager.hear_with("READY")
    assert "rejected" not in ready["STATUS"]


def test_the_watchdog_is_fed(shared_cluster, start_proxy, manager):
    proxy = start(start_proxy, shared_cluster, manager, watchdog_us=400_000)
    for _ in range(5):
        manager.hear_with("WATCHDOG")
    # Only by a loop that turns.
    proxy.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: manager.hear(timeout=2) is None, "the stopped process is silent")
    proxy.process.send_signal(signal.SIGCONT)
    manager.hear_with("WATCHDOG")


def test_the_status_follows_a_failover(make_cluster, start_proxy, tmp_path):
    cluster = make_cluster(standbys=1)
    manager = Manager(str(tmp_path / "notify"))
    start(start_proxy, cluster, manager)
    old = cluster.primary
    manager.hear_until(lambda message: f"primary {old.name}, 2 of 2" in message.get("STATUS", ""), "both up")
    old.kill9()
    manager.hear_until(lambda message: "no primary" in message.get("STATUS", ""), "no primary")
    new = cluster.promote()
    shown, _ = manager.hear_until(lambda message: re.search(r"primary pg", message.get("STATUS", "")), "the new primary")
    assert f"primary {new.name}, 1 of 2 servers up" in shown["STATUS"]
    manager.socket.close()
