"""What other proxies have stumbled over, as far as no other file here has it."""

import base64
import struct

import psycopg
import pytest

import wire
from harness.postgres import PASSWORDS
from harness.waiting import wait_until
from wire import (LoginRefused, Wire, bind, close, describe, execute, kinds, parse, query, rows, sqlstates, sync, tags,
                  transaction_status)

pytestmark = pytest.mark.proxy_only

WHERE = "SELECT inet_server_port()"


@pytest.fixture
def client(shop):
    with Wire(shop.port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


def on_primary(client, *request):
    """The answer to a read-only request that runs on the primary, in a transaction of its own."""
    client.ask("BEGIN")
    client.send(*request, sync())
    answer = client.until_ready()
    client.ask("ROLLBACK")
    return answer


def on_standby(client, cluster, *request):
    """The answer to a request that runs on a standby: once the session's reads go there."""
    ports = {str(server.port) for server in cluster.standbys}
    wait_until(lambda: client.value(WHERE) in ports, "reads run on a standby")
    client.send(*request, sync())
    return client.until_ready()


# -- prepared statements on several servers ------------------------------------------------------------------


@pytest.fixture
def client_of_two_servers(shared_cluster, start_proxy):
    """Its reads have one standby to go to: another one has no copies of statements until it is first read."""
    servers = [shared_cluster.primary, shared_cluster.standbys[0]]
    proxy = start_proxy(shared_cluster, wait_servers=False,
                        servers=[{"name": server.name, "address": f"127.0.0.1:{server.port}"} for server in servers])
    proxy.wait_servers_up([server.name for server in servers])
    with Wire(proxy.port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


def test_changed_result_type_concerns_the_copies_on_all_servers(client_of_two_servers, shared_cluster, table):
    """A client that is told so (0A000) prepares again, under the same name: no server may keep the old statement."""
    client = client_of_two_servers
    run = bind("", "star"), describe("P"), execute()
    client.send(parse("star", f"SELECT * FROM {table}"), sync())
    client.until_ready()
    for answer in (on_primary(client, *run), on_standby(client, shared_cluster, *run)):
        assert kinds(answer) == "2TCZ"
    shared_cluster.execute(f"ALTER TABLE {table} ADD COLUMN more int; INSERT INTO {table} VALUES (1, 'a', 2)")
    assert sqlstates(on_standby(client, shared_cluster, *run)) == ["0A000"]
    assert sqlstates(on_primary(client, *run)) == ["0A000"]
    assert sqlstates(on_standby(client, shared_cluster, *run)) == ["0A000"], "an error has changed the statement"

    client.send(close("S", "star"), parse("star", f"SELECT * FROM {table}"), sync())
    assert kinds(client.until_ready()) == "31Z"
    for answer in (on_standby(client, shared_cluster, *run), on_primary(client, *run)):
        assert kinds(answer) == "2TDCZ" and rows(answer) == [[b"1", b"a", b"2"]]


def test_changed_result_type_of_a_statement_prepared_by_sql(client, shared_cluster, table):
    client.ask(f"PREPARE star AS SELECT * FROM {table}")
    ask = query("EXECUTE star")
    on_standby(client, shared_cluster), client.ask("BEGIN"), client.ask("EXECUTE star"), client.ask("ROLLBACK")
    shared_cluster.execute(f"ALTER TABLE {table} ADD COLUMN more int; INSERT INTO {table} VALUES (1, 'a', 2)")
    client.send(ask)
    client.until_ready()  # on the standby it was never executed: either answer is right
    client.ask("BEGIN")
    assert sqlstates(client.ask("EXECUTE star")) == ["0A000"]
    client.ask("ROLLBACK")
    client.ask("DEALLOCATE star")
    client.ask(f"PREPARE star AS SELECT * FROM {table}")
    assert rows(client.ask("EXECUTE star")) == [[b"1", b"a", b"2"]]
    client.ask("BEGIN")
    assert rows(client.ask("EXECUTE star")) == [[b"1", b"a", b"2"]]
    client.ask("ROLLBACK")


def test_parameter_types_belong_to_a_statement(client, shop, shared_cluster):
    """The same text with other types is another statement, on each server and for each client."""
    text = "SELECT pg_typeof($1)::text"
    integer, name = 23, 19
    with Wire(shop.port) as other:
        other.log_in("app", PASSWORDS["app"])
        for connection, statements in ((client, {"a": (integer,), "b": (name,)}), (other, {"a": (name,), "b": (integer,)})):
            for statement, types in statements.items():
                connection.send(parse(statement, text, types), sync())
                assert kinds(connection.until_ready()) == "1Z"
        for connection, expected in ((client, {"a": b"integer", "b": b"name"}), (other, {"a": b"name", "b": b"integer"})):
            for statement, type in expected.items():
                run = bind("", statement, ("1",)), execute()
                assert rows(on_primary(connection, *run)) == [[type]]
                assert rows(on_standby(connection, shared_cluster, *run)) == [[type]]


# -- servers that end a session by themselves ----------------------------------------------------------------


def test_idle_session_timeout_of_the_server(start_proxy, shared_cluster, table):
    """57P05: the connection is dead, the session isn't, and nobody is handed the dead connection."""
    shared_cluster.execute("CREATE ROLE drowsy LOGIN PASSWORD 'drowsy secret' IN ROLE app;"
                           "ALTER ROLE drowsy SET idle_session_timeout = '300ms'")
    try:
        proxy = start_proxy(shared_cluster)

        def all_ended():
            # As the proxy sees it: a write that is sent before has an unknown outcome.
            wait_until(lambda: proxy.metrics().sum("holdfast_server_connections") == 0, "the servers have ended the sessions")

        for _ in range(2):
            with Wire(proxy.port) as client:
                client.log_in("drowsy", "drowsy secret")
                all_ended()
                client.ask("SET work_mem = '5MB'")
                all_ended()
                client.send(parse("kept", "SELECT 'kept'"), sync())
                client.until_ready()
                all_ended()
                assert kinds(client.ask(f"INSERT INTO {table} VALUES (1, 'x')")) == "CZ"
                all_ended()
                assert client.value("SHOW work_mem") == "5MB"
                all_ended()
                client.send(bind("", "kept"), execute(), sync())
                assert rows(client.until_ready()) == [[b"kept"]]
            # What it leaves behind in the pool is ended too, or taken over in time by the next one.
        assert "terminating connection due to idle-session timeout" in shared_cluster.primary.log_tail(400)
        assert shared_cluster.primary.value(f"SELECT count(*) FROM {table}") == 2
        all_ended()
    finally:
        shared_cluster.execute("DROP ROLE drowsy")


def test_idle_in_transaction_timeout_of_the_server(client, shared_cluster, table):
    """25P03: the transaction is lost, and its client is told why, with the next request."""
    client.ask("SET idle_in_transaction_session_timeout = '300ms'")
    messages = client.ask(f"BEGIN; INSERT INTO {table} VALUES (1, 'lost')")
    assert transaction_status(messages) == "T"
    wait_until(lambda: not shared_cluster.primary.rows(
        "SELECT 1 FROM pg_stat_activity WHERE usename = 'app' AND state LIKE 'idle in transaction%'"),
        "the server has ended the transaction")
    messages = client.ask(f"INSERT INTO {table} VALUES (2, 'lost too')")
    assert kinds(messages) == "EZ" and transaction_status(messages) == "E"
    assert sqlstates(messages)[0] in ("40001", "25P03")
    assert "idle-in-transaction timeout" in messages[-2].error["M"]
    assert tags(client.ask("ROLLBACK")) == ["ROLLBACK"]
    assert tags(client.ask(f"INSERT INTO {table} VALUES (3, 'kept')")) == ["INSERT 0 1"]
    assert shared_cluster.primary.rows(f"SELECT id FROM {table}") == [(3,)]


# -- session state -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting, value, shown", [
    ("search_path", '"a, b", public', '"a, b", public'),
    ("search_path", '"it\'s", "say ""so""", pg_catalog', '"it\'s", "say ""so""", pg_catalog'),
    ("search_path", "'a, b'", '"a, b"'),
    ("search_path", "''", '""'),
    ("application_name", "''", ""),
    ("application_name", "'caf\u00e9 \\x'", None),
    ("DateStyle", "german", "German, DMY"),
    ("TimeZone", "'europe/berlin'", "Europe/Berlin"),
    ("TimeZone", "INTERVAL '-08:00' HOUR TO MINUTE", None),
    ("shop.words", "E'a\\'b\\nc'", "a'b\nc"),
])
def test_values_reach_every_server_as_they_are(client, shared_cluster, setting, value, shown):
    """Lists stay lists, quotes quotes, and what a server makes of a value it makes of it everywhere."""
    assert not sqlstates(client.ask(f"SET {setting} = {value}"
                                    if not value.startswith("INTERVAL") else f"SET TIME ZONE {value}"))
    ask = parse("", f"SELECT current_setting('{setting}')") + bind() + execute()
    there, here = on_standby(client, shared_cluster, ask), on_primary(client, ask)
    assert rows(there) == rows(here)
    if shown is not None:
        assert rows(there) == [[shown.encode()]]


def test_empty_values_in_the_startup_message(shop, shared_cluster):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"], application_name="", search_path="")
        assert client.parameters["application_name"] == ""
        ask = parse("", "SELECT current_setting('application_name') || '|' || current_setting('search_path')") + bind() + execute()
        for answer in (on_standby(client, shared_cluster, ask), on_primary(client, ask)):
            assert rows(answer) == [[b'|""']] or rows(answer) == [[b"|"]]


def test_a_setting_that_another_server_refuses_later(shop, shared_cluster):
    """Its value does not exist any more. The session's reads stay where it has it."""
    shared_cluster.execute("CREATE TEXT SEARCH CONFIGURATION fleeting (COPY = simple)")
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"])
        # On the primary only: the connection to a standby is made when it is needed.
        client.ask("BEGIN; SET default_text_search_config = 'public.fleeting'; SET work_mem = '5MB'; COMMIT")
        shared_cluster.execute("DROP TEXT SEARCH CONFIGURATION fleeting")
        expected = [str(shared_cluster.primary.port).encode(), b"5MB", b"public.fleeting"]

        def was_tried():
            messages = client.ask("SELECT inet_server_port(), current_setting('work_mem'), "
                                  "current_setting('default_text_search_config')")
            assert sqlstates(messages) == [] and rows(messages)[0] == expected
            return shop.log.read_text().count("event=session_state_not_restored") >= 2

        wait_until(was_tried, "standbys were tried")
        # Once the setting is another one, standbys can have it.
        client.ask("RESET default_text_search_config")
        ports = {str(server.port).encode() for server in shared_cluster.standbys}
        wait_until(lambda: rows(client.ask("SELECT inet_server_port(), current_setting('work_mem')"))[0][0] in ports,
                   "reads run on a standby")


def test_a_role_that_another_server_refuses_later(shop, shared_cluster):
    """Going on without it would give the session rights that it had given up: it is told so instead, and stays."""
    shared_cluster.execute("GRANT reader TO app")
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"])
        client.ask("BEGIN; SET ROLE reader; COMMIT")
        shared_cluster.execute("REVOKE reader FROM app")
        ports = {str(server.port) for server in shared_cluster.standbys}

        def ask():
            messages = client.ask("SELECT current_user::text, inet_server_port()")
            return sqlstates(messages) or rows(messages)[0]

        seen = [ask() for _ in range(20)]
        for answer in seen:
            assert answer == ["42501"] or answer[0] == b"reader", seen
        client.ask("RESET ROLE")
        wait_until(lambda: (answer := ask())[0] == b"app" and answer[1].decode() in ports, "the session goes on")


# -- cancel requests -----------------------------------------------------------------------------------------


def test_cancel_that_reaches_another_instance_hits_nobody(shop, start_proxy, shared_cluster):
    """Several instances may stand behind one address, and number their sessions alike."""
    second = start_proxy(shared_cluster)
    clients = [Wire(port) for port in (shop.port, second.port) for _ in range(10)]
    try:
        for client in clients:
            client.log_in("app", PASSWORDS["app"])
        unknown = second.metrics().sum("holdfast_cancel_requests_total")
        for client in clients:
            client.send(query("SELECT pg_sleep(1)"))
        for client in clients[:10]:
            wire.cancel(client, second.port)
        for client in clients[10:]:
            wire.cancel(client, shop.port)
        assert second.metrics().sum("holdfast_cancel_requests_total") == unknown + 10
        for client in clients:
            assert sqlstates(client.until_ready()) == []
    finally:
        for client in clients:
            client.close()


def test_many_cancels_at_once_delay_nobody(shop, client):
    client.send(query("SELECT pg_sleep(60)"))
    storm = [Wire(shop.port) for _ in range(200)]
    try:
        for each in storm:
            each.send(wire.cancel_request(client.process, client.secret))
        with shop.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert sqlstates(client.until_ready()) == ["57014"]
        for each in storm:
            each.expect_end()
    finally:
        for each in storm:
            each.close()
    # Late ones may still hit this client's own statements, as with PostgreSQL itself; then they are through.
    wait_until(lambda: sqlstates(client.ask("SELECT 1")) == [], "it works again")


# -- logins --------------------------------------------------------------------------------------------------


FIRST = "n=,r=abcdefghijklmnopqrstuvwx"


def sasl_initial(mechanism, first):
    return wire.message(b"p", wire.text(mechanism) + struct.pack("!i", len(first)) + first.encode())


def test_what_a_login_shows_is_the_same_whether_the_user_exists_or_not(start_proxy, shared_cluster):
    """Also for users of the configuration whose password is stored in clear text."""
    proxy = start_proxy(shared_cluster, users=[{"name": "configured", "cluster": "shop", "password": "configured secret"}])
    shapes = {}
    for user in ("app", "reader", "expired", "nologin_role", "configured", "nobody_of_that_name"):
        with Wire(proxy.port) as client:
            client.send(wire.startup(user=user, database="shop"))
            offer = client.receive().body
            client.send(sasl_initial("SCRAM-SHA-256", "n,," + FIRST))
            fields = dict(part.split("=", 1) for part in client.receive().body[4:].decode().split(","))
            proof = base64.b64encode(bytes(32)).decode()
            client.send(wire.message(b"p", f"c=biws,r={fields['r']},p={proof}".encode()))
            (refusal,) = client.expect_end()
            shapes[user] = (offer, sorted(fields), len(fields["r"]), len(base64.b64decode(fields["s"])), fields["i"],
                            {letter: text.replace(user, "*") for letter, text in refusal.error.items()})
    assert all(shape == shapes["app"] for shape in shapes.values()), shapes
    assert shapes["app"][-1]["C"] == "28P01"


def test_channel_binding_that_was_taken_away_is_noticed(shop):
    """The client says that it could bind but was not offered it ("y"), and it was: somebody is in between."""
    for header, refused in (("y,,", True), ("n,,", False)):
        with Wire(shop.port) as client:
            assert client.request_tls()
            client.send(wire.startup(user="app", database="shop"))
            assert b"SCRAM-SHA-256-PLUS" in client.receive().body
            client.send(sasl_initial("SCRAM-SHA-256", header + FIRST))
            assert (client.receive().kind == "E") == refused


def test_names_end_where_the_servers_do(shop, shared_cluster):
    """After 63 bytes: whoever writes more means the same role."""
    shared_cluster.primary.execute(f"CREATE ROLE {'r' * 63} LOGIN PASSWORD 'long secret'")
    shared_cluster.wait_replayed()
    try:
        for surplus in ("", "r", "r" * 200):
            with Wire(shop.port) as client:
                client.log_in("r" * 63 + surplus, "long secret")
                assert client.value("SELECT current_user") == "r" * 63
    finally:
        shared_cluster.execute(f"DROP ROLE {'r' * 63}")


def test_long_password(start_proxy, shared_cluster):
    """Tokens are passwords too."""
    password = "token." * 3_000
    shared_cluster.execute(f"CREATE ROLE token_bearer LOGIN PASSWORD '{password}'")
    try:
        proxy = start_proxy(shared_cluster, listener={"auth": "password"})
        with proxy.connect(user="token_bearer", password=password, sslmode="require") as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("token_bearer",)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            proxy.connect(user="token_bearer", password=password[:-1], sslmode="require")
    finally:
        shared_cluster.primary.execute("DROP ROLE token_bearer")


def test_look_ups_are_not_led_astray_by_a_databases_search_path(start_proxy, shared_cluster):
    """The owner of a database can put operators of his own before PostgreSQL's: what Holdfast asks there, as an account
    that may read password hashes, must not run them."""
    primary = shared_cluster.primary
    primary.execute("CREATE DATABASE trap OWNER app", dbname="postgres")
    try:
        primary.execute("""
            CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;
            CREATE TABLE evil.log (who text); GRANT INSERT ON evil.log TO PUBLIC;
            CREATE FUNCTION evil.differ("char", "char") RETURNS boolean LANGUAGE sql AS
                $$ INSERT INTO evil.log VALUES (current_user); SELECT NOT ($1 OPERATOR(pg_catalog.=) $2) $$;
            CREATE OPERATOR evil.<> (LEFTARG = "char", RIGHTARG = "char", FUNCTION = evil.differ);
            CREATE FUNCTION public.reads_only() RETURNS int LANGUAGE sql STABLE AS 'SELECT inet_server_port()'""",
                        dbname="trap")
        primary.execute("ALTER DATABASE trap SET search_path = evil, public, pg_catalog", dbname="postgres")
        shared_cluster.wait_replayed()
        proxy = start_proxy(shared_cluster)
        with proxy.connect(dbname="trap") as connection:
            ports = {server.port for server in shared_cluster.standbys}
            wait_until(lambda: connection.execute("SELECT public.reads_only()").fetchone()[0] in ports,
                       "the functions of the database are known")
        assert primary.rows("SELECT DISTINCT who FROM evil.log", dbname="trap") == []
    finally:
        primary.execute("DROP DATABASE trap WITH (FORCE)", dbname="postgres")


# -- streams -------------------------------------------------------------------------------------------------


def test_much_through_tls_on_both_sides(start_proxy, make_cluster):
    """TLS holds decrypted bytes back that no socket shows: whoever waits for the socket then waits for ever."""
    cluster = make_cluster(standbys=0, settings={"ssl": "on"})
    proxy = start_proxy(cluster, server_tls={"mode": "require"})
    count, size = 60, 150_000
    with Wire(proxy.port) as client:
        assert client.request_tls()
        client.log_in("app", PASSWORDS["app"])
        for _ in range(3):
            # One after the other, of sizes around a TLS record's 16 KiB; then in a pipeline.
            for length in (16_300, 16_384, 16_400, 40_000):
                assert len(client.value(f"SELECT repeat('x', {length})")) == length
        for number in range(count):
            client.send(query(f"SELECT {number}, repeat('y', {size})"))
        for number in range(count):
            ((first, second),) = rows(client.until_ready())
            assert (int(first), second) == (number, b"y" * size)


# -- notifications -------------------------------------------------------------------------------------------


CHANNELS = ['Mixed "Case"', "{} %s $1 \\", "it's", "plain"]


def test_subscriptions_to_odd_names_live_through_a_failover(make_cluster, start_proxy):
    cluster = make_cluster(standbys=1)
    proxy = start_proxy(cluster)
    with Wire(proxy.port) as client, Wire(proxy.port) as silent:
        for each in (client, silent):
            each.log_in("app", PASSWORDS["app"])
            for channel in CHANNELS:
                quoted = channel.replace('"', '""')
                assert not sqlstates(each.ask(f'LISTEN "{quoted}"'))
        client.ask("UNLISTEN plain")
        silent.ask("UNLISTEN *")
        cluster.wait_replayed()
        cluster.primary.kill9()
        cluster.promote()
        # The session that listens is there again by itself.
        wait_until(lambda: cluster.primary.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND "
                                                 "query LIKE 'LISTEN%%'") >= 1, "it has subscribed")
        with proxy.connect() as speaker:
            for number, channel in enumerate(reversed(CHANNELS)):
                speaker.execute("SELECT pg_notify(%s, %s)", (channel, f"{number} '{{}}' \"%s\" \\"))
        for number, channel in list(enumerate(reversed(CHANNELS)))[1:]:
            assert client.receive().notification[1:] == (channel, f"{number} '{{}}' \"%s\" \\")
        assert kinds(client.ask("SELECT 1")) == "TDCZ"
        assert kinds(silent.ask("SELECT 1")) == "TDCZ"
        silent.ask("INSERT INTO pg_temp.none VALUES (1)")  # on the primary: nothing is waiting for it there either
        assert kinds(silent.ask("/* holdfast: primary */ SELECT 1")) == "TDCZ"
