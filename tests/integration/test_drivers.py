"""Drivers and what they do with the protocol, unmodified: Python, Node, Ruby."""

import asyncio
import pathlib
import subprocess

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import pytest
from psycopg.types.json import Json

from harness import npm
from harness.postgres import PASSWORDS

HERE = pathlib.Path(__file__).parent


# -- psycopg 3 -----------------------------------------------------------------------------------------------


def test_psycopg_statements(shop, table):
    with shop.connect() as connection:
        for i in range(20):  # after five times a statement is prepared with a name
            connection.execute(f"INSERT INTO {table} VALUES (%s, %s)", (i, f"v{i}"))
            assert connection.execute(f"SELECT v FROM {table} WHERE id = %s", (i,)).fetchone() == (f"v{i}",)
        assert connection.execute("SELECT %s::jsonb", (Json({"a": [1, None]}),)).fetchone() == ({"a": [1, None]},)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1/0")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_psycopg_transactions(shop, table):
    with shop.connect(autocommit=False) as connection:
        connection.execute(f"INSERT INTO {table} VALUES (1, 'a')")
        connection.rollback()
        with connection.transaction():
            connection.execute(f"INSERT INTO {table} VALUES (2, 'b')")
            with pytest.raises(psycopg.errors.UndefinedTable), connection.transaction():
                connection.execute("SELECT * FROM no_such_table")
            connection.execute(f"INSERT INTO {table} VALUES (3, 'c')")
        assert connection.execute(f"SELECT array_agg(id ORDER BY id) FROM {table}").fetchone() == ([2, 3],)


def test_psycopg_pipeline(shop, table):
    with shop.connect() as connection:
        with connection.pipeline():
            for i in range(100):
                connection.execute(f"INSERT INTO {table} VALUES (%s, 'p')", (i,))
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (100,)
        # psycopg hears of the error at one of these calls; the insert after it is skipped, whichever it is.
        with pytest.raises(psycopg.errors.DivisionByZero), connection.pipeline() as pipeline:
            connection.execute("SELECT 1/%s::int", (0,))
            connection.execute(f"INSERT INTO {table} VALUES (1000, 'never')")
            pipeline.sync()
        with connection.pipeline():
            assert connection.execute(f"SELECT max(id) FROM {table}").fetchone() == (99,)


def test_psycopg_copy_and_cursors(shop, table):
    with shop.connect(autocommit=False) as connection:
        cursor = connection.cursor()
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            for i in range(1000):
                copy.write_row((i, "x" * (i % 50)))
        with cursor.copy(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            assert sum(1 for _ in copy.rows()) == 1000
        with connection.cursor(name="server side") as named:
            named.itersize = 64
            assert sum(row[0] for row in named.execute(f"SELECT id FROM {table}")) == 499_500
        connection.commit()
        assert sum(1 for _ in cursor.stream("SELECT generate_series(1, 500)")) == 500


def test_psycopg_notifications(shop):
    with shop.connect() as listener, shop.connect() as speaker:
        listener.execute("LISTEN news")
        speaker.execute("SELECT pg_notify('news', 'first')")
        speaker.execute("NOTIFY news, 'second'")
        received = []
        for notification in listener.notifies():
            received.append(notification.payload)
            if len(received) == 2:
                break
        assert received == ["first", "second"]


def test_psycopg_read_write_targets(shop):
    """target_session_attrs asks SHOW transaction_read_only and in_hot_standby: the answer must be the primary's."""
    for wanted in ("read-write", "primary", "any"):
        with shop.connect(target_session_attrs=wanted) as connection:
            assert connection.execute("SHOW transaction_read_only").fetchone() == ("off",)


def test_psycopg_asynchronously(shop, table):
    async def work(i):
        connection = await psycopg.AsyncConnection.connect(autocommit=True, **shop.options())
        async with connection:
            await connection.execute(f"INSERT INTO {table} VALUES (%s, 'a')", (i,))
            cursor = await connection.execute(f"SELECT count(*) FROM {table} WHERE id = %s", (i,))
            return (await cursor.fetchone())[0]

    async def many():
        return await asyncio.gather(*(work(i) for i in range(30)))

    assert asyncio.run(many()) == [1] * 30


# -- psycopg 2 -----------------------------------------------------------------------------------------------


def test_psycopg2(shop, table):
    connection = psycopg2.connect(**shop.options())
    with connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (1, "o'ne"))
        psycopg2.extras.execute_values(cursor, f"INSERT INTO {table} VALUES %s", [(i, "v") for i in range(2, 300)])
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), min(v) FROM {table}")
        assert cursor.fetchone() == (299, "o'ne")
    with connection, connection.cursor("named") as cursor:
        cursor.itersize = 50
        cursor.execute(f"SELECT id FROM {table} ORDER BY id")
        assert [row[0] for row in cursor] == list(range(1, 300))
    with pytest.raises(psycopg2.errors.UniqueViolation), connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE u (i int UNIQUE) ON COMMIT DROP; INSERT INTO u VALUES (1); INSERT INTO u VALUES (1)")
    connection.set_session(isolation_level="SERIALIZABLE")
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (299,)
    connection.close()


def test_psycopg2_read_only_session(shop, table):
    connection = psycopg2.connect(**shop.options())
    connection.set_session(readonly=True, autocommit=False)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (0,)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction), connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} VALUES (1, 'a')")
    connection.close()


# -- asyncpg -------------------------------------------------------------------------------------------------


def asyncpg_options(shop):
    return {"host": shop.host, "port": shop.port, "user": "app", "password": PASSWORDS["app"], "database": "shop"}


def test_asyncpg(shop, table):
    async def work():
        connection = await asyncpg.connect(**asyncpg_options(shop))
        await connection.executemany(f"INSERT INTO {table} VALUES ($1, $2)", [(i, f"v{i}") for i in range(100)])
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 100
        prepared = await connection.prepare(f"SELECT v FROM {table} WHERE id = $1")
        assert [await prepared.fetchval(i) for i in range(10)] == [f"v{i}" for i in range(10)]
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetchval("SELECT 1/$1::int", 0)
        async with connection.transaction():
            seen = [record["id"] async for record in connection.cursor(f"SELECT id FROM {table} ORDER BY id", prefetch=7)]
            assert seen == list(range(100))
        with pytest.raises(asyncpg.UndefinedTableError):
            async with connection.transaction():
                await connection.execute(f"DELETE FROM {table}")
                await connection.execute("SELECT * FROM no_such_table")
        await connection.copy_records_to_table(table, records=[(1000 + i, "c") for i in range(50)])
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 150

        heard = asyncio.get_running_loop().create_future()
        await connection.add_listener("from_asyncpg", lambda *arguments: heard.set_result(arguments[3]))
        await connection.execute("NOTIFY from_asyncpg, 'hello'")
        assert await asyncio.wait_for(heard, 60) == "hello"
        await connection.reset()
        await connection.close()

    asyncio.run(work())


def test_asyncpg_pool(shop, table):
    """A pool resets each connection that comes back: SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL."""
    async def work():
        async with asyncpg.create_pool(**asyncpg_options(shop), min_size=2, max_size=8) as pool:
            async def one(i):
                async with pool.acquire() as connection:
                    await connection.execute(f"SET application_name = 'worker {i}'")
                    await connection.execute(f"INSERT INTO {table} VALUES ($1, 'p')", i)
                    assert await connection.fetchval(f"SELECT v FROM {table} WHERE id = $1", i) == "p"
                    return await connection.fetchval("SHOW application_name")
            assert await asyncio.gather(*(one(i) for i in range(60))) == [f"worker {i}" for i in range(60)]

    asyncio.run(work())


def test_asyncpg_timeout_cancels(shop):
    async def work():
        connection = await asyncpg.connect(**asyncpg_options(shop))
        with pytest.raises(asyncio.TimeoutError):
            await connection.fetchval("SELECT pg_sleep(30)", timeout=0.2)
        assert await connection.fetchval("SELECT 5") == 5
        await connection.close()

    asyncio.run(work())


# -- Node and Ruby -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def node_modules():
    """Installs the drivers named in node/package-lock.json, once."""
    return npm.install(HERE / "node")


def run_program(shop, table, *command, **options):
    result = subprocess.run(command, cwd=HERE, env={**shop.environment(**options), "TEST_TABLE": table},
                            capture_output=True, text=True, timeout=120)
    assert result.returncode == 0 and result.stdout.strip().endswith("ok"), result.stdout + result.stderr


@pytest.mark.parametrize("program", ["pg.js", "postgres.js"])
def test_node(shop, table, node_modules, program):
    run_program(shop, table, "node", f"node/{program}")


def test_active_record(shop, table, shared_cluster):
    shared_cluster.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
    run_program(shop, table, "ruby", "ruby/active_record.rb")
