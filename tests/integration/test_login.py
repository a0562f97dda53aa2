"""Who gets in, how, and what those who don't are told."""

import socket
import ssl
import struct

import psycopg
import pytest
from psycopg import errors

import wire
from harness.ports import free_port
from harness.postgres import PASSWORDS
from wire import LoginRefused, Wire

proxy_only = pytest.mark.proxy_only


def identity(connection):
    return connection.execute("SELECT current_user, current_database()").fetchone()


# -- passwords that the servers know -------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["app", "app_md5", "reader"])
def test_users_log_in_with_the_password_they_have(shop, user):
    with shop.connect(user=user) as connection:
        assert identity(connection) == (user, "shop")


@pytest.mark.parametrize("user, method", [("app", "SCRAM-SHA-256"), ("app_md5", "md5")])
def test_method_follows_from_the_stored_secret(shop, user, method):
    with Wire(shop.port) as client:
        client.send(wire.startup(user=user, database="shop"))
        assert client.authenticate(user, PASSWORDS[user]) == method
        client.after_authentication()
        assert client.value("SELECT current_user") == user


@proxy_only
def test_scram_is_offered_with_channel_binding_over_tls(shop):
    with Wire(shop.port) as client:
        assert client.request_tls()
        client.send(wire.startup(user="app", database="shop"))
        assert client.authenticate("app", PASSWORDS["app"]) == "SCRAM-SHA-256-PLUS"
        client.after_authentication()


@pytest.mark.parametrize("user", ["app", "app_md5"])
def test_wrong_password(shop, user):
    with pytest.raises(psycopg.OperationalError, match=f'password authentication failed for user "{user}"'):
        shop.connect(user=user, password="wrong")


def test_unknown_user_looks_like_a_wrong_password(shop):
    """The same exchange, the same words: nobody learns which users exist."""
    refusals = []
    for user in ("app", "nobody_of_that_name"):
        with Wire(shop.port) as client:
            client.send(wire.startup(user=user, database="shop"))
            with pytest.raises(LoginRefused) as refused:
                client.authenticate(user, "wrong")
            refusals.append((refused.value.sqlstate, refused.value.error["M"].replace(user, "*")))
    assert refusals[0] == refusals[1] == ("28P01", 'password authentication failed for user "*"')


def test_unknown_user_gets_the_same_salt_every_time(shop):
    """A salt that changes at every try would tell that the user does not exist."""
    salts = []
    for _ in range(2):
        with Wire(shop.port) as client:
            client.send(wire.startup(user="nobody_of_that_name", database="shop"))
            client.receive()
            first = b"n,,n=,r=abcdefghijklmnopqrstuvwx"
            client.send(wire.message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first))
            salts.append(client.receive().body.split(b",")[1])
    assert salts[0] == salts[1] and salts[0].startswith(b"s=")


def test_expired_password_is_refused(shop):
    with pytest.raises(psycopg.OperationalError, match='password authentication failed for user "expired"'):
        shop.connect(user="expired", password="expired secret")


def test_role_that_may_not_log_in_is_refused(shop):
    with pytest.raises(psycopg.OperationalError):
        shop.connect(user="nologin_role", password="nologin secret")


def test_changed_password_counts_at_the_next_login(shop, shared_cluster):
    shared_cluster.execute("CREATE ROLE changing LOGIN PASSWORD 'first'")
    try:
        with shop.connect(user="changing", password="first"):
            pass
        shared_cluster.execute("ALTER ROLE changing PASSWORD 'second'")
        with shop.connect(user="changing", password="second") as connection:
            assert identity(connection)[0] == "changing"
        with pytest.raises(psycopg.OperationalError):
            shop.connect(user="changing", password="first")
    finally:
        shared_cluster.execute("DROP ROLE changing")


def test_unknown_database_is_refused_at_login(shop):
    with Wire(shop.port) as client:
        with pytest.raises(LoginRefused) as refused:
            client.log_in("app", PASSWORDS["app"], database="no_such_database")
        assert refused.value.sqlstate == "3D000"


def test_startup_without_a_user_is_refused(shop):
    with Wire(shop.port) as client:
        client.send(wire.startup(database="shop"))
        with pytest.raises(LoginRefused) as refused:
            client.receive_login()
        assert refused.value.sqlstate == "28000"


def test_database_defaults_to_the_users_name(shop, shared_cluster):
    shared_cluster.execute("CREATE DATABASE app OWNER app")
    try:
        with Wire(shop.port) as client:
            client.send(wire.startup(user="app"))
            client.authenticate("app", PASSWORDS["app"])
            client.after_authentication()
            assert client.value("SELECT current_database()") == "app"
            client.send(wire.terminate())
            client.expect_end()
    finally:
        shared_cluster.primary.execute("DROP DATABASE app WITH (FORCE)")


# -- what the client is told at login ------------------------------------------------------------------------


def test_login_reports_what_the_server_reports(shop, shared_cluster):
    with Wire(shop.port) as client, Wire(shared_cluster.primary.port) as direct:
        client.log_in("app", PASSWORDS["app"], application_name="report")
        direct.log_in("app", PASSWORDS["app"], application_name="report")
        assert client.parameters == direct.parameters
        assert client.process is not None and len(client.secret) == 4


def test_startup_parameters_and_options_reach_the_server(shop):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"], application_name="ledger", DateStyle="German",
                      options=r"-c work_mem=7MB --statement-timeout=12345 -c shop.greeting=hello\ world")
        assert client.parameters["application_name"] == "ledger"
        assert client.parameters["DateStyle"].startswith("German")
        assert client.value("SHOW work_mem") == "7MB"
        assert client.value("SHOW statement_timeout") == "12345ms"
        assert client.value("SELECT current_setting('application_name')") == "ledger"
        assert client.value("SHOW shop.greeting") == "hello world"


def test_unknown_startup_parameter_is_refused(shop):
    with Wire(shop.port) as client:
        with pytest.raises(LoginRefused) as refused:
            client.log_in("app", PASSWORDS["app"], no_such_setting="1")
        assert refused.value.sqlstate == "42704"


# -- protocol versions ---------------------------------------------------------------------------------------


@proxy_only
def test_protocol_3_2_gives_a_long_cancel_key(shop):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"], version=wire.PROTOCOL_3_2)
        assert client.negotiated is None
        assert 4 < len(client.secret) <= 256
        assert client.value("SELECT 1") == "1"


@proxy_only
@pytest.mark.parametrize("minor, offered", [(9999, 2), (3, 2)])
def test_newer_minor_version_is_negotiated_down(shop, minor, offered):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"], version=3 << 16 | minor)
        assert client.negotiated == (3 << 16 | offered, [])


def test_unknown_protocol_options_are_listed(shop):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"], **{"_pq_.test_protocol_negotiation": "x", "_pq_.other": "y"})
        assert sorted(client.negotiated[1]) == ["_pq_.other", "_pq_.test_protocol_negotiation"]


def test_another_major_version_is_refused(shop):
    with Wire(shop.port) as client:
        client.send(wire.startup(4 << 16, user="app", database="shop"))
        with pytest.raises(LoginRefused) as refused:
            client.receive_login()
        assert refused.value.sqlstate == "0A000"


def test_startup_one_byte_at_a_time(shop):
    with Wire(shop.port) as client:
        client.send_slowly(wire.startup(user="app", database="shop", application_name="slow"))
        client.authenticate("app", PASSWORDS["app"])
        client.after_authentication()
        client.send_slowly(wire.query("SELECT 'slow'"))
        assert wire.rows(client.until_ready()) == [[b"slow"]]


def test_large_startup_packet(shop):
    """9 kB is large, but PostgreSQL takes up to 10,000 bytes."""
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"], **{"shop.setting": "x" * 9_000})
        assert len(client.value("SHOW shop.setting")) == 9_000


# -- TLS -----------------------------------------------------------------------------------------------------


@proxy_only
def test_tls_with_a_certificate_made_at_start(shop):
    with shop.connect(sslmode="require") as connection:
        assert connection.pgconn.ssl_in_use
    with shop.connect(sslmode="disable") as connection:
        assert not connection.pgconn.ssl_in_use


@proxy_only
def test_channel_binding_can_be_required(shop):
    with shop.connect(sslmode="require", channel_binding="require") as connection:
        assert identity(connection) == ("app", "shop")


@pytest.fixture(scope="module")
def secured(shared_cluster, start_module_proxy, authority):
    """A proxy with a certificate of the test authority."""
    crt, key = authority.issue("proxy", ["localhost", "proxy.test"], ["127.0.0.1"])
    return start_module_proxy(shared_cluster, listener={"tls": {"mode": "prefer", "cert": str(crt), "key": str(key)}})


@proxy_only
def test_verify_full_against_a_configured_certificate(secured, authority, tmp_path):
    with secured.connect(sslmode="verify-full", sslrootcert=str(authority.file)) as connection:
        assert identity(connection) == ("app", "shop")
    from harness.certificates import Authority
    stranger = Authority(tmp_path / "stranger", "Somebody else")
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        secured.connect(sslmode="verify-full", sslrootcert=str(stranger.file))


@proxy_only
def test_channel_binding_with_a_configured_certificate(secured):
    with secured.connect(sslmode="require", channel_binding="require") as connection:
        assert identity(connection) == ("app", "shop")


@proxy_only
@pytest.mark.parametrize("version, accepted", [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True),
                                               (ssl.TLSVersion.TLSv1_3, True)])
def test_tls_1_2_is_the_oldest(secured, version, accepted):
    context = wire.unverified_tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = version
    with Wire(secured.port) as client:
        if not accepted:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                client.request_tls(context)
            return
        assert client.request_tls(context)
        client.log_in("app", PASSWORDS["app"])
        assert client.value("SELECT 1") == "1"


@proxy_only
def test_direct_tls(secured):
    context = wire.unverified_tls()
    context.set_alpn_protocols(["postgresql"])
    with Wire(secured.port) as client:
        client.start_tls(context)
        assert client.socket.selected_alpn_protocol() == "postgresql"
        client.log_in("app", PASSWORDS["app"])
        assert client.value("SELECT 1") == "1"


@proxy_only
@pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
def test_direct_tls_needs_the_right_alpn(secured, protocols):
    context = wire.unverified_tls()
    if protocols:
        context.set_alpn_protocols(protocols)
    with Wire(secured.port) as client:
        with pytest.raises((ssl.SSLError, ConnectionError, wire.Closed, LoginRefused)):
            client.start_tls(context)
            client.log_in("app", PASSWORDS["app"])


@proxy_only
def test_plaintext_behind_an_ssl_request_is_refused(secured):
    """What arrives before the handshake could have been put there by anybody (CVE-2021-23214)."""
    with Wire(secured.port) as client:
        client.send(wire.SSL_REQUEST, wire.startup(user="app", database="shop"))
        received = client.socket.recv(1024)
        assert not received.startswith(b"R"), "the smuggled startup message was answered"
        client.socket.settimeout(60)
        if received:
            while client.socket.recv(1024):
                pass


@proxy_only
def test_gss_encryption_is_declined_and_tls_may_follow(shop):
    with Wire(shop.port) as client:
        client.send(wire.GSSENC_REQUEST)
        assert client.receive_exactly(1) == b"N"
        client.send(wire.SSL_REQUEST)
        if client.receive_exactly(1) == b"S":
            client.start_tls()
        client.log_in("app", PASSWORDS["app"])
        assert client.value("SELECT 1") == "1"


@proxy_only
def test_gss_encryption_after_tls_was_declined(start_proxy, shared_cluster):
    proxy = start_proxy(shared_cluster, listener={"tls": {"mode": "disable"}})
    with Wire(proxy.port) as client:
        client.send(wire.SSL_REQUEST)
        assert client.receive_exactly(1) == b"N"
        client.send(wire.GSSENC_REQUEST)
        assert client.receive_exactly(1) == b"N"
        client.log_in("app", PASSWORDS["app"])
        assert client.value("SELECT 1") == "1"


@proxy_only
def test_tls_can_be_required(start_proxy, shared_cluster):
    proxy = start_proxy(shared_cluster, listener={"tls": {"mode": "require"}})
    with pytest.raises(psycopg.OperationalError):
        proxy.connect(sslmode="disable")
    with proxy.connect(sslmode="require") as connection:
        assert identity(connection) == ("app", "shop")


# -- listeners' own rules ------------------------------------------------------------------------------------


@proxy_only
def test_plain_password_only_over_tls(start_proxy, make_tls_cluster):
    """On both sides: the servers of this cluster have TLS, or the proxy would not give them the password."""
    proxy = start_proxy(make_tls_cluster(), listener={"auth": "password"})
    with proxy.connect(user="app_plain", sslmode="require") as connection:
        assert identity(connection) == ("app_plain", "shop")
    with Wire(proxy.port) as client:
        client.send(wire.startup(user="app_plain", database="shop"))
        received = client.receive()
        assert received.kind == "E", "a password was asked for without TLS"


@proxy_only
def test_client_certificate(start_proxy, shared_cluster, authority):
    crt, key = authority.issue("app")
    wrong_crt, wrong_key = authority.issue("somebody")
    server_crt, server_key = authority.issue("proxy-cert", ["localhost"], ["127.0.0.1"])
    proxy = start_proxy(
        shared_cluster,
        listener={"auth": "cert", "tls": {"mode": "require", "cert": str(server_crt), "key": str(server_key),
                                          "client_ca": str(authority.file)}},
        users=[{"name": "app", "cluster": "shop", "password": PASSWORDS["app"]}])
    with proxy.connect(sslmode="require", password="", sslcert=str(crt), sslkey=str(key)) as connection:
        assert identity(connection) == ("app", "shop")
    with pytest.raises(psycopg.OperationalError):
        proxy.connect(sslmode="require", password="", sslcert=str(wrong_crt), sslkey=str(wrong_key))
    with pytest.raises(psycopg.OperationalError):
        proxy.connect(sslmode="require", sslcert="/nonexistent")


@proxy_only
def test_trust_only_when_configured(start_proxy, shared_cluster, shop):
    proxy = start_proxy(shared_cluster, listener={"auth": "trust"})
    with proxy.connect(user="app_trust") as connection:
        assert identity(connection) == ("app_trust", "shop")
    with pytest.raises(psycopg.OperationalError):
        shop.connect(user="app_trust")  # the servers would trust it; this listener does not


@proxy_only
@pytest.mark.parametrize("secret", ["password", "file", "environment", "scram_verifier", "md5"])
def test_users_of_the_configuration(start_proxy, shared_cluster, tmp_path, secret):
    """[[user]] entries; without a service account nothing else lets anybody in."""
    name = "app_md5" if secret == "md5" else "app"
    entry = {"name": name, "cluster": "shop"}

    def prepare(proxy):
        if secret == "environment":
            proxy.environment_of_process["APP_SECRET"] = PASSWORDS["app"]

    if secret == "password":
        entry["password"] = PASSWORDS["app"]
    elif secret == "environment":
        entry["password"] = {"env": "APP_SECRET"}
    elif secret == "file":
        path = tmp_path / "secret"
        path.write_text(PASSWORDS["app"] + "\n")
        path.chmod(0o600)
        entry["password"] = {"file": str(path)}
    else:
        entry[secret] = shared_cluster.primary.value(
            "SELECT rolpassword FROM pg_authid WHERE rolname = %s", name)
    # Servers are probed with a password that is known; a verifier or a hash alone needs a service account.
    probing = {} if secret in ("scram_verifier", "md5") else {"service": None}
    proxy = start_proxy(shared_cluster, wait_servers=False, before_start=prepare, users=[entry], **probing)
    with proxy.connect(user=name, connect_timeout=60) as connection:
        assert identity(connection) == (name, "shop")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        proxy.connect(user=name, password="wrong")
    if probing:
        with pytest.raises(psycopg.OperationalError):
            proxy.connect(user="reader")


@proxy_only
def test_addresses_that_are_not_allowed(start_proxy, shared_cluster):
    proxy = start_proxy(shared_cluster, listener={"allow": ["10.0.0.0/8"]})
    with pytest.raises(psycopg.OperationalError):
        proxy.connect()


@proxy_only
def test_unix_socket_and_ipv6(start_proxy, shared_cluster, workplace):
    port = free_port()
    path = workplace / f".s.PGSQL.{port}"
    proxy = start_proxy(shared_cluster, listeners=[{"listen": [f"[::1]:{port}", str(path)]}])
    with psycopg.connect(host=str(workplace), port=port, user="app", password=PASSWORDS["app"],
                         dbname="shop") as connection:
        assert identity(connection) == ("app", "shop")
    with psycopg.connect(host="::1", port=port, user="app", password=PASSWORDS["app"], dbname="shop") as connection:
        assert identity(connection) == ("app", "shop")
    proxy.stop()
    assert not path.exists(), "the socket's file was left behind"


# -- towards the servers -------------------------------------------------------------------------------------


@proxy_only
@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_tls_to_the_servers(make_tls_cluster, start_proxy, authority, mode):
    options = {"mode": mode}
    if mode.startswith("verify"):
        options["ca"] = str(authority.file)
    proxy = start_proxy(make_tls_cluster(), server_tls=options)
    with proxy.connect() as connection:
        encrypted = connection.execute(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert encrypted == (True,)


@proxy_only
def test_servers_without_tls_are_refused_when_it_is_required(start_proxy, shared_cluster):
    proxy = start_proxy(shared_cluster, wait_servers=False, server_tls={"mode": "require"},
                        users=[{"name": "app", "cluster": "shop", "password": PASSWORDS["app"]}],
                        failover={"wait": "1s"})
    with pytest.raises((psycopg.OperationalError, errors.Error)):
        with proxy.connect(connect_timeout=60) as connection:
            connection.execute("SELECT 1")


@pytest.fixture(scope="module")
def make_tls_cluster(template, workplace):
    from harness.postgres import PostgresCluster
    made = []

    def make():
        if not made:
            made.append(PostgresCluster(template, workplace / "tls", standbys=0, settings={"ssl": "on"}))
        return made[0]

    yield make
    for cluster in made:
        cluster.destroy()


@proxy_only
def test_login_is_given_up_after_its_timeout(start_proxy, shared_cluster):
    proxy = start_proxy(shared_cluster, login_timeout="1s")
    with Wire(proxy.port) as client:
        client.send(wire.startup(user="app", database="shop"))
        client.socket.settimeout(60)
        received = client.expect_end()
        assert [message.kind for message in received][:1] == ["R"]


@proxy_only
def test_secrets_are_in_no_log(shop):
    with shop.connect():
        pass
    with pytest.raises(psycopg.OperationalError):
        shop.connect(password="a wrong secret")
    log = shop.log_text()
    for secret in (*filter(None, PASSWORDS.values()), "a wrong secret", "SCRAM-SHA-256$"):
        assert secret not in log
