"""The proxy's metrics, and the names that the tests rely on: change them here."""

import re

STATEMENTS = "holdfast_statements_total"              # cluster, server, target
DECISIONS = "holdfast_routing_decisions_total"        # cluster, target, route, reason
CORRECTIONS = "holdfast_corrections_total"            # cluster
HELD = "holdfast_held_statements_total"               # cluster, outcome
SERVER_STATE = "holdfast_server_state"                # cluster, server, state: 1 for the state it is in
CLIENTS = "holdfast_client_connections"               # cluster, state

_SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One reading of /metrics."""

    def __init__(self, text):
        self.samples = []
        for line in text.splitlines():
            found = _SAMPLE.match(line)
            if found:
                self.samples.append((found[1], dict(_LABEL.findall(found[2] or "")), float(found[3])))

    def sum(self, name, **labels):
        """The sum of the series of that name whose labels have these values; 0 when there are none."""
        return sum(value for sample, its, value in self.samples
                   if sample == name and all(its.get(key) == wanted for key, wanted in labels.items()))

    def has(self, name):
        return any(sample.startswith(name) for sample, _, _ in self.samples)

    def state_of(self, server):
        """The state in which the proxy has a server, by its name."""
        return next((labels.get("state") for name, labels, value in self.samples
                     if name == SERVER_STATE and labels.get("server") == server and value == 1), None)
