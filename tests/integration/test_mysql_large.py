"""A GiB each way through the proxy in bounded memory, from real clients."""

import contextlib
import subprocess

import MySQLdb
import MySQLdb.cursors
import pytest
from pymysql.constants import COMMAND

from harness.mysql import value
from harness.processes import reset_peak_memory
from mysql_programs import account, environment, options

MIB = 1 << 20
MEMORY_LIMIT = 64 * MIB


@pytest.fixture
def bounded(blog):
    """Fails when the proxy's resident memory has passed the limit at any moment of the test."""
    if hasattr(blog, "memory"):
        reset_peak_memory(blog.process.pid)
    yield
    if hasattr(blog, "memory"):
        assert blog.memory("VmHWM") < MEMORY_LIMIT


def start(blog, statement, *arguments, **pipes):
    return subprocess.Popen(["mariadb", *options(blog), "--batch", "--skip-column-names", *arguments, f"--execute={statement}", "shop"],
                            env=environment(blog), **pipes)


def test_load_data_of_a_gibibyte(blog, bounded, maria_table):
    """The server reads it all and stores little: every line but the last is one of those to be left out."""
    block = (b"x" * 65535 + b"\n") * 16
    client = start(blog, f"LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE {maria_table} IGNORE 16384 LINES (id, v); "
                         f"SELECT id, v, ROW_COUNT() FROM {maria_table}", "--local-infile",
                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for _ in range(1024):
        client.stdin.write(block)
    client.stdin.write(b"7\tthe last\n")
    client.stdin.close()
    assert client.stdout.read().startswith(b"7\tthe last\t")
    client.stdout.close()
    assert client.wait(60) == 0


def test_result_of_a_gibibyte(blog, bounded):
    """PyMySQL for the login; the rows are taken from its socket unseen, for no client of MySQL's is quick enough."""
    row_bytes, rows = 1023, MIB
    with contextlib.closing(blog.connect()) as connection:
        connection._execute_command(COMMAND.COM_QUERY, f"SELECT REPEAT('x', {row_bytes}) FROM seq_1_to_{rows}")
        for _ in range(3):
            connection._read_packet()  # the number of columns, the column, the end of the columns
        left = rows * (4 + 3 + row_bytes)
        while left:
            left -= len(connection._rfile.read(min(left, MIB)))
        connection._next_seq_id = (connection._next_seq_id + rows) % 256
        assert connection._read_packet().is_eof_packet()
        assert value(connection, "SELECT 'in step'") == "in step"


def test_large_rows(blog, bounded):
    wanted = account(blog)
    with contextlib.closing(MySQLdb.connect(host=wanted["host"], port=wanted["port"], user=wanted["user"], passwd=wanted["password"],
                                            db=wanted["database"], cursorclass=MySQLdb.cursors.SSCursor)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT REPEAT('x', {32 * MIB}) FROM seq_1_to_8")
        assert [len(row[0]) for row in cursor] == [32 * MIB] * 8
        cursor.close()
