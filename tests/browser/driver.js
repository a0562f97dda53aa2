// A browser for tests in another language: one JSON order a line on standard input, one answer a line on standard output.
//
//   {"do": "open", "page": "phone", "url": …, "width": 400, "height": 800, "dark": true, "scripts": true}
//   {"do": "ask", "page": …, "expression": …}               the expression's value in the page
//   {"do": "wait", "page": …, "expression": …, "timeout_ms": …}   until it is true
//   {"do": "click" | "fill" | "press" | "hover" | "shoot" | "axe" | "problems" | "close", "page": …, …}
//
// Answers: {"value": …} or {"error": "…"}. What a page asks of any other origin is refused, and is one of its problems.

'use strict';
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { chromium } = require('playwright-core');

const axeSource = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const stepMs = 50;
const pages = new Map();
let browser;

async function open({ page: name, url, width, height, dark = false, scripts = true, calm = false }) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: calm ? 'reduce' : 'no-preference',
    javaScriptEnabled: scripts,
    isMobile: width <= 500,
    hasTouch: width <= 500,
  });
  const page = await context.newPage();
  const problems = [];
  const origin = new URL(url).origin;
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`exception: ${error.stack || error}`));
  await page.route((address) => address.origin !== origin && address.protocol !== 'data:', (route) => {
    problems.push(`outside request: ${route.request().url()}`);
    route.abort();
  });
  pages.set(name, { page, problems });
  await page.goto(url, { waitUntil: 'load' });
}

async function wait({ page: name, expression, timeout_ms: limit }) {
  const { page } = pages.get(name);
  const end = Date.now() + limit;
  for (;;) {
    const value = await page.evaluate(expression);
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${limit} ms: ${expression}`);
    await new Promise((resolve) => setTimeout(resolve, stepMs));
  }
}

async function shoot({ page: name, file, whole = true }) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  await pages.get(name).page.screenshot({ path: file, fullPage: whole });
}

/** What axe-core has against the page, a line each. */
async function axe({ page: name }) {
  const { page } = pages.get(name);
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  return violations.flatMap((violation) => violation.nodes.map((node) =>
    `${violation.id}: ${node.target.join(' ')}: ${node.failureSummary.replace(/\s+/g, ' ')}`));
}

const orders = {
  open,
  wait,
  shoot,
  axe,
  ask: ({ page, expression }) => pages.get(page).page.evaluate(expression),
  click: ({ page, selector }) => pages.get(page).page.click(selector, { timeout: 10_000 }),
  fill: ({ page, selector, text }) => pages.get(page).page.fill(selector, text, { timeout: 10_000 }),
  hover: ({ page, selector }) => pages.get(page).page.hover(selector, { timeout: 10_000 }),
  press: ({ page, key }) => pages.get(page).page.keyboard.press(key),
  /** What went wrong since the last time. */
  problems: ({ page }) => pages.get(page).problems.splice(0),
  close: async ({ page }) => { await pages.get(page).page.context().close(); pages.delete(page); },
};

async function main() {
  // Chromium's sandbox does not work for root, as which these tests run; it shows our own page only.
  browser = await chromium.launch({
    executablePath: process.argv[2], args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'], headless: true,
  });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let answer;
    try {
      const order = JSON.parse(line);
      answer = { value: (await orders[order.do](order)) ?? null };
    } catch (error) {
      answer = { error: String(error.message || error) };
    }
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
  await browser.close();
}

main().catch((error) => {
  process.stdout.write(JSON.stringify({ error: String(error.stack || error) }) + '\n');
  process.exitCode = 1;
});
