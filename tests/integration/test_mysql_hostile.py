"""MySQL peers that do not keep to the protocol: they lose their own connection, and nobody else notices."""

import contextlib
import os
import random
import socket
import ssl
import struct
import threading

import pytest

import mysql_wire as wire
from harness.mariadb import PASSWORDS
from harness.mysql import ask, value
from harness.ports import free_port
from harness.processes import open_descriptors
from harness.waiting import wait_until
from mysql_wire import CLASSIC, MODERN, Closed, MySqlWire, Refused, command, packet

pytestmark = pytest.mark.proxy_only

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def others_are_unharmed(blog):
    """A client that was there before still works after, new ones get in, memory and descriptors stay bounded."""
    with contextlib.closing(blog.connect()) as witness:
        ask(witness, "SET @kept = 'kept'")
        memory, descriptors = blog.memory(), open_descriptors(blog.process.pid)
        yield
        assert blog.is_running(), blog.log_tail()
        assert value(witness, "SELECT @kept") == "kept"
        with contextlib.closing(blog.connect()) as connection:
            assert value(connection, "SELECT 1") == 1
        wait_until(lambda: open_descriptors(blog.process.pid) <= descriptors + 3, "descriptors are given back")
        assert blog.memory() - memory < 24 * MIB


def ends(client):
    """Reads to the end of the stream; returns what came."""
    received = client.buffer
    try:
        while more := client.socket.recv(65536):
            received += more
    except (ConnectionError, ssl.SSLError):
        pass
    return received


def got_in(received, sequence):
    """True when the answer to a login is an OK."""
    return received[3:5] == bytes([sequence, 0])


def response(**changes):
    parts = {"capabilities": MODERN | wire.CONNECT_WITH_DB, "user": b"app\0", "scramble": b"\x14" + b"x" * 20,
             "database": b"shop\0", "plugin": b"mysql_native_password\0", **changes}
    return (struct.pack("<IIB23x", parts["capabilities"] & 0xFFFFFFFF, 1 << 30, 45) + parts["user"] + parts["scramble"]
            + parts["database"] + parts["plugin"])


# -- before login --------------------------------------------------------------------------------------------


LOGINS = {
    "nothing": b"",
    "an empty packet": packet(b"", 1),
    "one byte": packet(b"\0", 1),
    "only capabilities": packet(response()[:4], 1),
    "cut in the head": packet(response()[:20], 1),
    "cut in the user": packet(response()[:34], 1),
    "cut in the scramble": packet(response()[:45], 1),
    "user without an end": packet(response()[:32] + b"u" * 100, 1),
    "endless user": packet(response(user=b"u" * 60_000 + b"\0"), 1),
    "no user": packet(response(user=b"\0"), 1),
    "scramble longer than the packet": packet(response(scramble=b"\xff" + b"x" * 20, database=b"", plugin=b""), 1),
    "scramble with a long length": packet(response(capabilities=MODERN | 1 << 21, scramble=b"\xfe" + b"\xff" * 8), 1),
    "scramble with NULL for a length": packet(response(capabilities=MODERN | 1 << 21, scramble=b"\xfb"), 1),
    "attributes longer than the packet": packet(response(capabilities=MODERN | wire.CONNECT_ATTRIBUTES | 8)
                                                + b"\xfe" + b"\xff" * 8, 1),
    "attributes that lie": packet(response(capabilities=MODERN | wire.CONNECT_ATTRIBUTES | 8) + b"\x05\xfd\xff\xff\xff", 1),
    "before 4.1": packet(response(capabilities=MODERN & ~wire.PROTOCOL_41), 1),
    "a wrong packet number": packet(response(), 7),
    "number 0": packet(response(), 0),
    "16 MiB announced": b"\xff\xff\xff\1",
    "16 MiB announced, some sent": b"\xff\xff\xff\1" + b"x" * 100_000,
    "a query": command(wire.QUERY, "SELECT 1"),
    "quit": command(wire.QUIT),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS without asking": b"\x16\x03\x01\x00\x05hello",
    "PostgreSQL": struct.pack("!ii", 8, 80877103),
    "zeros": b"\0" * 100,
    "ones": b"\xff" * 100,
    "TLS asked for and plain text behind it": packet(response(capabilities=MODERN | wire.TLS)[:32], 1) + packet(response(), 2),
    "TLS asked for and garbage": packet(response(capabilities=MODERN | wire.TLS)[:32], 1) + os.urandom(1000),
}


@pytest.mark.parametrize("name", LOGINS)
def test_instead_of_a_login(blog, name):
    with MySqlWire(blog.port) as client:
        client.greeting()
        client.send(LOGINS[name])
        client.socket.shutdown(socket.SHUT_WR)
        received = ends(client)
        assert not got_in(received, 2) and not got_in(received, 3), "this got in"


def test_leaving_in_the_middle_of_a_tls_handshake(blog):
    for _ in range(20):
        with MySqlWire(blog.port) as client:
            client.greeting()
            client.send_packet(response(capabilities=MODERN | wire.TLS)[:32])
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with pytest.raises(ssl.SSLWantReadError):
                context.wrap_bio(incoming, outgoing).do_handshake()
            with contextlib.suppress(ConnectionError):
                client.send(outgoing.read()[:100])


@pytest.mark.parametrize("user", ["app", "app_ed25519", "app_empty", "locked", "nobody_of_that_name"])
@pytest.mark.parametrize("scramble", [b"", b"x", b"x" * 19, b"x" * 20, b"x" * 21, b"\0" * 20, b"p" * 250])
def test_instead_of_a_password(blog, user, scramble):
    with MySqlWire(blog.port) as client:
        client.greeting()
        client.capabilities = MODERN
        client.send_packet(wire.handshake_response(user, scramble, "shop"))
        if user == "app_empty" and not scramble:
            return  # that is its password
        try:
            payload = client.receive_answer()
            while payload[:1] == b"\xfe":  # another plugin is asked for
                client.send_packet(scramble)
                payload = client.receive_answer()
            assert payload[:1] != b"\0", "this got in"
        except Refused as refused:
            assert refused.number in (1045, 1043, 1251, 4151, 1835), refused
        except (Closed, ConnectionError):
            pass


def test_replayed_scramble_is_worth_nothing(blog):
    """What one login sent does not open a second one."""
    with MySqlWire(blog.port) as client:
        client.log_in("app", PASSWORDS["app"])
        recorded = wire.native_scramble(PASSWORDS["app"], client.salt)
    with MySqlWire(blog.port) as thief:
        thief.greeting()
        thief.send_packet(wire.handshake_response("app", recorded, "shop"))
        with pytest.raises(Refused) as refused:
            thief.receive_answer()
        assert refused.value.number == 1045


# -- after login ---------------------------------------------------------------------------------------------


@pytest.fixture(params=[MODERN, CLASSIC], ids=["modern", "classic"])
def client(blog, request):
    with MySqlWire(blog.port) as connection:
        connection.log_in("app", PASSWORDS["app"], capabilities=request.param)
        yield connection


COMMANDS = {
    "an empty packet": packet(b""),
    "a number out of order": packet(b"\x03SELECT 1", 5),
    "prepared, nothing behind": command(wire.STMT_EXECUTE),
    "prepared, half an id": command(wire.STMT_EXECUTE, b"\1\0"),
    "no such statement": command(wire.STMT_EXECUTE, struct.pack("<IBI", 4711, 0, 1)),
    "fetch, nothing behind": command(wire.STMT_FETCH),
    "fetch of nothing": command(wire.STMT_FETCH, struct.pack("<II", 4711, 1)),
    "reset, nothing behind": command(wire.STMT_RESET),
    "long data, nothing behind": command(wire.STMT_SEND_LONG_DATA),
    "long data of nothing": command(wire.STMT_SEND_LONG_DATA, struct.pack("<IH", 4711, 9) + b"x" * 1000),
    "close, nothing behind": command(wire.STMT_CLOSE),
    "close, half an id": command(wire.STMT_CLOSE, b"\1"),
    "set option, nothing behind": command(wire.SET_OPTION),
    "set option of nothing": command(wire.SET_OPTION, b"\x09\0"),
    "change user, nothing behind": command(wire.CHANGE_USER),
    "change user without an end": command(wire.CHANGE_USER, b"app"),
    "change user, scramble too long": command(wire.CHANGE_USER, b"app\0\xffxxx"),
    "field list, nothing behind": command(wire.FIELD_LIST),
    "an unknown command": command(0x77, b"x" * 100),
    "a query that is no text": command(wire.QUERY, b"\xff\xfe\0\1\2" * 50),
    "an open quote": command(wire.QUERY, b"SELECT '"),
    "an open comment": command(wire.QUERY, b"SELECT /*! 1"),
    "deep parentheses": command(wire.QUERY, b"SELECT " + b"(" * 100_000),
    "zeros": b"\0" * 64,
    "ones": b"\xff" * 64,
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_instead_of_a_command(client, name):
    client.send(COMMANDS[name])
    client.socket.shutdown(socket.SHUT_WR)
    ends(client)


@pytest.mark.parametrize("body", [b"", b"\0" * 3, struct.pack("<BI", 0, 1), struct.pack("<BI", 0, 1) + b"\0\1",
                                  struct.pack("<BI", 0, 1) + b"\0\1\xfd\0\xfd\0", struct.pack("<BI", 0, 1) + b"\0\0",
                                  struct.pack("<BI", 0, 1) + b"\0\1\xfd\0\xfd\0\xfe" + b"\xff" * 8,
                                  struct.pack("<BI", 255, 2**32 - 1) + b"\xff" * 40], ids=lambda body: body.hex()[:24] or "nothing")
def test_executions_that_make_no_sense(client, body):
    """An error is enough; closing is allowed too."""
    statement = client.prepare("SELECT ?, ?")
    try:
        client.start(wire.STMT_EXECUTE, struct.pack("<I", statement.id) + body)
        with contextlib.suppress(Refused):
            client.results(binary=True)
        assert client.value("SELECT 'in step'") == "in step"
    except (Closed, ConnectionError):
        pass


def test_half_a_command_and_gone(blog):
    for data in (b"\1", b"\5\0\0", command(wire.QUERY, "SELECT 1")[:-1], b"\xff\xff\xff\0\3SELECT",
                 command(wire.STMT_PREPARE, "SELECT ?")[:6]):
        with MySqlWire(blog.port) as client:
            client.log_in("app", PASSWORDS["app"])
            client.send(data)


def test_many_prepared_statements_are_bounded(blog, client):
    """Never closed, never used. MariaDB has a limit of its own; the proxy must not swell."""
    before = blog.memory()
    with contextlib.suppress(Refused, Closed, ConnectionError):
        for i in range(5000):
            client.prepare(f"SELECT {i}, 'a statement of its own'")
    assert blog.memory() - before < 32 * MIB
    client.close()


def test_pipeline_that_never_ends_is_bounded(blog, client):
    """Queries as fast as the socket takes them; nothing is read back."""
    before = blog.memory()
    batch = command(wire.QUERY, "SELECT REPEAT('x', 1000)") * 100
    client.socket.settimeout(2)
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _ in range(3000):
            client.socket.sendall(batch)
    assert blog.memory() - before < 24 * MIB


@pytest.mark.parametrize("seed", range(6))
def test_random_bytes(blog, seed):
    """Noise at every stage; prints what replays it."""
    print(f"seed {seed}")
    dice = random.Random(seed)
    commands = [command(wire.QUERY, "SELECT 1"), command(wire.STMT_PREPARE, "SELECT ?"), command(wire.PING),
                command(wire.STMT_EXECUTE, struct.pack("<IBI", 1, 0, 1) + b"\0\1\x08\0" + b"\5" + b"\0" * 7),
                command(wire.STMT_CLOSE, b"\1\0\0\0"), command(wire.STMT_RESET, b"\1\0\0\0"), command(wire.QUERY, "BEGIN"),
                command(wire.INIT_DB, "shop"), command(wire.RESET_CONNECTION), command(wire.STATISTICS),
                command(wire.STMT_SEND_LONG_DATA, b"\1\0\0\0\0\0data"), command(wire.SET_OPTION, b"\0\0"),
                command(wire.STMT_FETCH, struct.pack("<II", 1, 1))]
    for _ in range(30):
        with MySqlWire(blog.port) as client:
            try:
                data = bytearray(b"".join(dice.choice(commands) for _ in range(dice.randrange(1, 12))))
                if dice.random() < 0.5:
                    client.log_in("app", PASSWORDS["app"], capabilities=dice.choice([MODERN, CLASSIC]))
                else:
                    client.greeting()
                    if dice.random() < 0.7:
                        data = bytearray(packet(response(), 1))
                for _ in range(dice.randrange(0, 4)):
                    data[dice.randrange(len(data))] = dice.randrange(256)
                if dice.random() < 0.3:
                    data = bytearray(dice.randbytes(dice.randrange(1, 3000)))
                client.send(bytes(data))
                client.socket.shutdown(socket.SHUT_WR)
                ends(client)
            except (Closed, Refused, ConnectionError):
                pass


def test_a_storm_of_wrong_passwords(blog):
    """The servers do not lock the proxy's address out for it (max_connect_errors)."""
    def attack():
        for _ in range(25):
            with contextlib.suppress(Refused, Closed, ConnectionError), MySqlWire(blog.port) as client:
                client.log_in("app", "wrong")

    attackers = [threading.Thread(target=attack) for _ in range(8)]
    for attacker in attackers:
        attacker.start()
    with MySqlWire(blog.port) as client:
        client.log_in("app", PASSWORDS["app"])
        for _ in range(20):
            assert client.value("SELECT 1") == "1"
    for attacker in attackers:
        attacker.join(60)
        assert not attacker.is_alive()


def test_silent_connections_do_not_keep_others_out(blog):
    silent = [socket.create_connection(("127.0.0.1", blog.port)) for _ in range(300)]
    try:
        with MySqlWire(blog.port) as client:
            client.log_in("app", PASSWORDS["app"])
            assert client.value("SELECT 1") == "1"
    finally:
        for connection in silent:
            connection.close()


# -- servers that lie ----------------------------------------------------------------------------------------


_GREETING = (b"\x0a5.5.5-10.11.0-MariaDB\0" + struct.pack("<I", 1) + b"saltsalt\0" + b"\xff\xf7\x2d\2\0\xff\x81\x15"
             + b"\0" * 10 + b"saltsaltsalt\0" + b"mysql_native_password\0")
LIES = {
    "not a protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a greeting of nothing": packet(b""),
    "a protocol of its own": packet(b"\x09old\0"),
    "a version without an end": packet(b"\x0a" + b"v" * 1000),
    "16 MiB announced": b"\xff\xff\xff\0\x0a",
    "blocked": packet(b"\xff\x69\x04Host is blocked"),
    "an error of nothing": packet(b"\xff"),
    "an OK without a login": packet(_GREETING) + packet(b"\0\0\0\2\0\0\0", 2) * 1000,
    "another plugin for ever": packet(_GREETING) + b"".join(
        packet(b"\xfemysql_native_password\0" + b"s" * 20 + b"\0", 2 * i + 2) for i in range(100)),
    "a plugin that wants the password": packet(_GREETING) + packet(b"\xfemysql_clear_password\0", 2),
    "nothing": b"",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_server_that_lies_is_not_used(start_proxy, shared_maria, lie):
    port = free_port()
    liar = socket.create_server(("127.0.0.1", port))
    heard = []

    def serve():
        while True:
            try:
                connection, _ = liar.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                connection.sendall(LIES[lie])
                while more := connection.recv(1000):
                    heard.append(more)

    threading.Thread(target=serve, daemon=True).start()
    try:
        def add_liar(proxy):
            proxy.settings["cluster"]["blog"]["servers"].append({"name": "liar", "address": f"127.0.0.1:{port}"})

        proxy = start_proxy(shared_maria, before_start=add_liar)
        wait_until(lambda: proxy.metrics().state_of("liar") not in ("up", None), "the liar is not up")
        for _ in range(10):
            with contextlib.closing(proxy.connect()) as connection:
                assert value(connection, "SELECT 1") == 1
        assert proxy.memory() < 64 * MIB
        assert b"service-secret" not in b"".join(heard), "the service account's password was told to a liar"
    finally:
        liar.shutdown(socket.SHUT_RDWR)
        liar.close()
