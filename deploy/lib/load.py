"""A visible load for quickstart --failover: writers and readers that keep their books.

Ten clients insert numbered rows, ten read. Every second a line; on SIGTERM a summary, in which the writers' books
are compared with the table. Leaves with 0 when no connection was dropped, no acknowledged row is missing, and no
row is there twice. Connects as PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE say.
"""

import collections
import signal
import sys
import threading
import time

import psycopg

CLIENTS_OF_A_KIND = 10
PAUSE_BETWEEN_STATEMENTS = 0.02

stopping = threading.Event()


class Client(threading.Thread):
    """One connection for the whole run: it is never opened again, so that a drop shows."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.number = number
        self.done = 0
        self.errors = collections.Counter()  # by SQLSTATE
        self.dropped = False
        self.longest_wait = 0.0
        self.connection = psycopg.connect(autocommit=True)

    def run(self):
        while not stopping.is_set():
            began = time.monotonic()
            try:
                self.work()
                self.done += 1
            except psycopg.Error as error:
                self.errors[error.sqlstate or "connection"] += 1
                self.failed(error)
                if self.connection.closed:
                    self.dropped = True
                    return
            self.longest_wait = max(self.longest_wait, time.monotonic() - began)
            stopping.wait(PAUSE_BETWEEN_STATEMENTS)

    def work(self):
        raise NotImplementedError

    def failed(self, error):
        """For the books."""


class Writer(Client):
    def __init__(self, number):
        super().__init__(number)
        self.next = 0
        self.acknowledged = set()

    def work(self):
        self.next += 1
        self.connection.execute("INSERT INTO quickstart_load (client, number) VALUES (%s, %s)",
                                (self.number, self.next))
        self.acknowledged.add((self.number, self.next))


class Reader(Client):
    def work(self):
        self.connection.execute("SELECT count(*) FROM pg_class").fetchone()


def total(clients):
    return sum(client.done for client in clients)


def errors_of(clients):
    errors = sum((client.errors for client in clients), collections.Counter())
    return " ".join(f"{state}:{count}" for state, count in sorted(errors.items())) or "none"


def report_until_stopped(writers, readers):
    everybody = writers + readers
    print(f"   {len(writers)} writers and {len(readers)} readers, one connection each", flush=True)
    last_writes = last_reads = 0
    second = 0
    while not stopping.wait(1):
        second += 1
        writes, reads = total(writers), total(readers)
        print(f"   {second:3d} s  writes/s {writes - last_writes:5d}  reads/s {reads - last_reads:5d}  "
              f"errors {errors_of(everybody)}  dropped {sum(client.dropped for client in everybody)}", flush=True)
        last_writes, last_reads = writes, reads


def judge(writers, readers):
    """Prints the summary; True when the promise held."""
    everybody = writers + readers
    with psycopg.connect(autocommit=True) as connection:
        # Asked of the primary: RETURNING-free reads may go to a standby, row locks may not.
        rows = collections.Counter(connection.execute(
            "WITH held AS (SELECT client, number FROM quickstart_load FOR UPDATE) SELECT * FROM held").fetchall())
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    lost = sum(1 for row in acknowledged if row not in rows)
    doubled = sum(1 for count in rows.values() if count > 1)
    dropped = sum(client.dropped for client in everybody)
    print(f"\n   {total(writers)} writes acknowledged, {total(readers)} reads; "
          f"longest wait {max(client.longest_wait for client in everybody):.2f} s")
    print(f"   errors by SQLSTATE: {errors_of(everybody)}"
          "   (08007: in flight when the primary died, outcome unknown)")
    print(f"   acknowledged writes lost: {lost}, executed twice: {doubled}")
    print(f"   connections dropped: {dropped} of {len(everybody)}", flush=True)
    return dropped == 0 and lost == 0 and doubled == 0


def main():
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    with psycopg.connect(autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS quickstart_load")
        connection.execute("CREATE TABLE quickstart_load (client int, number int, at timestamptz DEFAULT now())")
    writers = [Writer(number) for number in range(CLIENTS_OF_A_KIND)]
    readers = [Reader(CLIENTS_OF_A_KIND + number) for number in range(CLIENTS_OF_A_KIND)]
    for client in writers + readers:
        client.start()
    report_until_stopped(writers, readers)
    for client in writers + readers:
        client.join(40)  # longer than a hold: what waits gets its answer
    return 0 if judge(writers, readers) else 1


sys.exit(main())
