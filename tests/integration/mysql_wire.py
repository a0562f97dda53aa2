"""A MySQL client that speaks in bytes: what it sends and what it is told are packets, and their numbers are checked.

Reads answers as the capabilities it logged in with say: with the classic EOF packets or without.
"""

import hashlib
import socket
import ssl
import struct

# Capabilities.
LONG_PASSWORD, FOUND_ROWS, LONG_FLAG, CONNECT_WITH_DB = 1, 2, 4, 8
COMPRESS, LOCAL_FILES, PROTOCOL_41, TLS, TRANSACTIONS = 1 << 5, 1 << 7, 1 << 9, 1 << 11, 1 << 13
SECURE_CONNECTION, MULTI_STATEMENTS, MULTI_RESULTS, PS_MULTI_RESULTS = 1 << 15, 1 << 16, 1 << 17, 1 << 18
PLUGIN_AUTH, CONNECT_ATTRIBUTES, SESSION_TRACK, DEPRECATE_EOF = 1 << 19, 1 << 20, 1 << 23, 1 << 24
CLASSIC = (LONG_PASSWORD | LONG_FLAG | LOCAL_FILES | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION | MULTI_RESULTS
           | PS_MULTI_RESULTS | PLUGIN_AUTH)
MODERN = CLASSIC | SESSION_TRACK | DEPRECATE_EOF

# Commands.
(QUIT, INIT_DB, QUERY, FIELD_LIST, STATISTICS, PING, CHANGE_USER, STMT_PREPARE, STMT_EXECUTE, STMT_SEND_LONG_DATA, STMT_CLOSE,
 STMT_RESET, SET_OPTION, STMT_FETCH, RESET_CONNECTION) = (1, 2, 3, 4, 9, 14, 17, 22, 23, 24, 25, 26, 27, 28, 31)

# Status flags.
IN_TRANSACTION, AUTOCOMMIT, MORE_RESULTS, CURSOR_EXISTS, LAST_ROW_SENT, STATE_CHANGED = 1, 2, 8, 64, 128, 16384

LONGEST = 0xFFFFFF


class Closed(Exception):
    """The proxy closed the connection."""


class Refused(Exception):
    """An ERR packet: `number` and `sqlstate`."""

    def __init__(self, payload):
        self.number = struct.unpack_from("<H", payload, 1)[0]
        text = payload[3:]
        self.sqlstate = text[1:6].decode() if text[:1] == b"#" else None
        self.text = text[6:].decode(errors="replace") if text[:1] == b"#" else text.decode(errors="replace")
        super().__init__(f"{self.number} ({self.sqlstate}): {self.text}")


def lenenc(number):
    if number < 251:
        return bytes([number])
    if number < 1 << 16:
        return b"\xfc" + struct.pack("<H", number)
    if number < 1 << 24:
        return b"\xfd" + struct.pack("<I", number)[:3]
    return b"\xfe" + struct.pack("<Q", number)


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return lenenc(len(data)) + data


class Reader:
    """Takes values from the front of a payload."""

    def __init__(self, payload, at=0):
        self.payload, self.at = payload, at

    def integer(self, size):
        found = int.from_bytes(self.payload[self.at:self.at + size], "little")
        self.at += size
        return found

    def lenenc(self):
        """None for NULL."""
        first = self.integer(1)
        if first == 0xFB:
            return None
        return self.integer({0xFC: 2, 0xFD: 3, 0xFE: 8}[first]) if first > 0xFB else first

    def string(self):
        length = self.lenenc()
        if length is None:
            return None
        self.at += length
        return self.payload[self.at - length:self.at]

    def rest(self):
        return self.payload[self.at:]


class Ok:
    """The end of an answer: an OK, or the EOF in its place."""

    def __init__(self, payload, capabilities, classic_eof=False):
        self.affected = self.insert_id = 0
        self.info, self.tracked = b"", b""
        reader = Reader(payload, 1)
        if classic_eof:
            self.warnings, self.status = reader.integer(2), reader.integer(2)
            return
        self.affected, self.insert_id = reader.lenenc(), reader.lenenc()
        self.status, self.warnings = reader.integer(2), reader.integer(2)
        if not capabilities & SESSION_TRACK:
            self.info = reader.rest()
        elif reader.at < len(payload):
            self.info = reader.string()
            if self.status & STATE_CHANGED:
                self.tracked = reader.string()
            assert reader.at == len(payload), f"{len(payload) - reader.at} bytes behind an OK"


class Result:
    """One result: `rows` (None when there was no result set), `columns` as (name, type), and its end."""

    def __init__(self, columns=None, rows=None, end=None):
        self.columns, self.rows, self.end = columns, rows, end


class Prepared:
    def __init__(self, id, columns, parameters):
        self.id, self.columns, self.parameters = id, columns, parameters


def native_scramble(password, salt):
    if not password:
        return b""
    first = hashlib.sha1(password.encode()).digest()
    second = hashlib.sha1(salt + hashlib.sha1(first).digest()).digest()
    return bytes(a ^ b for a, b in zip(first, second))


def packet(payload, sequence=0):
    """Payload in packets; one that fills the last of them is followed by an empty one."""
    parts, at = [], 0
    while True:
        piece = payload[at:at + LONGEST]
        parts.append(struct.pack("<I", len(piece))[:3] + bytes([sequence & 255]) + piece)
        at += len(piece)
        sequence += 1
        if len(piece) < LONGEST:
            return b"".join(parts)


def command(code, payload=b""):
    return packet(bytes([code]) + (payload.encode() if isinstance(payload, str) else payload))


def handshake_response(user, scramble, database=None, capabilities=MODERN, collation=45, plugin="mysql_native_password"):
    if database is not None:
        capabilities |= CONNECT_WITH_DB
    return (struct.pack("<IIB23x", capabilities & 0xFFFFFFFF, 1 << 30, collation) + user.encode() + b"\0"
            + bytes([len(scramble)]) + scramble + (database.encode() + b"\0" if database is not None else b"")
            + (plugin.encode() + b"\0" if capabilities & PLUGIN_AUTH else b""))


class MySqlWire:
    def __init__(self, port, host="127.0.0.1", timeout=20):
        self.socket = socket.create_connection((host, port), timeout)
        self.buffer = b""
        self.sequence = 0  # of the next packet, in either direction
        self.capabilities = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # -- packets ----------------------------------------------------------------------------------------

    def send(self, *data):
        self.socket.sendall(b"".join(data))

    def send_packet(self, payload):
        """The next one of a conversation that is under way."""
        self.send(packet(payload, self.sequence))
        self.sequence = (self.sequence + len(payload) // LONGEST + 1) & 255

    def exactly(self, count):
        pieces, have = [self.buffer], len(self.buffer)
        while have < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise Closed(f"with {have} of {count} bytes")
            pieces.append(more)
            have += len(more)
        joined = b"".join(pieces)
        self.buffer = joined[count:]
        return joined[:count]

    def receive(self):
        """The next payload, of all its packets; their numbers must be the ones that follow."""
        parts = []
        while True:
            head = self.exactly(4)
            length = int.from_bytes(head[:3], "little")
            assert head[3] == self.sequence, f"packet {head[3]} came where {self.sequence} was due"
            self.sequence = (self.sequence + 1) & 255
            parts.append(self.exactly(length))
            if length < LONGEST:
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def receive_answer(self):
        payload = self.receive()
        if payload[:1] == b"\xff":
            raise Refused(payload)
        return payload

    def is_silent_for(self, seconds):
        """True when nothing comes by itself, not even an end."""
        patience = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            return not self.buffer and self.socket.recv(1) == b"never"
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(patience)

    # -- login ------------------------------------------------------------------------------------------

    def greeting(self):
        """Reads the server's first packet: sets version, connection_id and salt."""
        payload = self.receive_answer()
        assert payload[0] == 10
        end = payload.index(b"\0", 1)
        reader = Reader(payload, end + 1)
        self.version = payload[1:end].decode()
        self.connection_id = reader.integer(4)
        salt = payload[reader.at:reader.at + 8]
        reader.at += 9
        offered = reader.integer(2)
        reader.at += 3
        self.offered = offered | reader.integer(2) << 16
        reader.at += 11
        self.salt = salt + payload[reader.at:reader.at + 12]
        self.plugin = payload[reader.at + 13:].rstrip(b"\0").decode()

    def start_tls(self, capabilities):
        self.send_packet(struct.pack("<IIB23x", capabilities | TLS, 1 << 30, 45))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def log_in(self, user="app", password="", database="shop", capabilities=MODERN, tls=False):
        self.greeting()
        self.capabilities = capabilities | (TLS if tls else 0)
        if tls:
            self.start_tls(capabilities)
        self.send_packet(handshake_response(user, native_scramble(password, self.salt), database, self.capabilities))
        return self.finish_login(password)

    def finish_login(self, password):
        payload = self.receive_answer()
        if payload[:1] == b"\xfe":
            plugin, _, salt = payload[1:].partition(b"\0")
            assert plugin == b"mysql_native_password", plugin
            self.send_packet(native_scramble(password, salt[:20]))
            payload = self.receive_answer()
        return Ok(payload, self.capabilities)

    def change_user(self, user, password, database="shop"):
        scramble = native_scramble(password, self.salt)
        self.start(CHANGE_USER, user.encode() + b"\0" + bytes([len(scramble)]) + scramble + database.encode() + b"\0"
                   + struct.pack("<H", 45) + b"mysql_native_password\0")
        return self.finish_login(password)

    # -- commands ---------------------------------------------------------------------------------------

    def start(self, code, payload=b""):
        """Sends a command, and leaves its answer to be read."""
        self.sequence = 0
        self.send_packet(bytes([code]) + (payload.encode() if isinstance(payload, str) else payload))

    def expect_next(self):
        """The answer that comes next is one to a command that was sent before the last one: its numbers begin anew."""
        self.sequence = 1

    def do(self, code, payload=b""):
        """For commands whose answer is an OK (or EOF)."""
        self.start(code, payload)
        return self.ok()

    def ok(self):
        payload = self.receive_answer()
        return Ok(payload, self.capabilities, classic_eof=payload[:1] == b"\xfe" and len(payload) < 6)

    def query(self, sql):
        """All results."""
        self.start(QUERY, sql)
        return self.results()

    def ask(self, sql):
        (result,) = self.query(sql)
        return result

    def value(self, sql):
        return self.ask(sql).rows[0][0].decode()

    def number_of_error(self, sql):
        try:
            self.query(sql)
        except Refused as refused:
            return refused.number
        return None

    def results(self, binary=False):
        found = []
        while True:
            found.append(self.result(binary))
            if not found[-1].end.status & MORE_RESULTS:
                return found

    def result(self, binary=False):
        payload = self.receive_answer()
        if payload[:1] == b"\0":
            return Result(end=Ok(payload, self.capabilities))
        assert payload[:1] != b"\xfb", "a file is asked for"
        columns = self.definitions(Reader(payload).lenenc())
        end = None if self.capabilities & DEPRECATE_EOF else self.eof()
        if end is not None and end.status & CURSOR_EXISTS:
            return Result(columns, [], end)
        return Result(columns, *self.rows(columns, binary))

    def definitions(self, count):
        columns = []
        for _ in range(count):
            reader = Reader(self.receive_answer())
            names = [reader.string() for _ in range(6)]
            reader.at += 1 + 2 + 4
            columns.append((names[4].decode(), reader.integer(1)))
        return columns

    def eof(self):
        payload = self.receive_answer()
        assert payload[:1] == b"\xfe" and len(payload) == 5, f"an EOF was due, came {payload[:20]!r}"
        return Ok(payload, self.capabilities, classic_eof=True)

    def rows(self, columns, binary):
        """Rows up to their end: (rows, end)."""
        found = []
        while True:
            payload = self.receive_answer()
            if payload[:1] == b"\xfe" and len(payload) < (LONGEST if self.capabilities & DEPRECATE_EOF else 6):
                return found, Ok(payload, self.capabilities, classic_eof=not self.capabilities & DEPRECATE_EOF)
            found.append(binary_row(payload, columns) if binary else text_row(payload, columns))

    # -- prepared statements ----------------------------------------------------------------------------

    def prepare(self, sql):
        self.start(STMT_PREPARE, sql)
        reader = Reader(self.receive_answer(), 1)
        id, columns, parameters = reader.integer(4), reader.integer(2), reader.integer(2)
        for count in (parameters, columns):
            if count:
                self.definitions(count)
                if not self.capabilities & DEPRECATE_EOF:
                    self.eof()
        return Prepared(id, columns, parameters)

    def execute(self, prepared, *arguments, **options):
        self.start(STMT_EXECUTE, execute_body(prepared, arguments, **options))
        return self.results(binary=True)

    def fetch(self, prepared, count, columns):
        self.start(STMT_FETCH, struct.pack("<II", prepared.id, count))
        return Result(columns, *self.fetched(columns))

    def fetched(self, columns):
        """Like rows(), but the end is the classic EOF or the OK in its place."""
        return self.rows(columns, True)


def text_row(payload, columns):
    reader = Reader(payload)
    row = [reader.string() for _ in columns]
    assert reader.at == len(payload), "bytes behind a row"
    return row


_FIXED = {1: 1, 2: 2, 3: 4, 8: 8, 9: 4, 13: 2}  # tiny, short, long, longlong, int24, year


def binary_row(payload, columns):
    nulls_at, reader = 1, Reader(payload, 1 + (len(columns) + 9) // 8)
    row = []
    for index, (_, type) in enumerate(columns):
        bit = index + 2
        if payload[nulls_at + bit // 8] >> bit % 8 & 1:
            row.append(None)
        elif type in _FIXED:
            row.append(reader.integer(_FIXED[type]))
        else:
            row.append(reader.string())
    assert reader.at == len(payload), "bytes behind a row"
    return row


def execute_body(prepared, arguments=(), types=True, cursor=False, long_data=()):
    """`types`: whether the parameters' types are sent, as a client must the first time; `long_data`: the indexes of
    parameters that were sent before."""
    body = struct.pack("<IBI", prepared.id, 1 if cursor else 0, 1)
    if not arguments:
        return body
    nulls = bytearray((len(arguments) + 7) // 8)
    kinds = values = b""
    for index, argument in enumerate(arguments):
        if argument is None:
            nulls[index // 8] |= 1 << index % 8
        kinds += struct.pack("<H", 8 if isinstance(argument, int) else 254 if argument is None else 253)
        if argument is None or index in long_data:
            continue
        values += struct.pack("<q", argument) if isinstance(argument, int) else string(argument)
    return body + bytes(nulls) + (b"\1" + kinds if types else b"\0") + values
