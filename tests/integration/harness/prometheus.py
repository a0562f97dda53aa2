"""A Prometheus that scrapes a proxy, and what Grafana would ask it."""

import json
import pathlib
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from .ports import free_port
from .proxy import ROOT
from .waiting import wait_until

ALERTS = ROOT / "deploy/prometheus/holdfast-alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/holdfast.json"

_CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{alerts}']
scrape_configs:
  - job_name: holdfast
    static_configs: [{{targets: ['127.0.0.1:{admin_port}']}}]
"""


def promtool(*arguments, stdin=None):
    """Runs promtool: (exit code, all that it printed)."""
    # The rules' tests evaluate hours: half a minute of computing on a slow machine.
    done = subprocess.run(["promtool", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """Debian's, in a folder of its own; on loopback."""

    def __init__(self, folder, proxy):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        config = self.folder / "prometheus.yml"
        config.write_text(_CONFIG.format(alerts=ALERTS, admin_port=proxy.admin_port))
        self.log = open(self.folder / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        wait_until(lambda: self.query("count(up == 1)"), "Prometheus has scraped the proxy")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def api(self, path, **parameters):
        """The data of an answer; a query that is an error raises, with what Prometheus says of it."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def query(self, expression):
        """The series of an instant query."""
        return self.api("query", query=expression)["result"]

    def value(self, expression):
        """The value of the one series that the query has."""
        (series,) = self.query(expression)
        return float(series["value"][1])

    def rules(self):
        return [rule for group in self.api("rules")["groups"] for rule in group["rules"]]

    def firing(self):
        return {rule["name"] for rule in self.rules() if rule["state"] == "firing"}


class Dashboard:
    """The Grafana dashboard as shipped."""

    def __init__(self):
        self.content = json.loads(DASHBOARD.read_text())
        self.panels = [panel for panel in self.content["panels"] if panel["type"] != "row"]

    def queries(self, interval="15s", span=60):
        """(panel, query) as Grafana would ask with everything selected."""
        for panel in self.panels:
            for target in panel["targets"]:
                yield panel["title"], self.with_variables(target["expr"], interval, span)
        for annotation in self.content["annotations"]["list"]:
            if "expr" in annotation:
                yield annotation["name"], self.with_variables(annotation["expr"], interval, span)

    @staticmethod
    def with_variables(expression, interval, span):
        for name, value in (("$__rate_interval", interval), ("$__range_s", str(span)), ("$__range", f"{span}s"),
                            ("$cluster", ".*"), ("$instance", ".*")):
            expression = expression.replace(name, value)
        assert "$" not in expression, f"a variable that nobody fills in: {expression}"
        return expression

    def variables(self):
        """{name: (metric, label)} of the variables that are label_values(metric, label)."""
        found = {}
        for variable in self.content["templating"]["list"]:
            match = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable.get("definition", ""))
            if match:
                found[variable["name"]] = (match[1], match[2])
        return found
