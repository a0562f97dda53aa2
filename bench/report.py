"""From samples to medians, ratios, tables and JSON."""

import statistics

# What the comparison of a workload rests on, in this order of preference; smaller is better for all of them.
COSTS = ("cpu_us", "cpu_us_per_mb", "bytes_per_client", "calls")
REFERENCES = ("relay", "haproxy", "pgbouncer")

# Targets of Holdfast: workload, reference (None: the figure itself), at most.
TARGETS = [
    *[(f"{mode}-{clients}", reference, most)
      for mode in ("simple", "extended") for clients in (1, 8, 32)
      for reference, most in (("relay", 1.6), ("pgbouncer", 0.8))],
    *[(f"{script}-{mode}-{clients}", "haproxy", 1.3)
      for script in ("point-select", "read-only", "read-write") for mode in ("text", "prepared") for clients in (1, 8, 32)],
    ("copy-out", "relay", 1.4),
    ("calls-simple-1", None, 6.5),
    ("idle-1000", None, 2.2 * 1024),
    ("idle-5000", None, 2.2 * 1024),
]  # fmt: skip


def cost_of(figures):
    return next((key for key in COSTS if key in figures), None)


def summarise(samples):
    """{workload: {contender: figures}} from a list of (workload, contender, round, sample).

    Figures are medians over the rounds. A ratio is the median of the rounds' own ratios: what disturbs the
    machine for a while disturbs both sides of the same round.
    """
    by_key = {}
    for workload, contender, number, sample in samples:
        by_key.setdefault(workload, {}).setdefault(contender, {})[number] = sample
    out = {}
    for workload, rows in by_key.items():
        out[workload] = {}
        for contender, rounds in rows.items():
            keys = sorted({key for sample in rounds.values() for key in sample})
            figures = {key: statistics.median(s[key] for s in rounds.values() if key in s) for key in keys}
            figures["rounds"] = len(rounds)
            cost = cost_of(figures)
            for reference in REFERENCES if cost else ():
                ratios = [
                    sample[cost] / rows[reference][number][cost]
                    for number, sample in rounds.items()
                    if rows.get(reference, {}).get(number, {}).get(cost)
                ]
                if ratios:
                    figures[f"to_{reference}"] = statistics.median(ratios)
            out[workload][contender] = figures
    return out


def _number(value, digits=2):
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:.0f}"


def _table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" + "--:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


COLUMNS = [
    ("cpu_us", "CPU µs"), ("cpu_us_per_mb", "CPU µs per MB"), ("bytes_per_client", "bytes per client"),
    ("calls", "system calls"), ("to_relay", "÷ relay"), ("to_haproxy", "÷ HAProxy"),
    ("to_pgbouncer", "÷ PgBouncer"), ("tps", "per second"), ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"),
    ("mb_per_s", "MB/s"), ("idle_cpu_us_per_s", "idle CPU µs/s"),
]  # fmt: skip


def _targets(summary):
    rows = []
    for workload, reference, most in TARGETS:
        figures = summary.get(workload, {}).get("holdfast", {})
        value = figures.get(f"to_{reference}") if reference else figures.get(cost_of(figures))
        if value is not None:
            what = f"{workload} ÷ {reference}" if reference else workload
            rows.append([what, _number(value), _number(most), "met" if value <= most else "**missed**"])
    return _table(["target", "measured", "at most", ""], rows) if rows else ""


def markdown(summary, workloads, machine, failures):
    out = ["## Setting\n"]
    out += [f"- {key}: {value}" for key, value in machine.items()]
    out.append("")
    targets = _targets(summary)
    if targets:
        out += ["## Targets\n", targets]
    contenders = [name for name in ("haproxy", "pgbouncer", "holdfast") if any(name in rows for rows in summary.values())]
    out.append("## Cost as a multiple of the relay's\n")
    out.append(_table(["workload", *contenders], [
        [w.key, *[_number(summary[w.key].get(name, {}).get("to_relay")) for name in contenders]]
        for w in workloads if w.key in summary
    ]))  # fmt: skip
    out.append("## Figures\n")
    for workload in workloads:
        rows = summary.get(workload.key)
        if not rows:
            continue
        columns = [(key, text) for key, text in COLUMNS if any(key in figures for figures in rows.values())]
        table = []
        for name, figures in rows.items():
            shown = f"{name} (no TLS)" if workload.tls and name == "relay" else name
            table.append([shown, *[_number(figures.get(key)) for key, _ in columns]])
        out += [f"### {workload.key}: {workload.text}\n", _table(["", *[text for _, text in columns]], table)]
    if failures:
        out.append("## Not measured\n")
        out += [f"- {failure}" for failure in failures]
        out.append("")
    return "\n".join(out)
