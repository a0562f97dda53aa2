"""How the tests of MySQL's tools and drivers start programs: as which account, with which environment."""

import os
import pathlib
import subprocess

HERE = pathlib.Path(__file__).parent


def account(blog, user="app", **changes):
    """host, port, user, password and database of an account, as PyMySQL's connect() takes them."""
    wanted = blog.options(user=user)
    return {**{name: wanted.get(name) for name in ("host", "port", "user", "password", "database")}, **changes}


def options(blog, **changes):
    """The arguments by which all of MariaDB's programs are told where to connect. The password is in the environment."""
    wanted = account(blog, **changes)
    return ["--no-defaults", f"--host={wanted['host']}", f"--port={wanted['port']}", f"--user={wanted['user']}"]


def environment(blog, **changes):
    """For the programs of these tests: MYSQL_HOST and so on; MYSQL_PWD is known to libmariadb's programs too."""
    wanted = account(blog, **changes)
    return {**os.environ, "MYSQL_HOST": wanted["host"], "MYSQL_PORT": str(wanted["port"]), "MYSQL_USER": wanted["user"],
            "MYSQL_PWD": wanted["password"], "MYSQL_DATABASE": wanted["database"]}


def run(blog, program, *arguments, database=None, input=None, check=True, timeout=120, text=True, **changes):
    """One of MariaDB's programs to its end; `database` comes after all options where it is given."""
    command = [program, *options(blog, **changes), *map(str, arguments), *([database] if database else [])]
    result = subprocess.run(command, env=environment(blog, **changes), input=input, capture_output=True, text=text,
                            timeout=timeout)
    if check:
        assert result.returncode == 0, f"{result.stdout}{result.stderr}"
    return result


def mariadb(blog, script, *arguments, database="shop", **changes):
    """What the command line client prints, a line a row and without names."""
    return run(blog, "mariadb", "--batch", "--skip-column-names", *arguments, database=database, input=script,
               **changes).stdout
