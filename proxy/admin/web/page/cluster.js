// One cluster on the page: its headline, picture and charts.

/** {tone, words, spoken} of how a cluster does; `spoken` has no figures, so that it changes only with the state. */
function condition(cluster) {
  if (cluster.ending) return { tone: 'off', words: 'taken out of the configuration; its last sessions are ending' };
  if (cluster.split_brain) return { tone: 'bad', words: `split brain: two servers are writable${cluster.primary ? `; writes go to ${cluster.primary}` : ''}` };
  if (!cluster.probed) return { tone: 'off', words: 'not probed yet' };
  if (cluster.primary === null) {
    const lasted = known(cluster.without_primary_s) ? ` for ${spanWords(cluster.without_primary_s)}` : '';
    return { tone: 'bad', words: `no primary${lasted}`, spoken: 'no primary' };
  }
  const since = known(cluster.primary_since_s) ? ` for ${spanWords(cluster.primary_since_s)}` : '';
  const primary = `primary ${cluster.primary}${since}`;
  const spoken = `the primary is ${cluster.primary}`;
  if (cluster.paused) return { tone: 'warn', words: `paused · ${primary}`, spoken: `paused; ${spoken}` };
  const poorly = cluster.servers.filter((server) => server.state === 'ready' && server.health !== 'up').length;
  if (poorly) return { tone: 'warn', words: `${primary} · ${plural(poorly, 'server needs', 'servers need')} attention`, spoken };
  return { tone: 'good', words: primary, spoken };
}

const toneShapes = { good: 'disc', warn: 'triangle', bad: 'square', off: 'ring' };

class ClusterView {
  constructor(name) {
    this.name = name;
    this.history = new History();
    this.element = make('section', 'panel cluster');
    this.element.dataset.cluster = name;
    const id = `cluster-${clusterNumber += 1}`;
    this.element.setAttribute('aria-labelledby', id);
    const head = make('div', 'panel-head');
    const title = make('h2', '', name);
    title.id = id;
    this.protocol = make('span', 'quiet');
    this.icon = make('span', 'icon');
    this.words = make('span', 'condition-words');
    this.condition = make('p', 'condition');
    this.condition.append(this.icon, this.words);
    this.pause = orderButton('Pause', `Pause ${name}`, () => orderPause(name));
    this.resume = orderButton('Resume', `Resume ${name}`, () => orderResume(name));
    head.append(title, this.protocol, this.condition, this.pause, this.resume);
    this.picture = new Picture();
    this.charts = new Charts();
    this.element.append(head, this.picture.element, this.charts.element);
  }

  takeStatus(cluster, now) {
    this.cluster = cluster;
    this.history.takeStatus(cluster, now);
    const { tone, words } = condition(cluster);
    setAttribute(this.condition, 'class', `condition tone-${tone}`);
    setShape(this.icon, toneShapes[tone]);
    setText(this.words, words);
    setText(this.protocol, protocolWords[cluster.protocol] || cluster.protocol);
    this.pause.hidden = cluster.paused;
    this.resume.hidden = !cluster.paused;
    this.picture.update(cluster, this.history);
  }

  takeCounters(counters, now) {
    if (counters) this.history.takeCounters(counters, now);
    this.charts.update(this.cluster, this.history, now);
  }
}

let clusterNumber = 0;
