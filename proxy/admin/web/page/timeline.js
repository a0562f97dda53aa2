// What has happened, newest first: each event as a sentence with its cause.

const eventsKept = 500;
const eventsShown = 30;

const sentences = {
  primary_lost: (f) => ['bad', `${f.server} is not the primary any more`, f.reason],
  primary_changed: (f) => ['good', f.from && f.from !== 'none' ? `${f.to} is the primary, after ${f.from}` : `${f.to} is the primary`, absence(f)],
  primary_returned: (f) => ['good', `${f.to} is the primary again`, absence(f)],
  split_brain: (f) => ['bad', 'Split brain: two servers are writable', f.primary ? `writes go to ${f.primary}` : ''],
  split_brain_over: () => ['good', 'The split brain is over', ''],
  writes_resumed: (f) => ['good', 'The first write after the failover was answered', known(f.outage_ms) ? `after ${latencyWords(f.outage_ms / 1000)}` : ''],
  server_state_changed: (f) => [healthTone(f.to), f.from === f.to ? `${f.server}: its role is ${f.role}` : `${f.server}: ${f.from} → ${f.to}`, f.reason || (f.from === f.to ? '' : f.role)],
  server_state_set: (f) => ['order', `${f.server}: set to ${f.to}`, byWords(f)],
  server_state_forgotten: (f) => ['order', `${f.server}: taken out of the configuration, and its state (${f.state}) forgotten`, f.reason],
  cluster_paused: (f) => ['order', f.limit_ms ? `Paused for at most ${spanWords(f.limit_ms / 1000)}` : 'Paused until it is resumed', byWords(f)],
  cluster_resumed: (f) => ['order', 'Resumed', byWords(f)],
  cluster_removed: () => ['order', 'Taken out of the configuration', ''],
  reload_applied: (f) => ['order', 'The configuration was read again', f.changes === 0 ? 'nothing has changed' : ''],
  reload_rejected: (f) => ['bad', 'A changed configuration was rejected', f.error || f.reason],
  session_killed: (f) => ['order', `Session ${f.session} was ended`, byWords(f)],
  ready: () => ['good', 'Every cluster was probed', ''],
  stopping: () => ['bad', 'The proxy is shutting down', ''],
};

const healthTone = (health) => ({ up: 'good', starting: 'plain', suspect: 'warn', catching_up: 'plain', lagging: 'warn' }[health] || 'bad');
const absence = (f) => f.without_primary_ms > 0 ? `${latencyWords(f.without_primary_ms / 1000)} without a primary` : '';
const byWords = (f) => [f.reason, f.by ? `by ${f.by}` : ''].filter(Boolean).join(' · ');
const eventShapes = { good: 'disc', bad: 'square', warn: 'triangle', order: 'diamond', plain: 'ring' };

/** {tone, what, why} of an event; of one that this page does not know, its own words. */
function tellEvent(event) {
  const fields = event.fields || {};
  const known = sentences[event.event];
  if (known) {
    const [tone, what, why] = known(fields);
    return { tone, what, why: why || '' };
  }
  const rest = Object.entries(fields).map(([name, value]) => `${name}: ${value}`).join(' · ');
  return { tone: 'plain', what: event.event.replaceAll('_', ' '), why: rest };
}

class Timeline {
  constructor() {
    this.events = [];
    this.limit = eventsShown;
    this.filter = byId('timeline-filter');
    this.filter.addEventListener('change', () => this.draw());
    byId('events-more').addEventListener('click', () => { this.limit += eventsShown * 2; this.draw(); });
  }

  get last() {
    return this.events.length ? this.events[this.events.length - 1].number : 0;
  }

  restart() {
    this.events = [];
  }

  take(events, skewMs) {
    this.skewMs = skewMs;
    const last = this.last;
    this.events.push(...events.filter((event) => event.number > last));
    if (this.events.length > eventsKept) this.events.splice(0, this.events.length - eventsKept);
    this.draw();
  }

  nameClusters(names) {
    keyed(this.filter, ['', ...names], (name) => name, (name) => {
      const option = make('option', '', name || 'everything');
      option.value = name;
      return option;
    }, () => {});
  }

  draw() {
    const wanted = this.filter.value;
    const chosen = this.events.filter((event) => !wanted || (event.fields || {}).cluster === wanted).reverse();
    const now = Date.now() + (this.skewMs || 0);
    keyed(byId('events'), chosen.slice(0, this.limit), (event) => event.number, makeEvent, (node, event) => {
      setText(node.ago, `${roughSpan(Math.max(0, (now - event.time_ms) / 1000))} ago`);
    });
    byId('events-none').hidden = chosen.length > 0;
    byId('events-more').hidden = chosen.length <= this.limit;
  }
}

function makeEvent(event) {
  const { tone, what, why } = tellEvent(event);
  const node = make('li', `event tone-${tone}`);
  const icon = make('span', 'icon');
  setShape(icon, eventShapes[tone]);
  const when = new Date(event.time_ms);
  const time = make('time', '', clockWords(when));
  time.dateTime = when.toISOString();
  time.title = `${dayWords(when)} ${clockWords(when)}`;
  node.ago = make('span', 'ago');
  const head = make('p', 'event-when quiet');
  head.append(time, node.ago);
  const cluster = (event.fields || {}).cluster;
  if (cluster) head.append(make('span', 'event-cluster', cluster));
  node.append(icon, head, make('p', 'event-what', what));
  if (why) node.append(make('p', 'event-why', why));
  return node;
}
