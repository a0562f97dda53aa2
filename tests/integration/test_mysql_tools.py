"""MariaDB's own programs, unmodified: the command line client, dump, import, admin, check, slap; and sysbench."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from harness.waiting import wait_until
from mysql_programs import environment, mariadb, options, run


@pytest.fixture
def keyed(maria_table, shared_maria):
    """A table (id int, key and counting up; v varchar)."""
    shared_maria.execute(f"ALTER TABLE {maria_table} MODIFY id INT PRIMARY KEY AUTO_INCREMENT, MODIFY v VARCHAR(2000)")
    return maria_table


# -- the command line client ---------------------------------------------------------------------------------


def test_queries(blog, keyed):
    script = f"""
        INSERT INTO {keyed} (id, v) VALUES (1, 'one'), (2, 'zwei €'), (3, NULL);
        SELECT id, v FROM {keyed} ORDER BY id;
        UPDATE {keyed} SET v = 'two' WHERE id = 2;
        DELETE FROM {keyed} WHERE id = 3;
        SELECT COUNT(*), MAX(v) FROM {keyed};
    """
    assert mariadb(blog, script, "--default-character-set=utf8mb4") == "1\tone\n2\tzwei €\n3\tNULL\n2\ttwo\n"


def test_transactions_and_errors(blog, keyed):
    script = f"""
        BEGIN;
        INSERT INTO {keyed} (id, v) VALUES (1, 'a');
        INSERT INTO {keyed} (id, v) VALUES (1, 'b');
        SAVEPOINT here;
        INSERT INTO {keyed} (id, v) VALUES (2, 'c');
        ROLLBACK TO SAVEPOINT here;
        COMMIT;
        SELECT v FROM no_such_table;
        SELECT GROUP_CONCAT(v) FROM {keyed};
    """
    result = run(blog, "mariadb", "--batch", "--skip-column-names", "--force", database="shop", input=script, check=False)
    assert result.stdout == "a\n"
    assert re.findall(r"ERROR (\d+) \((\w+)\) at line (\d+)", result.stderr) == [
        ("1062", "23000", "4"), ("1146", "42S02", "9")]


def test_source(blog, keyed, tmp_path):
    """A file with a delimiter of its own, run by the client's `source`, one file from within another."""
    inner, outer = tmp_path / "inner.sql", tmp_path / "outer.sql"
    inner.write_text(f"""
        DELIMITER //
        CREATE TRIGGER shout_{keyed} BEFORE INSERT ON {keyed} FOR EACH ROW
        BEGIN
            SET NEW.v = UPPER(NEW.v);
        END//
        DELIMITER ;
    """)
    values = ",\n".join(f"({i}, 'value {i}')" for i in range(1, 5001))
    outer.write_text(f"source {inner}\nINSERT INTO {keyed} (id, v) VALUES {values};\n")
    script = f"source {outer}\nSELECT COUNT(*), MIN(v) FROM {keyed};\n"
    assert mariadb(blog, script, user="boss") == "5000\tVALUE 1\n"


def test_status_over_tls(blog):
    plain = mariadb(blog, "\\s", "--skip-ssl")
    assert re.search(r"SSL:\s+Not in use", plain) and "10." in plain and re.search(r"Current database:\s+shop", plain)
    assert re.search(r"SSL:\s+Cipher in use is TLS_", mariadb(blog, "\\s", "--ssl"))


@pytest.mark.parametrize("tls", ["--ssl", "--skip-ssl"])
def test_compressed(blog, tls):
    """Random bytes as hexadecimal text, and a text that compresses well; packets small and past 16 MiB."""
    script = """
        SELECT 1;
        SELECT REPEAT('compressible ', 3000000);
        SELECT MD5(GROUP_CONCAT(n ORDER BY n)) FROM (SELECT MD5(seq) AS n FROM seq_1_to_1000) AS numbers;
        SELECT LENGTH('""" + "x" * 300_000 + """');
        SELECT 'the end';
    """
    lines = mariadb(blog, script, "--compress", tls, "--max-allowed-packet=64M").splitlines()
    assert lines[0] == "1" and lines[1] == "compressible " * 3_000_000
    assert lines[2:] == [mariadb(blog, script.split(";")[2]).strip(), "300000", "the end"]


class Terminal:
    """The client at a terminal, as a person would use it."""

    def __init__(self, blog, *arguments):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execvpe("mariadb", ["mariadb", *options(blog), *arguments],
                       {**environment(blog), "TERM": "dumb", "PAGER": "", "MYSQL_HISTFILE": "/dev/null"})
        self.seen = ""

    def __enter__(self):
        return self

    def type(self, text):
        os.write(self.terminal, text.encode())

    def read_until(self, text, timeout=30):
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            if not select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} did not appear:\n{self.seen}")
            self.seen += os.read(self.terminal, 65536).decode(errors="replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def __exit__(self, *_):
        os.close(self.terminal)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def test_completion_of_names(blog, keyed, shared_maria):
    """Without -A the client asks for the fields of every table at its start: COM_FIELD_LIST."""
    shared_maria.execute(f"ALTER TABLE {keyed} ADD COLUMN unmistakable_column INT DEFAULT 7")
    with Terminal(blog, "shop") as terminal:
        assert "Reading table information for completion" in terminal.read_until("[shop]>")
        terminal.type(f"INSERT INTO {keyed} (id) VALUES (1);\n")
        terminal.read_until("1 row affected")
        terminal.type(f"SELECT CONCAT('it is ', unmistaka\t) FROM {keyed};\n")
        terminal.read_until("it is 7")


def test_change_of_database(blog):
    """COM_INIT_DB, and what the client asks of the new database for completion."""
    with Terminal(blog, "shop") as terminal:
        terminal.read_until("[shop]>")
        terminal.type("use information_schema\n")
        terminal.read_until("[information_schema]>")
        terminal.type("SELECT CONCAT('now in ', DATABASE());\n")
        terminal.read_until("now in information_schema")


def test_control_c(blog, shared_maria):
    """The client kills its own statement from a second connection, by the number that its greeting had."""
    with Terminal(blog, "-A", "shop") as terminal:
        terminal.read_until("[shop]>")
        terminal.type("SELECT SLEEP(100.125);\n")
        wait_until(lambda: any(server.runs("SLEEP(100.125)") for server in shared_maria.servers), "the statement runs", 30)
        terminal.type("\x03")
        terminal.read_until("query killed")
        terminal.read_until("[shop]>")
        terminal.type("SELECT CONCAT('still ', 'here');\n")
        terminal.read_until("still here")


# -- dump and restore ----------------------------------------------------------------------------------------


CONTENTS = """
    CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL, notes BLOB) CHARACTER SET utf8mb4;
    CREATE TABLE orders (id BIGINT PRIMARY KEY AUTO_INCREMENT, customer INT, amount DECIMAL(12,2) CHECK (amount >= 0),
                         at DATETIME(6), details JSON, FOREIGN KEY (customer) REFERENCES customers (id));
    INSERT INTO customers (name, notes) SELECT CONCAT('customer – ', seq), UNHEX(MD5(seq)) FROM seq_1_to_500;
    INSERT INTO orders (customer, amount, at, details)
        SELECT 1 + seq % 500, seq / 7, '2024-02-29 12:00:00' + INTERVAL seq SECOND, JSON_OBJECT('n', seq) FROM seq_1_to_2000;
    CREATE VIEW totals AS SELECT customer, SUM(amount) AS total FROM orders GROUP BY customer;
    CREATE TRIGGER trimmed BEFORE INSERT ON customers FOR EACH ROW SET NEW.name = TRIM(NEW.name);
    CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n;
    CREATE PROCEDURE count_orders() SELECT COUNT(*) FROM orders;
"""


def contents(server, database):
    """Everything that a dump must bring along, in a form that can be compared."""
    tables = [server.rows(f"CHECKSUM TABLE {database}.{name}")[0][1] for name in ("customers", "orders")]
    objects = server.rows(f"SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{database}' ORDER BY 1")
    objects += server.rows(f"SELECT ROUTINE_NAME, ROUTINE_TYPE, ROUTINE_DEFINITION FROM information_schema.ROUTINES "
                           f"WHERE ROUTINE_SCHEMA = '{database}' ORDER BY 1")
    objects += server.rows(f"SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '{database}'")
    objects += server.rows(f"SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = '{database}' ORDER BY 1")
    return tables, objects


@pytest.fixture(scope="module")
def database_to_dump(shared_maria):
    shared_maria.execute("CREATE DATABASE dump_source; CREATE DATABASE dump_target")
    shared_maria.execute(CONTENTS, "dump_source")
    yield
    shared_maria.execute("DROP DATABASE dump_source; DROP DATABASE dump_target")


DUMP = ["--routines", "--triggers", "--default-character-set=utf8mb4", "--hex-blob"]


@pytest.mark.parametrize("how", [["--single-transaction"], ["--lock-tables", "--skip-extended-insert"],
                                 ["--single-transaction", "--compress", "--quick"]], ids=lambda how: how[0][2:] + str(len(how)))
def test_dump_and_restore(blog, shared_maria, database_to_dump, tmp_path, how):
    file = tmp_path / "dump.sql"
    run(blog, "mariadb-dump", *DUMP, *how, f"--result-file={file}", "dump_source", user="boss")
    mariadb(blog, "DROP DATABASE dump_target; CREATE DATABASE dump_target", database=None, user="boss")
    mariadb(blog, file.read_text(), "--default-character-set=utf8mb4", database="dump_target", user="boss")
    shared_maria.wait_replayed()
    assert contents(shared_maria.primary, "dump_target") == contents(shared_maria.primary, "dump_source")
    assert contents(shared_maria.servers[-1], "dump_target") == contents(shared_maria.primary, "dump_source")


def test_dump_piped_into_restore(blog, shared_maria, database_to_dump):
    mariadb(blog, "DROP DATABASE dump_target; CREATE DATABASE dump_target", database=None, user="boss")
    dump = subprocess.Popen(["mariadb-dump", *options(blog, user="boss"), *DUMP, "--single-transaction", "dump_source"],
                            env=environment(blog, user="boss"), stdout=subprocess.PIPE)
    restore = subprocess.run(["mariadb", *options(blog, user="boss"), "--default-character-set=utf8mb4", "dump_target"], env=environment(blog, user="boss"),
                             stdin=dump.stdout, capture_output=True, text=True, timeout=60)
    dump.stdout.close()
    assert restore.returncode == 0, restore.stderr
    assert dump.wait(10) == 0
    assert contents(shared_maria.primary, "dump_target") == contents(shared_maria.primary, "dump_source")


# -- bulk loading --------------------------------------------------------------------------------------------


def test_load_data_local(blog, keyed, tmp_path):
    file = tmp_path / "rows.tsv"
    file.write_text("".join(f"{i}\tvalue {i}\n" for i in range(1, 20_001)))
    script = f"""
        LOAD DATA LOCAL INFILE '{file}' INTO TABLE {keyed} (id, v);
        SELECT COUNT(*), SUM(id), MAX(LENGTH(v)) FROM {keyed};
        LOAD DATA LOCAL INFILE '{tmp_path}/not there' INTO TABLE {keyed} (id, v);
        SELECT 'in step';
    """
    result = run(blog, "mariadb", "--batch", "--skip-column-names", "--force", "--local-infile", database="shop",
                 input=script, check=False)
    assert result.stdout == "20000\t200010000\t11\nin step\n"
    assert "not there" in result.stderr


def test_import(blog, keyed, tmp_path):
    """mariadb-import takes the table's name from the file's; here with several connections at once."""
    file = tmp_path / f"{keyed}.csv"
    file.write_text("".join(f'{i},"value, {i}"\n' for i in range(1, 5001)))
    result = run(blog, "mariadb-import", "--local", "--fields-terminated-by=,", '--fields-optionally-enclosed-by="',
                 "--columns=id,v", "--use-threads=2", "shop", file)
    assert "Records: 5000  Deleted: 0  Skipped: 0  Warnings: 0" in result.stdout
    assert mariadb(blog, f"SELECT COUNT(*), MAX(v) FROM {keyed}") == '5000\tvalue, 999\n'


# -- administration ------------------------------------------------------------------------------------------


def test_admin(blog):
    assert run(blog, "mariadb-admin", "ping").stdout.strip() == "mysqld is alive"
    status = run(blog, "mariadb-admin", "status").stdout
    assert re.search(r"Uptime: \d+ .*Queries per second", status), status
    assert "Server version" in run(blog, "mariadb-admin", "version").stdout


def test_show(blog, keyed):
    assert keyed in run(blog, "mariadb-show", "shop").stdout
    assert re.search(r"\| v +\| varchar", run(blog, "mariadb-show", "shop", keyed, "%").stdout)


def test_check(blog, keyed):
    assert re.search(rf"shop.{keyed} +OK", run(blog, "mariadb-check", "shop", keyed).stdout)
    assert "OK" in run(blog, "mariadb-check", "--analyze", "shop", keyed).stdout


def test_slap(blog, keyed):
    """Many connections that each insert and read; the client runs its statements in a database of its own."""
    result = run(blog, "mariadb-slap", "--concurrency=8", "--iterations=2", "--number-of-queries=400", "--create-schema=shop",
                 f"--query=INSERT INTO {keyed} (v) VALUES ('s');SELECT COUNT(*) FROM {keyed}", "--delimiter=;",
                 "--no-drop", "--silent")
    assert result.stderr == ""
    assert mariadb(blog, f"SELECT COUNT(*) FROM {keyed}").strip() == "400"


# -- sysbench ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sysbench_tables(shared_maria, blog):
    """Made through the proxy, as sysbench itself makes them: bulk inserts of many rows a statement."""
    sysbench(blog, "oltp_read_write", "prepare")
    shared_maria.wait_replayed()
    yield
    sysbench(blog, "oltp_read_write", "cleanup")


def sysbench(blog, script, command, *arguments):
    wanted = blog.options(user="app")
    result = subprocess.run(
        ["sysbench", script, "--db-driver=mysql", f"--mysql-host={wanted['host']}", f"--mysql-port={wanted['port']}",
         f"--mysql-user={wanted['user']}", f"--mysql-password={wanted['password']}", "--mysql-db=shop", "--tables=2",
         "--table-size=2000", "--rand-type=uniform", *arguments, command], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("statements", ["auto", "disable"])
@pytest.mark.parametrize("script, each", [("oltp_read_write", 20), ("oltp_read_only", 16), ("oltp_point_select", 1)])
def test_sysbench(blog, shared_maria, sysbench_tables, script, each, statements):
    """`auto` prepares on the server. Deadlocks are the tables' own and sysbench runs such a transaction anew."""
    events = 200 if each > 1 else 2000
    result = sysbench(blog, script, "run", f"--db-ps-mode={statements}", "--threads=4", "--time=0", f"--events={events}")
    assert int(re.search(r"transactions: +(\d+)", result)[1]) == events
    assert int(re.search(r"queries: +(\d+)", result)[1]) >= events * each
    assert re.search(r"reconnects: +(\d+)", result)[1] == "0"
    assert [shared_maria.primary.value(f"SELECT COUNT(*) FROM sbtest{number}") for number in (1, 2)] == [2000, 2000]
