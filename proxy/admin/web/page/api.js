// Talking to the proxy: requests with a limit, the token, and errors with the proxy's own message and advice.

class ApiError extends Error {
  constructor(status, message, advice = '') {
    super(message);
    this.status = status;
    this.advice = advice;
  }
}

const answerLimitMs = 5000;
const tokenKey = 'holdfast.token';

// A browser may refuse storage altogether; then the token lives as long as the page.
let tokenHeld = '';
try { tokenHeld = sessionStorage.getItem(tokenKey) || ''; } catch { /* as above */ }

function holdToken(token) {
  tokenHeld = token;
  try {
    if (token) sessionStorage.setItem(tokenKey, token);
    else sessionStorage.removeItem(tokenKey);
  } catch { /* as above */ }
}
const hasToken = () => tokenHeld !== '';

async function ask(path, options = {}) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), options.limitMs || answerLimitMs);
  try {
    const answer = await fetch(path, { cache: 'no-store', credentials: 'omit', signal: stop.signal, ...options });
    return { status: answer.status, text: await answer.text() };
  } catch (cause) {
    throw new ApiError(0, 'the proxy does not answer', String(cause.message || cause));
  } finally {
    clearTimeout(timer);
  }
}

function parsed(answer) {
  let body = null;
  try { body = JSON.parse(answer.text); } catch { /* told below */ }
  if (answer.status >= 200 && answer.status < 300 && body) return body;
  const error = body && body.error;
  const failure = new ApiError(answer.status, error ? error.message : `the proxy answered ${answer.status}`, error ? error.advice : '');
  failure.body = body;
  throw failure;
}

const getJson = async (path) => parsed(await ask(path));

async function getText(path) {
  const answer = await ask(path);
  if (answer.status !== 200) throw new ApiError(answer.status, `${path} answered ${answer.status}`);
  return answer.text;
}

/** An order. A reload reads files and may take its time. */
async function post(path, body, token = tokenHeld) {
  return parsed(await ask(path, {
    method: 'POST',
    limitMs: 30000,
    headers: { 'Authorization': `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  }));
}

/** Throws what the proxy has against the token. */
async function checkToken(token) {
  parsed(await ask('/api/v1/token', { headers: { 'Authorization': `Bearer ${token}` } }));
}
