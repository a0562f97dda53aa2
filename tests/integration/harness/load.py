"""Clients that keep their books while servers die: many connections in one asyncio loop, in a thread of its own.

Each client opens one connection at the start and never another. What it did and what it was told is compared with
the tables at the end (`Load.judge`).
"""

import asyncio
import collections
import random
import threading
import time

import psycopg

TABLES = """
CREATE TABLE inserted (id bigint, client int);
CREATE TABLE counters (client int PRIMARY KEY, n int NOT NULL);
CREATE TABLE own (client int PRIMARY KEY, n int NOT NULL);
ALTER TABLE inserted OWNER TO app; ALTER TABLE counters OWNER TO app; ALTER TABLE own OWNER TO app;
"""

# What a client may be told when its server dies: its transaction is lost, or nobody knows.
TRANSACTION_LOST, OUTCOME_UNKNOWN = "40001", "08007"


class Client:
    """One connection and its books."""

    def __init__(self, number, load):
        self.number = number
        self.load = load
        self.errors = collections.Counter()  # by SQLSTATE; "connection" when there was none
        self.dropped = None                  # why the connection is gone
        self.done = 0
        self.problems = []                   # what must never happen
        self.connection = None

    async def open(self):
        self.connection = await psycopg.AsyncConnection.connect(autocommit=True, **self.load.options)
        await self.prepare()

    async def prepare(self):
        pass

    async def run(self):
        pace = random.Random(self.number)
        while not self.load.stopping.is_set():
            try:
                await self.work()
                self.done += 1
            except psycopg.Error as error:
                self.errors[error.sqlstate or "connection"] += 1
                if self.connection.closed:
                    self.dropped = f"{error.sqlstate}: {error}"
                    return
            await asyncio.sleep(self.load.pause * pace.uniform(0.5, 1.5))

    async def work(self):
        raise NotImplementedError

    async def last_word(self):
        """After the storm: the connection still works."""
        if self.dropped is None:
            cursor = await self.connection.execute("SELECT 1")
            assert (await cursor.fetchone()) == (1,)

    def check(self, tables):
        """Compares the books with the tables."""


class Inserter(Client):
    """Autocommit inserts with unique ids into a table without a unique key: doubled ones show."""

    def __init__(self, number, load):
        super().__init__(number, load)
        self.acknowledged, self.unknown, self.refused = set(), set(), set()
        self.next = number * 1_000_000

    async def work(self):
        self.next += 1
        try:
            await self.connection.execute("INSERT INTO inserted VALUES (%s, %s)", (self.next, self.number))
        except psycopg.Error as error:
            (self.unknown if error.sqlstate == OUTCOME_UNKNOWN else self.refused).add(self.next)
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

    async def prepare(self):
        await self.connection.execute("INSERT INTO counters VALUES (%s, 0)", (self.number,))

    async def work(self):
        committing = False
        try:
            await self.connection.execute("BEGIN")
            cursor = await self.connection.execute("SELECT n FROM counters WHERE client = %s", (self.number,))
            (n,) = await cursor.fetchone()
            if not self.committed <= n <= self.committed + self.unknown:
                self.problems.append(f"read {n} after {self.committed} commits and {self.unknown} unknown ones")
            await self.connection.execute("UPDATE counters SET n = %s WHERE client = %s", (n + 1, self.number))
            committing = True
            cursor = await self.connection.execute("COMMIT")
            if cursor.statusmessage != "COMMIT":
                self.problems.append(f"COMMIT was answered by {cursor.statusmessage} without an error before")
                return
        except psycopg.Error as error:
            if error.sqlstate == OUTCOME_UNKNOWN:
                self.unknown += 1
                if not committing:
                    self.problems.append("08007 for a statement that was not a COMMIT")
            if not self.connection.closed:
                # The usual behaviour of a failed transaction: only its end is accepted.
                if self.connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
                    try:
                        await self.connection.execute("SELECT 1")
                        self.problems.append("a statement was accepted in a failed transaction")
                    except psycopg.errors.InFailedSqlTransaction:
                        pass
                    await self.connection.execute("ROLLBACK")
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

    async def prepare(self):
        await self.connection.execute("INSERT INTO own VALUES (%s, 0)", (self.number,))

    async def work(self):
        if self.done % 4 == 0:
            self.tried += 1
            await self.connection.execute("UPDATE own SET n = %s WHERE client = %s", (self.tried, self.number))
            self.acknowledged = self.tried
            self.load.wrote()
        cursor = await self.connection.execute("SELECT n FROM own WHERE client = %s", (self.number,))
        (n,) = await cursor.fetchone()
        if not self.acknowledged <= n <= self.tried:
            self.problems.append(f"read {n} after writing {self.acknowledged} (tried {self.tried})")

    def check(self, tables):
        if not self.acknowledged <= tables.own[self.number] <= self.tried:
            self.problems.append(f"{tables.own[self.number]} in the table, acknowledged {self.acknowledged}")


class Idler(Client):
    """Does nothing while it happens; has session state that must still be there afterwards."""

    async def prepare(self):
        await self.connection.execute(f"SET application_name = 'idler {self.number}'")
        await self.connection.execute("SET work_mem = '3MB'")
        await self.connection.execute("PREPARE kept AS SELECT 'kept'")

    async def run(self):
        pass

    async def last_word(self):
        for query, expected in (("SHOW application_name", f"idler {self.number}"), ("SHOW work_mem", "3MB"),
                                ("EXECUTE kept", "kept")):
            cursor = await self.connection.execute(query)
            value = (await cursor.fetchone())[0]
            if value != expected:
                self.problems.append(f"{query} gives {value!r}, not {expected!r}")


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
        self.opened = threading.Event()
        self.writes = []  # monotonic times of acknowledged writes
        self.failure = None
        number = iter(range(1, 10_000))
        self.clients = [kind(next(number), self) for kind, count in kinds.items() for _ in range(count)]
        self.thread = threading.Thread(target=self._run, daemon=True)

    def wrote(self):
        self.writes.append(time.monotonic())

    def _run(self):
        try:
            asyncio.run(self._main())
        except BaseException as failure:  # noqa: BLE001 - told to whoever waits
            self.failure = failure
        finally:
            self.opened.set()

    async def _main(self):
        for start in range(0, len(self.clients), 25):
            await asyncio.gather(*(client.open() for client in self.clients[start:start + 25]))
        self.opened.set()
        await asyncio.gather(*(client.run() for client in self.clients))
        await asyncio.gather(*(client.last_word() for client in self.clients))
        for client in self.clients:
            await client.connection.close()

    def start(self):
        self.thread.start()
        assert self.opened.wait(120), "not all clients could connect within 120 s"
        if self.failure:
            raise self.failure
        return self

    def stop(self, timeout=120):
        self.stopping.set()
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "clients are stuck"
        if self.failure:
            raise self.failure

    def writes_since(self, moment):
        return sum(1 for at in self.writes if at >= moment)

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
