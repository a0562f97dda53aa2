"""Peers that do not keep to the protocol: they lose their own connection, and nobody else notices."""

import os
import random
import socket
import ssl
import struct
import threading

import pytest

import wire
from harness.postgres import PASSWORDS
from harness.ports import free_port
from harness.processes import open_descriptors
from harness.waiting import wait_until
from wire import Closed, LoginRefused, Wire

pytestmark = pytest.mark.proxy_only

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def others_are_unharmed(shop):
    """A client that was there before still works after, new ones get in, memory and descriptors stay bounded."""
    with Wire(shop.port) as witness:
        witness.log_in("app", PASSWORDS["app"])
        witness.ask("SET work_mem = '5MB'")
        memory, descriptors = shop.memory(), open_descriptors(shop.process.pid)
        yield
        assert shop.is_running(), shop.log_tail()
        assert witness.value("SHOW work_mem") == "5MB"
        with shop.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        wait_until(lambda: open_descriptors(shop.process.pid) <= descriptors + 3, "descriptors are given back")
        assert shop.memory() - memory < 24 * MIB


def ends(client, timeout=60):
    """Reads to the end of the stream; returns what came."""
    client.socket.settimeout(timeout)
    received = client.buffer
    try:
        while more := client.socket.recv(65536):
            received += more
    except (ConnectionError, ssl.SSLError):
        pass
    return received


def length(number):
    return struct.pack("!i", number)


# -- before login --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    length(-1), length(0), length(3), length(7), length(-2**31), length(2**31 - 1), length(10_001),
    length(8) + length(0), length(8) + length(-1), length(9) + length(3 << 16) + b"x",
    length(8) + length(1 << 16), length(8) + length(80877105),
    length(16) + length(80877102) + b"1234567",       # a cancel request that says more than it has
    length(8) + length(80877102),                      # … and one without a key
    length(11) + length(80877102) + b"123",
    length(300) + length(80877102) + b"k" * 292,
    wire.startup(user="app")[:-1],                      # cut off
    length(20) + length(3 << 16) + b"user\0app\0xxx",  # not terminated
    length(13) + length(3 << 16) + b"user\0",
    length(9) + length(3 << 16) + b"\0",               # no user
    wire.startup(**{"user": ""}),
    wire.startup(user="u" * 9_000),
    wire.startup(user="app", **{f"p{i}": "x" for i in range(800)}),
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x16" * 100, b"\0" * 100, b"\xff" * 100,
    wire.SSL_REQUEST * 2, wire.GSSENC_REQUEST * 2, wire.SSL_REQUEST + b"\0" * 50,
    wire.query("SELECT 1"), wire.sync(), wire.terminate(),
], ids=lambda data: data[:12].hex() + f"-{len(data)}")
def test_instead_of_a_startup_message(shop, data):
    with Wire(shop.port) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        received = ends(client)
        assert b"Z\0\0\0\5" not in received, "this got in"


@pytest.mark.parametrize("declared", [10_001, 100_000, 2**30, 2**31 - 1])
def test_long_startup_message_is_refused_before_it_arrives(shop, declared):
    with Wire(shop.port) as client:
        client.send(length(declared), length(3 << 16))
        ends(client)


def test_garbage_in_a_tls_handshake(shop):
    with Wire(shop.port) as client:
        client.send(wire.SSL_REQUEST)
        assert client.receive_exactly(1) == b"S"
        client.send(os.urandom(2000))
        ends(client)


def test_leaving_in_the_middle_of_a_tls_handshake(shop):
    for _ in range(20):
        with Wire(shop.port) as client:
            client.send(wire.SSL_REQUEST)
            client.receive_exactly(1)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = wire.unverified_tls().wrap_bio(incoming, outgoing)
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            client.send(outgoing.read()[:100])


# -- instead of a password -----------------------------------------------------------------------------------


def begin_login(shop, user="app"):
    client = Wire(shop.port)
    client.send(wire.startup(user=user, database="shop"))
    client.receive()
    return client


def sasl_initial(mechanism, data, declared=None):
    return wire.message(b"p", wire.text(mechanism) + length(len(data) if declared is None else declared) + data)


FIRST = b"n,,n=,r=abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize("data", [
    wire.message(b"p"), wire.message(b"p", b"x"), wire.message(b"p", b"\0" * 100),
    b"p" + length(3), b"p" + length(-1), b"p" + length(2**31 - 1), b"p" + length(70_000) + b"x" * 1000,
    wire.message(b"p", b"x" * 65_000),
    wire.query("SELECT 1"), wire.sync(),
    sasl_initial("SCRAM-SHA-1", FIRST), sasl_initial("", FIRST), sasl_initial("SCRAM-SHA-256", b""),
    sasl_initial("SCRAM-SHA-256", FIRST, declared=-1), sasl_initial("SCRAM-SHA-256", FIRST, declared=2**31 - 1),
    sasl_initial("SCRAM-SHA-256", FIRST, declared=1), sasl_initial("SCRAM-SHA-256", FIRST + b"\0"),
    sasl_initial("SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=abc"),
    sasl_initial("SCRAM-SHA-256-PLUS", FIRST),          # without TLS it is not offered
    sasl_initial("SCRAM-SHA-256", b"n,,n=,r="), sasl_initial("SCRAM-SHA-256", b"n,,m=ext,n=,r=abc"),
    sasl_initial("SCRAM-SHA-256", b"n,a=somebody,n=,r=abcdefgh"),
    sasl_initial("SCRAM-SHA-256", b"n,,n=,r=" + b"r" * 60_000),
    sasl_initial("SCRAM-SHA-256", b"n,,n=,r=\xff\xfe\x80"), sasl_initial("SCRAM-SHA-256", b",,,,,,,,"),
], ids=lambda data: data[:24].hex() + f"-{len(data)}")
@pytest.mark.parametrize("user", ["app", "app_md5", "nobody_of_that_name"])
def test_instead_of_a_password(shop, user, data):
    with begin_login(shop, user) as client:
        client.send(data)
        client.socket.shutdown(socket.SHUT_WR)
        received = ends(client)
        assert b"Z\0\0\0\5" not in received, "this got in"


@pytest.mark.parametrize("final", [
    b"", b"c=biws", b"c=biws,r=wrong,p=AAAA", b"c=eSws,r={nonce},p=AAAA", b"c=biws,r={nonce}",
    b"c=biws,r={nonce},p=", b"c=biws,r={nonce},p=!!!!", b"c=biws,r={nonce},p=" + b"A" * 44,
    b"c=biws,r={nonce},x=1,p=" + b"A" * 43 + b"=", b"c=biws,r={nonce},p=" + b"A" * 60_000, b"\0" * 40, b"=" * 1000,
])
def test_instead_of_the_final_scram_message(shop, final):
    with begin_login(shop) as client:
        client.send(sasl_initial("SCRAM-SHA-256", FIRST))
        nonce = client.receive().body[4:].split(b",")[0][2:]
        client.send(wire.message(b"p", final.replace(b"{nonce}", nonce)))
        client.socket.shutdown(socket.SHUT_WR)
        assert b"Z\0\0\0\5" not in ends(client), "this got in"


def test_replayed_proof_is_worth_nothing(shop):
    """What one login sent does not open a second one."""
    recorded = []
    with Wire(shop.port) as client:
        send = client.send

        def record(*parts):
            recorded.append(b"".join(parts))
            send(*parts)

        client.send = record
        client.log_in("app", PASSWORDS["app"])
    with Wire(shop.port) as thief:
        for part in recorded[:3]:
            thief.send(part)
        with pytest.raises((LoginRefused, Closed, ConnectionError, AssertionError)):
            thief.receive(), thief.receive()
            thief.authenticate("app", "unknown")


# -- after login ---------------------------------------------------------------------------------------------


@pytest.fixture
def client(shop):
    with Wire(shop.port) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


@pytest.mark.parametrize("data", [
    b"Q" + length(3), b"Q" + length(0), b"Q" + length(-1), b"Q" + length(-2**31), b"Q" + length(2**30 + 1),
    b"Q" + length(2**31 - 1),
    b"S" + length(2**20), b"H" + length(5) + b"x", b"S" + length(8) + b"1234",
    b"D" + length(2**29), b"C" + length(2**29), b"E" + length(2**29),
    wire.message(b"\0"), wire.message(b"\xff", b"abc"), wire.message(b"Z", b"I"), wire.message(b"R", length(0)),
    wire.message(b"p", b"x"),
    b"\0" * 64, b"\xff" * 64,
    wire.startup(user="app"), wire.SSL_REQUEST, b"GET / HTTP/1.1\r\n\r\n",
], ids=lambda data: data[:12].hex() + f"-{len(data)}")
def test_framing_that_cannot_be_followed_ends_the_connection_with_an_error(client, data):
    client.send(data)
    received = client.expect_end()
    assert received and received[-1].kind == "E" and received[-1].error["S"] == "FATAL", received
    assert received[-1].sqlstate == "08P01"


@pytest.mark.parametrize("data", [
    wire.message(b"Q"), wire.message(b"Q", b"SELECT 1"), wire.message(b"Q", b"SELECT 1\0SELECT 2\0"),
    wire.message(b"P"), wire.message(b"P", b"name"), wire.message(b"P", b"\0SELECT 1\0"),
    wire.message(b"P", b"\0SELECT 1\0" + struct.pack("!h", -1)), wire.message(b"P", b"\0SELECT 1\0" + struct.pack("!h", 30000)),
    wire.message(b"P", b"\0SELECT 1\0" + struct.pack("!h", 0) + b"more"),
    wire.message(b"B"), wire.message(b"B", b"\0\0"), wire.message(b"B", b"\0\0" + struct.pack("!hh", 0, 30000)),
    wire.message(b"B", b"\0\0" + struct.pack("!hhi", 0, 1, 2**30)), wire.message(b"B", b"\0\0" + struct.pack("!hhi", 0, 1, -2)),
    wire.message(b"D"), wire.message(b"D", b"X\0"), wire.message(b"D", b"S"), wire.message(b"C", b"Q\0"),
    wire.message(b"E"), wire.message(b"E", b"\0"), wire.message(b"E", b"\0" + b"1" * 3), wire.message(b"F"),
    wire.message(b"F", b"\0" * 3), wire.copy_fail(""), wire.message(b"f", b"not terminated"),
], ids=lambda data: data[:16].hex() + f"-{len(data)}")
def test_bodies_that_make_no_sense(client, data):
    """The stream stays in step, so an error is enough (PostgreSQL's 08P01, or its own words); closing is allowed too."""
    try:
        client.send(data, wire.sync(), wire.query("SELECT 'in step'"))
        while client.until("D", "Z")[-1].kind != "D":
            pass
        assert wire.tags(client.until_ready()) == ["SELECT 1"]
        assert client.value("SELECT 'still in step'") == "still in step"
    except (Closed, ConnectionError):
        pass  # the connection is gone: the witness tells whether anything else is


def test_half_a_message_and_gone(shop):
    for data in (b"Q", b"Q\0", wire.query("SELECT 1")[:-1], wire.parse("a", "SELECT 1")[:7], b"d" + length(1000) + b"x"):
        with Wire(shop.port) as client:
            client.log_in("app", PASSWORDS["app"])
            client.send(data)


def test_long_message_of_a_short_kind_is_not_waited_for(client):
    """Describe, Close and Execute hold a name: nobody sends 500 MB of it in good faith."""
    client.send(b"D" + length(500 * MIB) + b"S" + b"n" * 200_000)
    received = client.expect_end()
    assert received[-1].kind == "E"


def test_many_names_are_bounded(client, shop):
    """100,000 prepared statements, never used. PostgreSQL holds them; the proxy may refuse, not swell."""
    before = shop.memory()
    try:
        for start in range(0, 100_000, 1000):
            client.send(*(wire.parse(f"statement number {i}", "SELECT 1") for i in range(start, start + 1000)), wire.sync())
            client.until_ready()
    except (Closed, ConnectionError):
        pass
    assert shop.memory() - before < 64 * MIB
    client.close()


def test_pipeline_that_never_ends_is_bounded(shop, client):
    """Batches without Sync, as fast as the socket takes them; nothing is read back until the end."""
    before = shop.memory()
    batch = wire.statement("SELECT repeat('x', 1000)") * 100
    client.socket.settimeout(2)
    try:
        for _ in range(3000):
            client.socket.sendall(batch)
    except (TimeoutError, ConnectionError):
        pass
    assert shop.memory() - before < 24 * MIB


@pytest.mark.parametrize("seed", range(6))
def test_random_bytes(shop, seed):
    """Noise at every stage; prints what replays it."""
    print(f"seed {seed}")
    dice = random.Random(seed)
    messages = [wire.query("SELECT 1"), wire.parse("s", "SELECT $1::int"), wire.bind("", "s", (1,)), wire.describe("S", "s"),
                wire.execute(), wire.sync(), wire.flush(), wire.close("S", "s"), wire.query("BEGIN"), wire.query("COMMIT"),
                wire.copy_data(b"x"), wire.copy_done(), wire.function_call(177, [b"1", b"2"])]
    for _ in range(40):
        with Wire(shop.port) as client:
            stage = dice.randrange(3)
            try:
                if stage == 1:
                    client.send(wire.startup(user=dice.choice(["app", "app_md5", "nobody_of_that_name"]), database="shop"))
                    client.receive()
                elif stage == 2:
                    client.log_in("app", PASSWORDS["app"])
                data = bytearray(b"".join(dice.choice(messages) for _ in range(dice.randrange(1, 12))))
                for _ in range(dice.randrange(0, 4)):
                    data[dice.randrange(len(data))] = dice.randrange(256)
                if dice.random() < 0.3:
                    data = bytearray(dice.randbytes(dice.randrange(1, 3000)))
                client.send(bytes(data))
                client.socket.shutdown(socket.SHUT_WR)
                ends(client)
            except (Closed, LoginRefused, ConnectionError):
                pass


def test_a_storm_of_wrong_passwords(shop):
    def attack():
        for _ in range(25):
            try:
                with Wire(shop.port) as client:
                    client.log_in("app", "wrong")
            except (LoginRefused, Closed, ConnectionError):
                pass

    attackers = [threading.Thread(target=attack) for _ in range(8)]
    for attacker in attackers:
        attacker.start()
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"])
        for _ in range(20):
            assert client.value("SELECT 1") == "1"
    for attacker in attackers:
        attacker.join(120)
        assert not attacker.is_alive()


def test_silent_connections_do_not_keep_others_out(shop):
    silent = [socket.create_connection(("127.0.0.1", shop.port)) for _ in range(300)]
    try:
        with Wire(shop.port) as client:
            client.log_in("app", PASSWORDS["app"])
            assert client.value("SELECT 1") == "1"
    finally:
        for connection in silent:
            connection.close()


# -- servers that lie ----------------------------------------------------------------------------------------


LIES = {
    "not a protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "error without a SQLSTATE": wire.message(b"E", b"SFATAL\0Mgo away\0\0"),
    "error without anything": wire.message(b"E", b""),
    "error not terminated": wire.message(b"E", b"SFATAL"),
    "negative length": b"R" + length(-5),
    "enormous length": b"R" + length(2**31 - 1),
    "endless nonce": wire.message(b"R", length(10) + b"SCRAM-SHA-256\0\0") + wire.message(
        b"R", length(11) + b"r=" + b"n" * 60_000 + b",s=AAAA,i=4096"),
    "endless iterations": wire.message(b"R", length(10) + b"SCRAM-SHA-256\0\0") + wire.message(
        b"R", length(11) + b"r=n,s=AAAA,i=2147483647"),
    "an endless flood": wire.message(b"N", b"SNOTICE\0Mx\0\0") * 10_000,
    "ready without login": wire.message(b"Z", b"I") * 3,
    "nothing": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_lies_is_not_used(start_proxy, shared_cluster, lie):
    port = free_port()
    liar = socket.create_server(("127.0.0.1", port))

    def serve():
        while True:
            try:
                connection, _ = liar.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(5)
                    first = connection.recv(1000)
                    if first[4:8] == wire.SSL_REQUEST[4:]:
                        connection.sendall(b"N")
                        connection.recv(1000)
                    connection.sendall(LIES[lie])
                    connection.recv(1000)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        def add_liar(proxy):
            proxy.settings["cluster"]["shop"]["servers"].append({"name": "liar", "address": f"127.0.0.1:{port}"})

        proxy = start_proxy(shared_cluster, before_start=add_liar)
        wait_until(lambda: proxy.metrics().state_of("liar") not in ("up", None), "the liar is not up")
        for _ in range(10):
            with proxy.connect() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert proxy.memory() < 64 * MIB
    finally:
        liar.shutdown(socket.SHUT_RDWR)
        liar.close()
