"""Clients that keep their books while MariaDB servers die: PyMySQL connections, each in a thread of its own, as
applications use them.

Each client opens one connection at the start and never another. What it did and what it was told is compared with
the tables at the end (`Load.judge`).
"""

import collections
import random
import threading
import time

import pymysql

from .mysql import OUTCOME_UNKNOWN, TRANSACTION_LOST, ask, value

TABLES = """
CREATE TABLE inserted (id bigint, client int);
CREATE TABLE counters (client int PRIMARY KEY, n int NOT NULL);
CREATE TABLE own (client int PRIMARY KEY, n int NOT NULL);
"""

# What MySQL's drivers take for the loss of a connection, whatever the socket says.
LOST_CONNECTION = {2006, 2013, 2014, 2055, 0}


class Client(threading.Thread):
    """One connection and its books."""

    def __init__(self, number, load):
        super().__init__(daemon=True)
        self.number = number
        self.load = load
        self.errors = collections.Counter()  # by error number
        self.dropped = None                  # why the connection is gone
        self.done = 0
        self.problems = []                   # what must never happen
        self.connection = None

    def open(self):
        self.connection = pymysql.connect(autocommit=True, **self.load.options)
        self.prepare()

    def prepare(self):
        pass

    def run(self):
        try:
            self.work_until_told()
            if self.dropped is None:
                self.last_word()
        except Exception as failure:  # noqa: BLE001 - told to whoever judges
            self.problems.append(f"ended with {failure!r}")

    def work_until_told(self):
        pace = random.Random(self.number)
        while not self.load.stopping.is_set():
            try:
                self.work()
                self.done += 1
            except (pymysql.Error, OSError) as error:
                number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
                self.errors[number] += 1
                if number in LOST_CONNECTION or not self.connection.open:
                    self.dropped = repr(error)
                    return
            self.load.stopping.wait(self.load.pause * pace.uniform(0.5, 1.5))

    def work(self):
        raise NotImplementedError

    def ask(self, statement, *arguments):
        return ask(self.connection, statement, *arguments)

    def last_word(self):
        """After the storm: the connection still works."""
        if value(self.connection, "SELECT 'there'") != "there":
            self.problems.append("the last word is not its own")

    def check(self, tables):
        """Compares the books with the tables."""


class Inserter(Client):
    """Autocommit inserts with unique ids into a table without a unique key: doubled ones show."""

    def __init__(self, number, load):
        super().__init__(number, load)
        self.acknowledged, self.unknown, self.refused = set(), set(), set()
        self.next = number * 1_000_000

    def work(self):
        self.next += 1
        try:
            self.ask("INSERT INTO inserted VALUES (%s, %s)", self.next, self.number)
        except pymysql.Error as error:
            (self.unknown if error.args[0] == OUTCOME_UNKNOWN else self.refused).add(self.next)
            raise
        self.acknowledged.add(self.next)
        self.load.wrote()

    def check(self, tables):
        found = tables.inserted.get(self.number, collections.Counter())
        for id in self.acknowledged:
            if found[id] != 1:
                self.problems.append(f"acknowledged insert {id} is there {found[id]} times")
        for id in self.unknown:
            if found[id] > 1:
                self.problems.append(f"insert {id} of unknown outcome is there {found[id]} times")
        for id in self.refused:
            if found[id]:
                self.problems.append(f"insert {id} was refused and is there")


class Counter(Client):
    """Transactions that read and write one row of its own; a lost one is repeated, as a framework would."""

    def __init__(self, number, load):
        super().__init__(number, load)
        self.committed = self.unknown = 0

    def prepare(self):
        self.ask("INSERT INTO counters VALUES (%s, 0)", self.number)

    def work(self):
        committing = False
        try:
            self.ask("BEGIN")
            ((n,),) = self.ask("SELECT n FROM counters WHERE client = %s", self.number)
            if not self.committed <= n <= self.committed + self.unknown:
                self.problems.append(f"read {n} after {self.committed} commits and {self.unknown} unknown ones")
            self.ask("UPDATE counters SET n = %s WHERE client = %s", n + 1, self.number)
            committing = True
            self.ask("COMMIT")
        except pymysql.Error as error:
            if error.args[0] == OUTCOME_UNKNOWN:
                self.unknown += 1
                if not committing:
                    self.problems.append("9701 for a statement that was not a COMMIT")
            # 1213 says that the transaction is over: nothing has to be rolled back, and the next BEGIN is the first.
            raise
        self.committed += 1
        self.load.wrote()

    def check(self, tables):
        n = tables.counters[self.number]
        if not self.committed <= n <= self.committed + self.unknown:
            self.problems.append(f"{n} in the table after {self.committed} commits and {self.unknown} unknown ones")


class Reader(Client):
    """Writes, then reads: never older than its own last acknowledged write."""

    def __init__(self, number, load):
        super().__init__(number, load)
        self.acknowledged = self.tried = 0

    def prepare(self):
        self.ask("INSERT INTO own VALUES (%s, 0)", self.number)

    def work(self):
        if self.done % 4 == 0:
            self.tried += 1
            self.ask("UPDATE own SET n = %s WHERE client = %s", self.tried, self.number)
            self.acknowledged = self.tried
            self.load.wrote()
        ((n,),) = self.ask("SELECT n FROM own WHERE client = %s", self.number)
        if not self.acknowledged <= n <= self.tried:
            self.problems.append(f"read {n} after writing {self.acknowledged} (tried {self.tried})")

    def check(self, tables):
        if not self.acknowledged <= tables.own[self.number] <= self.tried:
            self.problems.append(f"{tables.own[self.number]} in the table, acknowledged {self.acknowledged}")


class Idler(Client):
    """Does nothing while it happens; has session state that must still be there afterwards."""

    STATE = (("SELECT @@sql_mode", "ANSI_QUOTES"), ("SELECT @kept", "kept"), ("SELECT @@time_zone", "+03:00"),
             ("EXECUTE remembered", "remembered"))

    def prepare(self):
        self.ask("SET sql_mode = 'ANSI_QUOTES', time_zone = '+03:00'")
        self.ask("SET @kept = 'kept'")
        self.ask("PREPARE remembered FROM 'SELECT ''remembered'''")

    def work_until_told(self):
        self.load.stopping.wait()

    def last_word(self):
        for query, expected in self.STATE:
            found = value(self.connection, query)
            if found != expected:
                self.problems.append(f"{query} gives {found!r}, not {expected!r}")


class Tables:
    """What the new primary has at the end."""

    def __init__(self, primary):
        self.inserted = collections.defaultdict(collections.Counter)
        for id, client in primary.rows("SELECT id, client FROM inserted"):
            self.inserted[client][id] += 1
        self.counters = dict(primary.rows("SELECT client, n FROM counters"))
        self.own = dict(primary.rows("SELECT client, n FROM own"))


class Load:
    """Runs clients of the given kinds against an endpoint, from start() to stop()."""

    def __init__(self, endpoint, kinds, pause=0.1):
        self.options = endpoint.options()
        self.pause = pause
        self.stopping = threading.Event()
        self.writes = []  # monotonic times of acknowledged writes
        number = iter(range(1, 10_000))
        self.clients = [kind(next(number), self) for kind, count in kinds.items() for _ in range(count)]

    def wrote(self):
        self.writes.append(time.monotonic())

    def start(self):
        for client in self.clients:
            client.open()
        for client in self.clients:
            client.start()
        return self

    def stop(self, timeout=60):
        self.stopping.set()
        deadline = time.monotonic() + timeout
        for client in self.clients:
            client.join(max(0, deadline - time.monotonic()))
        stuck = [client.number for client in self.clients if client.is_alive()]
        assert not stuck, f"clients {stuck} are stuck"
        for client in self.clients:
            if client.connection.open:
                client.connection.close()

    def writes_since(self, moment):
        return sum(1 for at in self.writes if at >= moment)

    def first_write_since(self, moment):
        return min(at for at in list(self.writes) if at >= moment)

    def errors(self):
        return sum((client.errors for client in self.clients), collections.Counter())

    def dropped(self):
        return [f"{type(client).__name__} {client.number}: {client.dropped}" for client in self.clients if client.dropped]

    def judge(self, primary):
        """Every promise about data, as a list of broken ones."""
        tables = Tables(primary)
        for client in self.clients:
            client.check(tables)
        return [f"{type(client).__name__} {client.number}: {problem}"
                for client in self.clients for problem in client.problems]

    def other_errors(self, *numbers):
        """The errors that are none of these; by default those that a statement in flight may get."""
        return {number: count for number, count in self.errors().items()
                if number not in (numbers or (TRANSACTION_LOST, OUTCOME_UNKNOWN))}
