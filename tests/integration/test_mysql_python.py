"""Python's MySQL drivers, unmodified: PyMySQL, mysqlclient (libmariadb) and aiomysql."""

import asyncio
import contextlib
import datetime
import decimal

import aiomysql
import MySQLdb
import MySQLdb.cursors
import pymysql
import pytest
from pymysql.constants import CLIENT

from harness.mysql import ask, error_of, value
from mysql_programs import account
from test_mysql_drivers import items  # noqa: F401 - a fixture

AT = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)
ROW = ("zwölf €🎉", b"\0\xff'\\\n", AT, decimal.Decimal("12.5000"))


# -- PyMySQL -------------------------------------------------------------------------------------------------


def test_pymysql_values(blog, items):  # noqa: F811
    with contextlib.closing(blog.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {items} (v, b, at, n) VALUES (%s, %s, %s, %s)", ROW)
        cursor.execute(f"SELECT v, b, at, n, NULL FROM {items} WHERE id = %s", cursor.lastrowid)
        assert cursor.fetchall() == ((*ROW, None),)
        assert cursor.executemany(f"INSERT INTO {items} (v) VALUES (%s)", [(f"v{i}",) for i in range(5000)]) == 5000
        cursor.execute(f"SELECT COUNT(*) FROM {items}")
        assert cursor.fetchone() == (5001,)


def test_pymysql_transactions_and_errors(blog, items):  # noqa: F811
    with contextlib.closing(blog.connect(autocommit=False)) as connection:
        ask(connection, f"INSERT INTO {items} (id, v) VALUES (1, 'a')")
        connection.rollback()
        ask(connection, f"INSERT INTO {items} (id, v) VALUES (2, 'b')")
        assert error_of(connection, f"INSERT INTO {items} (id, v) VALUES (2, 'again')") == 1062
        assert error_of(connection, "SELECT * FROM no_such_table") == 1146
        assert error_of(connection, "SELEC") == 1064
        ask(connection, "SAVEPOINT here")
        ask(connection, f"INSERT INTO {items} (id, v) VALUES (3, 'c')")
        ask(connection, "ROLLBACK TO SAVEPOINT here")
        connection.commit()
        assert ask(connection, f"SELECT id, v FROM {items}") == [(2, "b")]


def test_pymysql_several_results(blog, items):  # noqa: F811
    with contextlib.closing(blog.connect(client_flag=CLIENT.MULTI_STATEMENTS)) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT 1; SET @x = 5; SELECT @x; CALL several_{items}(3); SELECT nothing; SELECT 2")
        sets = [cursor.fetchall()]
        with pytest.raises(pymysql.err.OperationalError, match="1054"):
            while cursor.nextset():
                sets.append(cursor.fetchall())
        assert [rows for rows in sets if rows] == [((1,),), ((5,),), ((3,),), ((4, "two"),)]
        assert value(connection, "SELECT 'in step'") == "in step"


def test_pymysql_unbuffered(blog):
    with contextlib.closing(blog.connect()) as connection, connection.cursor(pymysql.cursors.SSCursor) as cursor:
        cursor.execute("SELECT seq, REPEAT('x', seq % 100) FROM seq_1_to_20000")
        assert sum(row[0] for row in cursor) == 200_010_000


@pytest.mark.parametrize("size", [0xffffff - 12, 0xffffff, 0xffffff + 1, 40_000_000])
def test_pymysql_large_values(blog, size):
    """Around 16 MiB, where a packet is split, and well beyond; up as a statement, down as a row."""
    with contextlib.closing(blog.connect(max_allowed_packet=64 << 20)) as connection:
        assert value(connection, "SELECT LENGTH('" + "q" * size + "')") == size
        assert value(connection, f"SELECT REPEAT('r', {size})") == "r" * size
        assert value(connection, "SELECT 'in step'") == "in step"


def test_pymysql_local_infile(blog, items, tmp_path):  # noqa: F811
    file = tmp_path / "rows"
    file.write_text("".join(f"{i}\tvalue {i}\n" for i in range(1, 50_001)))
    with contextlib.closing(blog.connect(local_infile=True)) as connection:
        ask(connection, f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {items} (id, v)")
        assert ask(connection, f"SELECT COUNT(*), SUM(id) FROM {items}") == [(50_000, 1_250_025_000)]


def test_pymysql_tls(blog):
    with contextlib.closing(blog.connect(ssl={"check_hostname": False})) as connection:
        assert connection._sock.version() in ("TLSv1.2", "TLSv1.3")
        assert value(connection, "SELECT CURRENT_USER()") == "app@%"


def test_pymysql_found_rows(blog, items):  # noqa: F811
    """Whether UPDATE counts rows found or rows changed is agreed at login."""
    with contextlib.closing(blog.connect()) as plain, contextlib.closing(blog.connect(client_flag=CLIENT.FOUND_ROWS)) as found:
        ask(plain, f"INSERT INTO {items} (id, v) VALUES (1, 'same')")
        statement = f"UPDATE {items} SET v = 'same' WHERE id = 1"
        with plain.cursor() as cursor:
            assert cursor.execute(statement) == 0
        with found.cursor() as cursor:
            assert cursor.execute(statement) == 1


# -- mysqlclient ---------------------------------------------------------------------------------------------


def mysqlclient(blog, **options):
    wanted = account(blog)
    return contextlib.closing(MySQLdb.connect(host=wanted["host"], port=wanted["port"], user=wanted["user"],
                                              passwd=wanted["password"], db=wanted["database"], charset="utf8mb4", **options))


@pytest.mark.parametrize("compressed", [False, True])
def test_mysqlclient(blog, items, compressed):  # noqa: F811
    with mysqlclient(blog, compress=int(compressed)) as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {items} (v, b, at, n) VALUES (%s, %s, %s, %s)", ROW)
        connection.rollback()
        cursor.execute(f"INSERT INTO {items} (v, b, at, n) VALUES (%s, %s, %s, %s)", ROW)
        connection.commit()
        cursor.execute(f"SELECT v, b, at, n, NULL FROM {items}")
        assert cursor.fetchall() == ((*ROW, None),)
        cursor.callproc(f"several_{items}", (3,))
        sets = [cursor.fetchall()]
        while cursor.nextset():
            sets.append(cursor.fetchall())
        assert [rows for rows in sets if rows] == [((3,),), ((4, "two"),)]
        with pytest.raises(MySQLdb.ProgrammingError, match="1146"):
            cursor.execute("SELECT * FROM no_such_table")
        connection.ping()
        connection.select_db("information_schema")
        cursor.execute("SELECT DATABASE()")
        assert cursor.fetchone() == ("information_schema",)
        assert "Uptime" in str(connection.stat())


def test_mysqlclient_streams(blog):
    with mysqlclient(blog, cursorclass=MySQLdb.cursors.SSCursor) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM seq_1_to_20000")
        assert sum(row[0] for row in cursor) == 200_010_000


# -- aiomysql ------------------------------------------------------------------------------------------------


def test_aiomysql_pool(blog, items):  # noqa: F811
    wanted = account(blog)

    async def work():
        pool = await aiomysql.create_pool(host=wanted["host"], port=wanted["port"], user=wanted["user"],
                                          password=wanted["password"], db=wanted["database"], minsize=2, maxsize=8,
                                          autocommit=True, charset="utf8mb4")

        async def one(i):
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute(f"INSERT INTO {items} (id, v) VALUES (%s, %s)", (i, f"v{i}"))
                await cursor.execute(f"SELECT v FROM {items} WHERE id = %s", (i,))
                return (await cursor.fetchone())[0]

        assert await asyncio.gather(*(one(i) for i in range(1, 61))) == [f"v{i}" for i in range(1, 61)]
        async with pool.acquire() as connection:
            await connection.begin()
            async with connection.cursor() as cursor:
                await cursor.execute(f"DELETE FROM {items}")
            await connection.rollback()
            async with connection.cursor(aiomysql.SSCursor) as cursor:
                await cursor.execute(f"SELECT id FROM {items} ORDER BY id")
                assert [row[0] async for row in cursor] == list(range(1, 61))
        pool.close()
        await pool.wait_closed()

    asyncio.run(work())
