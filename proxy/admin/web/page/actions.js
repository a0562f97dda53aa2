// What an operator can order: each order is confirmed in a dialog, where the proxy's refusal is shown too.

/** A button that works only with a token. */
function orderButton(word, label, act) {
  const button = make('button', 'order', word);
  button.type = 'button';
  button.disabled = !hasToken();
  setAttribute(button, 'aria-label', label);
  if (!hasToken()) button.title = 'Needs the token: Unlock actions';
  button.addEventListener('click', act);
  return button;
}

function showToken() {
  for (const button of document.querySelectorAll('button.order, #reload')) {
    button.disabled = !hasToken();
    if (hasToken()) button.removeAttribute('title');
    else button.title = 'Needs the token: Unlock actions';
  }
  setText(byId('token-state'), hasToken() ? 'Actions are unlocked' : '');
  setText(byId('unlock'), hasToken() ? 'Token' : 'Unlock actions');
}

function showError(node, error) {
  node.replaceChildren();
  node.hidden = !error;
  if (!error) return;
  node.append(make('strong', '', error.message));
  if (error.advice) node.append(make('span', '', error.advice));
}

let order = null;

/** `wanted`: {title, text, word, path, body, isDangerous, hasReason, hasLimit, extra, onDone}. */
function confirmOrder(wanted) {
  order = wanted;
  setText(byId('order-title'), wanted.title);
  setText(byId('order-text'), wanted.text);
  setText(byId('order-do'), wanted.word);
  byId('order-do').classList.toggle('danger', Boolean(wanted.isDangerous));
  byId('order-do').disabled = false;
  byId('order-do').hidden = false;
  setText(byId('order-cancel'), 'Cancel');
  byId('order-reason').value = '';
  byId('order-reason-field').hidden = wanted.hasReason === false;
  byId('order-limit-field').hidden = !wanted.hasLimit;
  byId('order-force').checked = false;
  byId('order-force-field').hidden = true;
  byId('order-extra').replaceChildren(...(wanted.extra ? [wanted.extra] : []));
  showError(byId('order-error'), null);
  byId('order').showModal();
}

async function giveOrder() {
  const mine = order;
  const body = { ...mine.body };
  if (mine.hasReason !== false) body.reason = byId('order-reason').value.trim();
  if (mine.hasLimit) body.timeout = byId('order-limit').value;
  if (byId('order-force').checked) body.force = true;
  byId('order-do').disabled = true;
  try {
    const answer = await post(mine.path, body);
    if (order !== mine) return;
    const warning = answer.warning ? { message: 'Done, but it won’t survive a restart', advice: answer.warning } : null;
    if (warning) {
      showError(byId('order-error'), warning);
      byId('order-do').hidden = true;
      setText(byId('order-cancel'), 'Close');
      byId('order-cancel').focus();
    } else {
      byId('order').close();
    }
    if (mine.onDone) mine.onDone(answer);
    refreshSoon();
  } catch (error) {
    if (order !== mine) return;
    showError(byId('order-error'), error);
    byId('order-force-field').hidden = !(error.status === 409 && body.state === 'ready');
    if (error.body && error.body.diagnostics) showDiagnostics(error.body.diagnostics);
    byId('order-do').disabled = false;
  }
}

function orderState(cluster, server, state) {
  const text = {
    drain: 'What runs there may end, and nothing new begins. Its sessions move on as they fall idle.',
    maintenance: 'As with drain, and nothing that it says counts: it can’t become the primary.',
    ready: 'It is given work again, slowly at first.',
  }[state];
  const title = { drain: `Drain ${server}?`, maintenance: `Take ${server} into maintenance?`, ready: `Make ${server} ready?` }[state];
  const word = { drain: 'Drain', maintenance: 'Maintenance', ready: 'Ready' }[state];
  confirmOrder({ title: `${title}`, text: `Cluster ${cluster}. ${text}`, word, path: '/api/v1/server-state', body: { cluster, server, state } });
}

function orderPause(cluster) {
  confirmOrder({
    title: `Pause ${cluster}?`, word: 'Pause', path: '/api/v1/pause', body: { cluster }, hasLimit: true,
    text: 'New statements and transactions wait; what runs may end. Clients see a pause, no error.',
  });
}

function orderResume(cluster) {
  confirmOrder({
    title: `Resume ${cluster}?`, word: 'Resume', path: '/api/v1/resume', body: { cluster }, hasReason: false,
    text: 'What waits goes on.',
  });
}

function orderKill(session) {
  const who = [session.user, session.database, session.client, session.application].filter(Boolean).join(' · ');
  confirmOrder({
    title: `Kill session ${session.id}?`, word: 'Kill', path: '/api/v1/kill', body: { session: session.id }, isDangerous: true,
    text: `${who}. What it runs is cancelled, and the client is told.`,
  });
}

function changeList(changes) {
  const list = make('ul', 'changes');
  for (const each of changes) {
    const item = make('li', '', '');
    item.append(make('code', '', each.path), ` ${each.kind === 'changed' ? `${each.before} → ${each.after}` : `${each.kind}: ${each.after || each.before}`}`);
    if (!each.applied) item.append(make('em', '', ' (needs a restart)'));
    list.append(item);
  }
  return list;
}

function showDiagnostics(diagnostics) {
  const list = make('ul', 'changes');
  for (const each of diagnostics) list.append(make('li', '', `${each.file}:${each.line}: ${each.severity}: ${each.message}`));
  byId('order-extra').replaceChildren(list);
}

/** Shows what would change before it is ordered. */
async function orderReload() {
  const extra = make('div', 'diff', 'Comparing with the file …');
  confirmOrder({
    title: 'Reload the configuration?', word: 'Reload', path: '/api/v1/reload', body: {}, extra, onDone: () => settings.load(),
    text: 'The file is read again. All of it is applied, or on any mistake nothing.',
  });
  try {
    const { changes } = await getJson('/api/v1/diff');
    extra.replaceChildren(changes.length ? changeList(changes) : 'The file says what is in use: nothing would change.');
  } catch (error) {
    extra.replaceChildren();
    showError(byId('order-error'), error);
    if (error.body && error.body.diagnostics) showDiagnostics(error.body.diagnostics);
  }
}

async function unlock() {
  const token = byId('token-value').value.trim();
  if (!token) return showError(byId('token-error'), { message: 'A token is needed', advice: '' });
  try {
    await checkToken(token);
  } catch (error) {
    return showError(byId('token-error'), error);
  }
  holdToken(token);
  byId('token').close();
  showToken();
}

function prepareActions() {
  byId('order-form').addEventListener('submit', (event) => { event.preventDefault(); giveOrder(); });
  byId('order-cancel').addEventListener('click', () => byId('order').close());
  byId('order').addEventListener('close', () => { order = null; });
  byId('token-form').addEventListener('submit', (event) => { event.preventDefault(); unlock(); });
  byId('token-cancel').addEventListener('click', () => byId('token').close());
  byId('token-forget').addEventListener('click', () => { holdToken(''); byId('token').close(); showToken(); });
  byId('token').addEventListener('close', () => { byId('token-value').value = ''; });
  byId('unlock').addEventListener('click', () => {
    showError(byId('token-error'), null);
    byId('token-forget').hidden = !hasToken();
    byId('token').showModal();
    byId('token-value').focus();
  });
  byId('reload').addEventListener('click', orderReload);
  showToken();
}
