// Keeps the page up to date: what is asked, how often, and what is shown while nobody answers.

const paceMs = { status: 1000, metrics: 2000, events: 2000, sessions: 3000 };
const firstRateMs = 700;
const hiddenPaceMs = 15000;
const retryMostMs = 5000;

const views = new Map();
const timeline = new Timeline();
const sessions = new Sessions();
const settings = new Settings();
let identity = '';
let lastAnswerAt = Date.now();
let failures = 0;
let wasSpoken = new Map();

/** Calls `work` again and again, one call at a time; sooner by now(). */
class Loop {
  constructor(pace, work) {
    this.pace = pace;
    this.work = work;
    this.run();
  }

  async run() {
    clearTimeout(this.timer);
    if (this.isRunning) { this.isWanted = true; return; }
    this.isRunning = true;
    const began = performance.now();
    let wait = this.pace;
    try {
      wait = await this.work() || this.pace;
    } catch (error) {
      wait = Math.min(retryMostMs, this.pace * (1 + failures));
      if (!(error instanceof ApiError)) throw error;
    } finally {
      this.isRunning = false;
      if (document.hidden) wait = Math.max(wait, hiddenPaceMs);
      if (this.isWanted) wait = 0;
      this.isWanted = false;
      // A proxy that is slow to answer is not asked at once again.
      this.timer = setTimeout(() => this.run(), Math.max(wait - (performance.now() - began), wait && 200));
    }
  }

  now() { this.run(); }
}

function showStatus(status) {
  const now = Date.now();
  const process = `${status.pid} ${status.started_unix}`;
  if (identity && process !== identity) {
    timeline.restart();
    for (const view of views.values()) view.history.restart();
  }
  identity = process;
  setText(byId('about'), `${status.version} · up ${roughSpan(status.uptime_s)} · ${count(status.clients)} of ${count(status.clients_max)} clients`);
  setText(byId('settings-file'), status.config_file);
  timeline.skewMs = (status.started_unix + status.uptime_s) * 1000 - now;

  for (const cluster of status.clusters) if (!views.has(cluster.name)) views.set(cluster.name, new ClusterView(cluster.name));
  for (const name of views.keys()) if (!status.clusters.some((cluster) => cluster.name === name)) views.delete(name);
  byId('plain').hidden = true;
  byId('live').hidden = false;
  byId('top-actions').hidden = false;
  keyed(byId('clusters'), status.clusters, (cluster) => cluster.name, (cluster) => views.get(cluster.name).element, () => {});
  for (const cluster of status.clusters) views.get(cluster.name).takeStatus(cluster, now);
  timeline.nameClusters(status.clusters.map((cluster) => cluster.name));
  showHeadline(status);
  speak(status);
}

function showHeadline(status) {
  const bad = status.clusters.filter((cluster) => condition(cluster).tone === 'bad');
  const warn = status.clusters.filter((cluster) => condition(cluster).tone === 'warn');
  const worst = bad[0] || warn[0];
  const tone = status.shutting_down || bad.length ? 'bad' : warn.length ? 'warn' : 'good';
  const words = status.shutting_down ? 'The proxy is shutting down'
    : worst ? `${worst.name}: ${condition(worst).words}${bad.length + warn.length > 1 ? `, and ${bad.length + warn.length - 1} more` : ''}`
      : status.clusters.length === 1 ? 'The cluster has a primary, and every server is well' : 'All clusters have a primary, and every server is well';
  setAttribute(byId('headline'), 'class', `headline tone-${tone}`);
  setText(byId('headline'), words);
  const title = tone === 'good' ? 'Holdfast' : `${tone === 'bad' ? '■' : '▲'} ${worst ? worst.name : ''} – Holdfast`;
  if (document.title !== title) document.title = title;
}

/** For screen readers: what has changed, once. */
function speak(status) {
  const said = [];
  const now = new Map();
  for (const cluster of status.clusters) {
    const { words, spoken = words } = condition(cluster);
    now.set(cluster.name, spoken);
    if (wasSpoken.has(cluster.name) && wasSpoken.get(cluster.name) !== spoken) said.push(`${cluster.name}: ${spoken}`);
  }
  wasSpoken = now;
  if (said.length) setText(byId('spoken'), said.join('. '));
}

function showSilence() {
  const silent = (Date.now() - lastAnswerAt) / 1000;
  const banner = byId('banner');
  banner.hidden = false;
  document.body.classList.add('is-stale');
  // The alert is read out once; the seconds that go on counting are for the eye.
  setText(byId('banner-words'), `No answer from the proxy since ${clockWords(new Date(lastAnswerAt))}. What is shown is as old as that. Trying again …`);
  setText(byId('banner-span'), spanWords(silent));
}

const loops = {
  status: new Loop(paceMs.status, async () => {
    let status;
    try {
      status = await getJson('/api/v1/status');
    } catch (error) {
      failures += 1;
      showSilence();
      throw error;
    }
    if (failures > 0) for (const loop of Object.values(loops)) if (loop !== loops.status) setTimeout(() => loop.now());
    failures = 0;
    lastAnswerAt = Date.now();
    byId('banner').hidden = true;
    document.body.classList.remove('is-stale');
    showStatus(status);
  }),
  metrics: new Loop(paceMs.metrics, async () => {
    const clusters = countersByCluster(parseMetrics(await getText('/metrics')));
    const now = Date.now();
    let isFirst = true;
    for (const view of views.values()) {
      if (!view.cluster) continue;
      view.takeCounters(clusters.get(view.name), now);
      if (view.history.rates.length > 0) isFirst = false;
    }
    return isFirst ? firstRateMs : 0;  // a rate needs two readings
  }),
  events: new Loop(paceMs.events, async () => {
    if (identity) timeline.take((await getJson(`/api/v1/events?after=${timeline.last}`)).events, timeline.skewMs);
  }),
  sessions: new Loop(paceMs.sessions, async () => {
    if (!sessions.isSeen || document.hidden) return 0;
    const began = performance.now();
    sessions.take(await getJson(sessions.path()));
    return Math.max(paceMs.sessions, 20 * (performance.now() - began));
  }),
};

function refreshSoon() {
  for (const loop of Object.values(loops)) loop.now();
}

sessions.onWanted = () => loops.sessions.now();
document.addEventListener('visibilitychange', () => { if (!document.hidden) refreshSoon(); });
prepareActions();
