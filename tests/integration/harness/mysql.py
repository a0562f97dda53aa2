"""Where a test's MySQL clients connect: the proxy, or (HOLDFAST_DIRECT=1) the primary itself."""

import pymysql
from pymysql.constants import ER

from .mariadb import PASSWORDS

# Errors of the proxy's own. The first is MySQL's, for frameworks repeat a transaction that ends so.
TRANSACTION_LOST = ER.LOCK_DEADLOCK  # 1213, SQLSTATE 40001
OUTCOME_UNKNOWN, STATE_LOST, NO_PRIMARY, NO_SERVER, BROKEN_OFF = 9701, 9702, 9703, 9704, 9705

READ_ONLY_TRANSACTION, READ_ONLY_SERVER, QUERY_INTERRUPTED, UNKNOWN_COMMAND, MALFORMED_PACKET = 1792, 1290, 1317, 1047, 1835


class MySqlEndpoint:
    def __init__(self, port, host="127.0.0.1"):
        self.host = host
        self.port = port

    def options(self, user="app", database="shop", **more):
        return {"host": self.host, "port": self.port, "user": user, "password": PASSWORDS.get(user, ""),
                "database": database, "charset": "utf8mb4", "connect_timeout": 20, "read_timeout": 60, **more}

    def connect(self, autocommit=True, **options):
        return pymysql.connect(autocommit=autocommit, **self.options(**options))


class DirectMySql(MySqlEndpoint):
    """No proxy at all: shows what a test expects of MariaDB itself."""

    def __init__(self, cluster):
        super().__init__(cluster.primary.port)


def ask(connection, statement, *arguments):
    """All rows of a statement's first result."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments or None)
        return list(cursor.fetchall())


def value(connection, statement, *arguments):
    return ask(connection, statement, *arguments)[0][0]


def error_of(connection, statement, *arguments):
    """The error's number, or None when there is none."""
    try:
        ask(connection, statement, *arguments)
    except pymysql.Error as error:
        return error.args[0]
    return None
