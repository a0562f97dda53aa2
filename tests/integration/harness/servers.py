"""What private servers of any kind have in common: a process that a test may start, kill and freeze; a primary with
replicas that live in one folder."""

import os
import pathlib
import shutil
import signal
import subprocess

from .ports import free_port
from .processes import children, signal_all
from .waiting import wait_until


class ServerProcess:
    """One database server and its data folder. A subclass says by what command it runs and how it is asked."""

    account = None  # of the pwd module: whom it runs as

    def __init__(self, name, folder):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.port = free_port()
        self.process = None

    def __repr__(self):
        return f"{self.name}:{self.port}"

    def command(self):
        raise NotImplementedError

    def answers(self):
        """True when a statement works."""
        raise NotImplementedError

    def start(self, wait=True):
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), user=self.account.pw_uid, group=self.account.pw_gid, extra_groups=[], cwd="/",
                start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=60):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self} ended with {self.process.returncode}:\n{self.log_tail()}")
            return self.answers()
        wait_until(ready, f"{self} accepts connections", timeout, interval=0.02)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal_stop(self, number):
        if self.is_running():
            os.kill(self.process.pid, number)

    def kill9(self):
        """The server and its children at once, as when the machine dies (its kernel still closes the sockets)."""
        if self.process is None:
            return
        family = [self.process.pid, *children(self.process.pid)]
        signal_all(family, signal.SIGSTOP)  # so that none sees another's death and says goodbye
        signal_all([*family, *children(self.process.pid)], signal.SIGKILL)
        self.process.wait(30)

    def freeze(self):
        """SIGSTOP to the server first, so that it makes no more children, then to all of them."""
        os.kill(self.process.pid, signal.SIGSTOP)
        signal_all(children(self.process.pid), signal.SIGSTOP)

    def thaw(self):
        signal_all([*children(self.process.pid), self.process.pid], signal.SIGCONT)

    def log_tail(self, lines=30):
        try:
            return "\n".join((self.folder / "server.log").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Cluster:
    """A primary with replicas, each made from a template's data folder. `primary` follows promote()."""

    kind = None      # the ServerProcess that it is made of
    protocol = None  # as the proxy's configuration names it
    name = None      # of the cluster there

    def __init__(self, template, folder, prefix, replicas):
        self.template = template
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        os.chmod(self.folder, 0o755)
        self.servers = [self._make(f"{prefix}{number}") for number in range(1, replicas + 2)]
        self.primary = self.servers[0]

    def _make(self, name):
        folder = self.folder / name
        folder.mkdir()
        shutil.chown(folder, self.kind.account.pw_uid, self.kind.account.pw_gid)
        server = self._server(name, folder)
        self._copy_data(server)
        return server

    def _server(self, name, folder):
        return self.kind(name, folder)

    def _copy_data(self, server):
        # cp, because it keeps owners and modes and shares blocks where the file system can.
        subprocess.run(["cp", "-a", "--reflink=auto", self.template.data, server.data], check=True)

    @property
    def replicas(self):
        return [server for server in self.servers if server is not self.primary]

    def running_replicas(self):
        return [server for server in self.replicas if server.is_running()]

    def wait_replayed(self, servers=None, timeout=60):
        raise NotImplementedError

    def execute(self, script, database="shop"):
        """On the primary, and returns when every running replica has it."""
        self.primary.execute(script, database)
        self.wait_replayed()

    def destroy(self):
        for server in self.servers:
            if server.is_running():
                server.thaw()
                server.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)
