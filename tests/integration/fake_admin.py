"""An admin address that says what a test wants it to: states that are hard to bring about with real servers."""

import http.server
import json
import threading
import time
import urllib.parse


def server(name, role="replica", **more):
    number = int("".join(filter(str.isdigit, name)) or 1)
    is_primary = role == "primary" and more.get("health", "up") == "up"
    return {"name": name, "address": f"10.0.1.{number}:5432", "role": role, "health": "up", "reason": "", "since_s": 4000.0 * number,
            "state": "ready", "is_primary": is_primary, "takes_reads": role == "replica", "follows": "" if role == "primary" else "pg1",
            "lag_s": 0.004 * number if role == "replica" else None, "lag_bytes": None, "timeline": 3, "position": 1000, "version": "15.8",
            "weight": 1, "weight_now": 1, "promotable": True, "connections": 10 + number, "connections_idle": 4, "sessions_reading": 3, **more}


def cluster(name, servers, sessions=None, **more):
    primary = next((each["name"] for each in servers if each["is_primary"]), None)
    counts = {"login": 0, "idle": 20, "active": 3, "in_transaction": 1, "held": 0, "total": 24, "pinned": 0, "working": 4, **(sessions or {})}
    return {"name": name, "protocol": "postgres", "probed": True, "paused": False, "ending": False, "epoch": 3, "split_brain": False,
            "primary": primary, "primary_since_s": 9000.0 if primary else None, "without_primary_s": None if primary else 4.2, "candidate": None,
            "servers": servers, "listeners": [{"addresses": ["0.0.0.0:6432"], "role": "auto", "tls": "prefer"}], "sessions": counts, **more}


def session(number, **more):
    return {"id": number, "cluster": "shop", "user": f"app{number % 7}", "database": "shop", "application": f"worker-{number % 40}",
            "client": "10.9.0.7:40112", "listener": "auto", "state": "idle", "waits_for": "", "server": None, "reads_from": "pg2",
            "pinned_by": "", "age_s": 100.0, "running_s": None, "held_s": None, "statements": number * 3, "bytes_in": 2000, "bytes_out": 90_000, **more}


class FakeAdmin:
    """Serves `page` (what a real proxy serves at /) and the state that the test sets; use it in a `with`."""

    def __init__(self, page):
        self.page = page
        self.clusters, self.sessions, self.events = [], [], []
        self.per_second = {}          # server: statements per second
        self.latency = 0.0013
        self.is_silent = False
        self.began = time.time()
        self.asked = []               # paths, in their order

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def status(self):
        return {"version": "0.1.0", "pid": 4711, "started_unix": int(self.began) - 7000, "uptime_s": 7000 + time.time() - self.began, "ready": True,
                "shutting_down": False, "config_file": "/etc/holdfast/holdfast.toml", "clients": 24, "clients_max": 1000, "clusters": self.clusters}

    def list_sessions(self, limit, offset=0, filter=""):
        fitting = [each for each in self.sessions
                   if all(word in "\n".join(map(str, each.values())).lower() for word in filter.lower().split())]
        fitting.sort(key=lambda each: (-(each["held_s"] or 0), each["id"]))
        return {"sessions": fitting[int(offset):int(offset) + int(limit)], "total": len(self.sessions), "matching": len(fitting)}

    def metrics(self):
        age = time.time() - self.began + 100
        lines = []
        for each in self.clusters:
            name = each["name"]
            for target in ("primary", "replica", "proxy"):
                mine = [entry for entry in each["servers"] if (entry["role"] == "primary") == (target == "primary")]
                total = sum(self.per_second.get(entry["name"], 0) for entry in mine) * age if target != "proxy" else 0
                for bound in (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1, "+Inf"):
                    share = 1 if bound == "+Inf" else min(1, bound / (self.latency * 2))
                    lines.append(f'holdfast_statement_duration_seconds_bucket{{cluster="{name}",target="{target}",le="{bound}"}} {total * share}')
            for entry in each["servers"]:
                lines.append(f'holdfast_statements_total{{cluster="{name}",server="{entry["name"]}",target="replica"}} {self.per_second.get(entry["name"], 0) * age}')
            lines.append(f'holdfast_statement_errors_total{{cluster="{name}",class="40"}} 0')
        return "\n".join(lines) + "\n"

    def __enter__(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.partition("?")
                fake.asked.append(path)
                if fake.is_silent:
                    self.close_connection = True
                    return
                answers = {"/": lambda: fake.page, "/metrics": fake.metrics, "/api/v1/status": lambda: json.dumps(fake.status()),
                           "/api/v1/sessions": lambda: json.dumps(fake.list_sessions(**dict(urllib.parse.parse_qsl(query)))),
                           "/api/v1/events": lambda: json.dumps({"events": fake.events}),
                           "/api/v1/config": lambda: json.dumps({"settings": [{"path": f"cluster.shop.key{n}", "value": str(n)} for n in range(60)]})}
                body = answers[path]().encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8" if path == "/" else "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
