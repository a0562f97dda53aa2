"""PROXY protocol, from load balancers and towards servers."""

import contextlib
import struct

import pytest

from harness.mysql import value
from harness.postgres import PASSWORDS
from harness.processes import open_descriptors
from harness.waiting import wait_until
from mysql_wire import MySqlWire, Refused
from mysql_wire import Closed as MySqlClosed
from wire import Closed, LoginRefused, Wire

pytestmark = pytest.mark.proxy_only

MY_PASSWORD = "app secret"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TRUSTED = {"proxy_protocol": {"from": ["127.0.0.0/8"]}}


def v1(address="192.0.2.7", family="TCP4", to="192.0.2.1"):
    return f"PROXY {family} {address} {to} 4711 5432\r\n".encode()


def v2(address=(192, 0, 2, 7), command=0x21, family=0x11, more=b""):
    body = bytes(address) + bytes([192, 0, 2, 1]) + struct.pack("!HH", 4711, 5432) + more
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def listener(proxy_settings, **more):
    """One on IPv4 alone, for headers; the balancer is this machine."""
    def set_up(proxy):
        (one,) = proxy.settings["cluster"][proxy.cluster.name]["listener"]
        one.update({"listen": [f"127.0.0.1:{proxy.port}"], **proxy_settings, **more})
    return set_up


def came_from(proxy):
    """The addresses in the lines of sessions that have ended."""
    return [field.split("=", 1)[1] for line in proxy.log_text().splitlines() if "event=session_closed" in line
            for field in line.split() if field.startswith("client=")]


# -- in: PostgreSQL ------------------------------------------------------------------------------------------


def test_the_told_address_counts(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, before_start=listener(TRUSTED, allow=["192.0.2.0/24"]),
                        access=[{"address": ["192.0.2.7"], "action": "allow"}],
                        limits={"connect_rate": 1, "connect_burst": 20})
    for header in (v1(), v2(), v2(more=b"\x04\0\x05hello")):
        with Wire(proxy.port) as client:
            client.send(header)
            client.log_in("app", PASSWORDS["app"])
            assert client.value("SELECT 1") == "1"
        with Wire(proxy.port) as client:  # TLS comes after it
            client.send(header)
            assert client.request_tls()
            client.log_in("app", PASSWORDS["app"])
        with Wire(proxy.port) as client:  # in one piece with what is behind it, or in many
            client.send_slowly(header)
            client.log_in("app", PASSWORDS["app"])
    for header, refusal in ((v1("192.0.2.8"), "access rules"), (v1("198.51.100.1"), "`allow` list"),
                            (v2(command=0x20), "`allow` list")):  # LOCAL: the balancer speaks for itself
        with Wire(proxy.port) as client, pytest.raises(LoginRefused, match=refusal):
            client.send(header)
            client.log_in("app", PASSWORDS["app"])
    # The balancer itself is not what is limited: its clients are.
    for number in range(30):
        with Wire(proxy.port) as client:
            client.send(v1(f"192.0.2.{number + 100}"))
            client.send(b"\0\0\0\x08\x04\xd2\x16\x2f")
            assert client.receive_exactly(1) == b"S"
    assert "192.0.2.7:4711" in came_from(proxy)


BAD = [b"PROXY TCP4 1.2.3.4\r\n", b"PROXY " + b"x" * 200, b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", b"\0\0\0\x08\x04\xd2\x16\x2f",
       SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x31\x11\0\x0c" + b"x" * 12, SIGNATURE + b"\x21\x11\0\x01x",
       SIGNATURE + b"\x21\x12\0\x0c" + b"x" * 12, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\x05hello", b"\r\n\r\n\0\r\nQUIX"]


def test_bad_headers_end_their_own_connection(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, before_start=listener(TRUSTED))
    with Wire(proxy.port) as witness:
        witness.send(v2())
        witness.log_in("app", PASSWORDS["app"])
        descriptors = open_descriptors(proxy.process.pid)
        for data in BAD:
            with Wire(proxy.port) as client, pytest.raises((Closed, ConnectionError)):
                client.send(data)
                client.receive_exactly(1)
        with Wire(proxy.port) as silent, pytest.raises(Closed):
            silent.receive_exactly(1)  # closed when its header is overdue
        for _ in range(20):  # gone in the middle of a header
            with Wire(proxy.port) as client:
                client.send(v2()[:20])
        wait_until(lambda: open_descriptors(proxy.process.pid) <= descriptors, "descriptors are given back")
        assert witness.value("SELECT 1") == "1"
    assert proxy.log_text().count("event=proxy_header_bad") >= len(BAD)


def test_a_stranger_tells_nothing(shared_cluster, start_proxy):
    proxy = start_proxy(shared_cluster, before_start=listener({"proxy_protocol": {"from": ["192.0.2.0/24"]}}))
    with Wire(proxy.port) as client:
        client.log_in("app", PASSWORDS["app"])
    with Wire(proxy.port) as client:
        client.send(v1("192.0.2.7"))
        (answer,) = client.expect_end()
        assert answer.sqlstate == "08P01"


# -- in: MySQL -----------------------------------------------------------------------------------------------


def test_mysql_is_greeted_behind_the_header(shared_maria, start_proxy):
    proxy = start_proxy(shared_maria, before_start=listener(TRUSTED, allow=["192.0.2.0/24"]))
    for header in (v1(), v2()):
        for tls in (False, True):
            with MySqlWire(proxy.port) as client:
                assert client.is_silent_for(0.1)
                client.send(header)
                client.log_in("app", MY_PASSWORD, tls=tls)
                assert client.value("SELECT 1") == "1"
    with MySqlWire(proxy.port) as client, pytest.raises(Refused) as refused:
        client.send(v1("198.51.100.1"))
        client.log_in("app", MY_PASSWORD)
    assert refused.value.number == 1045
    # Accounts of a name are told apart by the address that the balancer told.
    with MySqlWire(proxy.port) as client, pytest.raises(Refused):
        client.send(v1())
        client.log_in("by_host", "from 127.0.0.1")
    for data in BAD:
        with MySqlWire(proxy.port) as client, pytest.raises((MySqlClosed, ConnectionError)):
            client.send(data)
            client.receive()


# -- out -----------------------------------------------------------------------------------------------------


@pytest.fixture
def told_maria(make_maria):
    """MariaDB servers that take headers from this machine, and connections without."""
    return make_maria(replicas=1, settings={"proxy_protocol_networks": "127.0.0.1"})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_mariadb_hears_who_its_client_is(told_maria, start_proxy, version):
    proxy = start_proxy(told_maria, before_start=listener(TRUSTED), send_proxy_protocol=version,
                        timeouts={"query": "1s"}, server_tls={"mode": "prefer"})
    with MySqlWire(proxy.port) as client:
        client.send(v2((192, 0, 2, 99)))
        client.log_in("app", MY_PASSWORD)
        assert client.value("SELECT USER()") == "app@192.0.2.99"
        assert client.value("SELECT USER() FROM here FOR UPDATE").startswith("app@192.0.2.99")
        # A cancel is sent on behalf of the same client.
        assert client.number_of_error("UPDATE here SET name = SLEEP(30)") == 1317
    # The account is that of the told address, here and there: 'by_host'@'%'.
    with MySqlWire(proxy.port) as client:
        client.send(v2((192, 0, 2, 99)))
        client.log_in("by_host", "from anywhere")
        assert client.value("SELECT CURRENT_USER()") == "by_host@%"
    assert proxy.metrics().state_of(told_maria.primary.name) == "up"  # probes come without a header


def test_a_proxy_before_a_proxy(shared_cluster, start_proxy):
    """PostgreSQL takes no headers; another Holdfast does."""
    inner = start_proxy(shared_cluster, before_start=listener(
        {"proxy_protocol": {"from": ["127.0.0.1"], "required": False}}),
        access=[{"user": "holdfast", "action": "allow"},
                {"user": "app", "address": ["192.0.2.99"], "action": "allow"}])
    for version in ("v1", "v2"):
        # A pooled connection keeps the address of the client that it was opened for.
        outer = start_proxy(shared_cluster, wait_servers=False, before_start=before(inner), send_proxy_protocol=version,
                            pool={"idle_timeout": "0s"})
        wait_until(lambda: outer.metrics().state_of("inner") == "up", "the inner proxy is seen")  # noqa: B023
        with Wire(outer.port) as client:
            client.send(v1("192.0.2.99"))
            client.log_in("app", PASSWORDS["app"])
            assert client.value("SELECT 1") == "1"
        with Wire(outer.port) as client, pytest.raises(LoginRefused, match="access rules"):
            client.send(v1("192.0.2.98"))
            client.log_in("app", PASSWORDS["app"])
    wait_until(lambda: any(address.startswith("192.0.2.99:") for address in came_from(inner)), "the session has ended")


def before(inner):
    def set_up(proxy):
        listener(TRUSTED)(proxy)
        proxy.settings["cluster"][proxy.cluster.name]["servers"] = [
            {"name": "inner", "address": f"127.0.0.1:{inner.port}"}]
    return set_up


def test_a_relay_tells_too(told_maria, start_proxy):
    proxy = start_proxy(told_maria, before_start=listener(TRUSTED, role="tcp"), send_proxy_protocol="v2")
    with MySqlWire(proxy.port) as client:
        client.send(v1("192.0.2.99"))
        client.log_in("app", MY_PASSWORD)
        assert client.value("SELECT USER()") == "app@192.0.2.99"


def test_without_a_told_address_servers_hear_the_clients_own(told_maria, start_proxy):
    proxy = start_proxy(told_maria, send_proxy_protocol="v2")
    with contextlib.closing(proxy.connect()) as connection:
        assert value(connection, "SELECT USER()") == "app@127.0.0.1"
