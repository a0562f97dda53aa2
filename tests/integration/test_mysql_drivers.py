"""MySQL's and MariaDB's drivers and what they do with the protocol, unmodified. Each program runs plain, with TLS and,
where the driver can, compressed; the Python drivers are in test_mysql_python.py."""

import os
import subprocess

import pytest

from mysql_programs import HERE, environment
from test_drivers import node_modules  # noqa: F401 - a fixture

WAYS = {"plain": {}, "tls": {"CONNECT_TLS": "1"}, "zlib": {"CONNECT_COMPRESSED": "1"},
        "tls-zlib": {"CONNECT_TLS": "1", "CONNECT_COMPRESSED": "1"}}


@pytest.fixture
def items(maria_table, shared_maria):
    """A table with a column of each kind, and a procedure that answers with two results."""
    shared_maria.execute(f"""
        ALTER TABLE {maria_table} MODIFY id INT PRIMARY KEY AUTO_INCREMENT, MODIFY v VARCHAR(2000), ADD COLUMN b LONGBLOB,
            ADD COLUMN at DATETIME(6), ADD COLUMN n DECIMAL(20,4);
        CREATE PROCEDURE several_{maria_table}(n INT) BEGIN SELECT n; SELECT n + 1 AS next, 'two' AS word; END""")
    yield maria_table
    shared_maria.execute(f"DROP PROCEDURE several_{maria_table}")


@pytest.fixture(scope="session")
def go_program(workplace):
    """Built without a network, from the sources that Debian's packages put in place."""
    program = workplace / "go-mysql"
    subprocess.run(["go", "build", "-o", program, HERE / "go/mysql.go"], check=True, cwd=workplace,
                   env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                        "GOCACHE": str(workplace / "go-cache")})
    return program


@pytest.fixture(scope="session")
def c_program(workplace):
    program = workplace / "c-mysql"
    flags = subprocess.run(["mariadb_config", "--cflags", "--libs"], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", program, HERE / "c/mysql.c", *flags], check=True)
    return program


def run_program(blog, table, way, *command, **changes):
    result = subprocess.run([str(part) for part in command], cwd=HERE, capture_output=True, text=True, timeout=120,
                            env={**environment(blog, **changes), "TEST_TABLE": table, **WAYS[way]})
    assert result.returncode == 0 and result.stdout.strip().endswith("ok"), result.stdout[-3000:] + result.stderr[-3000:]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", ["mysql2.js", "mariadb.js"])
def test_node(blog, items, node_modules, program, way):  # noqa: F811
    run_program(blog, items, way, "node", f"node/{program}")


@pytest.mark.parametrize("way", WAYS)
def test_c(blog, items, c_program, way):
    run_program(blog, items, way, c_program)


@pytest.mark.parametrize("way", WAYS)
def test_php(blog, items, way):
    run_program(blog, items, way, "php", "php/mysql.php")


@pytest.mark.parametrize("way", WAYS)
def test_perl(blog, items, way):
    run_program(blog, items, way, "perl", "perl/mariadb.pl")


@pytest.mark.parametrize("way", ["plain", "tls"])
def test_go(blog, items, go_program, way):
    run_program(blog, items, way, go_program)


def test_active_record(blog, items):
    run_program(blog, items, "plain", "ruby", "ruby/mysql_active_record.rb")


@pytest.mark.parametrize("user", ["app_ed25519", "app_empty", "app_either", "app_tls"])
def test_other_ways_to_prove_oneself(blog, items, c_program, user):
    run_program(blog, items, "tls", c_program, user=user)
