'use strict';
// Small things that every part uses: elements, lists that keep their nodes, and words for numbers.
// Whatever comes from a server or a client reaches the page as text, never as markup.

const byId = (id) => document.getElementById(id);

function make(tag, className = '', text = '') {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function makeSvg(tag, attributes = {}) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** Leaves the node alone when nothing changes, so that a selection or a screen reader is not disturbed. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Brings the children of `parent` to one node an item, in the items' order; nodes of known keys are kept. */
function keyed(parent, items, keyOf, create, update) {
  const known = parent.nodesByKey || new Map();
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const now = new Map();
  items.forEach((item, place) => {
    const key = String(keyOf(item));
    const node = known.get(key) || create(item);
    now.set(key, node);
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] || null);
    update(node, item);
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  parent.nodesByKey = now;
  if (focused && document.activeElement !== focused && parent.contains(focused)) focused.focus({ preventScroll: true });
}

const digits = new Intl.NumberFormat('en');
const count = (value) => digits.format(value);
const plural = (value, one, many = one + 's') => `${count(value)} ${value === 1 ? one : many}`;

/** Three significant digits at the most. */
function short(value) {
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1).replace(/\.0$/, '') : value.toFixed(value >= 1 ? 1 : 2).replace(/\.?0+$/, '');
}

function scaled(value, step, units) {
  let unit = 0;
  while (value >= step && unit + 1 < units.length) { value /= step; unit += 1; }
  return `${short(value)}${units[unit] ? ' ' + units[unit] : ''}`;
}

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
const rateWords = (perSecond) => known(perSecond) ? `${scaled(perSecond, 1000, ['', 'k', 'M'])}/s` : '–';
const byteWords = (bytes) => known(bytes) ? scaled(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']) : '–';

/** A short time, as latencies and lags are. */
function latencyWords(seconds) {
  if (!known(seconds)) return '–';
  if (seconds < 0.001) return seconds === 0 ? '0 ms' : `${short(seconds * 1000)} ms`;
  if (seconds < 1) return `${short(seconds * 1000)} ms`;
  return seconds < 100 ? `${short(seconds)} s` : spanWords(seconds);
}

/** How long something has lasted. */
function spanWords(seconds) {
  if (!known(seconds)) return '–';
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor(whole % 86400 / 3600)} h`;
}

/** The same, in one unit. */
function roughSpan(seconds) {
  const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  for (const [size, unit] of units) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return '0 s';
}

const pad = (value) => String(value).padStart(2, '0');
function clockWords(date) {
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}
function dayWords(date) {
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

const protocolWords = { postgres: 'PostgreSQL', mysql: 'MySQL' };
const wantsCalm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
