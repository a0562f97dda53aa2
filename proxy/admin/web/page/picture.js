// A cluster as a picture: clients, the proxy, and the servers as a tree of who follows whom. Each state has a
// shape and a word besides its colour.

const shapes = {
  disc: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z',
  ring: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zm0 2.6a3.9 3.9 0 1 1 0 7.8 3.9 3.9 0 0 1 0-7.8z',
  half: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zm0 2a4.5 4.5 0 0 1 0 9z',
  triangle: 'M8 1.5 15.2 14H.8z',
  square: 'M2.5 2.5h11v11h-11z',
  diamond: 'M8 .5 15.5 8 8 15.5.5 8z',
  cross: 'M4 1.5 8 5.5l4-4L14.5 4l-4 4 4 4-2.5 2.5-4-4-4 4L1.5 12l4-4-4-4z',
  bars: 'M3 2h3.6v12H3zM9.4 2H13v12H9.4z',
};

function shape(name) {
  const icon = makeSvg('svg', { viewBox: '0 0 16 16', class: 'shape', 'aria-hidden': 'true' });
  icon.append(makeSvg('path', { d: shapes[name], 'fill-rule': 'evenodd' }));
  return icon;
}

function setShape(holder, name) {
  if (holder.dataset.shape === name) return;
  holder.dataset.shape = name;
  holder.replaceChildren(shape(name));
}

/** How a server looks: its tone (a colour), shape and words. */
function looks(server, cluster) {
  const health = {
    starting: ['off', 'ring', 'starting: not probed yet'],
    suspect: ['warn', 'triangle', 'suspect'],
    catching_up: ['off', 'ring', 'catching up'],
    lagging: ['warn', 'triangle', 'lagging'],
    down: ['bad', 'square', 'down'],
    broken: ['bad', 'cross', 'broken'],
    quarantined: ['bad', 'diamond', 'quarantined'],
  }[server.health];
  const words = { drain: 'draining', maintenance: 'in maintenance', removed: 'being removed' }[server.state];
  if (words) {
    const also = health ? `, ${server.health.replace('_', ' ')}` : '';
    return { tone: server.is_primary ? 'warn' : 'off', shape: 'half', words: words + also };
  }
  if (health) return { tone: health[0], shape: health[1], words: health[2] };
  if (server.is_primary) return { tone: 'primary', shape: 'disc', words: 'takes writes, up' };
  if (server.takes_reads) return { tone: 'replica', shape: 'disc', words: 'takes reads, up' };
  return { tone: 'off', shape: 'ring', words: cluster.primary === null ? 'waits for a primary, up' : 'takes no reads, up' };
}

/** The servers in the order of the picture, each with its depth below the primary: [{server, depth, parent}]. */
function familyOf(cluster) {
  const byName = new Map(cluster.servers.map((server) => [server.name, server]));
  const byAddress = new Map(cluster.servers.map((server) => [server.address, server]));
  const parentOf = (server) => {
    if (server.is_primary || server.role !== 'replica') return null;
    const parent = byName.get(server.follows) || byAddress.get(server.follows);
    return parent && parent !== server ? parent : null;
  };
  const placed = new Map();
  const place = (server, depth, parent) => {
    if (placed.has(server)) return;  // a ring of servers ends here
    placed.set(server, { server, depth, parent });
    for (const other of cluster.servers) if (parentOf(other) === server) place(other, depth + 1, server);
  };
  cluster.servers.filter((server) => server.is_primary).forEach((server) => place(server, 0, null));
  cluster.servers.filter((server) => !parentOf(server)).forEach((server) => place(server, 0, null));
  cluster.servers.forEach((server) => place(server, 0, parentOf(server)));
  return [...placed.values()];
}

function clientWords(sessions) {
  const parts = [];
  if (sessions.active) parts.push(`${count(sessions.active)} active`);
  if (sessions.in_transaction) parts.push(`${count(sessions.in_transaction)} in a transaction`);
  if (sessions.idle) parts.push(`${count(sessions.idle)} idle`);
  if (sessions.login) parts.push(`${count(sessions.login)} logging in`);
  return parts.join(' · ') || (sessions.total ? '' : 'nobody is connected');
}

/** Why clients are held, in a few words. */
function heldBecause(cluster) {
  if (cluster.paused) return 'the cluster is paused';
  if (cluster.primary === null) return 'there is no primary';
  return 'for a server connection';
}

class Picture {
  constructor() {
    this.element = make('div', 'picture');
    this.wires = makeSvg('svg', { class: 'wires', 'aria-hidden': 'true' });
    this.clients = make('div', 'node clients');
    this.clientsCount = make('strong', 'big');
    this.clientsWords = make('span', 'quiet');
    this.heldBadge = make('span', 'badge warn');
    this.clients.append(make('span', 'label', 'Clients'), this.clientsCount, this.clientsWords, this.heldBadge);
    this.proxy = make('div', 'node proxy');
    this.proxyRate = make('strong', 'big');
    this.proxyWords = make('span', 'quiet');
    this.pausedBadge = make('span', 'badge warn');
    this.pausedBadge.append(shape('bars'), 'paused');
    this.proxy.append(make('span', 'label', 'Holdfast'), this.proxyRate, this.proxyWords, this.pausedBadge);
    this.servers = make('ol', 'servers');
    this.element.append(this.wires, this.clients, this.proxy, this.servers);
    this.nodes = [];
    new ResizeObserver(() => this.drawWires()).observe(this.element);
  }

  update(cluster, history) {
    this.cluster = cluster;
    this.history = history;
    const sessions = cluster.sessions;
    setText(this.clientsCount, count(sessions.total));
    setText(this.clientsWords, clientWords(sessions));
    this.heldBadge.hidden = !sessions.held;
    setText(this.heldBadge, `${count(sessions.held)} held: ${heldBecause(cluster)}`);
    setText(this.proxyRate, rateWords(history.statements));
    setText(this.proxyWords, cluster.listeners.map((each) => each.addresses.join(', ')).join(' · '));
    setAttribute(this.proxyWords, 'title', this.proxyWords.textContent);
    this.pausedBadge.hidden = !cluster.paused;

    const items = familyOf(cluster);
    if (cluster.primary === null && cluster.probed) items.unshift({ server: null, depth: 0, parent: null });
    const before = this.places();
    keyed(this.servers, items, (item) => item.server ? `server ${item.server.name}` : 'none',
      (item) => item.server ? makeServer(cluster.name, item.server.name) : makeVacancy(),
      (node, item) => item.server ? updateServer(node, item, cluster, history) : updateVacancy(node, cluster));
    this.items = items;
    this.slideFrom(before);
    this.drawWires();
  }

  places() {
    return new Map([...this.servers.children].map((node) => [node, node.offsetTop]));
  }

  /** Servers that change their places are seen to move. */
  slideFrom(before) {
    if (wantsCalm()) return;
    for (const [node, top] of before) {
      if (!node.isConnected || node.offsetTop === top) continue;
      node.animate([{ transform: `translateY(${top - node.offsetTop}px)` }, { transform: 'none' }], { duration: 350, easing: 'ease-out' });
    }
  }

  drawWires() {
    if (this.cluster) drawWires(this);
  }
}

function makeVacancy() {
  const node = make('li', 'server vacancy tone-bad');
  const head = make('div', 'server-head');
  const icon = make('span', 'icon');
  setShape(icon, 'ring');
  head.append(icon, make('strong', 'server-name', 'No primary'));
  node.why = make('p', 'server-state');
  node.append(head, node.why);
  return node;
}

function updateVacancy(node, cluster) {
  const lasted = known(cluster.without_primary_s) ? `for ${spanWords(cluster.without_primary_s)}` : 'none was found yet';
  const held = cluster.sessions.held ? ` · ${plural(cluster.sessions.held, 'client waits', 'clients wait')}` : '';
  const next = cluster.candidate ? ` · most advanced: ${cluster.candidate}` : '';
  setText(node.why, lasted + held + next);
}

function makeServer(cluster, name) {
  const node = make('li', 'server');
  node.dataset.server = name;
  const head = make('div', 'server-head');
  const parts = {
    icon: make('span', 'icon'), name: make('strong', 'server-name', name), role: make('span', 'badge role'),
    rate: make('span', 'server-rate'), state: make('p', 'server-state'), why: make('p', 'server-why'),
    follows: make('p', 'server-follows'), facts: make('p', 'server-facts quiet'), actions: make('div', 'server-actions'),
  };
  const line = make('div', 'server-line');
  line.append(parts.state, parts.follows);
  head.append(parts.icon, parts.name, parts.role, parts.rate);
  node.append(head, line, parts.why, parts.facts, parts.actions);
  setAttribute(parts.name, 'title', name);
  for (const [state, word] of [['ready', 'Ready'], ['drain', 'Drain'], ['maintenance', 'Maintenance']]) {
    const button = orderButton(word, `${word}: ${name} of ${cluster}`, () => orderState(cluster, name, state));
    button.dataset.state = state;
    parts.actions.append(button);
  }
  node.parts = parts;
  return node;
}

function versionWords(server, protocol) {
  if (!server.version) return '';
  return protocol === 'mysql' ? server.version : `PostgreSQL ${server.version}`;
}

function roleWords(server) {
  if (server.is_primary) return 'Primary';
  if (server.role === 'replica') return 'Replica';
  if (server.role !== 'primary') return 'Unknown role';
  return server.health === 'down' ? 'Was primary' : 'Writable';
}

function updateServer(node, { server, depth }, cluster, history) {
  const { tone, shape: form, words } = looks(server, cluster);
  const parts = node.parts;
  setAttribute(node, 'class', `server tone-${tone}${server.health === 'quarantined' ? ' striped' : ''}`);
  setAttribute(node, 'style', `--depth: ${depth}`);
  setShape(parts.icon, form);
  setText(parts.role, roleWords(server));
  const rate = history.serverRates.get(server.name);
  setText(parts.rate, rateWords(rate));
  setText(parts.state, `${words} for ${spanWords(server.since_s)}`);

  const lag = known(server.lag_s) ? `${latencyWords(server.lag_s)} behind` : 'lag not known';
  parts.follows.hidden = server.role !== 'replica' || server.is_primary;
  setText(parts.follows, `follows ${server.follows || 'nobody known'}, ${lag}`);

  const said = server.state !== 'ready' && server.state_by
    ? `${server.state_reason || 'no reason given'} (by ${server.state_by})` : '';
  const why = [server.reason, said].filter(Boolean).join(' · ');
  parts.why.hidden = why === '';
  setText(parts.why, why);

  const busy = server.connections - server.connections_idle;
  const weight = server.weight_now !== server.weight ? `slow start: weight ${server.weight_now} of ${server.weight}` : '';
  setText(parts.facts, [server.address, versionWords(server, cluster.protocol),
    server.timeline ? `timeline ${server.timeline}` : '',
    `${plural(server.connections, 'connection')}${server.connections ? `, ${count(busy)} in use` : ''}`, weight].filter(Boolean).join(' · '));
  for (const button of parts.actions.children) button.hidden = button.dataset.state === server.state || server.state === 'removed';
}
