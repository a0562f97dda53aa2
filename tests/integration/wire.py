"""A PostgreSQL client that does exactly what a test tells it, byte for byte where that is the point.

    wire = Wire(port)
    wire.log_in("app", "secret", database="shop")
    wire.send(parse("", "SELECT 1"), bind(), execute(), sync())
    messages = wire.until_ready()
"""

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import ssl
import struct

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
GSSENC_REQUEST = struct.pack("!ii", 8, 80877104)


# -- messages to send -----------------------------------------------------------------------------------


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def startup(version=PROTOCOL_3_0, **parameters):
    body = struct.pack("!i", version)
    for name, value in parameters.items():
        body += text(name) + text(value)
    body += b"\0"
    return struct.pack("!i", len(body) + 4) + body


def query(sql):
    return message(b"Q", text(sql))


def parse(name, sql, types=()):
    return message(b"P", text(name) + text(sql) + struct.pack("!h", len(types))
                   + b"".join(struct.pack("!I", oid) for oid in types))


def bind(portal="", statement="", values=(), result_format=0):
    body = text(portal) + text(statement) + struct.pack("!hh", 0, len(values))
    for value in values:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            value = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!i", len(value)) + value
    return message(b"B", body + struct.pack("!hh", 1, result_format))


def describe(kind, name=""):
    """`kind` is "S" for a statement or "P" for a portal."""
    return message(b"D", kind.encode() + text(name))


def execute(portal="", rows=0):
    return message(b"E", text(portal) + struct.pack("!i", rows))


def close(kind, name=""):
    return message(b"C", kind.encode() + text(name))


def sync():
    return message(b"S")


def flush():
    return message(b"H")


def terminate():
    return message(b"X")


def copy_data(data):
    return message(b"d", data)


def copy_done():
    return message(b"c")


def copy_fail(why):
    return message(b"f", text(why))


def function_call(oid, values):
    body = struct.pack("!Ihh", oid, 0, len(values))
    for value in values:
        body += struct.pack("!i", len(value)) + value
    return message(b"F", body + struct.pack("!h", 0))


def cancel_request(process, secret):
    return struct.pack("!iii", 12 + len(secret), 80877102, process) + secret


def statement(sql, values=(), name="", rows=0):
    """Parse, Bind, Describe and Execute of one statement, without Sync."""
    return parse(name, sql) + bind("", name, values) + describe("P") + execute("", rows)


# -- messages received ----------------------------------------------------------------------------------


class Message:
    """`kind` is the type as a letter, `body` what follows the length."""

    def __init__(self, kind, body):
        self.kind = kind
        self.body = body

    def __repr__(self):
        return f"{self.kind}{self.error if self.kind in 'EN' else self.body[:60]!r}"

    @property
    def error(self):
        """The fields of an ErrorResponse or NoticeResponse, by their letters."""
        return {part[:1].decode(): part[1:].decode(errors="replace") for part in self.body.split(b"\0") if part}

    @property
    def sqlstate(self):
        return self.error["C"]

    @property
    def row(self):
        """The columns of a DataRow as bytes or None."""
        count, at, columns = struct.unpack_from("!h", self.body)[0], 2, []
        for _ in range(count):
            (length,) = struct.unpack_from("!i", self.body, at)
            at += 4
            columns.append(None if length < 0 else self.body[at:at + length])
            at += max(length, 0)
        return columns

    @property
    def texts(self):
        """The zero-terminated texts of a CommandComplete or ParameterStatus."""
        return [part.decode() for part in self.body.split(b"\0")[:-1]]

    @property
    def notification(self):
        """(process, channel, payload)"""
        channel, payload, _ = self.body[4:].split(b"\0")
        return struct.unpack_from("!i", self.body)[0], channel.decode(), payload.decode()


def kinds(messages):
    """The types as one string, e.g. "12TDCZ"; asynchronous notices and parameter reports are left out."""
    return "".join(message.kind for message in messages if message.kind not in "NS")


def rows(messages):
    return [message.row for message in messages if message.kind == "D"]


def tags(messages):
    return [message.texts[0] for message in messages if message.kind == "C"]


def sqlstates(messages):
    return [message.sqlstate for message in messages if message.kind == "E"]


def transaction_status(messages):
    """The letter of the last ReadyForQuery."""
    return [message.body.decode() for message in messages if message.kind == "Z"][-1]


class Closed(Exception):
    """The other side ended the stream."""


class Wire:
    """One connection. Waits at most `timeout` seconds for anything, then raises TimeoutError."""

    def __init__(self, port, host="127.0.0.1", path=None, timeout=60):
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(str(path))
        else:
            self.socket = socket.create_connection((host, port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.parameters = {}
        self.process = None
        self.secret = None
        self.negotiated = None  # (newest minor version, unknown options) of NegotiateProtocolVersion

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.close()

    # -- bytes

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def send_slowly(self, data):
        """Every byte in a segment of its own."""
        for position in range(len(data)):
            self.socket.sendall(data[position:position + 1])

    def receive_exactly(self, size):
        while len(self.buffer) < size:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                raise Closed("reset") from None
            if not more:
                raise Closed(f"end of stream; unread: {self.buffer!r}")
            self.buffer += more
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def expect_end(self):
        """Reads until the stream ends; returns the messages that came before."""
        received = []
        try:
            while True:
                received.append(self.receive())
        except (Closed, ssl.SSLError, ConnectionError):
            return received

    # -- messages

    def receive(self):
        kind = self.receive_exactly(1).decode("latin-1")
        (length,) = struct.unpack("!i", self.receive_exactly(4))
        received = Message(kind, self.receive_exactly(length - 4))
        if kind == "S":
            name, value = received.texts
            self.parameters[name] = value
        return received

    def until(self, *wanted):
        """Everything up to and including the first message of one of these types."""
        received = []
        while not received or received[-1].kind not in wanted:
            received.append(self.receive())
        return received

    def until_ready(self):
        return self.until("Z")

    def ask(self, sql):
        """A simple query; its messages."""
        self.send(query(sql))
        return self.until_ready()

    def value(self, sql):
        """The first column of the first row, as text."""
        messages = self.ask(sql)
        assert not sqlstates(messages), messages
        return rows(messages)[0][0].decode()

    # -- login

    def request_tls(self, context=None, server_name="localhost"):
        """SSLRequest, then the handshake. Returns False when the server does not offer TLS."""
        self.send(SSL_REQUEST)
        if self.receive_exactly(1) != b"S":
            return False
        self.start_tls(context, server_name)
        return True

    def start_tls(self, context=None, server_name="localhost"):
        context = context or unverified_tls()
        self.socket = context.wrap_socket(self.socket, server_hostname=server_name)

    def log_in(self, user, password=None, database="shop", version=PROTOCOL_3_0, **parameters):
        """Startup and authentication by whatever is asked for, up to ReadyForQuery. Returns all messages since
        AuthenticationOk. An ErrorResponse raises LoginRefused."""
        self.send(startup(version, user=user, database=database, **parameters))
        self.authenticate(user, password)
        return self.after_authentication()

    def receive_login(self):
        received = self.receive()
        if received.kind == "E":
            raise LoginRefused(received)
        if received.kind == "v":
            newest, count = struct.unpack_from("!ii", received.body)
            options = [name.decode() for name in received.body[8:].split(b"\0")[:-1]]
            assert len(options) == count, received.body
            assert self.negotiated is None, "NegotiateProtocolVersion came twice"
            self.negotiated = (newest, options)
            return self.receive_login()
        return received

    def authenticate(self, user, password):
        """Answers what is asked for until AuthenticationOk; returns the method's name."""
        method = "trust"
        while True:
            received = self.receive_login()
            assert received.kind == "R", received
            (code,) = struct.unpack_from("!i", received.body)
            if code == 0:
                return method
            if code == 3:
                method = "password"
                self.send(message(b"p", text(password)))
            elif code == 5:
                method = "md5"
                self.send(message(b"p", text(md5_proof(user, password, received.body[4:8]))))
            elif code == 10:
                mechanisms = [name.decode() for name in received.body[4:].split(b"\0") if name]
                method = self._scram(password, mechanisms)
            else:
                raise AssertionError(f"authentication request {code}")

    def after_authentication(self):
        received = []
        while not received or received[-1].kind != "Z":
            received.append(self.receive_login())
            if received[-1].kind == "K":
                self.process = struct.unpack_from("!i", received[-1].body)[0]
                self.secret = received[-1].body[4:]
        return received

    def _scram(self, password, mechanisms):
        plus = "SCRAM-SHA-256-PLUS" in mechanisms and isinstance(self.socket, ssl.SSLSocket)
        mechanism = "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
        binding = b""
        header = "n,,"
        if plus:
            header = "p=tls-server-end-point,,"
            binding = hashlib.sha256(self.socket.getpeercert(True)).digest()  # of certificates signed with SHA-256
        first_bare = "n=,r=" + base64.b64encode(os.urandom(18)).decode()
        first = (header + first_bare).encode()
        self.send(message(b"p", text(mechanism) + struct.pack("!i", len(first)) + first))

        received = self.receive_login()
        assert received.kind == "R" and received.body[:4] == struct.pack("!i", 11), received
        server_first = received.body[4:].decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        assert fields["r"].startswith(first_bare[5:]), "the server's nonce does not begin with ours"
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = "c=" + base64.b64encode(header.encode() + binding).decode() + ",r=" + fields["r"]
        auth_message = ",".join((first_bare, server_first, without_proof)).encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), auth_message, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()
        self.send(message(b"p", f"{without_proof},p={proof}".encode()))

        received = self.receive_login()
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        expected = b"v=" + base64.b64encode(hmac.digest(server_key, auth_message, "sha256"))
        assert received.body[:4] == struct.pack("!i", 12) and received.body[4:] == expected, \
            "the server's signature is wrong"
        return mechanism


class LoginRefused(Exception):
    def __init__(self, received):
        super().__init__(str(received.error))
        self.sqlstate = received.sqlstate
        self.error = received.error


def md5_proof(user, password, salt):
    inner = hashlib.md5(password.encode() + user.encode()).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt).hexdigest()


def unverified_tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def cancel(wire, port, encrypted=False):
    """Cancels what `wire` is running, by a connection of its own to the same place."""
    with Wire(port) as other:
        if encrypted:
            assert other.request_tls()
        other.send(cancel_request(wire.process, wire.secret))
        other.expect_end()
