"""reload.watch: the proxy takes a changed configuration into use by itself, however its files are replaced."""

import os
import signal
import time

import pytest

from harness import toml
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only

RELOADS = "holdfast_config_reloads_total"
IN_SYNC = "holdfast_config_file_in_sync"
LIMIT = "holdfast_client_connections_limit"
# The files are looked at every 10 s anyway: sooner than that is what the watch is for.
SOON = 9.0


class Watched:
    """A proxy that watches, and its file."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.clients = 1000

    def text(self):
        """A configuration that differs from the one before."""
        self.clients += 1
        self.proxy.settings["proxy"]["max_clients"] = self.clients
        return toml.dump(self.proxy.settings)

    def count(self, result):
        return self.proxy.metrics().sum(RELOADS, result=result)

    def wait_applied(self):
        wait_until(lambda: self.proxy.metrics().sum(LIMIT) == self.clients, "the changed file is in use", SOON, 0.02)
        wait_until(lambda: self.proxy.metrics().sum(IN_SYNC) == 1, "… and the files are known to be those in use")


@pytest.fixture
def watched(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster)
    return switch_on(proxy)


def switch_on(proxy):
    proxy.settings["reload"] = {"watch": True}
    proxy.write_config()
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: proxy.metrics().sum(RELOADS, result="applied") == 1, "the key is applied by a reload")
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 1, "the files are watched")
    return Watched(proxy)


def rename_over(path, text):
    """As vim, sed -i and configuration management do."""
    new = path.with_name(f".{path.name}.swp")
    new.write_text(text)
    new.chmod(0o600)
    new.rename(path)


def write_in_place(path, text):
    path.write_text(text)


def remove_and_write(path, text):
    path.unlink()
    write_in_place(path, text)
    path.chmod(0o600)


@pytest.mark.parametrize("replace", [rename_over, write_in_place, remove_and_write])
def test_the_file_is_replaced(watched, replace):
    """Three times: the new file is watched as the old one was."""
    for round in range(3):
        replace(watched.proxy.config, watched.text())
        watched.wait_applied()
    assert watched.count("applied") == 4 and watched.count("rejected") == 0


def test_what_the_file_names_is_watched_too(watched, authority, tmp_path):
    crt, key = authority.issue("watched", ["localhost"])
    secret = tmp_path / "elsewhere" / "secret"
    secret.parent.mkdir()
    secret.write_text("first\n")
    secret.chmod(0o600)
    proxy = watched.proxy
    proxy.settings["cluster"][proxy.cluster.name]["listener"][0]["tls"] = {"cert": str(crt), "key": str(key)}
    proxy.settings["user"] = [{"name": "legacy", "password": {"file": str(secret)}}]
    proxy.config.write_text(watched.text())
    watched.wait_applied()

    rename_over(secret, "second\n")
    wait_until(lambda: "user[legacy].password" in proxy.log_text(), "the secret is read again", SOON)
    applied = watched.count("applied")
    authority.issue("watched", ["localhost"])  # two files, one after the other
    wait_until(lambda: watched.count("applied") > applied, "the certificate is read again", SOON)
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 1, "the files are those in use")
    assert "tls.cert" in proxy.log_text() and watched.count("rejected") == 0


def test_a_volume_of_kubernetes(shared_cluster, start_proxy, tmp_path):
    """The kubelet writes a new folder, and swaps the symbolic link that the files' links go by."""
    volume = tmp_path / "volume"
    volume.mkdir()
    numbers = iter(range(1, 100))

    def publish(text):
        data = volume / f"..2026_{next(numbers)}"
        data.mkdir()
        (data / "holdfast.toml").write_text(text)
        link = volume / "..data_tmp"
        link.symlink_to(data.name)
        before = os.readlink(volume / "..data") if (volume / "..data").exists() else None
        link.rename(volume / "..data")
        if before:
            (volume / before / "holdfast.toml").unlink()
            (volume / before).rmdir()

    proxy = start_proxy(shared_cluster)
    proxy.stop()
    proxy.settings["reload"] = {"watch": True}
    publish(toml.dump(proxy.settings))
    proxy.config = volume / "holdfast.toml"
    proxy.config.symlink_to("..data/holdfast.toml")
    proxy.write_config = lambda: None
    proxy.start()
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 1, "the files are watched")
    watched = Watched(proxy)
    for _ in range(3):
        publish(watched.text())
        watched.wait_applied()
    assert watched.count("applied") == 3 and watched.count("rejected") == 0


def test_the_folder_is_replaced(shared_cluster, start_proxy, tmp_path):
    """As a deployment does that renames a whole tree into place."""
    proxy = start_proxy(shared_cluster)
    proxy.stop()
    proxy.settings["reload"] = {"watch": True}
    folder = tmp_path / "conf"
    folder.mkdir()
    proxy.config = folder / "holdfast.toml"
    proxy.start()
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 1, "the files are watched")
    watched = Watched(proxy)
    for round in range(2):
        new = tmp_path / "new"
        new.mkdir()
        (new / "holdfast.toml").write_text(watched.text())
        (new / "holdfast.toml").chmod(0o600)
        folder.rename(tmp_path / f"old{round}")
        new.rename(folder)
        watched.wait_applied()
    assert watched.count("applied") == 2 and watched.count("rejected") == 0


def test_a_bad_file_is_rejected_once(watched):
    """Not again and again; and what comes after it is taken."""
    proxy = watched.proxy
    good = proxy.config.read_text()
    rename_over(proxy.config, watched.text() + "\n[nonsense]\n")
    wait_until(lambda: watched.count("rejected") == 1, "the bad file is rejected")
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 0, "the file is not the one in use")
    for _ in range(3):
        # Something happens to the file that leaves its content; that the proxy looks shows in the time of access.
        os.utime(proxy.config, (0, time.time()))
        wait_until(lambda: proxy.config.stat().st_atime > 0, "the proxy looks at the file")
    assert watched.count("rejected") == 1 and watched.count("unchanged") == 0
    watched.clients -= 1
    rename_over(proxy.config, good)
    wait_until(lambda: watched.count("unchanged") == 1, "the file of before is read")
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 1, "the file is the one in use")
    rename_over(proxy.config, watched.text())
    watched.wait_applied()


def test_without_the_key_the_file_is_only_looked_at(shared_cluster, start_proxy):
    """A changed file shows in the metric, and waits for SIGHUP."""
    proxy = start_proxy(shared_cluster)
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 1, "the file is the one in use")
    proxy.settings["proxy"]["max_clients"] = 777
    proxy.write_config()
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 0, "the change is noticed")
    assert proxy.metrics().sum(LIMIT) != 777 and proxy.metrics().sum(RELOADS) == 0
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: proxy.metrics().sum(LIMIT) == 777, "SIGHUP takes it into use")
    wait_until(lambda: proxy.metrics().sum(IN_SYNC) == 1, "the file is the one in use")
