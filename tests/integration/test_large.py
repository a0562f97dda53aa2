"""Large messages and streams in bounded memory."""

import struct

import pytest

import wire
from harness.postgres import PASSWORDS
from harness.processes import reset_peak_memory
from wire import Wire, query, rows, sqlstates, tags

MIB = 1024 * 1024
MEMORY_LIMIT = 64 * MIB


@pytest.fixture
def client(shop):
    with Wire(shop.port, timeout=120) as connection:
        connection.log_in("app", PASSWORDS["app"])
        yield connection


@pytest.fixture
def bounded(shop):
    """Fails when the proxy's resident memory has passed the limit at any moment of the test."""
    if hasattr(shop, "memory"):
        reset_peak_memory(shop.process.pid)
    yield
    if hasattr(shop, "memory"):
        assert shop.memory("VmHWM") < MEMORY_LIMIT


def discard(client, size):
    """Reads and forgets `size` bytes, quickly."""
    taken = min(size, len(client.buffer))
    client.buffer = client.buffer[taken:]
    size -= taken
    scratch = bytearray(MIB)
    while size:
        got = client.socket.recv_into(scratch, min(size, len(scratch)))
        assert got, "end of stream"
        size -= got


def test_copy_in_of_a_gibibyte(client, bounded, table):
    """The rows are counted by a trigger-free trick: WHERE lets PostgreSQL read all and store few."""
    line = b"1\t" + b"x" * 1021 + b"\n"
    assert len(line) == 1024
    chunk = wire.copy_data(line * 64) * 16  # 1 MiB in messages of 64 KiB
    client.send(query(f"COPY {table} FROM STDIN WHERE id <> 1"))
    client.until("G")
    for _ in range(1024):
        client.socket.sendall(chunk)
    client.send(wire.copy_data(b"2\tlast\n"), wire.copy_done())
    assert tags(client.until_ready()) == ["COPY 1"]


def test_copy_out_of_a_gibibyte(client, bounded):
    lines = MIB
    client.send(query(f"COPY (SELECT repeat('x', 1023) FROM generate_series(1, {lines})) TO STDOUT"))
    client.until("H")
    discard(client, lines * (1 + 4 + 1024))  # each line is one CopyData
    messages = client.until_ready()
    assert [m.kind for m in messages] == ["c", "C", "Z"] and tags(messages) == [f"COPY {lines}"]


def test_large_query(client, bounded):
    size = 100 * MIB
    client.send(query(b"SELECT length('" + b"q" * size + b"')"))
    assert rows(client.until_ready()) == [[str(size).encode()]]


def test_large_parameter(client, bounded):
    size = 200 * MIB
    client.send(wire.parse("", "SELECT length($1::bytea)"))
    head = wire.text("") + wire.text("") + struct.pack("!hhhi", 1, 1, 1, size)
    tail = struct.pack("!h", 0)
    client.send(b"B" + struct.pack("!i", 4 + len(head) + size + len(tail)) + head)
    block = b"\1" * MIB
    for _ in range(size // MIB):
        client.socket.sendall(block)
    client.send(tail, wire.execute(), wire.sync())
    assert rows(client.until_ready()) == [[str(size).encode()]]


def test_large_row(client, bounded):
    size = 300 * MIB
    client.send(query(f"SELECT repeat('r', {size})"))
    assert client.receive().kind == "T"
    kind, length = struct.unpack("!ci", client.receive_exactly(5))
    assert (kind, length) == (b"D", 4 + 2 + 4 + size)
    discard(client, length - 4)
    assert tags(client.until_ready()) == ["SELECT 1"]


def test_large_row_written_and_read_back(client, bounded, table):
    size = 60 * MIB
    client.send(query(f"INSERT INTO {table} VALUES (1, '" + "w" * size + "')"))
    assert tags(client.until_ready()) == ["INSERT 0 1"]
    assert client.value(f"SELECT length(v) FROM {table}") == str(size)


def test_many_large_statements_in_a_transaction_with_an_error(client, bounded):
    """A large statement in a failed transaction is refused like a small one, and the stream stays in step."""
    client.ask("BEGIN")
    client.ask("SELECT 1/0")
    for _ in range(3):
        client.send(query(b"SELECT length('" + b"q" * (8 * MIB) + b"')"))
        assert sqlstates(client.until_ready()) == ["25P02"]
    client.ask("ROLLBACK")
    assert client.value("SELECT 'in step'") == "in step"
