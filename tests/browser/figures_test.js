// What the status page computes of /metrics: its scripts without a browser.  node --test figures_test.js

'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const vm = require('node:vm');

const folder = path.join(__dirname, '../../proxy/admin/web/page');
const page = vm.createContext({ Intl, matchMedia: () => ({ matches: false }) });
for (const name of ['base.js', 'metrics.js']) vm.runInContext(fs.readFileSync(path.join(folder, name), 'utf8'), page);
const get = (expression) => vm.runInContext(expression, page);
const History = get('History');

const counters = ({ errors = 0, servers = {}, buckets = {}, primary = 0, replica = 0 }) => ({
  errors, servers: new Map(Object.entries(servers)), done: new Map(Object.entries({ primary, replica })),
  buckets: new Map(Object.entries(buckets).map(([bound, value]) => [Number(bound), value])),
});

test('labels may hold anything', () => {
  const [line] = get('parseMetrics')('# HELP x\nholdfast_statements_total{cluster="a}\\"b\\\\",server="x,y=\\"z"} 12\nother{a="b"} 1\n');
  assert.deepEqual({ ...line.labels }, { cluster: 'a}"b\\', server: 'x,y="z' });
  assert.equal(line.value, 12);
});

test('buckets of both targets count, the proxy’s own answers do not', () => {
  const text = ['primary', 'replica', 'proxy'].map((target) =>
    `holdfast_statement_duration_seconds_bucket{cluster="shop",target="${target}",le="0.5"} 3\n` +
    `holdfast_statement_duration_seconds_bucket{cluster="shop",target="${target}",le="+Inf"} 4\n`).join('');
  const shop = get('countersByCluster')(get('parseMetrics')(text)).get('shop');
  assert.deepEqual([...shop.buckets], [[0.5, 6], [Infinity, 8]]);
  assert.deepEqual([...shop.done], [['primary', 4], ['replica', 4]]);
});

test('a server’s statements are summed over its targets; one that has had none stands at 0', () => {
  const text = 'holdfast_server_up{cluster="shop",server="pg1"} 1\nholdfast_server_up{cluster="shop",server="pg2"} 1\n' +
    'holdfast_statements_total{cluster="shop",server="pg1",target="primary"} 3\n' +
    'holdfast_statements_total{cluster="shop",server="pg1",target="replica"} 4\n';
  const shop = get('countersByCluster')(get('parseMetrics')(text)).get('shop');
  assert.deepEqual([...shop.servers], [['pg1', 7], ['pg2', 0]]);
});

test('a quantile lies within its bucket', () => {
  const quantile = get('quantile');
  const none = new Map();
  const after = new Map([[0.001, 50], [0.01, 100], [Infinity, 100]]);
  assert.equal(quantile(none, after, 0.5), 0.001);
  assert.ok(Math.abs(quantile(none, after, 0.75) - 0.0055) < 1e-9);
  assert.equal(quantile(after, after, 0.5), null);
  assert.equal(quantile(none, new Map([[0.001, 0], [30, 0], [Infinity, 5]]), 0.99), 30);
});

test('rates are of the time between two readings; a restart is a gap, not a negative rate', () => {
  const history = new History();
  history.takeCounters(counters({ servers: { pg1: 100 }, primary: 100 }), 1000);
  assert.equal(history.rates.length, 0);
  history.takeCounters(counters({ servers: { pg1: 150 }, primary: 150, errors: 4 }), 3000);
  assert.equal(history.rates[0].primary, 25);
  assert.equal(history.rates[0].errors, 2);
  assert.equal(history.serverRates.get('pg1'), 25);
  history.takeCounters(counters({ servers: { pg1: 5 }, primary: 5 }), 5000);
  assert.equal(history.rates[1].primary, null);
  assert.equal(history.serverRates.get('pg1'), null);
});

test('a page that is open for long keeps five minutes', () => {
  const history = new History();
  const cluster = { primary: 'pg1', sessions: { held: 0 }, servers: [{ name: 'pg2', role: 'replica', lag_s: 0.1 }] };
  for (let at = 0; at < 6 * 3_600_000; at += 1000) {
    history.takeStatus(cluster, at);
    if (at % 2000 === 0) history.takeCounters(counters({ servers: { pg1: at } }), at);
  }
  assert.ok(history.states.length <= 310, String(history.states.length));
  assert.ok(history.rates.length <= 155, String(history.rates.length));
  for (let i = 0; i < 5000; i += 1) history.takeStatus(cluster, 6 * 3_600_000 + i);  // whatever the pace
  assert.ok(history.states.length <= 700, String(history.states.length));
});

test('numbers in words', () => {
  const said = (call) => get(call);
  assert.equal(said('rateWords(0)'), '0/s');
  assert.equal(said('rateWords(1234)'), '1.2 k/s');
  assert.equal(said('rateWords(null)'), '–');
  assert.equal(said('latencyWords(0.00042)'), '0.42 ms');
  assert.equal(said('latencyWords(0.0125)'), '12.5 ms');
  assert.equal(said('latencyWords(3.25)'), '3.3 s');
  assert.equal(said('latencyWords(null)'), '–');
  assert.equal(said('spanWords(3725)'), '1 h 2 min');
  assert.equal(said('byteWords(1536)'), '1.5 KiB');
});
