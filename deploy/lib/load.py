"""A visible load for quickstart --failover: writers and readers that keep their books.

Ten clients insert numbered rows, ten read. Every second a line; on SIGTERM a summary, in which the writers' books
are compared with the table. Leaves with 0 when no connection was dropped, no acknowledged row is missing, and no
row is there twice.

    load.py postgres|mysql PORT LINES    connects to 127.0.0.1 as `app`, whose password APP_PASSWORD holds; the line of
                                         each second goes to the file LINES too
"""

import collections
import os
import signal
import sys
import threading
import time

CLIENTS_OF_A_KIND = 10
PAUSE_BETWEEN_STATEMENTS = 0.02

stopping = threading.Event()


class Postgres:
    UNKNOWN = "SQLSTATE 08007"
    # A read that a standby may answer, and one of the primary: row locks are taken there only.
    READ = "SELECT count(*) FROM pg_class"
    ALL_ROWS = "WITH held AS (SELECT client, number FROM quickstart_load FOR UPDATE) SELECT * FROM held"

    def __init__(self, port):
        import psycopg
        self.error = psycopg.Error
        self.connect = lambda: psycopg.connect(host="127.0.0.1", port=port, user="app", dbname="shop", autocommit=True,
                                               password=os.environ["APP_PASSWORD"])

    @staticmethod
    def code(error):
        return error.sqlstate or "connection"

    @staticmethod
    def is_dropped(connection):
        return connection.closed


class MySql:
    UNKNOWN = "error 9701"
    READ = "SELECT count(*) FROM quickstart_still"
    ALL_ROWS = "SELECT client, number FROM quickstart_load FOR UPDATE"

    def __init__(self, port):
        import pymysql
        self.error = (pymysql.Error, OSError)
        self.connect = lambda: pymysql.connect(host="127.0.0.1", port=port, user="app", database="blog", autocommit=True,
                                               password=os.environ["APP_PASSWORD"])

    @staticmethod
    def code(error):
        return str(error.args[0]) if error.args else "connection"

    @staticmethod
    def is_dropped(connection):
        return not connection.open


def rows_of(connection, statement, arguments=()):
    """All rows; for statements that return some."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return list(cursor.fetchall())


def execute(connection, statement, arguments=()):
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)


class Client(threading.Thread):
    """One connection for the whole run: it is never opened again, so that a drop shows."""

    def __init__(self, database, number):
        super().__init__(daemon=True)
        self.database = database
        self.number = number
        self.done = 0
        self.errors = collections.Counter()  # by SQLSTATE, or MySQL's error number
        self.dropped = False
        self.longest_wait = 0.0
        self.connection = database.connect()

    def run(self):
        while not stopping.is_set():
            began = time.monotonic()
            try:
                self.work()
                self.done += 1
            except self.database.error as error:
                self.errors[self.database.code(error)] += 1
                if self.database.is_dropped(self.connection):
                    self.dropped = True
                    return
            self.longest_wait = max(self.longest_wait, time.monotonic() - began)
            stopping.wait(PAUSE_BETWEEN_STATEMENTS)

    def work(self):
        raise NotImplementedError


class Writer(Client):
    def __init__(self, database, number):
        super().__init__(database, number)
        self.next = 0
        self.acknowledged = set()

    def work(self):
        self.next += 1
        execute(self.connection, "INSERT INTO quickstart_load (client, number) VALUES (%s, %s)",
                (self.number, self.next))
        self.acknowledged.add((self.number, self.next))


class Reader(Client):
    def work(self):
        rows_of(self.connection, self.database.READ)


def total(clients):
    return sum(client.done for client in clients)


def errors_of(clients):
    errors = sum((client.errors for client in clients), collections.Counter())
    return " ".join(f"{state}:{count}" for state, count in sorted(errors.items())) or "none"


def report_until_stopped(writers, readers, lines):
    everybody = writers + readers
    print(f"   {len(writers)} writers and {len(readers)} readers, one connection each", flush=True)
    last_writes = last_reads = 0
    second = 0
    while not stopping.wait(1):
        second += 1
        writes, reads = total(writers), total(readers)
        line = (f"   {second:3d} s  writes/s {writes - last_writes:5d}  reads/s {reads - last_reads:5d}  "
                f"errors {errors_of(everybody)}  dropped {sum(client.dropped for client in everybody)}")
        for file in (sys.stdout, lines):
            print(line, file=file, flush=True)
        last_writes, last_reads = writes, reads


def judge(database, writers, readers):
    """Prints the summary; True when the promise held."""
    everybody = writers + readers
    rows = collections.Counter(rows_of(database.connect(), database.ALL_ROWS))
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    lost = sum(1 for row in acknowledged if row not in rows)
    doubled = sum(1 for count in rows.values() if count > 1)
    dropped = sum(client.dropped for client in everybody)
    print(f"\n   {total(writers)} writes acknowledged, {total(readers)} reads; "
          f"longest wait {max(client.longest_wait for client in everybody):.2f} s")
    print(f"   errors: {errors_of(everybody)}"
          f"   ({database.UNKNOWN}: in flight when the primary died, outcome unknown)")
    print(f"   acknowledged writes lost: {lost}, executed twice: {doubled}")
    print(f"   connections dropped: {dropped} of {len(everybody)}", flush=True)
    return dropped == 0 and lost == 0 and doubled == 0


def main():
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    database = {"postgres": Postgres, "mysql": MySql}[sys.argv[1]](int(sys.argv[2]))
    connection = database.connect()
    for statement in ("DROP TABLE IF EXISTS quickstart_load, quickstart_still",
                      "CREATE TABLE quickstart_load (client int, number int, at timestamp DEFAULT now())",
                      "CREATE TABLE quickstart_still (i int)"):
        execute(connection, statement)
    connection.close()
    writers = [Writer(database, number) for number in range(CLIENTS_OF_A_KIND)]
    readers = [Reader(database, CLIENTS_OF_A_KIND + number) for number in range(CLIENTS_OF_A_KIND)]
    for client in writers + readers:
        client.start()
    with open(sys.argv[3], "w", encoding="utf-8") as lines:
        report_until_stopped(writers, readers, lines)
    for client in writers + readers:
        client.join(40)  # longer than a hold: what waits gets its answer
    return 0 if judge(database, writers, readers) else 1


sys.exit(main())
