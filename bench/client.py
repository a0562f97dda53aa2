#!/usr/bin/python3
"""A PostgreSQL client that costs next to nothing, for what pgbench does not measure.

    client.py copy-out PORT SQL (tls|plain)     runs COPY ... TO STDOUT; prints bytes received and seconds
    client.py copy-in PORT SQL MB (tls|plain)   runs COPY ... FROM STDIN with MB megabytes; prints the same
    client.py idle PORT COUNT (tls|plain)       opens logged-in connections on request, see idle()

It logs in as the user and database "bench" without a password, on 127.0.0.1.
"""

import socket
import ssl
import struct
import sys
import time

READY = b"Z\x00\x00\x00\x05I"
WARM_CONNECTIONS = 20


def connect(port, tls=False):
    """A connection that has logged in and waits for a statement."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if tls:
        sock.sendall(struct.pack("!ii", 8, 80877103))
        if sock.recv(1) != b"S":
            raise RuntimeError(f"port {port} refuses TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        sock = context.wrap_socket(sock)
    parameters = b"user\0bench\0database\0bench\0\0"
    sock.sendall(struct.pack("!ii", 8 + len(parameters), 196608) + parameters)
    until_ready(sock)
    return sock


def until_ready(sock):
    """Reads answers up to ReadyForQuery outside a transaction. Small answers only."""
    data = b""
    while not data.endswith(READY):
        more = sock.recv(65536)
        if not more:
            raise RuntimeError(f"connection closed after {data[-200:]!r}")
        data += more
        if data[:1] == b"E":
            raise RuntimeError(f"refused: {data!r}")
    return data


def query_message(sql):
    body = sql.encode() + b"\0"
    return b"Q" + struct.pack("!i", 4 + len(body)) + body


def query(sock, sql):
    sock.sendall(query_message(sql))
    return until_ready(sock)


def copy_out(port, sql, tls):
    sock = connect(port, tls)
    buffer = memoryview(bytearray(262144))
    received = 0
    begin = time.monotonic()
    sock.sendall(query_message(sql))
    # The end is recognised by the last six bytes: a row can't hold the zero bytes of a message head.
    tail = b""
    while tail != READY:
        got = sock.recv_into(buffer)
        if got == 0:
            raise RuntimeError("connection closed during COPY")
        received += got
        tail = (tail + bytes(buffer[max(0, got - 6) : got]))[-6:]
    print(received, time.monotonic() - begin)


def copy_in(port, sql, megabytes, tls):
    sock = connect(port, tls)
    row = b"1234567\tshort row 1234567\n"
    message = b"d" + struct.pack("!i", 4 + len(row)) + row
    chunk = message * (65536 // len(message))
    begin = time.monotonic()
    sock.sendall(query_message(sql))
    if sock.recv(65536)[:1] != b"G":
        raise RuntimeError("COPY FROM STDIN was refused")
    sent = 0
    while sent < megabytes * 1_000_000:
        sock.sendall(chunk)
        sent += len(chunk)
    sock.sendall(b"c" + struct.pack("!i", 4))
    until_ready(sock)
    print(sent, time.monotonic() - begin)


def idle(port, count, tls):
    """Opens a few connections, prints a line, waits for one; opens the rest, prints a line, waits; leaves.

    Each connection runs one statement, so that every proxy has given it a server connection.
    """
    connections = []
    for goal in (WARM_CONNECTIONS, count):
        while len(connections) < goal:
            connections.append(connect(port, tls))
            query(connections[-1], "select 1")
        print("open", len(connections), flush=True)
        sys.stdin.readline()
    for sock in connections:
        sock.close()


def main(arguments):
    command, port, tls = arguments[0], int(arguments[1]), arguments[-1] == "tls"
    if command == "copy-out":
        copy_out(port, arguments[2], tls)
    elif command == "copy-in":
        copy_in(port, arguments[2], int(arguments[3]), tls)
    elif command == "idle":
        idle(port, int(arguments[2]), tls)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
