"""caching_sha2_password and MySQL 8's GTIDs, with a scripted server (fake_mysql.py) behind the proxy and PyMySQL before it."""

import contextlib

import pymysql
import pytest

import mysql_wire as wire
from fake_mysql import PLUGIN, QUERY_ATTRIBUTES, FakeCluster, scramble
from harness.certificates import Authority
from harness.mariadb import SERVICE_PASSWORD
from harness.mysql import ask, value
from harness.waiting import wait_until

PASSWORD = "sha2 secret €"
pytestmark = pytest.mark.proxy_only


@pytest.fixture(scope="module")
def certificate(workplace):
    authority = Authority(workplace / "fake-certificates")
    return authority.issue("fake", ["fake.test"], ["127.0.0.1"])


@pytest.fixture
def scripted(certificate):
    """A primary and a replica that know `app`, `empty` and the service account."""
    cluster = FakeCluster(certificate)
    for name, password in (("holdfast", SERVICE_PASSWORD), ("app", PASSWORD), ("empty", "")):
        cluster.add_user(name, password)
    yield cluster
    cluster.stop()
    assert [server.unknown for server in cluster.servers] == [[], []]


@pytest.fixture
def full_logins(monkeypatch):
    """How often PyMySQL had to give its password itself: entries are "rsa" and "tls"."""
    seen = []
    encrypt, roundtrip = pymysql._auth.sha2_rsa_encrypt, pymysql._auth._roundtrip

    def noted_encrypt(*arguments):
        seen.append("rsa")
        return encrypt(*arguments)

    def noted_roundtrip(connection, data):
        if data == PASSWORD.encode() + b"\0":
            seen.append("tls")
        return roundtrip(connection, data)

    monkeypatch.setattr(pymysql._auth, "sha2_rsa_encrypt", noted_encrypt)
    monkeypatch.setattr(pymysql._auth, "_roundtrip", noted_roundtrip)
    return seen


def connect(proxy, way="rsa", user="app", password=PASSWORD):
    # PyMySQL speaks TLS exactly when it is given options for it.
    tls = {"ssl": {"check_hostname": False, "verify_mode": "none"}} if way == "tls" else {"ssl_disabled": True}
    return contextlib.closing(proxy.connect(user=user, password=password.encode(), **tls))


@pytest.mark.parametrize("server_tls, how", [("disable", "rsa"), ("require", "tls")])
@pytest.mark.parametrize("way", ["rsa", "tls"])
def test_first_login_teaches_the_password(scripted, start_proxy, full_logins, way, server_tls, how):
    """The client gives its password once. Servers that have not seen it get it by TLS or RSA, each once; from then on
    clients and servers alike prove it by scramble."""
    proxy = start_proxy(scripted, server_tls={"mode": server_tls})
    for _ in range(3):
        with connect(proxy, way) as connection:
            assert value(connection, "SELECT 1") == "1"
            ask(connection, "INSERT INTO items VALUES (1)")
    assert full_logins == [way]
    logins = [login for user, login in scripted.primary.logins if user == "app"]
    assert logins[0] == how and set(logins[1:]) <= {"fast"}
    assert scripted.primary.executed == 3


def test_servers_that_have_forgotten_the_password(scripted, start_proxy, full_logins):
    """A server that was restarted, or that is promoted and has never seen the account, wants the whole password again.
    Clients that proved theirs by scramble do not notice."""
    proxy = start_proxy(scripted)
    with connect(proxy) as first, connect(proxy) as second:
        for connection in (first, second):
            assert value(connection, "SELECT name FROM whoami") == scripted.servers[1].name
        for server in scripted.servers:
            server.proven.discard("app")
        with connect(proxy) as third:
            ask(third, "INSERT INTO items VALUES (1)")
            assert value(third, "SELECT 1") == "1"
    assert full_logins == ["rsa"]


def test_service_account(scripted, start_proxy):
    start_proxy(scripted)
    for server in scripted.servers:
        logins = [how for user, how in server.logins if user == "holdfast"]
        assert logins[0] in ("tls", "rsa") and "refused" not in logins


@pytest.mark.parametrize("way", ["rsa", "tls"])
def test_wrong_passwords(scripted, start_proxy, way):
    """Before the right one has been seen, after it, for an account that nobody has, and for one without a password."""
    proxy = start_proxy(scripted)

    def refused(user, password):
        with pytest.raises(pymysql.err.OperationalError) as caught, connect(proxy, way, user, password):
            pass
        return caught.value.args[0]

    assert refused("app", "wrong") == 1045
    with connect(proxy, way) as connection:
        assert value(connection, "SELECT 1") == "1"
    assert refused("app", "wrong") == 1045
    assert refused("nobody", "wrong") == 1045
    assert refused("empty", "wrong") == 1045
    assert refused("app", "") == 1045
    assert not any(user in ("app", "empty") and how == "refused" for server in scripted.servers for user, how in server.logins)


def test_account_without_a_password(scripted, start_proxy):
    proxy = start_proxy(scripted)
    with connect(proxy, user="empty", password="") as connection:
        assert value(connection, "SELECT 1") == "1"
    assert ("empty", "empty") in scripted.primary.logins + scripted.servers[1].logins


def test_changed_password(scripted, start_proxy, full_logins):
    """What the servers store has changed: the old password is wrong, and the new one has to be given in full once."""
    proxy = start_proxy(scripted)
    with connect(proxy) as connection:
        assert value(connection, "SELECT 1") == "1"
    scripted.add_user("app", "another secret")
    for server in scripted.servers:
        server.proven.discard("app")

    def is_new():
        with connect(proxy, password="another secret") as connection:
            return value(connection, "SELECT 1") == "1"

    wait_until(is_new, "the new password is taken", 20)
    with pytest.raises(pymysql.err.OperationalError) as caught, connect(proxy):
        pass
    assert caught.value.args[0] == 1045
    assert full_logins.count("rsa") >= 2


def test_both_passwords_of_an_account_will_do_while_it_has_two(scripted, start_proxy):
    """ALTER USER … RETAIN CURRENT PASSWORD, for applications that are given the new one by and by."""
    for server in scripted.servers:
        server.retained["app"] = server.users["app"]
    scripted.add_user("app", "another secret")
    proxy = start_proxy(scripted)
    for password in (PASSWORD, "another secret") * 2:
        with connect(proxy, password=password) as connection:
            assert value(connection, "SELECT 1") == "1"
    with pytest.raises(pymysql.err.OperationalError) as caught, connect(proxy, password="a third"):
        pass
    assert caught.value.args[0] == 1045


def test_reads_follow_gtids(scripted, start_proxy):
    """The position of a write comes in its OK packet: until a replica has it, the session's reads go to the primary."""
    primary, replica = scripted.servers
    proxy = start_proxy(scripted)
    with connect(proxy) as connection, connect(proxy) as other:
        assert value(connection, "SELECT name FROM whoami") == replica.name
        for written in range(1, 6):
            ask(connection, "INSERT INTO items VALUES (1)")
            assert value(connection, "SELECT COUNT(*) FROM items") == str(written)
            assert value(connection, "SELECT name FROM whoami") == primary.name
            assert value(other, "SELECT name FROM whoami") == replica.name
            scripted.replicate()
            wait_until(lambda: value(connection, "SELECT name FROM whoami") == replica.name, "reads go to the replica again")
            assert value(connection, "SELECT COUNT(*) FROM items") == str(written)


def test_greeting(scripted, start_proxy):
    """Clients are told the servers' version and plugin, and their transaction's state."""
    proxy = start_proxy(scripted)
    with connect(proxy) as connection:
        assert connection.get_server_info() == "8.0.36" and connection._auth_plugin_name == "caching_sha2_password"
        connection.begin()
        assert value(connection, "SELECT name FROM whoami") == scripted.primary.name
        assert connection.server_status & 1
        connection.rollback()
        assert not connection.server_status & 1
        connection.ping(reconnect=False)


def test_clients_that_send_query_attributes(scripted, start_proxy):
    """Their servers expect them in front of every query, the proxy's own among them."""
    proxy = start_proxy(scripted)
    with connect(proxy) as connection:
        assert value(connection, "SELECT 1") == "1"  # teaches the password
    with wire.MySqlWire(proxy.port) as client:
        client.greeting()
        assert client.offered & QUERY_ATTRIBUTES
        client.capabilities = wire.MODERN | QUERY_ATTRIBUTES
        client.send_packet(wire.handshake_response("app", scramble(PASSWORD.encode(), client.salt), "shop", client.capabilities,
                                                   plugin=PLUGIN))
        assert client.receive_answer() == b"\1\3"
        client.receive_answer()

        def ask_it(sql, attributes=b"\0\1"):
            client.start(wire.QUERY, attributes + sql.encode())
            return client.results()[0]

        assert ask_it("SELECT name FROM whoami").rows == [[scripted.servers[1].name.encode()]]
        assert ask_it("INSERT INTO items VALUES (1)").end.affected == 1
        assert ("app", "SET SESSION TRANSACTION READ ONLY") in scripted.servers[1].statements
        # One: no NULL, types follow, a string named "trace" of value "read 1".
        trace = b"\1\1\0\1\xfe\0" + wire.string("trace") + wire.string("read 1")
        scripted.replicate()
        wait_until(lambda: ask_it("SELECT name FROM whoami", trace).rows == [[scripted.servers[1].name.encode()]],
                   "a read with attributes runs on the replica")
        assert scripted.servers[1].attributes[-1] == {"trace": "read 1"}
        ask_it("INSERT INTO items VALUES (1)", trace)
        assert scripted.primary.attributes[-1] == {"trace": "read 1"}
    # What it leaves behind is cleaned for the next one.
    wait_until(lambda: any(user == "app" and "character_set_client=" in statement for user, statement in scripted.primary.statements),
               "the connection is cleaned")


def test_goodbyes_of_clients_end_no_server_connection(scripted, start_proxy):
    """COM_QUIT is the proxy's to hear: what its client leaves behind is cleaned and serves the next one."""
    proxy = start_proxy(scripted)
    primary, rounds = scripted.primary, 6

    def cleaned():
        return sum(user == "app" and "character_set_client=" in statement for user, statement in primary.statements)

    for number in range(1, rounds + 1):
        with connect(proxy) as connection:
            ask(connection, "INSERT INTO items VALUES (1)")
        wait_until(lambda number=number: cleaned() >= number, "the connection is cleaned")
    # A client may come a moment before the last one's connection is there again.
    assert [user for user, _ in primary.logins].count("app") <= rounds // 2
