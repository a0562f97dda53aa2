"""A scripted server that behaves like MySQL 8.0 as far as logins, probes and a handful of statements go, for no MySQL
is among Debian's packages. It speaks the protocol as its documentation has it: caching_sha2_password with fast and full
authentication, over TLS and by RSA, DEPRECATE_EOF, GTIDs in OK packets, prepared statements without results.

spec    MySQL Source Documentation, "Client/Server Protocol": "Connection Phase", "Caching_sha2_password", "OK_Packet"
"""

import contextlib
import hashlib
import os
import re
import socket
import ssl
import struct
import threading

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from harness.ports import free_port

PLUGIN = "caching_sha2_password"
SSL, PROTOCOL_41, DEPRECATE_EOF, SESSION_TRACK, QUERY_ATTRIBUTES = 1 << 11, 1 << 9, 1 << 24, 1 << 23, 1 << 27
CONNECT_WITH_DB, PLUGIN_AUTH, LENENC_AUTH, SECURE_CONNECTION = 1 << 3, 1 << 19, 1 << 21, 1 << 15
CAPABILITIES = (1 | 2 | 4 | CONNECT_WITH_DB | 0x10 | 0x80 | 0x100 | PROTOCOL_41 | 0x400 | SSL | 0x2000 | SECURE_CONNECTION | 1 << 16
                | 1 << 17 | 1 << 18 | PLUGIN_AUTH | 1 << 20 | LENENC_AUTH | SESSION_TRACK | DEPRECATE_EOF | QUERY_ATTRIBUTES)
IN_TRANSACTION, AUTOCOMMIT, STATE_CHANGED = 1, 2, 0x4000


# -- what MySQL stores of a password -------------------------------------------------------------------------


def sha256_crypt(password, salt, rounds=5000):
    """SHA-crypt's digest of 43 letters. spec: "Unix crypt using SHA-256 and SHA-512", without its limit on the salt."""
    def sha(data):
        return hashlib.sha256(data).digest()

    def stretch(digest, length):
        return (digest * (length // 32 + 1))[:length]

    b = sha(password + salt + password)
    a = password + salt + stretch(b, len(password))
    length = len(password)
    while length:
        a += b if length & 1 else password
        length >>= 1
    digest = sha(a)
    p = stretch(sha(password * len(password)), len(password))
    s = stretch(sha(salt * (16 + digest[0])), len(salt))
    for i in range(rounds):
        c = p if i & 1 else digest
        if i % 3:
            c += s
        if i % 7:
            c += p
        digest = sha(c + (digest if i & 1 else p))
    letters = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    order = [(0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14), (15, 25, 5), (6, 16, 26), (27, 7, 17),
             (18, 28, 8), (9, 19, 29)]
    groups = [(digest[x] << 16 | digest[y] << 8 | digest[z], 4) for x, y, z in order] + [(digest[31] << 8 | digest[30], 3)]
    return "".join(letters[value >> 6 * i & 63] for value, count in groups for i in range(count))


def stored_password(password):
    """The column authentication_string of mysql.user; MySQL's own salts are bytes below 128, none of them NUL or $."""
    if not password:
        return ""
    salt = bytes(33 + byte % 94 for byte in os.urandom(20)).replace(b"$", b"!")
    return "$A$005$" + salt.decode() + sha256_crypt(password.encode(), salt)


def scramble(password, salt):
    key = hashlib.sha256(password).digest()
    mask = hashlib.sha256(hashlib.sha256(key).digest() + salt).digest()
    return bytes(x ^ y for x, y in zip(key, mask))


# -- packets -------------------------------------------------------------------------------------------------


def number(value):
    """A length-encoded integer."""
    if value < 251:
        return bytes([value])
    return b"\xfc" + struct.pack("<H", value) if value < 1 << 16 else b"\xfd" + struct.pack("<I", value)[:3]


def text(value):
    """A length-encoded string; None is NULL, as in a row."""
    if value is None:
        return b"\xfb"
    data = value if isinstance(value, bytes) else str(value).encode()
    return number(len(data)) + data


def take_number(data):
    width = {0xfc: 2, 0xfd: 3, 0xfe: 8}.get(data[0], 0)
    if not width:
        return data[0], data[1:]
    return int.from_bytes(data[1:1 + width], "little"), data[1 + width:]


class Failure(Exception):
    def __init__(self, number, sqlstate, message):
        super().__init__(message)
        self.packet = b"\xff" + struct.pack("<H", number) + b"#" + sqlstate.encode() + message.encode()


class Rows:
    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows


# -- the server ----------------------------------------------------------------------------------------------


class FakeMySql:
    """One server. A test reads `logins`, pairs of a user and how it proved itself (fast, tls, rsa, empty, refused), and
    `unknown`, the statements that nobody has written an answer for."""

    def __init__(self, name, number, certificate):
        self.name, self.number = name, number
        self.port = free_port()
        self.users = {}              # name: (password, what is stored of it)
        self.retained = {}           # the same of the password before it, where that is valid still
        self.proven = set()          # the users whose passwords have been seen: the cache of caching_sha2_password
        self.logins, self.statements, self.unknown = [], [], []
        self.attributes = []         # of statements that had some: names and values
        self.source = None           # the FakeMySql that this one replicates from
        self.executed = 0            # how many of the primary's transactions it has
        self.uuid = f"00000000-0000-0000-0000-{number:012}"
        self.history_uuid = self.uuid
        self.read_only = False
        self.lock = threading.Lock()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.connections = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __repr__(self):
        return f"{self.name}:{self.port}"

    def is_running(self):
        return self.listener.fileno() != -1

    def add_user(self, name, password):
        self.users[name] = (password, stored_password(password))

    def gtids(self):
        return f"{self.history_uuid}:1-{self.executed}" if self.executed else ""

    def write(self):
        """One more transaction; returns its GTID."""
        with self.lock:
            self.executed += 1
            return f"{self.history_uuid}:{self.executed}"

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        for connection_id in range(1, 1 << 30):
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections.add(client)
            threading.Thread(target=self._serve, args=(client, connection_id), daemon=True).start()

    def _serve(self, client, connection_id):
        session = FakeSession(self, client, connection_id)
        try:
            if session.log_in():
                while session.serve_command():
                    pass
        except (OSError, EOFError):
            pass  # the client has left
        finally:
            self.connections.discard(client)
            session.socket.close()


class FakeSession:
    def __init__(self, server, client, connection_id):
        self.server, self.socket, self.connection_id = server, client, connection_id
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sequence = 0
        self.capabilities = 0
        self.user = None
        self.is_encrypted = False
        self.in_transaction = False
        self.tracks_gtids = False
        self.prepared = {}

    # -- packets ----------------------------------------------------------------------------------------

    def read_exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def receive(self):
        head = self.read_exactly(4)
        self.sequence = head[3] + 1 & 255
        return self.read_exactly(int.from_bytes(head[:3], "little"))

    def send(self, *payloads):
        out = b""
        for payload in payloads:
            out += struct.pack("<I", len(payload))[:3] + bytes([self.sequence]) + payload
            self.sequence = self.sequence + 1 & 255
        self.socket.sendall(out)

    # -- logging in -------------------------------------------------------------------------------------

    def log_in(self):
        salt = bytes(33 + byte % 94 for byte in os.urandom(20))
        self.send(b"\x0a8.0.36\0" + struct.pack("<I", self.connection_id) + salt[:8] + b"\0"
                  + struct.pack("<HBHHB", CAPABILITIES & 0xffff, 255, AUTOCOMMIT, CAPABILITIES >> 16, 21) + bytes(10)
                  + salt[8:] + b"\0" + PLUGIN.encode() + b"\0")
        request = self.receive()
        if len(request) == 32 and struct.unpack("<I", request[:4])[0] & SSL:
            self.socket = self.server.tls.wrap_socket(self.socket, server_side=True)
            self.is_encrypted = True
            request = self.receive()
        self.capabilities = struct.unpack("<I", request[:4])[0]
        user, _, rest = request[32:].partition(b"\0")
        size, rest = take_number(rest) if self.capabilities & LENENC_AUTH else (rest[0], rest[1:])
        answer, rest = rest[:size], rest[size:]
        if self.capabilities & CONNECT_WITH_DB:
            rest = rest.partition(b"\0")[2]
        plugin = rest.partition(b"\0")[0].decode() if self.capabilities & PLUGIN_AUTH else ""
        return self.authenticate(user.decode(), plugin, answer, salt)

    def authenticate(self, user, plugin, answer, salt):
        self.user = user
        if plugin != PLUGIN:
            self.send(b"\xfe" + PLUGIN.encode() + b"\0" + salt + b"\0")
            answer = self.receive()
        passwords = [known[user][0] for known in (self.server.users, self.server.retained) if user in known]
        how = self.prove(passwords, answer, salt)
        self.server.logins.append((user, how))
        if how == "refused":
            self.send(Failure(1045, "28000", f"Access denied for user '{user}'@'127.0.0.1' (using password: YES)").packet)
            return False
        self.send(self.ok())
        return True

    def prove(self, passwords, answer, salt):
        if not answer.strip(b"\0"):
            return "empty" if "" in passwords else "refused"
        if any(passwords) and self.user in self.server.proven:
            if answer not in [scramble(password.encode(), salt) for password in passwords]:
                return "refused"
            self.send(b"\x01\x03")
            return "fast"
        self.send(b"\x01\x04")
        said = self.receive()
        if not self.is_encrypted:
            if said != b"\x02":
                return "refused"  # a password in plain text
            self.send(b"\x01" + self.server.key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
            hidden = self.server.key.decrypt(self.receive(), padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
            said = bytes(byte ^ salt[i % len(salt)] for i, byte in enumerate(hidden))
        if said not in [password.encode() + b"\0" for password in passwords]:
            return "refused"
        self.server.proven.add(self.user)
        return "tls" if self.is_encrypted else "rsa"

    # -- answers ----------------------------------------------------------------------------------------

    def ok(self, head=b"\0", affected=0, gtid=None):
        status = AUTOCOMMIT | (IN_TRANSACTION if self.in_transaction else 0)
        state = b""
        if gtid and self.tracks_gtids and self.capabilities & SESSION_TRACK:
            status |= STATE_CHANGED
            state = text(b"\x03" + text(b"\0" + text(gtid)))
        packet = head + number(affected) + number(0) + struct.pack("<HH", status, 0)
        return packet + (text("") + state if state else b"")

    def rows(self, answer):
        columns = [text("def") + text("") * 3 + text(name) * 2 + b"\x0c" + struct.pack("<HIBHB", 255, 1024, 253, 0, 0) + b"\0\0"
                   for name in answer.columns]
        eof = b"\xfe" + struct.pack("<HH", 0, AUTOCOMMIT | (IN_TRANSACTION if self.in_transaction else 0))
        is_new = self.capabilities & DEPRECATE_EOF
        return [number(len(columns)), *columns, *([] if is_new else [eof]),
                *[b"".join(text(cell) for cell in row) for row in answer.rows], self.ok(b"\xfe") if is_new else eof]

    def serve_command(self):
        packet = self.receive()
        command, body = packet[0], packet[1:]
        try:
            if command == 0x01:
                return False
            if command == 0x03:
                self.send(*self.query(self.statement_of(body)))
            elif command == 0x16:
                self.prepare(body.decode())
            elif command == 0x17:
                self.send(*self.query(self.prepared[struct.unpack("<I", body[:4])[0]]))
            elif command == 0x19:
                self.prepared.pop(struct.unpack("<I", body)[0], None)
            elif command in (0x02, 0x0e, 0x1f):  # another database, ping, reset
                if command == 0x1f:
                    self.in_transaction, self.tracks_gtids, self.prepared = False, False, {}
                self.send(self.ok())
            elif command == 0x1b:
                self.send(b"\xfe" + struct.pack("<HH", 0, AUTOCOMMIT))
            else:
                raise Failure(1047, "08S01", "Unknown command")
        except Failure as failure:
            self.send(failure.packet)
        return True

    def statement_of(self, body):
        """The text of a COM_QUERY. Attributes in front of it go to the server's `attributes`; only strings are scripted."""
        if not self.capabilities & QUERY_ATTRIBUTES:
            return body.decode()
        count, body = take_number(body)
        sets, body = take_number(body)
        if sets != 1:
            raise Failure(1835, "HY000", "Malformed communication packet")
        if count:
            nulls, told, body = body[:(count + 7) // 8], body[(count + 7) // 8], body[(count + 7) // 8 + 1:]
            names, values = [], []
            for _ in range(count):
                if told != 1 or body[0] != 0xfe or any(nulls):
                    raise Failure(1235, "42000", "only strings are scripted as query attributes")
                size, body = take_number(body[2:])
                names.append(body[:size].decode())
                body = body[size:]
            for _ in range(count):
                size, body = take_number(body)
                values.append(body[:size].decode())
                body = body[size:]
            self.server.attributes.append(dict(zip(names, values)))
        return body.decode()

    def prepare(self, statement):
        """Statements without results only: what is prepared has parameters, and no columns."""
        identifier = len(self.prepared) + 1
        parameters = statement.count("?")
        self.prepared[identifier] = statement
        definition = text("def") + text("") * 3 + text("?") * 2 + b"\x0c" + struct.pack("<HIBHB", 63, 0, 253, 0, 0) + b"\0\0"
        end = [] if self.capabilities & DEPRECATE_EOF or not parameters else [b"\xfe" + struct.pack("<HH", 0, AUTOCOMMIT)]
        self.send(b"\0" + struct.pack("<IHHBH", identifier, 0, parameters, 0, 0), *[definition] * parameters, *end)

    def query(self, statement):
        server = self.server
        statement = re.sub(r"/\*.*?\*/", "", statement, flags=re.S).strip().rstrip(";")
        server.statements.append((self.user, statement))
        for pattern, answer in ANSWERS:
            match = re.match(pattern, statement, re.I | re.S)
            if match:
                given = answer(self, server, match)
                return self.rows(given) if isinstance(given, Rows) else [given or self.ok()]
        server.unknown.append(statement)
        raise Failure(1064, "42000", f"nobody has scripted an answer to {statement[:200]!r}")

    def begin(self, *_):
        self.in_transaction = True

    def end(self, *_):
        self.in_transaction = False

    def set(self, _, match):
        tracked = re.search(r"session_track_gtids`?\s*=\s*'?(\w+)", match[0], re.I)
        if tracked:
            self.tracks_gtids = tracked[1].upper() not in ("OFF", "DEFAULT")

    def write(self, server, _):
        if server.read_only:
            raise Failure(1290, "HY000", "The MySQL server is running with the --read-only option so it cannot execute this "
                                         "statement")
        return self.ok(affected=1, gtid=server.write())


# -- what is known of statements -----------------------------------------------------------------------------


def variables(_, server, match):
    known = {"version": "8.0.36", "read_only": "ON" if server.read_only else "OFF",
             "super_read_only": "ON" if server.read_only else "OFF", "innodb_read_only": "OFF", "server_id": server.number,
             "server_uuid": server.uuid, "log_bin": "ON", "gtid_mode": "ON", "max_allowed_packet": 67108864, "wait_timeout": 28800,
             "session_track_gtids": "OFF", "lower_case_table_names": 0, "sql_mode": "STRICT_TRANS_TABLES",
             "character_set_server": "utf8mb4", "time_zone": "SYSTEM", "autocommit": "ON"}
    asked = re.findall(r"'(\w+)'", match[0])
    return Rows(["Variable_name", "Value"], [(name, value) for name, value in known.items() if name in asked])


def replica_status(_, server, match):
    columns = ["Channel_Name", "Source_Host", "Source_Port", "Source_Server_Id", "Source_UUID", "Replica_IO_Running",
               "Replica_SQL_Running", "Last_IO_Errno", "Last_IO_Error", "Last_SQL_Errno", "Last_SQL_Error",
               "Seconds_Behind_Source", "Retrieved_Gtid_Set", "Executed_Gtid_Set"]
    source = server.source
    return Rows(columns, [("", "127.0.0.1", source.port, source.number, source.uuid, "Yes", "Yes", 0, "", 0, "", 0,
                           source.gtids(), server.gtids())] if source else [])


def accounts(_, server, match):
    columns = ["host", "plugin", "stored", "locked", "expired", "tls", "retained"]
    assert "$.additional_password" in match[0]
    found, before = server.users.get(match[1]), server.retained.get(match[1], ("", ""))
    return Rows(columns, [("%", PLUGIN, found[1], "N", "N", 0, before[1])] if found else [])


ANSWERS = [
    (r"SHOW GLOBAL VARIABLES WHERE .*", variables),
    (r"SELECT @@GLOBAL\.gtid_executed\b.*", lambda _, server, match: Rows(["gtid_executed"], [(server.gtids(),)])),
    (r"SHOW REPLICA STATUS$", replica_status),
    (r"SELECT .* FROM mysql\.user WHERE User = '(\w+)'.*", accounts),
    (r"SELECT .* FROM information_schema\.ROUTINES .*", lambda *_: Rows(["name", "reads_only"], [])),
    (r"SET\b.*", FakeSession.set),
    (r"(?:BEGIN|START TRANSACTION)\b.*", FakeSession.begin),
    (r"(?:COMMIT|ROLLBACK)\b.*", FakeSession.end),
    (r"SELECT name FROM whoami$", lambda _, server, match: Rows(["name"], [(server.name,)])),
    (r"SELECT COUNT\(\*\) FROM items$", lambda _, server, match: Rows(["count"], [(server.executed,)])),
    (r"SELECT ([0-9]+)$", lambda _, server, match: Rows([match[1]], [(match[1],)])),
    (r"INSERT INTO items\b.*", FakeSession.write),
    (r"DO 1$|USE\b.*|KILL\b.*", lambda *_: None),
]


class FakeCluster:
    """A primary and replicas that receive the primary's transactions when the test says so."""

    protocol = "mysql"
    name = "blog"

    def __init__(self, certificate, replicas=1):
        self.servers = [FakeMySql(f"fake{number}", number, certificate) for number in range(1, replicas + 2)]
        self.primary = self.servers[0]
        for replica in self.servers[1:]:
            replica.source, replica.read_only, replica.history_uuid = self.primary, True, self.primary.uuid

    def add_user(self, name, password):
        """The same stored text everywhere, as replication would have it."""
        self.primary.add_user(name, password)
        for replica in self.servers[1:]:
            replica.users[name] = self.primary.users[name]

    def replicate(self):
        for replica in self.servers[1:]:
            replica.executed = self.primary.executed

    def stop(self):
        for server in self.servers:
            server.stop()
