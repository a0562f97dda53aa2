"""PostgreSQL's own programs, unmodified: psql, pg_dump, pg_restore, pgbench."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from harness.postgres import BIN
from harness.waiting import wait_until


def run(shop, *command, input=None, check=True, **options):
    result = subprocess.run([str(part) for part in command], env=shop.environment(**options), input=input,
                            capture_output=True, text=True, timeout=300)
    if check:
        assert result.returncode == 0, result.stdout + result.stderr
    return result


def psql(shop, script, **options):
    return run(shop, BIN / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", input=script, **options).stdout


# -- psql ----------------------------------------------------------------------------------------------------


def test_psql_copies_both_ways(shop, table, tmp_path):
    source, target = tmp_path / "in.tsv", tmp_path / "out.tsv"
    source.write_text("".join(f"{i}\tvalue {i}\n" for i in range(20_000)))
    psql(shop, f"\\copy {table} from '{source}'\n\\copy (select * from {table} order by id) to '{target}'\n")
    assert target.read_text() == source.read_text()
    assert psql(shop, f"select count(*) from {table}") == "20000\n"


def test_psql_describes_the_catalog(shop, table):
    result = run(shop, BIN / "psql", "-X", "-c", f"\\d {table}", "-c", "\\dt", "-c", "\\conninfo", "-c", "\\l").stdout
    assert "Column" in result and table in result and "shop" in result


def test_psql_transactions_and_errors(shop, table):
    script = f"""
        \\set ON_ERROR_STOP 0
        begin;
        insert into {table} values (1, 'a');
        \\set ON_ERROR_ROLLBACK on
        select 1/0;
        insert into {table} values (2, 'b');
        commit;
        select count(*) from {table};
        select v from {table} where id = 2 \\gset
        \\echo :v
    """
    result = run(shop, BIN / "psql", "-X", "-q", "-At", input=script)
    assert "2\nb\n" in result.stdout and "division by zero" in result.stderr


def test_psql_fetches_by_cursor(shop):
    """FETCH_COUNT makes psql use a cursor in a transaction."""
    assert psql(shop, "\\set FETCH_COUNT 100\nselect generate_series(1, 1000)").split() == [str(i) for i in range(1, 1001)]


def test_control_c(shop, shared_cluster):
    """At a terminal, as a person would."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(BIN / "psql", ["psql", "-X"], {**shop.environment(), "PAGER": "", "TERM": "dumb"})
    seen = ""

    def read_until(text, timeout=60):
        nonlocal seen
        deadline = time.monotonic() + timeout
        while text not in seen:
            if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} did not appear:\n{seen}")
            seen += os.read(terminal, 65536).decode(errors="replace")
        seen = seen.split(text, 1)[1]

    try:
        read_until("shop=>")
        os.write(terminal, b"select pg_sleep(100) /* at the terminal */;\n")
        wait_until(lambda: any(server.rows("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
                                           "'select pg_sleep(100) /* at the terminal%%'")
                               for server in shared_cluster.servers), "the statement runs")
        os.write(terminal, b"\x03")
        read_until("canceling statement due to user request")
        os.write(terminal, b"select 'still ' || 'here';\n")
        read_until("still here")
        os.write(terminal, b"\\q\n")
    finally:
        os.close(terminal)
        os.kill(pid, signal.SIGHUP)
        os.waitpid(pid, 0)


# -- pg_dump and pg_restore ----------------------------------------------------------------------------------


def digest(server, dbname):
    return server.rows("SELECT count(*), sum(hashtext(c::text)::bigint) FROM customers c", dbname=dbname) + server.rows(
        "SELECT count(*), sum(hashtext(o::text)::bigint) FROM orders o", dbname=dbname) + server.rows(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'orders'::regclass ORDER BY 1", dbname=dbname)


@pytest.fixture(scope="module")
def database_to_dump(shared_cluster):
    primary = shared_cluster.primary
    primary.execute("CREATE DATABASE source OWNER app")
    primary.execute("CREATE DATABASE target OWNER app")
    shared_cluster.execute("""
        SET ROLE app;
        CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, notes bytea);
        CREATE TABLE orders (id bigserial PRIMARY KEY, customer int REFERENCES customers, amount numeric CHECK (amount >= 0));
        INSERT INTO customers (name, notes) SELECT 'customer ' || i, decode(md5(i::text), 'hex') FROM generate_series(1, 5000) i;
        INSERT INTO orders (customer, amount) SELECT 1 + i % 5000, i FROM generate_series(1, 20000) i;
        CREATE VIEW totals AS SELECT customer, sum(amount) FROM orders GROUP BY customer;
        CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
    """, "source")
    yield
    for name in ("source", "target"):
        primary.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("format", ["custom", "plain", "directory"])
def test_dump_and_restore(shop, shared_cluster, database_to_dump, tmp_path, format):
    """Both ends through the proxy; the directory format with two jobs that share a snapshot."""
    file = tmp_path / "dump"
    jobs = ["-j", "2"] if format == "directory" else []
    run(shop, BIN / "pg_dump", "-F", format, "-f", file, *jobs, dbname="source")
    psql(shop, "DROP SCHEMA public CASCADE; CREATE SCHEMA public;", dbname="target")
    if format == "plain":
        run(shop, BIN / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, dbname="target")
    else:
        run(shop, BIN / "pg_restore", "--no-owner", "-d", "target", *jobs, file, dbname="target")
    assert digest(shared_cluster.primary, "target") == digest(shared_cluster.primary, "source")


def test_dump_piped_into_restore(shop, shared_cluster, database_to_dump):
    psql(shop, "DROP SCHEMA public CASCADE; CREATE SCHEMA public;", dbname="target")
    dump = subprocess.Popen([BIN / "pg_dump", "-F", "custom"], env=shop.environment(dbname="source"), stdout=subprocess.PIPE)
    restore = subprocess.run([BIN / "pg_restore", "--no-owner", "-d", "target"], env=shop.environment(dbname="target"),
                             stdin=dump.stdout, capture_output=True, text=True, timeout=300)
    dump.stdout.close()
    assert restore.returncode == 0, restore.stderr
    assert dump.wait(60) == 0
    assert digest(shared_cluster.primary, "target") == digest(shared_cluster.primary, "source")


# -- pgbench -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pgbench_tables(shop, shared_cluster):
    run(shop, BIN / "pgbench", "-i", "-q", "-s", "2")
    shared_cluster.wait_replayed()
    yield
    shared_cluster.execute("DROP TABLE pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("script", ["tpcb-like", "select-only"])
def test_pgbench(shop, shared_cluster, pgbench_tables, mode, script):
    clients, transactions = 8, 100
    before = shared_cluster.primary.value("SELECT count(*) FROM pgbench_history")
    result = run(shop, BIN / "pgbench", "-n", "-M", mode, "-b", script, "-c", clients, "-t", transactions).stdout
    assert re.search(r"number of transactions actually processed: (\d+)/", result)[1] == str(clients * transactions)
    assert "number of failed transactions: 0" in result
    if script == "tpcb-like":
        primary = shared_cluster.primary
        assert primary.value("SELECT count(*) FROM pgbench_history") - before == clients * transactions
        # TPC-B's own rule: what was booked is the same by branch, teller, account and in the history.
        assert primary.value("""SELECT (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)
                                   AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)
                                   AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
                             """) is True
