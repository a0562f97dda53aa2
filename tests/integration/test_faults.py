"""Faults of servers that are the same for both databases, under the load of clients that keep their books."""

import time
import types

import pytest

from harness import load as postgres_load
from harness import mysql, mysql_load
from harness.proxy import IMPATIENT_HEALTH
from harness.waiting import wait_until

pytestmark = pytest.mark.proxy_only


@pytest.fixture(params=["postgres", "mysql"])
def database(request):
    """make(**options): a cluster; load: its clients; forgivable: what a statement in flight may be told."""
    if request.param == "postgres":
        return types.SimpleNamespace(
            make=request.getfixturevalue("make_cluster"), load=postgres_load,
            forgivable={postgres_load.TRANSACTION_LOST, postgres_load.OUTCOME_UNKNOWN})
    return types.SimpleNamespace(
        make=request.getfixturevalue("make_maria"), load=mysql_load,
        forgivable={mysql.TRANSACTION_LOST, mysql.OUTCOME_UNKNOWN})


@pytest.fixture
def begin(database, start_proxy):
    """begin(cluster): a proxy before it, and forty clients at work."""
    loads = []

    def begin(cluster):
        kinds = database.load
        cluster.execute(kinds.TABLES)
        proxy = start_proxy(cluster, health=IMPATIENT_HEALTH)
        work = kinds.Load(proxy, {kinds.Inserter: 12, kinds.Counter: 8, kinds.Reader: 12, kinds.Idler: 8}).start()
        loads.append(work)
        await_work(work)
        return proxy, work

    yield begin
    for work in loads:
        work.stopping.set()


def await_work(work, writes=100):
    """Until so many writes more were acknowledged."""
    began = time.monotonic()
    wait_until(lambda: work.writes_since(began) > writes, "clients write")


def end(work, cluster, forgivable=()):
    work.stop()
    assert work.dropped() == []
    assert work.judge(cluster.primary) == []
    assert set(work.errors()) <= set(forgivable), work.errors()


def servers_of(cluster):
    return [server for server in cluster.servers if server is not cluster.primary]


def test_replica_that_comes_and_goes(database, begin):
    """Nobody sees it, and it is used again in the end."""
    cluster = database.make()
    proxy, work = begin(cluster)
    flapping, *_ = servers_of(cluster)
    for _ in range(4):
        flapping.kill9()
        await_work(work, 30)
        flapping.start()
        await_work(work, 30)
    proxy.wait_state(flapping, "up")
    end(work, cluster)


@pytest.mark.parametrize("first", ["the primary", "the replicas"])
def test_all_servers_die_and_come_back(database, begin, first):
    cluster = database.make()
    proxy, work = begin(cluster)
    others = servers_of(cluster)
    for server in cluster.servers:
        server.kill9()
    for server in cluster.servers:
        proxy.wait_state(server, "down")
    order = [cluster.primary, *others] if first == "the primary" else [*others, cluster.primary]
    for server in order:
        server.start()
    await_work(work)
    for server in cluster.servers:
        proxy.wait_state(server, "up")
    end(work, cluster, database.forgivable)
