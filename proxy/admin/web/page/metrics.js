// What /metrics says, and the last five minutes of it.

const historyMs = 5 * 60 * 1000;
const historyPointsMax = 700;

const labelPattern = /(\w+)="((?:\\.|[^"\\])*)"/g;
const wanted = /^holdfast_(statement_duration_seconds_bucket|statement_errors_total|statements_total|server_up)\{/;

/** The lines that the page uses: {name, labels, value}. */
function parseMetrics(text) {
  const found = [];
  for (const line of text.split('\n')) {
    if (!wanted.test(line)) continue;
    const open = line.indexOf('{');
    const close = line.lastIndexOf('}');
    const labels = {};
    for (const [, name, value] of line.slice(open, close).matchAll(labelPattern)) {
      labels[name] = value.replace(/\\(.)/g, (_, letter) => letter === 'n' ? '\n' : letter);
    }
    found.push({ name: line.slice(0, open), labels, value: Number(line.slice(close + 1)) });
  }
  return found;
}

/** Per cluster: how much each counter stands at. */
function countersByCluster(lines) {
  const clusters = new Map();
  for (const { name, labels, value } of lines) {
    if (!clusters.has(labels.cluster)) clusters.set(labels.cluster, { errors: 0, servers: new Map(), done: new Map(), buckets: new Map() });
    const into = clusters.get(labels.cluster);
    if (name === 'holdfast_statement_errors_total') into.errors += value;
    else if (name === 'holdfast_statements_total' || name === 'holdfast_server_up') {
      // A server that has had no statement yet has no counter of them: that there is one is seen otherwise.
      const more = name === 'holdfast_server_up' ? 0 : value;
      into.servers.set(labels.server, (into.servers.get(labels.server) || 0) + more);
    } else if (labels.target !== 'proxy') {
      const bound = labels.le === '+Inf' ? Infinity : Number(labels.le);
      into.buckets.set(bound, (into.buckets.get(bound) || 0) + value);
      if (bound === Infinity) into.done.set(labels.target, value);
    }
  }
  return clusters;
}

/** The quantile of what happened between two states of a cumulative histogram; null when nothing did. */
function quantile(before, after, share) {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const grown = bounds.map((bound) => after.get(bound) - (before.get(bound) || 0));
  const total = grown[grown.length - 1];
  if (!(total > 0)) return null;
  const rank = share * total;
  const place = grown.findIndex((value) => value >= rank);
  // Above the last bound nothing more is known than that.
  if (bounds[place] === Infinity) return place > 0 ? bounds[place - 1] : null;
  const low = place > 0 ? bounds[place - 1] : 0;
  const below = place > 0 ? grown[place - 1] : 0;
  const inside = grown[place] - below;
  return inside > 0 ? low + (bounds[place] - low) * (rank - below) / inside : bounds[place];
}

/** One cluster's last minutes: rows {at, …}, oldest first. Figures come from two sources at two paces. */
class History {
  constructor() {
    this.rates = [];   // {at, primary, replica, p50, p99, errors}
    this.states = [];  // {at, held, lacksPrimary, lags: {server: seconds}}
    this.serverRates = new Map();
    this.before = null;
    this.beforeAt = 0;
  }

  trim(rows, now) {
    let old = 0;
    while (old < rows.length && (rows[old].at < now - historyMs - 5000 || rows.length - old > historyPointsMax)) old += 1;
    if (old > 0) rows.splice(0, old);
  }

  takeStatus(cluster, now) {
    const lags = {};
    for (const server of cluster.servers) if (server.role === 'replica') lags[server.name] = server.lag_s;
    this.states.push({ at: now, held: cluster.sessions.held, lacksPrimary: cluster.primary === null, lags });
    this.trim(this.states, now);
  }

  takeCounters(counters, now) {
    const before = this.before;
    const seconds = (now - this.beforeAt) / 1000;
    this.before = counters;
    this.beforeAt = now;
    if (!before || seconds <= 0) return;
    // A counter that fell belongs to another process.
    const rate = (after, earlier) => after >= (earlier || 0) ? (after - (earlier || 0)) / seconds : null;
    for (const [server, value] of counters.servers) this.serverRates.set(server, rate(value, before.servers.get(server)));
    for (const server of this.serverRates.keys()) if (!counters.servers.has(server)) this.serverRates.delete(server);
    const has = (counters.buckets.get(Infinity) || 0) >= (before.buckets.get(Infinity) || 0);
    this.rates.push({
      at: now,
      primary: rate(counters.done.get('primary') || 0, before.done.get('primary')),
      replica: rate(counters.done.get('replica') || 0, before.done.get('replica')),
      p50: has ? quantile(before.buckets, counters.buckets, 0.5) : null,
      p99: has ? quantile(before.buckets, counters.buckets, 0.99) : null,
      errors: rate(counters.errors, before.errors),
    });
    this.trim(this.rates, now);
  }

  /** Statements per second now, all servers together; null when not known yet. */
  get statements() {
    const last = this.rates[this.rates.length - 1];
    return last && known(last.primary) && known(last.replica) ? last.primary + last.replica : null;
  }

  /** Another process answers: what counted until now says nothing of it. */
  restart() {
    this.before = null;
    this.serverRates.clear();
  }
}
