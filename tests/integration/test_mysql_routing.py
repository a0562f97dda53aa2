"""Where MySQL's statements run, and what a session takes with it from server to server.

The table `here` has its server's name on each server (written past the binary log): a read of it tells where it ran.
Writes tell by RETURNING @@server_id, which is each server's number.
"""

import contextlib
import threading

import pymysql
import pytest

import mysql_wire as wire
from harness.mariadb import PASSWORDS
from harness.metrics import CORRECTIONS
from harness.mysql import READ_ONLY_SERVER, READ_ONLY_TRANSACTION, ask, error_of, value
from harness.ports import free_port
from harness.waiting import wait_until
from mysql_wire import MySqlWire, Refused

pytestmark = pytest.mark.proxy_only

WHERE = "SELECT name FROM here"
READ_ONLY = (READ_ONLY_SERVER, READ_ONLY_TRANSACTION)


def where(connection, query=WHERE):
    return value(connection, query)


def names(servers):
    return {server.name for server in servers}


@pytest.fixture
def primary(shared_maria):
    return shared_maria.primary


@pytest.fixture
def replicas(shared_maria):
    return names(shared_maria.replicas)


@pytest.fixture
def session(blog):
    with contextlib.closing(blog.connect()) as connection:
        yield connection


@pytest.fixture
def client(blog):
    with MySqlWire(blog.port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


@pytest.fixture
def on_replica(replicas):
    """Asserts that a connection's reads run on a replica: once its own last write is known to be applied there."""
    def check(connection, query=WHERE):
        return wait_until(lambda: where(connection, query) in replicas, "reads run on a replica")

    return check


def there(session, replicas, expression):
    """The expression's value as a read on a replica has it. (After what may have been a write, reads stay on the
    primary until a replica is known to have it.)"""
    def read():
        ((found, name),) = ask(session, f"SELECT {expression}, (SELECT name FROM shop.here)")
        return (found,) if name in replicas else None
    return wait_until(read, "a read runs on a replica")[0]


# -- reads and writes ----------------------------------------------------------------------------------------


def test_reads_are_spread_over_the_replicas(blog, replicas):
    seen = set()
    for _ in range(20):
        with contextlib.closing(blog.connect()) as connection:
            seen.add(where(connection))
    assert seen == replicas


def test_writes_go_to_the_primary(session, maria_table, primary):
    for i in range(10):
        assert value(session, f"INSERT INTO {maria_table} VALUES ({i}, 'x') RETURNING @@server_id") == primary.number


@pytest.mark.parametrize("query", [
    "SELECT h.name FROM here h FOR UPDATE",
    "SELECT h.name FROM here h LOCK IN SHARE MODE",
    "SELECT q.name FROM (SELECT name FROM here FOR UPDATE) q",
    "SELECT name FROM here WHERE GET_LOCK('routing', 0) + RELEASE_LOCK('routing') > 0",
    "SELECT name FROM here WHERE IS_FREE_LOCK('routing') = 1",
    "SELECT name FROM here WHERE @@read_only = 0",
    "SELECT name FROM here WHERE (@assigned := 1) = 1",
    "SELECT name FROM here /*!40000 FOR UPDATE */",
    "/* only a read */ SELECT name FROM here FOR UPDATE -- holdfast",
])
def test_reads_with_effects_go_to_the_primary(blog, primary, session, query):
    before = blog.metrics().sum(CORRECTIONS)
    assert where(session, query) == primary.name
    assert blog.metrics().sum(CORRECTIONS) == before, "it went to a replica first"


@pytest.mark.parametrize("query", [
    "(SELECT name FROM here) UNION (SELECT name FROM here)",
    "WITH w AS (SELECT name FROM here) SELECT name FROM w",
    "SELECT name AS `for update` FROM here",
    "/* for update */ SELECT name, 'for update', \"insert\" FROM here # for update",
    "SELECT name, NOW(), RAND(), UUID() FROM here",
    "SELECT name, 'it''s \\'; insert into here --' FROM here",
    "SELECT /*!40001 SQL_NO_CACHE */ name FROM here",
    "  select name from here limit 1",
])
def test_plain_reads_go_to_a_replica(session, replicas, query):
    assert where(session, query) in replicas


def test_what_reveals_the_role_is_answered_by_the_primary(session, primary):
    assert ask(session, "SELECT @@read_only, @@server_id, @@port") == [(0, primary.number, primary.port)]
    assert ask(session, "SHOW VARIABLES LIKE 'read_only'")[0][1] == "OFF"


def test_transactions_stay_on_one_server(session, maria_table, primary, replicas, on_replica):
    session.begin()
    assert where(session) == primary.name
    ask(session, f"INSERT INTO {maria_table} VALUES (1, 'x')")
    assert where(session) == primary.name
    session.commit()
    on_replica(session)
    ask(session, "START TRANSACTION READ ONLY")
    seen = {where(session) for _ in range(5)}
    assert len(seen) == 1 and seen <= replicas
    assert error_of(session, f"INSERT INTO {maria_table} VALUES (2, 'x')") == READ_ONLY_TRANSACTION
    session.rollback()
    session.autocommit(False)
    assert where(session) == primary.name
    session.rollback()
    session.autocommit(True)
    on_replica(session)


def test_own_writes_are_read(blog, maria_table):
    """Every read sees the session's last write, wherever it runs."""
    problems = []

    def work(number):
        with contextlib.closing(blog.connect()) as connection:
            ask(connection, f"INSERT INTO {maria_table} VALUES (%s, '0')", number)
            for i in range(1, 60):
                ask(connection, f"UPDATE {maria_table} SET v = %s WHERE id = %s", str(i), number)
                found = value(connection, f"SELECT v FROM {maria_table} WHERE id = %s", number)
                if found != str(i):
                    problems.append(f"client {number} reads {found} after writing {i}")

    workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive()
    assert problems == []


def test_reads_return_to_the_replicas_after_a_write(session, maria_table, on_replica, primary):
    ask(session, f"INSERT INTO {maria_table} VALUES (1, 'x')")
    on_replica(session)
    assert value(session, f"SELECT COUNT(*) FROM {maria_table}") == 1


def test_replica_that_lags_is_not_read_after_a_write(make_maria, start_proxy):
    cluster = make_maria(replicas=1)
    cluster.execute("CREATE TABLE t (id int)")
    proxy = start_proxy(cluster)
    (replica,) = cluster.replicas
    replica.execute("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = 2; START SLAVE", database=None)
    cluster.wait_replicating()
    proxy.wait_state(replica, "up")
    with contextlib.closing(proxy.connect()) as connection:
        for i in range(1, 30):
            ask(connection, "INSERT INTO t VALUES (%s)", i)
            assert value(connection, "SELECT COUNT(*) FROM t") == i
        assert where(connection) == cluster.primary.name


# -- functions, and routing that was wrong -------------------------------------------------------------------


@pytest.fixture
def functions(shared_maria, maria_table):
    """A function that writes, one that says that it only reads and does, and a view over the first."""
    shared_maria.execute(f"""
        CREATE FUNCTION writes_{maria_table}() RETURNS varchar(64) MODIFIES SQL DATA BEGIN
            INSERT INTO {maria_table} VALUES (1, 'by function'); RETURN (SELECT name FROM here); END;
        CREATE FUNCTION reads_{maria_table}() RETURNS varchar(64) READS SQL DATA RETURN (SELECT name FROM here);
        CREATE VIEW view_{maria_table} AS SELECT writes_{maria_table}() AS name""")
    yield maria_table
    shared_maria.execute(f"DROP VIEW view_{maria_table}; DROP FUNCTION writes_{maria_table}; "
                         f"DROP FUNCTION reads_{maria_table}")


def test_functions_that_write_go_to_the_primary(session, functions, primary):
    assert where(session, f"SELECT writes_{functions}()") == primary.name
    assert value(session, f"SELECT COUNT(*) FROM {functions}") == 1


def test_functions_that_read_may_go_to_a_replica(session, functions, replicas):
    """As soon as the proxy has looked them up in information_schema.ROUTINES."""
    wait_until(lambda: where(session, f"SELECT reads_{functions}()") in replicas, "it is known to read only")


def test_view_over_a_function_that_writes_corrects_itself(blog, session, functions, primary):
    """The replica refuses it, nothing has happened, and it runs on the primary; from then on at once."""
    before = blog.metrics().sum(CORRECTIONS)
    assert where(session, f"SELECT name FROM view_{functions}") == primary.name
    assert blog.metrics().sum(CORRECTIONS) == before + 1
    assert where(session, f"SELECT name FROM view_{functions}") == primary.name
    assert blog.metrics().sum(CORRECTIONS) == before + 1, "it is remembered"
    assert value(session, f"SELECT COUNT(*) FROM {functions}") == 2


def test_prepared_statement_that_corrects_itself(blog, client, functions, primary):
    statement = client.prepare(f"SELECT name, ? FROM view_{functions}")
    for i in range(3):
        assert client.execute(statement, i)[0].rows == [[primary.name.encode(), i]]
    assert client.value(f"SELECT COUNT(*) FROM {functions}") == "3"


def test_powerful_accounts_cannot_write_on_a_replica(blog, shared_maria, maria_table):
    """Accounts with all rights pass read_only: their connections to replicas are made read-only by the proxy."""
    shared_maria.execute(f"CREATE FUNCTION power_{maria_table}() RETURNS varchar(64) NO SQL BEGIN RETURN 'x'; END")
    try:
        shared_maria.execute(f"CREATE VIEW view_{maria_table} AS SELECT power_{maria_table}() AS name; "
                             f"DROP FUNCTION power_{maria_table}; CREATE FUNCTION power_{maria_table}() RETURNS varchar(64) "
                             f"MODIFIES SQL DATA BEGIN INSERT INTO {maria_table} VALUES (1, 'boss'); RETURN 'x'; END")
        with contextlib.closing(blog.connect(user="boss")) as boss:
            assert where(boss) in names(shared_maria.replicas)
            assert where(boss, f"SELECT name FROM view_{maria_table}") == "x"
            assert value(boss, f"SELECT COUNT(*) FROM {maria_table}") == 1
        shared_maria.wait_replayed()
        for server in shared_maria.servers:
            assert server.value(f"SELECT COUNT(*) FROM {maria_table}") == 1
            assert server is shared_maria.primary or server.replicates()
    finally:
        shared_maria.execute(f"DROP VIEW view_{maria_table}; DROP FUNCTION power_{maria_table}")


# -- the operator's word -------------------------------------------------------------------------------------


def test_hints(session, primary, replicas, maria_table):
    assert where(session, "/* holdfast: primary */ SELECT name FROM here") == primary.name
    assert where(session, "SELECT name FROM here -- holdfast: primary") == primary.name
    assert where(session, "/* holdfast: replica */ SELECT name FROM here") in replicas
    assert where(session, "/* holdfast: nonsense */ SELECT name FROM here") in replicas
    # A hint for a replica does not overrule what must be on the primary.
    assert error_of(session, f"/* holdfast: replica */ INSERT INTO {maria_table} VALUES (1, 'x')") is None
    assert where(session, "/* holdfast: replica */ SELECT name FROM here FOR UPDATE") == primary.name


def test_rules(start_proxy, shared_maria, primary, replicas):
    proxy = start_proxy(shared_maria, routing={"rules": [
        {"match": {"user": "reader"}, "to": "primary"},
        {"match": {"sql": "^select name as special from here$"}, "to": "primary"}]})
    with contextlib.closing(proxy.connect()) as app, contextlib.closing(proxy.connect(user="reader")) as reader:
        assert where(app) in replicas
        # Rules see the normalised statement: letters folded, one space, no literals, no comments.
        assert where(app, "SELECT   name /* x */ AS   Special FROM here") == primary.name
        assert where(reader) == primary.name


def test_listener_roles(start_proxy, shared_maria, primary, replicas, maria_table):
    primary_port, replica_port, tcp_port = free_port(), free_port(), free_port()
    proxy = start_proxy(shared_maria, listeners=[
        {"listen": f"127.0.0.1:{primary_port}", "role": "primary"},
        {"listen": f"127.0.0.1:{replica_port}", "role": "replica"},
        {"listen": f"127.0.0.1:{tcp_port}", "role": "tcp"}])
    with contextlib.closing(proxy.connect(port=primary_port)) as connection:
        assert where(connection) == primary.name
        ask(connection, f"INSERT INTO {maria_table} VALUES (1, 'x')")
        assert where(connection) == primary.name
    with contextlib.closing(proxy.connect(port=replica_port)) as connection:
        assert where(connection) in replicas
        assert error_of(connection, f"INSERT INTO {maria_table} VALUES (2, 'x')") in READ_ONLY
        assert where(connection) in replicas
    with contextlib.closing(proxy.connect(port=tcp_port)) as connection:
        assert where(connection) == primary.name
        ask(connection, f"INSERT INTO {maria_table} VALUES (3, 'x')")
    assert primary.value(f"SELECT GROUP_CONCAT(id ORDER BY id) FROM {maria_table}") == "1,3"


# -- session state -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("set_it, expression, expected", [
    ("SET sql_mode = 'ANSI_QUOTES'", "@@sql_mode", "ANSI_QUOTES"),
    ("SET SESSION sql_mode := 'ANSI_QUOTES'", "@@sql_mode", "ANSI_QUOTES"),
    ("SET @@session.sql_mode = 'ANSI_QUOTES', time_zone = '+05:00'", "@@time_zone", "+05:00"),
    ("SET NAMES latin1", "@@character_set_client", "latin1"),
    ("SET NAMES utf8mb4 COLLATE utf8mb4_bin", "@@collation_connection", "utf8mb4_bin"),
    ("SET CHARACTER SET latin1", "@@character_set_results", "latin1"),
    ("SET @v = 'a variable'", "@v", "a variable"),
    ("SET @v = 1, @w = CONCAT('a', 'b')", "@w", "ab"),
    ("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "@@tx_isolation", "READ-COMMITTED"),
    ("SET sql_select_limit = 77", "@@sql_select_limit", 77),
    ("USE annex", "DATABASE()", "annex"),
    ("SET STATEMENT sql_mode = '' FOR SELECT 1", "@@sql_mode", None),
])
def test_session_state_is_carried_to_replicas(session, replicas, set_it, expression, expected):
    unchanged = there(session, replicas, expression)
    ask(session, set_it)
    expected = unchanged if expected is None else expected
    assert there(session, replicas, expression) == expected
    assert value(session, f"/* holdfast: primary */ SELECT {expression}") == expected


def test_commands_that_change_state(client, replicas):
    client.do(wire.INIT_DB, "annex")
    wait_until(lambda: client.ask("SELECT name FROM shop.here").rows[0][0].decode() in replicas, "on a replica")
    assert client.value("SELECT DATABASE()") == "annex"
    client.ask("SET @v = 5, sql_mode = 'ANSI_QUOTES'")
    client.do(wire.RESET_CONNECTION)
    client.do(wire.INIT_DB, "shop")
    wait_until(lambda: client.value(WHERE) in replicas, "on a replica")
    assert client.ask("SELECT @v, @@sql_mode = 'ANSI_QUOTES', (SELECT name FROM here)").rows[0][:2] == [None, b"0"]


def test_quotes_are_read_as_sql_mode_says(session, maria_table):
    """With NO_BACKSLASH_ESCAPES the literal ends at the quote behind the backslash, and what follows is a statement."""
    ask(session, "SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
    ask(session, f"INSERT INTO {maria_table} VALUES (1, '\\')")
    assert value(session, f"SELECT v FROM {maria_table}") == "\\"
    ask(session, "SET sql_mode = 'ANSI_QUOTES'")
    assert value(session, f'SELECT "v" FROM {maria_table}') == "\\"


def test_variables_assigned_in_expressions(session, replicas):
    """No tracker reports them: the session sees them all the same."""
    ask(session, "SELECT @n := 41 + 1")
    for _ in range(5):
        assert value(session, "SELECT @n") == 42
    ask(session, "SELECT 'into' INTO @m")
    assert ask(session, "SELECT @n, @m")[0] == (42, "into")


def test_prepared_statements_run_on_any_server(client, replicas, primary, maria_table):
    reads = client.prepare("SELECT name, ? FROM here")
    writes = client.prepare(f"INSERT INTO {maria_table} VALUES (?, 'x') RETURNING @@server_id")
    assert client.execute(reads, 1)[0].rows[0][1] == 1
    assert client.execute(writes, 1)[0].rows == [[primary.number]]
    seen = set()

    def read_again():
        ((name, number),) = client.execute(reads, 7, types=False)[0].rows
        assert number == 7
        seen.add(name.decode())
        return seen & replicas

    wait_until(read_again, "a read ran on a replica")
    assert client.execute(writes, 2, types=False)[0].rows == [[primary.number]]


def test_sql_prepared_statements_run_where_their_query_must(session, replicas, primary, maria_table):
    ask(session, "PREPARE r FROM 'SELECT name, ? FROM here'")
    ask(session, f"PREPARE w FROM 'INSERT INTO {maria_table} VALUES (?, 1) RETURNING @@server_id'")
    ask(session, "SET @x = 5")
    assert value(session, "EXECUTE w USING @x") == primary.number
    wait_until(lambda: where(session, "EXECUTE r USING @x") in replicas, "EXECUTE of a read runs on a replica")
    ask(session, "DEALLOCATE PREPARE r")
    assert error_of(session, "EXECUTE r USING @x") == 1243


def test_temporary_tables_pin_the_session(session, primary, maria_table, on_replica):
    """A permanent table of the same name must not show through."""
    ask(session, f"CREATE TEMPORARY TABLE {maria_table} AS SELECT 99 AS id")
    for _ in range(5):
        assert value(session, f"SELECT id FROM {maria_table}") == 99
        assert where(session) == primary.name
    ask(session, f"DROP TEMPORARY TABLE {maria_table}")
    assert value(session, f"SELECT COUNT(*) FROM {maria_table}") == 0


def test_user_locks_are_taken_on_the_primary(blog, session, primary):
    assert value(session, "SELECT GET_LOCK('mine', 0)") == 1
    assert primary.value("SELECT IS_FREE_LOCK('mine')") == 0
    where(session)
    with contextlib.closing(blog.connect()) as other:
        assert value(other, "SELECT GET_LOCK('mine', 0)") == 0
    assert value(session, "SELECT RELEASE_LOCK('mine')") == 1
    assert primary.value("SELECT IS_FREE_LOCK('mine')") == 1


def test_what_the_last_statement_left(session, maria_table, primary):
    """LAST_INSERT_ID, ROW_COUNT, FOUND_ROWS and warnings belong to the server that ran the last statement."""
    ask(session, f"ALTER TABLE {maria_table} MODIFY id int AUTO_INCREMENT PRIMARY KEY")
    ask(session, f"INSERT INTO {maria_table} (v) VALUES ('a'), ('b')")
    assert value(session, "SELECT ROW_COUNT()") == 2
    where(session)
    assert value(session, "SELECT LAST_INSERT_ID()") == 1
    ask(session, "SELECT SQL_CALC_FOUND_ROWS * FROM (SELECT 1 AS i UNION SELECT 2 UNION SELECT 3) q LIMIT 1")
    assert value(session, "SELECT FOUND_ROWS()") == 3
    with session.cursor() as cursor:
        cursor.execute("SELECT 1/0")
        cursor.fetchall()
        cursor.execute("SHOW WARNINGS")
        assert cursor.fetchall()[0][1] == 1365


# -- connection numbers and KILL -----------------------------------------------------------------------------


def test_connection_id_is_the_proxys(blog, client, on_replica):
    assert client.value("SELECT CONNECTION_ID()") == str(client.connection_id)
    assert client.value("/* holdfast: primary */ SELECT CONNECTION_ID()") == str(client.connection_id)
    with contextlib.closing(blog.connect()) as other:
        assert value(other, "SELECT CONNECTION_ID()") == other.thread_id() != client.connection_id


@pytest.mark.parametrize("where_it_runs", ["primary", "replica"])
def test_kill_query_by_the_proxys_number(blog, session, shared_maria, client, where_it_runs):
    client.start(wire.QUERY, f"/* holdfast: {where_it_runs} */ SELECT SLEEP(60), 'to be killed'")
    wait_until(lambda: any(server.runs("to be killed") for server in shared_maria.servers), "it runs")
    ask(session, f"KILL QUERY {client.connection_id}")
    try:
        assert client.result().rows == [[b"1", b"to be killed"]]  # SLEEP says 1 when it was interrupted
    except Refused as refused:
        assert refused.number == 1317
    assert client.value("SELECT 'goes on'") == "goes on"


def test_kill_connection_by_the_proxys_number(session, shared_maria, client):
    client.start(wire.QUERY, "SELECT SLEEP(600), 'to be ended'")
    wait_until(lambda: any(server.runs("to be ended") for server in shared_maria.servers), "it runs")
    ask(session, f"KILL {client.connection_id}")
    with pytest.raises((wire.Closed, ConnectionError)):
        with contextlib.suppress(Refused):
            client.result()
        client.ask("SELECT 1")
    wait_until(lambda: not any(server.runs("to be ended") for server in shared_maria.servers), "its statement ends")


def test_kill_of_nobody(session):
    assert error_of(session, "KILL QUERY 4000000000") == 1094
    assert value(session, "SELECT 'there'") == "there"


def test_kill_of_another_users_connection_is_refused(blog, client):
    with contextlib.closing(blog.connect(user="reader")) as reader:
        assert error_of(reader, f"KILL {client.connection_id}") == 1095
    assert client.value("SELECT 'there'") == "there"


# -- replicas that fail --------------------------------------------------------------------------------------


def test_all_replicas_gone_reads_go_to_the_primary(make_maria, start_proxy):
    cluster = make_maria(replicas=1)
    proxy = start_proxy(cluster)
    (replica,) = cluster.replicas
    with contextlib.closing(proxy.connect()) as connection:
        assert where(connection) == replica.name
        replica.kill9()
        assert where(connection) == cluster.primary.name
        replica.start()
        proxy.wait_state(replica, "up")
        wait_until(lambda: where(connection) == replica.name, "reads return to the replica")


def test_session_state_after_a_failover(make_maria, start_proxy):
    cluster = make_maria(replicas=1)
    proxy = start_proxy(cluster)
    with contextlib.closing(proxy.connect()) as connection:
        for statement in ("SET NAMES latin1", "SET sql_mode = 'ANSI_QUOTES'", "SET @v = 'kept'", "USE information_schema",
                          "PREPARE s FROM 'SELECT ''prepared'''"):
            ask(connection, statement)
        old = cluster.primary
        old.kill9()
        cluster.promote()
        wait_until(lambda: proxy.metrics().state_of(old.name) not in ("up", "suspect"), "the proxy misses it")
        assert ask(connection, "/* holdfast: primary */ SELECT @@character_set_client, @@sql_mode, @v, DATABASE()") == [
            ("latin1", "ANSI_QUOTES", "kept", "information_schema")]
        assert value(connection, "EXECUTE s") == "prepared"


def test_error_texts_of_pymysql(session):
    """What applications catch is what they always caught."""
    with pytest.raises(pymysql.err.ProgrammingError):
        ask(session, "SELECT * FROM nothing_there")
    with pytest.raises(pymysql.err.IntegrityError):
        ask(session, "CREATE TEMPORARY TABLE once (i int PRIMARY KEY)")
        ask(session, "INSERT INTO once VALUES (1), (1)")
