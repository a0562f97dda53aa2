"""Peers of the admin address that never finish, or ask for too much: it goes on answering others."""

import contextlib
import socket
import time
import urllib.request

import pytest

from harness.postgres import PASSWORDS
from harness.processes import open_descriptors
from harness.waiting import wait_until
from wire import Wire

pytestmark = pytest.mark.proxy_only

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def the_proxy_is_unharmed(shop):
    is_serving(shop)  # leaves connections to servers in the pool
    memory, descriptors = shop.memory(), open_descriptors(shop.process.pid)
    yield
    is_serving(shop)
    assert shop.get("/healthz") == (200, "ok\n")
    wait_until(lambda: open_descriptors(shop.process.pid) <= descriptors + 8, "descriptors are given back")
    assert shop.memory() - memory < 16 * MIB


def is_serving(shop):
    with Wire(shop.port) as client:
        client.log_in("app", PASSWORDS["app"])
        assert client.value("SELECT 1") == "1"


def call(shop, data=b""):
    connection = socket.create_connection(("127.0.0.1", shop.admin_port), 30)
    connection.sendall(data)
    return connection


def is_healthy(shop, patience=5):
    """As a watcher asks, that restarts what does not answer for some seconds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{shop.admin_port}/healthz", timeout=patience) as answer:
        return answer.status == 200


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
                                   b"POST /api/v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"],
                         ids=["nothing", "half a head", "half a body"])
def test_requests_that_are_never_finished_keep_nobody_out(shop, begun):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(call(shop, begun))
        for _ in range(5):
            assert is_healthy(shop)
            for _ in range(20):
                stack.enter_context(call(shop, begun))


def test_answers_that_are_never_read_keep_nobody_out(shop):
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.settimeout(30)
            connection.connect(("127.0.0.1", shop.admin_port))
            stack.enter_context(connection)
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(5):
            assert is_healthy(shop)


def outcome(connection):
    """All that is answered."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65536):
            received += more
    return received


@pytest.mark.parametrize("head", [
    b"GET /" + b"a" * MIB + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * MIB + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    b"GET /?" + b"a=b&" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /api/v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/v1/pause HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n",
    b"POST /api/v1/pause HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"\0" * 100_000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
], ids=range(10))
def test_heads_that_make_no_sense(shop, head):
    with call(shop) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head)
        began = time.monotonic()
        assert b" 200 " not in outcome(connection)[:20]
        assert time.monotonic() - began < 25


def test_bodies_that_are_too_long(shop):
    """With and without a length."""
    for head in (b"Content-Length: 10000000", b"Transfer-Encoding: chunked"):
        with call(shop, b"POST /api/v1/pause HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n") as connection:
            piece = b"x" * 65536 if b"Length" in head else b"10000\r\n" + b"x" * 65536 + b"\r\n"
            with contextlib.suppress(ConnectionError, TimeoutError):
                for _ in range(10_000_000 // 65536):
                    connection.sendall(piece)
            assert b" 200 " not in outcome(connection)[:20]


def test_json_that_goes_deep_or_says_little(shop):
    for body in (b"[" * 60_000, b'{"a":' * 10_000, b'{"session": 1e999}', b'{"session": -1}', b'{"cluster": "\xff\xfe"}',
                 b'{"cluster": "shop", "timeout": "99999999999999999999h"}', b"\0", b"{}" * 1000):
        for path in (b"pause", b"kill", b"server-state", b"reload"):
            with call(shop, b"POST /api/v1/" + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + str(len(body)).encode()
                      + b"\r\n\r\n" + body) as connection:
                assert outcome(connection).startswith(b"HTTP/1.1 403 ")
