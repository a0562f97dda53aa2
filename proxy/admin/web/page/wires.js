// The lines of a picture: traffic from the clients to the servers, as wide as it is heavy, and replication.
// Replication runs in lanes on the right, so that it never crosses the traffic.

const laneWidth = 16;
const laneLeft = 9;

/** 0: nothing moves; up to 5: the more, the wider and quicker. Steps, so that a line does not tremble. */
function heaviness(perSecond) {
  if (!known(perSecond) || perSecond < 0.2) return 0;
  return Math.min(5, 1 + Math.floor(Math.log10(perSecond + 1) * 1.35));
}

/** Where a node's edges are, without the slide that may be under way. */
function boxOf(node) {
  let left = node.offsetLeft;
  let top = node.offsetTop;
  for (let at = node.offsetParent; at && !at.classList.contains('picture'); at = at.offsetParent) {
    left += at.offsetLeft;
    top += at.offsetTop;
  }
  return { left, top, right: left + node.offsetWidth, bottom: top + node.offsetHeight, middle: top + node.offsetHeight / 2 };
}

const curve = (x1, y1, x2, y2) => `M${x1} ${y1}C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`;

/** Straight lines through the points, with round corners. */
function bent(points) {
  const clamp = (from, to, length) => {
    const whole = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    const part = Math.min(length, whole / 2) / whole;
    return `${from[0] + (to[0] - from[0]) * part} ${from[1] + (to[1] - from[1]) * part}`;
  };
  let d = `M${points[0].join(' ')}`;
  for (let i = 1; i + 1 < points.length; i += 1) {
    d += `L${clamp(points[i], points[i - 1], 9)}Q${points[i].join(' ')} ${clamp(points[i], points[i + 1], 9)}`;
  }
  return `${d}L${points[points.length - 1].join(' ')}`;
}

/** Every line that there is now: {key, d, tone, weight, kind, text, x, y}. */
function wiresOf(picture) {
  const { cluster, history, items } = picture;
  const clients = boxOf(picture.clients);
  const proxy = boxOf(picture.proxy);
  const nodes = [...picture.servers.children];
  const boxes = new Map(items.map((item, place) => [item.server, boxOf(nodes[place])]));
  const isNarrow = boxes.size > 0 && [...boxes.values()][0].top >= proxy.bottom;
  const first = boxes.size ? Math.min(...[...boxes.values()].map((box) => box.top)) : 0;
  const gate = (proxy.bottom + first) / 2;  // where traffic turns to its lane, when the servers are below
  const wires = [];
  const stopped = cluster.paused || cluster.sessions.held > 0;
  const clientsWay = clients.right < proxy.left ? curve(clients.right, clients.middle, proxy.left, proxy.middle)
    : `M${proxy.left + 40} ${clients.bottom}V${proxy.top}`;
  wires.push({ key: 'clients', kind: 'traffic', d: clientsWay, tone: stopped ? 'warn' : 'plain', weight: heaviness(history.statements) });
  for (const [server, box] of boxes) {
    const d = isNarrow ? bent([[proxy.left + 24, proxy.bottom], [proxy.left + 24, gate], [laneLeft, gate], [laneLeft, box.middle], [box.left, box.middle]]) : curve(proxy.right, proxy.middle, box.left, box.middle);
    if (!server) {
      wires.push({ key: 'none', kind: 'traffic cut', d, tone: 'bad', weight: 0 });
      continue;
    }
    const weight = heaviness(history.serverRates.get(server.name));
    if (!server.is_primary && !server.takes_reads && weight === 0) continue;
    wires.push({ key: `to ${server.name}`, kind: 'traffic', d, tone: looks(server, cluster).tone, weight });
  }
  const edge = Math.max(...[...boxes.values()].map((box) => box.right));
  const laneOf = new Map();
  for (const { server, parent } of items) {
    if (!parent || !boxes.has(parent)) continue;
    if (!laneOf.has(parent)) laneOf.set(parent, laneOf.size);
    const x = edge + laneWidth * (laneOf.get(parent) + 1);
    const from = boxes.get(parent);
    const to = boxes.get(server);
    const isBroken = ['down', 'broken'].includes(server.health) || parent.health === 'down';
    wires.push({
      key: `follows ${server.name}`, kind: `replication${isBroken ? ' cut' : ''}`, tone: isBroken ? 'bad' : server.health === 'lagging' ? 'warn' : 'plain',
      weight: 0, d: bent([[from.right, from.middle], [x, from.middle], [x, to.middle], [to.right + 7, to.middle]]), arrow: [to.right + 1, to.middle],
      text: isNarrow || isBroken ? '' : known(server.lag_s) ? latencyWords(server.lag_s) : '?', y: to.middle,
    });
  }
  for (const wire of wires) wire.x = edge + laneWidth * (laneOf.size + 0.5);
  return wires;
}

function makeWire() {
  const group = makeSvg('g');
  group.line = makeSvg('path', { class: 'line' });
  group.flow = makeSvg('path', { class: 'flow' });
  group.head = makeSvg('path', { class: 'head' });
  group.text = makeSvg('text', { class: 'lag' });
  group.append(group.line, group.flow, group.head, group.text);
  return group;
}

function updateWire(group, wire) {
  setAttribute(group, 'class', `wire ${wire.kind} tone-${wire.tone} weight-${wire.weight}`);
  setAttribute(group.line, 'd', wire.d);
  setAttribute(group.flow, 'd', wire.d);
  setAttribute(group.head, 'd', wire.arrow ? `M${wire.arrow[0]} ${wire.arrow[1]}l8 -4.5v9z` : '');
  setText(group.text, wire.text || '');
  setAttribute(group.text, 'x', String(wire.x || 0));
  setAttribute(group.text, 'y', String((wire.y || 0) + 4));
}

function drawWires(picture) {
  if (picture.element.offsetWidth === 0) return;
  setAttribute(picture.wires, 'width', String(picture.element.offsetWidth));
  setAttribute(picture.wires, 'height', String(picture.element.offsetHeight));
  keyed(picture.wires, wiresOf(picture), (wire) => wire.key, makeWire, updateWire);
}
