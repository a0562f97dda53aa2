"""Peers that take their time, or never do what is due: what they hold is bounded, and others do not notice."""

import contextlib
import resource
import selectors
import ssl
import struct
import time

import pytest

import mysql_wire
import wire
from harness.mariadb import PASSWORDS as MY_PASSWORDS
from harness.postgres import PASSWORDS
from harness.processes import open_descriptors
from harness.waiting import wait_until
from mysql_wire import MySqlWire
from wire import Wire

pytestmark = pytest.mark.proxy_only

MIB = 1024 * 1024
LOGIN_TIMEOUT = 2.0


def client_hello():
    outgoing = ssl.MemoryBIO()
    tls = wire.unverified_tls().wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def drip_until_ended(clients, seconds=60):
    """Sends each of (socket, bytes) a byte now and then, until all were ended from the other side; returns when each
    was, in seconds from now."""
    began, ended = time.monotonic(), []
    with selectors.DefaultSelector() as selector:
        for connection, data in clients:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ, iter(data))
        while selector.get_map() and time.monotonic() - began < seconds:
            for key, _ in selector.select(0.05):
                with contextlib.suppress(ConnectionError):
                    if key.fileobj.recv(65536):
                        continue
                selector.unregister(key.fileobj)
                ended.append(time.monotonic() - began)
            for key in list(selector.get_map().values()):
                if (byte := next(key.data, None)) is not None:
                    with contextlib.suppress(OSError):
                        key.fileobj.send(bytes([byte]))
        assert not selector.get_map(), f"{len(selector.get_map())} are still there"
    return ended


def half_way_in(port, stage):
    client = Wire(port)
    if stage == "hello":
        client.send(wire.SSL_REQUEST)
        assert client.receive_exactly(1) == b"S"
    elif stage == "password":
        client.send(wire.startup(user="app", database="shop"))
        client.receive()
    return client


PG_STAGES = {"silent": b"", "startup": wire.startup(user="app", database="shop", application_name="x" * 5000),
             "hello": client_hello(), "password": wire.message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", 900) + b"n" * 900)}
MY_STAGES = {"silent": b"", "response": mysql_wire.packet(b"\x05\xa2\0\0" + b"\0" * 5000, 1), "hello": client_hello()}


def test_a_slow_login_ends_with_its_timeout(start_proxy, shared_cluster):
    proxy = start_proxy(shared_cluster, login_timeout=f"{LOGIN_TIMEOUT:.0f}s")
    with Wire(proxy.port) as witness:
        witness.log_in("app", PASSWORDS["app"])
        memory, descriptors = proxy.memory(), open_descriptors(proxy.process.pid)
        slow = [(half_way_in(proxy.port, stage), data) for _ in range(20) for stage, data in PG_STAGES.items()]
        ended = drip_until_ended([(client.socket, data) for client, data in slow])
        assert len(ended) == len(slow) and max(ended) < LOGIN_TIMEOUT + 20
        assert proxy.memory() - memory < 24 * MIB
        for client, _ in slow:
            client.close()
        wait_until(lambda: open_descriptors(proxy.process.pid) <= descriptors + 3, "descriptors are given back")
        assert witness.value("SELECT 1") == "1"
    assert 'reason="login_timeout"' in proxy.get("/metrics")[1]


def test_a_slow_mysql_login_ends_with_its_timeout(start_proxy, shared_maria):
    proxy = start_proxy(shared_maria, login_timeout=f"{LOGIN_TIMEOUT:.0f}s")
    with MySqlWire(proxy.port) as witness:
        witness.log_in("app", MY_PASSWORDS["app"])
        memory, descriptors = proxy.memory(), open_descriptors(proxy.process.pid)
        slow = []
        for _ in range(20):
            for stage, data in MY_STAGES.items():
                client = MySqlWire(proxy.port)
                client.greeting()
                if stage == "hello":
                    client.send_packet(struct.pack("<IIB23x", mysql_wire.MODERN | mysql_wire.TLS, 1 << 30, 45))
                slow.append((client, data))
        ended = drip_until_ended([(client.socket, data) for client, data in slow])
        assert len(ended) == len(slow) and max(ended) < LOGIN_TIMEOUT + 20
        assert proxy.memory() - memory < 24 * MIB
        for client, _ in slow:
            client.close()
        wait_until(lambda: open_descriptors(proxy.process.pid) <= descriptors + 3, "descriptors are given back")
        assert witness.value("SELECT 1") == "1"


def send_until_cut_off(connection, data):
    """Sends, and reads nothing, until the other side has had enough. What is on its way when it has is still taken for
    some seconds, so that a peer that reads finds out why."""
    connection.settimeout(30)
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while True:
            connection.sendall(data)
            assert time.monotonic() - began < 30, "nobody ended it"


@pytest.mark.parametrize("head", [b"\xff\xff\xff\1", b"\xff\xff\xff\1" + b"\0" * 0xFFFFFF + b"\xff\xff\xff\2"],
                         ids=["one packet", "packet after packet"])
def test_a_mysql_login_without_an_end_is_cut_off(blog, head):
    with MySqlWire(blog.port) as client:
        client.greeting()
        before = blog.memory()
        send_until_cut_off(client.socket, head + b"\0" * MIB)
        assert blog.memory() - before < 8 * MIB


@pytest.mark.parametrize("flood", [wire.SSL_REQUEST, wire.message(b"p", b"x" * 60_000), wire.message(b"S"), b"\0" * 4096],
                         ids=["SSLRequest", "passwords", "Sync", "zeros"])
def test_a_login_without_an_end_is_cut_off(shop, flood):
    with half_way_in(shop.port, "password") as client:
        before = shop.memory()
        send_until_cut_off(client.socket, flood * 10)
        assert shop.memory() - before < 8 * MIB


# -- TLS -----------------------------------------------------------------------------------------------------


def records(data, size, kind=22):
    """The payload of TLS records in records of at most `size` bytes."""
    out, at = b"", 0
    while at < len(data):
        (length,) = struct.unpack_from("!H", data, at + 3)
        payload = data[at + 5:at + 5 + length]
        out += b"".join(struct.pack("!BHH", kind, 0x0301, len(payload[i:i + size])) + payload[i:i + size]
                        for i in range(0, length, size))
        at += 5 + length
    return out


@pytest.mark.parametrize("size", [1, 7])
def test_a_client_hello_in_fragments_gets_in(shop, size):
    with Wire(shop.port) as client:
        client.send(wire.SSL_REQUEST)
        assert client.receive_exactly(1) == b"S"
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = wire.unverified_tls().wrap_bio(incoming, outgoing)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        client.send_slowly(records(outgoing.read(), size))
        while True:
            incoming.write(client.socket.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        tls.write(wire.startup(user="app", database="shop"))
        client.send(outgoing.read())
        while True:
            try:
                assert tls.read(1) == b"R"
                break
            except ssl.SSLWantReadError:
                incoming.write(client.socket.recv(65536))


@pytest.mark.parametrize("flood", [
    b"\x16\x03\x01\0\0" * 1000,                                           # nothing, over and over
    b"\x14\x03\x03\0\1\1" * 1000,                                          # change of cipher
    b"\x16\x03\x01\x40\0\1\xff\xff\xff" + b"\0" * 16380 + b"\x16\x03\x01\x40\0" + b"\0" * 16384,  # a hello of 16 MiB
    b"\x15\x03\x01\0\2\1\x5a" * 1000,                                     # warnings
], ids=["empty records", "cipher changes", "endless hello", "warnings"])
def test_a_handshake_without_an_end_is_cut_off(shop, flood):
    with half_way_in(shop.port, "hello") as client:
        before = shop.memory()
        send_until_cut_off(client.socket, flood)
        assert shop.memory() - before < 8 * MIB


# -- cancel requests -----------------------------------------------------------------------------------------


def test_a_storm_of_wrong_cancel_requests_reaches_nobody(shop):
    memory, descriptors = shop.memory(), open_descriptors(shop.process.pid)
    with Wire(shop.port) as victim:
        victim.log_in("app", PASSWORDS["app"])
        victim.send(wire.query("SELECT pg_sleep(3)"))
        for number in range(2000):
            with Wire(shop.port) as other:
                other.send(wire.cancel_request(victim.process if number % 2 else number, struct.pack("!I", number)))
        assert not wire.sqlstates(victim.until_ready())
        assert victim.value("SELECT 1") == "1"
    wait_until(lambda: open_descriptors(shop.process.pid) <= descriptors + 3, "descriptors are given back")
    assert shop.memory() - memory < 16 * MIB


# -- who does not read ---------------------------------------------------------------------------------------


def test_clients_that_never_read_cost_little(shop):
    memory = shop.memory()
    with contextlib.ExitStack() as stack:
        witness = stack.enter_context(Wire(shop.port))
        witness.log_in("app", PASSWORDS["app"])
        deaf = []
        for _ in range(20):
            deaf.append(stack.enter_context(Wire(shop.port)))
            deaf[-1].log_in("app", PASSWORDS["app"])
            deaf[-1].send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
        for _ in range(100):
            assert witness.value("SELECT 1") == "1"
        assert shop.memory() - memory < 32 * MIB
        assert len(wire.rows(deaf[0].until_ready())) == 100_000
        witness.ask("SELECT 1")


def test_mysql_clients_that_never_read_cost_little(blog):
    memory = blog.memory()
    with contextlib.ExitStack() as stack:
        witness = stack.enter_context(MySqlWire(blog.port))
        witness.log_in("app", MY_PASSWORDS["app"])
        for _ in range(20):
            deaf = stack.enter_context(MySqlWire(blog.port))
            deaf.log_in("app", MY_PASSWORDS["app"])
            deaf.start(mysql_wire.QUERY, "SELECT REPEAT('x', 1000) FROM seq_1_to_100000")
        for _ in range(100):
            assert witness.value("SELECT 1") == "1"
        assert blog.memory() - memory < 32 * MIB
        assert len(deaf.results()[0].rows) == 100_000


# -- no descriptor left --------------------------------------------------------------------------------------


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_without_descriptors_those_inside_are_served(start_proxy, shared_cluster):
    """The limit falls below what is open already: nobody gets in, and nobody who is in notices."""
    proxy = start_proxy(shared_cluster)
    pid = proxy.process.pid
    with Wire(proxy.port) as inside, contextlib.ExitStack() as stack:
        inside.log_in("app", PASSWORDS["app"])
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_descriptors(pid), before[1]))
        waiting = [stack.enter_context(Wire(proxy.port)) for _ in range(50)]
        began, used = time.monotonic(), cpu_seconds(pid)
        while time.monotonic() - began < 3:
            assert inside.value("SELECT 1") == "1"
            time.sleep(0.05)
        assert cpu_seconds(pid) - used < 1.5, "it spins"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for client in waiting:
            client.close()
        with proxy.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        proxy.wait_servers_up()
    told = [line for line in proxy.log_text().splitlines() if "descriptor" in line or "Too many open files" in line]
    assert 1 <= len(told) <= 10, told
