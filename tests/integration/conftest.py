"""Fixtures of the integration tests.

HOLDFAST_BINARY   the proxy to test (default: build/release/holdfast)
HOLDFAST_DIRECT=1 leaves the proxy out: clients talk to the primary, tests that need the proxy are skipped
HOLDFAST_DEBUG=1  debug logs
HOLDFAST_KEEP=1   leaves the folder with data and logs
"""

import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import mariadb  # noqa: E402
from harness.mariadb import MariaCluster  # noqa: E402
from harness.mysql import DirectMySql  # noqa: E402
from harness.postgres import PostgresCluster, Template  # noqa: E402
from harness.proxy import BINARY, Direct, MySqlProxy, Proxy, ProxyProcess  # noqa: E402

DIRECT = os.environ.get("HOLDFAST_DIRECT") == "1"


def pytest_configure(config):
    config.addinivalue_line("markers", "proxy_only: shows what only the proxy does; skipped with HOLDFAST_DIRECT=1")


def pytest_collection_modifyitems(items):
    for item in items:
        if DIRECT and ("proxy_only" in item.keywords):
            item.add_marker(pytest.mark.skip(reason="needs the proxy"))


def pytest_sessionstart(session):
    if not DIRECT and not BINARY.exists() and not session.config.option.collectonly:
        pytest.exit(f"{BINARY} does not exist: run deploy/build", returncode=1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows the ends of the logs of the proxies that the test used."""
    outcome = yield
    report = outcome.get_result()
    if report.failed and report.when in ("setup", "call", "teardown"):
        for value in getattr(item, "funcargs", {}).values():
            for proxy in value if isinstance(value, list) else [value]:
                if isinstance(proxy, ProxyProcess):
                    report.sections.append((f"log of the proxy on port {proxy.port}", proxy.log_tail()))


@pytest.fixture(scope="session")
def workplace():
    """A folder for everything; short, because the paths of Unix sockets are."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hf-", dir=os.environ.get("HOLDFAST_TMP", "/tmp")))
    folder.chmod(0o755)
    yield folder
    if not os.environ.get("HOLDFAST_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(workplace):
    folder = workplace / "template"
    folder.mkdir()
    return Template(folder)


@pytest.fixture(scope="session")
def authority(template):
    """Issues the certificates of this run; the servers' are among them."""
    return template.authority


_numbers = iter(range(1, 10_000))


@pytest.fixture(scope="session")
def shared_cluster(template, workplace):
    """A primary and two standbys for tests that leave them as they are."""
    cluster = PostgresCluster(template, workplace / "shared")
    yield cluster
    cluster.destroy()


@pytest.fixture
def make_cluster(template, workplace):
    """make_cluster(standbys=2, synchronous=0): servers of the test's own, to kill and promote."""
    made = []

    def make(**options):
        made.append(PostgresCluster(template, workplace / f"c{next(_numbers)}", **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.destroy()


@pytest.fixture(scope="session")
def maria_template(workplace):
    folder = workplace / "maria"
    folder.mkdir()
    return mariadb.Template(folder)


@pytest.fixture(scope="session")
def shared_maria(maria_template, workplace):
    """A MariaDB primary and two replicas for tests that leave them as they are."""
    cluster = MariaCluster(maria_template, workplace / "mshared")
    yield cluster
    cluster.destroy()


@pytest.fixture
def make_maria(maria_template, workplace):
    """make_maria(replicas=2, synchronous=False): servers of the test's own, to kill and promote."""
    made = []

    def make(**options):
        made.append(MariaCluster(maria_template, workplace / f"m{next(_numbers)}", **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.destroy()


@pytest.fixture
def proxies():
    """The proxies that the test started, stopped at its end. A list so that failures show their logs."""
    started = []
    yield started
    _stop_all(started)


@pytest.fixture(scope="module")
def module_proxies():
    started = []
    yield started
    _stop_all(started)


def _stop_all(started):
    problems = []
    for proxy in started:
        try:
            proxy.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


def _starter(workplace, started):
    def start(cluster, wait_servers=True, before_start=None, **options):
        kind = MySqlProxy if cluster.protocol == "mysql" else Proxy
        proxy = kind(workplace / f"p{next(_numbers)}", cluster, **options)
        started.append(proxy)
        if before_start:
            before_start(proxy)
        return proxy.start(wait_servers)

    return start


@pytest.fixture
def start_proxy(workplace, proxies):
    """start_proxy(cluster, **settings_for options): a running proxy, stopped after the test."""
    return _starter(workplace, proxies)


@pytest.fixture(scope="module")
def start_module_proxy(workplace, module_proxies):
    return _starter(workplace, module_proxies)


@pytest.fixture(scope="module")
def shop(shared_cluster, start_module_proxy):
    """Where ordinary tests connect: a proxy before the shared servers, or the primary when the proxy is left out."""
    if DIRECT:
        yield Direct(shared_cluster)
        return
    yield start_module_proxy(shared_cluster)


@pytest.fixture
def table(shared_cluster, request):
    """The name of an empty table (id int, v text) on the shared servers, dropped after the test."""
    name = "t_" + str(next(_numbers))
    shared_cluster.execute(f"CREATE TABLE {name} (id int, v text); ALTER TABLE {name} OWNER TO app")
    yield name
    shared_cluster.primary.execute(f"DROP TABLE IF EXISTS {name} CASCADE")


@pytest.fixture(scope="module")
def blog(shared_maria, start_module_proxy):
    """The same for MySQL: a proxy before the shared MariaDB servers, or their primary."""
    if DIRECT:
        yield DirectMySql(shared_maria)
        return
    yield start_module_proxy(shared_maria)


@pytest.fixture
def maria_table(shared_maria):
    """The name of an empty table (id int, v text) on the shared MariaDB servers, dropped after the test."""
    name = "t_" + str(next(_numbers))
    shared_maria.execute(f"CREATE TABLE {name} (id int, v text)")
    yield name
    shared_maria.primary.execute(f"DROP TABLE IF EXISTS {name}; DROP VIEW IF EXISTS {name}")
