// The last five minutes in small: one chart a question, with the figures of now beside it. Times without a primary
// are shaded in all of them.

const chartWidth = 300;
const chartHeight = 64;
const lagLinesMax = 6;
const shortestWindowMs = 60 * 1000;

class Chart {
  /** `lines`: [{name, tone}]; `words` writes a value; `scale` makes a height of it (logarithms for latencies). */
  constructor(title, lines, words, scale = (value) => value) {
    this.title = title;
    this.lines = lines;
    this.words = words;
    this.scale = scale;
    this.element = make('figure', 'chart');
    const caption = make('figcaption');
    this.legend = make('span', 'legend');
    caption.append(make('span', 'chart-title', title), this.legend);
    this.svg = makeSvg('svg', { viewBox: `0 0 ${chartWidth} ${chartHeight}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}: no figures yet` });
    this.shade = makeSvg('path', { class: 'shade' });
    this.cursor = makeSvg('path', { class: 'cursor' });
    this.paths = makeSvg('g');
    this.svg.append(this.shade, makeSvg('path', { class: 'axis', d: `M0 ${chartHeight - 0.5}H${chartWidth}` }), this.paths, this.cursor);
    const feet = make('div', 'chart-feet quiet');
    this.span = make('span', '', '5 min ago');
    this.peak = make('span');
    feet.append(this.span, this.peak, make('span', '', 'now'));
    this.element.append(caption, this.svg, feet);
    this.svg.addEventListener('pointermove', (event) => this.point(event));
    this.svg.addEventListener('pointerleave', () => { this.pointed = null; this.redraw(); });
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    this.pointed = (event.clientX - box.left) / box.width;
    this.redraw();
  }

  redraw() {
    if (this.rows) this.draw(this.rows, this.shades, this.now);
  }

  /** `rows`: [{at, values: […]}] in the lines' order; `shades`: [[from, to]]. */
  draw(rows, shades, now) {
    // A page that was opened just now has little to show: the window grows with what there is.
    const windowMs = rows.length ? Math.min(historyMs, Math.max(shortestWindowMs, now - rows[0].at)) : historyMs;
    Object.assign(this, { rows, shades, now, windowMs });
    const x = (at) => Math.max(0, 1 - (now - at) / windowMs) * chartWidth;
    let highest = 0;
    for (const row of rows) for (const value of row.values) if (known(value) && value > highest) highest = value;
    const top = this.scale(highest) || 1;
    const y = (value) => chartHeight - 2 - (this.scale(value) / top) * (chartHeight - 8);
    setAttribute(this.shade, 'd', shades.map(([from, to]) => `M${x(from).toFixed(1)} 0H${x(to).toFixed(1)}V${chartHeight}H${x(from).toFixed(1)}z`).join(''));
    keyed(this.paths, this.lines, (line) => line.name, () => makeSvg('path', { class: 'curve' }), (path, line) => {
      setAttribute(path, 'class', `curve tone-${line.tone}`);
      setAttribute(path, 'd', this.path(rows, this.lines.indexOf(line), x, y));
    });
    this.tell(rows, highest, now);
  }

  path(rows, place, x, y) {
    let d = '';
    let isDown = false;
    for (const row of rows) {
      const value = row.values[place];
      if (!known(value)) { isDown = false; continue; }
      // A single value between gaps is seen as a dot: round caps draw a line of no length.
      d += `${isDown ? 'L' : 'M'}${x(row.at).toFixed(1)} ${y(value).toFixed(1)}${isDown ? '' : 'h0'}`;
      isDown = true;
    }
    return d;
  }

  tell(rows, highest, now) {
    let row = rows[rows.length - 1];
    if (known(this.pointed)) {
      const at = now - (1 - this.pointed) * this.windowMs;
      for (const each of rows) if (Math.abs(each.at - at) < Math.abs(row.at - at)) row = each;
      setAttribute(this.cursor, 'd', row ? `M${((1 - (now - row.at) / this.windowMs) * chartWidth).toFixed(1)} 0V${chartHeight}` : '');
    } else {
      setAttribute(this.cursor, 'd', '');
    }
    keyed(this.legend, this.lines, (line) => line.name, (line) => {
      const item = make('span', 'legend-item');
      item.key = make('i');
      item.value = make('b');
      item.append(item.key, `${line.name} `, item.value);
      return item;
    }, (item, line) => {
      setAttribute(item.key, 'class', `key tone-${line.tone}`);
      setText(item.value, row ? this.words(row.values[this.lines.indexOf(line)]) : '–');
    });
    setText(this.span, known(this.pointed) && row ? `${roughSpan((now - row.at) / 1000)} ago` : `${roughSpan(this.windowMs / 1000)} ago`);
    setText(this.peak, rows.length ? `peak ${this.words(highest)}` : '–');
    const said = this.lines.map((line, place) => `${line.name} ${row ? this.words(row.values[place]) : 'not known'}`).join(', ');
    setAttribute(this.svg, 'aria-label', `${this.title}, the last ${roughSpan(this.windowMs / 1000)}: now ${said}; peak ${this.words(highest)}`);
  }
}

/** Times without a primary, as pairs. */
function outages(states) {
  const found = [];
  let from = null;
  for (const state of states) {
    if (state.lacksPrimary && from === null) from = state.at;
    if (!state.lacksPrimary && from !== null) { found.push([from, state.at]); from = null; }
  }
  if (from !== null) found.push([from, states[states.length - 1].at]);
  return found;
}

class Charts {
  constructor() {
    this.element = make('div', 'charts');
    const logarithm = (seconds) => Math.log10(1 + seconds * 10000);
    this.rate = new Chart('Statements', [{ name: 'primary', tone: 'primary' }, { name: 'replicas', tone: 'replica' }], rateWords);
    this.latency = new Chart('Latency', [{ name: 'p50', tone: 'primary' }, { name: 'p99', tone: 'violet' }], latencyWords, logarithm);
    this.held = new Chart('Held clients', [{ name: 'held', tone: 'warn' }], (value) => known(value) ? count(value) : '–');
    this.errors = new Chart('Errors', [{ name: 'to clients', tone: 'bad' }], rateWords);
    this.lag = new Chart('Replication lag', [], latencyWords);
    for (const chart of [this.rate, this.latency, this.held, this.errors, this.lag]) this.element.append(chart.element);
    this.isSeen = true;
    new IntersectionObserver((entries) => {
      this.isSeen = entries[entries.length - 1].isIntersecting;
      if (this.isSeen && this.latest) this.update(...this.latest);
    }, { rootMargin: '600px' }).observe(this.element);
  }

  update(cluster, history, now) {
    this.latest = [cluster, history, now];
    if (!this.isSeen) return;
    const shades = outages(history.states);
    const of = (rows, pick) => rows.map((row) => ({ at: row.at, values: pick(row) }));
    this.rate.draw(of(history.rates, (row) => [row.primary, row.replica]), shades, now);
    this.latency.draw(of(history.rates, (row) => [row.p50, row.p99]), shades, now);
    this.errors.draw(of(history.rates, (row) => [row.errors]), shades, now);
    this.held.draw(of(history.states, (row) => [row.held]), shades, now);
    const replicas = cluster.servers.filter((server) => server.role === 'replica' && !server.is_primary).slice(0, lagLinesMax);
    this.lag.lines = replicas.map((server, place) => ({ name: server.name, tone: ['replica', 'violet', 'primary', 'warn', 'plain', 'bad'][place] }));
    this.lag.draw(of(history.states, (row) => replicas.map((server) => row.lags[server.name])), shades, now);
  }
}
