"""No secret shows in logs, metrics, pages, the process's title or messages, whatever goes wrong."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess

import psycopg
import pymysql
import pytest

from harness import mariadb, postgres
from harness.proxy import BINARY
from harness.waiting import wait_until
from mysql_wire import MySqlWire, Refused
from wire import LoginRefused, Wire

pytestmark = pytest.mark.proxy_only

PLAIN = "secret-of-plain-51c7"
TYPED = "secret-typed-wrongly-9ab3"
STATEMENT = "secret-in-a-statement-7de1"
TOKEN = "secret-token-44f0"
SALT, STORED, SERVER_KEY = "c2FsdC1vZi10aGUtdGVzdA==", "K" * 43 + "=", "M" * 43 + "="
VERIFIER = f"SCRAM-SHA-256$4096:{SALT}${STORED}:{SERVER_KEY}"
MD5 = hashlib.md5(b"whatever").hexdigest()
NEVER = [PLAIN, TYPED, STATEMENT, TOKEN, SALT, STORED, SERVER_KEY, MD5, postgres.SERVICE_PASSWORD,
         mariadb.SERVICE_PASSWORD, "app secret", "reader secret"]


def check(text, where):
    for secret in NEVER:
        assert secret not in text, f"{secret!r} is in {where}"


def test_secrets_are_nowhere_to_be_seen(shared_cluster, shared_maria, start_proxy, workplace):
    blog = None

    def set_up(proxy):
        nonlocal blog
        proxy.settings["proxy"]["log_level"] = "debug"
        proxy.settings["admin"]["token"] = TOKEN
        password_file = proxy.folder / "service.pw"
        password_file.write_text(postgres.SERVICE_PASSWORD + "\n")
        password_file.chmod(0o600)
        shop = proxy.settings["cluster"][shared_cluster.name]
        shop["service"]["password"] = {"file": str(password_file)}
        shop["listener"].append({"listen": [str(proxy.folder / "clear")], "auth": "password"})
        (proxy.folder / "blog").write_text(mariadb.SERVICE_PASSWORD)
        proxy.environment_of_process["CREDENTIALS_DIRECTORY"] = str(proxy.folder)
        proxy.environment_of_process["HOLDFAST_TEST_SECRET"] = PLAIN
        blog = proxy.add_cluster(shared_maria, service={"user": "holdfast", "password": {"credential": "blog"}},
                                 limits={"login_failures": 3, "login_delay": "10ms"})

    proxy = start_proxy(shared_cluster, before_start=set_up, users=[
        {"name": "of_env", "cluster": shared_cluster.name, "password": {"env": "HOLDFAST_TEST_SECRET"}},
        {"name": "of_verifier", "scram_verifier": VERIFIER}, {"name": "of_md5", "md5": "md5" + MD5}],
        access=[{"user": "holdfast", "action": "deny"}, {"action": "allow"}])

    # Logins that succeed and fail, by every method there is.
    answers = []
    for user in ("app", "app_md5", "of_env", "of_verifier", "of_md5", "nobody_x", "holdfast"):
        for password in (TYPED, postgres.PASSWORDS.get(user, PLAIN)):
            with Wire(proxy.port) as client, contextlib.suppress(LoginRefused):
                client.log_in(user, password)
            with Wire(0, path=proxy.folder / "clear") as client:
                try:
                    client.log_in(user, password)
                except LoginRefused as refused:
                    answers.append(str(refused.error))
    for user in ("app", "app_ed25519", "nobody_x"):
        for password in (TYPED, mariadb.PASSWORDS.get(user, PLAIN)):
            with contextlib.suppress(pymysql.Error):
                pymysql.connect(host="127.0.0.1", port=blog.port, user=user, password=password, database="shop").close()
    with MySqlWire(blog.port) as client, contextlib.suppress(Refused):
        client.log_in("app", TYPED)

    # Statements that hold secrets and fail, at the server and in the proxy; bytes that are no protocol.
    with proxy.connect() as connection:
        for statement in (f"ALTER ROLE nobody_x PASSWORD '{STATEMENT}'", f"SELECT '{STATEMENT}' FROM", f"COPY '{STATEMENT}'"):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
    with contextlib.closing(blog.connect()) as connection, connection.cursor() as cursor:
        for statement in (f"SET PASSWORD = PASSWORD('{STATEMENT}') FROM", f"SELECT nothing('{STATEMENT}')"):
            with pytest.raises(pymysql.Error):
                cursor.execute(statement)
    for port in (proxy.port, blog.port):
        with socket.create_connection(("127.0.0.1", port)) as stray:
            stray.sendall(TYPED.encode() * 100)
    check("\n".join(answers), "an answer to a login")

    # A reload that is refused: its message quotes the file.
    good = proxy.config.read_text()
    proxy.config.write_text(good + f'\n[[user]]\nname = "new"\npasword = "{PLAIN}"\nmd5 = "{PLAIN}"\n'
                            f'scram_verifier = "SCRAM-SHA-256$1:{SALT}$x:y"\n')
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_rejected" in proxy.log_text(), "the reload is refused")

    check(proxy.get("/metrics")[1], "/metrics")
    for path in ("/", "/readyz", "/healthz", "/nothing"):
        check(proxy.get(path)[1], path)
    for name in ("cmdline", "comm", "status"):
        with open(f"/proc/{proxy.process.pid}/{name}") as file:
            check(file.read(), f"/proc/PID/{name}")
    assert "session_closed" in proxy.log_text()
    check(proxy.log_text(), "the log")

    # What the commands say of such files.
    for extra in ("", f'\n[[user]]\nname = "new"\npasword = "{PLAIN}"\n', f'\n[[user]]\nname = "new"\npassword = ["{PLAIN}"]\n',
                  f'\n[[user]]\nname = "n"\npassword = {{ file = "x", env = "x" }} "{TYPED}"\n',
                  f'\n[[user]]\nname = "new"\nmd5 = "{PLAIN}"\n', f'\n[[user]]\npassword = "{PLAIN}\n'):
        proxy.config.write_text(good + extra)
        for command in ("check", "run"):
            if command == "run" and not extra:
                continue
            said = subprocess.run([BINARY, command, "--config", proxy.config], capture_output=True, text=True, timeout=60,
                                  env={**os.environ, **proxy.environment_of_process}, check=False)
            check(said.stdout + said.stderr, f"{command}: {extra}")
