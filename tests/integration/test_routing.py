"""Where statements run, and what a session takes with it from server to server.

Statements tell where they ran by inet_server_port().
"""

import threading

import psycopg
import pytest

import wire
from harness.metrics import CORRECTIONS, STATEMENTS
from harness.postgres import PASSWORDS
from harness.waiting import wait_until
from wire import Wire, bind, execute, parse, rows, sqlstates, sync

pytestmark = pytest.mark.proxy_only

WHERE = "SELECT inet_server_port()"


def where(connection, query=WHERE):
    return connection.execute(query).fetchone()[0]


def ports(servers):
    return {server.port for server in servers}


@pytest.fixture
def primary(shared_cluster):
    return shared_cluster.primary


@pytest.fixture
def on_standby(shared_cluster):
    """Asserts that a connection's reads run on a standby: once its own last write is known to be replayed there."""
    standbys = ports(shared_cluster.standbys)

    def check(connection, query=WHERE):
        return wait_until(lambda: where(connection, query) in standbys, "reads run on a standby")

    return check


# -- reads and writes ----------------------------------------------------------------------------------------


def test_reads_are_spread_over_the_standbys(shop, shared_cluster):
    seen = set()
    for _ in range(20):
        with shop.connect() as connection:
            seen.add(where(connection))
    assert seen == ports(shared_cluster.standbys)


def test_writes_go_to_the_primary(shop, table, primary):
    with shop.connect() as connection:
        for i in range(10):
            assert where(connection, f"INSERT INTO {table} VALUES ({i}, 'x') RETURNING inet_server_port()") == primary.port


@pytest.mark.parametrize("query", [
    "SELECT inet_server_port() FROM {t} FOR UPDATE",
    "SELECT q.p FROM (SELECT inet_server_port() AS p FROM {t} FOR SHARE) q",
    "WITH w AS (INSERT INTO {t} VALUES (2, 'w') RETURNING 1) SELECT inet_server_port() FROM w",
    "SELECT inet_server_port() FROM (SELECT pg_try_advisory_lock(77), pg_advisory_unlock(77)) q",
    "SELECT inet_server_port() FROM (SELECT txid_current()) q",
    "SELECT inet_server_port() FROM (SELECT pg_notify('c', 'x')) q",
    "/* insert nothing */ SELECT inet_server_port() FROM {t} FOR NO KEY UPDATE",
    "SELECT inet_server_port() FROM pg_catalog.set_config('a.b', (SELECT v FROM {t} LIMIT 1), false)",
])
def test_reads_with_effects_go_to_the_primary(shop, table, primary, query):
    with shop.connect() as connection:
        connection.execute(f"INSERT INTO {table} VALUES (1, 'one')")
        before = shop.metrics().sum(CORRECTIONS)
        assert where(connection, query.format(t=table)) == primary.port
        assert shop.metrics().sum(CORRECTIONS) == before, "it went to a standby first"


@pytest.mark.parametrize("query", [
    "(SELECT inet_server_port()) UNION (SELECT inet_server_port())",
    "WITH insert AS (SELECT inet_server_port() AS p) SELECT p FROM insert",
    "VALUES (inet_server_port())",
    "SELECT inet_server_port() /* for update */ AS \"for update\"",
    "/* a /* nested */ comment */ SELECT inet_server_port(), 'for update', $$insert$$",
    "SELECT inet_server_port(), now(), random(), gen_random_uuid()",
    "SELECT inet_server_port(), E'\\'; insert into x --'",
])
def test_plain_reads_go_to_a_standby(shop, shared_cluster, query):
    with shop.connect() as connection:
        assert where(connection, query) in ports(shared_cluster.standbys)


def test_copy_out_runs_on_a_standby(shop, shared_cluster):
    with shop.connect() as connection:
        with connection.cursor().copy("COPY (SELECT inet_server_port()) TO STDOUT") as copy:
            assert {int(port) for port, in copy.rows()} <= ports(shared_cluster.standbys)


def test_what_reveals_the_role_is_answered_by_the_primary(shop):
    with shop.connect() as connection:
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("off",)
        assert connection.execute("SHOW in_hot_standby").fetchone() == ("off",)
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.ask("SELECT 1")
        assert client.parameters["in_hot_standby"] == "off"


def test_transactions_stay_on_one_server(shop, table, primary, shared_cluster):
    with shop.connect() as connection:
        with connection.transaction():
            assert where(connection) == primary.port
            connection.execute(f"INSERT INTO {table} VALUES (1, 'x')")
            assert where(connection) == primary.port
        connection.execute("BEGIN READ ONLY")
        seen = {where(connection) for _ in range(5)}
        connection.execute("COMMIT")
        assert len(seen) == 1
        connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
        assert where(connection) == primary.port
        connection.execute("ROLLBACK")


def test_read_only_transaction_runs_on_a_standby(shop, on_standby):
    with shop.connect() as connection:
        connection.execute("BEGIN READ ONLY")
        on_standby(connection)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE never (i int)")
        connection.execute("ROLLBACK")


def test_a_batch_stays_on_one_server(shop, table, primary):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.send(wire.statement(WHERE), wire.statement(f"INSERT INTO {table} VALUES (1, 'x')"), wire.statement(WHERE), sync())
        assert [int(row[0]) for row in rows(client.until_ready())] == [primary.port] * 2


def test_every_statement_is_counted(shop, table):
    def count(**labels):
        return shop.metrics().sum(STATEMENTS, **labels)
    reads, writes = count(target="replica"), count(target="primary")
    with shop.connect() as connection:
        connection.prepare_threshold = None  # a Parse on its own would count too
        for _ in range(10):
            where(connection)
        for i in range(7):
            connection.execute(f"INSERT INTO {table} VALUES (1, 'x')")
    assert count(target="replica") - reads == 10 and count(target="primary") - writes == 7


# -- corrections ---------------------------------------------------------------------------------------------


@pytest.fixture
def view_with_effects(shared_cluster):
    shared_cluster.execute("""CREATE SEQUENCE hits; GRANT ALL ON hits TO app;
                              CREATE VIEW counted AS SELECT nextval('hits') AS n, inet_server_port() AS port;
                              GRANT SELECT ON counted TO app""")
    yield "SELECT port, n FROM counted"
    shared_cluster.execute("DROP VIEW counted; DROP SEQUENCE hits")


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_write_behind_a_view_is_corrected_and_learned(start_proxy, shared_cluster, view_with_effects, primary, protocol):
    proxy = start_proxy(shared_cluster)
    with Wire(proxy.port) as client:
        client.log_in("app", PASSWORDS["app"])
        for number in range(1, 6):
            client.send(wire.query(view_with_effects) if protocol == "simple"
                        else wire.statement(view_with_effects) + sync())
            messages = client.until_ready()
            assert not sqlstates(messages)
            port, n = rows(messages)[0]
            assert (int(port), int(n)) == (primary.port, number), "not exactly once, on the primary"
        assert proxy.metrics().sum(CORRECTIONS) == 1, "corrected once, then known"


def test_unlogged_table_is_read_on_the_primary(shop, shared_cluster, primary):
    shared_cluster.execute("CREATE UNLOGGED TABLE scratch AS SELECT 1 AS i; GRANT SELECT ON scratch TO app")
    try:
        with shop.connect() as connection:
            assert where(connection, "SELECT inet_server_port() FROM scratch") == primary.port
    finally:
        shared_cluster.execute("DROP TABLE scratch")


def test_functions_are_known_from_the_catalog(start_proxy, shared_cluster, primary, table):
    shared_cluster.execute(f"""
        CREATE FUNCTION writes_openly() RETURNS int LANGUAGE sql VOLATILE SECURITY DEFINER
            AS 'INSERT INTO {table} VALUES (1, ''f''); SELECT inet_server_port()';
        CREATE FUNCTION reads_only() RETURNS int LANGUAGE sql STABLE AS 'SELECT inet_server_port()';
        CREATE FUNCTION writes_secretly() RETURNS int LANGUAGE plpgsql STABLE SECURITY DEFINER
            AS $$ BEGIN PERFORM nextval('secret'); RETURN inet_server_port(); END $$;
        CREATE SEQUENCE secret""")
    try:
        proxy = start_proxy(shared_cluster)
        with proxy.connect() as connection:
            standbys = ports(shared_cluster.standbys)
            wait_until(lambda: where(connection, "SELECT reads_only()") in standbys, "the catalog is known")
            assert where(connection, "SELECT writes_openly()") == primary.port
            assert where(connection, "SELECT public.writes_openly()") == primary.port
            assert proxy.metrics().sum(CORRECTIONS) == 0
        with proxy.connect() as connection:
            assert where(connection, "SELECT writes_secretly()") == primary.port
            assert proxy.metrics().sum(CORRECTIONS) == 1
    finally:
        shared_cluster.execute("DROP FUNCTION writes_openly(), reads_only(), writes_secretly(); DROP SEQUENCE secret")


def test_refusal_is_the_clients_own_when_it_asked_for_read_only(shop, table):
    with shop.connect() as connection:
        connection.execute("SET default_transaction_read_only = on")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute(f"INSERT INTO {table} VALUES (1, 'x')")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"INSERT INTO {table} VALUES (1, 'x')")


# -- consistency ---------------------------------------------------------------------------------------------


def test_reads_after_own_writes_while_replay_stands_still(make_cluster, start_proxy):
    cluster = make_cluster()
    cluster.execute("CREATE TABLE own (i int); ALTER TABLE own OWNER TO app")
    proxy = start_proxy(cluster)
    for standby in cluster.standbys:
        standby.pause_replay()
    with proxy.connect() as writer, proxy.connect() as stranger:
        assert where(stranger) in ports(cluster.standbys)
        for i in range(20):
            writer.execute("INSERT INTO own VALUES (%s)", (i,))
            assert writer.execute("SELECT count(*), inet_server_port() FROM own").fetchone() == (i + 1, cluster.primary.port)
        # Without a write of its own a session may see the past.
        assert stranger.execute("SELECT count(*) FROM own").fetchone() == (0,)
        for standby in cluster.standbys:
            standby.resume_replay()
        wait_until(lambda: where(writer) in ports(cluster.standbys), "reads return to the standbys")
        assert writer.execute("SELECT count(*) FROM own").fetchone() == (20,)


def test_reads_after_own_writes_with_replay_always_late(make_cluster, start_proxy):
    """Many sessions at once, standbys a moment behind at all times: nobody misses a write of its own."""
    cluster = make_cluster(settings={"recovery_min_apply_delay": "30ms"})
    cluster.execute("CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters SELECT i, 0 FROM "
                    "generate_series(1, 8) i; ALTER TABLE counters OWNER TO app")
    proxy = start_proxy(cluster)
    stale, on_standbys = [], []

    def work(number):
        with proxy.connect() as connection:
            for i in range(1, 120):
                connection.execute("UPDATE counters SET n = %s WHERE id = %s", (i, number))
                while True:
                    n, port = connection.execute(
                        "SELECT n, inet_server_port() FROM counters WHERE id = %s", (number,)).fetchone()
                    if n != i:
                        stale.append((number, i, n, port))
                    if port != cluster.primary.port:
                        on_standbys.append(port)
                    if i % 20 or port != cluster.primary.port:
                        break

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not stale
    assert on_standbys, "no read ever went to a standby: this showed nothing"


def test_consistency_can_be_chosen(start_proxy, shared_cluster, table, primary):
    strict = start_proxy(shared_cluster, routing={"consistency": "primary"})
    with strict.connect() as connection:
        assert where(connection) == primary.port
    loose = start_proxy(shared_cluster, routing={"consistency": "eventual"})
    with loose.connect() as connection:
        for i in range(5):
            connection.execute(f"INSERT INTO {table} VALUES (%s, 'x')", (i,))
            assert where(connection) in ports(shared_cluster.standbys)


def test_lagging_standby_gets_no_reads(make_cluster, start_proxy):
    cluster = make_cluster(standbys=2)
    cluster.execute("CREATE TABLE filler (t text)")
    late, good = cluster.standbys
    proxy = start_proxy(cluster, routing={"max_lag": {"time": "10s", "bytes": "1MiB"}})
    late.pause_replay()
    cluster.primary.execute("INSERT INTO filler SELECT repeat(md5(i::text), 10) FROM generate_series(1, 20000) i")
    proxy.wait_state(late, "lagging")
    cluster.wait_replayed([good])
    proxy.wait_state(good, "up")
    for _ in range(10):
        with proxy.connect() as connection:
            assert where(connection) == good.port
    late.resume_replay()
    proxy.wait_state(late, "up")
    seen = set()
    for _ in range(20):
        with proxy.connect() as connection:
            seen.add(where(connection))
    assert seen == ports(cluster.standbys)


# -- the operator's word -------------------------------------------------------------------------------------


def test_hints(shop, primary, shared_cluster):
    standbys = ports(shared_cluster.standbys)
    with shop.connect() as connection:
        assert where(connection, "/* holdfast: nonsense */ SELECT inet_server_port()") in standbys
        assert where(connection, "/* holdfast: replica */ SELECT inet_server_port() FROM pg_stat_activity LIMIT 1") in standbys
        assert where(connection, "/* holdfast: replica */ SELECT inet_server_port(), pg_is_in_recovery()") in standbys
        assert where(connection, "/* holdfast: primary */ SELECT inet_server_port()") == primary.port
        assert where(connection, "SELECT inet_server_port() -- holdfast: primary") == primary.port
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            # A hint can't make a write a read … but a wrong one is the operator's, and costs only an error.
            connection.execute("BEGIN READ ONLY; /* holdfast: primary */ CREATE TABLE never (i int)")
        connection.execute("ROLLBACK")
        # A hint for a replica does not overrule what must be on the primary.
        assert where(connection, "/* holdfast: replica */ SELECT inet_server_port() FROM (SELECT txid_current()) q") == primary.port


def test_rules(start_proxy, shared_cluster, primary):
    proxy = start_proxy(shared_cluster, users=None, routing={"rules": [
        {"match": {"application_name": "report-.*"}, "to": "replica"},
        {"match": {"user": "reader"}, "to": "primary"},
        {"match": {"sql": "^select .* as special$"}, "to": "primary"},
        {"match": {"comment": "route='/admin/.*'"}, "to": "primary"},
    ]})
    standbys = ports(shared_cluster.standbys)
    with proxy.connect() as app, proxy.connect(user="reader") as reader:
        assert where(app) in standbys
        assert where(app, "SELECT inet_server_port() /* route='/shop' */") in standbys
        # Rules see the normalised statement: letters folded, one space, no literals, no comments.
        assert where(app, "SELECT   inet_server_port() /* x */ AS   Special") == primary.port
        assert where(app, "SELECT inet_server_port() /* route='/admin/users' */") == primary.port
        assert where(reader) == primary.port
    with proxy.connect(application_name="report-daily", user="reader") as report:
        assert where(report) in standbys


def test_listener_roles(start_proxy, shared_cluster, primary, table):
    from harness.ports import free_port
    primary_port, replica_port, tcp_port = free_port(), free_port(), free_port()
    proxy = start_proxy(shared_cluster, listeners=[
        {"listen": f"127.0.0.1:{primary_port}", "role": "primary"},
        {"listen": f"127.0.0.1:{replica_port}", "role": "replica"},
        {"listen": f"127.0.0.1:{tcp_port}", "role": "tcp"}])
    with proxy.connect(port=primary_port) as connection:
        assert where(connection) == primary.port
        connection.execute(f"INSERT INTO {table} VALUES (1, 'x')")
        assert where(connection) == primary.port
    with proxy.connect(port=replica_port) as connection:
        assert where(connection) in ports(shared_cluster.standbys)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute(f"INSERT INTO {table} VALUES (2, 'x')")
        assert where(connection) in ports(shared_cluster.standbys)
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
    with proxy.connect(port=tcp_port) as connection:
        assert where(connection) == primary.port
        connection.execute(f"INSERT INTO {table} VALUES (3, 'x')")


def test_weights(start_proxy, shared_cluster):
    heavy, none = shared_cluster.standbys

    def weigh(proxy):
        for server in proxy.settings["cluster"]["shop"]["servers"]:
            server["weight"] = {heavy.name: 100, none.name: 0}.get(server["name"], 100)

    proxy = start_proxy(shared_cluster, before_start=weigh)
    for _ in range(10):
        with proxy.connect() as connection:
            assert where(connection) == heavy.port


def test_primary_takes_its_share_of_the_reads(start_proxy, shared_cluster, primary):
    proxy = start_proxy(shared_cluster, routing={"primary_reads": "always"})
    seen = set()
    for _ in range(30):
        with proxy.connect() as connection:
            port = where(connection)
            assert where(connection) == port
            seen.add(port)
    assert seen == ports(shared_cluster.standbys) | {primary.port}


# -- session state -------------------------------------------------------------------------------------------


@pytest.fixture
def session(shop):
    with shop.connect() as connection:
        yield connection


def on_a_standby(session, shared_cluster, expression):
    """The expression's value as a read on a standby has it. (After what may have been a write, reads stay on the
    primary until a standby is known to have it.)"""
    def read():
        value, port = session.execute(f"SELECT {expression}, inet_server_port()").fetchone()
        return (value,) if port in ports(shared_cluster.standbys) else None
    return wait_until(read, "a read runs on a standby")[0]


SETTING = "current_setting('work_mem')"


@pytest.mark.parametrize("set_it", ["SET work_mem = '5MB'", "SET SESSION work_mem TO '5MB'",
                                    "SELECT set_config('work_mem', '5MB', false)",
                                    "BEGIN; SET work_mem = '5MB'; COMMIT"])
def test_settings_are_carried_to_standbys(session, shared_cluster, set_it):
    assert on_a_standby(session, shared_cluster, SETTING) == "4MB"
    session.execute(set_it)
    assert on_a_standby(session, shared_cluster, SETTING) == "5MB"
    assert session.execute("SHOW work_mem").fetchone() == ("5MB",)
    session.execute("RESET work_mem")
    assert on_a_standby(session, shared_cluster, SETTING) == "4MB"


def test_setting_of_a_rolled_back_transaction_is_forgotten(session, shared_cluster):
    session.execute("SET work_mem = '6MB'")
    for undone in ("BEGIN; SET work_mem = '7MB'; ROLLBACK",
                   "BEGIN; SET LOCAL work_mem = '7MB'; COMMIT",
                   "BEGIN; SAVEPOINT s; SET work_mem = '7MB'; ROLLBACK TO s; COMMIT",
                   "BEGIN; SELECT set_config('work_mem', '7MB', true); COMMIT"):
        session.execute(undone)
        assert on_a_standby(session, shared_cluster, SETTING) == "6MB", undone
        assert session.execute("SHOW work_mem").fetchone() == ("6MB",), undone
    with pytest.raises(psycopg.errors.DivisionByZero):
        session.execute("SET work_mem = '7MB'; SELECT 1/0")
    assert on_a_standby(session, shared_cluster, SETTING) == "6MB"
    session.execute("BEGIN; SET work_mem = '8MB'; SAVEPOINT s; SET work_mem = '9MB'; RELEASE s; COMMIT")
    assert on_a_standby(session, shared_cluster, SETTING) == "9MB"
    session.execute("RESET ALL")
    assert on_a_standby(session, shared_cluster, SETTING) == "4MB"


def test_discard_all_forgets_everything(session, shared_cluster):
    session.execute("SET work_mem = '6MB'")
    session.execute("PREPARE gone AS SELECT 1")
    on_a_standby(session, shared_cluster, SETTING)
    session.execute("DISCARD ALL")
    assert on_a_standby(session, shared_cluster, SETTING) == "4MB"
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        session.execute("EXECUTE gone")


def test_roles_and_search_path_are_carried(shop, session, shared_cluster):
    shared_cluster.execute("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.which AS SELECT 'elsewhere' AS v;"
                           "GRANT USAGE ON SCHEMA elsewhere TO app, reader; GRANT SELECT ON elsewhere.which TO app;"
                           "GRANT reader TO app")
    try:
        session.execute("SET search_path = elsewhere, public")
        assert session.execute("SELECT v, inet_server_port() FROM which").fetchone()[0] == "elsewhere"
        session.execute("SET ROLE reader")
        assert on_a_standby(session, shared_cluster, "current_user::text") == "reader"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT v FROM which")
        session.execute("RESET ROLE")
        assert on_a_standby(session, shared_cluster, "current_user::text") == "app"
    finally:
        session.execute("RESET ALL")
        shared_cluster.execute("REVOKE reader FROM app; DROP SCHEMA elsewhere CASCADE")


def test_session_characteristics_are_carried(session, shared_cluster):
    session.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert on_a_standby(session, shared_cluster, "current_setting('transaction_isolation')") == "repeatable read"


def test_prepared_statements_run_on_any_server(shop, shared_cluster, table, primary, on_standby):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.send(parse("reads", f"SELECT inet_server_port(), $1::int FROM (SELECT count(*) FROM {table}) q"), sync(),
                    parse("writes", f"INSERT INTO {table} VALUES ($1, 'x') RETURNING inet_server_port()"), sync())
        client.until_ready(), client.until_ready()
        seen = set()

        def both(i):
            client.send(bind("", "writes", (i,)), execute(), sync())
            assert int(rows(client.until_ready())[0][0]) == primary.port
            client.send(bind("", "reads", (i,)), execute(), sync())
            port, number = rows(client.until_ready())[0]
            assert int(number) == i
            seen.add(int(port))

        def read_alone():
            client.send(bind("", "reads", (7,)), execute(), sync())
            seen.add(int(rows(client.until_ready())[0][0]))
            return seen & ports(shared_cluster.standbys)

        both(1)
        wait_until(read_alone, "a read ran on a standby")
        both(2)


def test_sql_prepared_statements_run_where_their_query_must(session, shared_cluster, table, primary):
    session.execute("PREPARE r(int) AS SELECT inet_server_port(), $1")
    session.execute(f"PREPARE w(int) AS INSERT INTO {table} VALUES ($1, 'x') RETURNING inet_server_port()")
    assert where(session, "EXECUTE w(1)") == primary.port
    wait_until(lambda: session.execute("EXECUTE r(5)").fetchone()[1] == 5
               and where(session, "EXECUTE r(5)") in ports(shared_cluster.standbys), "EXECUTE of a read runs on a standby")
    session.execute("DEALLOCATE r")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        session.execute("EXECUTE r(5)")


def test_temporary_tables_pin_the_session(session, primary, table, on_standby):
    """A permanent table of the same name must not show through."""
    session.execute(f"CREATE TEMP TABLE {table} AS SELECT 99 AS id, inet_server_port() AS port")
    for _ in range(5):
        assert session.execute(f"SELECT id, port, inet_server_port() FROM {table}").fetchone() == (99, primary.port, primary.port)
    session.execute("DISCARD TEMP")
    on_standby(session)


def test_advisory_locks_are_taken_on_the_primary_and_pin(shop, session, primary, on_standby):
    session.execute("SELECT pg_advisory_lock(4711)")
    assert primary.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711") == 1
    where(session)
    with shop.connect() as other:
        assert other.execute("SELECT pg_try_advisory_lock(4711)").fetchone() == (False,)
    assert session.execute("SELECT pg_advisory_unlock(4711)").fetchone() == (True,)
    assert primary.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711") == 0


def test_cursor_with_hold_stays_reachable(session, on_standby):
    session.execute("BEGIN; DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 10); COMMIT")
    assert session.execute("FETCH 2 FROM held").fetchall() == [(1,), (2,)]
    where(session)
    assert session.execute("FETCH 2 FROM held").fetchall() == [(3,), (4,)]
    session.execute("CLOSE held")
    on_standby(session)


def test_sequence_state_is_the_sessions(session, shared_cluster):
    shared_cluster.execute("CREATE SEQUENCE seq; GRANT ALL ON seq TO app")
    try:
        value = session.execute("SELECT nextval('seq')").fetchone()
        where(session)
        assert session.execute("SELECT currval('seq'), lastval()").fetchone() == value * 2
    finally:
        shared_cluster.execute("DROP SEQUENCE seq")


def test_listen_while_reads_run_elsewhere(shop, session, on_standby):
    session.execute("LISTEN news")
    on_standby(session)
    with shop.connect() as other:
        other.execute("NOTIFY news, 'hello'")
    assert next(session.notifies()).payload == "hello"
    on_standby(session)


def test_standard_conforming_strings_change_how_text_is_read(session, table, primary):
    """With the setting off the quote does not end there, and the insert is data; with it on it is a statement."""
    session.execute("SET standard_conforming_strings = off; SET escape_string_warning = off")
    cursor = session.execute(f"SELECT '\\'; INSERT INTO {table} VALUES (1, \\'x\\') --'")
    assert "INSERT" in cursor.fetchone()[0]
    session.execute("SET standard_conforming_strings = on")
    session.execute(f"SELECT '\\'; INSERT INTO {table} VALUES (1, 'x') --'")
    assert session.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


# -- standbys that fail --------------------------------------------------------------------------------------


def test_all_standbys_gone_reads_go_to_the_primary(make_cluster, start_proxy):
    cluster = make_cluster(standbys=1)
    proxy = start_proxy(cluster)
    with proxy.connect() as connection:
        assert where(connection) == cluster.standbys[0].port
        cluster.standbys[0].kill9()
        assert where(connection) == cluster.primary.port
        cluster.standbys[0].start()
        proxy.wait_state(cluster.standbys[0], "up")
        wait_until(lambda: where(connection) == cluster.standbys[0].port, "reads return to the standby")


def test_read_cancelled_by_recovery_runs_elsewhere(make_cluster, start_proxy):
    """A hot standby cancels a read whose rows are vacuumed away (40001): nothing was received, so it runs again."""
    cluster = make_cluster(standbys=1, settings={"max_standby_streaming_delay": "0", "hot_standby_feedback": "off",
                                                 "autovacuum": "off"})
    cluster.execute("CREATE TABLE old AS SELECT generate_series(1, 1000) AS i; ALTER TABLE old OWNER TO app")
    proxy = start_proxy(cluster)
    (standby,) = cluster.standbys
    result = []

    def read():
        with proxy.connect() as connection:
            result.append(connection.execute("SELECT count(*), max(p), inet_server_port() FROM (SELECT i, "
                                             f"CASE WHEN i = 1 AND inet_server_port() = {standby.port} THEN pg_sleep(60)::text "
                                             "END AS p FROM old /* slow */) q").fetchone())

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: standby.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%/* slow */%%' AND "
                                    "wait_event = 'PgSleep'"), "the read runs on the standby")
    cluster.primary.execute("DELETE FROM old WHERE i > 10")
    cluster.primary.execute("VACUUM old")
    reader.join(60)
    assert result and result[0][2] == cluster.primary.port and result[0][0] == 10
